//! Arguments of tools: JSON, of which each value is seen as it is meant, and which stays JSON.

use serde_json::Value;

use crate::placeholder::Placeholders;
use crate::remote::{Finding, RemoteGuard, Span};

/// Deepest nesting that is looked into; nothing that a tool understands is as deep.
const MAX_DEPTH: usize = 64;

/// Whether a text is JSON.
pub(crate) fn is_json(text: &str) -> bool {
    serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

/// Shows the strings and numbers of a value one by one, each with the name of its field; true when one was changed.
pub(crate) fn each_value(value: &mut Value, edit: &mut impl FnMut(&str, &str) -> Option<String>) -> bool {
    below(value, "", MAX_DEPTH, edit)
}

fn below(
    value: &mut Value,
    name: &str,
    depth: usize,
    edit: &mut impl FnMut(&str, &str) -> Option<String>,
) -> bool {
    if depth == 0 {
        return false;
    }
    match value {
        Value::Object(fields) => fields.iter_mut().fold(false, |changed, (name, value)| {
            below(value, name, depth - 1, edit) | changed
        }),
        Value::Array(all) => all.iter_mut().fold(false, |changed, value| {
            below(value, "", depth - 1, edit) | changed
        }),
        Value::String(_) | Value::Number(_) => {
            let text = match &*value {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            match edit(name, &text).filter(|edited| *edited != text) {
                Some(edited) => {
                    *value = Value::String(edited);
                    true
                }
                None => false,
            }
        }
        Value::Null | Value::Bool(_) => false,
    }
}

/// Arguments as somebody would read them out: a line for each value, with the name of its field before it. None where they
/// are no JSON.
pub(crate) fn spoken(text: &str) -> Option<String> {
    let mut value: Value = serde_json::from_str(text).ok()?;
    let mut lines = String::with_capacity(text.len());
    each_value(&mut value, &mut |name, text| {
        if !name.is_empty() {
            lines.push_str(name);
            lines.push_str(": ");
        }
        lines.push_str(text);
        lines.push('\n');
        None
    });
    Some(lines)
}

/// Arguments with placeholders for what was found in them as they were `spoken`. None where something that was found cannot
/// be replaced: it stands in the name of a field, or it is not said where.
pub(crate) fn redacted(
    guard: &RemoteGuard,
    (text, spoken): (&str, &str),
    finding: &Finding,
    placeholders: &Placeholders,
) -> Option<String> {
    if finding.spans.is_empty() {
        return None;
    }
    let mut value: Value = serde_json::from_str(text).ok()?;
    let values: Option<Vec<(&Span, &str)>> = finding
        .spans
        .iter()
        .map(|span| Some((span, spoken.get(span.start..span.end)?.trim())))
        .collect();
    let values = values?;
    let mut replaced = vec![false; values.len()];
    each_value(&mut value, &mut |_, text| {
        let mut edited = text.to_owned();
        for ((span, value), replaced) in values.iter().zip(&mut replaced) {
            if !value.is_empty() && text.contains(value) {
                edited = edited.replace(value, &guard.placeholder(span, value, placeholders));
                *replaced = true;
            }
        }
        Some(edited)
    });
    replaced
        .into_iter()
        .all(|replaced| replaced)
        .then(|| value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_read_out_as_they_are_meant() {
        let text = r#"{"to": "jane\u0040example.com", "card": 4111, "more": [{"b": true, "c": "x"}, "y"]}"#;
        assert_eq!(
            spoken(text).as_deref(),
            Some("to: jane@example.com\ncard: 4111\nc: x\ny\n")
        );
        assert_eq!(spoken("no JSON"), None);
    }
}
