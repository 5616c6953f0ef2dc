//! Tokens that are simply carried: what the flows of Entra, Google and OAuth end in.

use std::time::Duration;

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};
use serde::Deserialize;

use super::cache::Issued;
use super::error::CredentialError;
use super::fetch::Reply;
use super::keys::sensitive;
use super::skew;
use crate::config::Secret;

/// Lifetime of a token whose answer names none (RFC 6749 section 5.1 leaves it to us).
const UNTOLD_LIFETIME: Duration = Duration::from_secs(5 * 60);

/// A token as text.
pub(crate) type Token = Secret;

/// A token ready to be put on requests.
pub(crate) struct Bearer {
    value: HeaderValue,
    /// What goes along, such as the project that is charged.
    extra: Option<(HeaderName, HeaderValue)>,
}

impl Bearer {
    /// `prefix` goes before the token.
    pub(crate) fn new(
        prefix: &str,
        token: &Token,
        extra: Option<(HeaderName, HeaderValue)>,
    ) -> Result<Self, CredentialError> {
        let value = sensitive(prefix, token.expose()).ok_or_else(|| {
            CredentialError::invalid("the token that was issued cannot be sent in a header")
        })?;
        Ok(Self { value, extra })
    }

    pub(crate) fn put(&self, name: &HeaderName, headers: &mut HeaderMap) {
        headers.insert(name, self.value.clone());
        if let Some((name, value)) = &self.extra {
            headers.insert(name, value.clone());
        }
    }
}

/// The answer of a token endpoint.
#[derive(Deserialize)]
pub(crate) struct TokenAnswer {
    access_token: Option<Secret>,
    id_token: Option<Secret>,
    #[serde(default)]
    expires_in: Option<Number>,
    #[serde(default)]
    expires_on: Option<Number>,
}

/// A number, or a text of one: managed identities answer with texts.
#[derive(Deserialize)]
#[serde(untagged)]
enum Number {
    Plain(i64),
    Fraction(f64),
    Text(String),
}

impl Number {
    fn get(&self) -> Option<i64> {
        match self {
            Self::Plain(number) => Some(*number),
            Self::Fraction(number) => Some(*number as i64),
            Self::Text(text) => text.trim().parse().ok(),
        }
    }
}

/// Which token of an answer is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    Access,
    Id,
}

/// The token of an answer, with its lifetime.
pub(crate) fn issued(reply: &Reply, who: &str, wanted: Wanted) -> Result<Issued<Token>, CredentialError> {
    let answer: TokenAnswer = reply.json()?;
    let (token, name) = match wanted {
        Wanted::Access => (answer.access_token, "access_token"),
        Wanted::Id => (answer.id_token, "id_token"),
    };
    let token = token
        .filter(|token| !token.expose().is_empty())
        .ok_or_else(|| CredentialError::invalid(format!("{who} answered without `{name}`")))?;
    let relative = answer.expires_in.as_ref().and_then(Number::get);
    let absolute = answer.expires_on.as_ref().and_then(Number::get);
    let lifetime = match (relative, absolute) {
        (Some(secs), _) => Duration::from_secs(u64::try_from(secs).unwrap_or(0)),
        (None, Some(at)) => skew::until(at, Some(&reply.headers)),
        (None, None) => UNTOLD_LIFETIME,
    };
    Ok(Issued::lasting(token, lifetime))
}
