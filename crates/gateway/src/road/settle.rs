//! Stage *settle*: what was reserved is charged or released, the ledger is written, the world is told.
//!
//! A [`Ticket`] is made by *admit* and settled exactly once. It is consumed by settling; a ticket that is dropped
//! because its client went away settles itself as cancelled, with what had been used until then. The ledger's
//! journal is written before the client can see the end of its answer, so that no end a client saw is ever missing.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use pointsman_cache::CacheKey;
use pointsman_catalog::{Money, Price, ServiceTier};
use pointsman_governance::{Actual, Denial, Details, Estimate, Principal, Reservation};
use pointsman_guard::{Reviewed, Tally};
use pointsman_store::{LedgerEntry, Outcome, RequestId};
use pointsman_telemetry::RequestRecord;
use pointsman_upstream::Failure as Fault;
use pointsman_wire::failure;
use pointsman_wire::form::{Failure, FailureKind, Usage};
use pointsman_wire::format::{Format, Loss};

use super::follow::{self, Routed};
use super::recall::Recalled;
use super::shadow::Duplicate;
use super::suspect::Suspicion;
use super::{Arrival, Refusal, Standing, admit};
use crate::pace::Running;
use crate::snapshot::Target;
use crate::worker::Worker;

/// What the ledger calls this machine, where it answers itself.
const HERE: &str = "pointsman";
/// Failed attempts that are told of one request.
const MAX_CAUSES: usize = 16;
/// Losses that are told of a request, at most.
const MAX_LOSSES: usize = 32;

/// A request that was admitted and must be paid for.
pub struct Ticket {
    worker: Arc<Worker>,
    caller: Arc<Principal>,
    /// Gone once what it was made for is charged.
    reservation: Option<Reservation>,
    settled: bool,
    /// What is set aside at the provider that is asked, where it has limits.
    entered: Option<Reservation>,
    spent: Spent,
    /// What is part of that, and is charged together with the last answer.
    owed: (Actual, Details),
    /// What calls of a loop have used and cost, which are charged by themselves.
    apart: Spent,
    /// The call of a loop whose answer is on its way to the client.
    call: Option<Box<Ticket>>,
    standing: Standing,
    /// Whether it is of a part of a request that keeps its place.
    is_part: bool,
    /// What is known so far: in a place of its own, because a ticket is handed on from stage to stage.
    pub facts: Box<Facts>,
}

/// What answers have used and cost that the client does not get, because a better one was asked for.
#[derive(Debug, Clone, Copy, Default)]
struct Spent {
    usage: Usage,
    cost: Money,
    estimated: bool,
}

/// What the ledger, the log and the metrics will say of a request.
pub struct Facts {
    /// Its id.
    pub id: String,
    /// When its head was complete.
    pub started: Instant,
    /// Path of the surface, as the table of surfaces has it.
    pub surface: &'static str,
    /// The format its failures are told in.
    pub dialect: Format,
    /// The name the client asked for.
    pub model_requested: String,
    /// Whether the answer is streamed.
    pub streamed: bool,
    /// The routing decision that was taken.
    pub decision: Option<String>,
    /// What is made of that decision afterwards.
    pub routed: Option<Box<Routed>>,
    /// How long the model that is asked now takes.
    pub running: Option<Running>,
    /// `miss`, `exact`, `semantic` or `bypass`.
    pub cache: &'static str,
    /// Under which key the same request's answer is remembered, if it is.
    pub cache_key: Option<CacheKey>,
    /// Who was asked last.
    pub asked: Option<AskedOf>,
    /// How many times a provider was asked.
    pub attempts: u16,
    /// Time spent waiting for providers.
    pub waited: Duration,
    /// When the first content came.
    pub first_content: Option<Instant>,
    /// The service tier that is charged: what the client asked for, until the provider says what it gave.
    pub tier: ServiceTier,
    /// Guardrails that flagged something.
    pub flags: Vec<String>,
    /// How many memories of the user were put into the request, where any might have been.
    pub memories: Option<usize>,
    /// What the client is warned of by a header.
    pub warnings: Vec<&'static str>,
    /// Parts of the answer that nothing supports, as they are told in a header.
    pub unsupported: Option<String>,
    /// Which provider failed in which way, attempt by attempt.
    pub causes: Vec<String>,
    /// Fields of the request that the target that was asked last could not be told exactly.
    pub losses: Vec<String>,
    /// What is suspected of the answer.
    pub suspicion: Option<Suspicion>,
    /// What a loop has done, where several models were asked for one answer.
    pub looped: Option<Looped>,
    /// The context of an agent that the conversation is in.
    pub context: Option<String>,
    /// Copies that go to other models once the client has its answer.
    pub duplicates: Vec<Duplicate>,
}

/// What a loop has done.
#[derive(Debug, Clone, Default)]
pub struct Looped {
    /// Its name in the configuration.
    pub kind: &'static str,
    /// Who was asked, in the order in which they were first.
    pub models: Vec<String>,
    /// How often anybody was.
    pub calls: u32,
}

/// Provider, model and price of the target that was asked last.
pub struct AskedOf {
    /// The provider's name in the configuration.
    pub provider: String,
    /// Its id in the catalog; none for a remembered answer.
    pub kind: Option<String>,
    /// The provider's name of the model.
    pub model: String,
    /// Its price.
    pub price: Option<Price>,
    /// What it costs to have asked it, whatever was used.
    pub fee: Money,
    /// What the remembered answer cost when it was given.
    pub saved: Money,
    /// Of a remembered answer: when it was given, and how near its question is where that is another.
    pub recalled: Option<(Instant, Option<f32>)>,
    /// What is charged if the client leaves now: the prompt before the provider has said anything, all that was used while
    /// a whole answer is looked at; none while no request is under way.
    pub at_stake: Option<Usage>,
}

/// How a request ended.
pub struct Ending {
    /// Its outcome.
    pub outcome: Outcome,
    /// The status the client saw.
    pub status: u16,
    /// What it used.
    pub usage: Usage,
    /// Whether the provider said so, or we counted.
    pub estimated: bool,
    /// What went wrong.
    pub error: Option<Failure>,
}

impl Ending {
    /// Of a request that was answered whole, with 200.
    pub fn complete(usage: Usage, estimated: bool) -> Self {
        Self {
            outcome: Outcome::Complete,
            status: 200,
            usage,
            estimated,
            error: None,
        }
    }
}

impl Ticket {
    /// A ticket for an admitted request.
    pub fn new(
        worker: &Arc<Worker>,
        arrival: &Arrival,
        caller: Arc<Principal>,
        reservation: Reservation,
    ) -> Self {
        worker.shared.telemetry.metrics().in_flight(1);
        if arrival.standing == Standing::Awaited {
            worker.awaited.fetch_add(1, Ordering::Relaxed);
        }
        Self {
            worker: Arc::clone(worker),
            caller,
            reservation: Some(reservation),
            settled: false,
            entered: None,
            spent: Spent::default(),
            owed: (Actual::default(), Details::default()),
            apart: Spent::default(),
            call: None,
            standing: arrival.standing,
            is_part: arrival.is_part,
            facts: Box::new(Facts {
                id: arrival.id.clone(),
                started: arrival.started,
                surface: arrival.surface.path,
                dialect: arrival.surface.dialect,
                model_requested: String::new(),
                streamed: false,
                decision: None,
                routed: None,
                running: None,
                cache: "bypass",
                cache_key: None,
                asked: None,
                attempts: 0,
                waited: Duration::ZERO,
                first_content: None,
                tier: ServiceTier::Standard,
                flags: Vec::new(),
                memories: None,
                warnings: Vec::new(),
                unsupported: None,
                suspicion: None,
                causes: Vec::new(),
                losses: Vec::new(),
                looped: None,
                context: None,
                duplicates: Vec::new(),
            }),
        }
    }

    /// Who asks.
    pub fn caller(&self) -> &Principal {
        &self.caller
    }

    /// Who asks, to be kept beside the ticket.
    pub fn shared_caller(&self) -> Arc<Principal> {
        Arc::clone(&self.caller)
    }

    /// The worker it is on.
    pub fn worker(&self) -> &Arc<Worker> {
        &self.worker
    }

    /// Notes that `target` is being asked for `model`; until it answers, `prompt` tokens are at stake.
    pub fn asking(&mut self, target: &Target, model: String, prompt: u64) {
        self.facts.attempts = self.facts.attempts.saturating_add(1);
        self.facts.asked = Some(AskedOf {
            provider: target.provider.name.clone(),
            kind: Some(target.provider.kind.clone()),
            model,
            price: target.price.clone(),
            fee: Money::ZERO,
            saved: Money::ZERO,
            recalled: None,
            at_stake: Some(Usage {
                input: prompt,
                ..Usage::default()
            }),
        });
    }

    /// Takes what is set aside at the provider that is asked next; it is settled with what that provider's answer uses.
    pub fn entered(&mut self, at: Option<Reservation>) {
        self.entered = at;
    }

    /// The provider that was asked last is not asked any more: what was set aside there comes back.
    pub fn left(&mut self) {
        self.entered = None;
    }

    fn settle_entered(&mut self, actual: Actual, usage: &Usage) {
        if let Some(entered) = self.entered.take() {
            entered.settle_in_detail(actual, admit::details_of(usage));
        }
    }

    /// Notes what the target that is asked next cannot be told exactly.
    pub fn lost(&mut self, losses: &[Loss]) {
        self.facts.losses.clear();
        self.facts
            .losses
            .extend(losses.iter().take(MAX_LOSSES).map(|loss| loss.field.to_string()));
    }

    /// Notes who gave the remembered answer; it costs nothing now.
    pub fn remembered_from(&mut self, found: &Recalled) {
        let answer = &found.answer;
        let when = (answer.stored, found.similarity);
        self.recalled_from((&answer.provider, &answer.model), answer.cost, when);
    }

    /// Notes provider and model that gave what is remembered, what it cost then, and when that was and how near.
    pub fn recalled_from(
        &mut self,
        (provider, model): (&str, &str),
        saved: Money,
        when: (Instant, Option<f32>),
    ) {
        self.facts.first_content = Some(Instant::now());
        self.facts.asked = Some(AskedOf {
            provider: provider.to_owned(),
            kind: None,
            model: model.to_owned(),
            price: None,
            fee: Money::ZERO,
            saved,
            recalled: Some(when),
            at_stake: None,
        });
    }

    /// Notes that an MCP server answers what it calls `name`, and what that costs.
    pub fn answered_by(&mut self, server: &str, name: &str, fee: Money) {
        // What a provider that failed has no part in is not charged there.
        self.left();
        self.facts.asked = Some(AskedOf {
            provider: server.to_owned(),
            kind: None,
            model: name.to_owned(),
            price: None,
            fee,
            saved: Money::ZERO,
            recalled: None,
            at_stake: None,
        });
    }

    /// What it costs to have asked whoever was asked last is owed, whoever answers in the end.
    pub fn owe_fee(&mut self) {
        let fee = self.facts.asked.as_ref().map_or(Money::ZERO, |asked| asked.fee);
        if fee == Money::ZERO {
            return;
        }
        self.spend_beside(&Usage::default(), false);
        if let Some(asked) = &mut self.facts.asked {
            asked.fee = Money::ZERO;
        }
    }

    /// Notes that a model on this machine answers, which costs nothing.
    pub fn answered_here(&mut self, model: &str) {
        self.left();
        self.facts.asked = Some(AskedOf {
            provider: HERE.to_owned(),
            kind: None,
            model: model.to_owned(),
            price: None,
            fee: Money::ZERO,
            saved: Money::ZERO,
            recalled: None,
            at_stake: None,
        });
    }

    /// Notes what guardrails flagged and did.
    pub fn judged(&mut self, reviewed: &Reviewed) {
        for flag in &reviewed.flags {
            // What was rewritten is judged twice, and noted once.
            if !self.facts.flags.contains(&flag.guard) {
                self.facts.flags.push(flag.guard.clone());
            }
        }
        self.tallied(&reviewed.tally);
    }

    /// Notes what guardrails did.
    pub fn tallied(&self, tally: &Tally) {
        self.worker.shared.judged(tally);
    }

    /// Notes time spent waiting for a provider.
    pub fn waited(&mut self, waited: Duration) {
        self.facts.waited += waited;
    }

    /// Notes that the whole answer is there, and what it used: that is owed, whether or not the client waits for it.
    /// Its place at the provider is free from here on: a model of the same provider may be asked to judge or to rewrite it.
    pub fn owes(&mut self, usage: &Usage) {
        let cost = self.price(usage);
        let tokens = admit::tokens_of(usage);
        self.settle_entered(Actual { tokens, cost }, usage);
        if let Some(asked) = &mut self.facts.asked {
            asked.at_stake = Some(*usage);
        }
    }

    /// Notes that the attempt is over: a client that leaves now owes nothing for it.
    pub fn nothing_at_stake(&mut self) {
        if let Some(asked) = &mut self.facts.asked {
            asked.at_stake = None;
        }
    }

    /// What is owed if the attempt that is under way is given up now: its prompt, if its provider has it, or its answer.
    pub fn at_stake(&self) -> Usage {
        let asked = self.facts.asked.as_ref();
        asked.and_then(|asked| asked.at_stake).unwrap_or_default()
    }

    /// Notes how an attempt at `provider` failed.
    pub fn failed(&mut self, provider: &str, fault: &Fault) {
        if self.facts.causes.len() < MAX_CAUSES {
            self.facts.causes.push(format!("{provider}: {fault}"));
        }
    }

    /// Charges an answer that is not handed on, at the price of the target that gave it. The ledger tells of it
    /// together with the last.
    pub fn spend(&mut self, usage: &Usage, estimated: bool) {
        self.nothing_at_stake();
        let cost = self.price(usage);
        let tokens = admit::tokens_of(usage);
        self.settle_entered(Actual { tokens, cost }, usage);
        if let Some(reservation) = self.reservation.take() {
            let (actual, details) = self.with_owed(Actual { tokens, cost }, usage);
            reservation.settle_in_detail(actual, details);
        }
        self.spent = Spent {
            usage: self.spent.usage.and(usage),
            cost: self.spent.cost + cost,
            estimated: self.spent.estimated || estimated,
        };
    }

    /// Charges what was asked beside the answer, whose reservation stays as it is: both are charged when that is settled.
    pub fn spend_beside(&mut self, usage: &Usage, estimated: bool) {
        self.nothing_at_stake();
        let cost = self.price(usage);
        let tokens = admit::tokens_of(usage);
        self.settle_entered(Actual { tokens, cost }, usage);
        self.spent = Spent {
            usage: self.spent.usage.and(usage),
            cost: self.spent.cost + cost,
            estimated: self.spent.estimated || estimated,
        };
        let owed = self.with_owed(Actual { tokens, cost }, usage);
        self.owed = owed;
        if let Some(reservation) = &mut self.reservation {
            let Estimate {
                tokens,
                cost: set_aside,
            } = reservation.estimate();
            let more = Estimate {
                tokens: tokens + admit::tokens_of(usage),
                cost: set_aside + cost,
            };
            // It is spent already: where there is no room for it, whoever asks next is told.
            let _ = reservation.change(more, Instant::now());
        }
    }

    /// With what is owed for what was asked beside.
    fn with_owed(&mut self, last: Actual, usage: &Usage) -> (Actual, Details) {
        let (owed, details) = std::mem::take(&mut self.owed);
        let actual = Actual {
            tokens: last.tokens + owed.tokens,
            cost: last.cost + owed.cost,
        };
        (actual, details + admit::details_of(usage))
    }

    /// Sets aside what the next attempt may use, after the one before was charged. It is the same request: quotas and
    /// rates have counted it.
    ///
    /// # Errors
    /// When the caller's limits have no room for it.
    pub async fn reserve(&mut self, estimate: Estimate) -> Result<(), Denial> {
        self.reservation = Some(if self.is_part {
            self.caller.prepare_part(estimate).await;
            self.caller.admit_part_again(estimate, Instant::now())?
        } else {
            self.caller.admit_again(estimate, Instant::now()).await?
        });
        Ok(())
    }

    /// Gives back what was reserved, but for the place: parts of the request reserve for themselves.
    pub fn keep_place(&mut self) {
        if let Some(reservation) = &mut self.reservation {
            // To ask for less is never denied.
            let _ = reservation.change(Estimate::default(), Instant::now());
        }
    }

    /// Notes what calls have used that have tickets of their own: the client is told of it together with the rest, and
    /// it is not charged again.
    pub fn charged_apart(&mut self, usage: &Usage, cost: Money) {
        self.apart.usage = self.apart.usage.and(usage);
        self.apart.cost += cost;
    }

    /// The answer that is given on is that of a call with a ticket of its own, which is settled together with this one.
    pub fn gives_on(&mut self, call: Self) {
        self.call = Some(Box::new(call));
    }

    /// What the request has used in all, `usage` of its last answer included: what the client is told.
    pub fn used(&self, usage: &Usage) -> Usage {
        self.apart.usage.and(&self.spent.usage.and(usage))
    }

    /// What the request costs in all: `usage` at the target that was asked last, and what was spent before: what the
    /// client is told.
    pub fn cost(&self, usage: &Usage) -> Money {
        self.apart.cost + self.spent.cost + self.price(usage)
    }

    fn price(&self, usage: &Usage) -> Money {
        self.facts.asked.as_ref().map_or(Money::ZERO, |asked| {
            let price = asked.price.as_ref();
            asked.fee + price.map_or(Money::ZERO, |price| price.cost(usage, self.facts.tier))
        })
    }

    /// Time the gateway itself has taken so far.
    pub fn overhead(&self) -> Duration {
        self.facts.started.elapsed().saturating_sub(self.facts.waited)
    }

    /// Settles a request that got no answer, and hands the failure on.
    pub fn refuse(self, failure: Failure) -> Refusal {
        let ending = self.refusal(&failure);
        self.withhold(failure, &ending)
    }

    /// How a request ends that got no answer.
    pub fn refusal(&self, failure: &Failure) -> Ending {
        let outcome = match failure.kind {
            FailureKind::PermissionDenied => Outcome::Blocked,
            FailureKind::Provider
            | FailureKind::ProviderTimeout
            | FailureKind::Overloaded
            | FailureKind::Unavailable => Outcome::ProviderFailed,
            _ => Outcome::Refused,
        };
        Ending {
            outcome,
            status: failure::status(self.facts.dialect, failure).as_u16(),
            usage: Usage::default(),
            estimated: false,
            error: Some(failure.clone()),
        }
    }

    /// Ends a request that others answer later, under another ticket; gives what was reserved for it.
    pub fn hand_on(mut self) -> Option<Reservation> {
        self.settled = true;
        self.leave()
    }

    /// Settles a request whose answer the client does not get, and hands the failure on.
    pub fn withhold(mut self, failure: Failure, ending: &Ending) -> Refusal {
        let told = self.settle_once(ending).err().unwrap_or(failure);
        Refusal::known(told, &self)
    }

    /// Settles, and says what it cost.
    ///
    /// # Errors
    /// When the journal cannot take the record: then the answer must not be given, because it would not be charged.
    pub fn settle(mut self, ending: &Ending) -> Result<Money, Refusal> {
        self.settle_once(ending)
            .map_err(|failure| Refusal::known(failure, &self))
    }

    /// The request is not in flight any more; its reservation, where what it was made for is not charged yet. Called
    /// once, by whoever settles.
    fn leave(&mut self) -> Option<Reservation> {
        self.worker.shared.telemetry.metrics().in_flight(-1);
        if self.standing == Standing::Awaited {
            self.worker.awaited.fetch_sub(1, Ordering::Relaxed);
        }
        self.reservation.take()
    }

    fn settle_once(&mut self, ending: &Ending) -> Result<Money, Failure> {
        let Some(mut call) = self.call.take() else {
            return self.settle_alone(ending);
        };
        // What was used is the call's; of the request itself nothing is left to be charged.
        call.facts.tier = self.facts.tier;
        let charged = call.settle_once(ending);
        let rest = Ending {
            outcome: ending.outcome,
            status: ending.status,
            usage: Usage::default(),
            estimated: false,
            error: ending.error.clone(),
        };
        let settled = self.settle_alone(&rest);
        charged.and_then(|cost| settled.map(|own| cost + own))
    }

    fn settle_alone(&mut self, ending: &Ending) -> Result<Money, Failure> {
        if std::mem::replace(&mut self.settled, true) {
            return Ok(Money::ZERO);
        }
        let reservation = self.leave();
        if self.standing == Standing::Charged {
            // What it cost was recorded before its process died, under the same id: nothing is owed twice.
            self.left();
            if let Some(reservation) = reservation {
                reservation.settle(Actual::default());
            }
            return Ok(Money::ZERO);
        }
        // A remembered answer costs nothing; what was spent before the last one is charged already.
        let (cost, last) = if ending.outcome == Outcome::Cached {
            (Money::ZERO, Actual::default())
        } else {
            let last = Actual {
                tokens: admit::tokens_of(&ending.usage),
                cost: self.price(&ending.usage),
            };
            (self.spent.cost + last.cost, last)
        };
        let last_used = if last == Actual::default() {
            Usage::default()
        } else {
            ending.usage
        };
        self.settle_entered(last, &last_used);
        let written = self.worker.journal.lock().append(&self.entry(ending, cost));
        if let Some(reservation) = reservation {
            let nothing = Usage::default();
            let is_remembered = ending.outcome == Outcome::Cached;
            let used = if is_remembered { &nothing } else { &ending.usage };
            let (last, details) = self.with_owed(last, used);
            reservation.settle_in_detail(last, details);
        }
        self.tell(ending, cost);
        follow::settled(self, ending, cost);
        match written {
            Ok(()) => Ok(cost),
            Err(error) => {
                tracing::error!(%error, id = %self.facts.id, "the journal cannot be written");
                Err(Failure::new(
                    FailureKind::Unavailable,
                    "the usage of this request could not be recorded, so it was not answered; the operator must look at the journal",
                ))
            }
        }
    }

    fn entry(&self, ending: &Ending, cost: Money) -> LedgerEntry {
        let facts = &self.facts;
        let asked = facts.asked.as_ref();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        LedgerEntry {
            id: RequestId::from(facts.id.clone()),
            at: now.as_millis() as i64,
            key: self.caller.key.clone(),
            team: self.caller.team.clone(),
            user: self.caller.user.clone(),
            surface: facts.surface.to_owned(),
            model_requested: facts.model_requested.clone(),
            provider: asked.map(|asked| asked.provider.clone()),
            model: asked.map(|asked| asked.model.clone()),
            decision: facts.decision.clone(),
            outcome: ending.outcome,
            usage: self.spent.usage.and(&ending.usage),
            usage_estimated: ending.estimated || self.spent.estimated,
            cost,
            attempts: facts.attempts,
            streamed: facts.streamed,
            status: ending.status,
            latency_us: facts.started.elapsed().as_micros() as u64,
            ttft_us: facts
                .first_content
                .map(|first| first.duration_since(facts.started).as_micros() as u64),
            cache: facts.cache.to_owned(),
            organization: self.caller.organization.clone(),
            project: self.caller.project.clone(),
            saved: asked.map_or(Money::ZERO, |asked| asked.saved),
            customer: self.caller.labels.customer.as_deref().map(str::to_owned),
            agent: self.caller.labels.agent.as_deref().map(str::to_owned),
            tags: self.caller.labels.tags.iter().map(ToString::to_string).collect(),
        }
    }

    fn tell(&self, ending: &Ending, cost: Money) {
        let facts = &self.facts;
        let asked = facts.asked.as_ref();
        let used = self.spent.usage.and(&ending.usage);
        self.worker.shared.telemetry.record(&RequestRecord {
            id: &facts.id,
            surface: facts.surface,
            key: &self.caller.name,
            team: self.caller.team.as_ref().map(|team| team.as_str()),
            model_requested: &facts.model_requested,
            provider: asked.map(|asked| asked.provider.as_str()),
            provider_kind: asked.and_then(|asked| asked.kind.as_deref()),
            model: asked.map(|asked| asked.model.as_str()),
            decision: facts.decision.as_deref(),
            cache: facts.cache,
            outcome: ending.outcome.as_str(),
            status: ending.status,
            error: ending.error.as_ref().map(|error| error.kind.name()),
            code: ending.error.as_ref().and_then(|error| error.code.as_deref()),
            causes: &facts.causes,
            streamed: facts.streamed,
            attempts: facts.attempts,
            input_tokens: used.input,
            output_tokens: used.output,
            cache_read_tokens: used.cache_read,
            reasoning_tokens: used.reasoning,
            usage_estimated: ending.estimated || self.spent.estimated,
            cost_nanodollars: cost.nanodollars(),
            saved_nanodollars: asked.map_or(0, |asked| asked.saved.nanodollars()),
            started: facts.started,
            waited: facts.waited,
            first_content: facts.first_content,
            flags: &facts.flags,
            losses: &facts.losses,
        });
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.settled {
            return;
        }
        if self.standing != Standing::Awaited {
            // It is sent again, and recorded then; what was reserved is released with the reservation.
            self.settled = true;
            drop(self.leave());
            return;
        }
        // The client went away while the request was on its way: what the provider had been given is charged.
        let ending = Ending {
            outcome: Outcome::Cancelled,
            status: 499,
            usage: self.at_stake(),
            estimated: true,
            error: None,
        };
        // Nobody is left to be told of a journal that cannot be written; it has been logged.
        let _ = self.settle_once(&ending);
    }
}
