//! What came of a decision, told to selections that learn, to the next turn, and to the record of decisions. Never waits.

use std::time::Instant;

use pointsman_catalog::Money;
use pointsman_routing::selection::Selected;
use pointsman_routing::{Answered, Decided, Memories, Recorded, Replay};
use pointsman_store::{DecisionRow, NewMemory, Outcome, RoutedRequest};
use pointsman_wire::form::{ChatResponse, Usage};
use pointsman_wire::text;

use super::settle::Ending;
use super::{Ticket, enrich, shadow};
use crate::experience::{Came, Judgement, Told, Turn, now};
use crate::kept;

/// What is made of a decision once it is known what came of it.
pub struct Routed {
    /// Its selection goes by outcomes.
    learns: bool,
    /// What the request is about, where outcomes are kept apart by that.
    domain: Option<String>,
    /// All its models.
    models: Vec<String>,
    /// The session, and its turn before.
    session: Option<(String, Option<Turn>)>,
    /// What it went by, where it is recorded.
    recorded: Option<(Recorded, Replay)>,
    /// The model that is asked now.
    model: Option<String>,
    /// What is remembered of the user once there is an answer.
    remembering: Option<Remembering>,
}

/// What is remembered of a user.
pub struct Remembering {
    /// Whose it is.
    pub owner: String,
    /// What they said.
    pub said: String,
    /// Only if they have agreed.
    pub needs_consent: bool,
    /// For so many milliseconds.
    pub lasts: Option<i64>,
    /// Most memories of the user.
    pub most: u32,
    /// What was answered.
    pub answer: Option<String>,
}

impl Routed {
    /// Of a decision; none where nothing is made of it.
    pub fn of(
        decided: &Decided<'_>,
        session: Option<(String, Option<Turn>)>,
        recorded: Option<(Recorded, Replay)>,
    ) -> Option<Box<Self>> {
        if !decided.follow.learns && session.is_none() && recorded.is_none() {
            return None;
        }
        let name = |selected: &Selected| selected.model.clone();
        let all = decided
            .selected
            .into_iter()
            .chain(decided.fallbacks.iter().copied());
        Some(Box::new(Self {
            learns: decided.follow.learns,
            domain: decided.follow.domain.clone(),
            models: all.map(name).collect(),
            session,
            recorded,
            model: None,
            remembering: None,
        }))
    }

    /// Of nothing but what is remembered.
    fn of_memory() -> Self {
        Self {
            learns: false,
            domain: None,
            models: Vec::new(),
            session: None,
            recorded: None,
            model: None,
            remembering: None,
        }
    }

    /// Whether the text of the answer is wanted.
    fn captures(&self) -> bool {
        let replay = self.recorded.as_ref().map(|(_, replay)| replay);
        self.remembering.is_some() || replay.is_some_and(|replay| replay.response_bytes.is_some())
    }

    /// Keeps what was found in the answer.
    fn found(&mut self, answered: Answered) {
        if let Some((recorded, _)) = &mut self.recorded {
            recorded.answer = Some(answered);
        }
    }

    /// Keeps what was done about memories; their texts only where the request's are kept.
    fn remembered(&mut self, mut memories: Memories) {
        if let Some((recorded, replay)) = &mut self.recorded {
            match replay.request_bytes {
                Some(most) => bounded(&mut memories.texts, most),
                None => memories.texts.clear(),
            }
            recorded.memory = Some(memories);
        }
    }

    /// Keeps the text of the answer, where that is wanted.
    fn answered(&mut self, text: &str) {
        if let Some(remembering) = &mut self.remembering {
            remembering.answer = Some(enrich::cut(text));
        }
        let Some((recorded, replay)) = &mut self.recorded else {
            return;
        };
        let Some(most) = replay.response_bytes else { return };
        let captured = recorded.captured.get_or_insert_default();
        let mut end = most.min(text.len());
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        captured.answer = Some(text[..end].to_owned());
    }
}

impl Ticket {
    /// Has what is said, and what will be answered, remembered.
    pub fn remembers(&mut self, remembering: Remembering) {
        let routed = self
            .facts
            .routed
            .get_or_insert_with(|| Box::new(Routed::of_memory()));
        routed.remembering = Some(remembering);
    }

    /// Notes what was found in the answer.
    pub fn answered(&mut self, answered: Answered) {
        if let Some(routed) = &mut self.facts.routed {
            routed.found(answered);
        }
    }

    /// Notes what was done about memories of the user.
    pub fn remembered(&mut self, memories: Memories) {
        if let Some(routed) = &mut self.facts.routed {
            routed.remembered(memories);
        }
    }

    /// Notes that a model is asked.
    pub fn trying(&mut self, model: &str) {
        if let Some(routed) = &mut self.facts.routed {
            routed.model = Some(model.to_owned());
        }
    }

    /// Notes that the model that was asked gave no answer.
    pub fn gave_up(&mut self) {
        self.facts.running = None;
        let failed = self.facts.routed.as_mut().and_then(|routed| routed.model.take());
        if let Some(model) = failed {
            self.failed_by(model);
        }
    }

    /// What the user says by the next turn of the answer before.
    pub fn overheard(&self, previous: &Turn, opinion: f64) {
        if previous.learns {
            self.worker().shared.experience.overheard(Judgement {
                tenant: self.tenant(),
                request: previous.request.clone(),
                reward: opinion,
            });
        }
    }

    /// Whose requests these are.
    pub fn tenant(&self) -> String {
        kept::tenant(self.caller()).as_str().to_owned()
    }

    fn failed_by(&self, model: String) {
        let Some(routed) = self.facts.routed.as_ref().filter(|routed| routed.learns) else {
            return;
        };
        self.worker().shared.experience.came(Came {
            scope: self.facts.decision.clone().unwrap_or_default(),
            model,
            domain: routed.domain.clone(),
            failed: true,
            ..Came::default()
        });
    }
}

/// At most so many bytes of texts, the first of them whole.
fn bounded(texts: &mut Vec<String>, most: usize) {
    let mut room = most;
    texts.retain(|text| {
        let fits = text.len() <= room;
        if fits {
            room -= text.len();
        }
        fits
    });
}

/// Keeps the text of an answer with its decision, or to be compared with that of a copy, where that is wanted.
pub fn capture(ticket: &mut Ticket, response: &ChatResponse) {
    let facts = &mut ticket.facts;
    let routed = facts.routed.as_mut().filter(|routed| routed.captures());
    if routed.is_none() && facts.duplicates.is_empty() {
        return;
    }
    let mut all = String::new();
    text::response_texts(response, |_, said| all.push_str(said));
    if let Some(routed) = routed {
        routed.answered(&all);
    }
    for duplicate in &mut facts.duplicates {
        duplicate.answered(&all);
    }
}

/// Tells what came of a request that is settled.
pub fn settled(ticket: &mut Ticket, ending: &Ending, cost: Money) {
    let used = ticket.used(&ending.usage);
    if let Some(running) = ticket.facts.running.take()
        && let (Outcome::Complete, Some(first)) = (ending.outcome, ticket.facts.first_content)
    {
        running.answered(first, ending.usage.output, ticket.facts.streamed);
    }
    let routed = ticket.facts.routed.take();
    if let Some(routed) = routed {
        came(ticket, *routed, (ending, used), cost);
    }
    shadow::settled(ticket, ending);
}

/// Tells what came of a decision.
fn came(ticket: &Ticket, mut routed: Routed, (ending, used): (&Ending, Usage), cost: Money) {
    if let Some(remembering) = routed
        .remembering
        .take()
        .filter(|_| ending.outcome == Outcome::Complete)
    {
        remember(ticket, remembering);
    }
    let scope = ticket.facts.decision.clone().unwrap_or_default();
    if let Some(model) = &routed.model {
        learn(ticket, &routed, (&scope, model), ending, cost);
        if let (Some((session, before)), Outcome::Complete) = (&routed.session, ending.outcome) {
            let same = before.as_ref().filter(|before| before.model == *model);
            let turn = Turn {
                request: ticket.facts.id.clone(),
                scope,
                model: model.clone(),
                turns: same.map_or(0, |before| before.turns).saturating_add(1),
                tokens: used.input.saturating_add(used.output),
                learns: routed.learns,
                at: now(),
            };
            let experience = &ticket.worker().shared.experience;
            experience.turned(session.clone(), turn);
        }
    }
    if let Some((recorded, replay)) = routed.recorded {
        record(ticket, (recorded, replay), (ending, used), cost);
    }
}

/// Of a failure after the first word as of one before it; what nobody has judged tells only what it cost and took.
fn learn(ticket: &Ticket, routed: &Routed, (scope, model): (&str, &str), ending: &Ending, cost: Money) {
    if !routed.learns {
        return;
    }
    let experience = &ticket.worker().shared.experience;
    let complete = ending.outcome == Outcome::Complete;
    let failed = ending.outcome == Outcome::ProviderFailed;
    let charged = complete || ending.outcome == Outcome::Cancelled;
    if !charged && !failed {
        return;
    }
    experience.came(Came {
        scope: scope.to_owned(),
        model: model.to_owned(),
        domain: routed.domain.clone(),
        cost: u64::try_from(cost.nanodollars()).ok().filter(|_| charged),
        latency_ms: complete.then(|| ticket.facts.started.elapsed().as_secs_f64() * 1_000.0),
        failed,
    });
    if complete {
        let others = routed.models.iter().filter(|other| *other != model);
        experience.routed(RoutedRequest {
            request: ticket.facts.id.clone(),
            at: now(),
            tenant: ticket.tenant(),
            scope: scope.to_owned(),
            model: model.to_owned(),
            domain: routed.domain.clone(),
            others: others.cloned().collect(),
        });
    }
}

/// Hands over what is to be remembered of a turn that has ended well.
fn remember(ticket: &Ticket, remembering: Remembering) {
    let Some(answer) = remembering.answer.filter(|answer| !answer.is_empty()) else {
        return;
    };
    let at = now();
    let memory = NewMemory {
        id: format!("mem_{}", ticket.facts.id.trim_start_matches("req_")),
        owner: remembering.owner,
        text: format!("User: {}\nAssistant: {answer}", remembering.said),
        at,
        expires_at: remembering.lasts.map(|lasts| at.saturating_add(lasts)),
        needs_consent: remembering.needs_consent,
        most: remembering.most,
    };
    ticket.worker().shared.experience.remember(memory);
}

fn record(
    ticket: &Ticket,
    (recorded, replay): (Recorded, Replay),
    (ending, used): (&Ending, Usage),
    cost: Money,
) {
    let facts = &ticket.facts;
    let caller = ticket.caller();
    let row = DecisionRow {
        number: 0,
        at: now(),
        request: facts.id.clone(),
        key: caller.key.as_ref().map(|key| key.as_str().to_owned()),
        team: caller.team.as_ref().map(|team| team.as_str().to_owned()),
        user: caller.user.as_ref().map(|user| user.as_str().to_owned()),
        decision: recorded.decision.clone(),
        model: recorded.model.clone(),
        outcome: ending.outcome.as_str().to_owned(),
        record: String::new(),
    };
    let since = |then: Instant| u64::try_from(then.duration_since(facts.started).as_micros()).unwrap_or(0);
    let told = Told {
        row,
        recorded,
        usage: used,
        cost: cost.nanodollars(),
        latency_us: since(Instant::now()),
        ttft_us: facts.first_content.map(since),
        shadow: None,
    };
    let experience = &ticket.worker().shared.experience;
    experience.decided(told, replay.max_records);
}
