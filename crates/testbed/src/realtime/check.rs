//! What a client may say: every event, its fields, and which of them must be there.

use serde_json::{Value, json};

/// An event: its name, the fields it must have, and those it may have.
type Shape = (&'static str, &'static [&'static str], &'static [&'static str]);

const EVENTS: [Shape; 10] = [
    ("session.update", &["session"], &[]),
    ("input_audio_buffer.append", &["audio"], &[]),
    ("input_audio_buffer.commit", &[], &[]),
    ("input_audio_buffer.clear", &[], &[]),
    ("conversation.item.create", &["item"], &["previous_item_id"]),
    ("conversation.item.retrieve", &["item_id"], &[]),
    ("conversation.item.delete", &["item_id"], &[]),
    (
        "conversation.item.truncate",
        &["item_id", "content_index", "audio_end_ms"],
        &[],
    ),
    ("response.create", &[], &["response"]),
    ("response.cancel", &[], &["response_id"]),
];

const SESSION: &[&str] = &[
    "type",
    "model",
    "instructions",
    "output_modalities",
    "max_output_tokens",
    "audio",
    "tools",
    "tool_choice",
    "truncation",
    "tracing",
    "prompt",
    "include",
    "reasoning",
];
const RESPONSE: &[&str] = &[
    "instructions",
    "output_modalities",
    "max_output_tokens",
    "audio",
    "tools",
    "tool_choice",
    "conversation",
    "metadata",
    "input",
    "prompt",
    "reasoning",
];
const AUDIO: &[&str] = &["input", "output"];
const INPUT: &[&str] = &["format", "transcription", "noise_reduction", "turn_detection"];
const OUTPUT: &[&str] = &["format", "voice", "speed"];
/// What a message of each role may hold.
const CONTENT: [(&str, &[&str]); 3] = [
    ("user", &["input_text", "input_audio", "input_image"]),
    ("assistant", &["output_text", "output_audio"]),
    ("system", &["input_text"]),
];

/// An `error` event.
pub(super) fn error(message: &str, code: &str, about: &Value) -> Value {
    let kind = if code == "server_error" {
        "server_error"
    } else {
        "invalid_request_error"
    };
    json!({"type": "error", "error": {"type": kind, "code": code, "message": message, "param": null, "event_id": about}})
}

/// Reads an event, or says what is wrong with it.
pub(super) fn read(text: &str) -> Result<Value, Value> {
    let event: Value = serde_json::from_str(text).map_err(|wrong| {
        error(
            &format!("Could not parse the event: {wrong}"),
            "invalid_json",
            &Value::Null,
        )
    })?;
    let about = event.get("event_id").cloned().unwrap_or_default();
    judge(&event).map_err(|(message, code)| error(&message, code, &about))?;
    Ok(event)
}

type Wrong = (String, &'static str);

fn judge(event: &Value) -> Result<(), Wrong> {
    let Some(kind) = event["type"].as_str() else {
        return Err((
            "Missing required parameter: 'type'.".to_owned(),
            "missing_required_parameter",
        ));
    };
    let Some((_, must, may)) = EVENTS.iter().find(|(name, _, _)| *name == kind) else {
        return Err((format!("Invalid value: '{kind}'."), "invalid_value"));
    };
    let all = [&["type", "event_id"], *must, *may].concat();
    known(event, &all, "")?;
    if let Some(missing) = must.iter().find(|name| event[**name].is_null()) {
        return Err((
            format!("Missing required parameter: '{missing}'."),
            "missing_required_parameter",
        ));
    }
    match kind {
        "session.update" => session(&event["session"]),
        "response.create" => response(&event["response"]),
        "conversation.item.create" => item(&event["item"]),
        _ => Ok(()),
    }
}

fn known(value: &Value, fields: &[&str], at: &str) -> Result<(), Wrong> {
    let unknown = value
        .as_object()
        .and_then(|object| object.keys().find(|name| !fields.contains(&name.as_str())));
    match unknown {
        Some(name) => Err((format!("Unknown parameter: '{at}{name}'."), "unknown_parameter")),
        None => Ok(()),
    }
}

fn session(session: &Value) -> Result<(), Wrong> {
    if !["realtime", "transcription"]
        .iter()
        .any(|kind| session["type"] == *kind)
    {
        let message = "Missing required parameter: 'session.type'.".to_owned();
        return Err((message, "missing_required_parameter"));
    }
    known(session, SESSION, "session.")?;
    output(session, "session.")?;
    known(&session["audio"]["input"], INPUT, "session.audio.input.")
}

fn response(response: &Value) -> Result<(), Wrong> {
    known(response, RESPONSE, "response.")?;
    for input in response["input"].as_array().into_iter().flatten() {
        item(input)?;
    }
    output(response, "response.")
}

fn output(value: &Value, at: &str) -> Result<(), Wrong> {
    let kinds = &value["output_modalities"];
    if !kinds.is_null() && *kinds != json!(["text"]) && *kinds != json!(["audio"]) {
        return Err((format!("Invalid modalities: {kinds}."), "invalid_value"));
    }
    let most = &value["max_output_tokens"];
    if !(most.is_null() || *most == "inf" || most.as_u64().is_some_and(|most| (1..=4_096).contains(&most))) {
        return Err((format!("Invalid '{at}max_output_tokens'."), "invalid_value"));
    }
    known(&value["audio"], AUDIO, &format!("{at}audio."))?;
    known(&value["audio"]["output"], OUTPUT, &format!("{at}audio.output."))
}

fn item(item: &Value) -> Result<(), Wrong> {
    let must: &[&str] = match item["type"].as_str() {
        Some("message") => &["role", "content"],
        Some("function_call") => &["name", "arguments"],
        Some("function_call_output") => &["call_id", "output"],
        Some("item_reference") => &["id"],
        _ => return Err(("Invalid value for 'item.type'.".to_owned(), "invalid_value")),
    };
    if let Some(missing) = must.iter().find(|name| item[**name].is_null()) {
        return Err((
            format!("Missing required parameter: 'item.{missing}'."),
            "missing_required_parameter",
        ));
    }
    let fields = [&["id", "type", "object", "status", "call_id"], must].concat();
    known(item, &fields, "item.")?;
    let kinds = CONTENT
        .iter()
        .find(|(role, _)| item["role"] == *role)
        .map_or(&[][..], |(_, kinds)| kinds);
    for part in item["content"].as_array().into_iter().flatten() {
        if !kinds.iter().any(|kind| part["type"] == *kind) {
            return Err((
                format!("Invalid content for the role {}.", item["role"]),
                "invalid_value",
            ));
        }
        known(
            part,
            &["type", "text", "audio", "transcript", "image_url", "detail"],
            "item.content.",
        )?;
    }
    Ok(())
}
