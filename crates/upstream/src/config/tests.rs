//! What the blocks accept, and what their published schema says.

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::*;

fn read<T: DeserializeOwned>(value: Value) -> Result<T, String> {
    serde_json::from_value(value).map_err(|error| error.to_string())
}

#[test]
fn defaults_are_the_documented_ones() {
    let timeouts: TimeoutsConfig = read(json!({})).unwrap();
    assert_eq!(timeouts.connect.get().as_secs(), 5);
    assert_eq!(timeouts.first_byte.get().as_secs(), 120);
    assert_eq!(timeouts.between_chunks.get().as_secs(), 60);
    assert_eq!(timeouts.total.get().as_secs(), 600);
    assert_eq!(timeouts.first_token, None);
    let endpoint: EndpointConfig = read(json!({ "url": "http://a" })).unwrap();
    assert_eq!(endpoint, EndpointConfig::new("http://a"));
}

#[test]
fn reads_the_contract() {
    let retry: RetryConfig =
        read(json!({ "attempts": 3, "on": ["connect", "timeout", "429", "5xx"] })).unwrap();
    assert!(crate::RetryPolicy::compile(&retry).is_ok());
    let balance: BalanceConfig = read(json!({ "policy": "lowest_latency" })).unwrap();
    assert_eq!(balance.policy, BalancePolicyName::LowestLatency);
    let balance: BalanceConfig = read(json!({ "policy": "prefix_cache" })).unwrap();
    assert!(crate::Policy::compile(&balance).is_err());
    for auth in [
        json!({ "api_key": "k" }),
        json!({ "api_key": ["k", "l"] }),
        json!({ "aws": {} }),
        json!({ "entra": { "tenant": "t", "client": "c", "secret": "s" } }),
        json!({ "gcp": {} }),
        json!({ "aws": null }),
        json!({ "api_key": ["k", { "key": "l", "weight": 2, "requests_per_minute": 60 }] }),
        json!({ "api_key": "k", "query": "key" }),
        json!({ "passthrough": true }),
        json!({ "passthrough": { "from": "x-key", "header": "authorization" } }),
        json!({ "oauth2": { "token_url": "https://a/t", "client_id": "c", "client_secret": "s", "use": "id_token" } }),
    ] {
        read::<AuthConfig>(auth).unwrap();
    }
    let empty: AuthConfig = read(json!({ "aws": null, "gcp": null })).unwrap();
    assert!(empty.aws.is_some() && empty.gcp.is_some() && empty.entra.is_none());
    let timeouts: TimeoutsConfig = read(json!({ "first_token": "2s", "connect": "250ms" })).unwrap();
    assert_eq!(timeouts.first_token, Some(HumanDuration::from_secs(2)));
}

#[test]
fn unknown_keys_and_wrong_types_are_errors() {
    assert!(
        read::<TimeoutsConfig>(json!({ "conect": "5s" }))
            .unwrap_err()
            .contains("conect")
    );
    assert!(
        read::<TimeoutsConfig>(json!({ "connect": 5 }))
            .unwrap_err()
            .contains("a duration with a unit")
    );
    assert!(
        read::<TimeoutsConfig>(json!({ "connect": "5" }))
            .unwrap_err()
            .contains("250ms")
    );
    assert!(
        read::<AuthConfig>(json!({ "api_key": 5 }))
            .unwrap_err()
            .contains("a list of API keys")
    );
    assert!(read::<UpstreamConfig>(json!({ "tls": { "insecure_skip_verify": true } })).is_err());
    assert!(
        read::<BalanceConfig>(json!({ "policy": "fastest" }))
            .unwrap_err()
            .contains("lowest_latency")
    );
    assert!(
        read::<EndpointConfig>(json!({ "weight": 2 }))
            .unwrap_err()
            .contains("url")
    );
}

#[test]
fn every_field_is_described_in_the_schema() {
    for schema in [
        schemars::schema_for!(UpstreamConfig),
        schemars::schema_for!(EndpointConfig),
        schemars::schema_for!(AuthConfig),
        schemars::schema_for!(BalanceConfig),
        schemars::schema_for!(HealthConfig),
        schemars::schema_for!(RetryConfig),
        schemars::schema_for!(TimeoutsConfig),
    ] {
        let root = serde_json::to_value(&schema).unwrap();
        let blocks = root["$defs"]
            .as_object()
            .into_iter()
            .flat_map(|defs| defs.values())
            .chain([&root]);
        for (name, field) in blocks
            .filter_map(|block| block["properties"].as_object())
            .flatten()
        {
            assert!(field["description"].is_string(), "{name} in {root}");
        }
    }
}

#[test]
fn the_schema_shows_defaults() {
    let schema = serde_json::to_value(schemars::schema_for!(TimeoutsConfig)).unwrap();
    assert_eq!(schema["properties"]["connect"]["default"], "5s");
}
