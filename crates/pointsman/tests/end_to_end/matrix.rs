//! Every format of client before every format of provider: whole and streamed.

use http::Request;
use pointsman_store::NewKey;
use pointsman_testbed::{SimOptions, SimServer};
use serde_json::{Value, json};

use crate::harness::{Answer, House, folder, key, send};

/// Models, each behind a provider of another format.
pub const MODELS: [&str; 7] = [
    "chat",
    "responses",
    "claude",
    "gemini",
    "converse",
    "invoke",
    "cohere",
];

fn configuration(at: &str) -> String {
    format!(
        r#"
providers:
  o: {{ kind: openai, base_url: "http://{at}/v1", auth: {{ api_key: sk-sim }}, retry: {{ attempts: 1 }} }}
  a: {{ kind: anthropic, base_url: "http://{at}", auth: {{ api_key: sk-ant-sim }}, retry: {{ attempts: 1 }} }}
  g: {{ kind: gemini, base_url: "http://{at}", auth: {{ api_key: AIza-sim }}, retry: {{ attempts: 1 }} }}
  b: {{ kind: aws-bedrock, base_url: "http://{at}", region: eu-west-1, auth: {{ api_key: bedrock-api-key-sim }}, retry: {{ attempts: 1 }} }}
  c: {{ kind: cohere, base_url: "http://{at}", auth: {{ api_key: co-sim }}, retry: {{ attempts: 1 }} }}
models:
  chat: {{ targets: [ {{ provider: o, model: gpt-5-mini, format: openai-chat }} ] }}
  responses: {{ targets: [ {{ provider: o, model: gpt-5-mini, format: openai-responses }} ] }}
  claude: {{ targets: [ {{ provider: a, model: claude-haiku-4-5 }} ] }}
  gemini: {{ targets: [ {{ provider: g, model: gemini-2.5-flash, format: gemini }} ] }}
  converse: {{ targets: [ {{ provider: b, model: "anthropic.claude-haiku-4-5-20251001-v1:0", format: bedrock-converse }} ] }}
  invoke: {{ targets: [ {{ provider: b, model: "anthropic.claude-haiku-4-5-20251001-v1:0", format: bedrock-invoke }} ] }}
  cohere: {{ targets: [ {{ provider: c, model: command-a-03-2025, format: cohere-chat }} ] }}
"#
    )
}

/// A question of each client: path and body.
pub fn question(client: &str, model: &str, text: &str, stream: bool) -> (String, Value) {
    let message = json!([{ "role": "user", "content": text }]);
    let bedrock = |kind: &str| {
        let tail = match (kind, stream) {
            ("converse", false) => "converse",
            ("converse", true) => "converse-stream",
            (_, false) => "invoke",
            (_, true) => "invoke-with-response-stream",
        };
        format!("/model/{model}/{tail}")
    };
    match client {
        "chat" => (
            "/v1/chat/completions".to_owned(),
            json!({ "model": model, "messages": message, "stream": stream, "max_completion_tokens": 200 }),
        ),
        "responses" => (
            "/v1/responses".to_owned(),
            json!({ "model": model, "input": text, "stream": stream }),
        ),
        "claude" => (
            "/v1/messages".to_owned(),
            json!({ "model": model, "messages": message, "stream": stream, "max_tokens": 200 }),
        ),
        "gemini" => {
            let method = if stream {
                "streamGenerateContent?alt=sse"
            } else {
                "generateContent"
            };
            (
                format!("/v1beta/models/{model}:{method}"),
                json!({ "contents": [ { "role": "user", "parts": [ { "text": text } ] } ] }),
            )
        }
        "converse" => (
            bedrock(client),
            json!({ "messages": [ { "role": "user", "content": [ { "text": text } ] } ] }),
        ),
        "invoke" => (
            bedrock(client),
            json!({ "anthropic_version": "bedrock-2023-05-31", "max_tokens": 200, "messages": message }),
        ),
        _ => (
            "/v2/chat".to_owned(),
            json!({ "model": model, "messages": message, "stream": stream }),
        ),
    }
}

/// What ends a stream of each format.
pub fn is_whole(client: &str, answer: &Answer) -> bool {
    let bytes = &answer.body[..];
    let ends = |what: &str| bytes.windows(what.len()).any(|window| window == what.as_bytes());
    match client {
        "chat" => ends("data: [DONE]"),
        "responses" => ends("event: response.completed"),
        "claude" => ends("event: message_stop"),
        "gemini" => ends("\"finishReason\":\"STOP\""),
        "converse" => ends("messageStop") && ends("metadata"),
        "invoke" => ends("chunk"),
        _ => ends("\"type\":\"message-end\""),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_client_is_answered_by_every_provider() {
    let sim = SimServer::local(SimOptions::default()).await.unwrap();
    let folder = folder(&configuration(&sim.address().to_string()));
    let key = key(folder.path(), NewKey::default());
    let house = House::open(folder.path());
    let mut wrong = Vec::new();
    for client in MODELS {
        for model in MODELS {
            for stream in [false, true] {
                let (path, body) = question(client, model, "repeat 6 words", stream);
                let request = Request::post(path)
                    .header("authorization", format!("Bearer {key}"))
                    .body(body.to_string())
                    .unwrap();
                let Some(answer) = send(house.address, request).await else {
                    wrong.push(format!("{client} -> {model} (stream: {stream}): no answer"));
                    continue;
                };
                let whole = !stream || is_whole(client, &answer);
                if answer.status != 200 || !whole {
                    let said =
                        String::from_utf8_lossy(&answer.body[..answer.body.len().min(400)]).into_owned();
                    wrong.push(format!(
                        "{client} -> {model} (stream: {stream}): {} {said}",
                        answer.status
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
