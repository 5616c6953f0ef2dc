//! `memory`: what is remembered of a user, put into their requests and nobody else's, and forgotten when they say so.

use std::time::{Duration, Instant};

use http::Request;
use pointsman_store::NewKey;
use serde_json::{Value, json};

use super::{PATH, Scene, decision, routing};
use crate::harness::{Answer, key, post, send};

fn memory(settings: Value) -> Value {
    let mut all = json!({"enabled": true, "similarity_threshold": 0.2, "retrieval_limit": 3});
    all.as_object_mut()
        .unwrap()
        .extend(settings.as_object().unwrap().clone());
    json!([{"type": "memory", "configuration": all}])
}

fn say(text: &str, stream: bool) -> Value {
    json!({"model": "auto", "stream": stream, "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": text}]})
}

async fn known(scene: &Scene, key: &str) -> Value {
    let answer = call(scene, "GET", "/v1/memory", key, "").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

/// Waits until so much is remembered of a caller.
async fn until_known(scene: &Scene, key: &str, count: usize) -> Vec<Value> {
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        let all = known(scene, key).await["data"].as_array().unwrap().clone();
        if all.len() == count {
            return all;
        }
        assert!(Instant::now() < until, "{count} are wanted: {all:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn call(scene: &Scene, method: &str, path: &str, key: &str, body: &str) -> Answer {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("authorization", format!("Bearer {key}"))
        .body(body.to_owned())
        .unwrap();
    send(scene.house.address, request).await.unwrap()
}

/// What stands in front of a request that reached the provider.
fn instructions(request: &Value) -> Vec<&str> {
    let messages = request["messages"].as_array().unwrap().iter();
    let system = messages.filter(|message| message["role"] == "system");
    system
        .map(|message| message["content"].as_str().unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::too_many_lines, reason = "one story, from beginning to end")]
async fn what_a_user_says_is_remembered_for_them_alone_and_forgotten_when_they_say_so() {
    let scene = Scene::with_providers(
        &routing(vec![decision("remembering", memory(json!({})))]),
        "",
        "guardrails: [ { name: mail, type: pii, on: [input], action: redact, entities: [EMAIL_ADDRESS], model: never } ]",
    )
    .await;
    let other = key(scene.folder.path(), NewKey::default());
    let first = scene
        .ask(&say(
            "remembering: my dog is called Rex, write to rex@example.com",
            false,
        ))
        .await;
    assert_eq!(
        (first.status.as_u16(), first.header("x-pointsman-memories")),
        (200, "0"),
        "{}",
        first.text()
    );
    scene.served();
    let kept = until_known(&scene, &scene.key, 1).await;
    let text = kept[0]["text"].as_str().unwrap();
    assert!(
        text.starts_with("User: remembering: my dog is called Rex") && text.contains("\nAssistant: "),
        "{text}"
    );
    // As the guardrails have left it.
    assert!(!text.contains("rex@example.com"), "{text}");
    let asks = say("remembering: what is my dog called?", true);
    let second = scene.ask(&asks).await;
    assert_eq!(second.header("x-pointsman-memories"), "1", "{}", second.text());
    let served = scene.served();
    let told = instructions(&served[0]);
    assert_eq!(told[0], "Be brief.");
    assert!(
        told[1].contains("my dog is called Rex") && told[1].contains("remembered"),
        "{told:?}"
    );
    // Streams are remembered, too.
    until_known(&scene, &scene.key, 2).await;
    // Nobody else's.
    let theirs = loop {
        let answer = post(scene.house.address, PATH, &other, &asks).await.unwrap();
        if answer.status != 401 {
            break answer;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_eq!(theirs.header("x-pointsman-memories"), "0");
    assert_eq!(instructions(&scene.served()[0]), ["Be brief."]);
    let id = kept[0]["id"].as_str().unwrap();
    let path = format!("/v1/memory/{id}");
    assert_eq!(call(&scene, "DELETE", &path, &other, "").await.status, 404);
    assert_eq!(call(&scene, "DELETE", &path, &scene.key, "").await.status, 200);
    until_known(&scene, &scene.key, 1).await;
    // For one request, neither read nor kept; and what is misspelt is not taken for a yes.
    for (name, value) in [("x-pointsman-memory", "off"), ("x-disable-router-memory", "true")] {
        let answer = scene.ask_with((name, value), &asks).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(instructions(&scene.served()[0]), ["Be brief."]);
    }
    let misspelt = scene.ask_with(("x-pointsman-memory", "of"), &asks).await;
    assert_eq!(misspelt.status, 400);
    // Who refuses is forgotten, and is not remembered any more.
    let refused = call(
        &scene,
        "POST",
        "/v1/memory/consent",
        &scene.key,
        r#"{"granted": false}"#,
    )
    .await;
    assert_eq!(
        (refused.status.as_u16(), &refused.json()["deleted"]),
        (200, &json!(1)),
        "{}",
        refused.text()
    );
    scene.served();
    scene.ask(&say("remembering: my cat is called Tom", false)).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let none = known(&scene, &scene.key).await;
    assert_eq!((&none["data"], &none["consent"]), (&json!([]), &json!(false)));
    let all = call(&scene, "DELETE", "/v1/memory", &other, "").await;
    assert_eq!(all.json()["deleted"], 1, "{}", all.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_users_are_to_agree_nothing_is_remembered_before() {
    let scene = Scene::new(&routing(vec![
        decision("asked", memory(json!({"consent": "user"}))),
        decision(
            "reading",
            memory(json!({"auto_store": false, "reflection": {"block_patterns": ["secret"]}})),
        ),
    ]))
    .await;
    assert_eq!(
        scene.ask(&say("asked: my dog is called Rex", false)).await.status,
        200
    );
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(known(&scene, &scene.key).await["data"], json!([]));
    let agreed = call(
        &scene,
        "POST",
        "/v1/memory/consent",
        &scene.key,
        r#"{"granted": true}"#,
    )
    .await;
    assert_eq!(agreed.status, 200);
    scene.ask(&say("asked: my dog is called Rex", false)).await;
    until_known(&scene, &scene.key, 1).await;
    scene
        .ask(&say("asked: my secret word is zebra, says my dog", false))
        .await;
    until_known(&scene, &scene.key, 2).await;
    scene.served();
    // It is read where it is not kept, and what must not be put in is not.
    let read = scene
        .ask(&say("reading: what is the name of my dog and my word?", false))
        .await;
    assert_eq!(read.header("x-pointsman-memories"), "1", "{}", read.text());
    let served = scene.served();
    assert!(
        instructions(&served[0])[1].contains("Rex") && !instructions(&served[0])[1].contains("zebra"),
        "{served:?}"
    );
    tokio::time::sleep(Duration::from_millis(300)).await;
    until_known(&scene, &scene.key, 2).await;
    let senseless = call(
        &scene,
        "POST",
        "/v1/memory/consent",
        &scene.key,
        r#"{"granted": 1}"#,
    )
    .await;
    assert_eq!(senseless.status, 400);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_done_about_memories_is_recorded_and_their_texts_only_where_texts_are() {
    let with = |name: &str, capture: bool| {
        let mut plugins = memory(json!({})).as_array().unwrap().clone();
        plugins.push(json!({"type": "router_replay", "configuration": {"enabled": true, "capture_request_body": capture}}));
        decision(name, plugins.into())
    };
    let scene = Scene::with_environment(
        &routing(vec![with("counted", false), with("told", true)]),
        &[("POINTSMAN_ADMIN_TOKEN", crate::admin::TOKEN)],
    )
    .await;
    let recorded = async |answer: &Answer| {
        let until = Instant::now() + Duration::from_secs(20);
        let id = answer.header("x-request-id").to_owned();
        loop {
            if let Some(decision) = super::recorded(&scene.house, &id).await {
                return decision;
            }
            assert!(Instant::now() < until, "{id} is not recorded");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let first = scene.ask(&say("counted: my dog is called Rex", false)).await;
    assert_eq!(
        recorded(&first).await["record"]["memory"],
        json!({"state": "read", "put": 0, "found": 0, "stores": true})
    );
    until_known(&scene, &scene.key, 1).await;
    let second = scene.ask(&say("counted: what is my dog called?", false)).await;
    let told = recorded(&second).await;
    assert_eq!(
        told["record"]["memory"],
        json!({"state": "read", "put": 1, "found": 1, "stores": true})
    );
    assert!(!told.to_string().contains("Rex"), "{told}");
    let third = scene.ask(&say("told: what is my dog called?", false)).await;
    let memory = recorded(&third).await["record"]["memory"].clone();
    assert!(
        memory["put"].as_u64().unwrap() >= 1 && memory["texts"].to_string().contains("Rex"),
        "{memory}"
    );
    let off = scene
        .ask_with(
            ("x-pointsman-memory", "off"),
            &say("told: what is my dog called?", false),
        )
        .await;
    assert_eq!(
        recorded(&off).await["record"]["memory"],
        json!({"state": "off", "put": 0, "found": 0, "stores": false})
    );
}
