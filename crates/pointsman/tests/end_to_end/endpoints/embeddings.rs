//! Every embedding client before every provider of vectors.

use pointsman_testbed::{Fault, Schedule};
use serde_json::{Value, json};

use super::Scene;

const EMBEDDERS: [&str; 8] = [
    "on-openai",
    "on-cohere",
    "on-gemini",
    "on-titan",
    "on-bedrock-cohere",
    "on-vertex",
    "on-vllm",
    "on-tei",
];

/// A request of each embedding surface, for two texts where it takes two.
fn embeds(client: &str, model: &str, texts: &[String]) -> (String, Value) {
    let part = |text: &String| json!({ "model": format!("models/{model}"), "content": { "parts": [ { "text": text } ] } });
    match client {
        "openai" => ("/v1/embeddings".into(), json!({ "model": model, "input": texts })),
        "base64" => (
            "/v1/embeddings".into(),
            json!({ "model": model, "input": texts, "encoding_format": "base64" }),
        ),
        "cohere" => (
            "/v2/embed".into(),
            json!({ "model": model, "texts": texts, "input_type": "search_query", "embedding_types": ["float"] }),
        ),
        "cohere-old" => ("/v1/embed".into(), json!({ "model": model, "texts": texts })),
        "gemini" => (
            format!("/v1beta/models/{model}:embedContent"),
            json!({ "content": { "parts": [ { "text": texts[0] } ] } }),
        ),
        _ => (
            format!("/v1beta/models/{model}:batchEmbedContents"),
            json!({ "requests": texts.iter().map(part).collect::<Vec<_>>() }),
        ),
    }
}

/// The vectors of an answer.
fn vectors(client: &str, answer: &Value) -> Vec<Value> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let each = |value: &Value, name: &str| list(value).iter().map(|one| one[name].clone()).collect();
    match client {
        "openai" | "base64" => each(&answer["data"], "embedding"),
        "cohere" => list(&answer["embeddings"]["float"]),
        "cohere-old" => list(&answer["embeddings"]),
        "gemini" => vec![answer["embedding"]["values"].clone()],
        _ => each(&answer["embeddings"], "values"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_embedding_client_is_answered_by_every_provider_and_charged_what_it_served() {
    let scene = Scene::set("").await;
    let texts = ["one small text".to_owned(), "another".to_owned()];
    let mut wrong = Vec::new();
    for client in [
        "openai",
        "base64",
        "cohere",
        "cohere-old",
        "gemini",
        "gemini-batch",
    ] {
        for model in EMBEDDERS {
            scene.sim.clear();
            let (path, body) = embeds(client, model, &texts);
            let answer = scene.ask(&path, &body).await;
            if answer.status != 200 {
                wrong.push(format!("{client} on {model}: {}", answer.text()));
                continue;
            }
            let found = vectors(client, &answer.json());
            let expected = if client == "gemini" { 1 } else { 2 };
            let is_good = |vector: &Value| match client {
                // 8 floats of four bytes.
                "base64" => vector.as_str().is_some_and(|text| text.len() == 44),
                _ => vector.as_array().is_some_and(|list| list.len() == 8),
            };
            let entry = scene.entry(&answer);
            let (input, _) = scene.served();
            if found.len() != expected || !found.iter().all(is_good) {
                wrong.push(format!("{client} on {model}: {}", answer.text()));
            }
            if entry.usage.input != input || entry.usage_estimated || entry.cost.nanodollars() == 0 {
                wrong.push(format!("{client} on {model}: {input} served, {entry:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_inputs_are_split_kept_in_order_and_summed() {
    let scene = Scene::set("").await;
    let texts: Vec<String> = (0..230)
        .map(|at| format!("text number {at} {}", "x".repeat(at % 7)))
        .collect();
    let expected = scene
        .ask("/v1/embeddings", &json!({ "model": "on-openai", "input": texts }))
        .await;
    let expected = vectors("openai", &expected.json());
    for (model, calls) in [
        ("on-cohere", 3),
        ("on-gemini", 3),
        ("on-titan", 230),
        ("on-tei", 8),
        ("on-vertex", 1),
    ] {
        scene.sim.clear();
        let answer = scene
            .ask("/v1/embeddings", &json!({ "model": model, "input": texts }))
            .await;
        assert_eq!(answer.status, 200, "{model}: {}", answer.text());
        assert_eq!(vectors("openai", &answer.json()), expected, "{model}");
        assert_eq!(scene.sim.served().len(), calls, "{model}");
        let entry = scene.entry(&answer);
        assert_eq!(
            (entry.usage.input, entry.attempts),
            (scene.served().0, 1),
            "{model}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_embedded_before_the_rest_failed_is_charged() {
    let scene = Scene::set("").await;
    scene
        .sim
        .set_faults(vec![(Schedule::EveryNth(12), Fault::Status(500))]);
    let texts = vec!["some words"; 12];
    let answer = scene
        .ask("/v1/embeddings", &json!({ "model": "on-titan", "input": texts }))
        .await;
    assert_eq!(answer.status, 502, "{}", answer.text());
    let entry = scene.entry(&answer);
    assert_eq!(entry.outcome.as_str(), "provider_failed");
    // At most four were under way when one of them failed.
    assert!(
        entry.usage.input >= 8 && entry.cost.nanodollars() > 0,
        "{entry:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_target_cannot_embed_is_refused_by_name() {
    let scene = Scene::set("").await;
    for (model, body, field) in [
        ("on-cohere", json!({ "input": [[1, 2]] }), "input"),
        ("on-gemini", json!({ "input": [1, 2] }), "input"),
        (
            "on-bedrock-cohere",
            json!({ "input": "x", "dimensions": 8 }),
            "dimensions",
        ),
        ("claude", json!({ "input": "x" }), "model"),
        ("on-openai", json!({ "input": [] }), "input"),
    ] {
        let mut body = body;
        body["model"] = json!(model);
        let answer = scene.ask("/v1/embeddings", &body).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.json()["error"]["param"]),
            (400, &json!(field)),
            "{}",
            answer.text()
        );
    }
    let bytes = json!({ "model": "on-gemini", "texts": ["x"], "embedding_types": ["int8"], "input_type": "search_query" });
    let answer = scene.ask("/v2/embed", &bytes).await;
    assert_eq!(answer.status, 400);
    assert!(
        answer.json()["message"].as_str().unwrap().contains("int8"),
        "{}",
        answer.text()
    );
    // Token ids pass where they are understood.
    let tokens = scene
        .ask(
            "/v1/embeddings",
            &json!({ "model": "on-openai", "input": [[1, 2], [3]] }),
        )
        .await;
    assert_eq!(tokens.status, 200);
    assert!(
        scene
            .sim
            .served()
            .iter()
            .any(|one| one.body.contains("[[1,2],[3]]"))
    );
}
