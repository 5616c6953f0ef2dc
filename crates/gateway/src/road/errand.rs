//! The road of everything beside chat: reserved, shown to the guardrails, sent, settled. What differs from errand to
//! errand is what is sent and how its answer is read.

mod gather;
mod passed;

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use parking_lot::Mutex;
use pointsman_catalog::{Price, ServiceTier};
use pointsman_governance::Principal;
use pointsman_guard::{Stage, StageGuards};
use pointsman_store::Outcome;
use pointsman_upstream::{Failure as Fault, InFlight};
use pointsman_wire::form::{Failure, FailureKind, Usage};
use pointsman_wire::format::{DecodeError, EncodeError, Format};
use pointsman_wire::metered::Medium;

use super::relay::describe;
use super::send::{self, Attempt, Failed, Round};
use super::settle::Ending;
use super::{Arrival, Refusal, Ticket, admit, guard};
use crate::reply::{self, Reply, ReplyBody};
use crate::snapshot::Target;
use crate::worker::Worker;
use gather::{Gathered, Kept};

pub use passed::Passed;

/// Something that is asked of a provider beside chat.
pub trait Errand: Sync {
    /// The model's name as the client wrote it.
    fn model(&self) -> &str;

    /// What it may use at most, as far as that can be told before.
    fn estimate(&self) -> Usage;

    /// Its price at a target.
    fn price(&self, _arrival: &Arrival, target: &Target) -> Option<Price> {
        target.price.clone()
    }

    /// Shows its texts to the guardrails, and takes what they make of them.
    ///
    /// # Errors
    /// When one of them blocks.
    fn inspect(&mut self, inspector: &mut Inspector<'_>) -> Result<(), Failure>;

    /// What is sent to a target: one request or several. None of them when it can be answered here.
    ///
    /// # Errors
    /// When the target cannot do what is asked.
    fn calls(&self, target: &Target) -> Result<Vec<Outgoing>, Failure>;

    /// The answer for the client.
    ///
    /// # Errors
    /// When the provider's answers make no sense.
    fn answer(&self, target: &Target, answers: Vec<Whole>) -> Result<Answer, Failure>;

    /// What its answer is made of if it comes as a stream of events.
    fn streamed(&self) -> Option<Medium> {
        None
    }
}

/// A request to a provider.
pub struct Outgoing {
    /// The path under its base URL.
    pub path: String,
    /// The body.
    pub body: Bytes,
    /// What the body is, where it is not JSON.
    pub content_type: Option<HeaderValue>,
    /// The format its errors come in.
    pub format: Format,
}

/// A provider's answer.
#[derive(Clone)]
pub struct Whole {
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, freed of its coding.
    pub body: Bytes,
}

/// An answer for the client.
pub struct Answer {
    /// The body.
    pub body: Bytes,
    /// What it is, where it is not JSON.
    pub content_type: Option<HeaderValue>,
    /// What was used.
    pub usage: Usage,
    /// Whether the provider said so, or we counted.
    pub estimated: bool,
}

/// Shows texts to the input guardrails.
pub struct Inspector<'a> {
    guards: &'a StageGuards,
    flags: &'a mut Vec<String>,
}

impl Inspector<'_> {
    /// Whether there is nobody to show anything to.
    pub fn is_idle(&self) -> bool {
        self.guards.is_empty()
    }

    /// Shows a text; what it becomes, where it is rewritten.
    ///
    /// # Errors
    /// When a guardrail blocks.
    pub fn text(&mut self, text: &str) -> Result<Option<String>, Failure> {
        if self.is_idle() || text.is_empty() {
            return Ok(None);
        }
        let verdict = self.guards.inspect(text);
        self.flags
            .extend(verdict.flags.into_iter().map(|flag| flag.guard));
        match verdict.blocked {
            Some(block) => Err(guard::refusal(&block)),
            None => Ok(verdict.rewritten),
        }
    }

    /// Shows a text that cannot be changed.
    ///
    /// # Errors
    /// When a guardrail blocks it or would change it.
    pub fn fixed(&mut self, text: &str, field: &str) -> Result<(), Failure> {
        match self.text(text)? {
            None => Ok(()),
            Some(_) => Err(Failure::new(
                FailureKind::PermissionDenied,
                format!(
                    "a guardrail wants to change {field}, which cannot be changed; send it as a text alone"
                ),
            )
            .at(field)
            .coded("guardrail_blocked")),
        }
    }

    /// Refuses what no guardrail can read.
    ///
    /// # Errors
    /// When there are guardrails.
    pub fn unreadable(&self, field: &str) -> Result<(), Failure> {
        if self.is_idle() {
            return Ok(());
        }
        Err(Failure::new(
            FailureKind::InvalidRequest,
            format!("{field} holds token ids, which the guardrails here cannot read; send texts"),
        )
        .at(field))
    }
}

/// Admitted, guarded, sent, settled.
pub async fn run<E: Errand>(
    worker: &Arc<Worker>,
    arrival: &Arrival,
    caller: Arc<Principal>,
    errand: &mut E,
) -> Result<Reply, Refusal> {
    let mut ticket = {
        let wanted = admit::Wanted {
            model: errand.model(),
            usage: errand.estimate(),
            tier: ServiceTier::Standard,
            price: &|target| errand.price(arrival, target),
        };
        admit::reserve(worker, arrival, caller, &wanted)
            .map_err(|failure| Refusal::from(failure).asking(errand.model()))?
    };
    ticket.facts.streamed = errand.streamed().is_some();
    match travel(worker, arrival, errand, &mut ticket).await {
        Ok(Sent::Whole(answer)) => {
            let mut reply = reply::json_bytes(StatusCode::OK, answer.body);
            if let Some(kind) = answer.content_type {
                reply.headers_mut().insert(header::CONTENT_TYPE, kind);
            }
            describe(reply.headers_mut(), &ticket, Some(ticket.cost(&answer.usage)));
            let ending = Ending {
                outcome: Outcome::Complete,
                status: 200,
                usage: answer.usage,
                estimated: answer.estimated,
                error: None,
            };
            ticket.settle(&ending)?;
            Ok(reply)
        }
        Ok(Sent::Stream(mut passed)) => {
            let mut reply = Reply::new(ReplyBody::Whole(None));
            ticket.nothing_at_stake();
            describe(reply.headers_mut(), &ticket, None);
            let kind = HeaderValue::from_static("text/event-stream; charset=utf-8");
            reply.headers_mut().insert(header::CONTENT_TYPE, kind);
            passed.take_over(ticket);
            *reply.body_mut() = ReplyBody::Passed(passed);
            Ok(reply)
        }
        Err(failure) => Err(ticket.refuse(failure)),
    }
}

/// What came back.
enum Sent {
    Whole(Box<Answer>),
    Stream(Box<Passed>),
}

async fn travel<E: Errand>(
    worker: &Arc<Worker>,
    arrival: &Arrival,
    errand: &mut E,
    ticket: &mut Ticket,
) -> Result<Sent, Failure> {
    errand.inspect(&mut Inspector {
        guards: arrival.snapshot.guards.for_stage(Stage::Input),
        flags: &mut ticket.facts.flags,
    })?;
    let model = arrival.snapshot.resolve(errand.model())?;
    let attempt = Try {
        worker,
        arrival,
        errand,
        kept: Mutex::default(),
    };
    let round = Round {
        model: &model,
        attempt: &attempt,
    };
    let mut causes = Vec::new();
    round
        .run(ticket, &mut causes)
        .await
        .map_err(|failed| send::exhausted(Some(failed), &causes))
}

/// One attempt at an errand.
struct Try<'a, E> {
    worker: &'a Arc<Worker>,
    arrival: &'a Arrival,
    errand: &'a E,
    /// Answers of an attempt that broke in the middle.
    kept: Mutex<Kept>,
}

impl<E: Errand> Attempt for Try<'_, E> {
    type Answer = Sent;

    async fn run(
        &self,
        target: &Target,
        mut in_flight: InFlight,
        ticket: &mut Ticket,
    ) -> Result<Sent, Failed> {
        let calls = self.errand.calls(target).map_err(elsewhere)?;
        let asked = !calls.is_empty();
        ticket.asking(target, target.model.clone(), self.errand.estimate().input);
        if let Some(facts) = &mut ticket.facts.asked {
            facts.price = self.errand.price(self.arrival, target);
        }
        let begun = Instant::now();
        let gathered = self.gather(target, &in_flight, calls).await;
        ticket.waited(begun.elapsed());
        let answers = match gathered {
            Ok(Gathered::Whole(answers)) => answers,
            Ok(Gathered::Stream(response, medium)) => {
                let mut passed = Passed::new(self.arrival, *response, medium, self.errand.estimate())?;
                let begun = Instant::now();
                let first = passed.until_first(target.patience().first_token).await;
                ticket.waited(begun.elapsed());
                send::tell(
                    &mut in_flight,
                    first.as_ref().err().and_then(|failed| failed.fault.as_ref()),
                    ticket,
                );
                first?;
                ticket.facts.first_content = Some(Instant::now());
                passed.hold(in_flight);
                return Ok(Sent::Stream(Box::new(passed)));
            }
            Err(broken) => return Err(broken.told(&mut in_flight, ticket).await),
        };
        let answer = self.errand.answer(target, answers).map_err(told);
        if asked {
            let fault = answer.as_ref().err().and_then(|failed| failed.fault.as_ref());
            send::tell(&mut in_flight, fault, ticket);
        }
        answer.map(|answer| Sent::Whole(Box::new(answer)))
    }
}

/// What a target cannot do another one may: the failure speaks against this target alone.
fn elsewhere(failure: Failure) -> Failed {
    Failed::broken(failure, Fault::Status(StatusCode::NOT_FOUND))
}

/// An answer that makes no sense speaks against the provider; a question that makes none, against nobody.
fn told(failure: Failure) -> Failed {
    if failure.kind == FailureKind::Provider {
        Failed::broken(failure, Fault::Protocol)
    } else {
        Failed::refused(failure)
    }
}

/// A target without the endpoint that is asked for.
pub fn lacking(target: &Target, what: &str) -> Failure {
    let message = format!(
        "the provider {:?} has no {what} for {:?}",
        target.provider.name, target.model
    );
    Failure::new(FailureKind::InvalidRequest, message).at("model")
}

/// A request that a target cannot be sent.
pub fn inexpressible(error: EncodeError) -> Failure {
    Failure::new(FailureKind::InvalidRequest, error.to_string()).at(error.field)
}

/// An answer that is none.
pub fn nonsense(error: DecodeError) -> Failure {
    let message = format!("the provider's answer makes no sense: {}", error.message);
    Failure::new(FailureKind::Provider, message)
}
