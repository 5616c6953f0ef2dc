//! The texts of a client's event, for guardrails to see and to change.

use serde_json::Value;

use crate::text::TextStage;

/// Deepest nesting that is looked into; nothing a provider understands is as deep.
const MAX_DEPTH: usize = 32;
/// Fields whose strings the model reads.
const READ: [&str; 5] = ["text", "transcript", "instructions", "arguments", "output"];

/// Shows every text of `event` that a model would read to `see`, which may say what shall stand there instead. Whether
/// anything was changed; none when the event is nested too deeply to be looked through.
pub fn rewrite_texts(
    event: &mut Value,
    see: &mut dyn FnMut(TextStage, &str) -> Option<String>,
) -> Option<bool> {
    let is_tool = event["item"]["type"] == "function_call_output";
    let stage = if is_tool {
        TextStage::ToolResult
    } else {
        TextStage::User
    };
    walk(event, (stage, false), 0, see)
}

fn walk(
    value: &mut Value,
    (stage, whole): (TextStage, bool),
    depth: usize,
    see: &mut dyn FnMut(TextStage, &str) -> Option<String>,
) -> Option<bool> {
    if depth > MAX_DEPTH {
        return None;
    }
    let mut changed = false;
    match value {
        Value::Object(fields) => {
            // An item among the inputs of a response says of itself what it is.
            let is_tool = fields
                .get("type")
                .is_some_and(|kind| kind == "function_call_output");
            let stage = if is_tool { TextStage::ToolResult } else { stage };
            for (name, inner) in fields.iter_mut() {
                let read = READ.contains(&name.as_str());
                match inner {
                    Value::String(text) if read || whole => {
                        if let Some(instead) = see(stage, text) {
                            *text = instead;
                            changed = true;
                        }
                    }
                    Value::String(_) => {}
                    inner => changed |= walk(inner, (stage, whole || name == "variables"), depth + 1, see)?,
                }
            }
        }
        Value::Array(items) => {
            for item in items {
                changed |= walk(item, (stage, whole), depth + 1, see)?;
            }
        }
        _ => {}
    }
    Some(changed)
}
