//! How the gateway is let in at whoever speaks a protocol of its own, tool servers and agents: what people may write.

use std::collections::BTreeMap;

use http::{HeaderName, HeaderValue};

use super::{AuthStyle, Credential};
use crate::config::{AuthConfig, Secret};

/// Headers that every protocol over HTTP sets itself.
const ALWAYS: [&str; 4] = ["host", "content-length", "content-type", "accept"];

/// What goes with every request to one of them.
pub struct LetIn<'a> {
    /// The credential.
    pub auth: &'a AuthConfig,
    /// Further headers.
    pub headers: &'a BTreeMap<String, Secret>,
    /// Who that is, as in "a server".
    pub whom: &'a str,
    /// Headers that its protocol sets, in small letters; what ends with `-` is how several begin.
    pub protocol: &'a [&'a str],
}

impl LetIn<'_> {
    /// Tells what is wrong: the field, and what to do.
    pub fn problems(&self, wrong: &mut impl FnMut(&str, &str)) {
        if self.auth.passthrough.is_some() {
            let why = format!(
                "a caller's credential is for the gateway, never for {} behind it",
                self.whom
            );
            wrong("auth.passthrough", &why);
        } else if let Err(error) = Credential::compile(self.auth, &AuthStyle::Bearer) {
            wrong(&error.field, &error.problem);
        }
        for (name, value) in self.headers {
            let why = if HeaderName::try_from(name.as_str()).is_err()
                || HeaderValue::try_from(value.expose()).is_err()
            {
                "is not a header: name or value holds what cannot be sent"
            } else if self.is_the_protocols(name) {
                "is set by the protocol"
            } else {
                continue;
            };
            wrong(&format!("headers.{name}"), why);
        }
    }

    fn is_the_protocols(&self, name: &str) -> bool {
        let name = name.to_ascii_lowercase();
        let mut all = ALWAYS.iter().chain(self.protocol);
        all.any(|set| name == *set || set.ends_with('-') && name.starts_with(set))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_go_along_is_told_where() {
        let told = |auth: serde_json::Value, headers: &[(&str, &str)]| {
            let auth: AuthConfig = serde_json::from_value(auth).unwrap();
            let headers = headers
                .iter()
                .map(|(name, value)| ((*name).to_owned(), Secret::from(*value)))
                .collect();
            let mut told = Vec::new();
            let let_in = LetIn {
                auth: &auth,
                headers: &headers,
                whom: "a server",
                protocol: &["own-", "also"],
            };
            let_in.problems(&mut |field, _| told.push(field.to_owned()));
            told
        };
        let key = serde_json::json!({ "api_key": "k" });
        assert!(told(key.clone(), &[("x-team", "a"), ("owner", "b"), ("also-not", "c")]).is_empty());
        for name in ["Host", "ACCEPT", "Own-Version", "also", "no name"] {
            assert_eq!(told(key.clone(), &[(name, "x")]), [format!("headers.{name}")]);
        }
        assert_eq!(told(key, &[("x", "two\nlines")]), ["headers.x"]);
        let passing = serde_json::json!({ "passthrough": true });
        assert_eq!(told(passing, &[]), ["auth.passthrough"]);
        let both = serde_json::json!({ "api_key": "k", "aws": {} });
        assert_eq!(told(both, &[]).len(), 1);
    }
}
