//! A request that is answered on this machine: who asks, what it takes, and how a refusal is told.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use pointsman_governance::Principal;
use pointsman_routing::{Explanation, Router};
use pointsman_semantics::service::Refused;
use pointsman_understanding::{Ask, Failed, Understanding, Understood, Vectors};
use pointsman_wire::form::{ChatRequest, Failure, FailureKind, Usage};
use pointsman_wire::tokens;
use tokio::sync::Mutex;

use super::super::decide::{Judged, Known, Prices};
use super::super::{Arrival, Refusal, Ticket};
use super::Remote;
use crate::reply::Reply;
use crate::worker::Worker;

/// When to come back where too many wait.
const COME_BACK: Duration = Duration::from_secs(1);

/// A request under way.
pub struct Here<'a> {
    worker: &'a Arc<Worker>,
    arrival: &'a Arrival,
    caller: Arc<Principal>,
    /// Those who ask providers for it take it in turns.
    ticket: Mutex<Ticket>,
}

impl<'a> Here<'a> {
    /// By a model, of so many tokens.
    ///
    /// # Errors
    /// 429 past a limit.
    pub async fn admitted(
        worker: &'a Arc<Worker>,
        arrival: &'a Arrival,
        caller: Arc<Principal>,
        asked: (&str, u64),
    ) -> Result<Self, Refusal> {
        let ticket = super::admitted(worker, arrival, Arc::clone(&caller), asked).await?;
        Ok(Self::with(worker, arrival, caller, ticket))
    }

    /// With a ticket that was made before.
    pub fn with(
        worker: &'a Arc<Worker>,
        arrival: &'a Arrival,
        caller: Arc<Principal>,
        ticket: Ticket,
    ) -> Self {
        Self {
            worker,
            arrival,
            caller,
            ticket: Mutex::new(ticket),
        }
    }

    /// The request that asks.
    pub fn arrival(&self) -> &Arrival {
        self.arrival
    }

    /// Whoever understands prompts.
    pub fn understanding(&self) -> &Understanding {
        &self.arrival.snapshot.understanding
    }

    /// Reads a text.
    ///
    /// # Errors
    /// 503 where too many wait, 504 where it took too long, 413 for a text that is too long.
    pub fn read<'r>(
        &'r self,
        text: &'r Arc<str>,
        ask: &'r Ask,
    ) -> BoxFuture<'r, Result<Understood, Failure>> {
        Box::pin(self.read_counted(text, ask))
    }

    async fn read_counted(&self, text: &Arc<str>, ask: &Ask) -> Result<Understood, Failure> {
        let remote = Remote::new(self.worker, self.arrival, &self.ticket);
        let read = self.understanding().read(text, ask, &remote).await;
        let counters = self.worker.shared.telemetry.metrics().understandings();
        match read {
            Ok(read) => {
                counters.took(read.took);
                for answer in &read.heads {
                    counters.answered(&answer.head, answer.stage.name());
                }
                if ask.entities {
                    counters.answered("pii", "encoder");
                }
                Ok(read)
            }
            Err(failed) => Err(self.failure(failed)),
        }
    }

    /// Vectors of texts, by the model of this name.
    ///
    /// # Errors
    /// As [`Here::read`]; 404 where there is no such model.
    pub async fn embed(
        &self,
        model: &str,
        texts: Vec<Arc<str>>,
        dimensions: Option<usize>,
    ) -> Result<Vectors, Failure> {
        let remote = Remote::new(self.worker, self.arrival, &self.ticket);
        let begun = std::time::Instant::now();
        let vectors = self
            .understanding()
            .embed(model, texts, dimensions, &remote)
            .await;
        let vectors = vectors.map_err(|failed| self.failure(failed))?;
        let counters = self.worker.shared.telemetry.metrics().understandings();
        counters.took(begun.elapsed());
        counters.answered("embedding", "encoder");
        Ok(vectors)
    }

    /// Everything that a router weighs of a request.
    pub async fn explained(&self, router: &Router, request: &ChatRequest) -> Explanation {
        let remote = Remote::new(self.worker, self.arrival, &self.ticket);
        let judged = Judged {
            request,
            known: Known {
                caller: &self.caller,
                prompt_tokens: tokens::estimate_request(request),
            },
            prices: Prices(&self.arrival.snapshot),
            learned: self.worker.shared.experience.learner(),
            before: None,
        };
        judged.explained(router, &remote).await
    }

    /// Settles, and hands out what was answered.
    ///
    /// # Errors
    /// What was refused, settled.
    pub fn settle(self, answered: Result<Bytes, Failure>, usage: Usage) -> Result<Reply, Refusal> {
        let ticket = self.ticket.into_inner();
        match answered {
            Ok(body) => super::hand_out(body, usage, ticket),
            Err(failure) => Err(super::refused(ticket, failure)),
        }
    }

    /// Why there is no answer, counted.
    fn failure(&self, failed: Failed) -> Failure {
        let counters = self.worker.shared.telemetry.metrics().understandings();
        counters.refused(reason(&failed));
        failure(failed)
    }
}

/// What the metrics call it.
fn reason(failed: &Failed) -> &'static str {
    match failed {
        Failed::Refused(Refused::Full) => "full",
        Failed::Refused(Refused::Late) => "late",
        Failed::Refused(Refused::Long(_)) => "long",
        Failed::Refused(Refused::Stopped) => "stopped",
        _ => "failed",
    }
}

/// Why there is no answer, for the client.
pub fn failure(failed: Failed) -> Failure {
    let message = failed.to_string();
    match failed {
        Failed::Refused(Refused::Full) => {
            let mut failure =
                Failure::new(FailureKind::Overloaded, message).coded("understanding_overloaded");
            failure.retry_after = Some(COME_BACK);
            failure
        }
        Failed::Refused(Refused::Late) => {
            Failure::new(FailureKind::ProviderTimeout, message).coded("understanding_timeout")
        }
        Failed::Refused(Refused::Long(_)) => Failure::new(FailureKind::TooLarge, message),
        Failed::Refused(Refused::Stopped) => Failure::new(FailureKind::Unavailable, message),
        Failed::Refused(Refused::Failed) => {
            tracing::error!(error = message, "a text could not be read");
            Failure::new(FailureKind::Internal, message)
        }
        Failed::Load { .. } => {
            tracing::error!(error = message, "prompts are not understood");
            Failure::new(FailureKind::Unavailable, message).coded("model_not_loaded")
        }
        Failed::Ask { .. } => Failure::new(FailureKind::InvalidRequest, message),
        Failed::Unknown { what, .. } => {
            let failure = Failure::new(FailureKind::NotFound, message).at("model");
            match what {
                "head" => failure.coded("head_not_found"),
                _ => failure.coded("model_not_found"),
            }
        }
        Failed::Provider { transient: true, .. } => Failure::new(FailureKind::Unavailable, message),
        Failed::Provider { .. } => Failure::new(FailureKind::Provider, message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_must_wait_is_told_how_long() {
        let told = failure(Refused::Full.into());
        assert_eq!(
            (told.kind, told.retry_after),
            (FailureKind::Overloaded, Some(COME_BACK))
        );
        assert_eq!(failure(Refused::Late.into()).kind, FailureKind::ProviderTimeout);
        assert_eq!(failure(Refused::Long(9).into()).kind, FailureKind::TooLarge);
    }
}
