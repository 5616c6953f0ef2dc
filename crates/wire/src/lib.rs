//! The formats: one internal form, and for each wire format its request, response and stream.
//!
//! Hub and spoke: a format is decoded into the [`form`] and encoded from it, so that N formats need N readers and
//! N writers and never N×M translators. When client and provider speak the same format the body is not taken
//! through the form at all: [`splice`] edits the few fields the gateway owns and leaves every other byte alone.
//!
//! Everything here is a plain function over plain data. This crate must not know providers, prices, HTTP
//! connections, configuration or time.
//!
//! A new format is a folder with three files, `request`, `response` and `stream`, and an arm in [`mod@format`].

pub mod anthropic;
pub mod assemble;
pub mod bedrock;
pub mod coding;
pub mod cohere;
pub mod completions;
pub mod embeddings;
pub mod eventstream;
pub mod failure;
pub mod form;
pub mod form_data;
pub mod format;
pub mod gemini;
pub mod hash;
pub mod hosted;
mod in_turn;
pub mod json;
pub mod keep;
pub mod marks;
pub mod metered;
pub mod openai;
pub mod pointer;
pub mod realtime;
pub mod replay;
pub mod rerank;
pub mod responses;
pub mod rules;
pub mod schema;
pub mod seal;
pub mod splice;
pub mod sse;
pub mod text;
pub mod tokens;
pub mod watch;
