//! Streamed responses: named events with a sequence number, item by item, ended by the whole response.

mod decoder;
mod encoder;
mod item;
mod whole;

pub use decoder::Decoder;
pub(super) use decoder::failure_of;
pub use encoder::Encoder;
