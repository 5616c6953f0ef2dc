//! Calls whose arguments come in pieces, each with its place as a JSON path: Vertex AI sends them to clients that ask
//! for it. They are put together here.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::form::{Text, ToolCall};
use crate::json::Json;

/// Highest index of a list that is believed.
const MAX_INDEX: usize = 10_000;
/// Most steps of a path.
const MAX_STEPS: usize = 64;

/// A call that grows.
#[derive(Debug)]
pub(super) struct Growing {
    call: ToolCall,
    arguments: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PartialArg {
    json_path: String,
    string_value: Option<String>,
    number_value: Option<serde_json::Number>,
    bool_value: Option<bool>,
}

/// Whether a call says that more of it follows.
pub(super) fn continues(call: &ToolCall) -> bool {
    call.extra
        .get("willContinue")
        .is_some_and(|json| json.as_str() == "true")
}

impl Growing {
    /// A call begins.
    pub(super) fn new(call: ToolCall) -> Self {
        let arguments = serde_json::from_str(&call.arguments).unwrap_or_else(|_| Value::Object(Map::new()));
        let mut growing = Self { call, arguments };
        let first = growing.call.extra.remove("partialArgs");
        growing.grow(first.as_ref());
        growing
    }

    /// More of it.
    pub(super) fn add(&mut self, more: &ToolCall) {
        if self.call.signature.is_none() {
            self.call.signature.clone_from(&more.signature);
        }
        self.grow(more.extra.get("partialArgs"));
    }

    /// The whole call.
    pub(super) fn whole(mut self) -> ToolCall {
        self.call.arguments = Text::from(self.arguments.to_string());
        self.call
    }

    fn grow(&mut self, pieces: Option<&Json>) {
        let pieces: Vec<PartialArg> = pieces.and_then(|json| json.read().ok()).unwrap_or_default();
        for piece in pieces {
            let steps = steps(&piece.json_path);
            let Some(place) = place(&mut self.arguments, &steps) else {
                continue;
            };
            match (piece.string_value, piece.number_value, piece.bool_value) {
                (Some(more), _, _) => match place {
                    Value::String(text) => text.push_str(&more),
                    other => *other = Value::String(more),
                },
                (None, Some(number), _) => *place = Value::Number(number),
                (None, None, Some(value)) => *place = Value::Bool(value),
                (None, None, None) => *place = Value::Null,
            }
        }
    }
}

/// The steps of a path such as `$.legs[0]['to']`: names and indexes, both as text.
fn steps(path: &str) -> Vec<&str> {
    let path = path.strip_prefix('$').unwrap_or(path);
    path.split(['.', '[', ']'])
        .map(|step| step.trim_matches(['\'', '"']))
        .filter(|step| !step.is_empty())
        .take(MAX_STEPS)
        .collect()
}

/// The place a path leads to, made on the way; none where it leads nowhere.
fn place<'v>(value: &'v mut Value, steps: &[&str]) -> Option<&'v mut Value> {
    let mut at = value;
    for step in steps {
        let index = step.parse::<usize>().ok();
        at = match (index, &at) {
            (Some(_), Value::Array(_)) | (Some(0), Value::Null) => {
                let index = index.filter(|index| *index <= MAX_INDEX)?;
                if at.is_null() {
                    *at = Value::Array(Vec::new());
                }
                let items = at.as_array_mut()?;
                if items.len() <= index {
                    items.resize(index + 1, Value::Null);
                }
                items.get_mut(index)?
            }
            _ => {
                if at.is_null() {
                    *at = Value::Object(Map::new());
                }
                at.as_object_mut()?.entry(*step).or_insert(Value::Null)
            }
        };
    }
    Some(at)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn paths_make_what_they_lead_to() {
        let mut value = json!({});
        for (path, leaf) in [
            ("$.legs[0].to", "BRN"),
            ("$['legs'][1][\"to\"]", "ZRH"),
            ("$.cabin", "economy"),
        ] {
            *place(&mut value, &steps(path)).unwrap() = json!(leaf);
        }
        assert_eq!(
            value,
            json!({"legs": [{"to": "BRN"}, {"to": "ZRH"}], "cabin": "economy"})
        );
        assert_eq!(place(&mut value, &steps("$.cabin.class")), None);
        assert_eq!(place(&mut value, &steps("$.legs[99999999]")), None);
    }
}
