//! One server of a provider: where it is, how it is doing, how busy it is.
//!
//! What was configured is immutable; what was observed is in [`EndpointState`], atomics that all workers share and
//! that the [`EndpointRegistry`] carries over from one configuration to the next.

mod origin;
mod registry;
mod state;

pub use origin::Origin;
pub use registry::EndpointRegistry;
pub use state::EndpointState;

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::HeaderValue;
use http::uri::{Authority, Scheme, Uri};

use crate::balance::Candidate;
use crate::breaker::{Admission, BreakerPolicy, BreakerState};
use crate::clock::micros;
use crate::config::{ConfigError, EndpointConfig, HealthConfig};
use crate::failure::Failure;

/// One server of a provider.
#[derive(Debug)]
pub struct Endpoint {
    config: EndpointConfig,
    health: HealthConfig,
    origin: Origin,
    /// Path of the base URL without its last `/`; often empty.
    prefix: String,
    /// Host and port as they appear in requests; a default port is left out.
    authority: Authority,
    host_header: HeaderValue,
    breaker_policy: BreakerPolicy,
    state: Arc<EndpointState>,
}

/// How an attempt at an endpoint went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was served. Best reported at the first byte: a breaker need not wait for the end of a long stream.
    Success {
        /// From sending to the first byte of the answer.
        first_byte: Duration,
    },
    /// It failed. After a `Success` this says that the answer came to a bad end.
    Failure(Failure),
    /// It was refused for now (429). The endpoint rests until then, and its breaker takes it as a sign of life.
    RateLimited {
        /// What Retry-After said. Without it the endpoint does not rest.
        retry_after: Option<Duration>,
    },
}

/// A path that cannot be put on an endpoint's base URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the path of a request must begin with `/`, hold only characters of a URL and no `.` or `..` segments"
)]
pub struct InvalidPath;

impl Endpoint {
    /// An endpoint with a history of its own. Where configurations come and go, take it from an
    /// [`EndpointRegistry`].
    ///
    /// # Errors
    ///
    /// When the URL is not an `http` or `https` base URL, or the health settings make no sense.
    pub fn new(config: &EndpointConfig, health: &HealthConfig) -> Result<Arc<Self>, ConfigError> {
        Self::with_state(config, health, Arc::new(EndpointState::default())).map(Arc::new)
    }

    fn with_state(
        config: &EndpointConfig,
        health: &HealthConfig,
        state: Arc<EndpointState>,
    ) -> Result<Self, ConfigError> {
        let base = origin::parse(config)?;
        Ok(Self {
            config: config.clone(),
            health: health.clone(),
            host_header: base.host_header,
            authority: base.authority,
            origin: base.origin,
            prefix: base.prefix,
            breaker_policy: BreakerPolicy::compile(health)?,
            state,
        })
    }

    /// The request target for `path` (with its query, if any) under the base URL: origin form, ready to be sent.
    ///
    /// # Errors
    ///
    /// When the path does not begin with `/` or would leave the base URL. Whoever puts names of models or files into
    /// a path encodes them first.
    pub fn uri(&self, path: &str) -> Result<Uri, InvalidPath> {
        if !path.starts_with('/') || path.starts_with("//") || has_dot_segment(path) {
            return Err(InvalidPath);
        }
        let joined = [self.prefix.as_str(), path].concat();
        Uri::from_maybe_shared(bytes::Bytes::from(joined)).map_err(|_| InvalidPath)
    }

    /// The base URL as configured.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.config.url
    }

    /// Where connections go.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Host and port as they appear in requests.
    #[must_use]
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// `http` or `https`.
    #[must_use]
    pub fn scheme(&self) -> Scheme {
        if self.origin.is_tls() {
            Scheme::HTTPS
        } else {
            Scheme::HTTP
        }
    }

    pub(crate) fn host_header(&self) -> &HeaderValue {
        &self.host_header
    }

    /// What was observed of the endpoint.
    #[must_use]
    pub fn state(&self) -> &Arc<EndpointState> {
        &self.state
    }

    /// What the breaker is doing.
    #[must_use]
    pub fn breaker_state(&self, now: Instant) -> BreakerState {
        self.state.breaker.state(self.state.epoch.micros(now))
    }

    /// Takes a place at the endpoint for one attempt. `None` when the breaker lets nothing through, which can happen
    /// after [`pick`](crate::pick) chose the endpoint: another worker may have taken the one trial of a half-open
    /// breaker. Then mark it as tried and pick again.
    #[must_use]
    pub fn begin(self: &Arc<Self>, now: Instant) -> Option<InFlight> {
        let admission = self
            .state
            .breaker
            .admit(&self.breaker_policy, self.state.epoch.micros(now))?;
        self.state.enter();
        Some(InFlight {
            endpoint: Arc::clone(self),
            admission,
            verdict: Verdict::None,
        })
    }

    fn record(&self, admission: Admission, counted: bool, outcome: Outcome, now: Instant) {
        let state = &self.state;
        let at = state.epoch.micros(now);
        match outcome {
            Outcome::Success { first_byte } => {
                state.latency.record(micros(first_byte), at);
                state.breaker.on_success(&self.breaker_policy, admission, at);
            }
            Outcome::Failure(failure) if failure.is_endpoint_fault() => {
                state
                    .breaker
                    .on_failure(&self.breaker_policy, (admission, counted), at, &mut rand::rng());
            }
            Outcome::Failure(_) => state.breaker.on_success(&self.breaker_policy, admission, at),
            Outcome::RateLimited { retry_after } => {
                if let Some(wait) = retry_after {
                    state.rest_until(at.saturating_add(micros(wait.min(self.health.max_cool_down.get()))));
                }
                state.breaker.on_success(&self.breaker_policy, admission, at);
            }
        }
    }
}

impl Candidate for Endpoint {
    fn weight(&self) -> u32 {
        self.config.weight
    }

    fn priority(&self) -> u32 {
        self.config.priority
    }

    fn available(&self, now: Instant) -> bool {
        let now = self.state.epoch.micros(now);
        self.state.is_rested(now) && self.state.breaker.is_ready(now)
    }

    fn in_flight(&self) -> u32 {
        self.state.in_flight()
    }

    fn latency_us(&self, now: Instant) -> Option<u64> {
        self.state.latency.read(self.state.epoch.micros(now))
    }
}

/// A place at an endpoint, held for as long as the exchange lasts, the body included. Dropping it gives it back; a
/// trial request that is dropped without an outcome makes room for another.
#[derive(Debug)]
#[must_use = "the place is given back when this is dropped"]
pub struct InFlight {
    endpoint: Arc<Endpoint>,
    admission: Admission,
    verdict: Verdict,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    None,
    Served,
    Failed,
}

impl InFlight {
    /// The endpoint.
    #[must_use]
    pub fn endpoint(&self) -> &Arc<Endpoint> {
        &self.endpoint
    }

    /// Reports how the attempt went: once, or first a success and then that it came to a bad end. Anything more is
    /// ignored.
    pub fn record(&mut self, outcome: Outcome, now: Instant) {
        let failed = matches!(outcome, Outcome::Failure(failure) if failure.is_endpoint_fault());
        let counted = self.verdict == Verdict::Served;
        if self.verdict == Verdict::Failed || (counted && !failed) {
            return;
        }
        // A trial has decided with its success; what comes after counts like any other request.
        let admission = if counted {
            Admission::Regular
        } else {
            self.admission
        };
        self.endpoint.record(admission, counted, outcome, now);
        self.verdict = if failed { Verdict::Failed } else { Verdict::Served };
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let state = &self.endpoint.state;
        state.leave();
        if self.verdict == Verdict::None && matches!(self.admission, Admission::Trial(_)) {
            state
                .breaker
                .release(self.admission, state.epoch.micros(Instant::now()));
        }
    }
}

/// Whether a server that normalizes the path would climb: `.` or `..` as a segment, also when percent-encoded.
fn has_dot_segment(path: &str) -> bool {
    let path = path.split('?').next().unwrap_or(path);
    if !path.contains("/.") && !path.contains('%') && !path.contains('\\') {
        return false;
    }
    let decoded = path
        .to_ascii_lowercase()
        .replace("%2e", ".")
        .replace("%2f", "/")
        .replace("%5c", "\\");
    decoded
        .split(['/', '\\'])
        .any(|segment| segment == "." || segment == "..")
}

#[cfg(test)]
mod tests;
