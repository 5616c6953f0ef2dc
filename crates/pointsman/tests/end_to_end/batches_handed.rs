//! Batches that providers run in batches of their own: handed over, brought home, and paid for at their price.

use std::time::{Duration, Instant};

use http::Method;
use pointsman_catalog::{Catalog, Money, ServiceTier};
use pointsman_store::{Budget, BudgetWindow, LedgerEntry, NewKey, Outcome};
use pointsman_testbed::{BatchOptions, GuardFault, GuardServer, SimOptions};
use serde_json::{Value, json};

use crate::batches::{Site, line, parsed};
use crate::harness::{ask, ledger, post};

const AUTO: &str = "batches: { mode: auto }\n";

fn paced(milliseconds: u64) -> SimOptions {
    SimOptions {
        batches: BatchOptions {
            pace: Duration::from_millis(milliseconds),
            ..BatchOptions::default()
        },
        ..SimOptions::default()
    }
}

/// The batches that the provider has, of either API.
pub async fn at_provider(site: &Site) -> Vec<Value> {
    let mut all = Vec::new();
    for path in ["/v1/batches?limit=100", "/v1/messages/batches?limit=100"] {
        let mut headers = http::HeaderMap::new();
        headers.insert(http::header::AUTHORIZATION, "Bearer sk-sim".parse().unwrap());
        headers.insert("x-api-key", "sk-sim".parse().unwrap());
        headers.insert("anthropic-version", "2023-06-01".parse().unwrap());
        let told = crate::harness::exchange(
            site.sim.address(),
            Method::GET,
            path,
            headers,
            bytes::Bytes::new(),
        );
        let told = told.await.unwrap();
        assert_eq!(told.status, 200, "{}", told.text());
        all.extend(told.json()["data"].as_array().unwrap().iter().cloned());
    }
    all
}

/// The ledger, as soon as it has so many entries.
pub async fn entries(site: &Site, count: usize) -> Vec<LedgerEntry> {
    let until = Instant::now() + Duration::from_secs(10);
    loop {
        let mut entries = ledger(site.folder.path());
        if entries.len() >= count {
            entries.sort_by(|one, other| one.id.cmp(&other.id));
            return entries;
        }
        assert!(Instant::now() < until, "{entries:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A batch of Anthropic's API.
pub async fn requests(site: &Site, all: &[(&str, &str)]) -> Value {
    let requests: Vec<Value> = all
        .iter()
        .map(|(id, model)| {
            let params =
                json!({"model": model, "max_tokens": 50, "messages": [{"role": "user", "content": id}]});
            json!({"custom_id": id, "params": params})
        })
        .collect();
    let body = json!({"requests": requests});
    let batch = post(site.at(), "/v1/messages/batches", &site.key, &body)
        .await
        .unwrap();
    assert_eq!(batch.status, 200, "{}", batch.text());
    batch.json()
}

/// What an answer costs at these rates, nano-dollars for a token.
fn cost(entry: &LedgerEntry, input: i64, output: i64) -> Money {
    let usage = &entry.usage;
    assert_eq!((usage.cache_read, usage.cache_write), (0, 0));
    Money::from_nanodollars(usage.input as i64 * input + usage.output as i64 * output)
}

#[tokio::test]
async fn openais_lines_go_into_a_batch_of_openais_at_half_the_price() {
    let rest = format!("  cheap: {{ targets: [ {{ provider: o, model: gpt-5-mini }} ] }}\n{AUTO}");
    let site = Site::open(SimOptions::default(), NewKey::default(), &rest).await;
    let mut streamed = line("streamed", "cheap");
    streamed["body"]["stream"] = true.into();
    let mut refused = line("refused", "cheap");
    refused["body"]["messages"] = json!("none");
    let mut refused_there = line("refused \"there\"", "cheap");
    refused_there["body"]["frobnicate"] = 1.into();
    let lines = [
        line("one", "cheap"),
        streamed,
        line("nowhere", "no-such-model"),
        refused,
        refused_there,
        line("zwö", "o/gpt-5-mini"),
    ];
    let batch = site.create(&lines).await;
    assert_eq!(batch["metadata"]["a"], "b");
    let done = site.ended(&batch).await;
    assert_eq!(done["status"], "completed", "{done}\n{}", site.house.said());
    assert_eq!(done["metadata"], json!({"a": "b", "pointsman_run_by": "o"}));
    assert_eq!(done["request_counts"]["total"], 6);
    let output = site.lines(&done, "output_file_id").await;
    let said: Vec<_> = output
        .iter()
        .map(|line| {
            let body = &line["response"]["body"];
            (
                line["custom_id"].as_str().unwrap(),
                body["choices"][0]["message"]["content"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(said, [("one", "You said: one"), ("zwö", "You said: zwö")]);
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
    let expected = [
        ("streamed", 400),
        ("nowhere", 404),
        ("refused", 400),
        ("refused \"there\"", 400),
    ];
    assert_eq!(told, expected, "{errors:?}");
    only_what_could_go_was_sent(&site).await;
    answers_cost_half(&site).await;
}

async fn only_what_could_go_was_sent(site: &Site) {
    // One batch there, whose file had the lines that could go, under their own names and the target's name.
    assert_eq!(at_provider(site).await.len(), 1);
    let served = site.sim.served();
    let files: Vec<_> = served
        .iter()
        .filter(|one| one.method == "POST" && one.path == "/v1/files")
        .collect();
    assert_eq!(files.len(), 1);
    let sent: Vec<Value> = parsed(
        &files[0]
            .body
            .lines()
            .filter(|line| line.starts_with('{'))
            .map(|line| format!("{line}\n"))
            .collect::<String>(),
    );
    let names: Vec<_> = sent
        .iter()
        .map(|line| line["custom_id"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["one", "refused \"there\"", "zwö"]);
    assert!(
        sent.iter()
            .all(|line| line["body"]["model"] == "gpt-5-mini" && line["url"] == "/v1/chat/completions")
    );
    assert!(!files[0].body.contains("pm-"), "the client's key went out");
}

async fn answers_cost_half(site: &Site) {
    // $0.125 and $1 for a million: half of 0.25 and 2.
    let entries = entries(site, 3).await;
    let answered: Vec<_> = entries
        .iter()
        .filter(|entry| entry.outcome == Outcome::Complete)
        .collect();
    assert_eq!(answered.len(), 2, "{entries:?}");
    for entry in answered {
        assert!(entry.usage.input > 0 && entry.usage.output > 0);
        assert_eq!(entry.cost, cost(entry, 125, 1_000));
        assert_eq!(
            (entry.provider.as_deref(), entry.model.as_deref()),
            (Some("o"), Some("gpt-5-mini"))
        );
    }
    assert!(
        entries
            .iter()
            .all(|entry| entry.outcome == Outcome::Complete || entry.cost == Money::ZERO)
    );
}

#[tokio::test]
async fn anthropics_requests_go_into_a_batch_of_anthropics_at_half_the_price() {
    let site = Site::open(SimOptions::default(), NewKey::default(), AUTO).await;
    let batch = requests(
        &site,
        &[
            ("one", "a/claude-haiku-4-5"),
            ("two", "nowhere"),
            ("three", "a/claude-haiku-4-5"),
        ],
    )
    .await;
    assert!(batch.get("metadata").is_none());
    let path = format!("/v1/messages/batches/{}", batch["id"].as_str().unwrap());
    let done = site
        .until(&path, |batch| batch["processing_status"] == "ended")
        .await;
    assert_eq!(
        done["metadata"],
        json!({"pointsman_run_by": "a"}),
        "{}",
        site.house.said()
    );
    let counts = json!({"processing": 0, "succeeded": 2, "errored": 1, "canceled": 0, "expired": 0});
    assert_eq!(done["request_counts"], counts);
    let results = parsed(site.get(&format!("{path}/results")).await.text());
    let told: Vec<_> = results
        .iter()
        .map(|line| {
            (
                line["custom_id"].as_str().unwrap(),
                line["result"]["type"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [("one", "succeeded"), ("two", "errored"), ("three", "succeeded")]
    );
    assert_eq!(
        results[2]["result"]["message"]["content"][0]["text"],
        "You said: three"
    );
    assert_eq!(at_provider(&site).await.len(), 1);
    for entry in entries(&site, 2)
        .await
        .iter()
        .filter(|entry| entry.outcome == Outcome::Complete)
    {
        assert_eq!(entry.cost, cost(entry, 500, 2_500));
        assert_eq!(entry.provider.as_deref(), Some("a"));
    }
}

#[tokio::test]
async fn a_batch_of_either_api_goes_into_one_of_the_other() {
    let site = Site::open(SimOptions::default(), NewKey::default(), AUTO).await;
    let to_anthropic = site
        .create(&[
            line("one: ä", "a/claude-haiku-4-5"),
            line("two", "a/claude-haiku-4-5"),
        ])
        .await;
    let to_openai = requests(&site, &[("three", "o/gpt-5-mini")]).await;
    let done = site.ended(&to_anthropic).await;
    assert_eq!(done["metadata"]["pointsman_run_by"], "a", "{}", site.house.said());
    let output = site.lines(&done, "output_file_id").await;
    assert_eq!(output.len(), 2, "{done}");
    assert_eq!(output[0]["custom_id"], "one: ä");
    assert_eq!(output[0]["response"]["body"]["object"], "chat.completion");
    assert_eq!(
        output[0]["response"]["body"]["choices"][0]["message"]["content"],
        "You said: one: ä"
    );
    let path = format!("/v1/messages/batches/{}", to_openai["id"].as_str().unwrap());
    let done = site
        .until(&path, |batch| batch["processing_status"] == "ended")
        .await;
    assert_eq!(done["metadata"]["pointsman_run_by"], "o");
    let results = parsed(site.get(&format!("{path}/results")).await.text());
    assert_eq!(results[0]["result"]["message"]["type"], "message", "{results:?}");
    assert_eq!(
        results[0]["result"]["message"]["content"][0]["text"],
        "You said: three"
    );
    assert_eq!(at_provider(&site).await.len(), 2);
    for entry in entries(&site, 3).await {
        let (input, output) = if entry.provider.as_deref() == Some("a") {
            (500, 2_500)
        } else {
            (125, 1_000)
        };
        assert_eq!(entry.cost, cost(&entry, input, output));
    }
}

#[tokio::test]
async fn what_does_not_go_to_one_target_is_run_line_by_line() {
    let rest = format!(
        "  two: {{ targets: [ {{ provider: o, model: gpt-5-mini }}, {{ provider: a, model: claude-haiku-4-5 }} ] }}\n{AUTO}"
    );
    let site = Site::open(SimOptions::default(), NewKey::default(), &rest).await;
    let response = json!({"custom_id": "e", "method": "POST", "url": "/v1/responses",
                          "body": {"model": "o/gpt-5-mini", "input": "x"}});
    for lines in [
        vec![line("one", "o/gpt-5-mini"), line("two", "a/claude-haiku-4-5")],
        vec![line("one", "two")],
        vec![response],
    ] {
        let done = site.ended(&site.create(&lines).await).await;
        assert_eq!(done["metadata"]["pointsman_run_by"], "pointsman", "{done}");
        assert_eq!(done["request_counts"]["completed"], lines.len(), "{done}");
    }
    assert!(at_provider(&site).await.is_empty());
    // Who asks for nothing is told nothing.
    let own = Site::open(SimOptions::default(), NewKey::default(), "").await;
    let done = own.ended(&own.create(&[line("one", "o/gpt-5-mini")]).await).await;
    assert_eq!(done["metadata"], json!({"a": "b"}));
}

#[tokio::test]
async fn a_batch_that_its_provider_refuses_is_run_line_by_line() {
    let rest = format!(
        "  odd: {{ targets: [ {{ provider: odd, model: gpt-5-mini }} ] }}\ncatalog: {{ providers: {{ odd: {{ batch: {{ interface: openai, percent: 50, max_lines: 10, max_bytes: 100000 }}, endpoints: {{ batches: /nowhere, files: /files }} }} }} }}\n{AUTO}"
    );
    let site = Site::open_with(SimOptions::default(), NewKey::default(), &rest, "odd").await;
    let done = site.ended(&site.create(&[line("one", "odd")]).await).await;
    assert_eq!(done["status"], "completed", "{done}\n{}", site.house.said());
    assert_eq!(done["metadata"]["pointsman_run_by"], "pointsman");
    assert_eq!(done["request_counts"]["completed"], 1);
}

#[tokio::test]
async fn a_cancelled_batch_is_cancelled_at_its_provider_and_keeps_what_was_answered() {
    let site = Site::open(paced(30), NewKey::default(), AUTO).await;
    let lines: Vec<_> = (0..300)
        .map(|at| line(&format!("l{at}"), "o/gpt-5-mini"))
        .collect();
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
    assert_eq!(done["status"], "cancelled", "{}", site.house.said());
    assert_eq!(at_provider(&site).await[0]["status"], "cancelled");
    let output = site.lines(&done, "output_file_id").await;
    let errors = site.lines(&done, "error_file_id").await;
    assert!(!output.is_empty() && output.len() < 300, "{done}");
    assert_eq!(output.len() + errors.len(), 300);
    assert!(
        errors
            .iter()
            .all(|line| line["error"]["code"] == "batch_cancelled")
    );
    assert_eq!(entries(&site, output.len()).await.len(), output.len());

    let all: Vec<String> = (0..300).map(|at| format!("l{at}")).collect();
    let all: Vec<(&str, &str)> = all.iter().map(|id| (id.as_str(), "a/claude-haiku-4-5")).collect();
    let batch = requests(&site, &all).await;
    let path = format!("/v1/messages/batches/{}", batch["id"].as_str().unwrap());
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    post(site.at(), &format!("{path}/cancel"), &site.key, &json!({}))
        .await
        .unwrap();
    let done = site
        .until(&path, |batch| batch["processing_status"] == "ended")
        .await;
    let counts = &done["request_counts"];
    assert!(counts["canceled"].as_u64() > Some(0), "{done}");
    assert_eq!(
        counts["canceled"].as_u64().unwrap() + counts["succeeded"].as_u64().unwrap(),
        300
    );
}

#[tokio::test]
async fn what_a_provider_did_not_reach_in_time_is_told_as_expired() {
    let options = SimOptions {
        batches: BatchOptions {
            expire_after: Some(2),
            ..BatchOptions::default()
        },
        ..SimOptions::default()
    };
    let site = Site::open(options, NewKey::default(), AUTO).await;
    let lines: Vec<_> = (0..5).map(|at| line(&format!("l{at}"), "o/gpt-5-mini")).collect();
    let done = site.ended(&site.create(&lines).await).await;
    assert_eq!(done["status"], "expired");
    let (output, errors) = (
        site.lines(&done, "output_file_id").await,
        site.lines(&done, "error_file_id").await,
    );
    assert_eq!((output.len(), errors.len()), (2, 3));
    assert!(errors.iter().all(|line| line["error"]["code"] == "batch_expired"));
    let all: Vec<(&str, &str)> = ["x", "y", "z"]
        .iter()
        .map(|id| (*id, "a/claude-haiku-4-5"))
        .collect();
    let batch = requests(&site, &all).await;
    let path = format!("/v1/messages/batches/{}", batch["id"].as_str().unwrap());
    let done = site
        .until(&path, |batch| batch["processing_status"] == "ended")
        .await;
    assert_eq!(
        (
            &done["request_counts"]["succeeded"],
            &done["request_counts"]["expired"]
        ),
        (&json!(2), &json!(1))
    );
    assert_eq!(entries(&site, 4).await.len(), 4);
}

#[tokio::test]
async fn guardrails_see_every_line_before_it_goes_and_every_answer_that_comes() {
    let rest = format!(
        "guardrails:\n  - {{ name: in, type: regex, on: [input], action: block, deny: [\"secret\"] }}\n  - {{ name: out, type: regex, on: [output], action: block, deny: [\"You said: falcon\"] }}\n{AUTO}"
    );
    let site = Site::open(SimOptions::default(), NewKey::default(), &rest).await;
    let lines = ["secret", "falcon", "sparrow"].map(|id| line(id, "o/gpt-5-mini"));
    let done = site.ended(&site.create(&lines).await).await;
    assert_eq!(done["metadata"]["pointsman_run_by"], "o", "{}", site.house.said());
    let output = site.lines(&done, "output_file_id").await;
    assert_eq!((output.len(), &output[0]["custom_id"]), (1, &json!("sparrow")));
    let errors = site.lines(&done, "error_file_id").await;
    for (error, guard) in errors.iter().zip(["in", "out"]) {
        assert_eq!(error["response"]["status_code"], 403);
        let message = error["response"]["body"]["error"]["message"].as_str().unwrap();
        assert!(message.contains(&format!("guardrail \"{guard}\"")), "{message}");
        assert!(!error.to_string().contains("You said"), "{error}");
    }
    let sent = site.sim.served();
    assert!(
        sent.iter().all(|one| !one.body.contains("secret")),
        "a blocked line went out"
    );
    let entries = entries(&site, 3).await;
    let outcomes: Vec<_> = entries
        .iter()
        .map(|entry| (entry.outcome, entry.cost > Money::ZERO))
        .collect();
    // What was blocked on its way back was paid for.
    assert_eq!(
        outcomes,
        [
            (Outcome::Blocked, false),
            (Outcome::Blocked, true),
            (Outcome::Complete, true)
        ]
    );
}

#[tokio::test]
async fn what_was_replaced_before_a_batch_went_is_put_back_or_its_line_fails() {
    let services = GuardServer::local().await.unwrap();
    let rest = format!(
        "guardrails: [ {{ name: in, type: presidio, url: \"http://{}\", on: [input], action: redact, restore: true, timeout: 20s }} ]\n{AUTO}",
        services.address()
    );
    let site = Site::open(paced(400), NewKey::default(), &rest).await;
    for fault in [GuardFault::None, GuardFault::Status(500)] {
        services.fault(GuardFault::None);
        let batch = site.create(&[line("ann@example.com", "o/gpt-5-mini")]).await;
        let until = Instant::now() + Duration::from_secs(20);
        while at_provider(&site)
            .await
            .iter()
            .all(|batch| batch["status"] == "completed")
        {
            assert!(Instant::now() < until, "{}", site.house.said());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        // It is away: what was replaced must be found again once it comes back.
        services.fault(fault);
        let done = site.ended(&batch).await;
        assert_eq!(done["metadata"]["pointsman_run_by"], "o", "{}", site.house.said());
        // The line's own id goes as it is.
        let sent = site.sim.served();
        assert!(sent.iter().any(|one| one.body.contains("EMAIL_ADDRESS_1")));
        assert!(
            sent.iter()
                .all(|one| !one.body.contains("\"content\":\"ann@example.com\""))
        );
        if fault == GuardFault::None {
            let output = site.lines(&done, "output_file_id").await;
            assert!(
                output[0].to_string().contains("You said: ann@example.com"),
                "{output:?}"
            );
            continue;
        }
        assert!(done["output_file_id"].is_null(), "{done}");
        let errors = site.lines(&done, "error_file_id").await;
        assert_eq!(errors[0]["response"]["status_code"], 503, "{errors:?}");
        assert!(
            errors[0].to_string().contains("guardrail_unavailable"),
            "{errors:?}"
        );
        assert!(!errors[0].to_string().contains("EMAIL_ADDRESS_1"), "{errors:?}");
    }
    // Both were paid for.
    assert!(
        entries(&site, 2)
            .await
            .iter()
            .all(|entry| entry.cost > Money::ZERO)
    );
}

#[tokio::test]
async fn the_money_of_a_batch_is_set_aside_while_it_is_away() {
    let budget = Budget::of(Money::parse("0.05").unwrap(), BudgetWindow::Total);
    let grant = NewKey {
        budgets: vec![budget],
        ..NewKey::default()
    };
    let mut site = Site::open(paced(40), grant, AUTO).await;
    // 40 lines of 1,000 tokens at a millionth of a dollar: 4 cents.
    let bounded = |id: &str| {
        let mut line = line(id, "o/gpt-5-mini");
        line["body"]["max_completion_tokens"] = 1_000.into();
        line
    };
    let lines: Vec<_> = (0..40).map(|at| bounded(&format!("l{at}"))).collect();
    let batch = site.create(&lines).await;
    let path = format!("/v1/batches/{}", batch["id"].as_str().unwrap());
    site.until(&path, |batch| {
        batch["request_counts"]["completed"].as_u64() > Some(0)
    })
    .await;
    let body = json!({"model": "o/gpt-5-mini", "max_completion_tokens": 6_000, "messages": [{"role": "user", "content": "hi"}]});
    let ask = |at, key: String| {
        let body = body.clone();
        async move {
            post(at, "/v1/chat/completions", &key, &body)
                .await
                .unwrap()
                .status
        }
    };
    // 6,000 tokens at two millionths: 1.2 cents, of which one is left.
    assert_eq!(ask(site.at(), site.key.clone()).await, 429);
    // Also for a process that did not hand it over itself.
    site.house.kill();
    site.house = crate::harness::House::open(site.folder.path());
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    assert_eq!(ask(site.at(), site.key.clone()).await, 429);
    let done = site.ended(&batch).await;
    assert_eq!(done["request_counts"]["completed"], 40, "{done}");
    assert_eq!(ask(site.at(), site.key.clone()).await, 200);
}

#[tokio::test]
async fn a_batch_that_is_away_is_nobody_elses() {
    let site = Site::open(paced(20), NewKey::default(), AUTO).await;
    let lines: Vec<_> = (0..50)
        .map(|at| line(&format!("l{at}"), "o/gpt-5-mini"))
        .collect();
    let batch = site.create(&lines).await;
    let other = crate::harness::key(site.folder.path(), NewKey::default());
    tokio::time::sleep(Duration::from_millis(700)).await;
    let path = format!("/v1/batches/{}", batch["id"].as_str().unwrap());
    assert_eq!(
        ask(site.at(), Method::GET, &path, &other).await.unwrap().status,
        404
    );
    let cancel = post(site.at(), &format!("{path}/cancel"), &other, &json!({}))
        .await
        .unwrap();
    assert_eq!(cancel.status, 404);
    assert_eq!(site.ended(&batch).await["status"], "completed");
}

#[tokio::test]
async fn a_batch_that_fails_at_its_provider_has_failed() {
    let options = SimOptions {
        batches: BatchOptions {
            fail: true,
            ..BatchOptions::default()
        },
        ..SimOptions::default()
    };
    let site = Site::open(options, NewKey::default(), AUTO).await;
    let done = site
        .ended(&site.create(&[line("one", "o/gpt-5-mini")]).await)
        .await;
    assert_eq!(done["status"], "failed", "{done}");
    assert_eq!(
        done["errors"]["data"][0]["message"],
        "The model does not support batches."
    );
    // Anthropic's batches do not fail as a whole.
    let batch = requests(&site, &[("two", "o/gpt-5-mini")]).await;
    let path = format!("/v1/messages/batches/{}", batch["id"].as_str().unwrap());
    let done = site
        .until(&path, |batch| batch["processing_status"] == "ended")
        .await;
    assert_eq!(done["request_counts"]["errored"], 1, "{done}");
    let results = site.get(&format!("{path}/results")).await;
    assert!(
        results.text().contains("does not support batches"),
        "{}",
        results.text()
    );
    assert!(
        entries(&site, 1)
            .await
            .iter()
            .all(|entry| entry.cost == Money::ZERO)
    );
}

#[tokio::test]
async fn a_batch_of_a_revoked_key_is_cancelled_at_its_provider_and_what_was_answered_is_charged() {
    let site = Site::open(paced(30), NewKey::default(), AUTO).await;
    let lines: Vec<_> = (0..300)
        .map(|at| line(&format!("l{at}"), "o/gpt-5-mini"))
        .collect();
    let batch = site.create(&lines).await;
    let path = format!("/v1/batches/{}", batch["id"].as_str().unwrap());
    site.until(&path, |batch| {
        batch["request_counts"]["completed"].as_u64() > Some(0)
    })
    .await;
    let store = crate::harness::store(site.folder.path());
    let owner = store.keys().unwrap()[0].id.clone();
    store.revoke_key(&owner).unwrap();
    let until = Instant::now() + Duration::from_secs(30);
    while !store.open_batches(9).unwrap().is_empty() {
        assert!(Instant::now() < until, "{}", site.house.said());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(at_provider(&site).await[0]["status"], "cancelled");
    let entries = entries(&site, 1).await;
    assert!(entries.len() < 300 && entries.iter().all(|entry| entry.key.as_ref() == Some(&owner)));
    assert!(entries.iter().all(|entry| entry.cost == cost(entry, 125, 1_000)));
}

#[tokio::test]
async fn a_keys_limits_slow_down_what_goes() {
    let grant = NewKey {
        requests_per_minute: Some(3),
        concurrency: Some(1),
        ..NewKey::default()
    };
    let site = Site::open(SimOptions::default(), grant, AUTO).await;
    let lines: Vec<_> = (0..4).map(|at| line(&format!("l{at}"), "o/gpt-5-mini")).collect();
    site.create(&lines).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    // The fourth has no room this minute: until then nothing goes, and nothing has failed.
    assert!(at_provider(&site).await.is_empty());
    let store = crate::harness::store(site.folder.path());
    let open = store.open_batches(9).unwrap();
    assert_eq!((open.len(), open[0].counts.failed), (1, 0));
}

#[tokio::test]
async fn vectors_are_had_in_batches_too() {
    let rest = format!(
        "guardrails: [ {{ name: in, type: regex, on: [input], action: block, deny: [\"secret\"] }} ]\n{AUTO}"
    );
    let site = Site::open(SimOptions::default(), NewKey::default(), &rest).await;
    let embedding = |id: &str| {
        json!({"custom_id": id, "method": "POST", "url": "/v1/embeddings",
               "body": {"model": "o/text-embedding-3-small", "input": id}})
    };
    let lines = ["one", "secret", "two"].map(embedding);
    let done = site.ended(&site.create(&lines).await).await;
    assert_eq!(done["metadata"]["pointsman_run_by"], "o", "{}", site.house.said());
    let output = site.lines(&done, "output_file_id").await;
    assert_eq!(output.len(), 2, "{done}");
    assert!(
        output[0]["response"]["body"]["data"][0]["embedding"].is_array(),
        "{output:?}"
    );
    let errors = site.lines(&done, "error_file_id").await;
    assert_eq!(
        (errors.len(), &errors[0]["response"]["status_code"]),
        (1, &json!(403))
    );
    assert_eq!(at_provider(&site).await.len(), 1);
    for entry in entries(&site, 3)
        .await
        .iter()
        .filter(|entry| entry.outcome == Outcome::Complete)
    {
        assert!(entry.usage.input > 0);
        // $0.01 for a million: half of 0.02.
        assert_eq!(entry.cost, cost(entry, 10, 0));
    }
}

#[tokio::test]
async fn mistrals_jobs_take_batches_of_either_api() {
    let rest =
        format!("  small: {{ targets: [ {{ provider: odd, model: mistral-small-latest }} ] }}\n{AUTO}");
    let site = Site::open_with(SimOptions::default(), NewKey::default(), &rest, "mistral").await;
    let to = site.create(&[line("one", "small"), line("two", "small")]).await;
    let done = site.ended(&to).await;
    assert_eq!(
        done["metadata"]["pointsman_run_by"],
        "odd",
        "{}",
        site.house.said()
    );
    assert_eq!(done["request_counts"]["completed"], 2, "{done}");
    let output = site.lines(&done, "output_file_id").await;
    assert_eq!(
        output[1]["response"]["body"]["choices"][0]["message"]["content"],
        "You said: two"
    );
    let batch = requests(&site, &[("three", "small")]).await;
    let path = format!("/v1/messages/batches/{}", batch["id"].as_str().unwrap());
    let done = site
        .until(&path, |batch| batch["processing_status"] == "ended")
        .await;
    assert_eq!(done["metadata"]["pointsman_run_by"], "odd");
    assert_eq!(done["request_counts"]["succeeded"], 1, "{done}");
    let served = site.sim.served();
    let jobs = served
        .iter()
        .filter(|one| one.method == "POST" && one.path == "/v1/batch/jobs");
    assert_eq!(jobs.count(), 2);
    let price = Catalog::embedded()
        .model("mistral", "mistral-small-latest")
        .unwrap()
        .price
        .clone()
        .unwrap();
    for entry in entries(&site, 3).await {
        let whole = price.cost(&entry.usage, ServiceTier::Standard).nanodollars();
        assert!(whole > 0);
        assert_eq!(entry.cost.nanodollars(), (whole + 1) / 2, "half of {whole}");
    }
}
