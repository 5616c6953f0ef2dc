//! Bedrock with the model's own body: Anthropic's.

use serde_json::{Value, json};

use super::frame::event;
use crate::anthropic::{check, reply, stream};
use crate::exchange::{Bill, Refusal, Reply};
use crate::media::encode;
use crate::script::{Question, answer as scripted};
use crate::sim::State;
use crate::stream::Event;
use crate::tokens::usage;

const VERSION: &str = "bedrock-2023-05-31";

/// Reads a body of Anthropic's.
pub(super) fn read(body: &Value, model: &str, streamed: bool, counting: bool) -> Result<Question, Refusal> {
    let malformed = |text: &str| {
        Err(Refusal::bad(format!(
            "Malformed input request: #: {text}, please reformat your input and try again."
        )))
    };
    let mut body = body.clone();
    let Some(fields) = body.as_object_mut() else {
        return malformed("expected type: JSONObject");
    };
    // The path names the model and says whether to stream.
    if let Some(name) = ["model", "stream"]
        .into_iter()
        .find(|name| fields.contains_key(*name))
    {
        return malformed(&format!("extraneous key [{name}] is not permitted"));
    }
    match fields.shift_remove("anthropic_version") {
        None => return malformed("required key [anthropic_version] not found"),
        Some(version) if version != VERSION => {
            return malformed(&format!(
                "#/anthropic_version: {version} is not a valid enum value"
            ));
        }
        Some(_) => {}
    }
    fields.shift_remove("anthropic_beta");
    fields.insert("model".to_owned(), json!(model));
    if streamed {
        fields.insert("stream".to_owned(), json!(true));
    }
    if counting {
        fields.shift_remove("max_tokens");
    }
    let mut question = check::read(&body, "2023-06-01", counting)?;
    question.format = "bedrock";
    Ok(question)
}

/// What a body is answered with.
pub(super) fn generate(
    state: &State,
    body: &Value,
    model: &str,
    streamed: bool,
) -> Result<(Bill, Reply), Refusal> {
    let question = read(body, model, streamed, false)?;
    let answer = scripted(&question);
    let usage = usage(state, &question, &answer);
    let told = reply::usage(&usage, body);
    let bill = Bill::new(&question, usage, &told);
    if !streamed {
        return Ok((bill, Reply::Whole(reply::whole(&answer, &question, body, &told))));
    }
    let mut events: Vec<Event> = Vec::new();
    for (mut data, tokens, told) in stream::told_events(&answer, &question, body, &told) {
        match data["type"].as_str() {
            Some("ping") => continue,
            Some("message_stop") => {
                data["amazon-bedrock-invocationMetrics"] = json!({"inputTokenCount": usage.fresh(), "outputTokenCount": usage.output,
                    "invocationLatency": 7, "firstByteLatency": 3, "cacheReadInputTokenCount": usage.cache_read,
                    "cacheWriteInputTokenCount": usage.cache_write});
            }
            _ => {}
        }
        let chunk = json!({"bytes": encode(data.to_string().as_bytes()), "p": "abcdefghijkl"});
        let mut written = Event::new(event("chunk", &chunk), tokens);
        written.told = told;
        events.push(written);
    }
    Ok((bill, Reply::Stream(events)))
}
