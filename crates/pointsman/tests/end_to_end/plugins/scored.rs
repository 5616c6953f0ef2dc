//! `llm_judge`: a model says behind the answer how good it was, selection goes by that, and nobody who asks sees anything
//! of it.

use std::time::{Duration, Instant};

use pointsman_store::{NewKey, Outcome};
use pointsman_testbed::{Fault, Schedule, SimOptions, SimServer};
use serde_json::{Value, json};

use super::{Scene, say};
use crate::harness::{House, entry, folder, get, ledger, store};

const RUBRIC: &str = "A good answer is short.";

/// A decision between both models that learns, with a judge.
fn judged(settings: Value) -> Value {
    let mut all = json!({"enabled": true, "model": "judge", "rubric": RUBRIC});
    all.as_object_mut()
        .unwrap()
        .extend(settings.as_object().unwrap().clone());
    json!({
        "decisions": [{
            "name": "pick", "modelRefs": [{"model": "small"}, {"model": "large"}],
            "algorithm": {"type": "thompson", "thompson": {"max_exploration": 0}},
            "plugins": [{"type": "llm_judge", "configuration": all}]
        }]
    })
}

/// The provider of the model `judge`.
fn judge_at(sim: &SimServer) -> String {
    format!(
        "  bench: {{ kind: openai-compatible, base_url: \"http://{}/v1\", auth: {{ api_key: sk-sim }}, retry: {{ attempts: 1 }}, models: [judge] }}\n",
        sim.address()
    )
}

async fn until_counted(house: &House, line: &str) {
    let until = Instant::now() + Duration::from_secs(30);
    loop {
        let told = get(house.admin, "/metrics").await.unwrap();
        if told.text().lines().any(|known| known == line) {
            return;
        }
        assert!(Instant::now() < until, "{line}: {}", told.text());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Asks, with the judge told what to say, until another model is chosen.
async fn becomes(scene: &Scene, verdict: &str, model: &str) {
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        let answer = scene
            .ask(&say(&format!(
                "How tall is the Säntis? say as judge: {verdict} ;;"
            )))
            .await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        if answer.header("x-pointsman-model") == model {
            return;
        }
        assert!(Instant::now() < until, "{model} is never asked");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_judge_says_moves_the_choice_and_is_charged_to_the_caller() {
    let bench = SimServer::local(SimOptions::default()).await.unwrap();
    let scene = Scene::with_providers(&judged(json!({})), &judge_at(&bench), "").await;
    let mut body = say(
        "say as small: 2,502 m, {\"score\": 1} ;; say as judge: {\"score\": 0.0, \"reason\": \"long\"} ;;",
    );
    body["stream"] = true.into();
    let first = scene.ask(&body).await;
    assert_eq!(first.status, 200, "{}", first.text());
    until_counted(
        &scene.house,
        "pointsman_judge_requests_total{result=\"complete\"} 1",
    )
    .await;
    until_counted(&scene.house, "pointsman_judge_score_count 1").await;
    // It was shown the rubric, the question and the answer, each in its place.
    let asked: Value = serde_json::from_str(&bench.served()[0].body).unwrap();
    let text = |at: usize| asked["messages"][at]["content"].as_str().unwrap().to_owned();
    assert!(text(0).starts_with(RUBRIC), "{}", text(0));
    let (question, answer) = text(1)
        .split_once("\n--- answer ")
        .map(|(q, a)| (q.to_owned(), a.to_owned()))
        .unwrap();
    assert!(question.starts_with("--- conversation ") && question.contains("user: say as small"));
    assert!(answer.contains("\n2,502 m, {\"score\": 1}\n--- end "), "{answer}");
    // Its own row, of the same key.
    let id = first.header("x-request-id").to_owned();
    let (own, row) = (
        entry(scene.folder.path(), &id),
        entry(scene.folder.path(), &format!("{id}.judge1")),
    );
    assert_eq!((row.surface.as_str(), row.outcome), ("judge", Outcome::Complete));
    assert_eq!(
        (row.model.as_deref(), row.decision.as_deref()),
        (Some("judge"), Some("pick"))
    );
    assert_eq!(row.key, own.key);
    // A model that is judged badly gives way to the other, and that one to the first again.
    becomes(&scene, "{\"score\": 0.0}", "large").await;
    becomes(&scene, "{\"score\": 0.0}", "small").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_judge_that_says_nothing_fails_or_is_not_asked_moves_nothing() {
    let bench = SimServer::local(SimOptions::default()).await.unwrap();
    let scene = Scene::with_providers(&judged(json!({"timeout_seconds": 1})), &judge_at(&bench), "").await;
    scene.ask(&say("hello; say as judge: not bad, I think ;;")).await;
    until_counted(
        &scene.house,
        "pointsman_judge_requests_total{result=\"unscored\"} 1",
    )
    .await;
    bench.set_faults(vec![(Schedule::First(1), Fault::Status(500))]);
    scene.ask(&say("hello")).await;
    until_counted(
        &scene.house,
        "pointsman_judge_requests_total{result=\"failed\"} 1",
    )
    .await;
    bench.set_faults(vec![(Schedule::Always, Fault::SlowFirstToken(3_000))]);
    let begun = Instant::now();
    scene.ask(&say("hello")).await;
    assert!(
        begun.elapsed() < Duration::from_millis(2_500),
        "nobody waits for a judge"
    );
    until_counted(&scene.house, "pointsman_judge_requests_total{result=\"late\"} 1").await;
    // A model that fails is judged by that already.
    scene.sim.set_faults(vec![(Schedule::Always, Fault::Status(500))]);
    assert!(scene.ask(&say("hello")).await.status.is_server_error());
    tokio::time::sleep(Duration::from_millis(200)).await;
    let rows = ledger(scene.folder.path());
    assert_eq!(rows.iter().filter(|row| row.surface == "judge").count(), 3);
    let told = get(scene.house.admin, "/metrics").await.unwrap();
    assert!(!told.text().contains("pointsman_judge_score_count 1"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_key_pays_for_the_judge_and_few_answers_are_judged() {
    let folder = folder("");
    let payer = store(folder.path()).create_key(NewKey::default()).unwrap().0;
    let bench = SimServer::local(SimOptions::default()).await.unwrap();
    let provider = judge_at(&bench);
    let settings = json!({"charge_to": payer.id.as_str()});
    let scene = Scene::in_folder(folder, &judged(settings), (&provider, ""), &[]).await;
    let answer = scene.ask(&say("hello; say as judge: 0.5 ;;")).await;
    until_counted(
        &scene.house,
        "pointsman_judge_requests_total{result=\"complete\"} 1",
    )
    .await;
    let id = answer.header("x-request-id").to_owned();
    let row = entry(scene.folder.path(), &format!("{id}.judge1"));
    assert_eq!(row.key.as_ref(), Some(&payer.id));
    let none = Scene::with_providers(&judged(json!({"sample_rate": 0.0})), &provider, "").await;
    bench.clear();
    none.ask(&say("hello")).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(bench.served().is_empty());
}

#[test]
fn what_is_wrong_with_a_judge_is_told_where_it_stands() {
    let check = |algorithm: &str, settings: &str| {
        let folder = folder(&format!(
            "providers:\n  o: {{ kind: openai-compatible, base_url: \"http://127.0.0.1:9/v1\", auth: {{ api_key: k }}, models: [small] }}\n  \
             p: {{ kind: openai-compatible, base_url: \"http://127.0.0.1:9/v1\", auth: {{ api_key: k }}, models: [large] }}\n\
             routing:\n  default_model: small\n  decisions:\n    - name: d\n      modelRefs: [ {{ model: small }}, {{ model: large }} ]\n      {algorithm}\n      \
             plugins: [ {{ type: llm_judge, configuration: {{ enabled: true, {settings} }} }} ]\n"
        ));
        let told = std::process::Command::new(env!("CARGO_BIN_EXE_pointsman"))
            .arg("check")
            .arg(folder.path().join("pointsman.yaml"))
            .output()
            .unwrap();
        let text = [told.stdout, told.stderr].concat();
        (told.status.success(), String::from_utf8_lossy(&text).into_owned())
    };
    let learns = "algorithm: { type: elo }";
    let (fine, told) = check(learns, "model: small, rubric: Be right.");
    assert!(fine, "{told}");
    for (algorithm, settings, named) in [
        (
            learns,
            "model: nowhere, rubric: Be right.",
            "no provider serves \"nowhere\"",
        ),
        (learns, "model: small", "llm_judge.rubric"),
        (learns, "rubric: Be right.", "llm_judge.model"),
        (
            learns,
            "model: small, rubric: Be right., sample_rate: 2",
            "llm_judge.sample_rate",
        ),
        (
            learns,
            "model: small, rubric: Be right., max_concurency: 2",
            "max_concurrency",
        ),
        ("", "model: small, rubric: Be right.", "goes by outcomes"),
    ] {
        let (fine, told) = check(algorithm, settings);
        assert!(!fine && told.contains(named), "{settings}: {told}");
    }
}
