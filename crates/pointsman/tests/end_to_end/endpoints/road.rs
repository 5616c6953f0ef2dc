//! Each endpoint takes the whole road: reserved, guarded, retried, settled, and refused in the client's words.

use http::StatusCode;
use pointsman_catalog::Money;
use pointsman_store::{Budget, BudgetWindow, NewKey};
use pointsman_testbed::{Fault, Schedule};
use serde_json::{Value, json};

use super::Scene;
use crate::harness::{Answer, ledger};

/// A name for what two providers serve.
const TWICE: &str = r#"
  twice-embed: { targets: [ { provider: o, model: text-embedding-3-small }, { provider: g, model: gemini-embedding-001, priority: 1 } ], retry: { attempts: 2 } }
"#;

/// A request of each endpoint whose answer costs something.
fn paid() -> Vec<(&'static str, Value)> {
    vec![
        (
            "/v1/embeddings",
            json!({ "model": "on-cohere", "input": "some words" }),
        ),
        (
            "/v2/embed",
            json!({ "model": "on-openai", "texts": ["some words"], "input_type": "search_query", "embedding_types": ["float"] }),
        ),
        (
            "/v1beta/models/on-openai:embedContent",
            json!({ "content": { "parts": [ { "text": "some words" } ] } }),
        ),
        (
            "/v2/rerank",
            json!({ "model": "rank-vllm", "query": "q", "documents": ["one", "two"] }),
        ),
        (
            "/rerank",
            json!({ "model": "rank-cohere", "query": "q", "documents": ["one", "two"] }),
        ),
        (
            "/score",
            json!({ "model": "rank-vllm", "text_1": "apple", "text_2": "pear" }),
        ),
        ("/pooling", json!({ "model": "rank-vllm", "input": "apple" })),
        (
            "/v1/images/generations",
            json!({ "model": "gpt-image-1", "prompt": "a cat", "quality": "low" }),
        ),
        (
            "/v1/audio/speech",
            json!({ "model": "tts-1", "input": "hello", "voice": "alloy" }),
        ),
    ]
}

/// What an error says of itself, in the words of its path.
fn told(path: &str, answer: &Answer) -> Value {
    let body = answer.json();
    let said = if path.starts_with("/v2/") {
        &body["message"]
    } else if path.starts_with("/v1beta/") {
        &body["error"]["status"]
    } else {
        &body["error"]["code"]
    };
    said.clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_budget_is_reserved_before_and_refused_in_the_clients_words() {
    let grant = NewKey {
        budgets: vec![Budget::of(Money::from_nanodollars(1), BudgetWindow::Total)],
        ..NewKey::default()
    };
    let scene = Scene::set_for(grant, "").await;
    for (path, body) in paid() {
        let answer = scene.ask(path, &body).await;
        assert_eq!(answer.status, 429, "{path}: {}", answer.text());
        let told = told(path, &answer);
        match path {
            "/v2/embed" | "/v2/rerank" => {
                assert!(told.as_str().unwrap().contains("budget"), "{path}: {told}");
            }
            "/v1beta/models/on-openai:embedContent" => assert_eq!(told, "RESOURCE_EXHAUSTED"),
            _ => assert_eq!(told, "insufficient_quota", "{path}"),
        }
    }
    assert!(scene.sim.served().is_empty());
    // What costs nothing needs no budget.
    let judged = scene.ask("/v1/moderations", &json!({ "input": "fine" })).await;
    assert_eq!(judged.status, 200, "{}", judged.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_reserved_is_free_again_after_answers_and_after_failures() {
    let grant = NewKey {
        concurrency: Some(1),
        tokens_per_minute: Some(100_000),
        ..NewKey::default()
    };
    let scene = Scene::set_for(grant, "").await;
    for (path, body) in paid() {
        scene
            .sim
            .set_faults(vec![(Schedule::First(1), Fault::Status(500))]);
        let failed = scene.ask(path, &body).await;
        assert_eq!(failed.status, 502, "{path}: {}", failed.text());
        let entry = scene.entry(&failed);
        assert_eq!(
            (entry.outcome.as_str(), entry.cost.nanodollars()),
            ("provider_failed", 0),
            "{path}"
        );
        for _ in 0..2 {
            let answer = scene.ask(path, &body).await;
            assert_eq!(answer.status, 200, "{path}: {}", answer.text());
            let entry = scene.entry(&answer);
            assert_eq!(entry.outcome.as_str(), "complete", "{path}");
            assert!(entry.cost.nanodollars() > 0, "{path}: {entry:?}");
        }
    }
    assert_eq!(ledger(scene.folder.path()).len(), 3 * paid().len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_provider_takes_over_in_its_own_shape() {
    let scene = Scene::set(TWICE).await;
    scene
        .sim
        .set_faults(vec![(Schedule::First(1), Fault::Status(503))]);
    let answer = scene
        .ask("/v2/embed", &json!({ "model": "twice-embed", "texts": ["one", "two"], "input_type": "search_query", "embedding_types": ["float"] }))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["embeddings"]["float"].as_array().unwrap().len(), 2);
    let entry = scene.entry(&answer);
    assert_eq!((entry.attempts, entry.provider.as_deref()), (2, Some("g")));
    // What it could not be told, the client is.
    let cut = scene
        .ask("/v2/embed", &json!({ "model": "on-openai", "texts": ["one"], "input_type": "search_query", "embedding_types": ["float"], "truncate": "END" }))
        .await;
    assert_eq!(cut.header("x-pointsman-losses"), "input_type, truncate");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_have_bounds_and_keys_their_models() {
    let grant = NewKey {
        models: vec!["tts-1".to_owned(), "whisper-1".to_owned()],
        ..NewKey::default()
    };
    let scene = Scene::set_for(grant, "server: { request_limit: 4096, response_limit: 512 }\n").await;
    let refused = scene
        .ask("/v1/embeddings", &json!({ "model": "on-openai", "input": "x" }))
        .await;
    assert_eq!(refused.status, 403, "{}", refused.text());
    let long = json!({ "model": "tts-1", "input": "x".repeat(5000), "voice": "alloy" });
    let answer = scene.ask("/v1/audio/speech", &long).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    // A wave of 844 bytes.
    let loud = json!({ "model": "tts-1", "input": "loud", "voice": "alloy", "response_format": "wav" });
    let answer = scene.ask("/v1/audio/speech", &loud).await;
    assert_eq!(answer.status, 502, "{}", answer.text());
    assert!(answer.text().contains("response_limit"), "{}", answer.text());
    // Whoever reads the last of two names must not be asked for another model than was looked at.
    let twice = [("model", "whisper-1"), ("model", "gpt-4o-transcribe")];
    let answer = scene
        .send_form("/v1/audio/transcriptions", &twice, ("file:a.wav", b"x"))
        .await;
    assert_eq!(
        (answer.status.as_u16(), &answer.json()["error"]["param"]),
        (400, &json!("model"))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guardrails_see_what_is_embedded_and_ranked_and_drawn() {
    let scene = Scene::set(
        "guardrails:\n  - { name: words, type: regex, on: [input], action: block, deny: [forbidden] }\n",
    )
    .await;
    for (path, body) in [
        (
            "/v1/embeddings",
            json!({ "model": "on-cohere", "input": ["fine", "a forbidden text"] }),
        ),
        (
            "/v1/rerank",
            json!({ "model": "rank-vllm", "query": "q", "documents": ["fine", "forbidden"] }),
        ),
        (
            "/v1/images/generations",
            json!({ "model": "gpt-image-1", "prompt": "forbidden things" }),
        ),
        (
            "/v1/moderations",
            json!({ "input": [{ "type": "text", "text": "forbidden" }] }),
        ),
        (
            "/v1/audio/speech",
            json!({ "model": "tts-1", "input": "forbidden", "voice": "alloy" }),
        ),
        (
            "/tokenize",
            json!({ "model": "rank-vllm", "prompt": "forbidden" }),
        ),
    ] {
        let answer = scene.ask(path, &body).await;
        assert_eq!(answer.status, 403, "{path}: {}", answer.text());
    }
    let tokens = scene
        .ask(
            "/v1/embeddings",
            &json!({ "model": "on-openai", "input": [1, 2] }),
        )
        .await;
    assert_eq!(tokens.status, 400, "{}", tokens.text());
    assert!(scene.sim.served().is_empty());
}
