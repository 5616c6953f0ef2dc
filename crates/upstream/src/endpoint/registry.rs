//! Endpoints by provider and URL, so that what was observed outlives a configuration.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::{Endpoint, EndpointState};
use crate::config::{ConfigError, EndpointConfig, HealthConfig};

/// Hands out endpoints. While an endpoint of a provider and URL is in use anywhere, another of the same shares its
/// state; if nothing about it changed, it is the same one. An endpoint that nobody uses is forgotten.
///
/// Used when a configuration is compiled, never by requests.
#[derive(Debug, Default)]
pub struct EndpointRegistry {
    known: Mutex<HashMap<(String, String), Known>>,
}

#[derive(Debug)]
struct Known {
    endpoint: Weak<Endpoint>,
    state: Weak<EndpointState>,
}

impl EndpointRegistry {
    /// The endpoint that `config` describes.
    ///
    /// # Errors
    ///
    /// As [`Endpoint::new`].
    pub fn endpoint(
        &self,
        provider: &str,
        config: &EndpointConfig,
        health: &HealthConfig,
    ) -> Result<Arc<Endpoint>, ConfigError> {
        let mut known = self.known.lock();
        known.retain(|_, entry| entry.state.strong_count() > 0);
        let key = (provider.to_owned(), config.url.clone());
        let entry = known.get(&key);
        if let Some(same) = entry.and_then(|entry| entry.endpoint.upgrade())
            && same.config == *config
            && same.health == *health
        {
            return Ok(same);
        }
        let state = entry.and_then(|entry| entry.state.upgrade()).unwrap_or_default();
        let endpoint = Arc::new(Endpoint::with_state(config, health, state)?);
        let entry = Known {
            endpoint: Arc::downgrade(&endpoint),
            state: Arc::downgrade(&endpoint.state),
        };
        known.insert(key, entry);
        Ok(endpoint)
    }

    /// How many endpoints are in use.
    #[must_use]
    pub fn len(&self) -> usize {
        self.known
            .lock()
            .values()
            .filter(|entry| entry.state.strong_count() > 0)
            .count()
    }

    /// Whether no endpoint is in use.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
