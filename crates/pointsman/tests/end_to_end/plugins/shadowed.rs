//! `shadow_dispatch`: copies go to another model behind the answer, are compared, recorded and charged, and nobody who asks
//! sees anything of them.

use std::time::{Duration, Instant};

use pointsman_store::{LedgerEntry, NewKey, Outcome};
use pointsman_testbed::{Fault, Schedule, SimOptions, SimServer};
use serde_json::{Value, json};

use super::{Scene, decision, recorded, routing, say};
use crate::admin::TOKEN;
use crate::harness::{House, entry, folder, ledger, store};

fn shadow(settings: Value) -> Value {
    let mut all = json!({"enabled": true, "model": "large"});
    all.as_object_mut()
        .unwrap()
        .extend(settings.as_object().unwrap().clone());
    json!([{"type": "shadow_dispatch", "configuration": all}])
}

/// What is recorded of a copy, once it is.
async fn compared(house: &House, request: &str) -> Value {
    let until = Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(decision) = recorded(house, request).await
            && decision["record"].get("shadow").is_some()
        {
            return decision["record"]["shadow"].clone();
        }
        assert!(
            Instant::now() < until,
            "nothing is recorded of the copy of {request}"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// What is counted under a name, once it is not nothing.
async fn counted(house: &House, line: &str) -> String {
    let until = Instant::now() + Duration::from_secs(30);
    loop {
        let told = crate::harness::get(house.admin, "/metrics").await.unwrap();
        let found = told
            .text()
            .lines()
            .find(|known| known.starts_with(line))
            .map(str::to_owned);
        match found {
            Some(found) if !found.ends_with(" 0") => return found,
            _ => assert!(Instant::now() < until, "{line}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn copy_of(folder: &std::path::Path, request: &str) -> LedgerEntry {
    entry(folder, &format!("{request}.shadow1"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::too_many_lines, reason = "one story, from beginning to end")]
async fn a_copy_is_sent_behind_the_answer_compared_recorded_and_charged() {
    let scene = Scene::with_environment(
        &routing(vec![
            decision("copied", shadow(json!({"capture_response_body": true}))),
            decision("quiet", shadow(json!({"sample_rate": 0.0}))),
            decision("plain", json!([])),
        ]),
        &[("POINTSMAN_ADMIN_TOKEN", TOKEN)],
    )
    .await;
    let house = &scene.house;
    // Whole and streamed, the client has what it would have without a copy, to the byte but for ids and times.
    let mut ids = Vec::new();
    for stream in [false, true] {
        let ask = |word: &str| {
            let mut body = say(&format!("{word}: what is the capital of France?"));
            body["stream"] = stream.into();
            body
        };
        let plain = scene.ask(&ask("plain")).await;
        let with = scene.ask(&ask("copied")).await;
        assert_eq!(
            (plain.status.as_u16(), with.status.as_u16()),
            (200, 200),
            "{}",
            with.text()
        );
        assert_eq!(shape_of(plain.text()), shape_of(with.text()));
        let names = |answer: &crate::harness::Answer| {
            let mut names: Vec<String> = answer.headers.keys().map(ToString::to_string).collect();
            names.sort();
            names
        };
        assert_eq!(names(&plain), names(&with));
        ids.push(with.header("x-request-id").to_owned());
    }
    for id in &ids {
        let came = compared(house, id).await;
        assert_eq!(
            (
                &came["model"],
                &came["provider"],
                &came["outcome"],
                &came["status"]
            ),
            (&json!("large"), &json!("o"), &json!("complete"), &json!(200)),
            "{came}"
        );
        assert!(came["usage"]["output"].as_u64().unwrap() > 0 && came["cost"].as_i64().unwrap() > 0);
        assert!(came["latency_us"].as_u64().unwrap() > 0);
        let alike = came["similarity"].as_f64().unwrap();
        assert!((-1.0..=1.0).contains(&alike), "{came}");
        assert!(!came["answer"].as_str().unwrap().is_empty());
        // Its own row, marked, of the same key, at the price of its model.
        let first = entry(scene.folder.path(), id);
        let copy = copy_of(scene.folder.path(), id);
        assert_eq!(
            (copy.surface.as_str(), copy.outcome),
            ("shadow", Outcome::Complete)
        );
        assert_eq!(
            (copy.model.as_deref(), copy.decision.as_deref()),
            (Some("large"), Some("copied"))
        );
        assert_eq!(copy.key, first.key);
        assert!(copy.cost > first.cost, "{copy:?} {first:?}");
        assert!(!copy.streamed);
        assert_eq!(copy.cost.nanodollars(), came["cost"].as_i64().unwrap());
    }
    counted(house, "pointsman_shadow_requests_total{result=\"complete\"} 2").await;
    counted(house, "pointsman_shadow_similarity_count 2").await;
    // What is not sampled is neither sent nor recorded.
    scene.served();
    let quiet = scene.ask(&say("quiet: what is it?")).await;
    let id = quiet.header("x-request-id").to_owned();
    entry(scene.folder.path(), &id);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(scene.served().len(), 1);
    assert!(recorded(house, &id).await.is_none());
    let copies = ledger(scene.folder.path());
    assert_eq!(copies.iter().filter(|entry| entry.surface == "shadow").count(), 2);
}

/// A body without what is another's in every answer.
fn shape_of(text: &str) -> String {
    let mut shape = String::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        let json = line.strip_prefix("data: ").unwrap_or(line);
        match serde_json::from_str::<Value>(json) {
            Ok(mut value) => {
                for field in ["id", "created", "choices", "usage"] {
                    if let Some(value) = value.get_mut(field) {
                        *value = Value::Null;
                    }
                }
                if shape.lines().last() != Some(value.to_string().as_str()) {
                    shape.push_str(&value.to_string());
                    shape.push('\n');
                }
            }
            Err(_) => {
                shape.push_str(line);
                shape.push('\n');
            }
        }
    }
    shape
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::too_many_lines, reason = "one story, from beginning to end")]
async fn a_copy_that_fails_is_late_or_has_no_room_is_told_and_the_client_never_waits() {
    let slow = SimServer::local(SimOptions::default()).await.unwrap();
    slow.set_faults(vec![(Schedule::Always, Fault::SlowFirstToken(3_000))]);
    let slow_one = format!(
        "  slow: {{ kind: openai-compatible, base_url: \"http://{}/v1\", auth: {{ api_key: sk-sim }}, models: [crawling] }}\n  \
         gone: {{ kind: openai-compatible, base_url: \"http://127.0.0.1:9/v1\", auth: {{ api_key: sk-sim }}, retry: {{ attempts: 1 }}, models: [lost] }}\n",
        slow.address()
    );
    let scene = Scene::with_all(
        &routing(vec![
            decision("late", shadow(json!({"model": "crawling", "timeout_seconds": 1}))),
            decision("gone", shadow(json!({"model": "lost"}))),
            decision(
                "crowded",
                shadow(json!({"model": "crawling", "max_concurrency": 1, "max_queue_depth": 1})),
            ),
            decision("unpaid", shadow(json!({"charge_to": "key_nobodys"}))),
        ]),
        (&slow_one, ""),
        &[("POINTSMAN_ADMIN_TOKEN", TOKEN)],
    )
    .await;
    let begun = Instant::now();
    let late = scene.ask(&say("late: what is it?")).await;
    let gone = scene.ask(&say("gone: what is it?")).await;
    assert_eq!((late.status.as_u16(), gone.status.as_u16()), (200, 200));
    for _ in 0..4 {
        assert_eq!(scene.ask(&say("crowded: what is it?")).await.status, 200);
    }
    assert_eq!(scene.ask(&say("unpaid: what is it?")).await.status, 200);
    assert!(
        begun.elapsed() < Duration::from_millis(2_900),
        "{:?}",
        begun.elapsed()
    );
    let id = late.header("x-request-id").to_owned();
    let came = compared(&scene.house, &id).await;
    assert_eq!(
        (&came["status"], came.get("similarity")),
        (&json!(504), None),
        "{came}"
    );
    // What its provider was given is charged.
    let row = copy_of(scene.folder.path(), &id);
    assert_eq!(row.outcome, Outcome::ProviderFailed);
    assert!(row.usage.input > 0 && row.usage_estimated, "{row:?}");
    let came = compared(&scene.house, gone.header("x-request-id")).await;
    assert_eq!(came["outcome"], "provider_failed", "{came}");
    assert!(came["error"].as_str().is_some());
    counted(&scene.house, "pointsman_shadow_requests_total{result=\"late\"} 1").await;
    counted(
        &scene.house,
        "pointsman_shadow_requests_total{result=\"failed\"} 1",
    )
    .await;
    counted(&scene.house, "pointsman_shadow_requests_total{result=\"full\"} 2").await;
    counted(
        &scene.house,
        "pointsman_shadow_requests_total{result=\"no_payer\"} 1",
    )
    .await;
    // Copies that are under way when it stops are given up, and what they owe is in the ledger.
    scene.ask(&say("late: once more")).await;
    let last = scene.ask(&say("late: and again")).await;
    let last = last.header("x-request-id").to_owned();
    tokio::time::sleep(Duration::from_millis(200)).await;
    let Scene { house, folder, .. } = scene;
    let begun = Instant::now();
    house.stop();
    assert!(begun.elapsed() < Duration::from_secs(15));
    assert_eq!(copy_of(folder.path(), &last).outcome, Outcome::Cancelled);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_key_pays_where_the_decision_says_so_and_its_limits_hold() {
    let folder = folder("");
    let payer = store(folder.path()).create_key(NewKey::default()).unwrap().0;
    let scene = Scene::in_folder(
        folder,
        &routing(vec![decision(
            "paid",
            shadow(json!({"charge_to": payer.id.as_str()})),
        )]),
        ("", ""),
        &[("POINTSMAN_ADMIN_TOKEN", TOKEN)],
    )
    .await;
    let answer = scene.ask(&say("paid: what is it?")).await;
    assert_eq!(answer.status, 200);
    let id = answer.header("x-request-id").to_owned();
    compared(&scene.house, &id).await;
    let copy = copy_of(scene.folder.path(), &id);
    assert_eq!(copy.key.as_ref(), Some(&payer.id));
    assert_ne!(entry(scene.folder.path(), &id).key.as_ref(), Some(&payer.id));
}

#[test]
fn what_is_wrong_with_it_is_told_where_it_stands() {
    let check = |settings: &str| {
        let folder = folder(&format!(
            "providers:\n  o: {{ kind: openai-compatible, base_url: \"http://127.0.0.1:9/v1\", auth: {{ api_key: k }}, models: [small] }}\n  \
             p: {{ kind: openai-compatible, base_url: \"http://127.0.0.1:9/v1\", auth: {{ api_key: k }}, models: [large] }}\n\
             routing:\n  default_model: small\n  decisions:\n    - name: d\n      modelRefs: [ {{ model: small }} ]\n      \
             plugins: [ {{ type: shadow_dispatch, configuration: {{ enabled: true, {settings} }} }} ]\n"
        ));
        let told = std::process::Command::new(env!("CARGO_BIN_EXE_pointsman"))
            .arg("check")
            .arg(folder.path().join("pointsman.yaml"))
            .output()
            .unwrap();
        let text = format!(
            "{}{}",
            String::from_utf8_lossy(&told.stdout),
            String::from_utf8_lossy(&told.stderr)
        );
        (told.status.success(), text)
    };
    assert!(check("model: small").0, "{}", check("model: small").1);
    for (settings, named) in [
        ("model: nowhere", "no provider serves \"nowhere\""),
        ("sample_rate: 0.5", "shadow_dispatch.model"),
        ("model: small, sample_rate: 2", "shadow_dispatch.sample_rate"),
        (
            "model: small, forward_headers: [Cookie]",
            "shadow_dispatch.forward_headers",
        ),
        ("model: small, charge_to: boss", "shadow_dispatch.charge_to"),
        ("model: small, max_concurency: 2", "max_concurrency"),
    ] {
        let (fine, told) = check(settings);
        assert!(!fine && told.contains(named), "{settings}: {told}");
    }
}
