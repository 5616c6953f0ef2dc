//! From the subset of OpenAPI that Gemini's `parameters` and `responseSchema` speak to JSON Schema, which all others do.

use serde_json::{Map, Value};

use crate::json::Json;

/// The JSON Schema that says the same.
pub(super) fn to_json_schema(schema: &Json) -> Json {
    // What is not read here is left as it is: the target will say what is wrong with it.
    let Ok(value) = schema.read::<Value>() else {
        return schema.clone();
    };
    Json::of(&convert(value)).unwrap_or_else(|_| schema.clone())
}

fn convert(schema: Value) -> Value {
    let Value::Object(fields) = schema else {
        return schema;
    };
    let mut out = Map::new();
    let mut nullable = false;
    for (key, value) in fields {
        match key.as_str() {
            "type" => {
                if let Some(kind) = kind(value) {
                    out.insert("type".to_owned(), kind);
                }
            }
            "nullable" => nullable = value == Value::Bool(true),
            "properties" | "defs" | "$defs" => {
                let name = if key == "properties" {
                    "properties"
                } else {
                    "$defs"
                };
                out.insert(name.to_owned(), each_field(value));
            }
            "items" | "additionalProperties" | "additional_properties" => {
                let name = if key == "items" {
                    "items"
                } else {
                    "additionalProperties"
                };
                out.insert(name.to_owned(), convert(value));
            }
            "anyOf" | "any_of" => drop(out.insert("anyOf".to_owned(), each_item(value))),
            "prefixItems" | "prefix_items" => drop(out.insert("prefixItems".to_owned(), each_item(value))),
            "ref" => drop(out.insert("$ref".to_owned(), reference(value))),
            "example" => drop(out.insert("examples".to_owned(), Value::Array(vec![value]))),
            // The order is that of the properties; the format says no more than `enum` does.
            "propertyOrdering" | "property_ordering" => {}
            "format" if value == "enum" => {}
            _ => drop(out.insert(limit_name(&key).to_owned(), limit(&key, value))),
        }
    }
    if nullable {
        allow_null(&mut out);
    }
    Value::Object(out)
}

fn each_field(value: Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .into_iter()
            .map(|(name, schema)| (name, convert(schema)))
            .collect(),
        other => other,
    }
}

fn each_item(value: Value) -> Value {
    match value {
        Value::Array(items) => items.into_iter().map(convert).collect(),
        other => other,
    }
}

fn kind(value: Value) -> Option<Value> {
    match value {
        Value::String(kind) if kind == "TYPE_UNSPECIFIED" => None,
        Value::String(kind) => Some(Value::String(kind.to_ascii_lowercase())),
        other => Some(other),
    }
}

fn reference(value: Value) -> Value {
    match value {
        Value::String(path) => Value::String(path.replacen("#/defs/", "#/$defs/", 1)),
        other => other,
    }
}

/// The limits, in both spellings.
const LIMITS: [(&str, &str); 6] = [
    ("min_items", "minItems"),
    ("max_items", "maxItems"),
    ("min_length", "minLength"),
    ("max_length", "maxLength"),
    ("min_properties", "minProperties"),
    ("max_properties", "maxProperties"),
];

fn limit_name(key: &str) -> &str {
    LIMITS
        .iter()
        .find(|(snake, _)| *snake == key)
        .map_or(key, |(_, camel)| camel)
}

/// Limits are 64-bit numbers, which Google writes as strings.
fn limit(key: &str, value: Value) -> Value {
    let known = LIMITS.iter().any(|(snake, camel)| *snake == key || *camel == key);
    match value
        .as_str()
        .filter(|_| known)
        .and_then(|text| text.parse::<u64>().ok())
    {
        Some(number) => Value::from(number),
        None => value,
    }
}

fn allow_null(out: &mut Map<String, Value>) {
    if let Some(Value::Array(values)) = out.get_mut("enum") {
        values.push(Value::Null);
    }
    match out.get_mut("type") {
        Some(kind @ Value::String(_)) => {
            let one = kind.take();
            *kind = Value::Array(vec![one, Value::from("null")]);
        }
        Some(_) => {}
        None => {
            if let Some(Value::Array(any)) = out.get_mut("anyOf") {
                any.push(serde_json::json!({"type": "null"}));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_openapi_says_json_schema_says() {
        let openapi = json!({
            "type": "OBJECT",
            "properties": {
                "city": {"type": "STRING", "nullable": true, "min_length": "1"},
                "unit": {"type": "STRING", "format": "enum", "enum": ["C", "F"], "nullable": true},
                "days": {"type": "ARRAY", "items": {"type": "INTEGER", "format": "int32"}, "maxItems": "7"},
                "where": {"any_of": [{"type": "STRING"}, {"type": "NUMBER"}], "nullable": true},
                "type": {"type": "BOOLEAN", "example": true},
            },
            "required": ["city"],
            "propertyOrdering": ["city", "days"],
        });
        let schema: Value = to_json_schema(&Json::of(&openapi).unwrap()).read().unwrap();
        assert_eq!(
            schema,
            json!({
                "type": "object",
                "properties": {
                    "city": {"type": ["string", "null"], "minLength": 1},
                    "unit": {"type": ["string", "null"], "enum": ["C", "F", null]},
                    "days": {"type": "array", "items": {"type": "integer", "format": "int32"}, "maxItems": 7},
                    "where": {"anyOf": [{"type": "string"}, {"type": "number"}, {"type": "null"}]},
                    "type": {"type": "boolean", "examples": [true]},
                },
                "required": ["city"],
            })
        );
    }
}
