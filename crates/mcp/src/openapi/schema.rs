//! Schemas of a document as JSON Schema that stands alone: references written out, bounded where they never end.

use serde_json::{Map, Value, json};

use super::document::Document;

/// Most levels of a schema that are written out: the first of these with which it is short enough.
const DEPTHS: [usize; 7] = [24, 16, 12, 9, 7, 5, 3];
/// Bytes of a schema as it is written out. A model reads every one of them with each request.
const MAX_BYTES: usize = 32 * 1024;
/// Most schemas within one that are written out; what comes after takes anything.
const MAX_SCHEMAS: usize = 3_000;

/// Which way the values go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// To the API: what it alone sets is left out.
    In,
    /// From it: what it never tells is left out.
    Out,
}

/// Writes a schema out. What lies too deep for it to be short takes anything.
#[must_use]
pub fn standalone(document: &Document, schema: &Value, way: Way) -> Value {
    let mut written = Value::Null;
    for depth in DEPTHS {
        let mut writer = Writer {
            document,
            way,
            depth,
            left: MAX_SCHEMAS,
            open: Vec::new(),
        };
        written = writer.write(schema, 0);
        if writer.left > 0 && written.to_string().len() <= MAX_BYTES {
            break;
        }
    }
    written
}

struct Writer<'a> {
    document: &'a Document,
    way: Way,
    /// Levels that are written out.
    depth: usize,
    left: usize,
    /// References that are being written out.
    open: Vec<&'a str>,
}

impl<'a> Writer<'a> {
    fn write(&mut self, schema: &'a Value, depth: usize) -> Value {
        let Some(fields) = schema.as_object() else {
            return if schema.is_boolean() {
                schema.clone()
            } else {
                json!({})
            };
        };
        if depth > self.depth || self.left == 0 {
            return json!({});
        }
        self.left -= 1;
        if let Some(reference) = fields.get("$ref").and_then(Value::as_str) {
            return self.follow(reference, fields, depth);
        }
        let mut written = Map::new();
        for (name, value) in fields {
            if let Some((name, value)) = self.field(name, value, depth) {
                written.insert(name, value);
            }
        }
        self.without_hidden(fields, &mut written);
        in_newer_words(fields, &mut written);
        merge_all(&mut written);
        Value::Object(written)
    }

    /// What a reference leads to; what stands beside it is said of it, too.
    fn follow(&mut self, reference: &'a str, fields: &'a Map<String, Value>, depth: usize) -> Value {
        let name = reference.rsplit('/').next().unwrap_or_default();
        if self.open.contains(&reference) {
            return json!({ "description": format!("Another {name}.") });
        }
        let Ok(target) = self.document.at(reference) else {
            return json!({});
        };
        self.open.push(reference);
        let mut written = self.write(target, depth + 1);
        self.open.pop();
        if let (Some(written), Some(described)) = (written.as_object_mut(), fields.get("description")) {
            written.insert("description".to_owned(), described.clone());
        }
        written
    }

    /// A field as it is told; none for what is not.
    fn field(&mut self, name: &'a str, value: &'a Value, depth: usize) -> Option<(String, Value)> {
        let told = match name {
            "properties" | "patternProperties" | "dependentSchemas" => {
                let mut inner = Map::new();
                for (key, schema) in value.as_object()? {
                    let told = match name {
                        "properties" => !self.is_hidden(schema),
                        "patternProperties" => is_pattern(&json!(key)),
                        _ => true,
                    };
                    if told {
                        inner.insert(key.clone(), self.write(schema, depth + 1));
                    }
                }
                Value::Object(inner)
            }
            "allOf" | "anyOf" | "oneOf" | "prefixItems" => {
                let all = value.as_array()?.iter();
                Value::Array(all.map(|schema| self.write(schema, depth + 1)).collect())
            }
            "items"
            | "additionalProperties"
            | "not"
            | "if"
            | "then"
            | "else"
            | "contains"
            | "propertyNames"
            | "unevaluatedItems"
            | "unevaluatedProperties" => self.write(value, depth + 1),
            "xml" | "externalDocs" | "discriminator" | "readOnly" | "writeOnly" | "nullable" | "example"
            | "$schema" | "$id" | "$anchor" | "$defs" | "definitions" | "$dynamicRef" | "$dynamicAnchor" => {
                return None;
            }
            name if name.starts_with("x-") => return None,
            // Swagger and drafts of old have a boolean here.
            "required" if !value.is_array() => return None,
            "required" => Value::Array(once_each(value.as_array()?)),
            // Older words, which are put into newer ones below.
            "exclusiveMinimum" | "exclusiveMaximum" => value.clone(),
            "type" if value == "file" => value.clone(),
            // What no reader of schemas would take (a pattern that is none, a description that is no text) says nothing.
            _ if !jsonschema::meta::is_valid(&json!({ name: value })) => return None,
            "pattern" if !is_pattern(value) => return None,
            _ => value.clone(),
        };
        Some((name.to_owned(), told))
    }

    fn is_hidden(&self, schema: &Value) -> bool {
        let schema = self.document.resolve(schema).unwrap_or(schema);
        let hidden = match self.way {
            Way::In => "readOnly",
            Way::Out => "writeOnly",
        };
        schema.get(hidden).is_some_and(|hidden| hidden == true)
    }

    /// What is hidden is not required either.
    fn without_hidden(&self, fields: &Map<String, Value>, written: &mut Map<String, Value>) {
        let Some(properties) = fields.get("properties").and_then(Value::as_object) else {
            return;
        };
        let Some(Value::Array(required)) = written.get_mut("required") else {
            return;
        };
        required.retain(|name| {
            let property = name.as_str().and_then(|name| properties.get(name));
            !property.is_some_and(|property| self.is_hidden(property))
        });
    }
}

fn is_pattern(value: &Value) -> bool {
    jsonschema::validator_for(&json!({ "pattern": value })).is_ok()
}

fn once_each(names: &[Value]) -> Vec<Value> {
    let mut once: Vec<Value> = Vec::with_capacity(names.len());
    for name in names.iter().filter(|name| name.is_string()) {
        if !once.contains(name) {
            once.push(name.clone());
        }
    }
    once
}

/// What OpenAPI 3.0 and Swagger say in words of their own.
fn in_newer_words(fields: &Map<String, Value>, written: &mut Map<String, Value>) {
    for (bound, exclusive) in [("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")] {
        if let Some(Value::Bool(is_exclusive)) = written.get(exclusive).cloned() {
            written.remove(exclusive);
            if is_exclusive && let Some(value) = written.remove(bound) {
                written.insert(exclusive.to_owned(), value);
            }
        }
    }
    if let Some(example) = fields.get("example")
        && !written.contains_key("examples")
    {
        written.insert("examples".to_owned(), json!([example]));
    }
    let kind = written.get("type").and_then(Value::as_str).unwrap_or_default();
    let format = written.get("format").and_then(Value::as_str).unwrap_or_default();
    if kind == "file" || (kind == "string" && matches!(format, "binary" | "byte" | "base64")) {
        written.remove("format");
        written.insert("type".to_owned(), json!("string"));
        written.insert("contentEncoding".to_owned(), json!("base64"));
    }
    if fields.get("nullable").is_some_and(|nullable| nullable == true) {
        if let Some(Value::String(kind)) = written.get("type").cloned() {
            written.insert("type".to_owned(), json!([kind, "null"]));
        }
        if let Some(Value::Array(choices)) = written.get_mut("enum")
            && !choices.contains(&Value::Null)
        {
            choices.push(Value::Null);
        }
    }
}

/// Several objects that must all fit are one object, where they do not contradict each other.
fn merge_all(written: &mut Map<String, Value>) {
    let Some(Value::Array(all)) = written.get("allOf") else {
        return;
    };
    let mut merged = written.clone();
    merged.remove("allOf");
    for one in all {
        let Some(fields) = one.as_object() else { return };
        for (name, value) in fields {
            if !merge(&mut merged, name, value) {
                return;
            }
        }
    }
    *written = merged;
}

/// Takes a field in; whether that can be.
fn merge(merged: &mut Map<String, Value>, name: &str, value: &Value) -> bool {
    let Some(before) = merged.get_mut(name) else {
        merged.insert(name.to_owned(), value.clone());
        return true;
    };
    match (name, before, value) {
        ("properties", Value::Object(before), Value::Object(more)) => {
            for (key, schema) in more {
                if before.get(key).is_some_and(|known| known != schema) {
                    return false;
                }
                before.insert(key.clone(), schema.clone());
            }
            true
        }
        ("required", Value::Array(before), Value::Array(more)) => {
            let new = more.iter().filter(|name| !before.contains(name)).cloned();
            let new: Vec<Value> = new.collect();
            before.extend(new);
            true
        }
        ("description" | "title" | "examples" | "default" | "deprecated", ..) => true,
        (_, before, value) => before == value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(schemas: &str, way: Way) -> Value {
        let text = format!("openapi: 3.0.0\npaths: {{}}\ncomponents:\n  schemas:\n{schemas}");
        let document = Document::read(&text).unwrap();
        let schema = document.at("#/components/schemas/A").unwrap();
        standalone(&document, schema, way)
    }

    #[test]
    fn references_are_written_out_and_end() {
        let schemas = "    A: {type: object, properties: {b: {$ref: '#/components/schemas/B'}, n: {$ref: '#/components/schemas/A'}}}\n    B: {type: string, nullable: true, enum: [x]}";
        let expected = json!({ "type": "object", "properties": {
            "b": { "type": ["string", "null"], "enum": ["x", null] },
            "n": { "type": "object", "properties": {
                "b": { "type": ["string", "null"], "enum": ["x", null] }, "n": { "description": "Another A." } } },
        } });
        assert_eq!(written(schemas, Way::In), expected);
    }

    #[test]
    fn what_goes_one_way_only_is_left_out_the_other_way() {
        let schemas = "    A: {type: object, required: [id, secret], properties: {id: {type: integer, readOnly: true}, secret: {type: string, writeOnly: true}}}";
        let seen = |way| {
            let schema = written(schemas, way);
            (
                schema["required"].clone(),
                schema["properties"].as_object().unwrap().len(),
            )
        };
        assert_eq!(seen(Way::In), (json!(["secret"]), 1));
        assert_eq!(seen(Way::Out), (json!(["id"]), 1));
    }

    #[test]
    fn objects_that_must_all_fit_are_one_where_they_can_be() {
        let schemas = "    A: {allOf: [{type: object, required: [a], properties: {a: {type: string}}}, {type: object, required: [b], properties: {b: {type: integer, minimum: 0, exclusiveMinimum: true}}}]}";
        let expected = json!({ "type": "object", "required": ["a", "b"], "properties": {
            "a": { "type": "string" }, "b": { "type": "integer", "exclusiveMinimum": 0 } } });
        assert_eq!(written(schemas, Way::In), expected);
        let other = "    A: {allOf: [{type: object, minProperties: 1}, {type: object, minProperties: 2}]}";
        assert!(written(other, Way::In).get("allOf").is_some());
    }

    #[test]
    fn choices_and_files_keep_what_they_say() {
        let schemas = "    A: {oneOf: [{type: string, format: binary}, {type: integer, example: 3}], discriminator: {propertyName: x}, x-internal: 1}";
        let expected = json!({ "oneOf": [
            { "type": "string", "contentEncoding": "base64" }, { "type": "integer", "examples": [3] } ] });
        assert_eq!(written(schemas, Way::In), expected);
    }

    #[test]
    fn what_no_validator_takes_is_left_out() {
        let schemas = "    A: {type: object, required: [a, b, a], description: true, properties: {a: {type: string, pattern: '^{[0-9]{4}}$', minLength: 1}, b: {type: integer, minimum: low}}}";
        let expected = json!({ "type": "object", "required": ["a", "b"], "properties": {
            "a": { "type": "string", "minLength": 1 }, "b": { "type": "integer" } } });
        assert_eq!(written(schemas, Way::In), expected);
    }

    #[test]
    fn a_schema_that_grows_without_end_is_cut() {
        let mut schemas = "    A: {$ref: '#/components/schemas/S0'}\n".to_owned();
        for level in 0..12 {
            let next = format!("{{$ref: '#/components/schemas/S{}'}}", level + 1);
            let properties: Vec<String> = (0..6).map(|n| format!("p{n}: {next}")).collect();
            schemas.push_str(&format!(
                "    S{level}: {{type: object, properties: {{{}}}}}\n",
                properties.join(", ")
            ));
        }
        schemas.push_str("    S12: {type: string}\n");
        let cut = written(&schemas, Way::In);
        assert!(cut.to_string().len() <= MAX_BYTES);
        // As deep everywhere: what comes first takes nothing from what comes last.
        assert_eq!(cut["properties"]["p0"], cut["properties"]["p5"]);
        assert!(cut["properties"]["p5"]["properties"]["p5"].is_object());
    }
}
