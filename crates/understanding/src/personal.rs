//! Personal data by two sorts of readers: recognisers, which know shapes and check digits, and the model, which knows names
//! and places from what stands around them.

use std::sync::{Arc, OnceLock};

use pointsman_semantics::recognise::{self, Recognisers};
use pointsman_semantics::service::Refused;

use crate::answer::Entity;
use crate::failed::Failed;

/// How sure a recogniser must be.
const LEAST: f32 = 0.5;
/// Bytes of a text that is looked at at once.
const SHORT: usize = 8 * 1024;
/// What only the model tells.
pub const BY_MODEL: [&str; 7] = [
    "PERSON",
    "GPE",
    "LOCATION",
    "ORGANIZATION",
    "STREET_ADDRESS",
    "NRP",
    "TITLE",
];

/// Whether only the model tells something of this name: the kinds that are meant.
#[must_use]
pub fn told_by_model(name: &str) -> Option<&'static [&'static str]> {
    Some(match name {
        "PERSON" => &["PERSON"],
        "GPE" => &["GPE"],
        "LOCATION" => &["GPE", "STREET_ADDRESS"],
        "ORGANIZATION" => &["ORGANIZATION"],
        "STREET_ADDRESS" => &["STREET_ADDRESS"],
        "NRP" => &["NRP"],
        "TITLE" => &["TITLE"],
        _ => return None,
    })
}

fn shipped() -> Option<&'static Recognisers> {
    static SHIPPED: OnceLock<Option<Recognisers>> = OnceLock::new();
    let compiled = SHIPPED.get_or_init(|| {
        let all = recognise::shipped().and_then(Recognisers::compile);
        all.map_err(|error| tracing::error!(%error, "there are no recognisers"))
            .ok()
    });
    compiled.as_ref()
}

/// What the recognisers that ship find in a text.
#[must_use]
pub fn recognised(text: &str) -> Vec<Entity> {
    let Some(recognisers) = shipped() else {
        return Vec::new();
    };
    let found = recognisers.find(text, LEAST);
    let entities = found.iter().map(|one| Entity {
        kind: recognisers.definition(one).entity.clone(),
        start: one.start,
        end: one.end,
        probability: one.score,
        recognised: true,
    });
    entities.collect()
}

/// What recognisers and the model together find in a text; `told` is the model's. A long text is not looked at on the thread
/// that asks.
pub(crate) async fn found(text: &Arc<str>, told: Vec<Entity>) -> Result<Vec<Entity>, Failed> {
    if text.len() <= SHORT {
        return Ok(joined(recognised(text), told));
    }
    let own = Arc::clone(text);
    let found = tokio::task::spawn_blocking(move || joined(recognised(&own), told));
    found.await.map_err(|_| Refused::Failed.into())
}

/// What is found by either. Where they overlap, a recogniser's word counts.
#[must_use]
pub fn joined(recognised: Vec<Entity>, told: Vec<Entity>) -> Vec<Entity> {
    let overlaps = |one: &Entity| {
        recognised
            .iter()
            .any(|other| other.start < one.end && one.start < other.end)
    };
    let mut all: Vec<Entity> = told.into_iter().filter(|one| !overlaps(one)).collect();
    all.extend(recognised);
    all.sort_by_key(|one| one.start);
    all
}

/// Finds of the text `of`, where they stand in `text`, which is the same but for what was replaced in it. Those that were
/// replaced are gone.
pub fn moved<'e>(of: &str, text: &str, entities: impl Iterator<Item = &'e Entity>) -> Vec<Entity> {
    if of == text {
        return entities.cloned().collect();
    }
    let mut from = 0;
    let mut all = Vec::new();
    for entity in entities {
        let Some(value) = of.get(entity.start..entity.end) else {
            continue;
        };
        // The first one may have been replaced, and what was found for it stands far behind.
        let behind = text[from..].find(value).map(|at| from + at);
        if let Some(start) = behind.or_else(|| text.find(value)) {
            from = start + value.len();
            all.push(Entity {
                start,
                end: from,
                ..entity.clone()
            });
        }
    }
    all.sort_by_key(|one| one.start);
    let mut end = 0;
    all.retain(|one| {
        let free = one.start >= end;
        end = end.max(one.end);
        free
    });
    all
}
