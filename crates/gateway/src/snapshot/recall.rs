//! Whether and for whom answers are remembered, compiled.

use http::{HeaderName, header};
use pointsman_cache::{Bounds, CacheKey, ExactConfig, KeyBuilder, SemanticConfig};
use pointsman_config::Config;
use pointsman_routing::{Router, RoutingConfig};
use pointsman_upstream::Passthrough;

use super::{CachePolicy, SemanticPolicy};

/// Headers in which formats have their credentials.
const USUAL: [HeaderName; 4] = [
    header::AUTHORIZATION,
    HeaderName::from_static("x-api-key"),
    HeaderName::from_static("x-goog-api-key"),
    HeaderName::from_static("api-key"),
];

/// Bounds of the exact cache, and bytes of the semantic one.
pub fn bounds(config: &Config) -> (Bounds, usize) {
    let usual = ExactConfig::default();
    let asked = config
        .routing
        .as_ref()
        .is_some_and(RoutingConfig::caches_by_decision);
    let exact = config.cache.exact.as_ref().or_else(|| asked.then_some(&usual));
    let bounds = Bounds {
        max_bytes: exact.map_or(0, |exact| exact.max_bytes),
        max_entry_bytes: exact.map_or(0, |exact| exact.max_entry_bytes),
    };
    let usual = SemanticConfig::default();
    let semantic = config.cache.semantic.as_ref().or_else(|| asked.then_some(&usual));
    let semantic = semantic.filter(|_| exact.is_some());
    (bounds, semantic.map_or(0, |semantic| semantic.max_bytes))
}

/// For whom and how long answers are remembered; none if they are not.
pub(super) fn policy(config: &Config) -> Option<CachePolicy> {
    let exact = config.cache.exact.as_ref()?;
    Some(of(config, exact, config.cache.semantic.as_ref()))
}

/// The same for decisions that say so of their own answers: what neither they nor the `cache` block say is as usual.
pub(super) fn of_decisions(config: &Config, router: Option<&Router>) -> Option<CachePolicy> {
    router?.caches().next()?;
    let exact = config.cache.exact.clone().unwrap_or_default();
    let semantic = config.cache.semantic.clone().unwrap_or_default();
    Some(of(config, &exact, Some(&semantic)))
}

fn of(config: &Config, exact: &ExactConfig, semantic: Option<&SemanticConfig>) -> CachePolicy {
    let routes_by_caller = |config: &Config| {
        let routing = config.routing.as_ref();
        // Recipes have signals of their own.
        routing
            .is_some_and(|routing| !routing.signals.role_bindings.is_empty() || !routing.recipes.is_empty())
    };
    CachePolicy {
        scope: config.cache.scope,
        ttl: exact.ttl.get(),
        wait: exact.wait.get(),
        stale: exact.stale.get(),
        errors: exact.errors.get(),
        revision: revision(config),
        routes_by_caller: routes_by_caller(config),
        credentials: credentials(config),
        apart: Vec::new(),
        semantic: semantic.map(|semantic| SemanticPolicy {
            ttl: semantic.ttl.get(),
            point: semantic.operating_point.into(),
            least: None,
            shadow: semantic.shadow,
            longest: semantic.longest,
            deadline: semantic.deadline.get(),
        }),
    }
}

/// Headers in which callers bring credentials of their own: whose account answers is a part of what is asked.
fn credentials(config: &Config) -> Vec<HeaderName> {
    let mut names = Vec::new();
    for provider in config.providers.values() {
        match &provider.auth.passthrough {
            None | Some(Passthrough::Flag(false)) => {}
            Some(Passthrough::Flag(true)) => names.extend(USUAL),
            Some(Passthrough::Headers(headers)) => match &headers.from {
                None => names.extend(USUAL),
                // A name that is none was told when the credential was compiled.
                Some(name) => names.extend(HeaderName::try_from(name)),
            },
        }
    }
    names.sort_by(|one, other| one.as_str().cmp(other.as_str()));
    names.dedup();
    names
}

/// Of all in the configuration that changes answers: who gives them, what is put around prompts, what guardrails let
/// through, and whose vectors are compared. An answer from before such a change is not given after it; all other changes
/// leave what is remembered as it is. Secrets show as masks: a key that is rotated changes nothing.
fn revision(config: &Config) -> CacheKey {
    let mut key = KeyBuilder::new();
    let parts: [(&str, &dyn std::fmt::Debug); 6] = [
        ("providers", &config.providers),
        ("models", &config.models),
        ("routing", &config.routing),
        ("guardrails", &config.guardrails),
        ("prompts", &config.prompts),
        ("understanding", &config.understanding),
    ];
    for (name, part) in parts {
        key.field(name, format!("{part:?}").as_bytes());
    }
    key.finish()
}
