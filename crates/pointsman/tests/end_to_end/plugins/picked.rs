//! `prompt`: a helper model picks among a decision's models; and algorithms before anything was fitted.

use std::time::Duration;

use pointsman_testbed::{Fault, Schedule};
use serde_json::{Value, json};

use super::{Scene, say};
use crate::harness::{entry, ledger};

fn by_helper(algorithm: Value) -> Value {
    json!({
        "decisions": [{"name": "chosen", "modelRefs": [{"model": "small"}, {"model": "large"}], "algorithm": algorithm}]
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_helper_picks_and_has_its_own_row_in_the_ledger() {
    let helped = by_helper(
        json!({"type": "prompt", "prompt": {"model": "small", "instructions": "Hard ones are for large.", "timeout_seconds": 5}}),
    );
    let scene = Scene::new(&helped).await;
    let picked = scene
        .ask(&say("a hard one; say as small: {\"model\": \"large\"} ;;"))
        .await;
    assert_eq!(picked.status, 200, "{}", picked.text());
    assert_eq!(picked.header("x-pointsman-model"), "large");
    let served = scene.served();
    assert_eq!(served.len(), 2);
    assert_eq!(served[0]["model"], "small");
    assert!(
        served[0]["messages"][0]["content"]
            .as_str()
            .unwrap()
            .contains("Hard ones are for large.")
    );
    let id = picked.header("x-request-id").to_owned();
    let own = entry(scene.folder.path(), &id);
    let helper = entry(scene.folder.path(), &format!("{id}.aside1"));
    assert_eq!(
        (helper.model.as_deref(), helper.status),
        (Some("small"), own.status)
    );
    assert!(helper.cost.nanodollars() > 0);
    // Who names nobody is not followed: models as declared.
    let lost = scene.ask(&say("say as small: whatever you like ;;")).await;
    assert_eq!(lost.header("x-pointsman-model"), "small");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_helper_that_fails_or_is_late_leaves_models_as_declared() {
    let helped = by_helper(
        json!({"type": "prompt", "prompt": {"model": "large", "instructions": "Pick.", "timeout_seconds": 1}}),
    );
    let scene = Scene::new(&helped).await;
    scene
        .sim
        .set_faults(vec![(Schedule::First(1), Fault::Status(500))]);
    let answer = scene.ask(&say("hello")).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("x-pointsman-model")),
        (200, "small")
    );
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(ledger(scene.folder.path()).len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_fitted_yet_takes_models_as_declared() {
    let scene = Scene::new(&by_helper(json!({"type": "knn"}))).await;
    let answer = scene.ask(&say("hello")).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("x-pointsman-model")),
        (200, "small")
    );
}
