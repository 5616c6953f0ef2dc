//! What there is: the models a caller may use, and whether the gateway is well.

use http::StatusCode;
use pointsman_governance::Principal;
use pointsman_wire::form::{Failure, FailureKind};
use pointsman_wire::format::Format;
use serde_json::{Value, json};

use super::Arrival;
use crate::reply::{self, Reply};
use crate::snapshot::{Snapshot, Unresolved};
use crate::surface;
use crate::worker::Worker;

/// The process is alive.
pub fn alive() -> Reply {
    reply::json(
        StatusCode::OK,
        &json!({ "status": "ok", "version": env!("CARGO_PKG_VERSION") }),
    )
}

/// The process can serve.
///
/// # Errors
/// 503 while it is stopping.
pub fn ready(worker: &Worker) -> Result<Reply, Failure> {
    if worker.is_stopping() {
        return Err(Failure::new(FailureKind::Unavailable, "the gateway is stopping"));
    }
    Ok(alive())
}

/// The models the caller may use, or one of them.
///
/// # Errors
/// 404 for a model that is not there.
pub fn models(arrival: &Arrival, caller: &Principal) -> Result<Reply, Failure> {
    let names = names(&arrival.snapshot, caller);
    let anthropic = arrival.surface.dialect == Format::AnthropicMessages;
    let entry = if anthropic { anthropic_entry } else { openai_entry };
    if let Some(id) = surface::model_id(&arrival.path) {
        let known =
            names.contains(&id) || (caller.allows_model(&id) && arrival.snapshot.resolve(&id).is_ok());
        if !known {
            return Err(Unresolved {
                name: id,
                near: Vec::new(),
            }
            .into());
        }
        return Ok(reply::json(StatusCode::OK, &entry(&arrival.snapshot, &id)));
    }
    let data: Vec<Value> = names.iter().map(|name| entry(&arrival.snapshot, name)).collect();
    let list = if anthropic {
        json!({ "data": data, "has_more": false, "first_id": names.first(), "last_id": names.last() })
    } else {
        json!({ "object": "list", "data": data })
    };
    Ok(reply::json(StatusCode::OK, &list))
}

fn names(snapshot: &Snapshot, caller: &Principal) -> Vec<String> {
    let mut names: Vec<String> = snapshot.models.keys().cloned().collect();
    if let Some(router) = &snapshot.router {
        names.extend(router.names().iter().cloned());
    }
    for provider in snapshot.providers.values() {
        names.extend(
            snapshot
                .catalog
                .models_of(&provider.kind)
                .filter(|model| !model.variant)
                .map(|model| model.id.to_string()),
        );
        names.extend(provider.listed.iter().cloned());
    }
    names.retain(|name| caller.allows_model(name));
    names.sort_unstable();
    names.dedup();
    names
}

/// Who serves a model, for `owned_by`.
fn owner(snapshot: &Snapshot, name: &str) -> String {
    if snapshot.is_routed(name) {
        return "pointsman".to_owned();
    }
    let model = snapshot.resolve(name).ok();
    model
        .and_then(|model| Some(model.targets.first()?.provider.name.clone()))
        .unwrap_or_else(|| "pointsman".to_owned())
}

fn openai_entry(snapshot: &Snapshot, name: &str) -> Value {
    json!({ "id": name, "object": "model", "created": 0, "owned_by": owner(snapshot, name) })
}

fn anthropic_entry(_: &Snapshot, name: &str) -> Value {
    json!({ "type": "model", "id": name, "display_name": name, "created_at": "1970-01-01T00:00:00Z" })
}
