//! `kill -9` while a batch runs: every line is answered once and in the ledger once.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use http::Method;
use pointsman_catalog::Money;
use pointsman_store::{BatchApi, KeyId, LedgerEntry, NewBatch, NewKey, Outcome, RequestId};
use pointsman_testbed::{SimOptions, SimServer};
use pointsman_wire::form::Usage;
use rand::RngExt;
use serde_json::{Value, json};

use crate::harness::{House, ask, folder, key, ledger, post, store, upload};

const LINES: usize = 10_000;
const DEATHS: usize = 10;

/// The lines of the batch.
fn input() -> String {
    let mut input = String::new();
    for line in 0..LINES {
        let body = json!({"model": "o/gpt-5-mini", "messages": [{"role": "user", "content": format!("line {line}")}]});
        let line = json!({"custom_id": format!("line-{line}"), "method": "POST", "url": "/v1/chat/completions", "body": body});
        writeln!(input, "{line}").unwrap();
    }
    input
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_deaths_repeat_no_finished_line_and_lose_none() {
    let options = SimOptions {
        bench: true,
        ..SimOptions::default()
    };
    let sim = SimServer::local(options).await.unwrap();
    let folder = folder(&format!(
        "providers: {{ o: {{ kind: openai, base_url: \"http://{}/v1\", auth: {{ api_key: sk-sim }} }} }}\n",
        sim.address()
    ));
    let key = key(folder.path(), NewKey::default());
    let mut house = House::open(folder.path());
    let file = upload(house.address, &key, &[("purpose", "batch")], input().as_bytes())
        .await
        .unwrap();
    assert_eq!(file.status, 200, "{}", file.text());
    let body = json!({"input_file_id": file.json()["id"], "endpoint": "/v1/chat/completions", "completion_window": "24h"});
    let batch = post(house.address, "/v1/batches", &key, &body).await.unwrap();
    assert_eq!(batch.status, 200, "{}", batch.text());
    let id = batch.json()["id"].as_str().unwrap().to_owned();

    let mut seen = 0;
    for death in 0..DEATHS {
        // Somewhere in its share of the lines, so that each death finds it at work.
        let share = LINES * 7 / 10 / DEATHS;
        let until = death * share + rand::rng().random_range(1..share);
        let found = wait(&house, &key, &id, |batch| count(batch) >= until).await;
        assert_eq!(
            found["status"], "in_progress",
            "it ended too early to prove anything: {found}"
        );
        seen = seen.max(found["request_counts"]["completed"].as_u64().unwrap());
        house.kill();
        house = House::open(folder.path());
        // What was done before is not done again: the count never falls behind.
        let after = wait(&house, &key, &id, |batch| count(batch) > 0).await;
        assert!(
            after["request_counts"]["completed"].as_u64().unwrap() >= seen,
            "{after}"
        );
    }
    let done = wait(&house, &key, &id, |batch| batch["status"] == "completed").await;
    assert_eq!(
        done["request_counts"],
        json!({"total": LINES, "completed": LINES, "failed": 0})
    );
    assert_eq!(done["error_file_id"], Value::Null);

    each_once_in_its_place(&house, &key, &done).await;
    house.stop();
    let entries = ledger(folder.path());
    let of_batch: HashSet<&str> = entries.iter().map(|entry| entry.id.as_str()).collect();
    let expected: HashSet<String> = (1..=LINES).map(|line| format!("{id}-{line:06}")).collect();
    assert_eq!((entries.len(), of_batch.len()), (LINES, LINES));
    assert!(of_batch.iter().all(|id| expected.contains(*id)));
    assert!(
        entries
            .iter()
            .all(|entry| entry.outcome == Outcome::Complete && entry.cost.nanodollars() > 0)
    );
    assert!(
        !folder.path().join("batches").join(&id).exists(),
        "an ended batch leaves no folder"
    );
}

async fn each_once_in_its_place(house: &House, key: &str, done: &Value) {
    let path = format!("/v1/files/{}/content", done["output_file_id"].as_str().unwrap());
    let output = ask(house.address, Method::GET, &path, key).await.unwrap();
    let ids: Vec<String> = output
        .text()
        .lines()
        .map(|line| {
            let line: Value = serde_json::from_str(line).unwrap();
            assert_eq!(line["response"]["status_code"], 200, "{line}");
            assert!(line["response"]["body"]["choices"][0]["message"]["content"].is_string());
            line["custom_id"].as_str().unwrap().to_owned()
        })
        .collect();
    let expected: Vec<String> = (0..LINES).map(|line| format!("line-{line}")).collect();
    assert!(
        ids == expected,
        "each line is in the output once, in its place: {} lines",
        ids.len()
    );
}

fn count(batch: &Value) -> usize {
    batch["request_counts"]["completed"].as_u64().unwrap() as usize
}

async fn wait(house: &House, key: &str, id: &str, is: impl Fn(&Value) -> bool) -> Value {
    let until = Instant::now() + Duration::from_secs(120);
    loop {
        let batch = ask(house.address, Method::GET, &format!("/v1/batches/{id}"), key).await;
        let batch = batch.unwrap().json();
        if is(&batch) {
            return batch;
        }
        assert!(Instant::now() < until, "{batch}\n{}", house.said());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The moment between the journal and the results: a line is in the ledger, but its answer was lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_that_was_charged_before_its_answer_was_lost_is_not_charged_again() {
    let sim = SimServer::local(SimOptions::default()).await.unwrap();
    let folder = folder(&format!(
        "providers: {{ o: {{ kind: openai, base_url: \"http://{}/v1\", auth: {{ api_key: sk-sim }} }} }}\n",
        sim.address()
    ));
    let key = key(folder.path(), NewKey::default());
    let house = House::open(folder.path());
    let line = |id: &str| {
        let body = json!({"model": "o/gpt-5-mini", "messages": [{"role": "user", "content": id}]});
        json!({"custom_id": id, "method": "POST", "url": "/v1/chat/completions", "body": body})
    };
    let input = format!("{}\n{}\n", line("one"), line("two"));
    let file = upload(house.address, &key, &[("purpose", "batch")], input.as_bytes())
        .await
        .unwrap()
        .json();
    house.stop();
    let store = store(folder.path());
    let owner = store.keys().unwrap()[0].id.clone();
    let asked = NewBatch {
        tenant: format!("key:{}", owner.as_str()).into(),
        owner: Some(owner.clone()),
        api: BatchApi::OpenAi,
        endpoint: "/v1/chat/completions".to_owned(),
        input: file["id"].as_str().unwrap().into(),
        metadata: None,
        keep: 3_600,
        total: 0,
        created_at: file["created_at"].as_i64().unwrap(),
        expires_at: file["created_at"].as_i64().unwrap() + 3_600,
    };
    let batch = store.create_batch(asked, 1).unwrap();
    let before = recorded(batch.request_id(1), owner);
    store.insert_ledger(std::slice::from_ref(&before)).unwrap();
    let house = House::open(folder.path());
    let done = wait(&house, &key, batch.id.as_str(), |batch| {
        batch["status"] == "completed"
    })
    .await;
    assert_eq!(done["request_counts"]["completed"], 2);
    house.stop();
    let mut entries = ledger(folder.path());
    entries.sort_by(|one, other| one.id.cmp(&other.id));
    assert_eq!(entries.len(), 2);
    assert_eq!(entries[0], before);
    assert!(entries[1].cost.nanodollars() > 0);
}

/// A line as the ledger has it.
fn recorded(id: RequestId, owner: KeyId) -> LedgerEntry {
    LedgerEntry {
        id,
        at: 1,
        key: Some(owner),
        team: None,
        user: None,
        surface: "/v1/chat/completions".to_owned(),
        model_requested: "o/gpt-5-mini".to_owned(),
        provider: Some("o".to_owned()),
        model: Some("gpt-5-mini".to_owned()),
        decision: None,
        outcome: Outcome::Complete,
        usage: Usage::default(),
        usage_estimated: false,
        cost: Money::from_nanodollars(123),
        attempts: 1,
        streamed: false,
        status: 200,
        latency_us: 1,
        ttft_us: None,
        cache: "bypass".to_owned(),
        organization: None,
        project: None,
        saved: Money::ZERO,
        customer: None,
        agent: None,
        tags: Vec::new(),
    }
}
