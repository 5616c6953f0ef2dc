//! Every format of client, answered by providers of other formats.

use http::{Method, Request};
use pointsman_store::NewKey;
use pointsman_testbed::{SimOptions, SimServer};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{Answer, House, entry, folder, key, send};

/// A gateway before simulated providers, and a key for it.
struct Scene {
    sim: SimServer,
    folder: TempDir,
    house: House,
    key: String,
}

impl Scene {
    async fn set() -> Self {
        let sim = SimServer::local(SimOptions::default()).await.unwrap();
        let at = sim.address();
        let folder = folder(&format!(
            "providers:\n  o: {{ kind: openai, base_url: \"http://{at}/v1\", auth: {{ api_key: sk-sim }}, retry: {{ attempts: 1 }} }}\n  \
             a: {{ kind: anthropic, base_url: \"http://{at}\", auth: {{ api_key: sk-ant-sim }} }}\n\
             models:\n  fast: {{ targets: [ {{ provider: o, model: gpt-5-mini }} ] }}\n  \
             plain: {{ targets: [ {{ provider: o, model: gpt-5-mini, format: openai-chat }} ] }}\n  \
             deep: {{ targets: [ {{ provider: a, model: claude-haiku-4-5 }} ] }}\n"
        ));
        let key = key(folder.path(), NewKey::default());
        let house = House::open(folder.path());
        Self {
            sim,
            folder,
            house,
            key,
        }
    }

    async fn ask(&self, method: Method, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        send(self.house.address, request.body(body).unwrap())
            .await
            .unwrap()
    }

    async fn gemini(&self, path: &str, body: &Value) -> Answer {
        self.ask(Method::POST, path, &[("x-goog-api-key", &self.key)], body)
            .await
    }

    async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Value {
        let bearer = format!("Bearer {}", self.key);
        let mut all = headers.to_vec();
        all.push(("authorization", &bearer));
        let answer = self.ask(Method::GET, path, &all, &Value::Null).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.json()
    }
}

fn contents(text: &str) -> Value {
    json!({ "contents": [ { "role": "user", "parts": [ { "text": text } ] } ] })
}

fn words(chunks: &[Value]) -> usize {
    let texts = chunks
        .iter()
        .filter_map(|chunk| chunk["candidates"][0]["content"]["parts"][0]["text"].as_str());
    texts.collect::<String>().split_whitespace().count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gemini_clients_are_answered_by_openai_and_anthropic() {
    let scene = Scene::set().await;
    for model in ["fast", "deep"] {
        let body = contents("repeat 7 words");
        let path = format!("/v1beta/models/{model}");
        let whole = scene.gemini(&format!("{path}:generateContent"), &body).await;
        assert_eq!(whole.status, 200, "{}", whole.text());
        assert_eq!(words(&[whole.json()]), 7);
        assert!(
            whole.json()["usageMetadata"]["candidatesTokenCount"]
                .as_u64()
                .unwrap()
                > 0
        );
        assert!(!whole.header("x-pointsman-cost-usd").is_empty());

        let events = scene
            .gemini(&format!("/genai{path}%3AstreamGenerateContent?alt=sse"), &body)
            .await;
        assert_eq!(events.header("content-type"), "text/event-stream; charset=utf-8");
        let chunks: Vec<Value> = events
            .text()
            .lines()
            .filter_map(|line| line.strip_prefix("data: "))
            .map(|data| serde_json::from_str(data).unwrap())
            .collect();
        assert_eq!(words(&chunks), 7);
        assert_eq!(chunks.last().unwrap()["candidates"][0]["finishReason"], "STOP");

        let list = scene
            .gemini(&format!("{path}:streamGenerateContent"), &body)
            .await;
        assert_eq!(list.header("content-type"), "application/json; charset=utf-8");
        assert_eq!(words(list.json().as_array().unwrap()), 7, "{}", list.text());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_in_the_query_lets_in_and_is_not_recorded() {
    let scene = Scene::set().await;
    let path = format!("/v1/models/fast:generateContent?key={}", scene.key);
    let answer = scene
        .ask(Method::POST, &path, &[], &contents("repeat 2 words"))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let entry = entry(scene.folder.path(), answer.header("x-request-id"));
    assert_eq!(entry.surface, "/v1/models/{model}:generateContent");
    // Other formats do not take keys from there.
    let path = format!("/v1/chat/completions?key={}", scene.key);
    let body = json!({ "model": "fast", "messages": [ { "role": "user", "content": "x" } ] });
    assert_eq!(scene.ask(Method::POST, &path, &[], &body).await.status, 401);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_come_in_the_clients_own_words() {
    let scene = Scene::set().await;
    let lost = scene
        .gemini("/v1beta/models/lost:generateContent", &contents("x"))
        .await;
    assert_eq!(
        (lost.status.as_u16(), &lost.json()["error"]["status"]),
        (404, &json!("NOT_FOUND"))
    );
    let stranger = scene
        .ask(
            Method::POST,
            "/v1beta/models/fast:generateContent",
            &[("x-goog-api-key", "pm-wrong")],
            &contents("x"),
        )
        .await;
    assert_eq!(
        (stranger.status.as_u16(), &stranger.json()["error"]["status"]),
        (401, &json!("UNAUTHENTICATED"))
    );
    let absent = scene
        .gemini("/v1beta/models/fast:predictLongRunning", &contents("x"))
        .await;
    assert_eq!(absent.status, 404);
    assert!(
        absent.json()["error"]["message"]
            .as_str()
            .unwrap()
            .contains("nothing at POST")
    );
    // What is known of the road is told with a failure, too.
    scene.sim.set_faults(vec![(
        pointsman_testbed::Schedule::EveryNth(1),
        pointsman_testbed::Fault::Status(500),
    )]);
    let failed = scene
        .gemini("/v1beta/models/fast:generateContent", &contents("x"))
        .await;
    assert_eq!(failed.status, 502, "{}", failed.text());
    assert_eq!(
        (
            failed.header("x-pointsman-provider"),
            failed.header("x-pointsman-attempts")
        ),
        ("o", "1")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn responses_are_answered_by_chat_completions() {
    let scene = Scene::set().await;
    let bearer = format!("Bearer {}", scene.key);
    let headers = [("authorization", bearer.as_str())];
    let body = json!({ "model": "plain", "input": "repeat 5 words", "stream": false });
    let answer = scene.ask(Method::POST, "/v1/responses", &headers, &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let told = answer.json();
    assert_eq!(
        (&told["object"], &told["status"]),
        (&json!("response"), &json!("completed"))
    );
    let text = told["output"]
        .as_array()
        .unwrap()
        .iter()
        .find(|item| item["type"] == "message")
        .unwrap()["content"][0]["text"]
        .as_str()
        .unwrap();
    assert_eq!(text.split_whitespace().count(), 5);
    let body = json!({ "model": "deep", "input": "repeat 5 words", "stream": true });
    let stream = scene
        .ask(Method::POST, "/openai/v1/responses", &headers, &body)
        .await;
    assert!(
        stream.text().contains("event: response.completed"),
        "{}",
        stream.text()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_models_are_listed_in_three_shapes() {
    let scene = Scene::set().await;
    let openai = scene.get("/v1/models", &[]).await;
    let fast = openai["data"]
        .as_array()
        .unwrap()
        .iter()
        .find(|model| model["id"] == "fast")
        .unwrap();
    assert_eq!(
        (&fast["object"], &fast["owned_by"]),
        (&json!("model"), &json!("o"))
    );
    assert!(
        fast["context_window"].is_u64() && fast["pricing"]["input"].is_string(),
        "{fast}"
    );

    let version = [("anthropic-version", "2023-06-01")];
    let page = scene.get("/v1/models?limit=2", &version).await;
    assert_eq!(
        (page["data"].as_array().unwrap().len(), &page["has_more"]),
        (2, &json!(true))
    );
    assert_eq!(page["last_id"], page["data"][1]["id"]);
    let one = scene.get("/anthropic/v1/models/deep", &[]).await;
    assert_eq!((&one["type"], &one["id"]), (&json!("model"), &json!("deep")));

    let gemini = scene.get("/v1beta/models?pageSize=1000", &[]).await;
    let named = |name: &str| {
        gemini["models"]
            .as_array()
            .unwrap()
            .iter()
            .any(|model| model["name"] == name)
    };
    assert!(named("models/fast") && named("models/deep"));
    let one = scene
        .get("/v1/models/fast", &[("x-goog-api-key", "ignored")])
        .await;
    assert_eq!(one["name"], "models/fast");
    assert!(one["inputTokenLimit"].is_u64(), "{one}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gemini_tokens_are_counted() {
    let scene = Scene::set().await;
    let inner = json!({ "generateContentRequest": { "model": "models/fast", "contents": contents("hello there")["contents"] } });
    for body in [contents("hello there"), inner] {
        let counted = scene.gemini("/v1beta/models/fast:countTokens", &body).await;
        assert_eq!(counted.status, 200, "{}", counted.text());
        assert!((2..20).contains(&counted.json()["totalTokens"].as_u64().unwrap()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bedrock_tokens_are_counted() {
    let scene = Scene::set().await;
    let count = async |input: Value| {
        let body = json!({ "input": input });
        let bearer = format!("Bearer {}", scene.key);
        let headers = [("authorization", bearer.as_str())];
        scene
            .ask(Method::POST, "/model/fast/count-tokens", &headers, &body)
            .await
    };
    let counted = count(json!({ "converse": { "messages": [ { "role": "user", "content": [ { "text": "hello there" } ] } ] } })).await;
    assert_eq!(counted.status, 200, "{}", counted.text());
    assert!((2..20).contains(&counted.json()["inputTokens"].as_u64().unwrap()));
    let wrong = count(json!({})).await;
    assert_eq!(
        (wrong.status.as_u16(), wrong.header("x-amzn-errortype")),
        (400, "ValidationException")
    );
}
