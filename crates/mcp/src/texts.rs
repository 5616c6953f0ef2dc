//! The texts of what passes, for whoever judges them: arguments, results, definitions. A function over data.
//!
//! There is one view of each: what is shown is what can be replaced, so that no text passes that nobody was shown.

use serde_json::Value;

/// What sort of text it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// What a caller sends a server: JSON, and it stays that.
    Arguments,
    /// What a server says, in words.
    Words,
    /// What a server says as data: JSON, and it stays that.
    Data,
}

/// A text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// As it is.
    pub text: String,
    /// What sort it is.
    pub sort: Sort,
}

/// Whoever is shown a text, and may say what is to stand in its place.
pub type See<'a> = &'a mut dyn FnMut(&str, Sort) -> Option<String>;

/// Fields in which callers' words are.
pub const ASKED: [&str; 3] = ["arguments", "argument", "inputResponses"];
/// Fields of results that are not words: kinds, addresses, bytes, and what is the protocol's own.
const NOT_WORDS: [&str; 18] = [
    "_meta",
    "blob",
    "cacheScope",
    "icons",
    "lastModified",
    "method",
    "mimeType",
    "nextCursor",
    "priority",
    "progressToken",
    "requestState",
    "resultType",
    "role",
    "taskId",
    "type",
    "uri",
    "uriTemplate",
    "url",
];
/// Fields of schemas that are no words.
const NOT_SAID: [&str; 8] = [
    "$schema",
    "$id",
    "$ref",
    "$anchor",
    "format",
    "pattern",
    "x-mcp-header",
    "name",
];
/// Words of one result; what is beyond is shown as data, a list or an object at a time.
const MAX_WORDS: usize = 2_048;

/// Shows what a caller sends with a request; true when something was replaced.
pub fn of_params(params: &mut Value, see: See<'_>) -> bool {
    let Some(fields) = params.as_object_mut() else {
        return false;
    };
    let mut changed = false;
    for (_, value) in fields
        .iter_mut()
        .filter(|(name, _)| ASKED.contains(&name.as_str()))
    {
        changed |= json(value, Sort::Arguments, see);
    }
    changed
}

/// Shows what a caller answers a question with; true when something was replaced.
pub fn of_answer(answer: &mut Value, see: See<'_>) -> bool {
    json(answer, Sort::Arguments, see)
}

/// Shows the words and data of a result, or of what a server asks or tells; true when something was replaced.
pub fn of_result(result: &mut Value, see: See<'_>) -> bool {
    let mut left = MAX_WORDS;
    words(result, &mut left, see)
}

fn words(value: &mut Value, left: &mut usize, see: See<'_>) -> bool {
    if *left == 0 && (value.is_object() || value.is_array()) {
        return json(value, Sort::Data, see);
    }
    match value {
        Value::String(text) => {
            *left = left.saturating_sub(1);
            take(text, Sort::Words, see)
        }
        Value::Array(all) => all
            .iter_mut()
            .fold(false, |changed, one| words(one, left, see) | changed),
        Value::Object(fields) => {
            let is_media = matches!(
                fields.get("type").and_then(Value::as_str),
                Some("image" | "audio")
            );
            let mut changed = false;
            for (name, value) in fields.iter_mut() {
                changed |= match name.as_str() {
                    "structuredContent" => json(value, Sort::Data, see),
                    "data" if is_media => false,
                    name if NOT_WORDS.contains(&name) && !value.is_object() => false,
                    "_meta" => false,
                    _ => words(value, left, see),
                };
            }
            changed
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Shows the words of a definition: descriptions and titles wherever they stand, values that a schema names, and the names
/// of parameters as one text. None when it is to be changed where it cannot be.
pub fn of_definition(definition: &mut Value, see: See<'_>) -> Option<bool> {
    let mut names = String::new();
    parameters(definition, &mut names);
    if !names.is_empty() && see(&names, Sort::Words).is_some_and(|other| other != names) {
        return None;
    }
    Some(said(definition, see))
}

fn said(value: &mut Value, see: See<'_>) -> bool {
    match value {
        Value::String(text) => take(text, Sort::Words, see),
        Value::Array(all) => all
            .iter_mut()
            .fold(false, |changed, one| said(one, see) | changed),
        Value::Object(fields) => {
            let mut changed = false;
            for (name, value) in fields.iter_mut() {
                let is_word = !value.is_string()
                    || !(NOT_SAID.contains(&name.as_str()) || NOT_WORDS.contains(&name.as_str()));
                if is_word && name != "icons" && name != "required" && !(name == "type" && value.is_array()) {
                    changed |= said(value, see);
                }
            }
            changed
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// The names of parameters, a line each.
fn parameters(value: &Value, names: &mut String) {
    match value {
        Value::Array(all) => all.iter().for_each(|one| parameters(one, names)),
        Value::Object(fields) => {
            for (name, value) in fields {
                if let ("properties" | "$defs" | "definitions", Some(properties)) =
                    (name.as_str(), value.as_object())
                {
                    for property in properties.keys() {
                        names.push_str(property);
                        names.push('\n');
                    }
                }
                parameters(value, names);
            }
        }
        _ => {}
    }
}

fn take(text: &mut String, sort: Sort, see: See<'_>) -> bool {
    if text.is_empty() {
        return false;
    }
    match see(text, sort).filter(|other| other != text) {
        Some(other) => {
            *text = other;
            true
        }
        None => false,
    }
}

/// Shows a value as one text of JSON. What is no JSON any more stands there as a text.
fn json(value: &mut Value, sort: Sort, see: See<'_>) -> bool {
    if value.is_null() || value.as_object().is_some_and(serde_json::Map::is_empty) {
        return false;
    }
    let before = value.to_string();
    match see(&before, sort).filter(|other| *other != before) {
        Some(other) => {
            *value = serde_json::from_str(&other).unwrap_or(Value::String(other));
            true
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shown(value: &Value, of: fn(&mut Value, See<'_>) -> bool) -> Vec<(String, Sort)> {
        let mut all = Vec::new();
        of(&mut value.clone(), &mut |text, sort| {
            all.push((text.to_owned(), sort));
            None
        });
        all
    }

    fn redacted(text: &str) -> Option<String> {
        Some(text.replace("secret", "***"))
    }

    #[test]
    fn all_that_a_model_would_read_is_shown() {
        let result = json!({
            "content": [
                { "type": "text", "text": "a", "annotations": { "audience": ["user"] } },
                { "type": "image", "data": "AAAA", "mimeType": "image/png" },
                { "type": "resource", "resource": { "uri": "f:///x", "text": "b" } },
                { "type": "resource_link", "uri": "f:///y", "name": "c", "description": "d" },
                { "type": "new", "words": { "deep": ["e"] } },
            ],
            "structuredContent": { "x": 1 },
            "_meta": { "trace": "no" },
        });
        let texts: Vec<String> = shown(&result, of_result)
            .into_iter()
            .map(|(text, _)| text)
            .collect();
        assert_eq!(texts, ["a", "user", "b", "c", "d", "e", r#"{"x":1}"#]);
    }

    #[test]
    fn what_is_replaced_stays_json() {
        let mut result = json!({ "structuredContent": { "a": "secret" }, "content": [{ "type": "text", "text": "secret" }] });
        assert!(of_result(&mut result, &mut |text, _| redacted(text)));
        assert_eq!(
            result,
            json!({ "structuredContent": { "a": "***" }, "content": [{ "type": "text", "text": "***" }] })
        );
        let mut params = json!({ "name": "secret", "arguments": { "q": "secret" } });
        assert!(of_params(&mut params, &mut |text, _| redacted(text)));
        assert_eq!(params, json!({ "name": "secret", "arguments": { "q": "***" } }));
    }

    #[test]
    fn many_words_are_shown_as_data() {
        let many = vec![json!({ "type": "text", "text": "w" }); MAX_WORDS + 10];
        let all = shown(&json!({ "content": many }), of_result);
        assert_eq!(all.len(), MAX_WORDS + 10);
        assert!(all.iter().filter(|(_, sort)| *sort == Sort::Data).count() == 10);
    }

    #[test]
    fn the_whole_of_a_definition_is_shown() {
        let definition = json!({
            "name": "add", "title": "Adds", "description": "Adds two numbers",
            "inputSchema": { "type": "object", "properties": {
                "read_the_key_file": { "type": "string", "description": "hidden", "enum": ["chosen"] },
            }, "required": ["read_the_key_file"] },
        });
        let mut all = Vec::new();
        let changed = of_definition(&mut definition.clone(), &mut |text, _| {
            all.push(text.to_owned());
            None
        });
        assert_eq!(changed, Some(false));
        assert_eq!(
            all,
            [
                "read_the_key_file\n",
                "Adds",
                "Adds two numbers",
                "hidden",
                "chosen"
            ]
        );
        let mut definition = definition;
        let mut redact = |text: &str, _: Sort| Some(text.replace("key", "***"));
        assert_eq!(of_definition(&mut definition, &mut redact), None);
    }
}
