//! Limits and budgets inside loops, clients that go away in the middle, and what a configuration may not say.

use std::time::Duration;

use pointsman_catalog::Money;
use pointsman_store::{Budget, BudgetWindow, NewKey, Outcome};
use serde_json::json;

use super::Scene;
use crate::harness::{entry, folder, ledger};

const SAY: &str = "say as small-unsure: one ;; say as middle: two ;; say as large: three ;;";

fn loops(on_error: &'static str) -> [(&'static str, &'static str, &'static str); 3] {
    match on_error {
        "skip" => [
            (
                "ratings",
                "small middle large",
                "algorithm: { type: ratings, ratings: { max_concurrent: 1 } }",
            ),
            (
                "cascade",
                "small middle large",
                "algorithm: { type: confidence, confidence: { confidence_method: margin, threshold: 1.0 } }",
            ),
            (
                "remom",
                "small",
                "algorithm: { type: remom, remom: { breadth_schedule: [2] } }",
            ),
        ],
        _ => [
            (
                "ratings",
                "small middle large",
                "algorithm: { type: ratings, ratings: { max_concurrent: 1, on_error: fail } }",
            ),
            (
                "cascade",
                "small middle large",
                "algorithm: { type: confidence, confidence: { confidence_method: margin, threshold: 1.0, on_error: fail } }",
            ),
            (
                "remom",
                "small",
                "algorithm: { type: remom, remom: { breadth_schedule: [2], on_error: fail } }",
            ),
        ],
    }
}

fn requests(limit: u64) -> NewKey {
    NewKey {
        requests_per_minute: Some(limit),
        ..NewKey::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_hold_inside_a_loop() {
    // The request itself, and two calls.
    for (name, expected) in [("ratings", "one"), ("cascade", "two"), ("remom", "one")] {
        let scene = Scene::new(&loops("skip"), requests(3)).await;
        let answer = scene.ask(name, SAY, json!({})).await;
        assert_eq!(answer.status, 200, "{name}: {}", answer.text());
        assert_eq!(
            answer.json()["choices"][0]["message"]["content"],
            expected,
            "{name}"
        );
        assert_eq!(
            (scene.served().len(), answer.header("x-pointsman-loop-calls")),
            (2, "2"),
            "{name}"
        );
        let scene = Scene::new(&loops("fail"), requests(3)).await;
        let answer = scene.ask(name, SAY, json!({})).await;
        let error = answer.json()["error"].clone();
        assert_eq!(
            (answer.status.as_u16(), &error["code"]),
            (429, &json!("rate_limit_exceeded")),
            "{name}: {error}"
        );
        scene.rows(answer.header("x-request-id"), 2);
    }
    // One place is enough: calls are parts of the request that has it.
    let grant = NewKey {
        concurrency: Some(1),
        ..NewKey::default()
    };
    let scene = Scene::new(&loops("skip"), grant).await;
    let answer = scene.ask("ratings", SAY, json!({})).await;
    assert_eq!(
        answer.json()["choices"].as_array().unwrap().len(),
        3,
        "{}",
        answer.text()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_budget_holds_inside_a_loop() {
    // A dollar is enough for all but one of the panel, whose answer may cost seven.
    let panel = |rule: &str| {
        format!(
            "algorithm: {{ type: fusion, fusion: {{ model: small, on_error: {rule}, analysis_overrides: [ {{ model: middle, max_completion_tokens: 1000000 }} ] }} }}"
        )
    };
    let (skip, fail) = (panel("skip"), panel("fail"));
    let all = [
        ("skip", "small middle", skip.as_str()),
        ("fail", "small middle", fail.as_str()),
    ];
    let grant = NewKey {
        budgets: vec![Budget::of(
            Money::from_nanodollars(1_000_000_000),
            BudgetWindow::Day,
        )],
        ..NewKey::default()
    };
    let scene = Scene::new(&all, grant).await;
    let answer = scene.ask("skip", SAY, json!({})).await;
    let body = answer.json();
    assert_eq!(body["choices"][0]["message"]["content"], "one", "{body}");
    assert_eq!(
        answer.header("x-pointsman-loop-calls"),
        "3",
        "the member that was denied was not asked"
    );
    let failed = &body["fusion"]["failed_models"][0];
    assert_eq!(failed["model"], "middle");
    assert!(failed["error"].as_str().unwrap().contains("budget"), "{failed}");
    scene.rows(answer.header("x-request-id"), 3);
    let answer = scene.ask("fail", SAY, json!({})).await;
    assert_eq!(
        (answer.status.as_u16(), &answer.json()["error"]["code"]),
        (429, &json!("insufficient_quota")),
        "{}",
        answer.text()
    );
    assert!(scene.served().iter().all(|served| served.model != "middle"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_goes_away_ends_all_calls_and_pays_for_them() {
    let all = [("ratings", "slow small slow", "algorithm: { type: ratings }")];
    let scene = Scene::new(&all, NewKey::default()).await;
    let mut sender = pointsman_testbed::load::connect(scene.house.address)
        .await
        .unwrap();
    let body =
        json!({ "model": "l-ratings", "max_tokens": 50, "messages": [ { "role": "user", "content": SAY } ] });
    let request = http::Request::post("/v1/chat/completions")
        .header("host", "x")
        .header("authorization", format!("Bearer {}", scene.key))
        .body(http_body_util::Full::new(bytes::Bytes::from(body.to_string())))
        .unwrap();
    let asking = tokio::spawn(async move { sender.send_request(request).await.map(drop) });
    for _ in 0..200 {
        if scene.served().len() == 3 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    asking.abort();
    let own = loop {
        let all = ledger(scene.folder.path());
        if let Some(own) = all.into_iter().find(|row| !row.id.as_str().contains('.')) {
            break own;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_eq!((own.outcome, own.cost.nanodollars()), (Outcome::Cancelled, 0));
    let calls: Vec<_> = (1..=3)
        .map(|number| entry(scene.folder.path(), &format!("{}.{number}", own.id.as_str())))
        .collect();
    for call in &calls {
        let expected = match call.model_requested.as_str() {
            "slow" => Outcome::Cancelled,
            _ => Outcome::Complete,
        };
        assert_eq!(call.outcome, expected, "{call:?}");
        assert!(call.usage.input > 0 && call.cost.nanodollars() > 0, "{call:?}");
    }
}

#[test]
fn what_cannot_be_carried_out_is_named() {
    let wrong = [
        (
            "{ type: confidence, confidence: { confidence_method: automix_entailment } }",
            "automix_entailment is not supported",
        ),
        ("{ type: confidence, confidence: { treshold: 0.5 } }", "treshold"),
        (
            "{ type: fusion, fusion: { grounding: { enabled: true } } }",
            "grounding",
        ),
        (
            "{ type: fusion, fusion: { model: nobody } }",
            "no provider serves \"nobody\"",
        ),
        ("{ type: fusion, ratings: { } }", "is not read by type"),
        (
            "{ type: remom, remom: { breadth_schedule: [] } }",
            "how many answers",
        ),
        (
            "{ type: remom, remom: { breadth_schedule: [2], synthesis_template: \"{{.Nothing}}\" } }",
            ".Nothing",
        ),
        (
            "{ type: remom, remom: { breadth_schedule: [30, 30, 30] } }",
            "max_calls is 64",
        ),
        ("{ type: workflows, workflows: { mode: dynamic } }", "who plans"),
        (
            "{ type: workflows, workflows: { roles: [ { name: a, models: [large] } ] } }",
            "none of modelRefs",
        ),
    ];
    for (algorithm, named) in wrong {
        let folder = folder(&format!(
            "providers: {{ o: {{ kind: openai, auth: {{ api_key: sk-x }} }} }}\nmodels: {{ small: {{ targets: [ {{ provider: o, model: gpt-5-mini }} ] }} }}\n\
             routing: {{ decisions: [ {{ name: d, modelRefs: [ {{ model: small }} ], algorithm: {algorithm} }} ] }}\n"
        ));
        let checked = std::process::Command::new(env!("CARGO_BIN_EXE_pointsman"))
            .arg("check")
            .arg(folder.path().join("pointsman.yaml"))
            .output()
            .unwrap();
        let said =
            String::from_utf8_lossy(&checked.stdout).into_owned() + &String::from_utf8_lossy(&checked.stderr);
        assert!(
            !checked.status.success() && said.contains(named),
            "{algorithm}: {said}"
        );
    }
}
