//! Anthropic messages (API reference, "Messages"), in the versions SDKs send.

pub mod count;
pub mod request;
pub mod response;
pub mod rules;
pub mod stream;
pub mod watch;

mod blocks;
mod encode;
mod usage;
