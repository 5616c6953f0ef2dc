//! The file as people may see it: variables by their names, and nothing that could be a secret.

use serde_json::{Map, Value as Schema};

use crate::check::resolve;
use crate::node::{Node, Value};

/// What stands in the place of what is not shown.
const HIDDEN: &str = "[hidden]";
/// Fields below which texts of any name may be secrets: headers and variables of programs.
const OPEN_ENDED: [&str; 2] = ["headers", "env"];
/// How far types lead to each other without a field between them.
const DEEPEST: usize = 16;

/// The tree, before variables were put in, without what its types call secret (`writeOnly`).
pub(crate) fn shown(root: &Node, schema: &Schema) -> Schema {
    View { root: schema }.node(root, &[schema], false)
}

struct View<'a> {
    root: &'a Schema,
}

impl<'a> View<'a> {
    /// A node that is of one of these types.
    fn node(&self, node: &Node, types: &[&'a Schema], hidden: bool) -> Schema {
        let mut all = Vec::new();
        types.iter().for_each(|one| self.variants(one, DEEPEST, &mut all));
        let hidden = hidden
            || all
                .iter()
                .any(|one| one.get("writeOnly") == Some(&Schema::Bool(true)));
        match &node.value {
            Value::Text { text, .. } if hidden && !is_variable(text) => HIDDEN.into(),
            Value::Text { text, .. } => without_credentials(text).into(),
            // A secret may look like a number.
            Value::Number(..) if hidden => HIDDEN.into(),
            Value::List(items) => {
                let inner: Vec<_> = all.iter().filter_map(|one| one.get("items")).collect();
                items.iter().map(|item| self.node(item, &inner, hidden)).collect()
            }
            Value::Map(entries) => {
                let field =
                    |(key, _, value): &(String, _, Node)| (key.clone(), self.field(key, value, &all, hidden));
                Schema::Object(entries.iter().map(field).collect::<Map<_, _>>())
            }
            _ => node.json(),
        }
    }

    fn field(&self, key: &str, value: &Node, types: &[&'a Schema], hidden: bool) -> Schema {
        let own = |one: &&'a Schema| {
            let named = one.get("properties").and_then(|known| known.get(key));
            named.or_else(|| one.get("additionalProperties"))
        };
        let inner: Vec<_> = types.iter().filter_map(own).collect();
        match &value.value {
            // A program and its arguments, which may hold tokens.
            Value::List(items) if key == "command" => {
                let shown = |(at, item)| self.node(item, &inner, hidden || at > 0);
                items.iter().enumerate().map(shown).collect()
            }
            _ => self.node(value, &inner, hidden || OPEN_ENDED.contains(&key)),
        }
    }

    /// Everything that a value of this type may be.
    fn variants(&self, schema: &'a Schema, deepest: usize, all: &mut Vec<&'a Schema>) {
        let schema = resolve(self.root, schema);
        all.push(schema);
        if deepest == 0 {
            return;
        }
        let of = |name: &str| schema.get(name).and_then(Schema::as_array);
        for one in ["anyOf", "oneOf", "allOf"].into_iter().filter_map(of).flatten() {
            self.variants(one, deepest - 1, all);
        }
    }
}

/// Whether a text is a variable and nothing else: its name is no secret, and what stands in for it may be.
fn is_variable(text: &str) -> bool {
    let inner = text
        .trim()
        .strip_prefix("${")
        .and_then(|rest| rest.strip_suffix('}'));
    inner.is_some_and(|inner| !inner.contains(['{', '}']) && !inner.contains(":-"))
}

/// A text without the passwords of URLs, and without what their queries say.
fn without_credentials(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else {
        return text.to_owned();
    };
    let (rest, query) = match rest.split_once('?') {
        Some((rest, query)) => (rest, Some(query)),
        None => (rest, None),
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let authority = match authority.rsplit_once('@') {
        Some((who, host)) if !who.split(':').all(is_variable) => format!("{HIDDEN}@{host}"),
        _ => authority.to_owned(),
    };
    let told = |pair: &str| match pair.split_once('=') {
        Some((name, value)) if !is_variable(value) => format!("{name}={HIDDEN}"),
        _ => pair.to_owned(),
    };
    let query = query.map(|query| query.split('&').map(told).collect::<Vec<_>>().join("&"));
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    format!("{scheme}://{authority}{path}{query}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_without_what_lets_somebody_in() {
        let shown = without_credentials;
        assert_eq!(
            shown("postgres://app:pw@db:5432/x"),
            "postgres://[hidden]@db:5432/x"
        );
        assert_eq!(
            shown("postgres://${DB}:${PW}@db/x"),
            "postgres://${DB}:${PW}@db/x"
        );
        assert_eq!(
            shown("https://a.example/v1?key=abc&x"),
            "https://a.example/v1?key=[hidden]&x"
        );
        assert_eq!(shown("https://a.example/@b"), "https://a.example/@b");
        assert_eq!(shown("see https"), "see https");
    }

    #[test]
    fn only_the_name_of_a_variable_is_shown() {
        assert!(is_variable("${KEY}"));
        assert!(is_variable("${vault:apps/a#key}"));
        assert!(!is_variable("${KEY:-sk-default}"));
        assert!(!is_variable("sk-${KEY}"));
        assert!(!is_variable("${A}sk-1${B}"));
    }
}
