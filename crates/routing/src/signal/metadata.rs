//! What the caller says of the request. Untrusted: good for preferences, not for permissions.

use super::Reading;
use crate::config::MetadataConfig;

pub(crate) struct Metadata {
    config: MetadataConfig,
}

impl Metadata {
    pub(crate) fn new(config: &MetadataConfig) -> Self {
        Self {
            config: config.clone(),
        }
    }

    pub(crate) fn read(&self, metadata: &[(String, String)]) -> Reading {
        let found = metadata
            .iter()
            .find(|(key, _)| *key == self.config.key)
            .map(|(_, value)| value);
        let predicate = &self.config.predicate;
        Reading::of(if let Some(wanted) = &predicate.equals {
            found == Some(wanted)
        } else if !predicate.one_of.is_empty() {
            found.is_some_and(|found| predicate.one_of.contains(found))
        } else {
            found.is_some() == predicate.exists.unwrap_or(true)
        })
    }
}
