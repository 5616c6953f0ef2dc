//! Conversations that two gateways have, and conversations that are made shorter.

use std::time::Duration;

use http::{Method, Request};
use serde_json::{Value, json};

use super::{Scene, id, ids, text};
use crate::harness::{House, post, send};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_gateways_on_one_database_do_not_mix_the_turns_of_a_conversation() {
    let mut scene = Scene::slow().await;
    let talk = scene.post("/v1/conversations", &json!({})).await;
    let body = json!({"model": "chat", "conversation": talk["id"], "input": "repeat 30 words"});
    let other = House::open(scene.folder.path());
    let address = other.address;
    let request = Request::post("/v1/responses")
        .header("authorization", format!("Bearer {}", scene.key))
        .body(body.to_string())
        .unwrap();
    // Streams take their time, twenty milliseconds a word.
    let mut streamed = body.clone();
    streamed["stream"] = true.into();
    streamed["input"] = "repeat 150 words".into();
    let slow = scene.ask_as(&scene.key, Method::POST, "/v1/responses", &streamed);
    let late = async {
        tokio::time::sleep(Duration::from_millis(400)).await;
        send(address, request.clone()).await.unwrap()
    };
    let (won, lost) = tokio::join!(slow, late);
    assert_eq!(
        (won.status.as_u16(), lost.status.as_u16()),
        (200, 400),
        "{}",
        lost.text()
    );
    assert_eq!(lost.json()["error"]["code"], "conversation_locked");
    // It is free again for either, also when the one that had it has died.
    assert_eq!(send(address, request.clone()).await.unwrap().status, 200);
    streamed["input"] = "repeat 5000 words".into();
    let dying = scene.ask_as(&scene.key, Method::POST, "/v1/responses", &streamed);
    assert!(
        tokio::time::timeout(Duration::from_millis(400), dying)
            .await
            .is_err()
    );
    scene.house.kill();
    assert_eq!(send(address, request).await.unwrap().status, 200);
    scene.house = other;
    let items = scene.get(&format!("/v1/conversations/{}/items", id(&talk))).await;
    assert_eq!(ids(&items).len(), 6, "{items}");
}

/// A turn is told before its conversation is free for others: the next one must not be refused for that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn turns_in_a_row_are_taken_by_either_of_two_gateways() {
    let scene = Scene::usual().await;
    let talk = scene.post("/v1/conversations", &json!({})).await;
    let other = House::open(scene.folder.path());
    let body = json!({"model": "chat", "conversation": talk["id"], "input": "hello"});
    for turn in 0..20 {
        let address = [scene.house.address, other.address][turn % 2];
        let answer = post(address, "/v1/responses", &scene.key, &body).await.unwrap();
        assert_eq!(answer.status, 200, "turn {turn}: {}", answer.text());
    }
}

#[tokio::test]
async fn a_conversation_is_compacted_by_who_can_go_on_from_it() {
    let scene = Scene::usual().await;
    let first = scene
        .post("/v1/responses", &json!({"model": "responses", "input": "hello"}))
        .await;
    let body = json!({"model": "responses", "previous_response_id": id(&first), "input": "and now"});
    let shorter = scene.post("/v1/responses/compact", &body).await;
    assert_eq!(shorter["object"], "response.compaction", "{shorter}");
    let seen: Value = serde_json::from_str(&scene.seen()).unwrap();
    assert_eq!(seen["model"], "gpt-5-mini");
    assert!(seen["input"].to_string().contains("hello"), "{seen}");
    let mut input = shorter["output"].as_array().unwrap().clone();
    input.push(json!({"role": "user", "content": "go on"}));
    let after = scene
        .post(
            "/v1/responses",
            &json!({"model": "responses", "input": input, "store": false}),
        )
        .await;
    assert_eq!(text(&after), "You said: go on");
    // Nobody else can read it, and nobody else is asked to make one.
    for model in ["chat", "claude", "gemini"] {
        let (status, error) = scene
            .refused(
                Method::POST,
                "/v1/responses/compact",
                &json!({"model": model, "input": "hello"}),
            )
            .await;
        assert_eq!(
            (status, &error["code"]),
            (400, &json!("unsupported_endpoint")),
            "{error}"
        );
    }
}
