//! What a provider tells beside the answer is used, and what it does not tell is filled in.

use pointsman_store::NewKey;
use pointsman_testbed::{SimOptions, SimServer};
use serde_json::{Value, json};

use crate::harness::{House, entry, folder, key, post};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_of_formats_without_names_are_named() {
    let sim = SimServer::local(SimOptions::default()).await.unwrap();
    let model = "anthropic.claude-haiku-4-5-20251001-v1:0";
    let folder = folder(&format!(
        "providers: {{ b: {{ kind: aws-bedrock, base_url: \"http://{}\", region: eu-west-1, auth: {{ api_key: bedrock-api-key-sim }} }} }}\n\
         models: {{ converse: {{ targets: [ {{ provider: b, model: \"{model}\", format: bedrock-converse }} ] }} }}\n",
        sim.address()
    ));
    let key = key(folder.path(), NewKey::default());
    let house = House::open(folder.path());
    for stream in [false, true] {
        let body = json!({ "model": "converse", "stream": stream, "messages": [ { "role": "user", "content": "repeat 3 words" } ] });
        let answer = post(house.address, "/v1/chat/completions", &key, &body)
            .await
            .unwrap();
        let id = answer.header("x-request-id");
        let lines = answer.text().lines();
        let named: Vec<Value> = lines
            .map(|line| line.strip_prefix("data: ").unwrap_or(line))
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect();
        assert!(!named.is_empty(), "{}", answer.text());
        for said in named {
            assert_eq!(
                (&said["model"], &said["id"]),
                (&json!(model), &json!(id)),
                "{said}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tier_that_a_stream_tells_is_the_one_that_is_paid_for() {
    let sim = SimServer::local(SimOptions::default()).await.unwrap();
    let at = sim.address();
    let provider = format!("kind: openai, base_url: \"http://{at}/v1\", auth: {{ api_key: sk-sim }}");
    let guards =
        "guardrails: [ { name: words, type: regex, on: [output], action: block, deny: [\"falcon\"] } ]\n";
    // A stream passes through, or is taken apart to be judged.
    for guards in ["", guards] {
        let folder = folder(&format!(
            "providers: {{ o: {{ {provider} }} }}\n\
             models:\n  chat: {{ targets: [ {{ provider: o, model: gpt-5-mini, format: openai-chat }} ] }}\n  \
             responses: {{ targets: [ {{ provider: o, model: gpt-5-mini, format: openai-responses }} ] }}\n{guards}"
        ));
        let key = key(folder.path(), NewKey::default());
        let house = House::open(folder.path());
        let cost = async |path: &str, model: &str, tier: &str, stream: bool| {
            let body = json!({
                "model": model, "stream": stream, "service_tier": tier, "input": "repeat 9 words",
                "messages": [ { "role": "user", "content": "repeat 9 words" } ],
            });
            let mut body = body;
            let other = if path == "/v1/responses" {
                "messages"
            } else {
                "input"
            };
            body.as_object_mut().unwrap().remove(other);
            let answer = post(house.address, path, &key, &body).await.unwrap();
            assert_eq!(answer.status, 200, "{}", answer.text());
            let entry = entry(folder.path(), answer.header("x-request-id"));
            assert!(!entry.usage_estimated);
            entry.cost.nanodollars()
        };
        for (path, model) in [("/v1/chat/completions", "chat"), ("/v1/responses", "responses")] {
            let usual = cost(path, model, "auto", false).await;
            assert!(usual > 0);
            // The provider says that it gave the default, whatever was asked for.
            for stream in [false, true] {
                assert_eq!(
                    cost(path, model, "flex", stream).await,
                    usual,
                    "{path} {stream} {guards}"
                );
            }
        }
    }
}
