//! Whom to ask: the servers of a configuration, or a gateway at its address.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use pointsman_config::Environment;
use pointsman_mcp::config::{Prefix, ServerConfig};
use pointsman_mcp::{Hub, McpConfig};
use pointsman_upstream::config::{ApiKeys, Secret};
use pointsman_upstream::{Client, ClientOptions, UpstreamConfig};
use secrecy::{ExposeSecret, SecretString};

/// The variable with the key, where none is given.
const KEY: &str = "POINTSMAN_KEY";

/// The servers of a configuration, or a gateway.
#[derive(clap::Args)]
pub(super) struct Whom {
    /// The configuration whose servers are asked, each by itself.
    #[arg(short, long, conflicts_with = "url")]
    config: Option<PathBuf>,
    #[command(flatten)]
    gateway: Gateway,
}

/// A gateway.
#[derive(clap::Args)]
pub(super) struct Gateway {
    /// The gateway's address.
    #[arg(long, default_value = "http://127.0.0.1:8080/mcp")]
    pub(super) url: String,
    /// The key for it; POINTSMAN_KEY when not given.
    #[arg(long)]
    key: Option<String>,
}

impl Gateway {
    /// The key, if there is any.
    pub(super) fn key(&self) -> Option<SecretString> {
        let given = self.key.clone();
        let key = given.or_else(|| std::env::var(KEY).ok().filter(|key| !key.is_empty()));
        key.map(Into::into)
    }
}

impl Whom {
    /// The servers.
    pub(super) fn hub(&self) -> Result<(Arc<Hub>, Client), String> {
        match &self.config {
            Some(config) => configured(config),
            None => self.gateway.hub(),
        }
    }
}

impl Gateway {
    /// The gateway as the only server.
    fn hub(&self) -> Result<(Arc<Hub>, Client), String> {
        let mut server = ServerConfig {
            url: Some(self.url.clone()),
            ..ServerConfig::default()
        };
        if let Some(key) = self.key() {
            server.auth.api_key = Some(ApiKeys::One(Secret::from(key.expose_secret())));
        }
        let mut config = McpConfig {
            prefix: Prefix::Never,
            ..McpConfig::default()
        };
        config.servers.insert("gateway".to_owned(), server);
        hub(&config, &UpstreamConfig::default())
    }
}

/// The servers of a configuration.
pub(super) fn configured(path: &Path) -> Result<(Arc<Hub>, Client), String> {
    let loaded = pointsman_config::load(path, &Environment::process());
    let config = loaded.map_err(|problems| {
        let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        problems.join("\n")
    })?;
    let config = config.config;
    if config.mcp.servers.is_empty() {
        return Err(format!("{} has no `mcp.servers`", path.display()));
    }
    // Whoever runs the servers wants to see what there is, not how it is searched.
    let all = McpConfig {
        search: false,
        ..config.mcp
    };
    hub(&all, &config.upstream)
}

fn hub(config: &McpConfig, upstream: &UpstreamConfig) -> Result<(Arc<Hub>, Client), String> {
    let options = ClientOptions::compile(upstream).map_err(|error| error.to_string())?;
    let hub = Hub::following(config, &Arc::default(), None).map_err(|problems| {
        let problems: Vec<String> = problems
            .iter()
            .map(|(field, why)| format!("mcp.{field}: {why}"))
            .collect();
        problems.join("\n")
    })?;
    Ok((Arc::new(hub), Client::new(options)))
}
