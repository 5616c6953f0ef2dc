//! Names of functions and the rules of their schemas.

use serde_json::{Map, Value};

use crate::exchange::Refusal;

/// Whether a name has only the letters that OpenAI allows.
pub(crate) fn is_name(name: &str, most: usize) -> bool {
    !name.is_empty()
        && name.len() <= most
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

/// Refuses a name with other letters.
pub(crate) fn name(name: &str, path: &str) -> Result<(), Refusal> {
    if name.len() > 64 {
        return Err(Refusal::bad(format!(
            "Invalid '{path}': string too long. Expected a string with maximum length 64, but got a string with length {} instead.",
            name.len()
        ))
        .at(path)
        .coded("string_above_max_length"));
    }
    if is_name(name, 64) {
        return Ok(());
    }
    Err(Refusal::bad(format!(
        "Invalid '{path}': string does not match pattern. Expected a string that matches the pattern '^[a-zA-Z0-9_-]+$'."
    ))
    .at(path)
    .coded("invalid_value"))
}

/// Checks the schema of a function or of an answer; `place` is such as `function 'f'`.
pub(crate) fn schema(schema: &Value, strict: bool, place: &str, path: &str) -> Result<(), Refusal> {
    let refuse = |message: String| {
        Err(Refusal::bad(format!("Invalid schema for {place}: {message}"))
            .at(path)
            .coded(if place.starts_with("function") {
                "invalid_function_parameters"
            } else {
                "invalid_request_error"
            }))
    };
    let Some(fields) = schema.as_object() else {
        return refuse("schema must be an object.".to_owned());
    };
    if fields.is_empty() && !strict {
        return Ok(());
    }
    let kind = fields.get("type").and_then(Value::as_str).unwrap_or("None");
    if kind != "object" {
        return refuse(format!(
            "schema must be a JSON Schema of 'type: \"object\"', got 'type: \"{kind}\"'."
        ));
    }
    match walk(fields, strict, &mut Vec::new()) {
        Some(message) => refuse(message),
        None => Ok(()),
    }
}

/// The first thing that is wrong with a schema.
fn walk(schema: &Map<String, Value>, strict: bool, path: &mut Vec<String>) -> Option<String> {
    let place = |path: &[String]| format!("In context=({})", path.join(", "));
    let kinds: Vec<&str> = match schema.get("type") {
        Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).collect(),
        kind => kind.and_then(Value::as_str).into_iter().collect(),
    };
    let known = [
        "object", "array", "string", "number", "integer", "boolean", "null",
    ];
    if let Some(odd) = kinds.iter().find(|kind| !known.contains(kind)) {
        return Some(format!(
            "{}, '{odd}' is not valid under any of the given schemas.",
            place(path)
        ));
    }
    if kinds.contains(&"array") && schema.get("items").is_none() && schema.get("prefixItems").is_none() {
        return Some(format!("{}, array schema missing items.", place(path)));
    }
    let properties = schema.get("properties").and_then(Value::as_object);
    if kinds.contains(&"object") {
        if path.is_empty() && properties.is_none() {
            return Some(format!("{}, object schema missing properties.", place(path)));
        }
        if strict && let Some(message) = strictly(schema, properties) {
            return Some(format!("{}, {message}", place(path)));
        }
    }
    for (name, inner) in properties.into_iter().flatten() {
        path.extend(["'properties'".to_owned(), format!("'{name}'")]);
        let found = inner.as_object().and_then(|inner| walk(inner, strict, path));
        path.truncate(path.len() - 2);
        if found.is_some() {
            return found;
        }
    }
    for key in ["items", "anyOf", "$defs"] {
        let inner: Vec<&Value> = match schema.get(key) {
            Some(Value::Array(all)) => all.iter().collect(),
            Some(Value::Object(all)) if key == "$defs" => all.values().collect(),
            one => one.into_iter().collect(),
        };
        path.push(format!("'{key}'"));
        let found = inner
            .iter()
            .find_map(|inner| walk(inner.as_object()?, strict, path));
        path.pop();
        if found.is_some() {
            return found;
        }
    }
    None
}

/// What strict mode asks of an object.
fn strictly(schema: &Map<String, Value>, properties: Option<&Map<String, Value>>) -> Option<String> {
    if schema.get("additionalProperties") != Some(&Value::Bool(false)) {
        return Some("'additionalProperties' is required to be supplied and to be false.".to_owned());
    }
    let required: Vec<&str> = schema
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let missing = properties?
        .keys()
        .find(|name| !required.contains(&name.as_str()))?;
    Some(format!(
        "'required' is required to be supplied and to be an array including every key in properties. Missing '{missing}'."
    ))
}
