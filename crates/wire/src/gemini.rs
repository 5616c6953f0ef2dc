//! Gemini `generateContent` (Gemini API `v1`/`v1beta` and Vertex AI).
//!
//! The model and whether to stream stand in the path: the reader leaves them to who knows the path, the writer writes
//! neither. Field names are read in both of Google's spellings (`maxOutputTokens`, `max_output_tokens`) and written in
//! the first.

pub mod count;
pub mod request;
pub mod response;
pub mod rules;
pub mod stream;
pub mod usage;

pub(crate) mod failure;
pub(crate) mod watch;

mod config;
mod encode;
mod generation;
mod history;
mod logprobs;
mod media;
mod names;
mod parts;
mod schema;
mod tools;
mod write;
