//! The configuration of those who have none: what the environment and this machine offer.

use std::time::Duration;

use pointsman_catalog::{Catalog, Provider};
use pointsman_config::{Config, ProviderConfig};
use pointsman_governance::Anonymous;
use pointsman_upstream::config::{ApiKeys, Secret};

use crate::{client, console};

/// How long a local server may take to say which models it has.
const PROBE: Duration = Duration::from_millis(300);

/// Every provider whose environment variable is set, and every local model server that answers.
pub(crate) async fn config() -> Config {
    let mut config = Config::default();
    config.identity.anonymous = Anonymous::Allow;
    for provider in Catalog::embedded().providers() {
        if let Some(found) = found(provider).await {
            console::say(format!("found {}", provider.name));
            config.providers.insert(provider.id.clone(), found);
        }
    }
    if config.providers.is_empty() {
        console::say(
            "no provider found: set OPENAI_API_KEY, ANTHROPIC_API_KEY, … or start a local model server",
        );
    }
    config
}

async fn found(provider: &Provider) -> Option<ProviderConfig> {
    if provider.local {
        let models = models_of(provider.base_url.as_deref()?).await?;
        return Some(ProviderConfig {
            models,
            ..ProviderConfig::default()
        });
    }
    // Who wants a region or signed requests has to be configured.
    if !provider.needs_only_a_key() {
        return None;
    }
    let key = provider
        .env
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|key| !key.is_empty()))?;
    let mut config = ProviderConfig::default();
    config.auth.api_key = Some(ApiKeys::One(Secret::from(key)));
    Some(config)
}

/// The models a local server lists; none when nobody answers.
async fn models_of(base_url: &str) -> Option<Vec<String>> {
    let (address, prefix) = client::address_of(base_url)?;
    let path = format!("{prefix}/models");
    let asked = client::get(address, &path);
    let body = tokio::time::timeout(PROBE, asked).await.ok()?.ok()?;
    let list: serde_json::Value = serde_json::from_slice(&body).ok()?;
    let models = list
        .get("data")?
        .as_array()?
        .iter()
        .filter_map(|model| Some(model.get("id")?.as_str()?.to_owned()));
    Some(models.collect())
}
