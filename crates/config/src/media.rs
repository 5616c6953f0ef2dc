//! The `server.media` block of the configuration.

use pointsman_upstream::HumanDuration;
use schemars::JsonSchema;
use serde::Deserialize;

/// Images and documents that requests name by URL, for providers that take no URLs (Bedrock): they are fetched here.
/// Addresses that are not of the public internet are never connected to, also not behind a redirect; with an HTTP
/// proxy (`upstream.proxy`), the proxy must see to that, because it resolves names itself.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MediaConfig {
    /// Whether they are fetched; else such a request is refused for these providers.
    pub fetch: bool,
    /// Most bytes of a file.
    #[schemars(range(min = 1))]
    pub max_bytes: usize,
    /// Most files of a request.
    #[schemars(range(min = 1, max = 100))]
    pub max_files: usize,
    /// Longest wait for a file.
    pub timeout: HumanDuration,
    /// Whether they may come over plain HTTP.
    pub plain_http: bool,
    /// Hosts, as URLs name them, that may have addresses which are not public.
    pub private_hosts: Vec<String>,
}

impl Default for MediaConfig {
    fn default() -> Self {
        Self {
            fetch: true,
            max_bytes: 8 * 1024 * 1024,
            max_files: 20,
            timeout: HumanDuration::from_secs(10),
            plain_http: false,
            private_hosts: Vec::new(),
        }
    }
}
