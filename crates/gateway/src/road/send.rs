//! Stages *pick* and *send*: ask the models of the plan, one after another, until one answers.
//!
//! A model's targets are tried by its balancing policy; a target's endpoints by the provider's. A failure moves on to
//! what has not been tried; when all has been tried and attempts are left, the round begins again after a pause.
//! Nothing has reached the client yet: a stream is only handed on once its first content has come.

mod attempt;
mod request;

use std::sync::Arc;
use std::time::{Duration, Instant};

use pointsman_upstream::{Endpoint, Failure as Fault, RetryPolicy, TriedSet, balance};
use pointsman_wire::failure::{self, FailureClass};
use pointsman_wire::form::{ChatResponse, Failure, FailureKind};
use pointsman_wire::format::Format;

use bytes::Bytes;

use super::arrive::Asked;
use super::decide::{Plan, Step};
use super::relay::Relay;
use super::{Arrival, Ticket};
use crate::snapshot::{Model, Target};
use crate::worker::Worker;

pub use attempt::{Exchange, exchange};

/// Models asked for one request at most, fallbacks of fallbacks included.
const MAX_STEPS: usize = 8;

/// An answer, or the beginning of one.
pub struct Sent {
    /// The answer.
    pub answer: Answer,
    /// Which target gave it.
    pub provider: String,
    /// The provider's name of the model.
    pub model: String,
}

/// What a provider gave.
pub enum Answer {
    /// All of it.
    Whole {
        /// What it says.
        response: Box<ChatResponse>,
        /// As it came, where it came in the client's format.
        native: Option<Bytes>,
    },
    /// Its beginning, up to the first content.
    Stream(Box<Relay>),
}

/// Why an attempt failed: for the client, and for what comes next.
pub struct Failed {
    /// For the client.
    pub failure: Failure,
    /// For retry and health; none when the request itself is at fault and nobody else need be asked.
    pub fault: Option<Fault>,
    /// The provider asked to wait.
    pub retry_after: Option<Duration>,
}

/// Sends the request along the plan.
///
/// # Errors
/// The provider's refusal of the request itself; 502 or 504 when every attempt failed; 503 when nothing is healthy.
pub async fn send(
    worker: &Arc<Worker>,
    arrival: &Arrival,
    asked: &Asked,
    plan: &Plan,
    ticket: &mut Ticket,
) -> Result<Sent, Failure> {
    let mut steps: Vec<Step> = plan.steps.iter().map(Step::again).collect();
    let mut causes = Vec::new();
    let mut last = None;
    let mut at = 0;
    while at < steps.len().min(MAX_STEPS) {
        let step = steps[at].again();
        at += 1;
        let round = Round { worker, arrival, asked, step: &step };
        match round.run(ticket, &mut causes).await {
            Ok(sent) => return Ok(sent),
            Err(failed) => {
                let class = failure::classify(&failed.failure);
                let takes_over = match class {
                    Some(FailureClass::ContextWindow) => &step.model.fallback.context_window,
                    Some(FailureClass::ContentPolicy) => &step.model.fallback.content_policy,
                    None => &Vec::new(),
                };
                let known = |name: &str, steps: &[Step]| steps.iter().any(|step| step.model.name == name);
                let mut added = 0;
                for name in takes_over {
                    if !known(name, &steps)
                        && let Ok(model) = arrival.snapshot.resolve(name)
                    {
                        steps.insert(at + added, Step { model, upstream_name: None, reasoning: None });
                        added += 1;
                    }
                }
                let refused = failed.fault.is_none();
                last = Some(failed);
                if refused && added == 0 {
                    break;
                }
            }
        }
    }
    Err(exhausted(last, &causes))
}

/// What the client is told when nobody answered.
fn exhausted(last: Option<Failed>, causes: &[String]) -> Failure {
    let Some(last) = last else {
        return Failure::new(FailureKind::Unavailable, "no model could be asked");
    };
    if last.fault.is_none() || causes.len() < 2 {
        return last.failure;
    }
    let mut failure = last.failure;
    failure.message = format!("{} ({} attempts: {})", failure.message, causes.len(), causes.join("; "));
    failure
}

/// The attempts at one model.
struct Round<'a> {
    worker: &'a Arc<Worker>,
    arrival: &'a Arrival,
    asked: &'a Asked,
    step: &'a Step,
}

impl Round<'_> {
    async fn run(&self, ticket: &mut Ticket, causes: &mut Vec<String>) -> Result<Sent, Failed> {
        let model: &Model = &self.step.model;
        let mut tried = Tried::default();
        let mut attempts = 0;
        let mut last: Option<Failed> = None;
        loop {
            let Some((target, endpoint)) = self.pick(model, &tried) else {
                let Some(failed) = last else { return Err(nothing_healthy(model)) };
                if !self.begins_again(model, &failed, attempts).await {
                    return Err(failed);
                }
                tried = Tried::default();
                // A rest asked for by Retry-After may still hold: then there is nobody to ask again.
                if self.pick(model, &tried).is_none() {
                    return Err(failed);
                }
                last = Some(failed);
                continue;
            };
            attempts += 1;
            target.provider.retry_budget.deposit();
            let exchange = Exchange { worker: self.worker, arrival: self.arrival, asked: self.asked, step: self.step };
            match exchange.run(target, &endpoint, ticket).await {
                Ok(answer) => {
                    return Ok(Sent {
                        answer,
                        provider: target.provider.name.clone(),
                        model: self.step.upstream_name.clone().unwrap_or_else(|| target.model.clone()),
                    });
                }
                Err(failed) => {
                    ticket.attempt_failed();
                    causes.push(format!("{}: {}", target.provider.name, failed.failure.message));
                    let policy = policy(model, target);
                    let moves_on = failed.fault.as_ref().is_some_and(|fault| policy.may_retry(fault));
                    if !moves_on || attempts >= policy.attempts().max(1) {
                        return Err(failed);
                    }
                    tried.add(model, target, &endpoint);
                    last = Some(failed);
                }
            }
        }
    }

    /// The next target and endpoint that have not been tried.
    fn pick<'m>(&self, model: &'m Model, tried: &Tried) -> Option<(&'m Target, Arc<Endpoint>)> {
        let now = Instant::now();
        let targets: Vec<&Target> = model.targets.iter().collect();
        let mut without_endpoint = tried.targets.clone();
        loop {
            let index = balance::pick(&model.balance, &targets, &without_endpoint, now, &mut rand::rng())?;
            let target = &model.targets[index];
            let endpoints = &target.provider.endpoints;
            let mut passed = TriedSet::default();
            for (at, endpoint) in endpoints.iter().enumerate() {
                if tried.endpoints.iter().any(|tried| Arc::ptr_eq(tried, endpoint)) {
                    passed.insert(at);
                }
            }
            match balance::pick(&target.provider.balance, endpoints, &passed, now, &mut rand::rng()) {
                Some(at) => return Some((target, Arc::clone(&endpoints[at]))),
                None => without_endpoint.insert(index),
            }
        }
    }

    /// Waits before everything is tried again; false when it is not to be.
    async fn begins_again(&self, model: &Model, failed: &Failed, attempts: u32) -> bool {
        let Some(target) = model.targets.first() else { return false };
        let policy = policy(model, target);
        let worth_it = failed.fault.as_ref().is_some_and(|fault| policy.may_retry(fault));
        if !worth_it || attempts >= policy.attempts() || !target.provider.retry_budget.withdraw() {
            return false;
        }
        match policy.backoff(attempts, failed.retry_after, &mut rand::rng()) {
            Some(pause) => {
                tokio::time::sleep(pause).await;
                true
            }
            None => false,
        }
    }
}

/// What one round has tried.
#[derive(Default)]
struct Tried {
    targets: TriedSet,
    endpoints: Vec<Arc<Endpoint>>,
}

impl Tried {
    fn add(&mut self, model: &Model, target: &Target, endpoint: &Arc<Endpoint>) {
        self.endpoints.push(Arc::clone(endpoint));
        // A target is tried once all its endpoints are; targets may share a provider but not a model.
        if target.provider.endpoints.len() == 1
            && let Some(index) = model.targets.iter().position(|other| std::ptr::eq(other, target))
        {
            self.targets.insert(index);
            self.endpoints.pop();
        }
    }
}

fn policy<'a>(model: &'a Model, target: &'a Target) -> &'a RetryPolicy {
    model.retry.as_deref().unwrap_or(&target.provider.retry)
}

fn nothing_healthy(model: &Model) -> Failed {
    let failure = Failure::new(
        FailureKind::Unavailable,
        format!("no healthy target for {:?}: all of its endpoints are resting after failures", model.name),
    )
    .coded("no_healthy_target");
    Failed { failure, fault: Some(Fault::Connect), retry_after: Some(Duration::from_secs(1)) }
}

/// A format and a path for `target` that serve a client of `format`.
pub fn speaks(target: &Target, format: Format) -> Result<(Format, &str), Failed> {
    target.provider.speaks.for_client(format).ok_or_else(|| Failed {
        failure: Failure::new(
            FailureKind::InvalidRequest,
            format!("the provider {:?} cannot hold a conversation", target.provider.name),
        ),
        fault: None,
        retry_after: None,
    })
}
