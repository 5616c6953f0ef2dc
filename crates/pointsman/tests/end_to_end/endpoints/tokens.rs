//! Moderations and token ids, which are free.

use serde_json::json;

use super::Scene;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn moderations_and_tokens_are_free_and_refused_where_nobody_knows_them() {
    let scene = Scene::set("").await;
    let judged = scene
        .ask("/v1/moderations", &json!({ "input": "I will kill you" }))
        .await;
    assert_eq!(judged.json()["results"][0]["flagged"], true, "{}", judged.text());
    let charged = scene.entry(&judged);
    assert_eq!(
        (charged.model.as_deref(), charged.cost.nanodollars()),
        (Some("omni-moderation-latest"), 0)
    );

    for model in ["rank-vllm", "rank-tei", "gpt"] {
        let split = scene
            .ask(
                "/tokenize",
                &json!({ "model": model, "prompt": "some words here" }),
            )
            .await;
        assert_eq!(split.status, 200, "{model}: {}", split.text());
        let tokens = &split.json()["tokens"];
        assert_eq!(split.json()["count"], tokens.as_array().unwrap().len(), "{model}");
        let joined = scene
            .ask("/detokenize", &json!({ "model": model, "tokens": tokens }))
            .await;
        assert_eq!(
            joined.json()["prompt"],
            "some words here",
            "{model}: {}",
            joined.text()
        );
        assert_eq!(scene.entry(&joined).cost.nanodollars(), 0);
    }
    let unknown = scene
        .ask("/tokenize", &json!({ "model": "claude", "prompt": "x" }))
        .await;
    assert_eq!(unknown.status, 400);
    assert!(unknown.text().contains("claude"), "{}", unknown.text());
    let wild = scene
        .ask(
            "/detokenize",
            &json!({ "model": "gpt", "tokens": [4_000_000_000_u32] }),
        )
        .await;
    assert_eq!(wild.status, 400, "{}", wild.text());
}
