//! What providers demand of the schemas of answers and arguments, beyond that they are schemas.

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::form::{ChatRequest, ResponseFormat, Tool, ToolKind};
use crate::format::Format;
use crate::json::Json;
use crate::rules::Rule;

/// What OpenAI cannot be bound to.
pub static UNBOUND: Rule = Rule::nearest(
    "strict",
    "OpenAI binds to schemas whose objects are closed and demand all that they name; to others the model is not bound",
);

/// Where a schema holds schemas by name, and where in a row.
const NAMED: [&str; 3] = ["properties", "$defs", "definitions"];
const LISTED: [&str; 3] = ["anyOf", "oneOf", "prefixItems"];

/// The schema with every object closed that does not say whether it is: what follows it follows the original, too.
/// Anthropic takes no other. What stands in `allOf` is left as it is: closed parts of one object exclude one another.
#[must_use]
pub fn closed(schema: &Json) -> Cow<'_, Json> {
    let Ok(mut value) = schema.read::<Value>() else {
        return Cow::Borrowed(schema);
    };
    if !close(&mut value) {
        return Cow::Borrowed(schema);
    }
    Json::of(&value).map_or(Cow::Borrowed(schema), Cow::Owned)
}

/// Whether OpenAI can be told to bind the model to the schema: every object is closed and demands all that it names.
#[must_use]
pub fn can_bind(schema: &Json) -> bool {
    schema.read::<Value>().is_ok_and(|value| binds(&value))
}

/// Whether a request of another maker's format binds the model to a schema that OpenAI cannot be bound to.
#[must_use]
pub fn loses_bond(request: &ChatRequest) -> bool {
    let same = matches!(
        request.format,
        Format::OpenAiChat | Format::OpenAiCompletions | Format::OpenAiResponses
    );
    let tool = |tool: &Tool| match &tool.kind {
        ToolKind::Function {
            strict: Some(true),
            parameters: Some(schema),
            ..
        } => !can_bind(schema),
        _ => false,
    };
    let answer = || match &request.response_format {
        Some(ResponseFormat::JsonSchema {
            strict: None, schema, ..
        }) => !can_bind(schema),
        _ => false,
    };
    !same && (request.tools.iter().any(tool) || answer())
}

fn is_object(schema: &Map<String, Value>) -> bool {
    schema.get("type").and_then(Value::as_str) == Some("object") || schema.contains_key("properties")
}

fn close(schema: &mut Value) -> bool {
    let Some(schema) = schema.as_object_mut() else {
        return false;
    };
    let mut changed = false;
    if is_object(schema) && !schema.contains_key("additionalProperties") {
        schema.insert("additionalProperties".to_owned(), Value::Bool(false));
        changed = true;
    }
    for name in NAMED {
        let named = schema.get_mut(name).and_then(Value::as_object_mut);
        for inner in named.into_iter().flat_map(Map::values_mut) {
            changed |= close(inner);
        }
    }
    for name in LISTED {
        let listed = schema.get_mut(name).and_then(Value::as_array_mut);
        for inner in listed.into_iter().flatten() {
            changed |= close(inner);
        }
    }
    if let Some(items) = schema.get_mut("items") {
        changed |= close(items);
    }
    changed
}

fn binds(schema: &Value) -> bool {
    let Some(schema) = schema.as_object() else {
        return true;
    };
    if is_object(schema) {
        let required: Vec<&str> = schema
            .get("required")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let names = schema.get("properties").and_then(Value::as_object);
        let all = names.is_none_or(|names| names.keys().all(|name| required.contains(&name.as_str())));
        if !all || schema.get("additionalProperties") != Some(&Value::Bool(false)) {
            return false;
        }
    }
    let named = NAMED
        .iter()
        .filter_map(|name| schema.get(*name)?.as_object())
        .flat_map(Map::values);
    let listed = LISTED
        .iter()
        .filter_map(|name| schema.get(*name)?.as_array())
        .flatten();
    named.chain(listed).chain(schema.get("items")).all(binds)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> Json {
        Json::parse(text.to_owned()).unwrap()
    }

    #[test]
    fn open_objects_are_closed_and_closed_ones_keep_their_bytes() {
        let open = json(
            r##"{"type":"object","properties":{"a":{"type":"array","items":{"properties":{"b":{"type":"string"}}}},"c":{"$ref":"#/$defs/d"}},"$defs":{"d":{"type":"object","additionalProperties":{"type":"string"}}},"allOf":[{"properties":{"e":{}}}]}"##,
        );
        assert_eq!(
            closed(&open).as_str(),
            r##"{"type":"object","properties":{"a":{"type":"array","items":{"properties":{"b":{"type":"string"}},"additionalProperties":false}},"c":{"$ref":"#/$defs/d"}},"$defs":{"d":{"type":"object","additionalProperties":{"type":"string"}}},"allOf":[{"properties":{"e":{}}}],"additionalProperties":false}"##
        );
        let shut = json(r#"{ "type": "object", "properties": {}, "additionalProperties": false }"#);
        assert!(matches!(closed(&shut), Cow::Borrowed(same) if same.as_str() == shut.as_str()));
    }

    #[test]
    fn openai_binds_to_closed_objects_that_demand_all_they_name() {
        let shut = r#""additionalProperties":false"#;
        for (schema, expected) in [
            (
                format!(r#"{{"type":"object","properties":{{"a":{{}}}},"required":["a"],{shut}}}"#),
                true,
            ),
            (
                format!(r#"{{"type":"object","properties":{{"a":{{}}}},"required":[],{shut}}}"#),
                false,
            ),
            (
                r#"{"type":"object","properties":{"a":{}},"required":["a"]}"#.to_owned(),
                false,
            ),
            (
                format!(
                    r#"{{"type":"object","properties":{{"a":{{"type":"object"}}}},"required":["a"],{shut}}}"#
                ),
                false,
            ),
            (r#"{"type":"string"}"#.to_owned(), true),
        ] {
            assert_eq!(can_bind(&json(&schema)), expected, "{schema}");
        }
    }
}
