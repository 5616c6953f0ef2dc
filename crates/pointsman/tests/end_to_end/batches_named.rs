//! Batches charge whom they name: end customers of their lines, agents and tags of the request that makes them, also
//! where a provider runs them.

use std::time::Duration;

use http::Request;
use pointsman_catalog::Money;
use pointsman_store::{Actor, Budget, BudgetWindow, HolderKind, HolderSpec, LedgerEntry, NewKey, Terms};
use pointsman_testbed::{BatchOptions, SimOptions};
use serde_json::{Value, json};

use crate::batches::{Site, line};
use crate::batches_handed::entries;
use crate::harness::{House, send, store, upload};

const AMOUNT: i64 = 50_000_000;

fn named(site: &Site, kind: HolderKind, name: &str) {
    let spec = HolderSpec {
        name: name.to_owned(),
        terms: Terms {
            budgets: vec![Budget::of(Money::from_nanodollars(AMOUNT), BudgetWindow::Total)],
            ..Terms::default()
        },
        ..HolderSpec::default()
    };
    let made =
        store(site.folder.path()).create_holder(&Actor::local(), kind, Some(format!("{name}-id")), spec);
    made.unwrap();
}

/// A batch whose making names an agent and tags.
async fn create(site: &Site, lines: &[Value]) -> Value {
    let input: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let file = upload(site.at(), &site.key, &[("purpose", "batch")], input.as_bytes())
        .await
        .unwrap();
    let body = json!({"input_file_id": file.json()["id"], "endpoint": "/v1/chat/completions", "completion_window": "24h", "metadata": {"a": "b"}});
    let request = Request::post("/v1/batches")
        .header("authorization", format!("Bearer {}", site.key))
        .header("x-pointsman-agent", "bee")
        .header("x-pointsman-tags", "nightly, blue")
        .body(body.to_string())
        .unwrap();
    let batch = send(site.at(), request).await.unwrap();
    assert_eq!(batch.status, 200, "{}", batch.text());
    assert_eq!(batch.json()["metadata"], json!({"a": "b"}));
    batch.json()
}

/// So many tokens of an answer at most, two millionths of a dollar each, for an end customer and with a tag.
async fn ask(site: &Site, tokens: i64, customer: &str, tag: &str) -> u16 {
    let body = json!({"model": "o/gpt-5-mini", "max_completion_tokens": tokens, "user": customer,
        "messages": [{"role": "user", "content": "hi"}]});
    let request = Request::post("/v1/chat/completions")
        .header("authorization", format!("Bearer {}", site.key))
        .header("x-pointsman-tags", tag)
        .body(body.to_string())
        .unwrap();
    send(site.at(), request).await.unwrap().status.as_u16()
}

fn bounded(at: usize) -> Value {
    let mut line = line(&format!("l{at}"), "o/gpt-5-mini");
    line["body"]["max_completion_tokens"] = 1_000.into();
    line["body"]["user"] = "alice".into();
    line
}

async fn is_held(site: &Site) {
    // 6,000 tokens: 1.2 cents, of which one is left.
    assert_eq!(ask(site, 6_000, "alice", "red").await, 429);
    assert_eq!(ask(site, 6_000, "bob", "nightly").await, 429);
    assert_eq!(ask(site, 6_000, "bob", "red").await, 200);
}

#[tokio::test]
async fn whom_a_batch_names_is_charged_where_a_provider_runs_it() {
    let options = SimOptions {
        batches: BatchOptions {
            pace: Duration::from_millis(120),
            ..BatchOptions::default()
        },
        ..SimOptions::default()
    };
    let mut site = Site::open(options, NewKey::default(), "batches: { mode: auto }\n").await;
    named(&site, HolderKind::Customer, "alice");
    named(&site, HolderKind::Tag, "nightly");
    tokio::time::sleep(Duration::from_millis(500)).await;
    // 40 lines of 1,000 tokens at a millionth of a dollar: 4 cents of 5.
    let batch = create(&site, &(0..40).map(bounded).collect::<Vec<_>>()).await;
    let path = format!("/v1/batches/{}", batch["id"].as_str().unwrap());
    site.until(&path, |batch| {
        batch["request_counts"]["completed"].as_u64() > Some(0)
    })
    .await;
    is_held(&site).await;
    // Also by a process that did not hand it over itself.
    site.house.kill();
    site.house = House::open(site.folder.path());
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    is_held(&site).await;
    let done = site.ended(&batch).await;
    assert_eq!(done["request_counts"]["completed"], 40, "{done}");
    assert_eq!(
        done["metadata"],
        json!({"a": "b", "pointsman_run_by": "o"}),
        "{}",
        site.house.said()
    );
    let entries = entries(&site, 42).await;
    let of_batch = |entry: &&LedgerEntry| entry.agent.as_deref() == Some("bee");
    let of_batch: Vec<_> = entries.iter().filter(of_batch).collect();
    assert_eq!(of_batch.len(), 40);
    assert!(
        of_batch
            .iter()
            .all(|entry| entry.customer.as_deref() == Some("alice")
                && entry.tags == ["nightly", "blue"]
                && entry.cost > Money::ZERO)
    );
    // What is left is what was not spent, to the token.
    let spent: i64 = of_batch.iter().map(|entry| entry.cost.nanodollars()).sum();
    let left = (AMOUNT - spent) / 2_000;
    assert!(spent > 40_000 && left > 20_000, "{spent}");
    for (customer, tag) in [("alice", "red"), ("bob", "nightly")] {
        assert_eq!(ask(&site, left + 1, customer, tag).await, 429, "{customer} {tag}");
        assert_eq!(
            ask(&site, left - 20, customer, tag).await,
            200,
            "{customer} {tag}"
        );
    }
}

#[tokio::test]
async fn whom_a_batch_names_is_named_by_its_lines() {
    let site = Site::open(SimOptions::default(), NewKey::default(), "").await;
    let batch = create(&site, &[bounded(0), bounded(1)]).await;
    let done = site.ended(&batch).await;
    assert_eq!(done["request_counts"]["completed"], 2, "{done}");
    for entry in entries(&site, 2).await {
        assert_eq!(
            (entry.customer.as_deref(), entry.agent.as_deref()),
            (Some("alice"), Some("bee"))
        );
        assert_eq!(entry.tags, ["nightly", "blue"]);
    }
}
