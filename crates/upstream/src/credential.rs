//! What proves to a provider who pays. Secrets go into request headers, marked as sensitive, and nowhere else.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};

use crate::config::{ApiKeys, AuthConfig, ConfigError, Secret};

/// What a provider's requests carry to be let in: nothing, a key, or several keys in turn.
pub struct Credential {
    header: HeaderName,
    /// Values of the header, each with its prefix; empty for no credential.
    values: Vec<HeaderValue>,
    turn: AtomicUsize,
}

/// How a format carries its key unless the configuration says otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuthStyle {
    /// `Authorization: Bearer <key>`.
    Bearer,
    /// The key alone in this header, such as `x-api-key`.
    Header(HeaderName),
}

impl Credential {
    /// No credential.
    #[must_use]
    pub const fn none() -> Self {
        Self {
            header: AUTHORIZATION,
            values: Vec::new(),
            turn: AtomicUsize::new(0),
        }
    }

    /// Compiles the configuration. `style` is how the provider's format carries a key.
    ///
    /// # Errors
    ///
    /// When a key or header name cannot be sent, `prefix` comes without `header`, or an authentication is asked for
    /// that this version does not have.
    pub fn compile(config: &AuthConfig, style: &AuthStyle) -> Result<Self, ConfigError> {
        refuse_clouds(config)?;
        let (header, prefix) = carrier(config, style)?;
        let Some(keys) = config.api_key.as_ref().map(ApiKeys::as_slice) else {
            return Ok(Self::none());
        };
        if keys.is_empty() {
            return Err(ConfigError::new("auth.api_key", "the list is empty"));
        }
        let values = keys
            .iter()
            .map(|key| sensitive(prefix, key))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            header,
            values,
            turn: AtomicUsize::new(0),
        })
    }

    /// Puts the credential on a request, in place of what is there under that name. Of several keys, each call takes
    /// the next.
    pub fn apply(&self, headers: &mut HeaderMap) {
        let value = match self.values.as_slice() {
            [] => return,
            [only] => only,
            several => &several[self.turn.fetch_add(1, Ordering::Relaxed) % several.len()],
        };
        headers.insert(&self.header, value.clone());
    }

    /// The header that carries the credential, if there is one.
    #[must_use]
    pub fn header_name(&self) -> Option<&HeaderName> {
        (!self.values.is_empty()).then_some(&self.header)
    }

    /// How many keys take turns.
    #[must_use]
    pub fn count(&self) -> usize {
        self.values.len()
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.header_name() {
            Some(name) => write!(f, "Credential({name}: [secret] × {})", self.count()),
            None => f.write_str("Credential(none)"),
        }
    }
}

fn refuse_clouds(config: &AuthConfig) -> Result<(), ConfigError> {
    let clouds = [
        ("auth.aws", &config.aws, "AWS request signing"),
        ("auth.entra", &config.entra, "Microsoft Entra ID"),
        ("auth.gcp", &config.gcp, "Google Cloud authentication"),
    ];
    match clouds.into_iter().find(|(_, block, _)| block.is_some()) {
        Some((field, _, feature)) => Err(ConfigError::unsupported(field, feature)),
        None => Ok(()),
    }
}

/// The header that carries the key, and what goes before it.
fn carrier<'a>(config: &'a AuthConfig, style: &'a AuthStyle) -> Result<(HeaderName, &'a str), ConfigError> {
    let prefix = config.prefix.as_deref();
    if let Some(name) = &config.header {
        let name = HeaderName::try_from(name)
            .map_err(|_| ConfigError::new("auth.header", format!("`{name}` is not a header name")))?;
        return Ok((name, prefix.unwrap_or_default()));
    }
    if prefix.is_some() {
        return Err(ConfigError::new(
            "auth.prefix",
            "needs `header`: the header that it goes into",
        ));
    }
    Ok(match style {
        AuthStyle::Bearer => (AUTHORIZATION, "Bearer "),
        AuthStyle::Header(name) => (name.clone(), ""),
    })
}

/// A header value that is not printed, not even by debug output, and not indexed by HTTP/2's compression.
fn sensitive(prefix: &str, key: &Secret) -> Result<HeaderValue, ConfigError> {
    if key.expose().trim().is_empty() {
        return Err(ConfigError::new("auth.api_key", "is empty"));
    }
    let mut value = HeaderValue::from_str(&[prefix, key.expose()].concat())
        .map_err(|_| ConfigError::new("auth.api_key", "holds characters that cannot be sent in a header"))?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests;
