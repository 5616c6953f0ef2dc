//! Arguments held against the schema of their tool, before its server sees them.

use std::collections::HashSet;
use std::fmt;

use jsonschema::{PatternOptions, Validator};
use serde::Deserializer;
use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::message::Object;

/// Most letters of what is said to be wrong.
const MAX_SAID: usize = 500;

/// What checks arguments; none for a definition whose schema is none, or refers out of itself.
#[must_use]
pub fn checker(definition: &Object) -> Option<Validator> {
    let schema: Value = serde_json::from_str(definition.get("inputSchema")?.get()).ok()?;
    // Linear in the text: patterns are the server's, texts the caller's.
    let checking = jsonschema::options().with_pattern_options(PatternOptions::regex());
    checking.build(&schema).ok()
}

/// Holds arguments against a schema. One that is `null` counts as one that is not there, too: clients fill in what they
/// do not know so.
///
/// # Errors
/// What is wrong and where.
pub fn arguments(checker: &Validator, arguments: Option<&RawValue>) -> Result<(), String> {
    let said = arguments.map_or("{}", RawValue::get);
    let mut value: Value = serde_json::from_str(said).map_err(|error| error.to_string())?;
    let Some(fields) = value.as_object() else {
        return Err("the arguments must be an object".to_owned());
    };
    if fields.values().any(Value::is_null) && !checker.is_valid(&value) {
        value = fields
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
    }
    let wrong = checker.iter_errors(&value).next();
    wrong.map_or(Ok(()), |error| {
        let at = error.instance_path().to_string();
        let at = if at.is_empty() { "the arguments" } else { &at };
        // The error names the values: they are the caller's own.
        let said: String = error.to_string().chars().take(MAX_SAID).collect();
        Err(format!("{at}: {said}"))
    })
}

/// Whether no object in a text has a field twice: whoever judges it and whoever acts on it might not agree on which one
/// counts.
///
/// # Errors
/// The field that comes twice.
pub fn unique(text: &RawValue) -> Result<(), String> {
    let mut reading = serde_json::Deserializer::from_str(text.get());
    Unique
        .deserialize(&mut reading)
        .map_err(|error| error.to_string())
}

/// Reads anything, and keeps nothing of it.
#[derive(Clone, Copy)]
struct Unique;

impl<'de> DeserializeSeed<'de> for Unique {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Unique {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON in which no field comes twice")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut all: A) -> Result<(), A::Error> {
        while all.next_element_seed(self)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        let mut seen = HashSet::new();
        while let Some(name) = fields.next_key::<String>()? {
            if seen.contains(&name) {
                return Err(A::Error::custom(format!("`{name}` comes twice")));
            }
            seen.insert(name);
            fields.next_value_seed(self)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn definition(schema: &Value) -> Object {
        let mut definition = Object::default();
        definition.set("inputSchema", schema);
        definition
    }

    fn wrong(schema: &Value, given: &str) -> Option<String> {
        let checker = checker(&definition(schema)).unwrap();
        let given = serde_json::from_str::<Box<RawValue>>(given).unwrap();
        arguments(&checker, Some(&given)).err()
    }

    #[test]
    fn arguments_are_what_the_schema_says() {
        let schema = json!({ "type": "object", "additionalProperties": false, "required": ["path"],
            "properties": { "path": { "type": "string", "pattern": "^[a-z/]+$" }, "count": { "type": "integer" } } });
        assert_eq!(wrong(&schema, r#"{"path":"a/b","count":1}"#), None);
        // What is null is not there, where it need not be.
        assert_eq!(wrong(&schema, r#"{"path":"a/b","count":null}"#), None);
        assert!(wrong(&schema, r#"{"path":null}"#).unwrap().contains("required"));
        for (given, says) in [
            (r#"{"path":"a/../b"}"#, "/path"),
            (r#"{"path":"a","count":"1"}"#, "/count"),
            (r#"{"path":"a","extra":1}"#, "extra"),
            ("{}", "path"),
            ("[]", "object"),
            (r#""x""#, "object"),
        ] {
            let said = wrong(&schema, given).unwrap();
            assert!(said.contains(says), "{given}: {said}");
        }
    }

    #[test]
    fn no_field_comes_twice() {
        let raw = |text: &str| serde_json::from_str::<Box<RawValue>>(text).unwrap();
        assert_eq!(
            unique(&raw(
                r#"{"a":[{"b":1.5},{"b":null}],"c":{"a":"x"},"d":-1,"e":true}"#
            )),
            Ok(())
        );
        for text in [r#"{"a":1,"a":2}"#, r#"{"x":[{"a":1,"\u0061":2}]}"#] {
            assert!(
                unique(&raw(text)).unwrap_err().contains("`a` comes twice"),
                "{text}"
            );
        }
    }

    #[test]
    fn schemas_that_lead_elsewhere_are_not_followed() {
        let schema =
            json!({ "type": "object", "properties": { "a": { "$ref": "https://evil.example.com/s.json" } } });
        assert!(checker(&definition(&schema)).is_none());
        assert!(checker(&Object::default()).is_none());
    }
}
