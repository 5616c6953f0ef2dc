//! The routing block as printed, through the command line and to the simulated server.

use std::process::Command;

use pointsman_store::NewKey;
use pointsman_testbed::{SimOptions, SimServer};
use serde_json::{Value, json};

use crate::harness::{House, folder, key, post};

const INSIDE: &str = r#"
routing:
  modelCards: [ { name: qwen3-8b, modality: text, capabilities: [chat, reasoning], loras: [ { name: math-adapter, description: … } ] } ]
  signals:    { keywords: [ { name: math_terms, operator: OR, keywords: [algebra, calculus] } ] }
  decisions:
    - name: math_route
      description: Route math requests
      priority: 100
      rules: { operator: AND, conditions: [ { type: keyword, name: math_terms } ] }
      modelRefs: [ { model: qwen3-8b, use_reasoning: true, lora_name: math-adapter } ]
"#;

const BESIDE: &str = r#"
routing:
  modelCards:
    - name: qwen3-8b
      modality: text
      capabilities: [chat, reasoning]
      loras: [ { name: math-adapter, description: … } ]
  signals:
    keywords:
      - { name: math_terms, operator: OR, keywords: [algebra, calculus] }
  decisions:
    - { name: math_route, description: Route math requests, priority: 100 }
  rules:
    operator: AND
    conditions: [ { type: keyword, name: math_terms } ]
  modelRefs:
    - { model: qwen3-8b, use_reasoning: true, lora_name: math-adapter }
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_printed_forms_reach_the_adapter_with_reasoning_on() {
    let sim = SimServer::local(SimOptions::default()).await.unwrap();
    for routing in [INSIDE, BESIDE] {
        let provider = format!(
            "providers: {{ fleet: {{ kind: vllm, endpoints: [ {{ url: \"http://{}/v1\" }} ], auth: {{ api_key: sk-sim }} }} }}\n",
            sim.address()
        );
        let folder = folder(&(provider + routing));
        let explained = Command::new(env!("CARGO_BIN_EXE_pointsman"))
            .args(["route", "solve this algebra problem", "--json", "-c"])
            .arg(folder.path().join("pointsman.yaml"))
            .output()
            .unwrap();
        let explained: Value = serde_json::from_slice(&explained.stdout).unwrap();
        assert_eq!(explained["routing_decision"], "math_route");
        assert_eq!(
            explained["selected_model"],
            json!({"model": "qwen3-8b", "lora_name": "math-adapter", "use_reasoning": true})
        );
        let key = key(folder.path(), NewKey::default());
        let house = House::open(folder.path());
        sim.clear();
        let body =
            json!({"model": "auto", "messages": [{"role": "user", "content": "solve this algebra problem"}]});
        let answer = post(house.address, "/v1/chat/completions", &key, &body)
            .await
            .unwrap();
        assert_eq!(
            (answer.status.as_u16(), answer.header("x-pointsman-decision")),
            (200, "math_route"),
            "{}",
            answer.text()
        );
        let sent: Value = serde_json::from_str(&sim.served()[0].body).unwrap();
        assert_eq!(sent["model"], "math-adapter");
        assert_eq!(sent["chat_template_kwargs"], json!({"enable_thinking": true}));
        let explained = post(
            house.address,
            "/api/v1/eval",
            &key,
            &json!({"text": "solve this algebra problem"}),
        )
        .await
        .unwrap();
        assert_eq!(explained.json()["decision_result"]["decision_name"], "math_route");
        assert!(
            explained.json()["signal_confidences"]["keyword:math_terms"]
                .as_f64()
                .unwrap()
                > 0.5
        );
        let lost = json!({"model": "auto", "messages": [{"role": "user", "content": "write a poem"}]});
        assert_eq!(
            post(house.address, "/v1/chat/completions", &key, &lost)
                .await
                .unwrap()
                .status,
            404
        );
    }
}
