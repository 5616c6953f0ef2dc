//! Expressions of the configuration, in the Common Expression Language: read once, and bounded in size, so that whoever
//! evaluates them bounds what they walk through.

use std::fmt;
use std::sync::{Arc, LazyLock};

use cel::{Context, Env, Program, Value as CelValue, extensions};
use serde::{Serialize, Serializer};
use serde_json::Value;

/// Bytes of an expression, at most.
const MAX_SOURCE: usize = 4 * 1024;
/// What walks through a list, as it is written.
const WALKS: [&str; 5] = [".all(", ".exists(", ".exists_one(", ".filter(", ".map("];

/// What would make texts longer than anybody has said.
const GROWS: [&str; 2] = ["replace", "format"];

/// What there is beside variables: the standard, and what texts are taken apart with.
static STANDARD: LazyLock<Arc<Env>> = LazyLock::new(|| {
    let mut standard = Env::stdlib();
    if let Err(error) = extensions::strings(&mut standard) {
        tracing::error!(%error, "expressions cannot take texts apart");
    }
    Arc::new(standard)
});

/// An expression.
#[derive(Clone)]
pub struct Expression {
    source: Box<str>,
    program: Arc<Program>,
}

impl Expression {
    /// Reads an expression, which may name what is `known` and nothing else.
    ///
    /// # Errors
    /// Why it is none, or what it names that there is not.
    pub fn new(source: &str, known: &[&str]) -> Result<Self, String> {
        if source.len() > MAX_SOURCE {
            return Err(format!("has more than {MAX_SOURCE} bytes"));
        }
        let program = Program::compile(source).map_err(|error| error.to_string())?;
        // `list.exists(one, …)` brings a name of its own.
        let bare = bare(source);
        let is_known = |name: &&str| known.contains(name) || bare.contains(&format!("({name},"));
        let references = program.references();
        if let Some(unknown) = references.variables().iter().find(|name| !is_known(name)) {
            return Err(format!("knows no {unknown:?}; there are {}", known.join(", ")));
        }
        if let Some(grows) = GROWS.iter().find(|name| references.functions().contains(name)) {
            return Err(format!("may not {grows}: texts would have no bound"));
        }
        Ok(Self {
            source: source.into(),
            program: Arc::new(program),
        })
    }

    /// Whether it names a variable.
    #[must_use]
    pub fn names(&self, name: &str) -> bool {
        self.program.references().has_variable(name)
    }

    /// Whether it calls a function.
    #[must_use]
    pub fn calls(&self, name: &str) -> bool {
        self.program.references().has_function(name)
    }

    /// How often it walks through a list.
    #[must_use]
    pub fn walks(&self) -> usize {
        let bare = bare(&self.source);
        WALKS.iter().map(|walk| bare.matches(walk).count()).sum()
    }

    /// What it comes to: a text, a number, true or false, nothing, or a list of these. Nothing at all where it cannot be
    /// told: something is not there, or of another type.
    #[must_use]
    pub fn evaluate(&self, variables: &[(&str, &Value)]) -> Option<Value> {
        let mut context = Context::with_env(Arc::clone(&STANDARD));
        for (name, value) in variables {
            context.add_variable(*name, Plain(value)).ok()?;
        }
        match self.program.execute(&context).ok()? {
            CelValue::List(list) => list.iter().map(one).collect(),
            other => one(&other),
        }
    }
}

fn bare(source: &str) -> String {
    source.split_whitespace().collect()
}

fn one(value: &CelValue) -> Option<Value> {
    Some(match value {
        CelValue::String(text) => Value::from(text.as_str()),
        CelValue::Bool(is) => Value::from(*is),
        CelValue::Int(number) => Value::from(*number),
        CelValue::UInt(number) => Value::from(*number),
        CelValue::Float(number) => Value::from(*number),
        CelValue::Null => Value::Null,
        _ => return None,
    })
}

/// Whole numbers are one type, as people compare them, whatever their sign.
struct Plain<'a>(&'a Value);

impl Serialize for Plain<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Number(number) => match number.as_i64() {
                Some(whole) => serializer.serialize_i64(whole),
                None => number.serialize(serializer),
            },
            Value::Array(list) => serializer.collect_seq(list.iter().map(Plain)),
            Value::Object(fields) => {
                serializer.collect_map(fields.iter().map(|(name, value)| (name, Plain(value))))
            }
            other => other.serialize(serializer),
        }
    }
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Expression").field(&self.source).finish()
    }
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Eq for Expression {}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_expression_comes_to_what_it_says_or_to_nothing() {
        let of = json!({"n": 3, "list": ["a", "bc"], "text": "x@y", "deep": {"b": true}});
        for (source, expected) in [
            ("of.n * 2", Some(json!(6))),
            ("of.n / 2.0", None),
            ("double(of.n) / 2.0", Some(json!(1.5))),
            ("of.text.endsWith('@y') && of.deep.b", Some(json!(true))),
            ("of.list.filter(one, one.size() > 1)", Some(json!(["bc"]))),
            (
                "of.text.split('@')[1] + of.text.substring(0, 1).upperAscii()",
                Some(json!("yX")),
            ),
            ("of.list.map(one, [one])", None),
            ("of.deep", None),
            ("of.none", None),
            ("null", Some(Value::Null)),
            ("1 / 0", None),
        ] {
            let expression = Expression::new(source, &["of"]).unwrap();
            assert_eq!(expression.evaluate(&[("of", &of)]), expected, "{source}");
        }
    }

    #[test]
    fn what_is_no_expression_or_too_much_is_told() {
        let long = format!("'{}' == of", "x".repeat(MAX_SOURCE));
        for (source, says) in [
            ("of.", ""),
            ("", ""),
            ("other.n", "\"other\"; there are of"),
            ("of.text.replace('a', 'aa')", "replace"),
            (long.as_str(), "4096 bytes"),
        ] {
            let why = Expression::new(source, &["of"]).unwrap_err();
            assert!(why.contains(says), "{source}: {why}");
        }
        let nested = Expression::new("of . map(a, of.exists(b, a == b))", &["of"]).unwrap();
        assert_eq!(nested.walks(), 2);
    }
}
