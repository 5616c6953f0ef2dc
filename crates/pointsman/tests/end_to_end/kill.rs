//! `kill -9` at random moments: no finished answer is missing from the ledger, none is there twice.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use pointsman_store::NewKey;
use pointsman_testbed::{SimOptions, SimServer};
use rand::RngExt;
use serde_json::json;

use crate::harness::{House, folder, key, ledger, post};

const ROUNDS: usize = 50;
const CLIENTS: usize = 8;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_deaths_lose_nothing_and_double_nothing() {
    let sim = SimServer::local(SimOptions::default()).await.unwrap();
    let folder = folder(&format!(
        "providers: {{ o: {{ kind: openai, base_url: \"http://{}/v1\", auth: {{ api_key: sk-sim }} }} }}\n",
        sim.address()
    ));
    let key = Arc::new(key(folder.path(), NewKey::default()));
    let mut finished = HashSet::new();
    for _ in 0..ROUNDS {
        let mut house = House::open(folder.path());
        let address = house.address;
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| {
                let key = Arc::clone(&key);
                tokio::spawn(async move {
                    let mut finished = Vec::new();
                    let body = json!({"model": "o/gpt-5-mini", "stream": number % 2 == 0, "messages": [{"role": "user", "content": "repeat 9 words"}]});
                    while let Some(answer) = post(address, "/v1/chat/completions", &key, &body).await {
                        let whole = number % 2 == 1 || answer.text().contains("[DONE]");
                        assert!(answer.status == 200 && whole, "{}", answer.text());
                        finished.push(answer.header("x-request-id").to_owned());
                    }
                    finished
                })
            })
            .collect();
        let life = rand::rng().random_range(20..250);
        tokio::time::sleep(Duration::from_millis(life)).await;
        house.kill();
        for client in clients {
            finished.extend(client.await.unwrap());
        }
    }
    // One more start imports what the dead left.
    House::open(folder.path()).stop();
    let entries = ledger(folder.path());
    let ids: HashSet<&str> = entries.iter().map(|entry| entry.id.as_str()).collect();
    assert_eq!(ids.len(), entries.len(), "an entry is there twice");
    let missing: Vec<&String> = finished.iter().filter(|id| !ids.contains(id.as_str())).collect();
    assert!(
        missing.is_empty(),
        "{} of {} finished answers are missing",
        missing.len(),
        finished.len()
    );
    assert!(
        finished.len() > ROUNDS * 5,
        "only {} answers were finished: the test proves little",
        finished.len()
    );
}
