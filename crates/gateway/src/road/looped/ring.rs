//! One call of a loop: numbered, admitted, sent, read, judged, settled; and what all calls have come to.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use pointsman_catalog::{Money, ServiceTier};
use pointsman_governance::Principal;
use pointsman_routing::Selected;
use pointsman_routing::loops::{FailedModel, Loop, Said, name_of};
use pointsman_store::Outcome;
use pointsman_wire::form::{ChatRequest, ChatResponse, Failure, FailureKind, FinishReason, PartKind, Usage};
use pointsman_wire::text;
use tokio::time::timeout_at;

use super::super::arrive::{Asked, Beside};
use super::super::settle::{AskedOf, Ending, Looped};
use super::super::{Arrival, Ticket, admit};
use super::{decide, relay, send};
use crate::worker::Worker;

/// What metrics and ledger call the surface of a call within a request.
const SURFACE: &str = "loop";

/// The calls of one loop.
pub struct Ring<'a> {
    worker: &'a Arc<Worker>,
    arrival: &'a Arrival,
    /// What the client asks.
    pub asked: &'a Asked,
    bounds: Bounds,
    request: Enclosing,
    until: Instant,
    tally: Mutex<Tally>,
}

/// How far the calls of one request may go.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Most calls.
    pub calls: u32,
    /// Where the configuration says so.
    pub calls_key: &'static str,
    /// How long one may take, where nothing else is said.
    pub call_time: Duration,
    /// How long all of it may take.
    pub whole_time: Duration,
    /// Whether the last answer is looked at before it is given.
    pub is_checked: bool,
}

impl Bounds {
    fn of(looped: &Loop) -> Self {
        Self {
            calls: looped.bounds.max_calls,
            calls_key: "routing.loops.max_calls",
            call_time: looped.call_time(),
            whole_time: looped.whole_time(),
            is_checked: looped.contract.is_checked(),
        }
    }
}

/// What calls take over from the request that they belong to.
struct Enclosing {
    caller: Arc<Principal>,
    id: String,
    decision: Option<String>,
    tier: ServiceTier,
}

/// What all calls have come to.
#[derive(Default)]
pub struct Tally {
    looped: Looped,
    usage: Usage,
    cost: Money,
    attempts: u16,
    flags: Vec<String>,
    causes: Vec<String>,
    /// Who did not answer.
    failed: Vec<FailedModel>,
}

/// A call to make.
pub struct Call<'c> {
    /// Who is asked.
    pub selected: &'c Selected,
    /// What.
    pub request: ChatRequest,
    /// Until when; as long as calls may take, where nothing is said.
    pub until: Option<Instant>,
}

/// What a model said, and as it came.
pub struct Heard {
    /// What is said.
    pub said: Said,
    /// The answer.
    pub response: Box<ChatResponse>,
    /// Who gave it.
    pub from: AskedOf,
}

/// The last answer: whole, or on its way to the client.
pub enum Last {
    /// Read.
    Heard(Box<Heard>),
    /// Begun, with the ticket of its call.
    Stream(send::Answer, Box<Ticket>),
}

impl<'a> Ring<'a> {
    /// For a request with this ticket.
    pub fn new(at: (&'a Arc<Worker>, &'a Arrival), asked: &'a Asked, looped: &Loop, ticket: &Ticket) -> Self {
        Self::within(at, asked, Bounds::of(looped), ticket)
    }

    /// The same, of calls that no loop bounds.
    pub fn within(
        (worker, arrival): (&'a Arc<Worker>, &'a Arrival),
        asked: &'a Asked,
        bounds: Bounds,
        ticket: &Ticket,
    ) -> Self {
        Self {
            worker,
            arrival,
            asked,
            bounds,
            request: Enclosing {
                caller: ticket.shared_caller(),
                id: ticket.facts.id.clone(),
                decision: ticket.facts.decision.clone(),
                tier: ticket.facts.tier,
            },
            until: Instant::now() + bounds.whole_time,
            tally: Mutex::default(),
        }
    }

    /// What the user said last.
    pub fn original(&self) -> String {
        text::user_text(&self.asked.request).into_owned()
    }

    /// What a model's prompt tokens cost.
    #[allow(clippy::cast_precision_loss, reason = "prices are below 2^52 nano-dollars")]
    pub fn price(&self, model: &str) -> Option<f64> {
        use pointsman_routing::selection::KnownModels;
        let price = decide::Prices(&self.arrival.snapshot).price(model)?;
        Some(price.input as f64)
    }

    /// Who did not answer so far.
    pub fn failed(&self) -> Vec<FailedModel> {
        self.tally.lock().failed.clone()
    }

    /// What was used so far.
    pub fn used(&self) -> Usage {
        self.tally.lock().usage
    }

    /// The request's id.
    pub fn id(&self) -> &str {
        &self.request.id
    }

    /// What all calls have come to.
    pub fn tally(self) -> Tally {
        self.tally.into_inner()
    }

    /// Makes a call, and reads its answer.
    ///
    /// # Errors
    /// When it may not be made, fails, takes too long, is blocked, or answers nothing.
    pub async fn ask(&self, call: Call<'_>) -> Result<Heard, Failure> {
        let model = name_of(call.selected).to_owned();
        let heard = self.tried(call, &model).await;
        if let Err(failure) = &heard {
            self.note_failed(model, failure);
        }
        heard
    }

    async fn tried(&self, call: Call<'_>, model: &str) -> Result<Heard, Failure> {
        let plan = decide::plan(self.arrival, call.selected)?;
        let (response, from) = self.read(plan, model, call.request, call.until).await?;
        let said = said(model, &response)?;
        Ok(Heard { said, response, from })
    }

    /// Makes a call along a plan, and reads its answer, whatever that says.
    ///
    /// # Errors
    /// When it may not be made, fails, takes too long or is blocked.
    pub async fn read(
        &self,
        plan: decide::Plan,
        model: &str,
        request: ChatRequest,
        until: Option<Instant>,
    ) -> Result<(Box<ChatResponse>, AskedOf), Failure> {
        let asked = self.asked_of(request, None);
        let (mut held, plan, until) = self.admit((plan, model), &asked, until)?;
        let ticket = held.ticket()?;
        let reading = Box::pin(send::read(self.worker, self.arrival, &asked, plan, ticket));
        let read = timeout_at(until.into(), reading).await;
        let ticket = held.take()?;
        let Ok(read) = read else {
            return Err(self.late(ticket));
        };
        match read {
            Ok(response) => self.take(&asked, response, ticket).await,
            Err(failure) => Err(self.refused(ticket, failure)),
        }
    }

    /// Makes the last call: where the client wants a stream, its answer is not waited for.
    ///
    /// # Errors
    /// As [`Ring::ask`].
    pub async fn finish(&self, call: Call<'_>, beside: Beside) -> Result<Last, Failure> {
        if !self.asked.request.stream.enabled || self.bounds.is_checked {
            return self.ask(call).await.map(|heard| Last::Heard(Box::new(heard)));
        }
        let model = name_of(call.selected).to_owned();
        let last = self.begun(call, &model, beside).await;
        if let Err(failure) = &last {
            self.note_failed(model, failure);
        }
        last
    }

    async fn begun(&self, call: Call<'_>, model: &str, beside: Beside) -> Result<Last, Failure> {
        let mut request = call.request;
        request.stream = self.asked.request.stream.clone();
        let asked = self.asked_of(request, Some(beside));
        let plan = decide::plan(self.arrival, call.selected)?;
        let (mut held, plan, until) = self.admit((plan, model), &asked, call.until)?;
        let ticket = held.ticket()?;
        let sending = Box::pin(send::send(self.worker, self.arrival, &asked, plan, ticket));
        let sent = timeout_at(until.into(), sending).await;
        let mut ticket = held.take()?;
        let Ok(sent) = sent else {
            return Err(self.late(ticket));
        };
        match sent {
            Ok(send::Answer::Whole { response, .. }) => {
                let (response, from) = self.take(&asked, response, ticket).await?;
                let said = said(model, &response)?;
                Ok(Last::Heard(Box::new(Heard { said, response, from })))
            }
            Ok(answer) => {
                let mut tally = self.tally.lock();
                tally.attempts = tally.attempts.saturating_add(ticket.facts.attempts);
                tally.causes.append(&mut ticket.facts.causes);
                drop(tally);
                Ok(Last::Stream(answer, Box::new(ticket)))
            }
            Err(failure) => Err(self.refused(ticket, failure)),
        }
    }

    /// The request of a call, as the road knows requests: nobody remembers its answer. `beside` is told with the last one.
    fn asked_of(&self, request: ChatRequest, beside: Option<Beside>) -> Asked {
        let streams = request.stream.clone();
        let bounded = request.sampling.max_tokens != self.asked.request.sampling.max_tokens;
        let mut asked = self.asked.instead(request);
        asked.request.stream = streams;
        asked.bounded_here = bounded;
        if beside.is_none() {
            asked.place = None;
            asked.answer_id = None;
            asked.suspicion = None;
        }
        asked.beside = beside.map(Arc::new);
        asked
    }

    /// Numbers a call, and sets aside what it may use.
    fn admit(
        &self,
        (plan, model): (decide::Plan, &str),
        asked: &Asked,
        until: Option<Instant>,
    ) -> Result<(Held<'_, 'a>, decide::Plan, Instant), Failure> {
        let now = Instant::now();
        let until = until
            .unwrap_or_else(|| now + self.bounds.call_time)
            .min(self.until);
        if now >= until {
            return Err(slow("there was no time left to ask"));
        }
        let most = self.bounds.calls;
        if self.tally.lock().looped.calls >= most {
            let message = format!("{}, {most}, are made", self.bounds.calls_key);
            return Err(Failure::new(FailureKind::Unavailable, message).coded("loop_calls"));
        }
        self.fits(asked)?;
        let caller = Arc::clone(&self.request.caller);
        let reservation = admit::part(&self.arrival.snapshot, &caller, asked, &plan)?;
        let mut ticket = Ticket::new(self.worker, self.arrival, caller, reservation);
        let number = self.number(model);
        let facts = &mut ticket.facts;
        facts.id = format!("{}.{number}", self.request.id);
        facts.started = now;
        facts.surface = SURFACE;
        facts.decision.clone_from(&self.request.decision);
        facts.tier = self.request.tier;
        facts.streamed = asked.request.stream.enabled;
        model.clone_into(&mut facts.model_requested);
        let held = Held {
            ring: self,
            ticket: Some(ticket),
        };
        Ok((held, plan, until))
    }

    fn number(&self, model: &str) -> u32 {
        let mut tally = self.tally.lock();
        let looped = &mut tally.looped;
        looped.calls += 1;
        if !looped.models.iter().any(|known| known == model) {
            looped.models.push(model.to_owned());
        }
        looped.calls
    }

    /// Answers make the next question long: it is bounded like one that a client sends.
    fn fits(&self, asked: &Asked) -> Result<(), Failure> {
        let limit = self.arrival.snapshot.bounds.request_limit;
        let mut bytes = 0_usize;
        text::request_texts(&asked.request, |_, text| bytes = bytes.saturating_add(text.len()));
        if bytes <= limit {
            return Ok(());
        }
        let message =
            format!("the answers together make a question of more than server.request_limit, {limit} bytes");
        Err(Failure::new(FailureKind::TooLarge, message).coded("loop_too_large"))
    }

    /// Takes an answer: judged by the output guardrails, settled.
    async fn take(
        &self,
        asked: &Asked,
        mut response: Box<ChatResponse>,
        mut ticket: Ticket,
    ) -> Result<(Box<ChatResponse>, AskedOf), Failure> {
        if let Some(tier) = &response.service_tier {
            ticket.facts.tier = ServiceTier::said(Some(tier));
        }
        let usage = response.usage.unwrap_or_else(|| relay::count(asked, &response));
        let estimated = response.usage.is_none();
        ticket.owes(&usage);
        let blocked = relay::judge((self.arrival, asked), &mut response, &mut ticket)
            .await
            .err();
        self.count(&mut ticket, &usage);
        let from = told_of(&ticket);
        let ending = Ending {
            outcome: if blocked.is_some() {
                Outcome::Blocked
            } else {
                Outcome::Complete
            },
            status: if blocked.is_some() { 403 } else { 200 },
            usage,
            estimated,
            error: blocked.clone(),
        };
        ticket.settle(&ending).map_err(|refusal| refusal.failure)?;
        if let Some(failure) = blocked {
            return Err(failure);
        }
        Ok((response, from))
    }

    /// What a call has come to.
    fn count(&self, ticket: &mut Ticket, usage: &Usage) {
        let mut tally = self.tally.lock();
        tally.usage = tally.usage.and(&ticket.used(usage));
        tally.cost += ticket.cost(usage);
        tally.attempts = tally.attempts.saturating_add(ticket.facts.attempts);
        tally.causes.extend(ticket.facts.causes.iter().cloned());
        tally.flags.extend(ticket.facts.flags.iter().cloned());
    }

    /// A call that nobody answered.
    fn refused(&self, mut ticket: Ticket, failure: Failure) -> Failure {
        self.count(&mut ticket, &Usage::default());
        ticket.refuse(failure).failure
    }

    /// A call that took too long: what its provider was given is charged.
    fn late(&self, mut ticket: Ticket) -> Failure {
        let usage = ticket.at_stake();
        self.count(&mut ticket, &usage);
        let failure = slow("the answer did not come in time");
        let ending = Ending {
            outcome: Outcome::ProviderFailed,
            status: 504,
            usage,
            estimated: true,
            error: Some(failure.clone()),
        };
        ticket.withhold(failure, &ending).failure
    }

    fn note_failed(&self, model: String, failure: &Failure) {
        let error = failure.message.clone();
        self.tally.lock().failed.push(FailedModel { model, error });
    }

    /// When a stage ends that begins now.
    pub fn ends(&self, time: Option<Duration>) -> Option<Instant> {
        time.map(|time| Instant::now() + time)
    }
}

/// The ticket of a call under way. A call that is given up settles itself with its ticket; what it is charged counts, too.
struct Held<'r, 'a> {
    ring: &'r Ring<'a>,
    ticket: Option<Ticket>,
}

impl Held<'_, '_> {
    fn ticket(&mut self) -> Result<&mut Ticket, Failure> {
        self.ticket.as_mut().ok_or_else(gone)
    }

    fn take(&mut self) -> Result<Ticket, Failure> {
        self.ticket.take().ok_or_else(gone)
    }
}

impl Drop for Held<'_, '_> {
    fn drop(&mut self) {
        if let Some(mut ticket) = self.ticket.take() {
            let usage = ticket.at_stake();
            self.ring.count(&mut ticket, &usage);
        }
    }
}

fn gone() -> Failure {
    Failure::new(FailureKind::Internal, "the ticket of a call was taken twice")
}

impl Tally {
    /// What was used.
    pub fn used(&self) -> Usage {
        self.usage
    }

    /// Tells the request's own ticket.
    pub fn tell(mut self, kind: &'static str, ticket: &mut Ticket) {
        self.looped.kind = kind;
        ticket.charged_apart(&self.usage, self.cost);
        let facts = &mut ticket.facts;
        facts.attempts = facts.attempts.saturating_add(self.attempts);
        facts.flags.append(&mut self.flags);
        facts.causes.append(&mut self.causes);
        facts.causes.truncate(16);
        facts.looped = Some(self.looped);
    }
}

fn slow(message: &str) -> Failure {
    Failure::new(FailureKind::ProviderTimeout, message).coded("loop_timeout")
}

/// Who gave an answer, at no price: what it costs is charged to the call.
fn told_of(ticket: &Ticket) -> AskedOf {
    let asked = ticket.facts.asked.as_ref();
    AskedOf {
        provider: asked.map(|asked| asked.provider.clone()).unwrap_or_default(),
        kind: asked.and_then(|asked| asked.kind.clone()),
        model: asked.map(|asked| asked.model.clone()).unwrap_or_default(),
        price: None,
        fee: Money::ZERO,
        saved: Money::ZERO,
        recalled: None,
        at_stake: None,
    }
}

/// What an answer says.
///
/// # Errors
/// When the model declines, or says nothing.
fn said(model: &str, response: &ChatResponse) -> Result<Said, Failure> {
    let Some(choice) = response.choices.first() else {
        return Err(mute("gave no answer"));
    };
    let mut said = Said {
        model: model.to_owned(),
        ..Said::default()
    };
    let (mut calls, mut declined) = (false, false);
    for part in &choice.parts {
        match &part.kind {
            PartKind::Text(text) => said.text.push_str(&text.text),
            PartKind::Thinking(thinking) => said.reasoning.push_str(&thinking.text),
            PartKind::Refusal(_) => declined = true,
            PartKind::ToolCall(_) => calls = true,
            _ => {}
        }
    }
    let withheld = matches!(
        choice.finish,
        Some(FinishReason::Refusal | FinishReason::ContentFilter)
    );
    if declined || withheld {
        return Err(mute("declined to answer"));
    }
    if said.material().trim().is_empty() && !calls {
        return Err(mute("gave no answer"));
    }
    Ok(said)
}

fn mute(what: &str) -> Failure {
    Failure::new(FailureKind::Provider, format!("the model {what}")).coded("loop_no_answer")
}
