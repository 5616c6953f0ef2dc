//! Failures as Cohere tells them: a message and an id; a stream says so in its last event.

use bytes::BytesMut;

use crate::form::{Failure, FailureKind};
use crate::json::write::object;

/// The body of an error response.
pub(crate) fn render(failure: &Failure, request_id: &str) -> Vec<u8> {
    object(|body| {
        body.string("id", request_id);
        body.string("message", &failure.message);
    })
}

/// The event that ends a stream with an error.
pub(crate) fn render_event(failure: &Failure, request_id: &str, out: &mut BytesMut) {
    let data = object(|event| {
        event.string("type", "message-end");
        if !request_id.is_empty() {
            event.string("id", request_id);
        }
        event.object("delta", |delta| {
            delta.string("error", &failure.message);
            delta.string("finish_reason", reason(failure.kind));
        });
    });
    out.extend_from_slice(b"event: message-end\ndata: ");
    out.extend_from_slice(&data);
    out.extend_from_slice(b"\n\n");
}

fn reason(kind: FailureKind) -> &'static str {
    match kind {
        FailureKind::ProviderTimeout | FailureKind::ClientTimeout => "TIMEOUT",
        _ => "ERROR",
    }
}

/// The failure of an answer that ended so; none when it ended well.
pub(super) fn of_reason(reason: &str, told: Option<&str>) -> Option<Failure> {
    let (kind, message) = match reason {
        "ERROR" => (FailureKind::Provider, "the provider failed while it answered"),
        "TIMEOUT" => (
            FailureKind::ProviderTimeout,
            "the provider took too long to answer",
        ),
        _ => return None,
    };
    Some(Failure::new(kind, told.unwrap_or(message)))
}
