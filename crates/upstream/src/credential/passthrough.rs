//! The caller's own credential, passed on.

use bytes::Bytes;
use http::Request;
use http::header::{AUTHORIZATION, HeaderMap, HeaderName};

use super::AuthStyle;
use super::error::{CredentialError, CredentialErrorKind};
use crate::config::{ConfigError, Passthrough, PassthroughHeaders};

/// From which header of the caller into which of the provider.
pub(super) struct Passing {
    from: HeaderName,
    to: HeaderName,
}

impl Passing {
    /// `None` for `false`.
    pub(super) fn compile(config: &Passthrough, style: &AuthStyle) -> Result<Option<Self>, ConfigError> {
        let none = PassthroughHeaders::default();
        let headers = match config {
            Passthrough::Flag(false) => return Ok(None),
            Passthrough::Flag(true) => &none,
            Passthrough::Headers(headers) => headers,
        };
        let usual = match style {
            AuthStyle::Bearer => AUTHORIZATION,
            AuthStyle::Header(name) => name.clone(),
        };
        let name = |field: &str, given: &Option<String>| match given {
            None => Ok(usual.clone()),
            Some(name) => HeaderName::try_from(name).map_err(|_| {
                ConfigError::new(
                    format!("auth.passthrough.{field}"),
                    format!("`{name}` is not a header name"),
                )
            }),
        };
        Ok(Some(Self {
            from: name("from", &headers.from)?,
            to: name("header", &headers.header)?,
        }))
    }

    pub(super) fn header(&self) -> &HeaderName {
        &self.to
    }

    /// Takes the caller's header over, unless it holds a key of the gateway itself.
    pub(super) fn take(&self, caller: &HeaderMap, headers: &mut HeaderMap, is_ours: impl Fn(&str) -> bool) {
        headers.remove(&self.to);
        let Some(value) = caller.get(&self.from) else {
            return;
        };
        let text = value.to_str().unwrap_or_default().trim();
        let key = text.rsplit(' ').next().unwrap_or(text);
        if key.is_empty() || is_ours(key) || is_ours(text) {
            return;
        }
        let mut value = value.clone();
        value.set_sensitive(true);
        headers.insert(&self.to, value);
    }

    /// Whether the caller brought something.
    pub(super) fn check(&self, request: &Request<Bytes>) -> Result<(), CredentialError> {
        if request.headers().contains_key(&self.to) {
            return Ok(());
        }
        let message = format!(
            "this provider is reached with the caller's own credential: send it in the header `{}`",
            self.from
        );
        Err(CredentialError::new(CredentialErrorKind::Caller, message))
    }
}
