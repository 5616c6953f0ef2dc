//! Requests are put in order and shaped on their way out as the configuration says, and what is lost is told.

use pointsman_store::NewKey;
use pointsman_testbed::{SimOptions, SimServer};
use serde_json::{Value, json};

use crate::harness::{House, folder, key, post};

const MODELS: &str = r#"
models:
  shaped:
    targets:
      - provider: o
        model: gpt-5-mini
        format: openai-chat
        request: { body: { set: { "/metadata/tenant": acme }, default: { "/store": true }, remove: [ "/user" ] } }
    request:
      parameters: { default: { temperature: 0.25, seed: 7 }, override: { max_tokens: 50 }, drop: [ top_p ] }
  plain: { targets: [ { provider: a, model: claude-haiku-4-5 } ] }
  strict: { targets: [ { provider: a, model: claude-haiku-4-5, request: { unsupported_params: refuse } } ] }
  lenient: { targets: [ { provider: a, model: claude-haiku-4-5, request: { unsupported_params: drop } } ] }
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_are_shaped_and_losses_told_dropped_or_refused() {
    let sim = SimServer::local(SimOptions::default()).await.unwrap();
    let at = sim.address();
    let providers = format!(
        "providers:\n  o: {{ kind: openai, base_url: \"http://{at}/v1\", auth: {{ api_key: sk-sim }}, \
         request: {{ headers: {{ set: {{ x-tenant: acme }} }} }} }}\n  \
         a: {{ kind: anthropic, base_url: \"http://{at}\", auth: {{ api_key: sk-ant-sim }} }}\n"
    );
    let folder = folder(&(providers + MODELS));
    let key = key(folder.path(), NewKey::default());
    let house = House::open(folder.path());
    let ask = async |model: &str, extra: Value| {
        let mut body =
            json!({ "model": model, "messages": [ { "role": "user", "content": "repeat 2 words" } ] });
        for (name, value) in extra.as_object().unwrap() {
            body[name] = value.clone();
        }
        post(house.address, "/v1/chat/completions", &key, &body)
            .await
            .unwrap()
    };
    let answer = ask("shaped", json!({ "seed": 1, "top_p": 0.5, "user": "u" })).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let sent: Value = serde_json::from_str(&sim.served()[0].body).unwrap();
    assert_eq!(
        (
            &sent["temperature"],
            &sent["seed"],
            &sent["max_completion_tokens"]
        ),
        (&json!(0.25), &json!(1), &json!(50)),
        "{sent}"
    );
    assert!(
        sent.get("top_p").is_none() && sent.get("user").is_none(),
        "{sent}"
    );
    assert_eq!(
        (&sent["metadata"]["tenant"], &sent["store"]),
        (&json!("acme"), &json!(true))
    );

    let told = ask("plain", json!({ "seed": 1, "frequency_penalty": 0.5 })).await;
    assert_eq!(told.status, 200, "{}", told.text());
    let losses = told.header("x-pointsman-losses");
    assert!(
        losses.contains("seed") && losses.contains("frequency_penalty"),
        "{losses}"
    );
    let refused = ask("strict", json!({ "seed": 1 })).await;
    assert_eq!(
        (refused.status.as_u16(), &refused.json()["error"]["param"]),
        (400, &json!("seed"))
    );
    assert_eq!(ask("strict", json!({})).await.status, 200);

    let several = json!({ "n": 2 });
    assert_eq!(ask("plain", several.clone()).await.status, 400);
    let dropped = ask("lenient", several).await;
    assert_eq!(dropped.status, 200, "{}", dropped.text());
    assert!(
        dropped.header("x-pointsman-losses").contains('n'),
        "{}",
        dropped.header("x-pointsman-losses")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prompts_are_decorated_and_templates_filled_in_every_format() {
    let sim = SimServer::local(SimOptions::default()).await.unwrap();
    let folder = folder(&format!(
        "providers: {{ o: {{ kind: openai, base_url: \"http://{}/v1\", auth: {{ api_key: sk-sim }} }} }}\n\
         models: {{ fast: {{ targets: [ {{ provider: o, model: gpt-5-mini, format: openai-chat }} ] }} }}\n\
         prompts:\n  decorators: [ {{ prepend: [ {{ role: system, content: Be brief. }} ] }} ]\n  \
         templates: {{ summary: \"Summarise: {{{{text}}}}\" }}\n",
        sim.address()
    ));
    let key = key(folder.path(), NewKey::default());
    let house = House::open(folder.path());
    let call = "{template://summary}";
    let properties = json!({ "text": "say \"hi\"" });
    for (path, body) in [
        (
            "/v1/chat/completions",
            json!({ "model": "fast", "messages": [ { "role": "user", "content": call } ], "properties": properties }),
        ),
        (
            "/v1/messages",
            json!({ "model": "fast", "max_tokens": 9, "messages": [ { "role": "user", "content": call } ], "properties": properties }),
        ),
        (
            "/v1beta/models/fast:generateContent",
            json!({ "contents": [ { "role": "user", "parts": [ { "text": call } ] } ], "properties": properties }),
        ),
    ] {
        sim.clear();
        let answer = post(house.address, path, &key, &body).await.unwrap();
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        let sent: Value = serde_json::from_str(&sim.served()[0].body).unwrap();
        let said = sent["messages"].to_string();
        assert!(
            said.contains("Be brief.") && said.contains(r#"Summarise: say \"hi\""#),
            "{path}: {sent}"
        );
        assert!(sent.get("properties").is_none(), "{path}: {sent}");
    }
    let missing = json!({ "model": "fast", "messages": [ { "role": "user", "content": call } ] });
    let answer = post(house.address, "/v1/chat/completions", &key, &missing)
        .await
        .unwrap();
    assert_eq!(
        (answer.status.as_u16(), &answer.json()["error"]["param"]),
        (400, &json!("properties"))
    );
}
