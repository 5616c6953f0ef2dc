//! Adapters that only some servers serve, and models that take over when one fails.

use std::time::{Duration, Instant};

use pointsman_store::NewKey;
use pointsman_testbed::{SimOptions, SimServer};
use serde_json::{Value, json};

use crate::harness::{Answer, House, folder, key, post};

/// A server that lists these models.
async fn server(models: &[&str]) -> SimServer {
    let options = SimOptions {
        models: models.iter().map(|name| (*name).to_owned()).collect(),
        ..SimOptions::default()
    };
    SimServer::local(options).await.unwrap()
}

async fn ask(house: &House, key: &str) -> Answer {
    ask_for(house, key, false).await
}

async fn ask_for(house: &House, key: &str, stream: bool) -> Answer {
    let body = json!({"model": "auto", "stream": stream, "messages": [{"role": "user", "content": "hello"}]});
    post(house.address, "/v1/chat/completions", key, &body)
        .await
        .unwrap()
}

/// Names of the models that a server was asked for.
fn asked(sim: &SimServer) -> Vec<String> {
    let served = sim.served().into_iter();
    let names = served.map(|one| {
        let body: Value = serde_json::from_str(&one.body).unwrap();
        body["model"].as_str().unwrap().to_owned()
    });
    let names = names.collect();
    sim.clear();
    names
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_adapter_is_asked_only_of_servers_that_serve_it() {
    let with = server(&["qwen3-8b", "math-adapter"]).await;
    let without = server(&["qwen3-8b"]).await;
    // It lists neither: of what it serves nothing is known.
    let silent = server(&[]).await;
    let config = |servers: &[&SimServer]| {
        let servers = servers
            .iter()
            .map(|sim| format!("{{ url: \"http://{}/v1\" }}", sim.address()));
        format!(
            "providers: {{ fleet: {{ kind: vllm, endpoints: [ {} ], auth: {{ api_key: sk-sim }}, balance: {{ policy: round_robin }} }} }}\n\
             routing:\n  modelCards: [ {{ name: qwen3-8b, loras: [ {{ name: math-adapter }} ] }} ]\n  \
             decisions: [ {{ name: d, modelRefs: [ {{ model: qwen3-8b, lora_name: math-adapter }} ] }} ]\n",
            servers.collect::<Vec<_>>().join(", ")
        )
    };
    let both = folder(&config(&[&with, &without]));
    let secret = key(both.path(), NewKey::default());
    let house = House::open(both.path());
    for _ in 0..4 {
        let answer = ask(&house, &secret).await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("x-pointsman-warnings")),
            (200, ""),
            "{}",
            answer.text()
        );
    }
    assert_eq!(
        (asked(&with), asked(&without)),
        (vec!["math-adapter".to_owned(); 4], Vec::new())
    );
    drop(house);
    let alone = folder(&config(&[&without]));
    let secret = key(alone.path(), NewKey::default());
    let house = House::open(alone.path());
    let answer = ask(&house, &secret).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("x-pointsman-warnings")),
        (200, "adapter_not_served"),
        "{}",
        answer.text()
    );
    assert_eq!(asked(&without), ["qwen3-8b"]);
    drop(house);
    let unknown = folder(&config(&[&silent]));
    let secret = key(unknown.path(), NewKey::default());
    let house = House::open(unknown.path());
    assert_eq!(ask(&house, &secret).await.status, 200);
    assert_eq!(asked(&silent), ["math-adapter"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_models_take_over_as_far_as_the_recipe_says() {
    let slow = SimServer::local(SimOptions {
        first_token: Duration::from_secs(20),
        ..SimOptions::default()
    })
    .await
    .unwrap();
    let quick = server(&[]).await;
    let config = |first: &str, fallback: &str| {
        format!(
            "providers:\n  gone: {{ kind: openai-compatible, base_url: \"http://127.0.0.1:9/v1\", auth: {{ api_key: sk-sim }}, retry: {{ attempts: 1 }} }}\n  \
             slow: {{ kind: openai-compatible, base_url: \"http://{}/v1\", auth: {{ api_key: sk-sim }}, retry: {{ attempts: 1 }} }}\n  \
             quick: {{ kind: openai-compatible, base_url: \"http://{}/v1\", auth: {{ api_key: sk-sim }} }}\n\
             models: {{ first: {{ targets: [ {{ provider: {first}, model: a }} ] }}, second: {{ targets: [ {{ provider: gone, model: b }} ] }}, third: {{ targets: [ {{ provider: quick, model: c }} ] }} }}\n\
             routing:\n  fallback: {fallback}\n  decisions: [ {{ name: d, algorithm: static, modelRefs: [ {{ model: first }}, {{ model: second }}, {{ model: third }} ] }} ]\n",
            slow.address(),
            quick.address()
        )
    };
    for (first, fallback, status) in [
        ("gone", "{ enabled: true, max_attempts: 2 }", 502),
        ("gone", "{ enabled: true, max_attempts: 3 }", 200),
        ("slow", "{ enabled: true, per_attempt_timeout: 500ms }", 200),
        ("slow", "{ enabled: true, total_timeout: 500ms }", 504),
    ] {
        let folder = folder(&config(first, fallback));
        let secret = key(folder.path(), NewKey::default());
        let house = House::open(folder.path());
        let begun = Instant::now();
        // Whole answers come at once, however long their first token would take.
        let answer = ask_for(&house, &secret, true).await;
        assert_eq!(answer.status, status, "{first} {fallback}: {}", answer.text());
        assert!(
            begun.elapsed() < Duration::from_secs(10),
            "{first} {fallback}: {:?}",
            begun.elapsed()
        );
    }
}
