//! What chat completions and responses say alike, in other words: custom tools, and choices among tools.

use serde_json::{Map, Value};

use crate::json::Json;

/// A custom tool of chat completions.
pub(super) fn tool_of_chat(tool: &Json) -> Option<Json> {
    let mut tool: Map<String, Value> = tool.read().ok()?;
    let Some(Value::Object(custom)) = tool.remove("custom") else {
        return None;
    };
    tool.extend(custom);
    if let Some(format) = tool.get_mut("format") {
        let grammar = format.as_object_mut().and_then(|format| format.remove("grammar"));
        if let (Some(Value::Object(grammar)), Some(format)) = (grammar, format.as_object_mut()) {
            format.extend(grammar);
        }
    }
    Json::of(&tool).ok()
}

/// A custom tool, as chat completions have it.
pub(crate) fn tool_to_chat(tool: &Json) -> Option<Json> {
    let mut custom: Map<String, Value> = tool.read().ok()?;
    if custom.remove("type")?.as_str() != Some("custom") {
        return None;
    }
    if let Some(Value::Object(format)) = custom.get_mut("format")
        && format.get("type").and_then(Value::as_str) == Some("grammar")
    {
        let mut grammar = std::mem::take(format);
        format.extend(grammar.remove("type").map(|kind| ("type".to_owned(), kind)));
        format.insert("grammar".to_owned(), Value::Object(grammar));
    }
    Json::of(&serde_json::json!({"type": "custom", "custom": custom})).ok()
}

/// A choice of chat completions.
pub(super) fn choice_of_chat(choice: &Json) -> Option<Json> {
    let choice: Map<String, Value> = choice.read().ok()?;
    match choice.get("type")?.as_str()? {
        kind @ "custom" => flat(kind, choice.get(kind)?),
        kind @ "allowed_tools" => {
            let allowed = choice.get(kind)?;
            let tools: Option<Vec<Value>> = allowed.get("tools")?.as_array()?.iter().map(flat_tool).collect();
            let written = serde_json::json!({"type": kind, "mode": allowed.get("mode")?, "tools": tools?});
            Json::of(&written).ok()
        }
        _ => None,
    }
}

/// A choice, as chat completions have it.
pub(crate) fn choice_to_chat(choice: &Json) -> Option<Json> {
    let choice: Map<String, Value> = choice.read().ok()?;
    match choice.get("type")?.as_str()? {
        kind @ "custom" => {
            let written = serde_json::json!({"type": kind, kind: {"name": choice.get("name")?}});
            Json::of(&written).ok()
        }
        kind @ "allowed_tools" => {
            let tools: Option<Vec<Value>> =
                choice.get("tools")?.as_array()?.iter().map(nested_tool).collect();
            let allowed = serde_json::json!({"mode": choice.get("mode")?, "tools": tools?});
            Json::of(&serde_json::json!({"type": kind, kind: allowed})).ok()
        }
        _ => None,
    }
}

fn flat(kind: &str, named: &Value) -> Option<Json> {
    Json::of(&serde_json::json!({"type": kind, "name": named.get("name")?})).ok()
}

fn flat_tool(tool: &Value) -> Option<Value> {
    let kind = tool.get("type")?.as_str()?;
    Some(serde_json::json!({"type": kind, "name": tool.get(kind)?.get("name")?}))
}

fn nested_tool(tool: &Value) -> Option<Value> {
    let kind = tool.get("type")?.as_str()?;
    let known = matches!(kind, "function" | "custom");
    known
        .then(|| tool.get("name"))
        .flatten()
        .map(|name| serde_json::json!({"type": kind, kind: {"name": name}}))
}
