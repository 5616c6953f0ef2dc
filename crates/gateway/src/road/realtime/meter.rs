//! What a session uses: reserved before it is asked for, settled answer by answer before the client sees its end.
//!
//! A session has its place from its handshake to its end; each answer has a reservation of its own. `standing` is the
//! one for an answer that the provider may begin by itself, as soon as it has heard enough: it is made before sound is
//! sent. An answer that is asked for has its reservation before the provider hears of it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use pointsman_catalog::{Money, Price};
use pointsman_governance::{Denial, Estimate, Principal, Reservation, Tokens};
use pointsman_guard::Guards;
use pointsman_store::Outcome;
use pointsman_wire::form::{Failure, FailureKind, Text, Usage};
use pointsman_wire::realtime::{Output, Said, ServerEvent, Session, Spoken};

use super::super::settle::Ending;
use super::super::{Arrival, Ticket, admit};
use super::context::Context;
use crate::snapshot::Target;
use crate::worker::Worker;

/// Answers that were asked for and have not begun, at most.
const MAX_ASKED: usize = 16;
/// Answers under way, at most.
const MAX_OPEN: usize = 32;
/// Answers that have ended and are remembered, so that an end told twice is not charged twice.
const MAX_ENDED: usize = 64;
/// Sound that is reserved ahead, in milliseconds, so that not every piece of it needs a reservation.
const AHEAD_MS: u64 = 30_000;
/// Most characters of a provider's id that become part of ours.
const MAX_ID: usize = 128;

/// What a session uses.
pub struct Meter {
    worker: Arc<Worker>,
    arrival: Arc<Arrival>,
    caller: Arc<Principal>,
    model: String,
    target: Target,
    context: Context,
    standing: Option<Reservation>,
    asked: VecDeque<Reservation>,
    /// Of the asked ones: how many may have been refused.
    doubtful: usize,
    open: Vec<Answer>,
    ended: VecDeque<Text>,
}

/// An answer under way.
struct Answer {
    id: Text,
    ticket: Ticket,
    spoken: Spoken,
}

/// Who asks whom for what.
pub struct Parties {
    /// The worker.
    pub worker: Arc<Worker>,
    /// How the client came.
    pub arrival: Arc<Arrival>,
    /// Who it is.
    pub caller: Arc<Principal>,
    /// The guardrails that judge what it sends.
    pub guards: Arc<Guards>,
    /// The model it asks for.
    pub model: String,
    /// The model it gets.
    pub target: Target,
}

/// Sets aside what the first answer may cost, whichever of `targets` gives it.
///
/// # Errors
/// 429 where limits or budget have no room for it.
pub async fn first(
    arrival: &Arrival,
    caller: &Principal,
    targets: &[&Target],
) -> Result<Reservation, Failure> {
    let snapshot = &arrival.snapshot;
    let mut dearest = Estimate::default();
    for target in targets {
        let empty = Context::new(&snapshot.catalog, target, snapshot.default_completion);
        let estimate = empty.estimate(Output::default(), 0);
        dearest = Estimate {
            tokens: Tokens {
                input: dearest.tokens.input.max(estimate.tokens.input),
                output: dearest.tokens.output.max(estimate.tokens.output),
            },
            cost: dearest.cost.max(estimate.cost),
        };
    }
    caller.prepare_part(dearest).await;
    caller.admit_part(dearest, Instant::now()).map_err(admit::denied)
}

impl Meter {
    /// A session that has just begun, with what was set aside for its first answer.
    pub fn new(parties: Parties, first: Reservation) -> Self {
        let snapshot = &parties.arrival.snapshot;
        let context = Context::new(&snapshot.catalog, &parties.target, snapshot.default_completion);
        Self {
            worker: parties.worker,
            arrival: parties.arrival,
            caller: parties.caller,
            model: parties.model,
            target: parties.target,
            context,
            standing: Some(first),
            asked: VecDeque::new(),
            doubtful: 0,
            open: Vec::new(),
            ended: VecDeque::new(),
        }
    }

    /// Who pays.
    pub fn caller(&self) -> Arc<Principal> {
        Arc::clone(&self.caller)
    }

    /// Whether an answer is under way or asked for.
    pub fn is_busy(&self) -> bool {
        !self.open.is_empty() || self.asked.len() > self.doubtful
    }

    /// The client says something that no answer can come of by itself.
    pub fn hears(&mut self, said: Said) {
        self.context.hears(said);
    }

    /// The client sends sound.
    ///
    /// # Errors
    /// When limits or budget have no room for the answer that may come of it.
    pub fn listens(&mut self, said: Said) -> Result<(), Failure> {
        self.context.hears(said);
        let need = self.context.estimate(Output::default(), 0);
        let covered = |held: &Reservation| {
            let held = held.estimate();
            let covers = [
                (held.tokens.input, need.tokens.input),
                (held.tokens.output, need.tokens.output),
            ];
            covers.iter().all(|(held, need)| held >= need) && held.cost >= need.cost
        };
        if self.standing.as_ref().is_some_and(covered) {
            return Ok(());
        }
        let ahead = self.context.estimate(Output::default(), AHEAD_MS);
        self.cover(ahead)
            .or_else(|_| self.cover(need))
            .map_err(admit::denied)
    }

    /// The client asks for an answer.
    ///
    /// # Errors
    /// When limits or budget have no room for it.
    pub fn asks(&mut self, output: Output, said: Said) -> Result<(), Failure> {
        self.context.hears(said);
        if self.doubtful > 0 {
            self.doubtful -= 1;
            let spare = self.asked.pop_front();
            self.standing = self.standing.take().or(spare);
        }
        let need = self.context.estimate(output, 0);
        self.cover(need).map_err(admit::denied)?;
        self.asked.extend(self.standing.take());
        Ok(())
    }

    /// Whether one more answer may be asked for.
    pub fn has_room(&self) -> bool {
        self.asked.len() < MAX_ASKED + self.doubtful
    }

    /// What the next answer may use beyond what is set aside; nothing where that is enough.
    pub fn lacks(&self) -> Option<Estimate> {
        let need = self.context.estimate(Output::default(), AHEAD_MS);
        let held = self
            .standing
            .as_ref()
            .map(Reservation::estimate)
            .unwrap_or_default();
        let lacks = Estimate {
            tokens: Tokens {
                input: need.tokens.input.saturating_sub(held.tokens.input),
                output: need.tokens.output.saturating_sub(held.tokens.output),
            },
            cost: (need.cost - held.cost).max(Money::ZERO),
        };
        (lacks != Estimate::default()).then_some(lacks)
    }

    /// Makes the standing reservation this large.
    fn cover(&mut self, need: Estimate) -> Result<(), Denial> {
        let now = Instant::now();
        match &mut self.standing {
            Some(held) => held.change(need, now),
            None => {
                self.standing = Some(self.caller.admit_part(need, now)?);
                Ok(())
            }
        }
    }

    /// The provider tells something: what it tells of is settled when this returns.
    ///
    /// # Errors
    /// When an answer has begun that nobody can pay, or what was used cannot be recorded: then the event must not be
    /// handed on.
    pub fn told(&mut self, event: ServerEvent) -> Result<(), Failure> {
        match event {
            ServerEvent::Session(session) => self.is(*session),
            ServerEvent::ResponseCreated { id, output } => return self.begin(id, output),
            ServerEvent::Delta { response, spoken } => self.spoken(&response, spoken),
            ServerEvent::ResponseDone {
                id,
                status,
                usage,
                kept,
            } => return self.end(id, status.as_deref(), (usage, kept)),
            ServerEvent::Transcribed { item, usage } => return self.written(&item, usage),
            ServerEvent::Error => self.doubtful = (self.doubtful + 1).min(self.asked.len()),
            ServerEvent::Other => {}
        }
        Ok(())
    }

    /// The client wants the session to become so: what makes it dearer counts at once, what makes it cheaper once the
    /// provider has agreed.
    pub fn expects(&mut self, said: Session) {
        let before = self.context.session().bytes_per_second;
        let slower = said
            .bytes_per_second
            .filter(|said| before.is_none_or(|before| *said < before));
        self.is(Session {
            transcriber: said.transcriber,
            bytes_per_second: slower,
            ..Session::default()
        });
    }

    fn is(&mut self, session: Session) {
        let (target, catalog) = (&self.target, &self.arrival.snapshot.catalog);
        let price = |name: &str| -> Option<Price> { target.provider.facts(catalog, name)?.price.clone() };
        self.context.is(session, price);
    }

    fn begin(&mut self, id: Text, output: Output) -> Result<(), Failure> {
        if self.open.len() >= MAX_OPEN {
            let message = format!("the provider has begun more than {MAX_OPEN} answers at once");
            return Err(Failure::new(FailureKind::Provider, message));
        }
        let held = self.asked.pop_front().or_else(|| self.standing.take());
        self.doubtful = self.doubtful.min(self.asked.len());
        let held = match held {
            Some(held) => held,
            // The provider has begun by itself, without having heard anything new.
            None => {
                let need = self.context.estimate(output, 0);
                self.caller
                    .admit_part(need, Instant::now())
                    .map_err(admit::denied)?
            }
        };
        let ticket = self.ticket(&id, held, &self.target);
        self.context.answers();
        self.open.push(Answer {
            id,
            ticket,
            spoken: Spoken::default(),
        });
        Ok(())
    }

    fn spoken(&mut self, id: &Text, spoken: Spoken) {
        let Some(answer) = self.open.iter_mut().find(|answer| answer.id == *id) else {
            return;
        };
        answer.ticket.facts.first_content.get_or_insert_with(Instant::now);
        answer.spoken.tokens = answer.spoken.tokens.saturating_add(spoken.tokens);
        answer.spoken.audio = answer.spoken.audio.saturating_add(spoken.audio);
    }

    fn end(
        &mut self,
        id: Text,
        status: Option<&str>,
        (told, kept): (Option<Usage>, bool),
    ) -> Result<(), Failure> {
        let answer = match self.open.iter().position(|answer| answer.id == id) {
            Some(at) => self.open.swap_remove(at),
            None if self.ended.contains(&id) => return Ok(()),
            // An answer whose beginning was not told: it is owed all the same.
            None => Answer {
                ticket: self.ticket(&id, self.caller.owe(Instant::now()), &self.target),
                id,
                spoken: Spoken::default(),
            },
        };
        let mut usage = told.unwrap_or_else(|| self.context.broken_off(answer.spoken));
        if let (Some(told), true) = (&told, kept) {
            self.context.answered(told);
        }
        usage.units.milliseconds_in = self.context.take_unpaid();
        if self.ended.len() >= MAX_ENDED {
            self.ended.pop_front();
        }
        self.ended.push_back(answer.id.clone());
        let outcome = match status {
            Some("failed") => Outcome::ProviderFailed,
            Some("cancelled") => Outcome::Cancelled,
            _ => Outcome::Complete,
        };
        settle(answer.ticket, outcome, (usage, told.is_none()))
    }

    fn written(&mut self, (item, index): &(Text, u64), told: Option<Usage>) -> Result<(), Failure> {
        self.context.written();
        let mut target = self.target.clone();
        if let Some((name, _)) = &self.context.session().transcriber {
            let facts = target.provider.facts(&self.arrival.snapshot.catalog, name);
            target.price = facts.and_then(|facts| facts.price.clone());
            target.model = name.to_string();
        }
        let id = format!("{item}.{index}");
        if self.ended.iter().any(|ended| *ended == id.as_str()) {
            return Ok(());
        }
        let ticket = self.ticket(&id, self.caller.owe(Instant::now()), &target);
        self.ended.push_back(id.into());
        settle(
            ticket,
            Outcome::Complete,
            (told.unwrap_or_default(), told.is_none()),
        )
    }

    /// A ticket for a part of the session, by the id that the provider gave it.
    fn ticket(&self, id: &str, held: Reservation, target: &Target) -> Ticket {
        let mut ticket = Ticket::new(&self.worker, &self.arrival, Arc::clone(&self.caller), held);
        let id: String = id.chars().take(MAX_ID).collect();
        ticket.facts.id = format!("{}/{id}", self.arrival.id);
        ticket.facts.started = Instant::now();
        ticket.facts.model_requested.clone_from(&self.model);
        ticket.facts.streamed = true;
        ticket.asking(target, target.model.clone(), self.context.prompt());
        let provider = &target.provider;
        let entrance = provider.gate.before(&self.caller, &provider.name);
        ticket.entered(entrance.owe(&target.model));
        ticket
    }

    /// The session is over: what had begun is charged as far as it came, what was set aside comes back. The time of
    /// sound that nothing has paid for yet, in milliseconds.
    pub fn close(&mut self, outcome: Outcome) -> u64 {
        for answer in std::mem::take(&mut self.open) {
            let usage = self.context.broken_off(answer.spoken);
            // Nobody is left to be told of a journal that cannot be written; it has been logged.
            let _ = settle(answer.ticket, outcome, (usage, true));
        }
        self.asked.clear();
        self.standing = None;
        self.context.take_unpaid()
    }
}

fn settle(mut ticket: Ticket, outcome: Outcome, (usage, estimated): (Usage, bool)) -> Result<(), Failure> {
    // All of its time was the provider's.
    ticket.facts.waited = ticket.facts.started.elapsed();
    let ending = Ending {
        outcome,
        status: 200,
        usage,
        estimated,
        error: None,
    };
    ticket
        .settle(&ending)
        .map(drop)
        .map_err(|refusal| refusal.failure)
}
