//! Streamed answers: pieces of an answer, each with all the fields of one, and the end of the bytes for an end.
//!
//! With `alt=sse` they come as events, without as the items of one JSON list.

mod decoder;
mod encoder;
mod objects;
mod partial;

pub use decoder::Decoder;
pub use encoder::Encoder;
