//! The configuration of those who have none: what the environment and this machine offer.

use std::collections::HashMap;
use std::net::SocketAddr;
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
    let catalog = Catalog::embedded();
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    for (provider, key) in keys(catalog, variable) {
        let mut found = ProviderConfig::default();
        found.auth.api_key = Some(ApiKeys::One(Secret::from(key)));
        add(&mut config, provider, found);
    }
    for provider in catalog.providers().filter(|provider| provider.local) {
        if let Some(models) = local(provider, config.listeners.api.address).await {
            let found = ProviderConfig {
                models,
                ..ProviderConfig::default()
            };
            add(&mut config, provider, found);
        }
    }
    if config.providers.is_empty() {
        console::say(
            "no provider found: set OPENAI_API_KEY, ANTHROPIC_API_KEY, … or start a local model server",
        );
    }
    config
}

fn add(config: &mut Config, provider: &Provider, found: ProviderConfig) {
    console::say(format!("found {}", provider.name));
    config.providers.insert(provider.id.clone(), found);
}

/// Providers that a key alone reaches and whose key is set, with the key. A variable that several providers know is
/// the key of the one that names it first; of several that do, the first in the catalog.
pub(crate) fn keys(catalog: &Catalog, variable: impl Fn(&str) -> Option<String>) -> Vec<(&Provider, String)> {
    let reachable = || catalog.providers().filter(|provider| provider.needs_only_a_key());
    let mut owners: HashMap<&str, (usize, &str)> = HashMap::new();
    for provider in reachable() {
        for (place, name) in provider.env.iter().enumerate() {
            let owner = owners.entry(name).or_insert((place, &provider.id));
            if place < owner.0 {
                *owner = (place, &provider.id);
            }
        }
    }
    let own = |provider: &Provider| {
        provider
            .env
            .iter()
            .filter(|name| {
                owners
                    .get(name.as_str())
                    .is_some_and(|(_, owner)| *owner == provider.id)
            })
            .find_map(|name| variable(name))
    };
    reachable()
        .filter_map(|provider| Some((provider, own(provider)?)))
        .collect()
}

/// The models of a local server, if it answers. What stands where the gateway itself will listen is not asked.
async fn local(provider: &Provider, own: SocketAddr) -> Option<Vec<String>> {
    let url = provider.fixed_url()?;
    let (address, _) = client::address_of(url)?;
    if provider.formats.is_empty() || address == own {
        return None;
    }
    models_of(url).await
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

#[cfg(test)]
mod tests {
    use super::*;

    fn found(set: &[&str]) -> Vec<String> {
        let variable = |name: &str| set.contains(&name).then(|| format!("key of {name}"));
        let all = keys(Catalog::embedded(), variable);
        all.into_iter()
            .map(|(provider, key)| format!("{}: {key}", provider.id))
            .collect()
    }

    #[test]
    fn every_provider_whose_variable_is_set_is_there() {
        assert_eq!(
            found(&["OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GROQ_API_KEY"]),
            [
                "openai: key of OPENAI_API_KEY",
                "anthropic: key of ANTHROPIC_API_KEY",
                "groq: key of GROQ_API_KEY"
            ]
        );
        assert!(found(&[]).is_empty());
        // One by one, each variable finds one provider; the usual one of a provider finds that provider or one
        // that shares it and stands before it.
        let catalog = Catalog::embedded();
        let mut alone = 0;
        for provider in catalog.providers().filter(|provider| provider.needs_only_a_key()) {
            let usual = provider.env[0].as_str();
            let found = found(&[usual]);
            assert_eq!(found.len(), 1, "{usual}: {found:?}");
            alone += usize::from(found[0].starts_with(&format!("{}: ", provider.id)));
        }
        assert!(alone >= 130, "{alone}");
    }

    #[test]
    fn a_shared_variable_is_the_key_of_one() {
        assert_eq!(
            found(&["DASHSCOPE_API_KEY"]),
            ["dashscope: key of DASHSCOPE_API_KEY"]
        );
        assert_eq!(found(&["GOOGLE_API_KEY"]), ["gemini: key of GOOGLE_API_KEY"]);
    }
}
