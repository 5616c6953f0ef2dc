//! Anthropic's features under test, asked for by name, at providers that have them, have not, or call them otherwise.

use http::{Request, header};
use pointsman_store::NewKey;
use pointsman_testbed::{SimOptions, SimServer};
use serde_json::{Value, json};

use crate::harness::{Answer, House, folder, key, send};

const CLAUDE: &str = "anthropic.claude-haiku-4-5-20251001-v1:0";
const BETAS: &str = "claude-code-20250219,interleaved-thinking-2025-05-14, advanced-tool-use-2025-11-20";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn features_under_test_go_along_at_failover_as_far_as_the_next_provider_has_them() {
    let sim = SimServer::local(SimOptions::default()).await.unwrap();
    let at = sim.address();
    let bedrock = format!(
        "kind: aws-bedrock, base_url: \"http://{at}\", region: eu-west-1, auth: {{ api_key: bedrock-api-key-sim }}"
    );
    let folder = folder(&format!(
        "providers:\n  a: {{ kind: anthropic, base_url: \"http://{at}\", auth: {{ api_key: sk-ant-sim }} }}\n  \
         dead: {{ kind: anthropic, base_url: \"http://127.0.0.1:9\", auth: {{ api_key: sk-ant-sim }} }}\n  b: {{ {bedrock} }}\n\
         models:\n  direct: {{ targets: [ {{ provider: a, model: claude-haiku-4-5 }} ] }}\n  \
         invoke: {{ targets: [ {{ provider: dead, model: claude-haiku-4-5 }}, {{ provider: b, model: \"{CLAUDE}\", format: bedrock-invoke, priority: 1 }} ] }}\n  \
         converse: {{ targets: [ {{ provider: dead, model: claude-haiku-4-5 }}, {{ provider: b, model: \"{CLAUDE}\", format: bedrock-converse, priority: 1 }} ] }}\n"
    ));
    let key = key(folder.path(), NewKey::default());
    let house = House::open(folder.path());
    let ask = async |model: &str| -> Answer {
        sim.clear();
        let body = json!({ "model": model, "max_tokens": 50, "messages": [ { "role": "user", "content": "repeat 2 words" } ] });
        let request = Request::post("/v1/messages")
            .header(header::AUTHORIZATION, format!("Bearer {key}"))
            .header("anthropic-beta", BETAS)
            .body(body.to_string())
            .unwrap();
        let answer = send(house.address, request).await.unwrap();
        assert_eq!(answer.status, 200, "{model}: {}", answer.text());
        answer
    };
    ask("direct").await;
    let served = &sim.served()[0];
    let told = served.headers.iter().find(|(name, _)| name == "anthropic-beta");
    assert_eq!(told.map(|(_, value)| value.as_str()), Some(BETAS));
    let known = json!(["interleaved-thinking-2025-05-14", "tool-search-tool-2025-10-19"]);
    for (model, at) in [
        ("invoke", "/anthropic_beta"),
        ("converse", "/additionalModelRequestFields/anthropic_beta"),
    ] {
        let answer = ask(model).await;
        let served = &sim.served()[0];
        let sent: Value = serde_json::from_str(&served.body).unwrap();
        assert_eq!(sent.pointer(at), Some(&known), "{model}: {sent}");
        assert!(!served.headers.iter().any(|(name, _)| name == "anthropic-beta"));
        let losses = answer.header("x-pointsman-losses");
        assert!(
            losses.contains("anthropic-beta claude-code-20250219"),
            "{model}: {losses}"
        );
    }
}
