//! A request that is refused: why, and what is known of the road it came.

use std::time::{Duration, Instant};

use http::HeaderMap;
use pointsman_governance::Principal;
use pointsman_telemetry::RequestRecord;
use pointsman_wire::form::Failure;
use pointsman_wire::format::Format;

use super::relay::limits;
use crate::worker::Worker;

/// Most characters of a model's name, as a client wrote it, that are told on.
const MAX_NAME: usize = 200;

/// A failure on its way to the client. What was never admitted has no ticket that would tell of it: it is told here.
pub struct Refusal {
    /// What went wrong.
    pub failure: Failure,
    road: Box<Road>,
}

/// What is known of every request, understood or not.
pub struct Origin {
    /// Its id.
    pub id: String,
    /// When its head was complete.
    pub started: Instant,
    /// The format its errors are told in.
    pub dialect: Format,
    /// Its path, as the surface writes it.
    pub surface: &'static str,
}

/// How far it came.
#[derive(Default)]
struct Road {
    headers: HeaderMap,
    settled: bool,
    caller: String,
    team: Option<String>,
    model: String,
}

impl From<Failure> for Refusal {
    /// A refusal before admission.
    fn from(failure: Failure) -> Self {
        Self {
            failure,
            road: Box::default(),
        }
    }
}

impl Refusal {
    /// A refusal of what has been admitted and is settled: ledger, log and metrics know of it.
    pub fn settled(failure: Failure, headers: HeaderMap) -> Self {
        let mut refusal = Self::from(failure);
        refusal.road.headers = headers;
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

    /// Notes which model was asked for.
    pub fn asking(mut self, model: &str) -> Self {
        self.road.model = model.chars().take(MAX_NAME).collect();
        self
    }

    /// What the headers say of the road.
    pub fn headers(&self) -> &HeaderMap {
        &self.road.headers
    }

    /// Tells metrics, log and traces of it, unless they know.
    pub fn tell(&self, worker: &Worker, origin: &Origin, status: u16) {
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
            started: origin.started,
            waited: Duration::ZERO,
            first_content: None,
            flags: &[],
        });
    }
}
