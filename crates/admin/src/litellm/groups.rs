//! `/model_group/info` and `/models`: the names that clients can ask for.

use std::collections::BTreeSet;

use pointsman_gateway::snapshot::Model;
use serde_json::{Value, json};

use crate::call::{Answer, Call, Reply};

/// Names, with who answers them.
pub fn info(call: &Call) -> Answer {
    call.only(&["model_group"])?;
    let wanted = call.parameter("model_group");
    let data = sorted(call, |model| {
        let providers: BTreeSet<&str> = model
            .targets
            .iter()
            .map(|target| &*target.provider.kind)
            .collect();
        let most = model.targets.iter().filter_map(|target| target.max_output).max();
        (wanted.is_none_or(|wanted| wanted == model.name))
            .then(|| json!({ "model_group": model.name, "providers": providers, "max_output_tokens": most }))
    });
    Ok(Reply::of(json!({ "data": data })))
}

/// Names alone, as OpenAI lists models.
pub fn names(call: &Call) -> Answer {
    call.only(&[])?;
    let data = sorted(call, |model| {
        Some(json!({ "id": model.name, "object": "model", "created": 0, "owned_by": "pointsman" }))
    });
    Ok(Reply::of(json!({ "object": "list", "data": data })))
}

/// What is shown of models, by their names.
fn sorted(call: &Call, show: impl Fn(&Model) -> Option<Value>) -> Vec<Value> {
    let snapshot = call.gateway.snapshot();
    let mut models: Vec<_> = snapshot.models.values().collect();
    models.sort_by(|one, other| one.name.cmp(&other.name));
    models.into_iter().filter_map(|model| show(model)).collect()
}
