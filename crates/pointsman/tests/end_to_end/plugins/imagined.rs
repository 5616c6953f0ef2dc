//! `image_gen`: the answer is an image, made by a model for images.

use serde_json::{Value, json};

use super::{Scene, decision, routing};
use crate::harness::entry;

/// The text of a streamed answer.
fn streamed(events: &str) -> String {
    let chunks = events.lines().filter_map(|line| line.strip_prefix("data: "));
    let chunks = chunks.filter_map(|chunk| serde_json::from_str::<Value>(chunk).ok());
    let piece = |chunk: Value| Some(chunk["choices"][0]["delta"]["content"].as_str()?.to_owned());
    chunks.filter_map(piece).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_is_the_answer_in_every_format_and_is_paid_for() {
    let paint = json!([{"type": "image_gen", "configuration": {
        "enabled": true, "backend": "openai", "default_width": 1024, "default_height": 1024,
        "backend_config": {"model": "painter", "quality": "low"}}}]);
    let scene = Scene::new(&routing(vec![decision("draw", paint)])).await;
    for stream in [false, true] {
        let answer = scene
            .ask(&json!({"model": "auto", "stream": stream, "messages": [{"role": "user", "content": "draw a red fox"}]}))
            .await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let said = if stream {
            streamed(answer.text())
        } else {
            answer.json()["choices"][0]["message"]["content"]
                .as_str()
                .unwrap()
                .to_owned()
        };
        assert!(said.starts_with("![image](data:image/png;base64,"), "{said}");
        assert_eq!(answer.header("x-pointsman-decision"), "draw");
        let served = scene.served();
        assert_eq!(served.len(), 1);
        assert_eq!(
            (&served[0]["model"], &served[0]["prompt"]),
            (&json!("gpt-image-1"), &json!("draw a red fox"))
        );
        assert_eq!(
            (&served[0]["size"], &served[0]["quality"]),
            (&json!("1024x1024"), &json!("low"))
        );
        let row = entry(scene.folder.path(), answer.header("x-request-id"));
        assert!(row.cost.nanodollars() > 0, "{row:?}");
    }
    let claude = crate::harness::post(
        scene.house.address,
        "/v1/messages",
        &scene.key,
        &json!({"model": "auto", "max_tokens": 100, "messages": [{"role": "user", "content": "draw a red fox"}]}),
    )
    .await
    .unwrap();
    assert!(
        claude.json()["content"][0]["text"]
            .as_str()
            .unwrap()
            .starts_with("![image](data:image/png;base64,")
    );
    // Nobody paints what is not to be drawn.
    scene.sim.clear();
    let other = scene
        .ask(&json!({"model": "auto", "messages": [{"role": "user", "content": "hello"}]}))
        .await;
    assert_eq!(
        (other.header("x-pointsman-model"), scene.served().len()),
        ("large", 1)
    );
}
