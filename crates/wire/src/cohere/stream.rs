//! Streamed answers: named events, ended by `message-end`.
//!
//! What the form has no event for travels beside it, as events that only this format knows: the beginning of an answer
//! (by which the writer knows that the others are there), of a plan, citations, log probabilities and usage as they came.

mod decoder;
mod encoder;

pub use decoder::Decoder;
pub use encoder::Encoder;
