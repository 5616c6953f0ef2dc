//! Batches of both APIs: run, cancelled, expired, told in each one's shapes; and never in anybody's way.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use http::Method;
use pointsman_store::{NewKey, Outcome};
use pointsman_testbed::{SimOptions, SimServer};
use serde_json::{Value, json};

use crate::harness::{Answer, House, ask, folder, key, ledger, post, store, upload};

/// Nothing comes; after two seconds the gateway gives up.
const STALLED: &str = "stalled";

/// A gateway before an OpenAI `o` and an Anthropic `a`.
pub struct Site {
    pub folder: tempfile::TempDir,
    pub house: House,
    pub key: String,
    pub sim: SimServer,
}

impl Site {
    /// Its configuration goes on with more models, indented, and other blocks.
    pub async fn open(options: SimOptions, grant: NewKey, rest: &str) -> Self {
        Self::open_with(options, grant, rest, "openai").await
    }

    /// One that has another OpenAI `odd`, of this kind.
    pub async fn open_with(options: SimOptions, grant: NewKey, rest: &str, kind: &str) -> Self {
        let sim = SimServer::local(options).await.unwrap();
        let at = sim.address();
        let folder = folder(&format!(
            "providers:\n  o: {{ kind: openai, base_url: \"http://{at}/v1\", auth: {{ api_key: sk-sim }}, retry: {{ attempts: 1 }}, timeouts: {{ first_byte: 2s }} }}\n  a: {{ kind: anthropic, base_url: \"http://{at}\", auth: {{ api_key: sk-sim }} }}\n  odd: {{ kind: {kind}, base_url: \"http://{at}/v1\", auth: {{ api_key: sk-sim }} }}\nmodels:\n  stalled: {{ targets: [ {{ provider: o, model: m+fault=stall-before-head }} ] }}\n{rest}"
        ));
        let key = key(folder.path(), grant);
        let house = House::open(folder.path());
        Self {
            folder,
            house,
            key,
            sim,
        }
    }

    pub fn at(&self) -> SocketAddr {
        self.house.address
    }

    pub async fn get(&self, path: &str) -> Answer {
        ask(self.at(), Method::GET, path, &self.key).await.unwrap()
    }

    /// A batch of these lines.
    pub async fn create(&self, lines: &[Value]) -> Value {
        let input: String = lines.iter().map(|line| format!("{line}\n")).collect();
        let file = upload(self.at(), &self.key, &[("purpose", "batch")], input.as_bytes())
            .await
            .unwrap();
        let endpoint = lines[0]["url"].as_str().unwrap_or("/v1/chat/completions");
        let body = json!({"input_file_id": file.json()["id"], "endpoint": endpoint, "completion_window": "24h", "metadata": {"a": "b"}});
        let batch = post(self.at(), "/v1/batches", &self.key, &body).await.unwrap();
        assert_eq!(batch.status, 200, "{}", batch.text());
        batch.json()
    }

    pub async fn until(&self, path: &str, is: impl Fn(&Value) -> bool) -> Value {
        let until = Instant::now() + Duration::from_secs(30);
        loop {
            let batch = self.get(path).await.json();
            if is(&batch) {
                return batch;
            }
            assert!(Instant::now() < until, "{batch}\n{}", self.house.said());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub async fn ended(&self, batch: &Value) -> Value {
        let path = format!("/v1/batches/{}", batch["id"].as_str().unwrap());
        self.until(&path, |batch| {
            ["completed", "failed", "expired", "cancelled"].contains(&batch["status"].as_str().unwrap())
        })
        .await
    }

    /// The lines of one of its files.
    pub async fn lines(&self, batch: &Value, file: &str) -> Vec<Value> {
        let Some(id) = batch[file].as_str() else {
            return Vec::new();
        };
        let content = self.get(&format!("/v1/files/{id}/content")).await;
        parsed(content.text())
    }
}

/// JSON, line by line.
pub fn parsed(lines: &str) -> Vec<Value> {
    lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// A line of a batch.
pub fn line(id: &str, model: &str) -> Value {
    let body = json!({"model": model, "messages": [{"role": "user", "content": id}]});
    json!({"custom_id": id, "method": "POST", "url": "/v1/chat/completions", "body": body})
}

/// One line that is answered, and then some that take two seconds each, in vain.
fn slow() -> Vec<Value> {
    let models = std::iter::once("o/gpt-5-mini").chain([STALLED; 10]);
    let lines = models.enumerate();
    lines.map(|(at, model)| line(&format!("l{at}"), model)).collect()
}

fn many() -> Vec<Value> {
    (0..5_000)
        .map(|at| line(&format!("l{at}"), "o/gpt-5-mini"))
        .collect()
}

#[tokio::test]
async fn answers_and_errors_go_to_their_files_in_order() {
    let site = Site::open(SimOptions::default(), NewKey::default(), "").await;
    let mut streamed = line("streamed", "o/gpt-5-mini");
    streamed["body"]["stream"] = true.into();
    let lines = [
        line("one", "o/gpt-5-mini"),
        line("nowhere", "no-such-model"),
        line("across", "a/claude-haiku-4-5"),
        streamed,
    ];
    let batch = site.create(&lines).await;
    assert_eq!(
        (&batch["object"], &batch["status"]),
        (&"batch".into(), &"validating".into())
    );
    assert_eq!(batch["metadata"], json!({"a": "b"}));
    let done = site.ended(&batch).await;
    assert_eq!(done["status"], "completed", "{done}");
    assert_eq!(
        done["request_counts"],
        json!({"total": 4, "completed": 2, "failed": 2})
    );
    assert!(
        done["completed_at"].is_i64() && done["in_progress_at"].is_i64() && done["cancelled_at"].is_null()
    );
    let output = site.lines(&done, "output_file_id").await;
    assert_eq!(output.len(), 2);
    for (line, id) in output.iter().zip(["one", "across"]) {
        assert_eq!((&line["custom_id"], &line["error"]), (&id.into(), &Value::Null));
        assert_eq!(line["response"]["status_code"], 200);
        let said = &line["response"]["body"]["choices"][0]["message"]["content"];
        assert_eq!(*said, format!("You said: {id}"), "{line}");
    }
    let errors = site.lines(&done, "error_file_id").await;
    let told: Vec<_> = errors
        .iter()
        .map(|line| {
            (
                line["custom_id"].as_str().unwrap(),
                line["response"]["status_code"].as_u64().unwrap(),
            )
        })
        .collect();
    assert_eq!(told, [("nowhere", 404), ("streamed", 400)]);
    assert!(
        errors[0]["response"]["body"]["error"]["message"]
            .as_str()
            .unwrap()
            .contains("no-such-model")
    );
    let files = site.get("/v1/files?purpose=batch_output").await.json();
    assert_eq!(files["data"].as_array().unwrap().len(), 2);
    let list = site.get("/v1/batches?limit=1").await.json();
    assert_eq!((&list["data"][0], &list["has_more"]), (&done, &false.into()));
}

#[tokio::test]
async fn a_file_that_makes_no_sense_fails_with_the_numbers_of_its_lines() {
    let site = Site::open(SimOptions::default(), NewKey::default(), "").await;
    let mut elsewhere = line("b", "o/m");
    elsewhere["url"] = "/v1/responses".into();
    let lines = [line("a", "o/m"), line("a", "o/m"), elsewhere, json!("no object")];
    let done = site.ended(&site.create(&lines).await).await;
    assert_eq!(
        (&done["status"], &done["output_file_id"]),
        (&"failed".into(), &Value::Null)
    );
    let told: Vec<_> = done["errors"]["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|problem| {
            (
                problem["code"].as_str().unwrap(),
                problem["line"].as_u64().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("duplicate_custom_id", 2),
            ("mismatched_endpoint", 3),
            ("invalid_json_line", 4)
        ]
    );
    assert!(ledger(site.folder.path()).is_empty(), "nothing was sent");
}

#[tokio::test]
async fn a_cancelled_batch_keeps_what_was_answered_and_sends_no_more() {
    let site = Site::open(
        SimOptions::default(),
        NewKey::default(),
        "batches: { concurrency: 1 }\n",
    )
    .await;
    let lines = slow();
    let batch = site.create(&lines).await;
    let path = format!("/v1/batches/{}", batch["id"].as_str().unwrap());
    site.until(&path, |batch| {
        batch["request_counts"]["completed"].as_u64() > Some(0)
    })
    .await;
    let cancel = post(site.at(), &format!("{path}/cancel"), &site.key, &json!({}))
        .await
        .unwrap();
    assert_eq!(cancel.json()["status"], "cancelling");
    let done = site.ended(&batch).await;
    assert_eq!(done["status"], "cancelled");
    let (output, errors) = (
        site.lines(&done, "output_file_id").await,
        site.lines(&done, "error_file_id").await,
    );
    assert!(output.len() == 1 && errors.len() == 10);
    let sent = |line: &&Value| !line["response"].is_null();
    let unsent = errors.iter().filter(|line| !sent(line));
    assert!(unsent.clone().count() >= 8, "lines went on: {errors:?}");
    assert!(
        unsent
            .clone()
            .all(|line| line["error"]["code"] == "batch_cancelled")
    );
    // Lines under way were waited for, not given up.
    let expected = 1 + errors.iter().filter(sent).count();
    let until = Instant::now() + Duration::from_secs(10);
    let entries = loop {
        let entries = ledger(site.folder.path());
        if entries.len() >= expected {
            break entries;
        }
        assert!(Instant::now() < until, "{entries:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!(entries.len(), expected);
    assert!(entries.iter().all(|entry| entry.outcome != Outcome::Cancelled));
    let again = post(site.at(), &format!("{path}/cancel"), &site.key, &json!({}))
        .await
        .unwrap();
    assert_eq!(again.status, 400);
}

#[tokio::test]
async fn what_is_not_sent_in_time_expires_and_says_so() {
    let site = Site::open(
        SimOptions::default(),
        NewKey::default(),
        "batches: { concurrency: 1, window: 3s }\n",
    )
    .await;
    let lines = slow();
    let done = site.ended(&site.create(&lines).await).await;
    assert_eq!(done["status"], "expired");
    let (output, errors) = (
        site.lines(&done, "output_file_id").await,
        site.lines(&done, "error_file_id").await,
    );
    assert!(output.len() == 1 && errors.len() == 10, "{done}");
    let expired = errors.iter().filter(|line| line["response"].is_null());
    assert!(expired.clone().count() >= 7, "lines went on: {errors:?}");
    assert!(
        expired
            .clone()
            .all(|line| line["error"]["code"] == "batch_expired")
    );
}

#[tokio::test]
async fn anthropics_batches_have_their_own_shapes() {
    let site = Site::open(SimOptions::default(), NewKey::default(), "").await;
    let request = |id: &str, model: &str| {
        let params = json!({"model": model, "max_tokens": 50, "messages": [{"role": "user", "content": format!("{id}\nthere")}]});
        json!({"custom_id": id, "params": params})
    };
    let body = json!({"requests": [request("one", "a/claude-haiku-4-5"), request("two", "nowhere"), request("three", "o/gpt-5-mini")]});
    // As it is printed for people: with line breaks.
    let pretty = http::Request::post("/anthropic/v1/messages/batches")
        .header("x-api-key", &site.key)
        .body(serde_json::to_string_pretty(&body).unwrap())
        .unwrap();
    let batch = crate::harness::send(site.at(), pretty).await.unwrap();
    assert_eq!(batch.status, 200, "{}", batch.text());
    let batch = batch.json();
    assert_eq!(
        (&batch["type"], &batch["processing_status"]),
        (&"message_batch".into(), &"in_progress".into())
    );
    assert_eq!(batch["request_counts"]["processing"], 3);
    let path = format!("/v1/messages/batches/{}", batch["id"].as_str().unwrap());
    let done = site
        .until(&path, |batch| batch["processing_status"] == "ended")
        .await;
    let counts = json!({"processing": 0, "succeeded": 2, "errored": 1, "canceled": 0, "expired": 0});
    assert_eq!(done["request_counts"], counts);
    assert_eq!(done["results_url"], format!("http://{}{path}/results", site.at()));
    let results = parsed(site.get(&format!("{path}/results")).await.text());
    assert_eq!(results.len(), 3);
    assert_eq!(results[0]["custom_id"], "one");
    assert_eq!(results[0]["result"]["type"], "succeeded");
    assert_eq!(
        results[0]["result"]["message"]["content"][0]["text"],
        "You said: one\nthere"
    );
    assert_eq!(results[1]["result"]["type"], "errored");
    assert_eq!(results[1]["result"]["error"]["type"], "error");
    assert_eq!(results[1]["result"]["error"]["error"]["type"], "not_found_error");
    assert_eq!(results[2]["result"]["message"]["type"], "message");
}

/// A batch of one request, and its path.
async fn created(site: &Site) -> String {
    let params = json!({"model": "a/claude-haiku-4-5", "max_tokens": 50, "messages": [{"role": "user", "content": "hi"}]});
    let body = json!({"requests": [{"custom_id": "one", "params": params}]});
    let batch = post(site.at(), "/v1/messages/batches", &site.key, &body)
        .await
        .unwrap()
        .json();
    let path = format!("/v1/messages/batches/{}", batch["id"].as_str().unwrap());
    site.until(&path, |batch| batch["processing_status"] == "ended")
        .await;
    path
}

#[tokio::test]
async fn anthropics_batches_are_nobody_elses_and_can_be_deleted() {
    let site = Site::open(SimOptions::default(), NewKey::default(), "").await;
    let path = created(&site).await;
    // Its files are the gateway's own.
    assert_eq!(site.get("/v1/files").await.json()["data"], json!([]));
    assert_eq!(site.get("/v1/batches").await.json()["data"], json!([]));
    // Nobody else has it.
    let other = key(site.folder.path(), NewKey::default());
    tokio::time::sleep(Duration::from_millis(700)).await;
    for path in [path.clone(), format!("{path}/results")] {
        let answer = ask(site.at(), Method::GET, &path, &other).await.unwrap();
        assert_eq!(answer.status, 404, "{path}: {}", answer.text());
    }
    for (method, path) in [
        (Method::POST, format!("{path}/cancel")),
        (Method::DELETE, path.clone()),
    ] {
        let answer = ask(site.at(), method, &path, &other).await.unwrap();
        assert_eq!(answer.status, 404, "{path}: {}", answer.text());
    }
    let deleted = ask(site.at(), Method::DELETE, &path, &site.key)
        .await
        .unwrap()
        .json();
    assert_eq!(deleted["type"], "message_batch_deleted");
    assert_eq!(site.get(&path).await.status, 404);
}

#[tokio::test]
async fn anthropics_requests_are_checked_when_they_come() {
    let site = Site::open(SimOptions::default(), NewKey::default(), "").await;
    for (requests, said) in [
        (json!([]), "requests"),
        (
            json!([{"custom_id": "a b", "params": {}}]),
            "requests.0.custom_id",
        ),
        (
            json!([{"custom_id": "a", "params": {}}, {"custom_id": "a", "params": {}}]),
            "requests.1.custom_id",
        ),
        (json!([{"custom_id": "a", "params": []}]), "requests.0.params"),
    ] {
        let answer = post(
            site.at(),
            "/v1/messages/batches",
            &site.key,
            &json!({"requests": requests}),
        )
        .await
        .unwrap();
        assert!(
            answer.status == 400 && answer.text().contains(said),
            "{}",
            answer.text()
        );
    }
}

#[tokio::test]
async fn its_owners_limits_slow_a_batch_down_but_fail_no_line() {
    let grant = NewKey {
        concurrency: Some(1),
        ..NewKey::default()
    };
    let site = Site::open(SimOptions::default(), grant, "batches: { concurrency: 8 }\n").await;
    let lines: Vec<_> = (0..10)
        .map(|at| line(&format!("l{at}"), "o/gpt-5-mini"))
        .collect();
    let done = site.ended(&site.create(&lines).await).await;
    assert_eq!(
        done["request_counts"],
        json!({"total": 10, "completed": 10, "failed": 0}),
        "{done}"
    );
}

#[tokio::test]
async fn a_revoked_key_sends_no_more_lines() {
    let site = Site::open(
        SimOptions::default(),
        NewKey::default(),
        "batches: { concurrency: 1 }\n",
    )
    .await;
    let lines = slow();
    site.create(&lines).await;
    let store = store(site.folder.path());
    let until = Instant::now() + Duration::from_secs(20);
    while ledger(site.folder.path()).is_empty() {
        assert!(Instant::now() < until);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let owner = store.keys().unwrap()[0].id.clone();
    store.revoke_key(&owner).unwrap();
    while !store.open_batches(9).unwrap().is_empty() {
        assert!(Instant::now() < until);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(
        ledger(site.folder.path()).len() <= 3,
        "lines went on after the key was revoked"
    );
}

#[tokio::test]
async fn lines_wait_while_somebody_waits_for_an_answer() {
    let rest = "batches: { concurrency: 8, busy_concurrency: 0 }\n";
    let site = Site::open(SimOptions::default(), NewKey::default(), rest).await;
    // A client whose answer takes its time.
    let (at, key) = (site.at(), site.key.clone());
    let waiting = tokio::spawn(async move {
        let body = json!({"model": STALLED, "messages": [{"role": "user", "content": "hi"}]});
        post(at, "/v1/chat/completions", &key, &body)
            .await
            .unwrap()
            .status
    });
    tokio::time::sleep(Duration::from_millis(400)).await;
    let lines: Vec<_> = (0..20)
        .map(|at| line(&format!("l{at}"), "o/gpt-5-mini"))
        .collect();
    let batch = site.create(&lines).await;
    tokio::time::sleep(Duration::from_millis(700)).await;
    let path = format!("/v1/batches/{}", batch["id"].as_str().unwrap());
    assert!(!waiting.is_finished(), "the test proves nothing");
    assert_eq!(site.get(&path).await.json()["request_counts"]["completed"], 0);
    assert_eq!(waiting.await.unwrap(), 504);
    assert_eq!(site.ended(&batch).await["request_counts"]["completed"], 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_graceful_stop_waits_for_lines_and_goes_on_at_the_next_start() {
    let mut site = Site::open(
        SimOptions::default(),
        NewKey::default(),
        "batches: { concurrency: 4 }\n",
    )
    .await;
    let lines = many();
    let batch = site.create(&lines).await;
    let path = format!("/v1/batches/{}", batch["id"].as_str().unwrap());
    site.until(&path, |batch| {
        batch["request_counts"]["completed"].as_u64() > Some(0)
    })
    .await;
    let stopping = std::mem::replace(&mut site.house, House::open(site.folder.path()));
    stopping.stop();
    let done = site.ended(&batch).await;
    assert_eq!(
        done["request_counts"],
        json!({"total": 5_000, "completed": 5_000, "failed": 0})
    );
    drop(site.house);
    let entries = ledger(site.folder.path());
    assert!(
        entries.iter().all(|entry| entry.outcome == Outcome::Complete),
        "{entries:?}"
    );
}
