//! What the gateway stands on, as the admin API shows it: the configuration in force and how its parts do, without a secret.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use pointsman_testbed::{SimOptions, SimServer};
use serde_json::{Value, json};

use super::{TOKEN, bearer};
use crate::harness::{House, exchange, folder, write};

/// Stands wherever a configuration may hold a secret.
const CANARY: &str = "sk-canary-5b1e0f";

async fn site() -> (House, tempfile::TempDir, String, SimServer) {
    let sim = SimServer::local(SimOptions::default()).await.unwrap();
    let address = sim.address();
    let text = format!(
        "providers:\n  one: {{ kind: openai, base_url: \"http://{address}/v1\", auth: {{ api_key: {CANARY} }}, headers: {{ x-team: {CANARY} }} }}\n  \
         two: {{ kind: openai, base_url: \"http://{address}/v1\", auth: {{ api_key: \"${{TWO_KEY}}\" }} }}\n\
         models:\n  m: {{ targets: [ {{ provider: one, model: gpt-5-mini, weight: 3 }}, {{ provider: two, model: gpt-5-mini }} ], price: {{ input: 1, output: 2 }} }}\n\
         guardrails:\n  - {{ name: words, type: regex, on: [output], action: block, deny: [falcon] }}\n  \
         - {{ name: people, type: presidio, url: \"http://{address}\", on: [input], action: redact }}\n\
         mcp: {{ servers: {{ tools: {{ url: \"http://{address}/mcp\", auth: {{ api_key: {CANARY} }} }} }} }}\n\
         a2a: {{ agents: {{ planner: {{ url: \"http://{address}/.well-known/agent-card.json\", auth: {{ api_key: {CANARY} }} }} }} }}\n"
    );
    let folder = folder(&text);
    let environment = [("POINTSMAN_ADMIN_TOKEN", TOKEN), ("TWO_KEY", CANARY)];
    let house = House::open_with(folder.path(), &environment);
    (house, folder, text, sim)
}

/// What is shown there; whatever it is, it holds no secret.
async fn shown(house: &House, path: &str) -> (StatusCode, Value) {
    let answer = exchange(house.admin, Method::GET, path, bearer(TOKEN), Bytes::new()).await;
    let answer = answer.unwrap();
    assert!(!answer.text().contains(CANARY), "{path}: {}", answer.text());
    (answer.status, answer.json())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_that_is_configured_is_shown_and_no_secret_is() {
    let (house, _folder, _, sim) = site().await;
    for (path, name) in [
        ("models", "m"),
        ("providers", "one"),
        ("guardrails", "words"),
        ("mcp/servers", "tools"),
        ("a2a/agents", "planner"),
    ] {
        let (status, all) = shown(&house, &format!("/admin/v1/{path}")).await;
        assert_eq!(status, StatusCode::OK, "{path}");
        let listed = all["data"].as_array().unwrap();
        let own = listed
            .iter()
            .find(|one| one["name"] == name)
            .unwrap_or_else(|| panic!("{path}: {all}"));
        assert!(own["configured"].is_object(), "{path}: {own}");
        let (status, one) = shown(&house, &format!("/admin/v1/{path}/{name}")).await;
        assert_eq!((status, &one["name"]), (StatusCode::OK, &json!(name)), "{path}");
        let (status, _) = shown(&house, &format!("/admin/v1/{path}/nobody")).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{path}");
    }
    let (_, one) = shown(&house, "/admin/v1/providers/one").await;
    let url = one["endpoints"][0]["url"].as_str().unwrap();
    assert!(url.contains(&sim.address().to_string()), "{url}");
    assert_eq!(one["endpoints"][0]["breaker"], "closed");
    assert_eq!(one["configured"]["auth"]["api_key"], "[hidden]");
    let (_, two) = shown(&house, "/admin/v1/providers/two").await;
    assert_eq!(two["configured"]["auth"]["api_key"], "${TWO_KEY}");
    let (_, model) = shown(&house, "/admin/v1/models/m").await;
    assert_eq!(model["targets"][0]["weight"], 3);
    assert_eq!(model["targets"][1]["provider"], "two");
    assert!(model["targets"][0]["price"]["input"].is_string(), "{model}");
    let (_, people) = shown(&house, "/admin/v1/guardrails/people").await;
    assert_eq!(people["breaker"], "closed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_configuration_in_force_is_shown_and_why_another_was_refused() {
    let (house, folder, text, _sim) = site().await;
    let (status, now) = shown(&house, "/admin/v1/config").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(now["configuration"]["models"]["m"]["targets"][0]["weight"], 3);
    assert_eq!(now["refused"], Value::Null);
    write(folder.path(), &format!("{text}modls: {{ x: {CANARY} }}\n"));
    let refused = until(&house, |now| now["refused"].is_object()).await;
    let problem = refused["refused"]["problems"][0].as_str().unwrap();
    assert!(problem.contains("modls: unknown key"), "{problem}");
    assert_eq!(refused["configuration"], now["configuration"]);
    write(folder.path(), &text.replace("weight: 3", "weight: 4"));
    let changed = until(&house, |now| now["refused"].is_null()).await;
    assert_eq!(changed["configuration"]["models"]["m"]["targets"][0]["weight"], 4);
}

async fn until(house: &House, is: impl Fn(&Value) -> bool) -> Value {
    for _ in 0..200 {
        let (_, now) = shown(house, "/admin/v1/config").await;
        if is(&now) {
            return now;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the configuration never came to be so");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_operator_sees_what_the_gateway_stands_on() {
    let (house, _folder, _, _sim) = site().await;
    for path in [
        "config",
        "models",
        "providers",
        "guardrails",
        "mcp/servers",
        "a2a/agents",
    ] {
        let path = format!("/admin/v1/{path}");
        let answer = exchange(
            house.admin,
            Method::GET,
            &path,
            bearer("another-token"),
            Bytes::new(),
        )
        .await;
        assert_eq!(answer.unwrap().status, 401, "{path}");
    }
}
