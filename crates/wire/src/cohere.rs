//! Cohere v2 chat.

pub mod request;
pub mod response;
pub mod rules;
pub mod stream;
pub mod usage;

pub(crate) mod failure;
pub(crate) mod watch;
