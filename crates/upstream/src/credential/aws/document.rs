//! Keys as JSON documents: what the container, the instance and external processes answer.

use std::time::Duration;

use http::HeaderMap;
use serde::Deserialize;

use super::IssuedKeys;
use crate::config::Secret;
use crate::credential::cache::Issued;
use crate::credential::error::CredentialError;
use crate::credential::sigv4::AccessKeys;
use crate::credential::skew;

/// Keys of the instance that have ended already while its service cannot renew them are used on: they usually are
/// still taken.
pub(super) const STALE_LOOK_AGAIN: Duration = Duration::from_secs(5 * 60);

/// The document.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Document {
    /// Of the instance's service: `Success`, or what is wrong.
    #[serde(default)]
    code: Option<String>,
    /// Of an external process: must be 1.
    #[serde(default)]
    pub(super) version: Option<u32>,
    #[serde(default)]
    access_key_id: Option<String>,
    #[serde(default)]
    secret_access_key: Option<Secret>,
    /// The session token, by either name.
    #[serde(default, alias = "SessionToken")]
    token: Option<Secret>,
    #[serde(default)]
    expiration: Option<String>,
}

impl Document {
    /// The keys; `stale` is what becomes of those that have ended.
    pub(super) fn keys(
        self,
        who: &str,
        headers: Option<&HeaderMap>,
        stale: bool,
    ) -> Result<IssuedKeys, CredentialError> {
        if let Some(code) = self.code.as_deref().filter(|code| *code != "Success") {
            return Err(CredentialError::invalid(format!("{who} has no credentials")).because(code));
        }
        let (Some(id), Some(secret)) = (self.access_key_id, self.secret_access_key) else {
            return Err(CredentialError::invalid(format!("{who} answered without keys")));
        };
        let token = AccessKeys {
            id,
            secret: secret.expose().into(),
            session_token: self.token.map(|token| token.expose().into()),
        };
        let Some(expiration) = self.expiration else {
            return Ok(Issued {
                token,
                lifetime: None,
                look_again: Some(STALE_LOOK_AGAIN),
            });
        };
        let at = skew::parse_timestamp(&expiration)
            .ok_or_else(|| CredentialError::invalid(format!("{who} names no valid time of expiration")))?;
        let lifetime = skew::until(at, headers);
        if lifetime.is_zero() && stale {
            tracing::warn!("{who} gave keys that have ended; they are tried all the same");
            return Ok(Issued {
                token,
                lifetime: None,
                look_again: Some(STALE_LOOK_AGAIN),
            });
        }
        Ok(Issued::lasting(token, lifetime))
    }
}
