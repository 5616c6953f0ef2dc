//! Has somebody who may share the answer asked the same in other words?
//!
//! Looked at only where the same request has no answer. The question is the last message; everything else must be equal.
//! What is bound to its moment, to chance, to tools or to media is not looked up, and whatever keeps a question from
//! being understood in time is a miss.

use std::sync::Arc;
use std::time::{Duration, Instant};

use pointsman_cache::{Bound, Found, Lookup, Question, bound};
use pointsman_semantics::service::Refused;
use pointsman_understanding::{Ask, Failed, Nobody};
use pointsman_wire::form::{ChatRequest, PartKind, Role};

use super::super::Arrival;
use super::super::arrive::Asked;
use super::answers::Pointer;
use super::key::{self, Keys};
use super::remote::now;
use super::{Kept, Recalled, answers};
use crate::snapshot::{CachePolicy, SemanticPolicy};
use crate::worker::Worker;

/// How many of the nearest of a back end are looked at.
const CANDIDATES: usize = 8;
/// From here on answers are meant to differ.
const CALM: f64 = 1.0;
/// By these fields of a request its provider looks things up.
const SEARCHES: [&str; 2] = ["web_search_options", "search_parameters"];

/// What came of looking.
#[derive(Default)]
pub struct Looked {
    /// The answer.
    pub found: Option<Recalled>,
    /// The question, to remember its answer by.
    pub question: Option<Question>,
}

/// Looks for an answer to a question that asks the same.
pub async fn find(
    (worker, arrival): (&Arc<Worker>, &Arrival),
    policy: &CachePolicy,
    asked: &Asked,
    keys: &Keys,
) -> Looked {
    let Some(semantic) = &policy.semantic else {
        return Looked::default();
    };
    let counters = worker.shared.telemetry.metrics().caches();
    let question = match eligible(&asked.request, semantic, keys.of_many) {
        // Two placeholders are alike, and who or what they stand for is not.
        Ok(_) if asked.placeholders.is_used() => Err("personal"),
        Ok(text) => understood((worker, arrival), semantic, text, keys).await,
        Err(reason) => Err(reason),
    };
    let question = match question {
        Ok(question) => question,
        Err(reason) => {
            counters.bypassed(reason);
            return Looked::default();
        }
    };
    let lookup = Lookup {
        point: semantic.point,
        max_age: asked.controls.max_age,
    };
    let found = worker
        .shared
        .cache
        .semantic
        .find(&question, lookup, Instant::now());
    let found = match found {
        Some(found) => Some(found),
        None => beside(worker, &question, lookup).await,
    };
    let least = semantic.least.unwrap_or(f32::NEG_INFINITY);
    let found = found.filter(|found| found.similarity >= least);
    let found = found.filter(|_| {
        if semantic.shadow {
            counters.found("shadow");
        }
        !semantic.shadow
    });
    let found = match found {
        Some(found) => fetched(worker, asked, found).await,
        None => None,
    };
    Looked {
        found,
        question: Some(question),
    }
}

/// What the back end finds, where it finds questions by nearness: it says which are near, and which is the same is told here.
async fn beside(worker: &Worker, question: &Question, lookup: Lookup) -> Option<Found<Pointer>> {
    let cache = &worker.shared.cache;
    let remote = cache.remote.as_ref().filter(|remote| remote.finds())?;
    let (partition, _) = question.place();
    let near = remote.near(partition, question.vector(), CANDIDATES).await;
    near.into_iter().find_map(|note| {
        let age = now().saturating_sub(note.at);
        let is_old = |most| Duration::from_millis(age) > most;
        if note.partition != partition || note.ttl <= age || lookup.max_age.is_some_and(is_old) {
            return None;
        }
        let similarity = cache
            .semantic
            .alike(question, (&note.text, &note.vector), lookup.point)?;
        let pointer = Pointer {
            entry: note.entry,
            labels: Arc::new(note.labels),
            answer: None,
        };
        Some(Found {
            value: Arc::new(pointer),
            similarity,
        })
    })
}

/// The answer that was found, which another replica may have given.
async fn fetched(worker: &Worker, asked: &Asked, found: Found<Pointer>) -> Option<Recalled> {
    let cache = &worker.shared.cache;
    let entry = found.value.entry;
    let answer = match &found.value.answer {
        Some(answer) => Arc::clone(answer),
        None => match cache
            .exact
            .get_again(&entry, Instant::now())
            .as_deref()
            .and_then(Kept::answer)
        {
            Some(answer) => Arc::clone(answer),
            None => cache.elsewhere(entry).await?.answer,
        },
    };
    // It may have been given anew, or earlier than the question was heard of.
    asked.controls.allow(answer.stored.elapsed()).then_some(Recalled {
        answer,
        similarity: Some(found.similarity),
    })
}

/// The words of a question that may have the answer of another; else why not.
fn eligible<'r>(
    request: &'r ChatRequest,
    semantic: &SemanticPolicy,
    of_many: bool,
) -> Result<&'r str, &'static str> {
    let searches = SEARCHES.iter().any(|field| request.extra.get(field).is_some());
    if !request.tools.is_empty() || searches {
        return Err("tools");
    }
    let parts = || request.messages.iter().flat_map(|message| &message.parts);
    let is_tool = |kind: &PartKind| {
        matches!(
            kind,
            PartKind::ToolCall(_) | PartKind::ToolResult(_) | PartKind::Opaque { .. }
        )
    };
    let by_tool = request.messages.iter().any(|message| message.role == Role::Tool);
    if by_tool || parts().any(|part| is_tool(&part.kind)) {
        return Err("tools");
    }
    let is_medium = |kind: &PartKind| {
        matches!(
            kind,
            PartKind::Image(_) | PartKind::Document(_) | PartKind::Audio(_) | PartKind::Video(_)
        )
    };
    if parts().any(|part| is_medium(&part.kind)) {
        return Err("media");
    }
    let sampling = &request.sampling;
    let heat = sampling.temperature.as_ref().and_then(serde_json::Number::as_f64);
    if heat.is_some_and(|heat| heat > CALM) || sampling.n.is_some_and(|n| n > 1) {
        return Err("chance");
    }
    let text = key::question(request).ok_or("no_question")?;
    if text.len() > semantic.longest {
        return Err("long");
    }
    match bound(text, of_many) {
        None => Ok(text),
        Some(Bound::Time) => Err("time"),
        Some(Bound::Personal) => Err("personal"),
        Some(Bound::Chance) => Err("chance"),
    }
}

/// The question, understood in time; else why not.
async fn understood(
    (worker, arrival): (&Arc<Worker>, &Arrival),
    semantic: &SemanticPolicy,
    text: &str,
    keys: &Keys,
) -> Result<Question, &'static str> {
    let understanding = &arrival.snapshot.understanding;
    if !answers::understands(&worker.shared, understanding) {
        return Err("loading");
    }
    let counters = worker.shared.telemetry.metrics().understandings();
    let (shared, ask) = (Arc::from(text), Ask::embedding());
    let read = understanding.read(&shared, &ask, &Nobody);
    let read = match tokio::time::timeout(semantic.deadline, read).await {
        Ok(Ok(read)) => read,
        Ok(Err(Failed::Refused(Refused::Full))) => return Err("full"),
        Ok(Err(Failed::Refused(Refused::Late))) | Err(_) => return Err("late"),
        Ok(Err(_)) => return Err("failed"),
    };
    counters.took(read.took);
    counters.answered("embedding", "encoder");
    let vector = read.embedding.unwrap_or_default();
    let place = (keys.partition, keys.owner);
    let question = worker.shared.cache.semantic.question(place, text, vector);
    question.ok_or("loading")
}
