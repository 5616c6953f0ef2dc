//! Stage *recall*: has this been answered before, for somebody who may share the answer?

use std::hash::Hash;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pointsman_cache::{CacheKey, KeyBuilder, Scope};
use pointsman_catalog::Money;
use pointsman_wire::form::{ChatRequest, ChatResponse, Failure, FailureKind, Usage};

use super::arrive::Asked;
use super::{Arrival, Ticket};
use crate::snapshot::Snapshot;
use crate::worker::Worker;

/// An answer worth giving again.
pub struct Remembered {
    /// The answer, in no particular format.
    pub response: ChatResponse,
    /// Provider and model that gave it.
    pub provider: String,
    /// The provider's name of the model.
    pub model: String,
    /// What it cost.
    pub cost: Money,
    /// When.
    pub stored: Instant,
}

impl Remembered {
    /// An answer just given by the target that `ticket` asked last, `usage` of it.
    pub fn new(response: ChatResponse, ticket: &Ticket, usage: &Usage) -> Self {
        let asked = ticket.facts.asked.as_ref();
        Self {
            cost: ticket.cost(usage),
            response,
            provider: asked.map(|asked| asked.provider.clone()).unwrap_or_default(),
            model: asked.map(|asked| asked.model.clone()).unwrap_or_default(),
            stored: Instant::now(),
        }
    }
}

/// Looks the request up.
///
/// # Errors
/// 504 (OpenAI has no better) when the client wants only a cached answer and there is none.
pub fn look_up(
    worker: &Worker,
    arrival: &Arrival,
    asked: &mut Asked,
    ticket: &mut Ticket,
) -> Result<Option<Arc<Remembered>>, Failure> {
    // Computed once: later stages may edit the request, and the answer belongs to what was asked.
    asked.cache_key = key_of(arrival, asked, ticket);
    let Some(key) = &asked.cache_key else {
        return Ok(None);
    };
    ticket.facts.cache = "miss";
    if asked.controls.no_cache {
        ticket.facts.cache = "bypass";
        return Ok(None);
    }
    let found = worker.shared.cache.get(key, Instant::now());
    let fresh = found.filter(|found| {
        asked
            .controls
            .max_age
            .is_none_or(|age| found.stored.elapsed() <= age)
    });
    if fresh.is_some() {
        ticket.facts.cache = "exact";
    } else if asked.controls.only_if_cached {
        return Err(Failure::new(
            FailureKind::ProviderTimeout,
            "only a cached answer was asked for, and there is none",
        ));
    }
    Ok(fresh)
}

/// Where and how long an answer is remembered.
pub struct Place {
    /// Under which key.
    pub key: CacheKey,
    /// The client does not want it remembered.
    pub no_store: bool,
    /// The client's own limit of its life.
    pub ttl: Option<Duration>,
}

/// Remembers an answer, if it may be.
pub fn keep(snapshot: &Snapshot, ticket: &Ticket, place: &Place, remembered: Remembered) {
    let Some(policy) = snapshot.cache else { return };
    if place.no_store {
        return;
    }
    let ttl = place.ttl.unwrap_or(policy.ttl).min(policy.ttl);
    let cost = size_of_answer(&remembered.response);
    ticket
        .worker()
        .shared
        .cache
        .put(place.key, Arc::new(remembered), cost, ttl, Instant::now());
}

/// The key under which an answer is remembered; none when the request is not to be remembered.
fn key_of(arrival: &Arrival, asked: &Asked, ticket: &Ticket) -> Option<CacheKey> {
    let policy = arrival.snapshot.cache?;
    let mut key = KeyBuilder::new();
    let caller = ticket.caller();
    match policy.scope {
        Scope::Shared => key.field("shared", b""),
        Scope::Organization | Scope::Team if caller.team.is_some() => key.field(
            "team",
            caller.team.as_ref().map_or("", |team| team.as_str()).as_bytes(),
        ),
        Scope::User if caller.user.is_some() => key.field(
            "user",
            caller.user.as_ref().map_or("", |user| user.as_str()).as_bytes(),
        ),
        // A key without team or user is a scope of its own.
        _ => key.field(
            "key",
            caller
                .key
                .as_ref()
                .map_or("anonymous", |id| id.as_str())
                .as_bytes(),
        ),
    };
    meaning(&asked.request, &mut key);
    Some(key.finish())
}

/// Everything that changes the answer, and nothing that does not (streaming, the user's name).
fn meaning(request: &ChatRequest, key: &mut KeyBuilder) {
    struct Fields<'a>(&'a mut KeyBuilder);
    impl std::hash::Hasher for Fields<'_> {
        fn finish(&self) -> u64 {
            0
        }
        fn write(&mut self, bytes: &[u8]) {
            self.0.raw(bytes);
        }
    }
    let mut fields = Fields(key);
    request.model.hash(&mut fields);
    request.messages.hash(&mut fields);
    request.tools.hash(&mut fields);
    request.tool_choice.hash(&mut fields);
    request.parallel_tool_calls.hash(&mut fields);
    request.sampling.hash(&mut fields);
    request.reasoning.hash(&mut fields);
    request.response_format.hash(&mut fields);
    request.service_tier.hash(&mut fields);
    request.extra.hash(&mut fields);
}

/// About how many bytes an answer takes.
fn size_of_answer(response: &ChatResponse) -> usize {
    let mut bytes = 512;
    pointsman_wire::text::response_texts(response, |_, text| bytes += text.len() + 64);
    bytes
}
