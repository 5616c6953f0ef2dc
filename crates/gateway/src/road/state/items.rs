//! Items: with an id, as they are told again to a provider, as they are shown to a client.

use pointsman_store::StateItem;
use pointsman_wire::form::{Failure, FailureKind};
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// Items whose own ids mean nothing to whoever did not make them.
const UNNAMED: [&str; 3] = ["message", "function_call", "custom_tool_call"];

/// The items of an `input`. One without an id of its own gets one that is made of `seed`.
///
/// # Errors
/// 400 when it is neither a text nor a list of objects.
pub fn read(input: Option<&str>, seed: &str) -> Result<Vec<StateItem>, Failure> {
    let Some(input) = input else {
        return Ok(Vec::new());
    };
    if input.starts_with('"') {
        let text: String = serde_json::from_str(input).map_err(|error| wrong(&error.to_string()))?;
        let content = json!([{"type": "input_text", "text": text}]);
        let item = json!({"type": "message", "role": "user", "content": content});
        return Ok(vec![named(item.to_string(), seed, 0)]);
    }
    let all: Vec<&RawValue> =
        serde_json::from_str(input).map_err(|_| wrong("expected a text or a list of items"))?;
    if let Some(other) = all.iter().position(|item| !item.get().starts_with('{')) {
        return Err(wrong(&format!("input[{other}]: expected an object")));
    }
    Ok(all
        .into_iter()
        .enumerate()
        .map(|(at, item)| named(item.get().to_owned(), seed, at))
        .collect())
}

/// An item with its id, or one made of `seed` and its place.
pub fn named(json: String, seed: &str, at: usize) -> StateItem {
    #[derive(serde::Deserialize)]
    struct Known {
        id: Option<String>,
        r#type: Option<String>,
    }
    let known: Option<Known> = serde_json::from_str(&json).ok();
    let (id, kind) = known.map_or((None, None), |known| (known.id, known.r#type));
    let id = id.filter(|id| !id.is_empty()).unwrap_or_else(|| {
        let prefix = match kind.as_deref() {
            None | Some("message") => "msg",
            Some("function_call") => "fc",
            Some("function_call_output") => "fco",
            Some("custom_tool_call") => "ctc",
            Some("custom_tool_call_output") => "ctco",
            Some("reasoning") => "rs",
            Some(_) => "item",
        };
        format!("{prefix}_{seed}{at:04x}")
    });
    StateItem { id, json }
}

/// The id that an item refers to, if it is a reference.
pub fn reference(json: &str) -> Option<String> {
    let item: Value = serde_json::from_str(json).ok()?;
    (item["type"] == "item_reference").then(|| item["id"].as_str().map(str::to_owned))?
}

/// An item as it can be told to any provider: without ids that only one knows. Reasoning whose proof was not given is
/// left out: nobody could check it.
pub fn again(json: &str) -> Option<String> {
    let mut item: Value = serde_json::from_str(json).ok()?;
    let kind = item["type"].as_str().unwrap_or("message").to_owned();
    if kind == "reasoning" && item["encrypted_content"].as_str().is_none_or(str::is_empty) {
        return None;
    }
    if UNNAMED.contains(&kind.as_str())
        && let Some(fields) = item.as_object_mut()
    {
        fields.shift_remove("id");
    }
    Some(item.to_string())
}

/// An item as a client is shown it: with its id, its type, and content in parts.
pub fn shown(item: &StateItem) -> Value {
    let mut value: Value = serde_json::from_str(&item.json).unwrap_or_default();
    let Some(fields) = value.as_object_mut() else {
        return value;
    };
    fields.insert("id".to_owned(), json!(item.id));
    let kind = fields.entry("type").or_insert_with(|| json!("message")).clone();
    if matches!(
        kind.as_str(),
        Some("message" | "function_call" | "function_call_output" | "custom_tool_call")
    ) {
        fields.entry("status").or_insert_with(|| json!("completed"));
    }
    if let Some(text) = fields
        .get("content")
        .and_then(Value::as_str)
        .filter(|_| kind == "message")
    {
        let part = if fields.get("role").and_then(Value::as_str) == Some("assistant") {
            json!({"type": "output_text", "text": text, "annotations": []})
        } else {
            json!({"type": "input_text", "text": text})
        };
        fields.insert("content".to_owned(), json!([part]));
    }
    value
}

fn wrong(message: &str) -> Failure {
    Failure::new(FailureKind::InvalidRequest, message).at("input")
}
