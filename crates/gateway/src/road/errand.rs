//! The road of everything beside chat: reserved, shown to the guardrails, sent, settled. What differs from errand to
//! errand is what is sent and how its answer is read.

mod gather;
mod inspect;
mod passed;

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use parking_lot::Mutex;
use pointsman_catalog::{Price, ServiceTier};
use pointsman_config::Unsupported;
use pointsman_governance::Principal;
use pointsman_guard::Stage;
use pointsman_store::Outcome;
use pointsman_upstream::{Failure as Fault, InFlight};
use pointsman_wire::form::{Failure, FailureKind, Usage};
use pointsman_wire::format::{DecodeError, EncodeError, Format, Loss};
use pointsman_wire::metered::Medium;
use pointsman_wire::splice::Edits;

use super::recall::Pieces;
use super::relay::describe;
use super::send::{self, Attempt, Failed, Round};
use super::settle::Ending;
use super::{Arrival, Refusal, Ticket, admit, guard};
use crate::reply::{self, Reply, ReplyBody};
use crate::snapshot::Target;
use crate::worker::Worker;
use gather::{Gathered, Kept};

pub use inspect::{Inspector, each_text, inspect_json};
pub use passed::Passed;

/// Something that is asked of a provider beside chat.
pub trait Errand: Sync {
    /// The model's name as the client wrote it.
    fn model(&self) -> &str;

    /// What it may use at most, as far as that can be told before.
    fn estimate(&self) -> Usage;

    /// Its price at a target.
    fn price(&self, target: &Target) -> Option<Price> {
        target.price.clone()
    }

    /// Shows its texts to the guardrails, and takes what they make of them.
    ///
    /// # Errors
    /// When one of them blocks.
    fn inspect(&mut self, inspector: &mut Inspector) -> Result<(), Failure>;

    /// What is sent to a target: one request or several. None of them when it can be answered here.
    ///
    /// # Errors
    /// When the target cannot do what is asked.
    fn calls(&self, target: &Target) -> Result<Vec<Outgoing>, Failure>;

    /// What a target cannot be told.
    fn losses(&self, _target: &Target) -> Vec<Loss> {
        Vec::new()
    }

    /// The answer for the client.
    ///
    /// # Errors
    /// When the provider's answers make no sense.
    fn answer(&self, target: &Target, answers: Vec<Whole>) -> Result<Answer, Failure>;

    /// What answers used that the client does not get, because others to the same errand did not come.
    fn spent(&self, _target: &Target, _answers: &[Whole]) -> Usage {
        Usage::default()
    }

    /// The end user that it names.
    fn user(&self) -> Option<&str> {
        None
    }

    /// Looks for what is remembered of it, once guardrails have seen it; the answer, if that is all.
    ///
    /// # Errors
    /// When the client wants nothing else, and there is not.
    fn recall(&mut self, _pieces: &Pieces, _ticket: &mut Ticket) -> Result<Option<Answer>, Failure> {
        Ok(None)
    }

    /// Remembers what has come.
    fn keep(&self, _pieces: &Pieces, _ticket: &mut Ticket, _answer: &Answer) {}

    /// Whether any of it is remembered.
    fn is_remembered(&self) -> bool {
        false
    }

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

impl Outgoing {
    /// A request of JSON.
    pub fn json(path: String, body: Bytes, format: Format) -> Self {
        Self {
            path,
            body,
            content_type: None,
            format,
        }
    }
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

impl Answer {
    /// An answer of JSON.
    pub fn json(body: Bytes, usage: Usage, estimated: bool) -> Self {
        Self {
            body,
            content_type: None,
            usage,
            estimated,
        }
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
            customer: errand.user(),
            usage: errand.estimate(),
            tier: ServiceTier::Standard,
            price: &|target| errand.price(target),
        };
        admit::reserve(worker, arrival, caller, &wanted)
            .await
            .map_err(|failure| Refusal::from(failure).asking(errand.model()))?
    };
    ticket.facts.streamed = errand.streamed().is_some();
    match travel(worker, arrival, errand, &mut ticket).await {
        Ok(Sent::Whole(answer)) => hand_out(*answer, ticket),
        Ok(Sent::Recalled(answer)) => give(*answer, ticket, Outcome::Cached),
        Ok(Sent::Stream(passed)) => Ok(streamed(passed, ticket)),
        Err((failure, spent)) if spent == Usage::default() => Err(ticket.refuse(failure)),
        Err((failure, spent)) => {
            let mut ending = ticket.refusal(&failure);
            ending.usage = spent;
            Err(ticket.withhold(failure, &ending))
        }
    }
}

/// Settled, then handed on.
///
/// # Errors
/// When it cannot be recorded.
pub fn hand_out(answer: Answer, ticket: Ticket) -> Result<Reply, Refusal> {
    give(answer, ticket, Outcome::Complete)
}

fn give(answer: Answer, ticket: Ticket, outcome: Outcome) -> Result<Reply, Refusal> {
    let mut reply = reply::json_bytes(StatusCode::OK, answer.body);
    if let Some(kind) = answer.content_type {
        reply.headers_mut().insert(header::CONTENT_TYPE, kind);
    }
    describe(reply.headers_mut(), &ticket, Some(ticket.cost(&answer.usage)));
    ticket.settle(&Ending {
        outcome,
        status: 200,
        usage: answer.usage,
        estimated: answer.estimated,
        error: None,
    })?;
    Ok(reply)
}

/// Handed on, to be settled at its end.
fn streamed(mut passed: Box<Passed>, mut ticket: Ticket) -> Reply {
    let mut reply = Reply::new(ReplyBody::Whole(None));
    ticket.nothing_at_stake();
    describe(reply.headers_mut(), &ticket, None);
    let kind = HeaderValue::from_static("text/event-stream; charset=utf-8");
    reply.headers_mut().insert(header::CONTENT_TYPE, kind);
    passed.take_over(ticket);
    *reply.body_mut() = ReplyBody::Passed(passed);
    reply
}

/// Sent on behalf of a request that was admitted as something else, whole; where nothing comes of it, why, and what it used
/// nevertheless.
pub async fn within<E: Errand>(
    worker: &Arc<Worker>,
    arrival: &Arrival,
    errand: &mut E,
    ticket: &mut Ticket,
) -> Result<Answer, (Failure, Usage)> {
    match travel(worker, arrival, errand, ticket).await? {
        Sent::Whole(answer) | Sent::Recalled(answer) => Ok(*answer),
        Sent::Stream(_) => {
            let failure = Failure::new(FailureKind::Provider, "the provider answered with a stream");
            Err((failure, Usage::default()))
        }
    }
}

/// Shows its texts to the guardrails.
///
/// # Errors
/// When one of them blocks.
pub async fn inspect<E: Errand>(
    arrival: &Arrival,
    errand: &mut E,
    ticket: &mut Ticket,
) -> Result<(), Failure> {
    let guards = guard::of(arrival, ticket.caller(), errand.model())?;
    if guards.for_stage(Stage::Input).is_empty() {
        return errand.inspect(&mut Inspector::idle());
    }
    let mut gathering = Inspector::gathering();
    errand.inspect(&mut gathering)?;
    let worker = Arc::clone(ticket.worker());
    let reviewed = guard::review(
        (&worker, arrival),
        &guards,
        gathering.gathered(),
        &guards.placeholders(),
    )
    .await;
    ticket.judged(&reviewed);
    errand.inspect(&mut Inspector::applying(guard::fixed(reviewed)?))
}

/// What came back.
enum Sent {
    Whole(Box<Answer>),
    /// It is remembered.
    Recalled(Box<Answer>),
    Stream(Box<Passed>),
}

/// Shown and sent; where nothing comes of it, why, and what it used nevertheless.
async fn travel<E: Errand>(
    worker: &Arc<Worker>,
    arrival: &Arrival,
    errand: &mut E,
    ticket: &mut Ticket,
) -> Result<Sent, (Failure, Usage)> {
    let free = |failure| (failure, Usage::default());
    inspect(arrival, errand, ticket).await.map_err(free)?;
    let mut pieces = None;
    if errand.is_remembered() {
        let of = (errand.model(), errand.user());
        pieces = Pieces::of(worker, arrival, ticket, of).map_err(free)?;
    }
    if let Some(pieces) = &pieces
        && let Some(answer) = errand.recall(pieces, ticket).map_err(free)?
    {
        return Ok(Sent::Recalled(Box::new(answer)));
    }
    let model = arrival.snapshot.resolve(errand.model());
    let model = model.map_err(|unknown| free(unknown.into()))?;
    let attempt = Try {
        worker,
        arrival,
        errand,
        kept: Mutex::default(),
    };
    let round = Round {
        model: &model,
        attempt: &attempt,
        barred: &[],
    };
    let mut causes = Vec::new();
    let sent = round.run(ticket, &mut causes).await;
    if let (Some(pieces), Ok(Sent::Whole(answer))) = (&pieces, &sent) {
        attempt.errand.keep(pieces, ticket, answer);
    }
    sent.map_err(|failed| {
        let kept = attempt.kept.into_inner();
        let spent = kept
            .of_any(&model.targets)
            .map(|target| errand.spent(target, &kept.answers()));
        (send::exhausted(Some(failed), &causes), spent.unwrap_or_default())
    })
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
        let losses = self.errand.losses(target);
        if let Some(loss) = losses
            .first()
            .filter(|_| target.shape.unsupported == Unsupported::Refuse)
        {
            return Err(elsewhere(lost(target, loss)));
        }
        ticket.lost(&losses);
        let asked = !calls.is_empty();
        if asked {
            let sent = || {
                let price = self.errand.price(target);
                gather::sent(calls.len(), &self.errand.estimate(), price.as_ref())
            };
            send::enter(ticket, target, &target.model, sent).await?;
        }
        ticket.asking(target, target.model.clone(), self.errand.estimate().input);
        if let Some(facts) = &mut ticket.facts.asked {
            facts.price = self.errand.price(target);
        }
        let begun = Instant::now();
        let gathered = self.gather(target, &in_flight, calls).await;
        ticket.waited(begun.elapsed());
        let answers = match gathered {
            Ok(Gathered::Whole(answers)) => answers,
            Ok(Gathered::Stream(response, medium)) => {
                let passed = Passed::new(self.arrival, *response, medium, self.errand.estimate())?;
                return self.begin(target, passed, in_flight, ticket).await;
            }
            Err(broken) => return Err(broken.told(&mut in_flight, ticket).await),
        };
        let answer = self.errand.answer(target, answers).map_err(told);
        if asked {
            let fault = answer.as_ref().err().and_then(|failed| failed.fault.as_ref());
            send::tell(&mut in_flight, fault, ticket);
            ticket.facts.first_content = answer.is_ok().then(Instant::now);
        }
        answer.map(|answer| Sent::Whole(Box::new(answer)))
    }
}

impl<E: Errand> Try<'_, E> {
    /// A stream up to its first event: until then somebody else can be asked.
    async fn begin(
        &self,
        target: &Target,
        mut passed: Passed,
        mut in_flight: InFlight,
        ticket: &mut Ticket,
    ) -> Result<Sent, Failed> {
        let begun = Instant::now();
        let first = passed.until_first(target.patience().first_token).await;
        ticket.waited(begun.elapsed());
        let fault = first.as_ref().err().and_then(|failed| failed.fault.as_ref());
        send::tell(&mut in_flight, fault, ticket);
        first?;
        ticket.facts.first_content = Some(Instant::now());
        passed.hold(in_flight);
        Ok(Sent::Stream(Box::new(passed)))
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

/// A target that cannot be told all of a request, whose operator wants that refused.
fn lost(target: &Target, loss: &Loss) -> Failure {
    let message = format!(
        "{} cannot be sent to {:?}: {}",
        loss.field, target.provider.name, loss.note
    );
    Failure::new(FailureKind::InvalidRequest, message)
        .at(loss.field.as_ref())
        .coded("unsupported_parameter")
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

/// The answer to an errand's only request.
pub fn only(answers: Vec<Whole>) -> Result<Whole, Failure> {
    let mut answers = answers.into_iter();
    let only = answers.next().filter(|_| answers.next().is_none());
    only.ok_or_else(|| Failure::new(FailureKind::Internal, "one answer was expected"))
}

/// A body of the client's with the provider's name of the model.
pub fn named(body: &Bytes, model: &str) -> Result<Bytes, Failure> {
    let mut edits = Edits::new();
    edits.set_string("model", model);
    edited(body, &edits)
}

/// A body of the client's with some fields changed.
pub fn edited(body: &Bytes, edits: &Edits) -> Result<Bytes, Failure> {
    let edited = edits.apply(body);
    edited.map_err(|error| Failure::new(FailureKind::InvalidRequest, error.to_string()))
}
