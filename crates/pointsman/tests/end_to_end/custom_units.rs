//! Quotas in units of one's own: never passed, settled by what was used, and the same after a restart.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::{BodyExt, Full};
use pointsman_store::{BudgetWindow, Counted, LedgerEntry, NewKey, Quota};
use pointsman_testbed::redis::{Keeps, RedisServer};
use pointsman_testbed::{Fault, Schedule, SimOptions, SimServer, load};
use serde_json::{Value, json};

use crate::admin::Site;
use crate::harness::{Answer, House, folder, key, ledger, post};
use crate::priorities::command;

const CEL: &str = "input_tokens + output_tokens * 4";

fn credits(amount: u64) -> NewKey {
    NewKey {
        quotas: vec![Quota {
            cel: Some(CEL.to_owned()),
            unit: Some("credits".to_owned()),
            ..Quota::of(Counted::Custom, amount, BudgetWindow::Month)
        }],
        ..NewKey::default()
    }
}

fn config(sim: &SimServer) -> String {
    format!(
        "providers: {{ o: {{ kind: openai, base_url: \"http://{}/v1\", auth: {{ api_key: sk-sim }}, retry: {{ attempts: 1 }}, \
         health: {{ consecutive_failures: 0, failure_ratio: 0 }} }} }}\n\
         models: {{ m: {{ targets: [ {{ provider: o, model: gpt-5-mini }} ] }} }}\n",
        sim.address()
    )
}

fn body(words: u64, stream: bool) -> Value {
    let text = format!("repeat {words} words");
    json!({"model": "m", "stream": stream, "max_tokens": 30, "messages": [{"role": "user", "content": text}]})
}

/// What the expression comes to, over the whole ledger.
fn used(entries: &[LedgerEntry]) -> u64 {
    let used = entries.iter().map(|entry| entry.usage);
    used.map(|usage| usage.input + 4 * usage.output).sum()
}

async fn ask(house: &House, key: &str) -> Answer {
    post(house.address, "/v1/chat/completions", key, &body(10, false))
        .await
        .unwrap()
}

/// Asks until there is no room.
async fn use_up(house: &House, key: &str) -> Answer {
    for _ in 0..400 {
        let answer = ask(house, key).await;
        if answer.status == 429 {
            return answer;
        }
    }
    panic!("there is always room");
}

/// Clients at once, each on one of the gateways, some of them streaming; they take what comes.
async fn crowd(houses: &[House], key: &Arc<String>, clients: usize) {
    let clients: Vec<_> = (0..clients)
        .map(|client| {
            let (address, key) = (houses[client % houses.len()].address, Arc::clone(key));
            tokio::spawn(async move {
                for turn in 0..3 {
                    let body = body(10, (client + turn) % 2 == 0);
                    let answer = post(address, "/v1/chat/completions", &key, &body).await.unwrap();
                    let status = answer.status.as_u16();
                    assert!([200, 429, 502, 503].contains(&status), "{}", answer.text());
                }
            })
        })
        .collect();
    for client in clients {
        client.await.unwrap();
    }
}

/// A client that goes away in the middle of a stream.
async fn leave(house: &House, key: &str) {
    let mut sender = load::connect(house.address).await.unwrap();
    let request = Request::post("/v1/chat/completions")
        .header(header::AUTHORIZATION, format!("Bearer {key}"))
        .header(header::HOST, house.address.to_string())
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(body(25, true).to_string())))
        .unwrap();
    let mut response = sender.send_request(request).await.unwrap();
    assert_eq!(response.status(), 200);
    assert!(response.body_mut().frame().await.is_some());
}

/// Waits until the ledger has stopped to grow.
async fn settled(folder: &Path) -> Vec<LedgerEntry> {
    let mut before = ledger(folder);
    loop {
        tokio::time::sleep(Duration::from_millis(700)).await;
        let now = ledger(folder);
        if now.len() == before.len() {
            return now;
        }
        before = now;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_of_256_never_passes_a_quota_of_its_own_units_and_what_is_counted_is_what_was_used() {
    let options = SimOptions {
        token_delay: Duration::from_millis(3),
        ..SimOptions::default()
    };
    let sim = SimServer::local(options).await.unwrap();
    let folder = folder(&config(&sim));
    let amount = 9_000;
    let key = Arc::new(key(folder.path(), credits(amount)));
    let houses = [House::open(folder.path())];
    leave(&houses[0], &key).await;
    // A third of the requests fail, so that leaked reservations would show.
    sim.set_faults(vec![(Schedule::EveryNth(3), Fault::Status(500))]);
    crowd(&houses, &key, 256).await;
    sim.set_faults(Vec::new());
    let denied = use_up(&houses[0], &key).await;
    let spent = used(&settled(folder.path()).await);
    assert!(spent <= amount && spent + 250 > amount, "{spent} of {amount}");
    assert_eq!(denied.json()["error"]["code"], "rate_limit_exceeded");
    let says = |spent: u64| {
        format!("this key may use {amount} credits a month, of which {spent} are used and 0 reserved")
    };
    assert!(denied.text().contains(&says(spent)), "{spent}: {}", denied.text());
    assert!(denied.header("retry-after").parse::<u64>().unwrap() >= 1);
    // It is read from the ledger again.
    for house in houses {
        house.stop();
    }
    let house = House::open(folder.path());
    let denied = ask(&house, &key).await;
    assert_eq!(denied.status, 429);
    assert!(denied.text().contains(&says(spent)), "{spent}: {}", denied.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_on_one_redis_keep_a_quota_of_its_own_units_together() {
    let root = tempfile::tempdir().unwrap();
    let Some(redis) = RedisServer::start(root.path(), Keeps::Everything) else {
        return;
    };
    let sim = SimServer::local(SimOptions::default()).await.unwrap();
    let mut houses = Vec::new();
    for number in 0..2 {
        let own = root.path().join(number.to_string());
        std::fs::create_dir_all(&own).unwrap();
        let text = format!(
            "listeners: {{ api: {{ address: \"127.0.0.1:0\" }}, admin: {{ address: \"127.0.0.1:0\" }} }}\n\
             stores: {{ database: \"sqlite://{root}/p.db\", local: \"{own}\", shared: \"{}\", blobs: \"file://{own}\" }}\n{}",
            redis.url(),
            config(&sim),
            root = root.path().display(),
            own = own.display(),
        );
        std::fs::write(own.join("pointsman.yaml"), text).unwrap();
        houses.push(House::open(&own));
    }
    let amount = 9_000;
    let key = Arc::new(key(root.path(), credits(amount)));
    // A server that has just begun gives nothing of what it does not know.
    let until = Instant::now() + Duration::from_secs(20);
    while ask(&houses[0], &key).await.status != 200 {
        assert!(Instant::now() < until, "it does not begin");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    crowd(&houses, &key, 128).await;
    // What one held in advance comes to the other: once both refuse twice, there is no more.
    for _ in 0..2 {
        for house in &houses {
            use_up(house, &key).await;
        }
        tokio::time::sleep(Duration::from_millis(1_500)).await;
    }
    for house in houses {
        house.stop();
    }
    let spent = used(&ledger(root.path()));
    assert!(spent <= amount && spent + 250 > amount, "{spent} of {amount}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn expressions_are_tried_when_they_are_given_and_shown_with_what_they_count() {
    let site = Site::open().await;
    let quota =
        |cel: &str| json!({"of": "custom", "cel": cel, "unit": "credits", "amount": 900, "window": "day"});
    let key = json!({"quotas": [quota("model == 'm' ? 100 : output_tokens")]});
    let made = site.does(Method::POST, "/admin/v1/keys", key).await;
    let path = format!("/admin/v1/keys/{}", made["id"].as_str().unwrap());
    let secret = made["secret"].as_str().unwrap();
    assert_eq!(site.chat(secret, "m").await.status, 200);
    assert_eq!(site.chat(secret, "both").await.status, 200);
    let shown = site.does(Method::GET, &path, Value::Null).await;
    let counted = &shown["counted"][0];
    let used = counted["used"].as_u64().unwrap();
    assert!((102..=120).contains(&used), "{counted}");
    assert_eq!(
        (&counted["unit"], &counted["of"], &counted["remaining"]),
        (&json!("credits"), &json!("custom"), &json!(900 - used))
    );
    assert_eq!(shown["quotas"][0]["cel"], "model == 'm' ? 100 : output_tokens");
    for (wrong, says) in [
        (quota("input_tokens +"), "<input>:1:"),
        (quota("tokens * 2"), "there are input_tokens"),
        (quota("0 - input_tokens"), "does not come to a number"),
        (quota("model"), "does not come to a number"),
        (json!({"of": "custom", "amount": 1}), "has a cel"),
        (json!({"of": "tokens", "cel": "1", "amount": 1}), "has a cel"),
        (
            json!({"of": "tokens", "unit": "credits", "amount": 1}),
            "has a unit",
        ),
    ] {
        let answer = site.call(Method::PATCH, &path, json!({"quotas": [wrong]})).await;
        assert_eq!(answer.status, 400, "{}", answer.text());
        assert!(answer.text().contains(says), "{says}: {}", answer.text());
    }
    let folder = site.folder.path();
    let create = |quota: &str| command(folder, &["key", "create", "--name", "c", "--quota", quota]);
    let (ok, said) = create("cel(output_tokens *)=90/day");
    assert!(!ok && said.contains("<input>:1:"), "{said}");
    let (ok, said) = create("cel(output_tokens * 4)=90/day:m");
    assert!(ok, "{said}");
    let keys = site.does(Method::GET, "/admin/v1/keys?name=c", Value::Null).await;
    assert_eq!(keys["data"][0]["quotas"][0]["cel"], "output_tokens * 4");
}
