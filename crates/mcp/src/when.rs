//! Conditions of access rules: expressions of the Common Expression Language over what is called, with what, and by whom.

use pointsman_governance::Expression;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::access::Caller;

/// What a condition may look at.
const KNOWN: [&str; 5] = ["args", "caller", "kind", "name", "server"];
/// Most bytes of arguments that conditions look at; of larger ones every condition is taken to hold.
const MOST: usize = 1024 * 1024;

/// A condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct When(Expression);

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
        Expression::new(source, &KNOWN).map(Self)
    }

    /// Whether it holds. What cannot be told (arguments that are not there, or of another type) counts as if it did: then
    /// its rule must let the caller in.
    #[must_use]
    pub fn holds(&self, called: &Called<'_>, caller: &Caller) -> bool {
        let Some(arguments) = read(called.arguments) else {
            return true;
        };
        let own = json!({
            "keys": caller.keys,
            "team": caller.team,
            "roles": caller.roles,
            "groups": caller.groups,
        });
        let [kind, server, name] = [called.kind, called.server, called.name].map(Value::from);
        let variables = [
            ("args", &arguments),
            ("caller", &own),
            ("kind", &kind),
            ("server", &server),
            ("name", &name),
        ];
        self.0.evaluate(&variables) != Some(Value::Bool(false))
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
