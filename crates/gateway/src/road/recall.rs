//! Stage *recall*: has this been answered before, for somebody who may share the answer?
//!
//! First the same request to the letter; then, while the same is under way, its answer is waited for; then what other
//! processes have kept ([`remote`]); last a question that asks the same in other words ([`alike`]). Where the cache is off,
//! this stage does nothing.

mod alike;
mod answers;
mod decided;
mod kept;
mod key;
mod pieces;
mod refresh;
mod remote;

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use pointsman_cache::{CacheKey, Flight, Joined, Labels, Question, Waited};
use pointsman_catalog::Money;
use pointsman_routing::{Caching, Retention};
use pointsman_wire::form::{ChatResponse, Failure, FailureKind, Usage};
use pointsman_wire::keep;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::arrive::Asked;
use super::{Arrival, Ticket};
use crate::server::Shared;
use crate::snapshot::CachePolicy;
use crate::worker::Worker;
use key::Keys;

pub use answers::{Answers, warm};
pub use kept::{Kept, Piece, Said};
pub use pieces::{Found, Pieces};
pub use remote::{connect, tell};

/// How many leaders that are gone a request waits for, one after another.
const LEADERS: usize = 3;

/// Loads what questions are understood with, and takes over what other replicas tell. Must be called within a runtime.
pub fn start(shared: &Arc<Shared>, stopped: &watch::Receiver<bool>) -> Option<JoinHandle<()>> {
    warm(shared);
    remote::start_following(shared, stopped)
}

/// An answer worth giving again.
pub struct Remembered {
    /// The answer, in no particular format, in memory of its own.
    pub response: ChatResponse,
    /// Provider and model that gave it.
    pub provider: String,
    /// The provider's name of the model.
    pub model: String,
    /// What it cost.
    pub cost: Money,
    /// What it is known by.
    pub labels: Arc<Labels>,
    /// How long it is fresh. Past that it may still be given, while it is asked for anew.
    pub fresh: Duration,
    /// When.
    pub stored: Instant,
}

impl Remembered {
    /// An answer just given by the target that `ticket` asked last, `usage` of it, for this place.
    fn new(response: ChatResponse, ticket: &Ticket, usage: &Usage, place: &Place) -> Self {
        let asked = ticket.facts.asked.as_ref();
        Self {
            labels: Arc::new(labels(ticket, &place.tags)),
            fresh: place.ttl,
            cost: ticket.cost(usage),
            response,
            provider: asked.map(|asked| asked.provider.clone()).unwrap_or_default(),
            model: asked.map(|asked| asked.model.clone()).unwrap_or_default(),
            stored: Instant::now(),
        }
    }
}

/// What an answer is known by.
fn labels(ticket: &Ticket, tags: &[String]) -> Labels {
    let (caller, facts) = (ticket.caller(), &ticket.facts);
    let mut models = vec![facts.model_requested.clone()];
    models.extend(facts.asked.as_ref().map(|asked| asked.model.clone()));
    models.dedup();
    Labels {
        key: caller.key.as_ref().map(|id| id.as_str().to_owned()),
        user: caller.user.as_ref().map(|id| id.as_str().to_owned()),
        team: caller.team.as_ref().map(|id| id.as_str().to_owned()),
        organization: caller.organization.as_ref().map(|id| id.as_str().to_owned()),
        models,
        tags: tags.to_vec(),
    }
}

/// A remembered answer, as it is given.
#[derive(Clone)]
pub struct Recalled {
    /// The answer.
    pub answer: Arc<Remembered>,
    /// How near its question is, where that is another.
    pub similarity: Option<f32>,
}

/// Where and how long an answer is remembered, and who waits for it.
pub struct Place {
    key: CacheKey,
    /// How long in the exact cache.
    ttl: Duration,
    /// How long past that.
    stale: Duration,
    /// How long it is remembered that it was refused.
    errors: Duration,
    /// What the client calls the answer.
    tags: Vec<String>,
    /// The question, and how long its answer is remembered by it.
    question: Option<(Mutex<Option<Question>>, Duration)>,
    /// Those who ask the same meanwhile.
    flight: Option<Flight<Recalled>>,
}

/// Looks the request up; where the same is under way, waits for its answer.
///
/// # Errors
/// 504 (OpenAI has no better) when the client wants only a cached answer and there is none.
pub async fn look_up(
    worker: &Arc<Worker>,
    arrival: &Arrival,
    asked: &mut Asked,
    ticket: &mut Ticket,
) -> Result<Option<Recalled>, Failure> {
    match &arrival.snapshot.cache {
        Some(policy) if !decided::is_decided(arrival, &asked.request.model) => {
            look_up_by(policy, (worker, arrival), asked, ticket).await
        }
        Some(_) | None => Ok(None),
    }
}

/// What was decided of how long the answer is remembered, where it was looked up before that.
pub fn retain(asked: &mut Asked, retention: Retention) {
    asked.controls.no_store |= retention.drop;
    if retention.drop {
        asked.place = None;
    }
    if let Some(ttl) = retention.ttl {
        asked.controls.ttl = Some(asked.controls.ttl.map_or(ttl, |own| own.min(ttl)));
        // Nobody else has it yet.
        if let Some(place) = asked.place.as_mut().and_then(Arc::get_mut) {
            place.ttl = place.ttl.min(ttl);
            place.stale = Duration::ZERO;
            if let Some((_, lasts)) = &mut place.question {
                *lasts = (*lasts).min(ttl);
            }
        }
    }
}

/// Looks a decided request up, where what was decided says how its answers are remembered.
///
/// # Errors
/// As [`look_up`]; 400 when what the client wishes for makes no sense.
pub async fn look_up_decided(
    worker: &Arc<Worker>,
    arrival: &Arrival,
    asked: &mut Asked,
    ticket: &mut Ticket,
    caching: Option<&Caching>,
) -> Result<Option<Recalled>, Failure> {
    if !decided::is_decided(arrival, &asked.request.model) {
        return Ok(None);
    }
    match decided::policy(arrival, asked, ticket, caching)? {
        Some(policy) => look_up_by(&policy, (worker, arrival), asked, ticket).await,
        None => Ok(None),
    }
}

async fn look_up_by(
    policy: &CachePolicy,
    (worker, arrival): (&Arc<Worker>, &Arrival),
    asked: &mut Asked,
    ticket: &mut Ticket,
) -> Result<Option<Recalled>, Failure> {
    let mut desk = Desk {
        worker,
        policy,
        // Computed once: later stages may edit the request, and the answer belongs to what was asked.
        keys: key::of(policy, arrival, asked, ticket),
    };
    match desk.first(arrival, asked, ticket) {
        First::Bypassed => return Ok(None),
        First::Found(found) => return Ok(Some(found)),
        First::Failed(failure) => return Err(failure),
        First::Missed => {}
    }
    let began = Instant::now();
    let flight = match desk.join(asked).await {
        Flown::Answer(found) => {
            ticket.waited(began.elapsed());
            return Ok(Some(desk.given(found, ticket)));
        }
        Flown::Failed(failure) => return Err(desk.failed(&failure, ticket)),
        Flown::Leads(flight) => Some(flight),
        Flown::Alone => None,
    };
    ticket.waited(began.elapsed());
    if let Some(found) = desk.elsewhere(arrival, asked, ticket).await {
        if let Some(flight) = flight {
            flight.land(found.clone());
        }
        return Ok(Some(desk.given(found, ticket)));
    }
    desk.alike((worker, arrival), asked, ticket, flight).await
}

/// Looks up a line of a batch that its provider will answer: nobody waits for it, and it waits for nobody.
///
/// # Errors
/// As [`look_up`].
pub async fn find(
    worker: &Arc<Worker>,
    arrival: &Arrival,
    asked: &mut Asked,
    ticket: &mut Ticket,
) -> Result<Option<Recalled>, Failure> {
    let Some(policy) = &arrival.snapshot.cache else {
        return Ok(None);
    };
    let mut desk = Desk {
        worker,
        policy,
        keys: key::of(policy, arrival, asked, ticket),
    };
    match desk.first(arrival, asked, ticket) {
        First::Bypassed => Ok(None),
        First::Found(found) => Ok(Some(found)),
        First::Failed(failure) => Err(failure),
        First::Missed => match desk.elsewhere(arrival, asked, ticket).await {
            Some(found) => Ok(Some(desk.given(found, ticket))),
            None => desk.alike((worker, arrival), asked, ticket, None).await,
        },
    }
}

/// A request at the cache.
struct Desk<'a> {
    worker: &'a Arc<Worker>,
    policy: &'a CachePolicy,
    keys: Keys,
}

/// What the first look says.
enum First {
    /// The client does not want to know.
    Bypassed,
    Found(Recalled),
    /// It was refused before, and would be again.
    Failed(Failure),
    Missed,
}

/// What became of joining those who ask the same.
enum Flown {
    Answer(Recalled),
    Failed(Failure),
    Leads(Flight<Recalled>),
    Alone,
}

impl Desk<'_> {
    /// Looks for the same request.
    fn first(&mut self, arrival: &Arrival, asked: &mut Asked, ticket: &mut Ticket) -> First {
        ticket.facts.cache = "miss";
        ticket.facts.cache_key = Some(self.keys.exact);
        let caches = self.worker.shared.telemetry.metrics().caches();
        if asked.controls.no_store {
            caches.bypassed("no_store");
        }
        if asked.controls.no_cache {
            ticket.facts.cache = "bypass";
            caches.bypassed("no_cache");
            asked.place = self.place(asked, None, None);
            return First::Bypassed;
        }
        let found = self
            .worker
            .shared
            .cache
            .exact
            .get(&self.keys.exact, Instant::now());
        match found.as_deref() {
            Some(Kept::Answer(answer)) if asked.controls.allow(answer.stored.elapsed()) => {
                self.freshen(arrival, (asked, ticket), answer);
                let found = Recalled {
                    answer: Arc::clone(answer),
                    similarity: None,
                };
                First::Found(self.given(found, ticket))
            }
            Some(Kept::Failure(failed)) if asked.controls.allow(failed.stored.elapsed()) => {
                First::Failed(self.failed(&failed.failure, ticket))
            }
            _ => First::Missed,
        }
    }

    /// Has an answer that is past its time asked for anew.
    fn freshen(&self, arrival: &Arrival, (asked, ticket): (&Asked, &Ticket), answer: &Remembered) {
        if answer.stored.elapsed() > answer.fresh {
            self.worker.shared.telemetry.metrics().caches().found("stale");
            refresh::start((self.worker, arrival), asked, ticket, self.keys.exact);
        }
    }

    /// Notes that a request is refused as it was before.
    fn failed(&self, failure: &Failure, ticket: &mut Ticket) -> Failure {
        ticket.facts.cache = "exact";
        self.worker.shared.telemetry.metrics().caches().found("failure");
        failure.clone()
    }

    /// Joins those who ask the same: leads them, or waits for the one who does.
    async fn join(&self, asked: &Asked) -> Flown {
        let controls = &asked.controls;
        // Whose answer nobody may see leads nobody; who sets an age wants an answer that is theirs.
        let aside = controls.no_store || controls.only_if_cached || controls.max_age.is_some();
        if aside || self.policy.wait.is_zero() {
            return Flown::Alone;
        }
        let caches = self.worker.shared.telemetry.metrics().caches();
        let until = Instant::now() + self.policy.wait;
        for _ in 0..LEADERS {
            let waiting = match self.worker.shared.cache.flights.join(self.keys.exact) {
                Joined::Leads(flight) => return self.lead(flight),
                Joined::Follows(waiting) => waiting,
            };
            match waiting
                .wait(until.saturating_duration_since(Instant::now()))
                .await
            {
                Waited::Answer(found) => {
                    caches.waited("shared");
                    return Flown::Answer(found);
                }
                Waited::Lost => {}
                Waited::Unfit => break,
                Waited::Late => {
                    caches.waited("late");
                    return Flown::Alone;
                }
            }
        }
        caches.waited("alone");
        Flown::Alone
    }

    /// The leader before may have landed between the look and the joining.
    fn lead(&self, flight: Flight<Recalled>) -> Flown {
        let exact = &self.worker.shared.cache.exact;
        match exact.get_again(&self.keys.exact, Instant::now()).as_deref() {
            Some(Kept::Answer(answer)) => {
                let found = Recalled {
                    answer: Arc::clone(answer),
                    similarity: None,
                };
                flight.land(found.clone());
                Flown::Answer(found)
            }
            Some(Kept::Failure(failed)) => Flown::Failed(failed.failure.clone()),
            _ => Flown::Leads(flight),
        }
    }

    /// Looks where the answers of other processes are.
    async fn elsewhere(&self, arrival: &Arrival, asked: &Asked, ticket: &Ticket) -> Option<Recalled> {
        let found = self.worker.shared.cache.elsewhere(self.keys.exact).await?;
        let is_allowed = asked.controls.allow(found.answer.stored.elapsed());
        let found = is_allowed.then_some(found)?;
        self.freshen(arrival, (asked, ticket), &found.answer);
        Some(found)
    }

    /// Looks for a question that asks the same. What is not found will be remembered.
    async fn alike(
        &mut self,
        at: (&Arc<Worker>, &Arrival),
        asked: &mut Asked,
        ticket: &mut Ticket,
        flight: Option<Flight<Recalled>>,
    ) -> Result<Option<Recalled>, Failure> {
        let looked = alike::find(at, self.policy, asked, &self.keys).await;
        if let Some(found) = looked.found {
            if let Some(flight) = flight {
                flight.land(found.clone());
            }
            return Ok(Some(self.given(found, ticket)));
        }
        self.worker.shared.telemetry.metrics().caches().found("miss");
        if asked.controls.only_if_cached {
            return Err(Failure::new(
                FailureKind::ProviderTimeout,
                "only a cached answer was asked for, and there is none",
            ));
        }
        asked.place = self.place(asked, looked.question, flight);
        Ok(None)
    }

    /// Notes that an answer is given again.
    fn given(&self, found: Recalled, ticket: &mut Ticket) -> Recalled {
        ticket.facts.cache = if found.similarity.is_some() {
            "semantic"
        } else {
            "exact"
        };
        self.worker
            .shared
            .telemetry
            .metrics()
            .caches()
            .found(ticket.facts.cache);
        found
    }

    /// Where the answer is remembered; nowhere, if the client does not want it.
    fn place(
        &self,
        asked: &Asked,
        question: Option<Question>,
        flight: Option<Flight<Recalled>>,
    ) -> Option<Arc<Place>> {
        let most = asked.controls.ttl.unwrap_or(Duration::MAX);
        let semantic = self.policy.semantic.as_ref();
        (!asked.controls.no_store).then(|| {
            Arc::new(Place {
                key: self.keys.exact,
                ttl: self.policy.ttl.min(most),
                stale: self.policy.stale.min(most.saturating_sub(self.policy.ttl)),
                errors: self.policy.errors.min(most),
                tags: asked.controls.tags.clone(),
                question: question
                    .zip(semantic)
                    .map(|(question, semantic)| (Mutex::new(Some(question)), semantic.ttl.min(most))),
                flight,
            })
        })
    }
}

/// Remembers an answer just given by the target that `ticket` asked last, `usage` of it, and gives it to those who wait;
/// unless it was cut, held back or declined.
pub fn keep(ticket: &Ticket, place: &Place, response: &ChatResponse, usage: &Usage) {
    if !keep::is_whole(response) {
        if let Some(flight) = &place.flight {
            flight.part();
        }
        return;
    }
    let (response, bytes) = keep::copied(response);
    let is_text = keep::is_text(&response);
    let remembered = Arc::new(Remembered::new(response, ticket, usage, place));
    let now = remembered.stored;
    let shared = &ticket.worker().shared;
    shared.cache.exact.put(
        place.key,
        Arc::new(Kept::Answer(Arc::clone(&remembered))),
        bytes,
        place.ttl + place.stale,
        now,
    );
    shared
        .cache
        .send(place.key, &remembered, bytes, place.ttl + place.stale);
    if let Some((question, ttl)) = place.question.as_ref().filter(|_| is_text)
        && let Some(question) = question.lock().take()
    {
        answers::remember(shared, question, (place.key, &remembered), (bytes, *ttl));
    }
    if let Some(flight) = &place.flight {
        flight.land(Recalled {
            answer: remembered,
            similarity: None,
        });
    }
}

/// Remembers that a request was refused, if the same would be again.
pub fn keep_failure(ticket: &Ticket, asked: &Asked, failure: &Failure) {
    let place = asked.place.as_ref().filter(|place| !place.errors.is_zero());
    let Some(place) = place.filter(|_| kept::is_deterministic(failure)) else {
        return;
    };
    let labels = Arc::new(labels(ticket, &place.tags));
    let bytes = failure.message.len() + labels.bytes() + size_of::<Failure>();
    let now = Instant::now();
    let failed = kept::Failed {
        failure: failure.clone(),
        labels,
        stored: now,
    };
    let kept = Arc::new(Kept::Failure(failed));
    let cache = &ticket.worker().shared.cache;
    cache.exact.put(place.key, kept, bytes, place.errors, now);
}
