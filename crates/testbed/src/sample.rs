//! A value that is valid for a JSON schema, made from nothing but the schema and a word.

use serde_json::{Map, Value, json};

/// References are followed this deep.
const DEPTH: usize = 12;

/// A value that is valid for a schema; texts are `word` where they are free.
pub(crate) fn sample(schema: &Value, word: &str) -> Value {
    Sampler { root: schema, word }.value(schema, 0)
}

struct Sampler<'a> {
    root: &'a Value,
    word: &'a str,
}

impl Sampler<'_> {
    fn value(&self, schema: &Value, depth: usize) -> Value {
        if depth > DEPTH {
            return Value::Null;
        }
        if let Some(place) = schema.get("$ref").and_then(Value::as_str) {
            let found = self.root.pointer(place.trim_start_matches('#'));
            return found.map_or(Value::Null, |schema| self.value(schema, depth + 1));
        }
        if let Some(only) = schema.get("const") {
            return only.clone();
        }
        if let Some(first) = schema.get("enum").and_then(|all| all.get(0)) {
            return first.clone();
        }
        if let Some(all) = schema.get("allOf").and_then(Value::as_array) {
            return self.all(schema, all, depth);
        }
        let choice = ["anyOf", "oneOf"]
            .iter()
            .find_map(|key| schema.get(*key)?.as_array());
        if let Some(choices) = choice {
            // Deep inside, null ends what refers to itself.
            let null = choices.iter().find(|one| kind(one).as_deref() == Some("null"));
            let first = if depth > DEPTH / 2 { null } else { None };
            return first
                .or(choices.first())
                .map_or(Value::Null, |one| self.value(one, depth + 1));
        }
        match kind(schema).as_deref() {
            Some("object") => self.object(schema, depth),
            Some("array") => self.array(schema, depth),
            Some("integer") => json!(number(schema, 7.0, 1.0) as i64),
            Some("number") => json!(number(schema, 1.5, 0.5)),
            Some("boolean") => json!(true),
            Some("string") => self.text(schema),
            Some("null") => Value::Null,
            _ if schema.get("properties").is_some() => self.object(schema, depth),
            _ => json!({}),
        }
    }

    fn all(&self, schema: &Value, all: &[Value], depth: usize) -> Value {
        let mut merged = Map::new();
        let mut last = Value::Null;
        for part in all.iter().chain(schema.get("properties").map(|_| schema)) {
            let mut part = part.clone();
            if let Some(part) = part.as_object_mut() {
                part.remove("allOf");
            }
            last = self.value(&part, depth + 1);
            if let Value::Object(fields) = &last {
                merged.extend(fields.clone());
            }
        }
        if merged.is_empty() {
            last
        } else {
            Value::Object(merged)
        }
    }

    fn object(&self, schema: &Value, depth: usize) -> Value {
        let required = |name: &str| {
            schema
                .get("required")
                .and_then(Value::as_array)
                .is_some_and(|all| all.iter().any(|one| one == name))
        };
        let properties = schema.get("properties").and_then(Value::as_object);
        let mut fields: Map<String, Value> = properties
            .into_iter()
            .flatten()
            // What may be missing is left out where it is deep.
            .filter(|(name, _)| depth < DEPTH / 2 || required(name))
            .map(|(name, schema)| (name.clone(), self.value(schema, depth + 1)))
            .collect();
        if fields.is_empty()
            && let Some(each) = schema.get("additionalProperties").filter(|each| each.is_object())
        {
            fields.insert(self.word.to_owned(), self.value(each, depth + 1));
        }
        Value::Object(fields)
    }

    fn array(&self, schema: &Value, depth: usize) -> Value {
        if let Some(all) = schema.get("prefixItems").and_then(Value::as_array) {
            return all.iter().map(|one| self.value(one, depth + 1)).collect();
        }
        let most = whole(schema, "maxItems").unwrap_or(usize::MAX);
        let count = whole(schema, "minItems").unwrap_or(0).max(1).min(most);
        let item = schema
            .get("items")
            .map_or(Value::Null, |items| self.value(items, depth + 1));
        json!(vec![item; count])
    }

    fn text(&self, schema: &Value) -> Value {
        let formatted = match schema.get("format").and_then(Value::as_str) {
            Some("date-time") => "2026-01-02T03:04:05Z",
            Some("date") => "2026-01-02",
            Some("time") => "03:04:05Z",
            Some("email") => "ada@example.com",
            Some("uri" | "url") => "https://example.com/a",
            Some("uuid") => "11111111-2222-4333-8444-555555555555",
            Some("ipv4") => "192.0.2.1",
            Some("duration") => "P1D",
            _ => self.word,
        };
        let mut text = formatted.to_owned();
        while text.chars().count() < whole(schema, "minLength").unwrap_or(0) {
            text.push('x');
        }
        let most = whole(schema, "maxLength").unwrap_or(usize::MAX);
        json!(text.chars().take(most).collect::<String>())
    }
}

/// The type of a schema, in small letters as JSON schema has it.
fn kind(schema: &Value) -> Option<String> {
    let kind = schema.get("type")?;
    let text = match kind {
        Value::Array(all) => all.iter().find(|kind| *kind != "null").or(all.first())?,
        kind => kind,
    };
    Some(text.as_str()?.to_lowercase())
}

/// A count, which some write as text.
fn whole(schema: &Value, name: &str) -> Option<usize> {
    let value = schema.get(name)?;
    value
        .as_u64()
        .or_else(|| value.as_str()?.parse().ok())
        .and_then(|count| usize::try_from(count).ok())
}

fn number(schema: &Value, usual: f64, step: f64) -> f64 {
    let bound = |name: &str| schema.get(name).and_then(Value::as_f64);
    let least = bound("minimum").or(bound("exclusiveMinimum").map(|bound| bound + step));
    let most = bound("maximum").or(bound("exclusiveMaximum").map(|bound| bound - step));
    let mut number = usual;
    if let Some(least) = least {
        number = least;
    }
    if let Some(most) = most.filter(|most| number > *most) {
        number = most;
    }
    match bound("multipleOf").filter(|step| *step > 0.0) {
        Some(step) => (number / step).ceil() * step,
        None => number,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_follow_their_schema() {
        let schema = json!({
            "type": "object",
            "properties": {
                "name": {"type": "string", "minLength": 8},
                "when": {"type": ["string", "null"], "format": "date"},
                "age": {"type": "integer", "minimum": 18},
                "part": {"$ref": "#/$defs/part"},
                "list": {"type": "ARRAY", "items": {"type": "STRING"}, "minItems": "2"},
                "kind": {"enum": ["red", "green"]},
                "both": {"allOf": [{"type": "object", "properties": {"a": {"type": "boolean"}}}]}
            },
            "$defs": {"part": {"anyOf": [{"type": "number", "maximum": 1}, {"type": "null"}]}}
        });
        assert_eq!(
            sample(&schema, "Zürich"),
            json!({"name": "Zürichxx", "when": "2026-01-02", "age": 18, "part": 1.0, "list": ["Zürich", "Zürich"],
                   "kind": "red", "both": {"a": true}})
        );
        let endless = json!({"$defs": {"n": {"type": "object", "properties": {"n": {"$ref": "#/$defs/n"}}}}, "$ref": "#/$defs/n"});
        assert!(sample(&endless, "x").is_object());
    }
}
