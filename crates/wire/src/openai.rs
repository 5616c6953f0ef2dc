//! OpenAI chat completions (API reference, "Chat"), with the extensions that compatible servers share:
//! `reasoning_content`, `thinking_blocks`, `cache_control`.

pub mod request;
pub mod response;
pub mod rules;
pub mod stream;

pub(crate) mod parts;
mod thinking;

mod encode;
mod markers;
pub(crate) mod usage;

pub use usage::{read_usage, write_usage};
