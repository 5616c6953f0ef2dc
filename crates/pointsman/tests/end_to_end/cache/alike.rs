//! Questions that ask the same in other words, and those that only look so.

use std::time::Duration;

use pointsman_store::NewKey;
use pointsman_testbed::SimOptions;
use serde_json::{Value, json};

use super::{Town, hit, say, town};

const ON: &str = "{ exact: { ttl: 1h }, semantic: { ttl: 1h, operating_point: precise, deadline: 5s } }";

/// A gateway that understands questions already.
async fn ready(cache: &str) -> (Town, String) {
    let (town, key) = town(cache, SimOptions::default()).await;
    for number in 0..400 {
        hit(&town
            .wish(
                &key,
                "no-store",
                &say(&format!("Is it ready, question {number}?")),
            )
            .await);
        let loading = town
            .metric("pointsman_cache_bypassed_total{reason=\"loading\"}")
            .await;
        if loading <= number {
            town.sim.clear();
            return (town, key);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("questions are never understood");
}

/// Asks the first, then the second, behind the same history.
async fn pair(town: &Town, key: &str, first: &str, second: &str) -> String {
    assert_eq!(hit(&town.ask(key, &say(first)).await), "miss", "{first}");
    let again = town.ask(key, &say(second)).await;
    let hit = hit(&again);
    let similarity = again.header("x-pointsman-cache-similarity");
    assert_eq!(!similarity.is_empty(), hit == "semantic", "{second}");
    hit
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_question_in_other_words_has_the_answer_and_a_near_miss_has_not() {
    let (town, key) = ready(ON).await;
    for (first, second) in [
        ("Who wrote Hamlet?", "Can you tell me who wrote Hamlet?"),
        (
            "How many bones does an adult human have?",
            "how many bones does an adult human have",
        ),
        (
            "What is the capital of Australia?",
            "What's the capital of Australia, please?",
        ),
    ] {
        assert_eq!(pair(&town, &key, first, second).await, "semantic", "{second}");
    }
    // What vectors alone take for the same.
    for (first, second) in [
        ("Turn on dark mode", "Turn off dark mode"),
        ("What is 2+2?", "What is 2+3?"),
        ("Is it safe to eat raw eggs?", "Is it not safe to eat raw eggs?"),
        ("How do I convert euros to won?", "How do I convert won to euros?"),
        ("What is the capital of Sweden?", "What is the capital of Norway?"),
        (
            "Which trains go from Rome to Oslo?",
            "Which trains go from Oslo to Rome?",
        ),
        ("What does a 5 mg tablet do?", "What does a 50 mg tablet do?"),
        ("Where is the station?", "¿Dónde está la estación?"),
    ] {
        assert_eq!(pair(&town, &key, first, second).await, "miss", "{second}");
    }
    assert!(
        town.metric("pointsman_cache_lookups_total{result=\"semantic\"}")
            .await
            >= 3
    );
    assert!(town.metric("pointsman_cache_entries{kind=\"semantic\"}").await >= 8);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_question_may_differ_and_only_for_the_same_caller() {
    let (town, key) = ready(ON).await;
    let question = |text: &str, edit: &dyn Fn(&mut Value)| {
        let mut body = say(text);
        edit(&mut body);
        body
    };
    let plain = |_: &mut Value| {};
    assert_eq!(
        hit(&town.ask(&key, &question("Who wrote Hamlet?", &plain)).await),
        "miss"
    );
    let alike = "Please tell me who wrote Hamlet";
    let edits: [&dyn Fn(&mut Value); 7] = [
        &|body| {
            body["messages"] = json!([{"role": "system", "content": "Answer in verse."}, {"role": "user", "content": alike}]);
        },
        &|body| body["messages"] = json!([{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hi"}, {"role": "user", "content": alike}]),
        &|body| body["temperature"] = json!(0.3),
        &|body| body["max_completion_tokens"] = json!(77),
        &|body| body["response_format"] = json!({"type": "text"}),
        &|body| body["user"] = json!("somebody else"),
        &|body| body["seed"] = json!(4),
    ];
    for edit in edits {
        let body = question(alike, edit);
        assert_eq!(hit(&town.ask(&key, &body).await), "miss", "{body}");
    }
    let other = town.known(NewKey::default()).await;
    assert_eq!(hit(&town.ask(&other, &say(alike)).await), "miss", "another key");
    let found = town.ask(&key, &say(alike)).await;
    assert_eq!(hit(&found), "semantic");
    assert!(
        found
            .header("x-pointsman-cache-similarity")
            .parse::<f64>()
            .unwrap()
            > 0.5
    );
    assert!(!found.header("age").is_empty() && !found.header("x-pointsman-saved-usd").is_empty());
    // A wish of the client holds here, too.
    let wished = town
        .wish(&key, "no-cache", &say("Tell me please who wrote Hamlet"))
        .await;
    assert_eq!(hit(&wished), "bypass");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_bound_to_its_moment_to_tools_to_media_or_to_chance_is_not_looked_up() {
    let (town, key) = ready(ON).await;
    let tool = json!([{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}]);
    let called = json!([
        {"role": "user", "content": "Who wrote it?"},
        {"role": "assistant", "content": null, "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "c1", "content": "Hamlet"},
        {"role": "user", "content": "And who is that?"},
    ]);
    let picture = json!([{"role": "user", "content": [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="}}]}]);
    let with = |field: &str, value: Value| {
        let mut body = say("Who wrote Macbeth?");
        body[field] = value;
        body
    };
    for (body, reason) in [
        (with("tools", tool), "tools"),
        (with("messages", called), "tools"),
        (with("messages", picture), "media"),
        (with("temperature", json!(1.4)), "chance"),
        (with("n", json!(2)), "chance"),
        (say("What is the weather today?"), "time"),
        (say("¿Qué noticias hay hoy?"), "time"),
        (say("My name is Ann. What is my name?"), "personal"),
        (say("Tell me another joke"), "chance"),
        (say(&"word ".repeat(900)), "long"),
    ] {
        let name = format!("pointsman_cache_bypassed_total{{reason=\"{reason}\"}}");
        let before = town.metric(&name).await;
        assert_eq!(hit(&town.ask(&key, &body).await), "miss", "{body}");
        assert_eq!(town.metric(&name).await, before + 1, "{reason}");
    }
    assert_eq!(town.metric("pointsman_cache_entries{kind=\"semantic\"}").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_the_shadow_hits_are_counted_and_not_given() {
    let shadow = ON.replace("deadline: 5s", "deadline: 5s, shadow: true");
    let (town, key) = ready(&shadow).await;
    assert_eq!(
        pair(
            &town,
            &key,
            "Who wrote Hamlet?",
            "Please tell me who wrote Hamlet"
        )
        .await,
        "miss"
    );
    assert_eq!(town.sim.served().len(), 2);
    assert_eq!(
        town.metric("pointsman_cache_lookups_total{result=\"shadow\"}")
            .await,
        1
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_question_that_is_not_understood_in_time_is_sent() {
    let (town, key) = ready(&ON.replace("deadline: 5s", "deadline: 1ms")).await;
    // On any machine some of these are too late; each has its answer.
    for number in 0..30 {
        let text = format!("Who wrote play {number}? {}", "It was long ago. ".repeat(60));
        assert_eq!(hit(&town.ask(&key, &say(&text)).await), "miss");
    }
    assert_eq!(town.sim.served().len(), 30);
    assert!(
        town.metric("pointsman_cache_bypassed_total{reason=\"late\"}")
            .await
            > 0
    );
}
