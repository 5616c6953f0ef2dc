//! Streamed answers of ConverseStream: messages of an AWS event stream, block by block, ended by `metadata`.

mod decoder;
mod encoder;

pub use decoder::Decoder;
pub use encoder::Encoder;

use bytes::BytesMut;

use crate::eventstream::{EventStreamError, HeaderValue, write_message};
use crate::form::Text;

/// Writes an event; `kind` is its name.
///
/// # Errors
/// When it would be larger than a message may be.
pub(super) fn write_event(kind: &str, payload: &[u8], out: &mut BytesMut) -> Result<(), EventStreamError> {
    write(":event-type", kind, "event", payload, out)
}

/// Writes an exception, the event that ends a stream with an error.
///
/// # Errors
/// When it would be larger than a message may be.
pub(super) fn write_exception(
    kind: &str,
    payload: &[u8],
    out: &mut BytesMut,
) -> Result<(), EventStreamError> {
    write(":exception-type", kind, "exception", payload, out)
}

fn write(
    name: &str,
    kind: &str,
    message_type: &'static str,
    payload: &[u8],
    out: &mut BytesMut,
) -> Result<(), EventStreamError> {
    let headers = [
        (name, HeaderValue::String(Text::from(kind))),
        (
            ":content-type",
            HeaderValue::String(Text::from_static("application/json")),
        ),
        (
            ":message-type",
            HeaderValue::String(Text::from_static(message_type)),
        ),
    ];
    write_message(&headers, payload, out)
}
