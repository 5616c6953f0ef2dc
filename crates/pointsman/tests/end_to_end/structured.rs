//! Answers of a given structure from models that have no way of their own: asked for, checked, mended once, paid for.

use pointsman_store::{BudgetWindow, Counted, NewKey, Outcome, Quota};
use pointsman_testbed::{SimOptions, SimServer};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{Answer, House, entry, folder, key, post};

const MODELS: &str = r#"
models:
  tool: { targets: [ { provider: a, model: claude-haiku-4-5, request: { structured_output: tool } } ] }
  words: { targets: [ { provider: a, model: claude-haiku-4-5 } ], request: { structured_output: instruct } }
  native: { targets: [ { provider: a, model: claude-haiku-4-5 } ] }
  plain: { targets: [ { provider: o, model: gpt-5-mini, format: openai-chat } ] }
"#;

struct Scene {
    sim: SimServer,
    folder: TempDir,
    key: String,
    house: House,
}

impl Scene {
    async fn new(grant: NewKey) -> Self {
        let sim = SimServer::local(SimOptions::default()).await.unwrap();
        let at = sim.address();
        let folder = folder(&format!(
            "providers:\n  o: {{ kind: openai, base_url: \"http://{at}/v1\", auth: {{ api_key: sk-sim }} }}\n  \
             a: {{ kind: anthropic, base_url: \"http://{at}\", auth: {{ api_key: sk-ant-sim }} }}\n{MODELS}"
        ));
        let key = key(folder.path(), grant);
        let house = House::open(folder.path());
        Self {
            sim,
            folder,
            key,
            house,
        }
    }

    async fn ask(&self, model: &str, say: &str, more: Value) -> Answer {
        self.sim.clear();
        let mut body = json!({
            "model": model,
            "messages": [ { "role": "user", "content": format!("say in turn: {say}") } ],
            "response_format": { "type": "json_schema", "json_schema": { "name": "place", "schema": city() } },
        });
        for (name, value) in more.as_object().unwrap() {
            body[name] = value.clone();
        }
        post(self.house.address, "/v1/chat/completions", &self.key, &body)
            .await
            .unwrap()
    }

    /// Bodies that the provider was sent.
    fn sent(&self) -> Vec<Value> {
        let served = self.sim.served();
        served
            .iter()
            .map(|served| serde_json::from_str(&served.body).unwrap())
            .collect()
    }

    /// Tokens that the provider served, in and out.
    fn served(&self) -> (u64, u64) {
        let served = self.sim.served();
        let sum = |count: fn(&pointsman_testbed::Served) -> u64| served.iter().map(count).sum();
        (sum(|served| served.input), sum(|served| served.output))
    }

    /// What the ledger says of an answer: tokens in and out, attempts, how it ended.
    fn ledger(&self, answer: &Answer) -> ((u64, u64), u16, Outcome, i64) {
        let entry = entry(self.folder.path(), answer.header("x-request-id"));
        let used = (entry.usage.input, entry.usage.output);
        (used, entry.attempts, entry.outcome, entry.cost.nanodollars())
    }
}

fn city() -> Value {
    json!({ "type": "object", "properties": { "city": { "type": "string" } }, "required": [ "city" ], "additionalProperties": false })
}

const BERN: &str = r#"{"city":"Bern"}"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tool_asks_for_the_schema_and_a_wrong_answer_is_mended_once() {
    let scene = Scene::new(NewKey::default()).await;
    let right = scene.ask("tool", BERN, json!({})).await;
    assert_eq!(right.status, 200, "{}", right.text());
    let choice = &right.json()["choices"][0];
    assert_eq!(choice["message"]["content"], BERN);
    assert_eq!(choice["finish_reason"], "stop");
    assert!(choice["message"].get("tool_calls").is_none(), "{choice}");
    let sent = scene.sent();
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0]["tool_choice"], json!({ "type": "tool", "name": "place" }));
    assert_eq!(sent[0]["tools"][0]["input_schema"], city());
    let once = scene.ledger(&right);
    assert_eq!((once.0, once.1), (scene.served(), 1));

    let mended = scene
        .ask("tool", &format!(r#"{{"city":7}} || {BERN}"#), json!({}))
        .await;
    assert_eq!(mended.status, 200, "{}", mended.text());
    assert_eq!(mended.json()["choices"][0]["message"]["content"], BERN);
    let sent = scene.sent();
    assert_eq!(sent.len(), 2);
    let behind = sent[1]["messages"].as_array().unwrap();
    assert_eq!(behind.len(), 3);
    assert!(behind[1].to_string().contains(r#"{\"city\":7}"#), "{}", behind[1]);
    assert!(behind[2].to_string().contains("/city"), "{}", behind[2]);
    let twice = scene.ledger(&mended);
    assert_eq!(
        (twice.0, twice.1, twice.2),
        (scene.served(), 2, Outcome::Complete)
    );
    assert!(twice.3 > once.3, "both attempts are paid for");
    let usage = &mended.json()["usage"];
    let told = ["prompt_tokens", "completion_tokens"].map(|name| usage[name].as_u64().unwrap());
    assert_eq!((told[0], told[1]), scene.served(), "and the client is told");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_is_wrong_twice_is_an_error_that_names_the_path() {
    let scene = Scene::new(NewKey::default()).await;
    for model in ["tool", "words"] {
        let wrong = scene.ask(model, r#"{"city":7}"#, json!({})).await;
        assert_eq!(wrong.status, 502, "{}", wrong.text());
        let error = &wrong.json()["error"];
        assert_eq!(error["code"], "structured_output_invalid");
        assert!(error["message"].as_str().unwrap().contains("/city"), "{error}");
        let told = scene.ledger(&wrong);
        assert_eq!(
            (told.0, told.1, told.2),
            (scene.served(), 2, Outcome::ProviderFailed),
            "{model}"
        );
        assert!(told.3 > 0, "the provider is paid all the same");
    }
    let body = json!({
        "model": "words", "max_tokens": 100, "messages": [ { "role": "user", "content": "say in turn: nothing of the sort" } ],
        "output_config": { "format": { "type": "json_schema", "schema": city() } },
    });
    let wrong = post(scene.house.address, "/v1/messages", &scene.key, &body)
        .await
        .unwrap();
    assert_eq!(
        (wrong.status.as_u16(), &wrong.json()["type"]),
        (502, &json!("error"))
    );
    assert!(wrong.text().contains("its root"), "{}", wrong.text());
    let senseless = json!({ "response_format": { "type": "json_schema", "json_schema": { "name": "x", "schema": { "type": "objekt" } } } });
    let refused = scene.ask("tool", BERN, senseless).await;
    assert_eq!(
        (refused.status.as_u16(), &refused.json()["error"]["code"]),
        (400, &json!("invalid_json_schema"))
    );
    assert!(scene.sent().is_empty(), "nobody was asked");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_are_held_until_they_are_checked() {
    let scene = Scene::new(NewKey::default()).await;
    let fenced = format!("Well: || Here it is:\n```json\n{BERN}\n```");
    let asked = json!({ "stream": true, "stream_options": { "include_usage": true } });
    let answer = scene.ask("words", &fenced, asked.clone()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.header("content-type").starts_with("text/event-stream"));
    let chunks: Vec<Value> = answer
        .text()
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .filter(|data| *data != "[DONE]")
        .map(|data| serde_json::from_str(data).unwrap())
        .collect();
    let text: String = chunks
        .iter()
        .filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str())
        .collect();
    assert_eq!(text, BERN);
    assert!(answer.text().ends_with("data: [DONE]\n\n"));
    let usage = &chunks.last().unwrap()["usage"];
    assert_eq!(usage["prompt_tokens"].as_u64(), Some(scene.served().0));
    let sent = scene.sent();
    assert_eq!(sent.len(), 2);
    assert!(
        sent[0]["system"].to_string().contains("additionalProperties"),
        "{}",
        sent[0]
    );
    assert_ne!(sent[0]["stream"], true);
    let broken = scene.ask("words", "no", asked).await;
    assert_eq!(broken.status, 502, "nothing was streamed: {}", broken.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_target_can_do_itself_is_left_to_it() {
    let scene = Scene::new(NewKey::default()).await;
    let native = scene.ask("native", r#"{"city":7}"#, json!({})).await;
    assert_eq!(native.json()["choices"][0]["message"]["content"], r#"{"city":7}"#);
    assert_eq!(scene.sent()[0]["output_config"]["format"]["schema"], city());
    let passed = scene.ask("plain", r#"{"city":7}"#, json!({})).await;
    assert_eq!(passed.json()["choices"][0]["message"]["content"], r#"{"city":7}"#);
    assert_eq!(
        scene.sent()[0]["response_format"]["json_schema"]["schema"],
        city()
    );

    let object = json!({ "response_format": { "type": "json_object" } });
    let fenced = format!("```json\n{BERN}\n```");
    let answer = scene.ask("native", &fenced, object.clone()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["choices"][0]["message"]["content"], BERN);
    let none = scene.ask("native", "[1]", object).await;
    assert_eq!((none.status.as_u16(), scene.sent().len()), (502, 2));

    let tools = json!({ "tools": [ { "type": "function", "function": { "name": "look", "parameters": { "type": "object" } } } ] });
    let answer = scene.ask("tool", BERN, tools).await;
    assert_eq!(
        answer.json()["choices"][0]["message"]["content"],
        BERN,
        "{}",
        answer.text()
    );
    let sent = &scene.sent()[0];
    assert_eq!(sent["tools"].as_array().unwrap().len(), 1, "the client's own");
    assert!(
        sent["system"].to_string().contains("additionalProperties"),
        "{sent}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mending_keeps_to_the_limits_of_the_key() {
    let grant = NewKey {
        output_tokens_per_minute: Some(50),
        ..NewKey::default()
    };
    let scene = Scene::new(grant).await;
    let bound = json!({ "max_tokens": 50 });
    let answer = scene.ask("words", &format!("no || {BERN}"), bound).await;
    assert_eq!(answer.status, 502);
    assert!(
        answer.text().contains("it was not asked again"),
        "{}",
        answer.text()
    );
    let told = scene.ledger(&answer);
    assert_eq!((told.0, told.1), (scene.served(), 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_is_tried_again_is_one_request_for_quotas_and_rates() {
    let grant = NewKey {
        requests_per_minute: Some(2),
        concurrency: Some(1),
        quotas: vec![Quota {
            of: Counted::Requests,
            amount: 2,
            window: BudgetWindow::Total,
            zone: None,
            models: Vec::new(),
            providers: Vec::new(),
            cel: None,
            unit: None,
        }],
        ..NewKey::default()
    };
    let scene = Scene::new(grant).await;
    let mended = scene.ask("words", &format!("no || {BERN}"), json!({})).await;
    assert_eq!(mended.status, 200, "{}", mended.text());
    assert_eq!(scene.ledger(&mended).1, 2, "it was asked twice");
    let once = scene.ask("words", BERN, json!({})).await;
    assert_eq!(once.status, 200, "{}", once.text());
    assert_eq!(scene.ask("words", BERN, json!({})).await.status, 429);
}
