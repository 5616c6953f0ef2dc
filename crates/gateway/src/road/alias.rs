//! Names of models that are a key's own, or the configuration's for all callers: resolved before anything looks at what is
//! asked for, so that allow-lists, limits, guardrails, routing, cache and ledger know the model that is meant, and it
//! alone.

use std::borrow::Cow;

use bytes::Bytes;
use pointsman_governance::Principal;
use pointsman_wire::splice::Edits;
use serde::Deserialize;

use super::Arrival;
use crate::snapshot::Snapshot;
use crate::surface::Asks;

/// What a caller means by the name of a model: by its key's own words before those of the configuration.
pub fn meant<'a>(snapshot: &'a Snapshot, caller: &'a Principal, name: &'a str) -> &'a str {
    let found = caller.aliases().get(name).or_else(|| snapshot.aliases.get(name));
    found.map_or(name, String::as_str)
}

/// Whether nobody means anything else than they say.
pub fn are_none(snapshot: &Snapshot, caller: &Principal) -> bool {
    caller.aliases().is_empty() && snapshot.aliases.is_empty()
}

/// The request with the model that is meant in its path or its body; nothing where it says so already. What cannot be
/// read is told by who decodes it.
pub fn resolve(arrival: &Arrival, caller: &Principal, body: &Bytes) -> Option<(Arrival, Bytes)> {
    let snapshot = &arrival.snapshot;
    if are_none(snapshot, caller) || !names_a_model(arrival.surface.asks) {
        return None;
    }
    if let Some(name) = &arrival.surface.model {
        let model = other(snapshot, caller, name)?;
        let mut arrival = arrival.clone();
        arrival.surface.model = Some(model);
        return Some((arrival, body.clone()));
    }
    let body = in_body(snapshot, caller, body)?;
    Some((arrival.clone(), body))
}

/// A body with the model that is meant; nothing where it says so already.
pub fn in_body(snapshot: &Snapshot, caller: &Principal, body: &Bytes) -> Option<Bytes> {
    #[derive(Deserialize)]
    struct Probe<'a> {
        #[serde(borrow)]
        model: Cow<'a, str>,
    }
    let said: Probe<'_> = serde_json::from_slice(body).ok()?;
    let mut edits = Edits::new();
    edits.set_string("model", &other(snapshot, caller, &said.model)?);
    edits.apply(body).ok()
}

fn other(snapshot: &Snapshot, caller: &Principal, name: &str) -> Option<String> {
    let model = meant(snapshot, caller, name);
    (model != name).then(|| model.to_owned())
}

/// Whether it names a model of ours, in the path or as the body's `model`.
fn names_a_model(asks: Asks) -> bool {
    matches!(
        asks,
        Asks::Chat(..)
            | Asks::Embeddings(_)
            | Asks::Rerank(_)
            | Asks::Endpoint(_)
            | Asks::CountTokens
            | Asks::Compact
            | Asks::Explain
            | Asks::Understand(_)
    )
}
