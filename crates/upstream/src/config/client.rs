//! The `upstream` block: connections to providers.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{HumanDuration, Secret};

/// Connections to providers: trust, proxies, reuse.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct UpstreamConfig {
    /// Which certificates are trusted.
    pub tls: TlsConfig,
    /// HTTP proxies on the way.
    pub proxy: ProxyConfig,
    /// Connections kept open for the next request.
    pub pool: PoolConfig,
}

/// Which certificates of providers are trusted. Mozilla's roots, which are built in, always are. Verification cannot
/// be turned off.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TlsConfig {
    /// Also trust the roots of the operating system.
    pub system_roots: bool,
    /// Also trust the certificates in this PEM file.
    pub ca_file: Option<PathBuf>,
}

/// HTTP proxies on the way to providers.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ProxyConfig {
    /// `http://[user:password@]host:port` for every provider but those in `no_proxy`; goes before the environment.
    pub url: Option<Secret>,
    /// Hosts reached without the proxy in `url`: names with their subdomains, addresses, address ranges
    /// (`10.0.0.0/8`), each with an optional port, or `*`.
    pub no_proxy: Vec<String>,
    /// Obey `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` where `url` is not set. Loopback addresses are
    /// never reached through a proxy of the environment.
    pub from_environment: bool,
}

impl Default for ProxyConfig {
    fn default() -> Self {
        Self {
            url: None,
            no_proxy: Vec::new(),
            from_environment: true,
        }
    }
}

/// Connections kept open for the next request. Limits are for each origin and worker thread.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PoolConfig {
    /// Idle HTTP/1.1 connections to keep. 0 closes each after its response.
    pub max_idle: u32,
    /// How long an idle connection is kept. Keep it below the provider's own limit.
    pub idle_timeout: HumanDuration,
}

impl Default for PoolConfig {
    fn default() -> Self {
        Self {
            max_idle: 256,
            idle_timeout: HumanDuration::from_secs(50),
        }
    }
}
