//! Credentials by provider, so that tokens and resting keys outlive a configuration.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::{AuthStyle, Credential};
use crate::config::{AuthConfig, ConfigError};

/// Hands out credentials. While one is in use for a provider and nothing about it has changed, it is the same one:
/// its tokens need not be fetched anew. One that nobody uses is forgotten.
///
/// Used when a configuration is compiled, never by requests.
#[derive(Debug, Default)]
pub struct CredentialRegistry {
    known: Mutex<HashMap<String, Known>>,
}

#[derive(Debug)]
struct Known {
    config: AuthConfig,
    style: AuthStyle,
    credential: Weak<Credential>,
}

impl CredentialRegistry {
    /// The credential of `provider` that `config` describes.
    ///
    /// # Errors
    ///
    /// As [`Credential::compile`].
    pub fn credential(
        &self,
        provider: &str,
        config: &AuthConfig,
        style: &AuthStyle,
    ) -> Result<Arc<Credential>, ConfigError> {
        let mut known = self.known.lock();
        known.retain(|_, entry| entry.credential.strong_count() > 0);
        if let Some(entry) = known.get(provider)
            && entry.config == *config
            && entry.style == *style
            && let Some(same) = entry.credential.upgrade()
        {
            return Ok(same);
        }
        let credential = Arc::new(Credential::compile(config, style)?);
        let entry = Known {
            config: config.clone(),
            style: style.clone(),
            credential: Arc::downgrade(&credential),
        };
        known.insert(provider.to_owned(), entry);
        Ok(credential)
    }
}
