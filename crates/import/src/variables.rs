//! Environment variables that take the place of secrets and of what the environment says.

use std::collections::BTreeSet;

use crate::report::{Fate, Report};
use crate::source::Item;
use crate::yaml::Yaml;

/// The variables that the result names.
#[derive(Default)]
pub(crate) struct Variables {
    /// Names that the source itself uses: none of them may stand for anything else.
    taken: BTreeSet<String>,
    named: BTreeSet<String>,
    /// Secrets of the source, each with the variable that takes its place.
    secrets: Vec<(String, String)>,
}

impl Variables {
    /// Keeps a name for what the source means by it.
    pub(crate) fn reserve(&mut self, name: &str) {
        self.taken.insert(name.to_owned());
    }

    /// `${NAME}` for a name of the source.
    pub(crate) fn known(&mut self, name: &str) -> Yaml {
        self.named.insert(name.to_owned());
        Yaml::variable(name)
    }

    /// `${NAME}` for something that has no name in the source yet: `wish`, or the next one that is free.
    pub(crate) fn fresh(&mut self, wish: &str) -> (String, Yaml) {
        let wish = variable_name(wish);
        let mut name = wish.clone();
        let mut number = 1;
        while self.taken.contains(&name) || self.named.contains(&name) {
            number += 1;
            name = format!("{wish}_{number}");
        }
        self.named.insert(name.clone());
        let value = Yaml::variable(&name);
        (name, value)
    }

    /// A variable in place of a secret that stands in the source in clear text.
    pub(crate) fn in_place_of(&mut self, item: &Item, wish: &str, report: &mut Report) -> Yaml {
        let secret = item.text().unwrap_or_default().to_owned();
        let known = self.secrets.iter().find(|(known, _)| *known == secret);
        let name = match known {
            Some((_, name)) => name.clone(),
            None => {
                let (name, _) = self.fresh(wish);
                self.secrets.push((secret, name.clone()));
                name
            }
        };
        report.tell(
            item,
            Fate::Secret,
            "it stands in the file in clear text",
            format!("set {name} in the environment"),
        );
        Yaml::variable(&name)
    }

    /// All names, sorted.
    pub(crate) fn names(self) -> Vec<String> {
        self.named.into_iter().collect()
    }
}

/// A text as the name of a variable: `my-key.2` is `MY_KEY_2`.
pub(crate) fn variable_name(text: &str) -> String {
    let mut name: String = text
        .chars()
        .map(|letter| {
            if letter.is_ascii_alphanumeric() {
                letter.to_ascii_uppercase()
            } else {
                '_'
            }
        })
        .collect();
    if !name.starts_with(|first: char| first.is_ascii_alphabetic()) {
        name.insert(0, 'V');
    }
    name
}

/// Whether a field or header of this name usually holds a secret.
pub(crate) fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace('_', "-");
    let named = ["authorization", "cookie", "password", "secret", "credential"];
    let whole = ["key", "token", "auth"];
    named.iter().any(|part| name.contains(part))
        || name
            .split('-')
            .any(|part| whole.contains(&part) || part.ends_with("apikey") || part.ends_with("token"))
}

/// Whether a URL holds what may be a secret: a user before the host, or a query.
pub(crate) fn is_secret_url(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    host.contains('@') || rest.contains('?')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_known_by_name() {
        for name in [
            "Authorization",
            "x-api-key",
            "api_key",
            "X-Auth",
            "session_token",
            "apikey",
            "Cookie",
            "client_secret",
        ] {
            assert!(is_secret_name(name), "{name}");
        }
        for name in [
            "x-team",
            "max_tokens",
            "keyboard",
            "author",
            "tokenizer",
            "HTTP-Referer",
        ] {
            assert!(!is_secret_name(name), "{name}");
        }
        assert!(is_secret_url("https://u:p@h/v1") && is_secret_url("https://h/v1?key=1"));
        assert!(!is_secret_url("https://h/v1/a@b"));
        assert_eq!(variable_name("2-my.key"), "V2_MY_KEY");
    }

    #[test]
    fn a_fresh_name_is_nobody_elses() {
        let mut variables = Variables::default();
        variables.reserve("OPENAI_API_KEY");
        assert_eq!(variables.fresh("openai-api-key").0, "OPENAI_API_KEY_2");
        assert_eq!(variables.fresh("openai-api-key").0, "OPENAI_API_KEY_3");
        assert_eq!(
            variables.known("OPENAI_API_KEY"),
            Yaml::variable("OPENAI_API_KEY")
        );
        assert_eq!(variables.names().len(), 3);
    }
}
