//! A conversation made shorter: what the user said stays, the rest is sealed.

use serde_json::{Value, json};

use super::{Answered, check, reply, shapes};
use crate::exchange::{Bill, Refusal, Reply};
use crate::openai::error::said;
use crate::script::{answer as scripted, hash};
use crate::sim::Asked;
use crate::tokens::usage;

/// What every seal of this provider begins with.
const SEAL: &str = "sim-compaction-";

/// Answers `POST /responses/compact`.
pub(super) fn answer(asked: &Asked, body: &Value) -> Result<Answered, Refusal> {
    crate::shape::check(body, &shapes::COMPACT).map_err(|problem| said(&problem, false))?;
    let taken = check::read(body, true, &asked.state.store)?;
    let number = asked.state.store.responses.number();
    let kept = taken.input.iter().filter(|item| item["role"] == "user").cloned();
    let seal = format!("{SEAL}{:016x}", hash(&body.to_string()));
    let sealed = json!({"type": "compaction", "id": format!("cmp_{number:024x}"), "encrypted_content": seal});
    let output: Vec<Value> = kept.chain([sealed]).collect();
    let usage = usage(&asked.state, &taken.question, &scripted(&taken.question));
    let told = reply::usage(&usage);
    let whole = json!({"id": format!("resp_{number:024x}"), "object": "response.compaction",
                       "created_at": 1_700_000_000, "output": output, "usage": told});
    Ok((Bill::new(&taken.question, usage, &told), Reply::Whole(whole)))
}

/// Whether an item of the input is a conversation that this provider made shorter.
pub(super) fn is_ours(item: &Value) -> bool {
    let seal = item["encrypted_content"].as_str();
    seal.is_some_and(|seal| seal.starts_with(SEAL))
}
