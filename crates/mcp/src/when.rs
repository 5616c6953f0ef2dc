//! Conditions of access rules: expressions of the Common Expression Language over what is called, with what, and by whom.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use cel::{Context, Program, Value as CelValue};
use serde::{Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::access::Caller;

/// Most bytes of arguments that conditions look at; of larger ones every condition is taken to hold.
const MOST: usize = 1024 * 1024;

/// A condition.
#[derive(Clone)]
pub struct When {
    source: String,
    program: Arc<Program>,
}

/// What is called.
#[derive(Debug, Clone, Copy)]
pub struct Called<'a> {
    /// `tool`, `prompt` or `resource`.
    pub kind: &'static str,
    /// Of which server.
    pub server: &'a str,
    /// What that calls it.
    pub name: &'a str,
    /// With what.
    pub arguments: Option<&'a RawValue>,
}

impl When {
    /// Reads an expression.
    ///
    /// # Errors
    /// Why it is none, or what it names that there is not.
    pub fn new(source: &str) -> Result<Self, String> {
        const KNOWN: [&str; 5] = ["args", "caller", "kind", "name", "server"];
        let program = Program::compile(source).map_err(|error| error.to_string())?;
        // `list.exists(one, …)` brings a name of its own.
        let bare: String = source.split_whitespace().collect();
        let is_known = |name: &&str| KNOWN.contains(name) || bare.contains(&format!("({name},"));
        if let Some(unknown) = program
            .references()
            .variables()
            .iter()
            .find(|name| !is_known(name))
        {
            return Err(format!("knows no {unknown:?}; there are {}", KNOWN.join(", ")));
        }
        Ok(Self {
            source: source.to_owned(),
            program: Arc::new(program),
        })
    }

    /// Whether it holds. What cannot be told (arguments that are not there, or of another type) counts as if it did: then
    /// its rule must let the caller in.
    #[must_use]
    pub fn holds(&self, called: &Called<'_>, caller: &Caller) -> bool {
        let Some(arguments) = read(called.arguments) else {
            return true;
        };
        let mut context = Context::default();
        let own = BTreeMap::from([
            ("keys", Value::from(caller.keys.clone())),
            ("team", Value::from(caller.team.clone())),
            ("roles", Value::from(caller.roles.clone())),
            ("groups", Value::from(caller.groups.clone())),
        ]);
        let told = context.add_variable("args", Plain(&arguments)).is_ok()
            && context.add_variable("caller", own).is_ok()
            && context.add_variable("kind", called.kind).is_ok()
            && context.add_variable("server", called.server).is_ok()
            && context.add_variable("name", called.name).is_ok();
        if !told {
            return true;
        }
        !matches!(self.program.execute(&context), Ok(CelValue::Bool(false)))
    }
}

fn read(arguments: Option<&RawValue>) -> Option<Value> {
    let Some(arguments) = arguments.filter(|arguments| arguments.get() != "null") else {
        return Some(Value::Object(serde_json::Map::new()));
    };
    if arguments.get().len() > MOST {
        return None;
    }
    serde_json::from_str(arguments.get()).ok()
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

impl fmt::Debug for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("When").field(&self.source).finish()
    }
}

impl PartialEq for When {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Eq for When {}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(source: &str, arguments: &str) -> bool {
        let arguments: Box<RawValue> = serde_json::from_str(arguments).unwrap();
        let caller = Caller {
            keys: vec!["k1".to_owned()],
            team: Some("ops".to_owned()),
            roles: vec!["admin".to_owned()],
            ..Caller::default()
        };
        let called = Called {
            kind: "tool",
            server: "files",
            name: "write",
            arguments: Some(&arguments),
        };
        When::new(source).unwrap().holds(&called, &caller)
    }

    #[test]
    fn conditions_look_at_arguments_and_callers() {
        for (source, arguments, expected) in [
            ("args.amount > 100", r#"{"amount": 101}"#, true),
            ("args.amount > 100", r#"{"amount": 100}"#, false),
            ("args.amount > 100.0", r#"{"amount": 99.5}"#, false),
            ("!args.path.startsWith('/tmp/')", r#"{"path": "/tmp/a"}"#, false),
            ("!args.path.startsWith('/tmp/')", r#"{"path": "/etc/a"}"#, true),
            (
                "args.path.matches('^/srv/[a-z]+$')",
                r#"{"path": "/srv/a/../b"}"#,
                false,
            ),
            ("has(args.force) && args.force", r#"{}"#, false),
            (
                "args.to.exists(one, !one.endsWith('@example.com'))",
                r#"{"to": ["a@example.com", "b@evil.example"]}"#,
                true,
            ),
            (
                "args.to.exists(one, !one.endsWith('@example.com'))",
                r#"{"to": ["a@example.com"]}"#,
                false,
            ),
            (
                "args.at[0].n == 18446744073709551615u",
                r#"{"at": [{"n": 18446744073709551615}]}"#,
                true,
            ),
            (
                "'admin' in caller.roles && caller.team == 'ops' && 'k2' in caller.keys",
                "{}",
                false,
            ),
            (
                "kind == 'tool' && server == 'files' && name == 'write'",
                "{}",
                true,
            ),
        ] {
            assert_eq!(holds(source, arguments), expected, "{source} {arguments}");
        }
    }

    #[test]
    fn what_cannot_be_told_counts_as_if_it_held() {
        for (source, arguments) in [
            ("args.amount > 100", "{}"),
            ("args.amount > 100", r#"{"amount": "many"}"#),
            ("args.path.startsWith('/tmp/')", r#"{"path": 7}"#),
            ("args.path", r#"{"path": "/tmp"}"#),
            ("args.amount / 0 > 1", r#"{"amount": 1}"#),
            ("args.path == 'x'", "null"),
        ] {
            assert!(holds(source, arguments), "{source} {arguments}");
        }
        let large = format!(r#"{{"path": "{}"}}"#, "x".repeat(MOST));
        assert!(holds("args.path == 'y'", &large));
    }

    #[test]
    fn what_is_no_expression_is_told() {
        for (source, says) in [
            ("args.", ""),
            ("arguments.a == 1", "arguments"),
            ("1 +", ""),
            ("", ""),
        ] {
            let why = When::new(source).unwrap_err();
            assert!(why.contains(says), "{source}: {why}");
        }
    }
}
