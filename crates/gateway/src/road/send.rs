//! Stages *pick* and *send*: ask the models of the plan, one after another, until one answers.
//!
//! Nothing has reached the client yet: a stream is only handed on once its first content has come, so any failure
//! before that can be mended by somebody else.

mod attempt;
mod authorized;
mod betas;
mod gate;
mod handed;
mod marks;
mod media;
mod request;
mod round;
mod structured;

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use pointsman_guard::Stage;
use pointsman_routing::Fallback;
use pointsman_upstream::{Endpoint, Failure as Fault};
use pointsman_wire::failure::{self, FailureClass};
use pointsman_wire::form::{ChatResponse, Failure, FailureKind};
use pointsman_wire::format::Skim;

use super::arrive::Asked;
use super::decide::{Plan, Step};
use super::relay::Relay;
use super::{Arrival, Ticket, a2a};
use crate::fleet::{self, Lacking};
use crate::pace::Running;
use crate::snapshot::Model;
use crate::worker::Worker;

pub use attempt::{Call, collect, exchange, kind_of, refusal, refused_by_provider, tell, unsent};
pub use authorized::{Unsent, Way, send as dispatch, send_by};
pub use gate::enter;
pub use handed::body as body_for_batch;
pub use request::http;
use round::may_answer;
pub use round::{Attempt, Round};

/// Models asked for one request at most, fallbacks of fallbacks included.
const MAX_STEPS: usize = 8;

/// What a client is warned of where the adapter of a decision is nowhere.
const NOT_SERVED: &str = "adapter_not_served";

/// An answer, or the beginning of one.
pub enum Answer {
    /// All of it.
    Whole {
        /// What it says.
        response: Box<ChatResponse>,
        /// As it came, where it came in the client's format.
        native: Option<Bytes>,
    },
    /// All of it in the client's format, of which nobody need know more than what it used.
    Passing {
        /// As it came.
        bytes: Bytes,
        /// What it used.
        skim: Box<Skim>,
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

impl Failed {
    /// The request is at fault.
    pub fn refused(failure: Failure) -> Self {
        Self {
            failure,
            fault: None,
            retry_after: None,
        }
    }

    /// The provider, or the way to it, is at fault.
    pub fn broken(failure: Failure, fault: Fault) -> Self {
        Self {
            failure,
            fault: Some(fault),
            retry_after: None,
        }
    }
}

/// Sends the request along the plan.
///
/// # Errors
/// The provider's refusal of the request itself; 502 or 504 when every attempt failed; 503 when nothing is healthy.
pub async fn send(
    worker: &Arc<Worker>,
    arrival: &Arrival,
    asked: &Asked,
    plan: Plan,
    ticket: &mut Ticket,
) -> Result<Answer, Failure> {
    // Who must see an answer whole before anybody else does gets it whole; it is told as a stream afterwards.
    let waits = asked.guards.for_stage(Stage::Output).waits()
        || asked.check.as_ref().is_some_and(|check| check.waits())
        || asked.suspicion.is_some()
        || asked.is_rewritten();
    let whole = (asked.request.stream.enabled && waits).then(|| asked.instead(asked.request.clone()));
    let asked = whole.as_ref().unwrap_or(asked);
    follow(worker, arrival, (asked, is_read(asked)), plan, ticket).await
}

/// Sends a request whose answer is read here, as a whole.
///
/// # Errors
/// As [`send`].
pub async fn read(
    worker: &Arc<Worker>,
    arrival: &Arrival,
    asked: &Asked,
    plan: Plan,
    ticket: &mut Ticket,
) -> Result<Box<ChatResponse>, Failure> {
    match follow(worker, arrival, (asked, true), plan, ticket).await? {
        Answer::Whole { response, .. } => Ok(response),
        Answer::Passing { .. } | Answer::Stream(_) => Err(Failure::new(
            FailureKind::Internal,
            "an answer was to be read, and came as none that can be",
        )),
    }
}

/// Asks the models of the plan, one after another; `is_read` tells whether anybody looks at what a whole answer says.
async fn follow(
    worker: &Arc<Worker>,
    arrival: &Arrival,
    (asked, is_read): (&Asked, bool),
    plan: Plan,
    ticket: &mut Ticket,
) -> Result<Answer, Failure> {
    let bounds = Bounds::of(plan.policy.as_ref());
    let mut steps = plan.steps;
    // Of what was decided, whatever the caller's providers can give; if that is nothing, the first says so.
    if steps.iter().any(|step| may_answer(ticket.caller(), &step.model)) {
        steps.retain(|step| may_answer(ticket.caller(), &step.model));
    }
    let mut causes = Vec::new();
    let mut last = None;
    let mut at = 0;
    while at < steps.len().min(bounds.most) {
        let come = ask(
            (worker, arrival),
            (asked, is_read),
            (&mut steps[at], &bounds),
            (ticket, &mut causes),
        );
        match come.await {
            Ok(answer) => return Ok(answer),
            Err(failed) => {
                // A request that is itself at fault says nothing of the model, and neither does who was not asked.
                match failed.fault {
                    None | Some(Fault::Full) => ticket.facts.running = None,
                    Some(_) => ticket.gave_up(),
                }
                let added = take_over(arrival, &failed, &mut steps, at);
                let hopeless = (failed.fault.is_none() && added == 0) || !bounds.goes_on(&failed);
                last = Some(failed);
                if hopeless {
                    break;
                }
                at += 1;
            }
        }
    }
    Err(exhausted(last, &causes))
}

/// Asks one model of the plan, or an agent in its place.
async fn ask(
    (worker, arrival): (&Arc<Worker>, &Arrival),
    (asked, is_read): (&Asked, bool),
    (step, bounds): (&mut Step, &Bounds<'_>),
    (ticket, causes): (&mut Ticket, &mut Vec<String>),
) -> Result<Answer, Failed> {
    ticket.owe_fee();
    let mut barred = bar(worker, step, ticket).await;
    let model = &step.model.name;
    ticket.trying(model);
    ticket.facts.running = arrival.snapshot.paces.get(model).map(Running::begin);
    if let Some(agent) = &step.model.agent {
        let asking = a2a::ask_chosen((worker, arrival), asked, agent, (ticket, causes));
        return bounds.within(Box::pin(asking)).await;
    }
    let first = if step.model.meets_agents {
        barred.extend(untold(asked, &step.model));
        let caller = ticket.shared_caller();
        let knowing = a2a::knowing((worker, arrival), asked, &step.model, &caller);
        Box::pin(knowing).await
    } else {
        None
    };
    let attempt = attempt::Exchange {
        worker,
        arrival,
        asked,
        step,
        is_read,
        first,
    };
    let round = Round {
        model: &step.model,
        attempt: &attempt,
        barred: &barred,
    };
    bounds.within(pin!(round.run(ticket, causes))).await
}

/// Agents among targets of a model that cannot be told what is asked. Where there is nobody else, they say why.
fn untold(asked: &Asked, model: &Model) -> Vec<(usize, Arc<Endpoint>)> {
    let has_others = model.targets.iter().any(|target| target.agent.is_none());
    if !has_others || a2a::can_be_told(asked) {
        return Vec::new();
    }
    let targets = model.targets.iter().enumerate();
    let agents = targets.filter(|(_, target)| target.agent.is_some());
    agents
        .flat_map(|(at, target)| {
            target
                .provider
                .endpoints
                .iter()
                .map(move |one| (at, Arc::clone(one)))
        })
        .collect()
}

/// Servers that say that they do not serve the adapter of a step. Where none does, the model itself is asked, and the client
/// is warned.
async fn bar(worker: &Arc<Worker>, step: &mut Step, ticket: &mut Ticket) -> Vec<(usize, Arc<Endpoint>)> {
    let Some(adapter) = &step.upstream_name else {
        return Vec::new();
    };
    let lacking: BoxFuture<'_, Lacking> = Box::pin(fleet::lacking(worker, &step.model, adapter));
    match lacking.await {
        Lacking::Nobody => Vec::new(),
        Lacking::Some(without) => without,
        Lacking::All => {
            tracing::warn!(
                model = step.model.name,
                adapter,
                "no server serves the adapter: the model itself is asked"
            );
            step.upstream_name = None;
            if !ticket.facts.warnings.contains(&NOT_SERVED) {
                ticket.facts.warnings.push(NOT_SERVED);
            }
            Vec::new()
        }
    }
}

/// How far other models take over.
struct Bounds<'a> {
    most: usize,
    until: Option<Instant>,
    each: Option<Duration>,
    statuses: &'a [u16],
}

impl<'a> Bounds<'a> {
    fn of(policy: Option<&'a Fallback>) -> Self {
        Self {
            most: policy.map_or(MAX_STEPS, |policy| policy.most.min(MAX_STEPS)),
            until: policy.and_then(|policy| Some(Instant::now() + policy.total?)),
            each: policy.and_then(|policy| policy.each),
            statuses: policy.map_or(&[], |policy| &policy.statuses),
        }
    }

    /// What comes of a model in the time that it has. Where `asking` is large, it is lent: given away, it would be kept twice.
    async fn within(&self, asking: impl Future<Output = Result<Answer, Failed>>) -> Result<Answer, Failed> {
        let left = self
            .until
            .map(|until| until.saturating_duration_since(Instant::now()));
        let time = left.into_iter().chain(self.each).min();
        let Some(time) = time else { return asking.await };
        match tokio::time::timeout(time, asking).await {
            Ok(come) => come,
            Err(_) => {
                let message = "the model did not begin to answer in the time that routing.fallback gives";
                let failure = Failure::new(FailureKind::ProviderTimeout, message).coded("fallback_timeout");
                Err(Failed::broken(failure, Fault::SlowFirstToken))
            }
        }
    }

    /// Whether another model is asked after this failure.
    fn goes_on(&self, failed: &Failed) -> bool {
        let in_time = self.until.is_none_or(|until| Instant::now() < until);
        in_time
            && match &failed.fault {
                Some(Fault::Status(status)) if !self.statuses.is_empty() => {
                    self.statuses.contains(&status.as_u16())
                }
                _ => true,
            }
    }
}

/// Whether anybody looks at what a whole answer says.
fn is_read(asked: &Asked) -> bool {
    let guarded = !asked.guards.for_stage(Stage::Output).is_empty() || asked.suspicion.is_some();
    let kept = asked.place.is_some() || asked.answer_id.is_some() || asked.captures.is_some();
    guarded || kept || asked.check.is_some() || asked.is_rewritten() || asked.placeholders.is_restorable()
}

/// Puts the models that take over after this class of failure behind the one that failed; says how many.
fn take_over(arrival: &Arrival, failed: &Failed, steps: &mut Vec<Step>, at: usize) -> usize {
    let fallback = &steps[at].model.fallback;
    let names = match failure::classify(&failed.failure) {
        Some(FailureClass::ContextWindow) => fallback.context_window.clone(),
        Some(FailureClass::ContentPolicy) => fallback.content_policy.clone(),
        None => return 0,
    };
    let mut added = 0;
    for name in names {
        let known = steps.iter().any(|step| step.model.name == name);
        if let (false, Ok(model)) = (known, arrival.snapshot.resolve(&name)) {
            added += 1;
            steps.insert(at + added, Step::plain(model));
        }
    }
    added
}

/// What the client is told when nobody answered.
pub fn exhausted(last: Option<Failed>, causes: &[String]) -> Failure {
    let Some(last) = last else {
        return Failure::new(FailureKind::Unavailable, "no model could be asked");
    };
    if last.fault.is_none() || causes.len() < 2 {
        return last.failure;
    }
    let mut failure = last.failure;
    let causes_told = causes.join("; ");
    failure.message = match last.fault {
        Some(Fault::Full) => format!("nobody is left who could be asked: {causes_told}"),
        _ => format!("all {} attempts failed: {causes_told}", causes.len()),
    };
    failure
}
