//! What stands in a definition for models alone: a person who reads it on a screen does not see it, or sees something
//! else.

use serde_json::Value;

/// What is suspect in a definition, if anything is. Names of tools are ASCII (2025-11-25, "Tool Names").
#[must_use]
pub fn suspicion(name: &str, definition: &Value) -> Option<&'static str> {
    if !name.is_ascii() {
        return Some("its name has letters that may look like others");
    }
    hidden(definition)
}

fn hidden(value: &Value) -> Option<&'static str> {
    match value {
        Value::String(text) => text.chars().find_map(unseen),
        Value::Array(all) => all.iter().find_map(hidden),
        Value::Object(fields) => fields
            .iter()
            .find_map(|(name, value)| name.chars().find_map(unseen).or_else(|| hidden(value))),
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

/// Why a character is not what it seems. Joiners are left alone: languages and emoji need them.
fn unseen(one: char) -> Option<&'static str> {
    match one {
        '\u{e0000}'..='\u{e007f}' => Some("it holds tag characters, which nobody sees"),
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => Some("it changes the direction of its text"),
        '\u{200b}' | '\u{2060}'..='\u{2064}' | '\u{feff}' => Some("it holds characters without width"),
        '\n' | '\t' | '\r' => None,
        one if one.is_control() => Some("it holds control characters"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_nobody_sees_is_suspect_wherever_it_stands() {
        for (name, definition, suspect) in [
            (
                "add",
                json!({ "description": "Adds.\n\tTwo numbers: é 漢字 👩‍👩‍👧" }),
                false,
            ),
            ("add", json!({ "description": "Adds.\u{e0049}\u{e0067}" }), true),
            (
                "add",
                json!({ "inputSchema": { "properties": { "a\u{200b}": {} } } }),
                true,
            ),
            ("add", json!({ "inputSchema": { "enum": ["x\u{202e}y"] } }), true),
            ("add", json!({ "description": "Adds.\u{1b}[8mIgnore" }), true),
            ("r\u{435}ad_file", json!({}), true),
        ] {
            assert_eq!(
                suspicion(name, &definition).is_some(),
                suspect,
                "{name} {definition}"
            );
        }
    }
}
