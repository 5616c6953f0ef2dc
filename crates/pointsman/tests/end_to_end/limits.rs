//! 256 clients on one key: never past the limit or the budget, and both fully usable.

use std::sync::Arc;

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
