//! 256 clients on one key: never past the limit or the budget, and both fully usable.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pointsman_catalog::Money;
use pointsman_store::{Budget, BudgetWindow, NewKey};
use pointsman_testbed::{Fault, Schedule, SimOptions, SimServer};
use serde_json::json;

use crate::harness::{House, folder, key, ledger, post};

const CLIENTS: usize = 256;

#[expect(clippy::too_many_lines, reason = "one story, told from beginning to end")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_on_one_key_stays_within_its_limits_and_can_use_them_up() {
    let sim = SimServer::local(SimOptions::default()).await.unwrap();
    let folder = folder(&format!(
        "providers: {{ o: {{ kind: openai, base_url: \"http://{}/v1\", auth: {{ api_key: sk-sim }}, retry: {{ attempts: 1 }}, \
         health: {{ consecutive_failures: 0, failure_ratio: 0 }} }} }}\n\
         models: {{ m: {{ targets: [ {{ provider: o, model: gpt-5-mini }} ], price: {{ input: 1000, output: 1000 }} }} }}\n",
        sim.address()
    ));
    let limit = 4_000;
    // A dollar a thousand tokens: the budget is worth 3,000 of them.
    let amount = Money::parse("3").unwrap();
    let grant = NewKey {
        tokens_per_minute: Some(limit),
        budgets: vec![Budget::of(amount, BudgetWindow::Total)],
        ..NewKey::default()
    };
    let key = Arc::new(key(folder.path(), grant));
    let house = House::open(folder.path());
    // A third of the requests fail, so that leaked reservations would show.
    sim.set_faults(vec![(Schedule::EveryNth(3), Fault::Status(500))]);
    let body = Arc::new(
        json!({"model": "m", "max_tokens": 20, "messages": [{"role": "user", "content": "repeat 10 words"}]}),
    );
    let address = house.address;
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (key, body) = (Arc::clone(&key), Arc::clone(&body));
            tokio::spawn(async move {
                let mut codes = Vec::new();
                for _ in 0..4 {
                    let answer = post(address, "/v1/chat/completions", &key, &body).await.unwrap();
                    codes.push(answer.status.as_u16());
                }
                codes
            })
        })
        .collect();
    let mut codes = Vec::new();
    for client in clients {
        codes.extend(client.await.unwrap());
    }
    assert!(
        codes.contains(&200) && codes.contains(&429) && codes.contains(&502),
        "{codes:?}"
    );
    sim.set_faults(Vec::new());
    // What is left can be used up, one after another, to where one more does not fit.
    let mut last = 0;
    for _ in 0..400 {
        let answer = post(address, "/v1/chat/completions", &key, &body).await.unwrap();
        last = answer.status.as_u16();
        if last == 429 {
            assert_eq!(
                answer.json()["error"]["code"],
                "insufficient_quota",
                "{}",
                answer.text()
            );
            break;
        }
    }
    assert_eq!(last, 429);
    house.stop();
    let spent: Money = ledger(folder.path()).iter().map(|entry| entry.cost).sum();
    assert!(spent <= amount, "{spent} of {} were spent", amount);
    let one = Money::parse("0.06").unwrap();
    assert!(spent + one > amount, "only {spent} of {} could be used", amount);
    let tokens: u64 = ledger(folder.path())
        .iter()
        .map(|entry| entry.usage.total())
        .sum();
    assert!(tokens <= limit, "{tokens} of {limit}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_expires_while_its_answer_streams_is_answered_to_the_end_and_charged() {
    let options = SimOptions {
        token_delay: Duration::from_millis(60),
        ..SimOptions::default()
    };
    let sim = SimServer::local(options).await.unwrap();
    let folder = folder(&format!(
        "providers: {{ o: {{ kind: openai, base_url: \"http://{}/v1\", auth: {{ api_key: sk-sim }} }} }}\n",
        sim.address()
    ));
    let house = House::open(folder.path());
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    let expires = now() + 5_000;
    let grant = NewKey {
        expires_at: Some(i64::try_from(expires).unwrap()),
        ..NewKey::default()
    };
    let key = key(folder.path(), grant);
    let body = json!({"model": "o/gpt-5-mini", "stream": true, "messages": [{"role": "user", "content": "repeat 120 words"}]});
    let answer = loop {
        // It is known here within a third of a second.
        let answer = post(house.address, "/v1/chat/completions", &key, &body)
            .await
            .unwrap();
        if answer.status == 200 {
            break answer;
        }
        assert!(now() < expires, "{}", answer.text());
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert!(now() > expires, "it has expired meanwhile");
    assert!(answer.text().contains("[DONE]"), "{}", answer.text());
    let refused = post(house.address, "/v1/chat/completions", &key, &body)
        .await
        .unwrap();
    assert_eq!(refused.status, 401);
    assert!(refused.text().contains("expired"), "{}", refused.text());
    house.stop();
    let entries = ledger(folder.path());
    let charged = entries
        .iter()
        .find(|entry| entry.id.as_str() == answer.header("x-request-id"));
    assert!(charged.unwrap().usage.output >= 120, "{entries:?}");
}
