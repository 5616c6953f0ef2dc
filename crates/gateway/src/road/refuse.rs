//! The one place where a failure becomes a reply, in the client's own format, and is told to the operator.

use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version, header};
use pointsman_governance::Principal;
use pointsman_telemetry::RequestRecord;
use pointsman_wire::failure;
use pointsman_wire::form::{Failure, FailureKind};
use pointsman_wire::format::Format;

use super::Ticket;
use super::relay::{describe, limits};
use crate::reply::{self, Reply};
use crate::worker::Worker;

/// Most characters of a model's name, as a client wrote it, that are told on.
const MAX_NAME: usize = 200;

/// Why there is no answer, and what is known of the road until there.
pub struct Refusal {
    /// For the client.
    pub failure: Failure,
    road: Box<Road>,
}

/// How far it came.
#[derive(Default)]
struct Road {
    /// What the headers shall say of it.
    headers: HeaderMap,
    /// Whether ledger, log and metrics know of it: what was never admitted has no ticket that would have told them.
    settled: bool,
    caller: String,
    team: Option<String>,
    model: String,
}

/// What is known of every request, understood or not.
pub struct Origin {
    /// Its id.
    pub id: String,
    /// When its head was complete.
    pub started: Instant,
    /// The HTTP it came with.
    pub version: Version,
    /// The format its failures are told in.
    pub dialect: Format,
    /// Its surface, as the table of surfaces has it.
    pub surface: &'static str,
}

impl From<Failure> for Refusal {
    /// A failure before admission.
    fn from(failure: Failure) -> Self {
        Self {
            failure,
            road: Box::default(),
        }
    }
}

impl Refusal {
    /// A failure of an admitted request, which is or will be settled: who was asked, how often and by which decision
    /// is told with it.
    pub fn known(failure: Failure, ticket: &Ticket) -> Self {
        let mut refusal = Self::from(failure);
        describe(&mut refusal.road.headers, ticket, None);
        refusal.road.settled = true;
        refusal
    }

    /// Notes who asked, and how much they have left.
    pub fn of(mut self, caller: &Principal) -> Self {
        if !self.road.settled {
            self.road.caller.clone_from(&caller.name);
            self.road.team = caller.team.as_ref().map(|team| team.as_str().to_owned());
            limits(&mut self.road.headers, caller);
        }
        self
    }

    /// Says something in a header.
    pub fn saying(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.road.headers.insert(name, value);
        self
    }

    /// Notes which model was asked for.
    pub fn asking(mut self, model: &str) -> Self {
        self.road.model = model.chars().take(MAX_NAME).collect();
        self
    }

    /// Whether it was admitted: then it is in the ledger.
    pub fn is_settled(&self) -> bool {
        self.road.settled
    }

    /// Tells metrics, log and traces of it, unless they know.
    fn tell(&self, worker: &Worker, origin: &Origin, status: u16) {
        if self.road.settled {
            return;
        }
        worker.shared.telemetry.record(&RequestRecord {
            id: &origin.id,
            surface: origin.surface,
            key: &self.road.caller,
            team: self.road.team.as_deref(),
            model_requested: &self.road.model,
            provider: None,
            provider_kind: None,
            model: None,
            decision: None,
            cache: "bypass",
            outcome: "refused",
            status,
            error: Some(self.failure.kind.name()),
            code: self.failure.code.as_deref(),
            causes: &[],
            streamed: false,
            attempts: 0,
            input_tokens: 0,
            output_tokens: 0,
            cache_read_tokens: 0,
            reasoning_tokens: 0,
            usage_estimated: false,
            cost_nanodollars: 0,
            saved_nanodollars: 0,
            started: origin.started,
            waited: Duration::ZERO,
            first_content: None,
            flags: &[],
            losses: &[],
        });
    }
}

/// The reply.
pub fn reply(worker: &Worker, origin: &Origin, refusal: Refusal) -> Reply {
    let failure = &refusal.failure;
    let rendered = failure::render(origin.dialect, failure, &origin.id);
    refusal.tell(worker, origin, rendered.status.as_u16());
    let mut reply = reply::json_bytes(rendered.status, rendered.body);
    let headers = reply.headers_mut();
    if let Some((name, value)) = rendered.header {
        headers.insert(name, value);
    }
    if let Some(wait) = failure.retry_after {
        // Whole seconds, rounded up: a client that comes back too early is refused again.
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if failure.kind == FailureKind::Authentication {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    let unread =
        rendered.status == StatusCode::PAYLOAD_TOO_LARGE || failure.kind == FailureKind::ClientTimeout;
    // The rest of the body is not wanted, so the connection is not used again. HTTP/2 ends the stream alone.
    if unread && origin.version < Version::HTTP_2 {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    headers.extend(refusal.road.headers);
    reply
}
