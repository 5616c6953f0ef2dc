//! Copies of requests to another model (`shadow_dispatch`): taken of a request as it is sent, with what guardrails have left
//! of it; sent once the client has its answer; and compared with that answer. Questions to a model how good an answer was
//! (`llm_judge`, `judge.rs`) go the same way.
//!
//! The client never waits for its copy, and never sees anything of it. A copy that has no room is let go and counted. Each
//! that is sent is a request of its own in the ledger (`.shadow1`), paid for by the caller or by the key that the decision
//! names.

pub mod judge;
mod owner;
mod turns;

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::HeaderMap;
use pointsman_catalog::Money;
use pointsman_governance::{IdentifyError, Principal, Wanted};
use pointsman_routing::Shadow;
use pointsman_store::{KeyId, Outcome};
use pointsman_telemetry::Shadows;
use pointsman_understanding::{Nobody, SHIPPED};
use pointsman_upstream::{RetryConfig, RetryPolicy};
use pointsman_wire::form::{ChatResponse, Failure, FailureKind, Usage};
use pointsman_wire::text;

use super::arrive::Asked;
use super::decide::{Plan, Step};
use super::settle::Ending;
use super::{Arrival, Standing, Ticket, admit, guard, identify, recover, relay, send};
use crate::experience::Shadowed;
use crate::snapshot::{Fallback, Model};
use crate::worker::Worker;

pub use owner::{Desk, Owner, desk};
pub use turns::Lanes;

use judge::Judging;
use owner::Job;

/// What metrics and ledger call the surface of a copy.
const SURFACE: &str = "shadow";
/// The same, of a question how good an answer was.
const JUDGE: &str = "judge";
/// Bytes of two answers that are compared, the first.
const COMPARED: usize = 8 * 1024;
/// How long the comparison may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Headers of the client's that change what a provider makes of a body, and say nothing of who asks.
const HEADERS: [&str; 3] = ["anthropic-version", "anthropic-beta", "openai-beta"];

/// A copy of a request, until it is known what the client got.
pub struct Duplicate {
    arrival: Arrival,
    asked: Asked,
    shadow: Shadow,
    /// What the client got: its beginning.
    answer: String,
    /// That is to be judged, rather than compared.
    judging: Option<Judging>,
}

/// What came of the request that a copy is of.
pub struct Original {
    id: String,
    decision: String,
    caller: Arc<Principal>,
}

/// Takes a copy of a request that is about to be sent. Only of requests of clients: lines of batches are sent again where
/// they are given up.
pub fn take(arrival: &Arrival, asked: &mut Asked, shadow: &Shadow, ticket: &mut Ticket) {
    if arrival.standing != Standing::Awaited {
        return;
    }
    let duplicate = copied((arrival, asked), shadow, ticket);
    asked.captures = asked.captures.or(Some(COMPARED));
    ticket.facts.duplicates.push(duplicate);
}

fn copied((arrival, asked): (&Arrival, &Asked), shadow: &Shadow, ticket: &Ticket) -> Duplicate {
    let mut copy = asked.instead(asked.request.clone());
    copy.place = None;
    copy.answer_id = None;
    copy.captures = None;
    copy.suspicion = None;
    copy.check = None;
    copy.beside = None;
    // Nobody would answer its calls.
    if copy.omitted.take().is_some() {
        recover::withdraw(&mut copy.request);
    }
    copy.longest = Some(shadow.longest);
    let goes = |name: &str| shadow.headers.iter().any(|known| known == name);
    copy.header_edits.retain(|(name, _)| goes(name.as_str()));
    // What guardrails of the caller's own say holds, whoever pays.
    let own = ticket.caller().guardrails().map(str::to_owned);
    copy.decided_guards.extend(own);
    let mut arrival = arrival.clone();
    arrival.headers = plain(&arrival.headers);
    Duplicate {
        arrival,
        asked: copy,
        shadow: shadow.clone(),
        answer: String::new(),
        judging: None,
    }
}

/// Headers without anything that says who asks.
fn plain(headers: &HeaderMap) -> HeaderMap {
    let mut plain = HeaderMap::new();
    for name in HEADERS {
        for value in headers.get_all(name) {
            plain.append(name, value.clone());
        }
    }
    plain
}

impl Duplicate {
    /// Keeps what the client got.
    pub fn answered(&mut self, text: &str) {
        let most = self.judging.as_ref().map_or(COMPARED, |judging| judging.shown);
        self.answer = beginning(text, most).to_owned();
    }

    /// Whether it is sent, as the request that it is of has ended. There is nothing to judge where nothing was said.
    fn goes(&self, outcome: Outcome) -> bool {
        match (outcome, &self.judging) {
            (Outcome::Complete, Some(_)) => !self.answer.trim().is_empty(),
            (Outcome::Complete | Outcome::ProviderFailed, None) => true,
            _ => false,
        }
    }

    fn surface(&self) -> &'static str {
        if self.judging.is_some() { JUDGE } else { SURFACE }
    }

    fn counters<'a>(&self, worker: &'a Worker) -> &'a Shadows {
        let metrics = worker.shared.telemetry.metrics();
        match &self.judging {
            Some(_) => metrics.judges(),
            None => metrics.shadows(),
        }
    }
}

/// Hands the copy of a request that is settled to whoever sends it. Never waits.
pub fn settled(ticket: &mut Ticket, ending: &Ending) {
    for duplicate in std::mem::take(&mut ticket.facts.duplicates) {
        if !duplicate.goes(ending.outcome) {
            continue;
        }
        let original = Original {
            id: ticket.facts.id.clone(),
            decision: ticket.facts.decision.clone().unwrap_or_default(),
            caller: ticket.shared_caller(),
        };
        ticket.worker().copies.hand(ticket.worker(), duplicate, original);
    }
}

/// Sends a copy whose turn it is, and compares. What came of it, as it is counted.
async fn run(worker: &Arc<Worker>, job: &mut Job) -> &'static str {
    let sent = match prepare(worker, job).await {
        Ok((plan, ticket)) => ask(worker, job, plan, ticket).await,
        Err(why) => return why,
    };
    let (result, mut came, said) = sent;
    if job.duplicate.judging.is_some() {
        return judge::heard(worker, job, (result, said));
    }
    if let Some(said) = said {
        came.similarity = likeness(job, &said).await;
        let kept = job.duplicate.shadow.captured;
        came.answer = kept.map(|most| beginning(&said, most).to_owned());
    }
    let likeness = came.similarity;
    worker.shared.telemetry.metrics().shadows().compared(likeness);
    worker.shared.experience.shadowed(job.original.id.clone(), came);
    result
}

/// Whoever pays admits it, and the model's own guardrails see it.
async fn prepare(worker: &Arc<Worker>, job: &mut Job) -> Result<(Plan, Ticket), &'static str> {
    let payer = payer(worker, job).await?;
    let surface = job.duplicate.surface();
    judge::ask(&mut job.duplicate).map_err(|_| "failed")?;
    let Duplicate {
        arrival,
        asked,
        shadow,
        ..
    } = &mut job.duplicate;
    let plan = plan(arrival, shadow, &job.original.caller)?;
    let estimate = admit::planned(&arrival.snapshot, asked, &plan);
    let ticket = match payer {
        // As a part of the request that it is a copy of: it takes no place of its caller's, and counts as no request.
        None => {
            let caller = Arc::clone(&job.original.caller);
            let admitted = admit::part(&arrival.snapshot, &caller, asked, &plan);
            admitted.map(|reservation| Ticket::new(worker, arrival, caller, reservation))
        }
        Some(payer) => admit::admit_at(worker, arrival, payer, (&shadow.model, estimate)).await,
    };
    let mut ticket = ticket.map_err(|failure| {
        tracing::debug!(error = %failure.message, "a copy of a request is not sent: there is no room for it");
        "denied"
    })?;
    let facts = &mut ticket.facts;
    facts.id = format!("{}.{surface}1", job.original.id);
    facts.started = Instant::now();
    facts.surface = surface;
    facts.decision = Some(job.original.decision.clone());
    facts.model_requested.clone_from(&shadow.model);
    facts.streamed = false;
    if let Err(failure) = guard::decided(arrival, asked, Some(&plan), &mut ticket).await {
        // It is noted in the ledger; there is nobody to be told.
        drop(ticket.refuse(failure));
        return Err("blocked");
    }
    Ok((plan, ticket))
}

/// The key that pays; none where the caller does.
async fn payer(worker: &Arc<Worker>, job: &Job) -> Result<Option<Arc<Principal>>, &'static str> {
    let Some(id) = &job.duplicate.shadow.payer else {
        return Ok(None);
    };
    let keys = &worker.shared.keys;
    let mut found = keys.claimed(id);
    if matches!(found, Err(IdentifyError::Unread)) {
        let wanted = Wanted::Id(KeyId::from(id.clone()));
        // Whether it is known now is asked next.
        drop(identify::look_up(worker, wanted).await);
        found = keys.claimed(id);
    }
    match found {
        Ok((payer, _)) => Ok(Some(payer)),
        Err(error) => {
            tracing::warn!(key = %id, ?error, "copies of requests are not sent: the key that shall pay cannot");
            Err("no_payer")
        }
    }
}

/// The model alone, at those of its targets that may answer the caller, and tried as often as the decision says.
fn plan(arrival: &Arrival, shadow: &Shadow, caller: &Principal) -> Result<Plan, &'static str> {
    let model = arrival.snapshot.resolve(&shadow.model).map_err(|_| "failed")?;
    let may = |name: &str| caller.allows_all_providers() || caller.allows_provider(name);
    let targets = model.targets.iter();
    let targets: Vec<_> = targets
        .filter(|target| target.agent.is_none() && may(&target.provider.name))
        .cloned()
        .collect();
    if targets.is_empty() {
        return Err("not_allowed");
    }
    let retry = RetryConfig {
        attempts: shadow.retries + 1,
        ..RetryConfig::default()
    };
    let alone = Model {
        name: model.name.clone(),
        targets,
        balance: Arc::clone(&model.balance),
        retry: RetryPolicy::compile(&retry).ok().map(Arc::new),
        fallback: Fallback::default(),
        guardrails: Arc::clone(&model.guardrails),
        agent: None,
        meets_agents: false,
    };
    Ok(Plan {
        steps: vec![Step::plain(Arc::new(alone))],
        policy: None,
    })
}

/// What came of it, as it is counted and as it is kept, and what was said.
type Came = (&'static str, Shadowed, Option<String>);

async fn ask(worker: &Arc<Worker>, job: &Job, plan: Plan, mut ticket: Ticket) -> Came {
    let Duplicate {
        arrival,
        asked,
        shadow,
        ..
    } = &job.duplicate;
    let sending = Box::pin(send::read(worker, arrival, asked, plan, &mut ticket));
    let read = tokio::time::timeout(Duration::from_secs(shadow.seconds), sending).await;
    match read {
        Ok(Ok(response)) => answered((arrival, asked), *response, ticket).await,
        Ok(Err(failure)) => {
            let ending = ticket.refusal(&failure);
            failed("failed", failure, ending, ticket)
        }
        Err(_) => {
            let failure = Failure::new(FailureKind::ProviderTimeout, "the copy was not answered in time");
            let ending = Ending {
                usage: ticket.at_stake(),
                estimated: true,
                ..ticket.refusal(&failure)
            };
            failed("late", failure, ending, ticket)
        }
    }
}

/// What nobody answered.
fn failed(result: &'static str, failure: Failure, ending: Ending, ticket: Ticket) -> Came {
    let came = Shadowed {
        error: Some(failure.message.clone()),
        ..came(&ticket, &ending)
    };
    // There is nobody to be told.
    drop(ticket.withhold(failure, &ending));
    (result, came, None)
}

/// An answer, as the output guardrails leave it.
async fn answered(of: (&Arrival, &Asked), mut response: ChatResponse, mut ticket: Ticket) -> Came {
    let usage = response.usage.unwrap_or_else(|| relay::count(of.1, &response));
    let estimated = response.usage.is_none();
    if let Err(failure) = relay::judge(of, &mut response, &mut ticket).await {
        let ending = Ending {
            usage,
            estimated,
            ..ticket.refusal(&failure)
        };
        return failed("blocked", failure, ending, ticket);
    }
    let ending = Ending::complete(usage, estimated);
    let came = came(&ticket, &ending);
    if ticket.settle(&ending).is_err() {
        return ("failed", came, None);
    }
    let mut said = String::new();
    text::response_texts(&response, |_, text| said.push_str(text));
    ("complete", came, Some(said))
}

fn came(ticket: &Ticket, ending: &Ending) -> Shadowed {
    let asked = ticket.facts.asked.as_ref();
    let cost = if ending.usage == Usage::default() {
        Money::ZERO
    } else {
        ticket.cost(&ending.usage)
    };
    Shadowed {
        model: ticket.facts.model_requested.clone(),
        provider: asked.map(|asked| asked.provider.clone()),
        outcome: ending.outcome.as_str().to_owned(),
        status: ending.status,
        usage: ending.usage,
        cost: cost.nanodollars(),
        latency_us: u64::try_from(ticket.facts.started.elapsed().as_micros()).unwrap_or(u64::MAX),
        ..Shadowed::default()
    }
}

/// How like what is said is to what the client got, by the vectors of the model that ships; none where one of them says
/// nothing, or nobody can tell in time.
async fn likeness(job: &Job, said: &str) -> Option<f64> {
    let got = job.duplicate.answer.trim();
    let said = beginning(said.trim(), COMPARED);
    if got.is_empty() || said.is_empty() {
        return None;
    }
    if got == said {
        return Some(1.0);
    }
    let understanding = &job.duplicate.arrival.snapshot.understanding;
    let texts = vec![Arc::from(got), Arc::from(said)];
    let read = understanding.embed(SHIPPED.name, texts, None, &Nobody);
    let read = tokio::time::timeout(PATIENCE, read).await.ok()?.ok()?;
    let [left, right] = read.vectors.as_slice() else {
        return None;
    };
    let products = left.iter().zip(right).map(|(left, right)| left * right);
    Some(f64::from(products.sum::<f32>()).clamp(-1.0, 1.0))
}

/// At most so many bytes of a text, whole letters.
fn beginning(text: &str, most: usize) -> &str {
    let mut end = most.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn no_copy_says_who_asks() {
        let mut headers = HeaderMap::new();
        for name in [
            "authorization",
            "cookie",
            "x-api-key",
            "x-request-id",
            "anthropic-beta",
        ] {
            headers.insert(name, HeaderValue::from_static("secret"));
        }
        let plain = plain(&headers);
        let names: Vec<_> = plain.keys().map(|name| name.as_str()).collect();
        assert_eq!(names, ["anthropic-beta"]);
    }

    #[test]
    fn letters_are_not_cut() {
        assert_eq!(beginning("aüb", 2), "a");
        assert_eq!(beginning("aüb", 3), "aü");
        assert_eq!(beginning("ab", 9), "ab");
    }
}
