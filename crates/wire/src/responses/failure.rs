//! Failures as responses tell them: a body like that of chat completions, an `error` event in a stream.

use bytes::BytesMut;

use crate::form::Failure;
use crate::format::Format;
use crate::json::write::{Object, object};

/// The body of an error response.
pub(crate) fn render(failure: &Failure, request_id: &str) -> Vec<u8> {
    crate::failure::render(Format::OpenAiChat, failure, request_id)
        .body
        .to_vec()
}

/// The event that ends a stream with an error.
pub(crate) fn render_event(failure: &Failure, number: u64, out: &mut BytesMut) {
    let body = object(|body| {
        body.string("type", "error");
        write(body, failure);
        body.count("sequence_number", number);
    });
    out.extend_from_slice(b"event: error\ndata: ");
    out.extend_from_slice(&body);
    out.extend_from_slice(b"\n\n");
}

/// Writes what an `error` event says.
pub(super) fn write(event: &mut Object<'_>, failure: &Failure) {
    event.string("code", failure.code.as_deref().unwrap_or("server_error"));
    event.string("message", &failure.message);
    match &failure.param {
        Some(param) => event.string("param", param),
        None => event.raw("param", "null"),
    }
}
