//! Members that fail, are slow, decline or break off: the loop degrades as its rule says, and never hangs.

use pointsman_store::{NewKey, Outcome};
use serde_json::json;

use super::{Scene, chunks, text_of};

/// Calls may take a second.
const SHORT: &str = "  loops: { call_timeout_seconds: 1 }\n";

const SAY: &str = "say as small-unsure: one ;; say as middle: two ;; say as large: three ;;";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::too_many_lines, reason = "one story, told from beginning to end")]
async fn a_loop_goes_on_without_members_that_fail() {
    let skip = "algorithm: { type: ratings }";
    let all = [
        ("ratings", "broken small slow shy cut", skip),
        (
            "cascade",
            "broken shy middle",
            "algorithm: { type: confidence, confidence: { confidence_method: margin, escalation_order: declared } }",
        ),
        (
            "fusion",
            "broken middle",
            "algorithm: { type: fusion, fusion: { model: small } }",
        ),
        (
            "remom",
            "small middle",
            "algorithm: { type: remom, remom: { breadth_schedule: [2], model_distribution: round_robin } }",
        ),
        (
            "unjoined",
            "middle broken",
            "algorithm: { type: remom, remom: { breadth_schedule: [1], model_distribution: round_robin, synthesis_model: broken } }",
        ),
        (
            "unfinished",
            "middle broken",
            "algorithm: { type: workflows, workflows: { roles: [ { name: solver, models: [middle] } ], final: { model: broken }, on_error: skip } }",
        ),
    ];
    let scene = Scene::with(&all, NewKey::default(), SHORT).await;
    let answer = scene.ask("ratings", SAY, json!({})).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let body = answer.json();
    assert_eq!(body["choices"].as_array().unwrap().len(), 1, "{body}");
    assert_eq!(body["choices"][0]["message"]["content"], "one");
    let (own, calls) = scene.rows(answer.header("x-request-id"), 5);
    assert_eq!(own.outcome, Outcome::Complete);
    let of = |model: &str| calls.iter().find(|call| call.model_requested == model).unwrap();
    assert_eq!(
        (of("broken").outcome, of("broken").cost.nanodollars()),
        (Outcome::ProviderFailed, 0)
    );
    let slow = of("slow");
    assert_eq!((slow.outcome, slow.status), (Outcome::ProviderFailed, 504));
    assert!(
        slow.usage_estimated && slow.usage.input > 0 && slow.cost.nanodollars() > 0,
        "its provider has the prompt: {slow:?}"
    );
    assert_eq!(of("shy").outcome, Outcome::Complete, "a refusal is paid for");
    assert_eq!(of("cut").outcome, Outcome::ProviderFailed);

    for (name, expected) in [
        ("cascade", "two"),
        ("fusion", "one"),
        ("unjoined", "two"),
        ("unfinished", "two"),
    ] {
        let answer = scene.ask(name, SAY, json!({})).await;
        assert_eq!(answer.status, 200, "{name}: {}", answer.text());
        assert_eq!(
            answer.json()["choices"][0]["message"]["content"],
            expected,
            "{name}"
        );
        let streamed = scene.ask(name, SAY, json!({ "stream": true })).await;
        assert_eq!(text_of(&chunks(&streamed), 0), expected, "{name}");
    }
    let told = scene.ask("fusion", SAY, json!({})).await.json();
    assert_eq!(told["fusion"]["failed_models"][0]["model"], "broken");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_loop_fails_where_none_may_fail() {
    let all = [
        (
            "ratings",
            "small broken",
            "algorithm: { type: ratings, on_error: fail }",
        ),
        (
            "cascade",
            "shy middle",
            "algorithm: { type: confidence, confidence: { escalation_order: declared, on_error: fail } }",
        ),
        (
            "fusion",
            "small shy",
            "algorithm: { type: fusion, fusion: { on_error: fail } }",
        ),
        (
            "remom",
            "small slow",
            "algorithm: { type: remom, remom: { breadth_schedule: [2], model_distribution: round_robin, on_error: fail, round_timeout_seconds: 1 } }",
        ),
        (
            "steps",
            "broken small",
            "algorithm: { type: workflows, workflows: { roles: [ { name: solver, models: [broken] } ] } }",
        ),
        ("nobody", "broken shy slow", "algorithm: { type: ratings }"),
    ];
    let scene = Scene::with(&all, NewKey::default(), SHORT).await;
    for (name, status, named) in [
        ("ratings", 502, "broken"),
        ("cascade", 502, "declined"),
        ("fusion", 502, "declined"),
        ("remom", 504, "in time"),
        ("steps", 502, "broken"),
        ("nobody", 504, "none of the models answered"),
    ] {
        for stream in [false, true] {
            let answer = scene.ask(name, SAY, json!({ "stream": stream })).await;
            assert_eq!(answer.status.as_u16(), status, "{name}: {}", answer.text());
            assert!(answer.text().contains(named), "{name}: {}", answer.text());
            assert!(
                !answer.header("x-pointsman-loop-calls").is_empty(),
                "{name}: what was done is told"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn enough_answers_are_enough() {
    let all = [(
        "fusion",
        "slow small middle",
        "algorithm: { type: fusion, fusion: { model: large, min_successful_responses: 2 } }",
    )];
    let scene = Scene::new(&all, NewKey::default()).await;
    let answer = scene.ask("fusion", SAY, json!({})).await;
    assert_eq!(
        answer.json()["choices"][0]["message"]["content"],
        "three",
        "{}",
        answer.text()
    );
    let (_, calls) = scene.rows(answer.header("x-request-id"), 5);
    let slow = calls.iter().find(|call| call.model_requested == "slow").unwrap();
    assert_eq!(slow.outcome, Outcome::Cancelled);
    assert!(
        slow.usage.input > 0 && slow.usage_estimated,
        "what it was given is charged: {slow:?}"
    );
    let sum: i64 = calls.iter().map(|call| call.cost.nanodollars()).sum();
    let told: f64 = answer.header("x-pointsman-cost-usd").parse().unwrap();
    assert!(
        (told * 1e9 - sum as f64).abs() < 0.5,
        "{told} is told and {sum} charged"
    );
}
