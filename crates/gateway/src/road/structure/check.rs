//! Whether a text is a JSON document that follows a schema.

use jsonschema::{PatternOptions, Validator};
use pointsman_wire::form::{Failure, FailureKind};
use pointsman_wire::json::Json;
use serde_json::Value;

use super::bounds::Bounds;

/// Most letters of what a flaw tells.
const MAX_TOLD: usize = 400;

/// What a document must follow.
pub struct Checker {
    schema: Option<(Validator, Bounds)>,
    objects: bool,
}

/// What is wrong with an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flaw {
    /// The answer.
    pub said: String,
    /// Where, as a JSON pointer; empty for the whole.
    pub path: String,
    /// What.
    pub message: String,
}

impl Flaw {
    /// What the client is told when mending did not help.
    pub fn failure(&self) -> Failure {
        let place = if self.path.is_empty() {
            "its root"
        } else {
            self.path.as_str()
        };
        let message = format!(
            "the model's answer does not follow response_format at {place}: {}",
            self.message
        );
        Failure::new(FailureKind::Provider, message)
            .at("response_format")
            .coded("structured_output_invalid")
    }
}

impl Checker {
    /// For documents that follow `schema`. Patterns take linear time, and nothing is fetched.
    pub fn new(schema: &Json) -> Result<Self, String> {
        let schema: Value = schema.read().map_err(|error| error.to_string())?;
        let bounds = Bounds::of(&schema);
        if !bounds.hold() {
            return Err("its references multiply to more places than can be checked".to_owned());
        }
        if refers_by_name(&schema) {
            return Err("references must be JSON pointers into the schema, such as #/$defs/item".to_owned());
        }
        let objects = schema.get("type").and_then(Value::as_str) == Some("object");
        let validator = jsonschema::options()
            .with_pattern_options(PatternOptions::regex())
            .build(&schema)
            .map_err(|error| bounded(error.to_string()))?;
        Ok(Self {
            schema: Some((validator, bounds)),
            objects,
        })
    }

    /// For any JSON object.
    pub fn any_object() -> Self {
        Self {
            schema: None,
            objects: true,
        }
    }

    /// Whether nothing but an object follows it.
    pub fn is_of_objects(&self) -> bool {
        self.objects
    }

    /// The document that `said` is or holds.
    ///
    /// # Errors
    /// When there is none, or it does not follow; the first thing that is wrong is told.
    pub fn check(&self, said: &str) -> Result<String, Flaw> {
        let flaw = |path: String, message: String| Flaw {
            said: said.to_owned(),
            path,
            message: bounded(message),
        };
        let (document, value) = document(said).map_err(|message| flaw(String::new(), message))?;
        match &self.schema {
            None if !value.is_object() => return Err(flaw(String::new(), "it is not an object".to_owned())),
            None => {}
            Some((_, bounds)) if !bounds.hold_for(&value) => {
                let message = "it is nested too deeply for a schema that refers to itself so often";
                return Err(flaw(String::new(), message.to_owned()));
            }
            Some((schema, _)) => {
                if let Err(error) = schema.validate(&value) {
                    let message = error.masked_with("the value").to_string();
                    return Err(flaw(error.instance_path().to_string(), message));
                }
            }
        }
        Ok(document.to_owned())
    }
}

/// Whether a reference is by anything but a JSON pointer: how often such ones multiply is not known.
fn refers_by_name(schema: &Value) -> bool {
    match schema {
        Value::Object(fields) => fields.iter().any(|(name, value)| match (name.as_str(), value) {
            ("$ref", Value::String(place)) => place != "#" && !place.starts_with("#/"),
            ("$dynamicRef" | "$recursiveRef", Value::String(_)) => true,
            _ => refers_by_name(value),
        }),
        Value::Array(all) => all.iter().any(refers_by_name),
        _ => false,
    }
}

fn bounded(mut message: String) -> String {
    if let Some((at, _)) = message.char_indices().nth(MAX_TOLD) {
        message.truncate(at);
        message.push('…');
    }
    message
}

/// The document in a text: all of it, what stands in its first fence, or what its outermost brackets hold. What stands
/// deeper is never taken for it.
fn document(said: &str) -> Result<(&str, Value), String> {
    let whole = said.trim();
    let error = match serde_json::from_str(whole) {
        Ok(value) => return Ok((whole, value)),
        Err(error) => error,
    };
    let candidates = [
        fenced(whole),
        between(whole, &['{', '['], &['}', ']']),
        between(whole, &['{'], &['}']),
    ];
    for candidate in candidates.into_iter().flatten() {
        if let Ok(value) = serde_json::from_str(candidate) {
            return Ok((candidate, value));
        }
    }
    Err(format!("it is not JSON: {error}"))
}

/// What stands between the first fence and the next, without the name of its language.
fn fenced(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("```")?;
    let (inside, _) = rest.split_once("```")?;
    let named = inside.split_once('\n');
    let inside = match named {
        Some((language, rest)) if language.trim().chars().all(char::is_alphanumeric) => rest,
        _ => inside,
    };
    Some(inside.trim())
}

fn between<'t>(text: &'t str, open: &[char], close: &[char]) -> Option<&'t str> {
    let from = text.find(open)?;
    let to = text.rfind(close)?;
    text.get(from..=to)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checker(schema: &str) -> Checker {
        Checker::new(&Json::parse(schema.to_owned()).unwrap()).unwrap()
    }

    const CITY: &str = r#"{"type":"object","properties":{"city":{"type":"string"},"n":{"type":"integer"}},"required":["city"]}"#;

    #[test]
    fn documents_are_found_in_fences_and_between_words() {
        let checker = checker(CITY);
        let plain = r#"{"city":"Bern"}"#;
        for said in [
            plain.to_owned(),
            format!("  {plain}\n"),
            format!("```json\n{plain}\n```"),
            format!("Here you are [1]:\n```\n{plain}\n```\nAnything else?"),
            format!("The answer is {plain}."),
            format!("As [1] says: {plain}"),
        ] {
            assert_eq!(checker.check(&said).as_deref(), Ok(plain), "{said}");
        }
    }

    #[test]
    fn what_stands_inside_of_what_is_broken_is_not_taken() {
        let checker = checker(CITY);
        for said in [
            r#"{"wrong": {"city": "Bern"}, }"#,
            r#"{'a': {"city": "Bern"}}"#,
            r#"{"list": [{"city": "Bern"}]"#,
            "none",
            "",
        ] {
            let flaw = checker.check(said).unwrap_err();
            assert!(flaw.message.starts_with("it is not JSON"), "{flaw:?}");
        }
    }

    #[test]
    fn a_flaw_names_the_path_and_not_the_whole_answer() {
        let checker = checker(CITY);
        let flaw = checker
            .check(r#"{"city":"Bern","n":"seven of them"}"#)
            .unwrap_err();
        assert_eq!(flaw.path, "/n");
        assert!(!flaw.message.contains("seven of them"), "{}", flaw.message);
        let told = flaw.failure();
        assert!(told.message.contains("/n"), "{}", told.message);
        assert_eq!(told.code.as_deref(), Some("structured_output_invalid"));
        assert_eq!(checker.check("{}").unwrap_err().path, "");
    }

    #[test]
    fn schemas_that_cannot_be_checked_are_refused_and_none_is_fetched() {
        for schema in [
            r#"{"type":"objekt"}"#,
            r#"{"$ref":"https://example.com/s.json"}"#,
            r##"{"$ref":"#/$defs/missing"}"##,
            r#"{"pattern":"(?=look)"}"#,
        ] {
            assert!(Checker::new(&Json::parse(schema).unwrap()).is_err(), "{schema}");
        }
    }

    #[test]
    fn schemas_that_turn_in_circles_or_double_end() {
        let circle = checker(r##"{"$ref":"#"}"##);
        assert!(circle.check("{}").is_ok());
        let mut defs = String::from(r#""a0":{"type":"object"}"#);
        for at in 1..40 {
            let one = format!(r##"{{"$ref":"#/$defs/a{}"}}"##, at - 1);
            defs.push_str(&format!(r#","a{at}":{{"anyOf":[{one},{one}]}}"#));
        }
        let doubling = format!(r##"{{"$ref":"#/$defs/a39","$defs":{{{defs}}}}}"##);
        let refused = Checker::new(&Json::parse(doubling).unwrap()).err();
        assert!(refused.is_some_and(|why| why.contains("multiply")));
    }

    #[test]
    fn any_object_is_an_object() {
        let checker = Checker::any_object();
        assert!(checker.check(r#"{"a":1}"#).is_ok());
        assert_eq!(checker.check("[1]").unwrap_err().message, "it is not an object");
    }
}
