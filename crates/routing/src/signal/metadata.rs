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
        let config = &self.config;
        let found = metadata
            .iter()
            .find(|(key, _)| *key == config.key)
            .map(|(_, value)| value);
        let exists = config.exists.is_none_or(|exists| exists == found.is_some());
        let equals = config.equals.as_ref().is_none_or(|wanted| found == Some(wanted));
        let listed = config.one_of.is_empty() || found.is_some_and(|found| config.one_of.contains(found));
        let asks = config.exists.is_some() || config.equals.is_some() || !config.one_of.is_empty();
        Reading::of(exists && equals && listed && (asks || found.is_some()))
    }
}
