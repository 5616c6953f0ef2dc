//! Cohere chat, version 2 (API reference, "Chat"), as SDKs send it.
//!
//! What only this format knows is placed so that the others can carry it: `documents` stand in front of the last
//! user's message, a `tool_plan` is text in front of the calls it plans.

pub mod request;
pub mod response;
pub mod rules;
pub mod stream;
pub mod usage;

mod citations;
mod documents;
mod encode;
mod messages;
mod parts;

pub(crate) mod failure;
pub(crate) mod watch;
