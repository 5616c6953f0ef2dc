//! Classifiers of one's own, and signals that compare images: who is asked, what it leads to, and what is done where nobody
//! answers.

use serde_json::{Value, json};

use super::looked_up::Shelf;
use super::{Scene, say};
use crate::harness::entry;

/// Decisions by a classifier that a helper answers for.
fn by_risk() -> Value {
    let risky = |on_error: &str| json!({"type": "classifier", "name": "risk", "label": "RISKY", "predicate": {"gte": 0.6}, "on_error": on_error});
    let safe = json!({"type": "classifier", "name": "risk", "label": "SAFE", "predicate": {"gte": 0.9}});
    json!({
        "default_model": "small",
        "signals": {"classifiers": [{
            "name": "risk", "type": "llm", "model": "small", "labels": ["SAFE", "RISKY"],
            "instructions": "Choose RISKY only for what cannot be undone.", "timeout_seconds": 5
        }]},
        "decisions": [
            {"name": "careful", "priority": 9, "rules": risky("match"), "modelRefs": [{"model": "large"}]},
            {"name": "easy", "priority": 5, "rules": safe, "modelRefs": [{"model": "small"}]}
        ]
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_helper_tells_classes_once_for_all_rules() {
    let scene = Scene::new(&by_risk()).await;
    for (scores, decision, model) in [
        (r#"{"scores": {"SAFE": 0.2, "RISKY": 0.8}}"#, "careful", "large"),
        (r#"{"scores": {"SAFE": 0.95, "RISKY": 0.05}}"#, "easy", "small"),
        (r#"{"scores": {"SAFE": 0.7, "RISKY": 0.3}}"#, "default", "small"),
        // What makes no sense is no answer, of which the rule says what it means.
        ("I would rather not say", "careful", "large"),
    ] {
        let answer = scene.ask(&say(&format!("say as small: {scores} ;;"))).await;
        assert_eq!(
            (
                answer.status.as_u16(),
                answer.header("x-pointsman-decision"),
                answer.header("x-pointsman-model")
            ),
            (200, decision, model),
            "{scores}: {}",
            answer.text()
        );
        let served = scene.served();
        assert_eq!(served.len(), 2, "one question, one answer: {served:?}");
        let told = served[0]["messages"][0]["content"].as_str().unwrap();
        assert!(
            told.contains("cannot be undone") && told.contains("SAFE, RISKY"),
            "{told}"
        );
        // The question has its own row.
        let id = answer.header("x-request-id");
        assert!(
            entry(scene.folder.path(), &format!("{id}.aside1"))
                .cost
                .nanodollars()
                > 0
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_of_classes_is_asked_as_its_server_speaks() {
    let server = Shelf::open(
        json!({"object": "list", "data": [{"index": 0, "label": "PHISHING", "probs": [0.1, 0.9], "num_classes": 2}]}),
    )
    .await;
    let scene = Scene::with_providers(
        &json!({
            "default_model": "small",
            "signals": {"classifiers": [{"name": "phishing", "type": "local", "model": "mails", "labels": ["BENIGN", "PHISHING"]}]},
            "decisions": [{
                "name": "kept_here", "modelRefs": [{"model": "large"}],
                "rules": {"type": "classifier", "name": "phishing", "label": "PHISHING", "predicate": {"gte": 0.5}}
            }]
        }),
        &format!("  server: {{ kind: vllm, base_url: \"http://{}/v1\" }}\n", server.address),
        "understanding: { models: { mails: { role: texts, provider: server, model: phish, labels: [BENIGN, PHISHING] } } }",
    )
    .await;
    let answer = scene.ask(&say("win a prize")).await;
    assert_eq!(
        answer.header("x-pointsman-decision"),
        "kept_here",
        "{}",
        answer.text()
    );
    let (path, body) = server.asked().remove(0);
    assert!(path.ends_with("/classify"), "{path}");
    assert_eq!(body["input"], "win a prize");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn images_are_compared_with_what_they_may_show() {
    // Examples come in the order of their letters; the image is read after them, and is like the first.
    let server =
        Shelf::open(json!({"data": [{"embedding": [2.0, 0.0]}, {"embedding": [0.0, 3.0]}], "usage": {"prompt_tokens": 7}}))
            .await;
    let signal = |name: &str, example: &str| json!({"name": name, "query_modality": "image", "threshold": 0.5, "candidates": [example]});
    let decision = |name: &str| json!({"name": name, "rules": {"type": "embedding", "name": name}, "modelRefs": [{"model": "large"}]});
    let scene = Scene::with_providers(
        &json!({
            "default_model": "small",
            "signals": {"embeddings": [signal("terminals", "screenshot of a terminal"), signal("papers", "photograph of a passport")]},
            "decisions": [decision("terminals"), decision("papers")]
        }),
        &format!("  server: {{ kind: vllm, base_url: \"http://{}/v1\" }}\n", server.address),
        "understanding: { models: { clip: { role: embedding, provider: server, model: clip, reads: [image] } } }",
    )
    .await;
    let image = "data:image/png;base64,iVBORw0KGgo=";
    let shows = json!({"model": "auto", "messages": [{"role": "user", "content": [
        {"type": "text", "text": "what is this?"}, {"type": "image_url", "image_url": {"url": image}}]}]});
    let answer = scene.ask(&shows).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("x-pointsman-decision")),
        (200, "papers"),
        "{}",
        answer.text()
    );
    let asked = server.asked();
    assert_eq!(asked.len(), 2, "{asked:?}");
    assert_eq!(
        asked[0].1["input"],
        json!(["photograph of a passport", "screenshot of a terminal"])
    );
    assert_eq!(asked[1].1["messages"][0]["content"][0]["image_url"]["url"], image);
    // Where there is no image, nobody is asked.
    let plain = scene.ask(&say("what is this?")).await;
    assert_eq!(plain.header("x-pointsman-decision"), "default");
    assert!(server.asked().is_empty());
}
