//! OpenAI responses (API reference, "Responses"): items instead of messages, named events instead of chunks.
//!
//! Every item is a message of the form of its own, so that their order and ids survive; writers of formats with turns
//! join neighbours of one role.

pub mod compaction;
pub mod request;
pub mod response;
pub mod rules;
pub mod stream;

mod annotations;
mod echo;
mod encode;
mod input;
mod items;
mod logprobs;
mod namespaces;
mod parts;
mod tongue;
mod usage;

pub(crate) mod failure;
pub(crate) mod watch;

pub use echo::Echo;
pub use namespaces::{NAMESPACE, flattened};
pub(crate) use parts::source_of_url;
pub(crate) use tongue::{choice_to_chat, tool_to_chat};
pub use usage::{is_search, read_usage, searches_in, write_usage};
