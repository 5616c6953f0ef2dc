//! `response_cache`: answers are remembered as the decision says.

use std::time::Duration;

use pointsman_store::NewKey;
use serde_json::{Value, json};

use super::{PATH, Scene, decision, routing, say};
use crate::harness::{key, post};

fn cache(settings: Value) -> Value {
    json!([{"type": "response_cache", "configuration": settings}])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_decisions_that_say_so_remember_their_answers() {
    let scene = Scene::new(&routing(vec![
        decision(
            "kept",
            cache(json!({"enabled": true, "mode": "exact", "ttl_seconds": 60})),
        ),
        decision(
            "brief",
            cache(json!({"enabled": true, "mode": "exact", "ttl_seconds": 1})),
        ),
        decision("fresh", cache(json!({"enabled": false}))),
    ]))
    .await;
    for (text, second) in [
        ("kept: what is a pointsman?", "exact"),
        ("brief: what is a pointsman?", "exact"),
        ("fresh: what is a pointsman?", "miss"),
        ("what is a pointsman?", "miss"),
    ] {
        let first = scene.ask(&say(text)).await;
        assert_eq!(first.status, 200, "{}", first.text());
        assert_ne!(first.header("x-pointsman-cache"), "exact");
        let again = scene.ask(&say(text)).await;
        let hit = again.header("x-pointsman-cache") == "exact";
        assert_eq!(
            hit,
            second == "exact",
            "{text}: {}",
            again.header("x-pointsman-cache")
        );
        assert_eq!(scene.served().len(), if hit { 1 } else { 2 }, "{text}");
        assert_eq!(again.json()["choices"], first.json()["choices"]);
    }
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    let late = scene.ask(&say("brief: what is a pointsman?")).await;
    assert_eq!(late.header("x-pointsman-cache"), "miss");
    let kept = scene.ask(&say("kept: what is a pointsman?")).await;
    assert_eq!(kept.header("x-pointsman-cache"), "exact");
    assert_eq!(kept.header("x-pointsman-decision"), "kept");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_scope_is_the_decisions_and_what_clients_may_wish_for_too() {
    let controls = json!({"enabled": true, "allowed": ["no-cache", "bypass", "max-age"]});
    let scene = Scene::new(&routing(vec![
        decision(
            "ours",
            cache(json!({"enabled": true, "mode": "exact", "scope": "global", "request_controls": controls})),
        ),
        decision(
            "mine",
            cache(json!({"enabled": true, "mode": "exact", "scope": "key"})),
        ),
    ]))
    .await;
    let other = key(scene.folder.path(), NewKey::default());
    let known = || async {
        for _ in 0..200 {
            let answer = post(scene.house.address, PATH, &other, &say("a key to be known"))
                .await
                .unwrap();
            if answer.status == 200 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the key is not known");
    };
    known().await;
    for (text, shared) in [("ours: hello", true), ("mine: hello", false)] {
        scene.ask(&say(text)).await;
        let theirs = post(scene.house.address, PATH, &other, &say(text)).await.unwrap();
        assert_eq!(theirs.header("x-pointsman-cache") == "exact", shared, "{text}");
    }
    for (wish, hit) in [
        ("no-cache", "bypass"),
        ("bypass", "bypass"),
        ("max-age=60", "exact"),
        ("no-store", "exact"),
    ] {
        let answer = scene
            .ask_with(("x-vsr-cache-control", wish), &say("ours: hello"))
            .await;
        assert_eq!(answer.header("x-pointsman-cache"), hit, "{wish}");
    }
    let nonsense = scene
        .ask_with(("x-vsr-cache-control", "max-age=soon"), &say("ours: hello"))
        .await;
    assert_eq!(nonsense.status, 400);
    // Where the decision allows no wishes, its header says nothing.
    let unheard = scene
        .ask_with(("x-vsr-cache-control", "no-cache"), &say("mine: hello"))
        .await;
    assert_eq!(unheard.header("x-pointsman-cache"), "exact");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn questions_in_other_words_have_the_answer_where_the_decision_finds_them_alike() {
    let by_meaning = |least: f64| {
        cache(
            json!({"enabled": true, "mode": "exact_then_semantic", "semantic": {"similarity_threshold": least}, "ttl_seconds": 60}),
        )
    };
    let scene = Scene::new(&routing(vec![
        decision("loose", by_meaning(0.5)),
        decision("strict", by_meaning(1.0)),
    ]))
    .await;
    // What questions are understood with is loaded meanwhile.
    for number in 0..400 {
        let text = format!("loose: who wrote volume {number}?");
        scene.ask(&say(&text)).await;
        let again = scene
            .ask(&say(&format!(
                "loose: can you tell me who wrote volume {number}?"
            )))
            .await;
        if again.header("x-pointsman-cache") == "semantic" {
            break;
        }
        assert!(number < 399, "questions are never understood");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    scene.ask(&say("strict: who wrote Hamlet?")).await;
    let again = scene.ask(&say("strict: can you tell me who wrote Hamlet?")).await;
    assert_eq!(again.header("x-pointsman-cache"), "miss");
}
