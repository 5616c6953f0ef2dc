//! What attempts cost that fail, and what it costs when another model takes over.

use pointsman_catalog::Money;
use pointsman_store::{NewKey, Outcome};
use pointsman_testbed::{Fault, Schedule, SimOptions, SimServer};
use serde_json::json;

use crate::harness::{House, entry, folder, key, post};

/// A dear model, and a cheap one that takes over.
fn config(dear: &SimServer, cheap: &SimServer) -> String {
    let provider = |sim: &SimServer| {
        format!(
            "{{ kind: openai, base_url: \"http://{}/v1\", auth: {{ api_key: sk-sim }}, \
             health: {{ consecutive_failures: 0, failure_ratio: 0 }} }}",
            sim.address()
        )
    };
    format!(
        "providers:\n  dear: {}\n  cheap: {}\n\
         models:\n\
         \x20 dear: {{ targets: [ {{ provider: dear, model: gpt-5 }} ], price: {{ input: 1000, output: 3000 }}, \
              retry: {{ attempts: 3 }}, fallback: {{ any: [ cheap ] }} }}\n\
         \x20 alone: {{ targets: [ {{ provider: dear, model: gpt-5 }} ], price: {{ input: 1000, output: 3000 }}, \
              retry: {{ attempts: 3 }} }}\n\
         \x20 cheap: {{ targets: [ {{ provider: cheap, model: gpt-5-mini }} ], price: {{ input: 1, output: 2 }} }}\n",
        provider(dear),
        provider(cheap)
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fallback_is_charged_at_the_price_of_the_model_that_answered() {
    let (dear, cheap) = (
        SimServer::local(SimOptions::default()).await.unwrap(),
        SimServer::local(SimOptions::default()).await.unwrap(),
    );
    dear.set_faults(vec![(Schedule::Always, Fault::Status(500))]);
    let folder = folder(&config(&dear, &cheap));
    let key = key(folder.path(), NewKey::default());
    let house = House::open(folder.path());
    for stream in [false, true] {
        let body = json!({
            "model": "dear", "stream": stream, "max_tokens": 50,
            "messages": [{ "role": "user", "content": "repeat 10 words" }],
        });
        let answer = post(house.address, "/v1/chat/completions", &key, &body)
            .await
            .unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        let entry = entry(folder.path(), answer.header("x-request-id"));
        assert_eq!(entry.provider.as_deref(), Some("cheap"));
        assert!(entry.usage.input > 0 && entry.usage.output > 0, "{entry:?}");
        let expected = entry.usage.input * 1_000 + entry.usage.output * 2_000;
        assert_eq!(
            entry.cost,
            Money::from_nanodollars(i64::try_from(expected).unwrap())
        );
        assert!(entry.attempts > 1, "{entry:?}");
    }
    assert!(!dear.served().is_empty(), "the dear one was asked");
    house.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failed_attempts_are_charged_only_where_the_provider_charges() {
    let (dear, cheap) = (
        SimServer::local(SimOptions::default()).await.unwrap(),
        SimServer::local(SimOptions::default()).await.unwrap(),
    );
    let folder = folder(&config(&dear, &cheap));
    let key = key(folder.path(), NewKey::default());
    let house = House::open(folder.path());
    let ask = async |stream: bool| {
        let body = json!({
            "model": "alone", "stream": stream, "max_tokens": 50,
            "messages": [{ "role": "user", "content": "repeat 10 words" }],
        });
        let answer = post(house.address, "/v1/chat/completions", &key, &body)
            .await
            .unwrap();
        entry(folder.path(), answer.header("x-request-id"))
    };
    // Refused or not understood three times: nothing was generated that anybody would charge for.
    for fault in [Fault::Status(500), Fault::Status(503), Fault::ResetBeforeHead] {
        dear.set_faults(vec![(Schedule::Always, fault)]);
        for stream in [false, true] {
            let failed = ask(stream).await;
            assert_ne!(failed.outcome, Outcome::Complete, "{fault}");
            assert_eq!(failed.cost, Money::ZERO, "{fault}: {failed:?}");
        }
    }
    // Two that fail and one that answers cost what the one does.
    dear.set_faults(vec![(Schedule::First(2), Fault::Status(500))]);
    let answered = ask(false).await;
    assert_eq!(
        (answered.outcome, answered.attempts),
        (Outcome::Complete, 3),
        "{answered:?}"
    );
    let expected = answered.usage.input * 1_000_000 + answered.usage.output * 3_000_000;
    assert_eq!(
        answered.cost,
        Money::from_nanodollars(i64::try_from(expected).unwrap())
    );
    // A stream that breaks off was generated as far as it came, and that is charged.
    dear.set_faults(vec![(Schedule::Always, Fault::CutAbort)]);
    let broken = ask(true).await;
    assert_ne!(broken.outcome, Outcome::Complete);
    assert!(broken.cost > Money::ZERO, "{broken:?}");
    house.stop();
}
