//! Rankings, scores and pooling, in every shape.

use serde_json::json;

use super::Scene;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rankings_of_every_shape_are_the_same_and_are_charged() {
    let scene = Scene::set("").await;
    let documents = ["nothing of it", "a red apple", "an apple"];
    for model in ["rank-cohere", "rank-vllm", "rank-tei", "rank-bedrock"] {
        for (path, field, list) in [
            ("/v2/rerank", "documents", "results"),
            ("/v1/rerank", "documents", "results"),
            ("/rerank", "documents", "results"),
            ("/rerank", "texts", ""),
        ] {
            scene.sim.clear();
            let mut body = json!({ "model": model, "query": "red apple" });
            body[field] = json!(documents);
            if field == "documents" {
                body["top_n"] = json!(2);
            }
            let answer = scene.ask(path, &body).await;
            assert_eq!(answer.status, 200, "{path} {field} {model}: {}", answer.text());
            let told = answer.json();
            let results = if list.is_empty() { &told } else { &told[list] };
            let order: Vec<u64> = results
                .as_array()
                .unwrap()
                .iter()
                .map(|one| one["index"].as_u64().unwrap())
                .collect();
            assert_eq!(order[..2], [1, 2], "{path} {model}: {told}");
            let entry = scene.entry(&answer);
            match model {
                "rank-cohere" => {
                    assert_eq!((entry.usage.units.queries, entry.usage_estimated), (1, false));
                    assert_eq!(entry.cost.nanodollars(), 2_000_000);
                }
                "rank-bedrock" => {
                    assert_eq!(
                        (entry.usage.units.queries, entry.cost.nanodollars()),
                        (1, 1_000_000)
                    );
                    assert!(entry.usage_estimated);
                }
                "rank-vllm" => {
                    assert_eq!(
                        (entry.usage.input, entry.usage_estimated),
                        (scene.served().0, false)
                    );
                    assert_eq!(entry.cost.nanodollars(), 2_000 * entry.usage.input as i64);
                }
                _ => assert!(entry.usage_estimated && entry.usage.input > 0),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scores_and_pooling_are_charged_and_refused_where_nobody_has_them() {
    let scene = Scene::set("").await;
    for path in ["/score", "/v1/score"] {
        let answer = scene
            .ask(
                path,
                &json!({ "model": "rank-vllm", "text_1": "apple", "text_2": ["an apple", "pear"] }),
            )
            .await;
        assert_eq!(answer.json()["data"][0]["score"], 1.0, "{}", answer.text());
        assert!(scene.entry(&answer).usage.input > 0);
    }
    let pooled = scene
        .ask("/pooling", &json!({ "model": "rank-vllm", "input": "apple" }))
        .await;
    assert_eq!(pooled.json()["data"][0]["object"], "pooling", "{}", pooled.text());
    let nowhere = scene
        .ask(
            "/score",
            &json!({ "model": "rank-cohere", "text_1": "a", "text_2": "b" }),
        )
        .await;
    assert_eq!(nowhere.status, 400, "{}", nowhere.text());
}
