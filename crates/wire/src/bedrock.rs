//! Amazon Bedrock: Converse and ConverseStream, and [InvokeModel for Claude](invoke).
//!
//! The model and whether to stream stand in the path of the request, not in its body.

pub mod count;
pub mod invoke;
pub mod request;
pub mod response;
pub mod rules;
pub mod stream;
pub mod usage;

pub(crate) mod failure;
pub(crate) mod watch;

mod blocks;
mod citations;
mod encode;
mod kept;
mod media;
mod model;
mod names;
mod reasoning;
mod tools;
mod turn;
mod write;

pub use model::Family;
