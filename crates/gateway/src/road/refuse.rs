//! The one place where a failure becomes a reply, in the client's own format.

use http::{HeaderMap, HeaderValue, StatusCode, header};
use pointsman_wire::failure;
use pointsman_wire::form::{Failure, FailureKind};
use pointsman_wire::format::Format;

use super::Ticket;
use super::relay::describe;
use crate::reply::{self, Reply};

/// Why there is no answer, and what the headers shall say of the road until there.
pub struct Refusal {
    /// For the client.
    pub failure: Failure,
    known: Option<Box<HeaderMap>>,
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self { failure, known: None }
    }
}

impl Refusal {
    /// A failure of an admitted request: who was asked, how often and by which decision is told with it.
    pub fn known(failure: Failure, ticket: &Ticket) -> Self {
        let mut headers = HeaderMap::new();
        describe(&mut headers, ticket, None);
        Self {
            failure,
            known: Some(Box::new(headers)),
        }
    }
}

/// The reply.
pub fn reply(refusal: Refusal, dialect: Format, id: &str) -> Reply {
    let failure = &refusal.failure;
    let rendered = failure::render(dialect, failure, id);
    let mut reply = reply::json_bytes(rendered.status, rendered.body);
    let headers = reply.headers_mut();
    if let Some((name, value)) = rendered.header {
        headers.insert(name, value);
    }
    if let Some(known) = refusal.known {
        headers.extend(*known);
    }
    if let Some(wait) = failure.retry_after {
        // Whole seconds, rounded up: a client that comes back too early is refused again.
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if failure.kind == FailureKind::Authentication {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    if rendered.status == StatusCode::PAYLOAD_TOO_LARGE || failure.kind == FailureKind::ClientTimeout {
        // The rest of the body is not read, so the connection cannot be used again.
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    reply
}
