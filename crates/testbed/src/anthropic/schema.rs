//! What Anthropic asks of schemas.

use serde_json::Value;

use crate::exchange::Refusal;

/// The schema of a tool's input.
pub(super) fn of_tool(schema: &Value, strict: bool, at: usize) -> Result<(), Refusal> {
    let path = format!("tools.{at}.custom.input_schema");
    if schema["type"] != "object" {
        let text = if schema["type"].is_null() {
            "Field required"
        } else {
            "Input should be 'object'"
        };
        return Err(Refusal::bad(format!("{path}.type: {text}")));
    }
    if ["oneOf", "allOf", "anyOf"]
        .iter()
        .any(|key| schema.get(*key).is_some())
    {
        return Err(Refusal::bad(format!(
            "{path}: input_schema does not support oneOf, allOf, or anyOf at the top level"
        )));
    }
    if odd_type(schema) {
        return Err(Refusal::bad(format!(
            "{path}: JSON schema is invalid. It must match JSON Schema draft 2020-12 (https://json-schema.org/draft/2020-12). Learn more about tool use at https://docs.claude.com/en/docs/tool-use."
        )));
    }
    if strict {
        strictly(schema, &path)?;
    }
    Ok(())
}

/// The schema of an answer.
pub(super) fn of_answer(schema: &Value) -> Result<(), Refusal> {
    strictly(schema, "output_config.format.schema")
}

/// A type that is none, somewhere.
fn odd_type(schema: &Value) -> bool {
    let known = [
        "object", "array", "string", "number", "integer", "boolean", "null",
    ];
    let odd = |kind: &Value| kind.as_str().is_some_and(|kind| !known.contains(&kind));
    match schema.get("type") {
        Some(Value::Array(all)) if all.iter().any(odd) => return true,
        Some(kind) if odd(kind) => return true,
        _ => {}
    }
    children(schema).iter().any(|child| odd_type(child))
}

fn children(schema: &Value) -> Vec<&Value> {
    let mut all: Vec<&Value> = Vec::new();
    for key in ["properties", "$defs"] {
        all.extend(
            schema
                .get(key)
                .and_then(Value::as_object)
                .into_iter()
                .flatten()
                .map(|(_, child)| child),
        );
    }
    for key in ["anyOf", "oneOf", "allOf"] {
        all.extend(schema.get(key).and_then(Value::as_array).into_iter().flatten());
    }
    all.extend(schema.get("items").filter(|items| items.is_object()));
    all
}

/// What structured outputs ask of a schema.
fn strictly(schema: &Value, path: &str) -> Result<(), Refusal> {
    let kind = schema["type"].as_str().unwrap_or_default();
    if kind == "object" && schema.get("additionalProperties") != Some(&Value::Bool(false)) {
        return Err(Refusal::bad(format!(
            "{path}: For 'object' type, 'additionalProperties' must be explicitly set to false"
        )));
    }
    let unsupported: &[&str] = match kind {
        "integer" | "number" => &[
            "minimum",
            "maximum",
            "exclusiveMinimum",
            "exclusiveMaximum",
            "multipleOf",
        ],
        "string" => &["minLength", "maxLength"],
        "array" => &["maxItems", "uniqueItems"],
        _ => &[],
    };
    let found: Vec<&str> = unsupported
        .iter()
        .filter(|key| schema.get(**key).is_some())
        .copied()
        .collect();
    if !found.is_empty() {
        return Err(Refusal::bad(format!(
            "{path}: For '{kind}' type, properties {} are not supported",
            found.join(", ")
        )));
    }
    children(schema)
        .into_iter()
        .try_for_each(|child| strictly(child, path))
}
