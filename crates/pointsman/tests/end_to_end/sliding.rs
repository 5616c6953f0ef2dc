//! Windows that slide: never passed by a crowd, told to clients, the same after a restart and on replicas, kept and shown
//! by the admin API and the command line.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::Method;
use pointsman_store::{BudgetWindow, Counted, LedgerEntry, NewKey, Quota};
use pointsman_testbed::redis::{Keeps, RedisServer};
use pointsman_testbed::{Fault, Schedule, SimOptions, SimServer};
use serde_json::{Value, json};

use crate::admin::Site;
use crate::harness::{Answer, House, folder, key, ledger, post};
use crate::priorities::command;

fn config(sim: &SimServer, limits: &str) -> String {
    format!(
        "providers: {{ o: {{ kind: openai, base_url: \"http://{}/v1\", auth: {{ api_key: sk-sim }}, retry: {{ attempts: 1 }}, \
         health: {{ consecutive_failures: 0, failure_ratio: 0 }}, limits: {{ {limits} }} }} }}\n\
         models: {{ m: {{ targets: [ {{ provider: o, model: gpt-5-mini }} ], price: {{ input: 1000, output: 1000 }} }} }}\n",
        sim.address()
    )
}

fn tokens(amount: u64, seconds: u64) -> NewKey {
    NewKey {
        quotas: vec![Quota::of(Counted::Tokens, amount, BudgetWindow::Sliding(seconds))],
        ..NewKey::default()
    }
}

fn body(stream: bool) -> Value {
    json!({
        "model": "m", "stream": stream, "max_tokens": 30,
        "messages": [{"role": "user", "content": "repeat 10 words"}],
    })
}

async fn ask(house: &House, key: &str) -> Answer {
    post(house.address, "/v1/chat/completions", key, &body(false))
        .await
        .unwrap()
}

fn used(entry: &LedgerEntry) -> u64 {
    entry.usage.input + entry.usage.output
}

/// The most tokens in any window of so many milliseconds, as the ledger tells.
fn most(entries: &[LedgerEntry], length: i64) -> u64 {
    let sums = entries.iter().map(|begin| {
        let within = entries
            .iter()
            .filter(|entry| (begin.at..begin.at + length).contains(&entry.at));
        within.map(used).sum()
    });
    sums.max().unwrap_or_default()
}

/// Clients at once for a while, each on one of the gateways, some of them streaming.
async fn crowd(houses: &[House], key: &Arc<String>, (clients, time): (usize, Duration)) {
    let end = Instant::now() + time;
    let clients: Vec<_> = (0..clients)
        .map(|client| {
            let (address, key) = (houses[client % houses.len()].address, Arc::clone(key));
            tokio::spawn(async move {
                while Instant::now() < end {
                    let body = body(client % 2 == 0);
                    let answer = post(address, "/v1/chat/completions", &key, &body).await.unwrap();
                    let status = answer.status.as_u16();
                    assert!([200, 429, 502, 503].contains(&status), "{}", answer.text());
                    if status != 200 {
                        tokio::time::sleep(Duration::from_millis(150)).await;
                    }
                }
            })
        })
        .collect();
    for client in clients {
        client.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_never_passes_a_window_that_slides_and_comes_in_again_as_it_does() {
    let sim = SimServer::local(SimOptions::default()).await.unwrap();
    let folder = folder(&config(&sim, ""));
    let amount = 1_000;
    let key = Arc::new(key(folder.path(), tokens(amount, 3)));
    let houses = [House::open(folder.path())];
    // Some fail, so that leaked reservations would show.
    sim.set_faults(vec![(Schedule::EveryNth(5), Fault::Status(500))]);
    crowd(&houses, &key, (64, Duration::from_secs(8))).await;
    for house in houses {
        house.stop();
    }
    let entries = ledger(folder.path());
    let (all, most) = (entries.iter().map(used).sum::<u64>(), most(&entries, 2_990));
    assert!(most <= amount && most + 150 > amount, "{most} of {amount}");
    assert!(all > 2 * amount - 150, "only {all} in eight seconds");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_are_told_what_is_left_of_a_window_that_slides_and_a_restart_changes_nothing() {
    let sim = SimServer::local(SimOptions::default()).await.unwrap();
    let folder = folder(&config(&sim, ""));
    let key = key(folder.path(), tokens(200, 5 * 3_600));
    let house = House::open(folder.path());
    let first = ask(&house, &key).await;
    assert_eq!(first.status, 200, "{}", first.text());
    assert_eq!(first.header("x-ratelimit-limit-tokens"), "200");
    let left: u64 = first.header("x-ratelimit-remaining-tokens").parse().unwrap();
    assert!((120..200).contains(&left), "{left}");
    let mut denied = ask(&house, &key).await;
    while denied.status == 200 {
        denied = ask(&house, &key).await;
    }
    let says = |denied: &Answer| {
        assert_eq!(denied.status, 429);
        assert_eq!(denied.json()["error"]["code"], "rate_limit_exceeded");
        let text = denied.text().to_owned();
        assert!(
            text.contains("this key may use 200 tokens in any 5h, of which"),
            "{text}"
        );
        assert!(text.contains("enough is free again at"), "{text}");
        // Five hours, and three minutes at most.
        let wait: u64 = denied.header("retry-after").parse().unwrap();
        assert!((17_900..=18_181).contains(&wait), "{wait}");
        text.split_once("of which ").unwrap().1[..3].to_owned()
    };
    let before = says(&denied);
    house.stop();
    let house = House::open(folder.path());
    assert_eq!(says(&ask(&house, &key).await), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_on_one_redis_keep_a_window_that_slides_together() {
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
            config(&sim, ""),
            root = root.path().display(),
            own = own.display(),
        );
        std::fs::write(own.join("pointsman.yaml"), text).unwrap();
        houses.push(House::open(&own));
    }
    let amount = 1_500;
    let key = Arc::new(key(root.path(), tokens(amount, 4)));
    // A server that has just begun gives nothing of what it does not know.
    let until = Instant::now() + Duration::from_secs(20);
    while ask(&houses[0], &key).await.status != 200 {
        assert!(Instant::now() < until, "it does not begin");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    crowd(&houses, &key, (32, Duration::from_secs(10))).await;
    for house in houses {
        house.stop();
    }
    let entries = ledger(root.path());
    let (all, most) = (entries.iter().map(used).sum::<u64>(), most(&entries, 3_990));
    assert!(most <= amount && most + 400 > amount, "{most} of {amount}");
    assert!(all > 3 * amount / 2, "only {all} in ten seconds");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn windows_that_slide_are_kept_and_shown_and_those_that_are_none_refused() {
    let site = Site::open().await;
    let budget = |window: &str| json!({"amount_usd": 20, "window": window});
    let key = json!({
        "budgets": [budget("sliding 30d")],
        "quotas": [{"of": "requests", "amount": 3, "window": "sliding 300m"}],
    });
    let made = site.does(Method::POST, "/admin/v1/keys", key).await;
    let path = format!("/admin/v1/keys/{}", made["id"].as_str().unwrap());
    let secret = made["secret"].as_str().unwrap();
    assert_eq!(site.chat(secret, "m").await.status, 200);
    let shown = site.does(Method::GET, &path, Value::Null).await;
    assert_eq!(shown["budgets"][0]["window"], "sliding 30d");
    assert_eq!(shown["quotas"][0]["window"], "sliding 5h");
    let counted = &shown["counted"][0];
    assert_eq!(
        (&counted["window"], &counted["remaining"], &counted["resets_at"]),
        (&json!("sliding 5h"), &json!(2), &Value::Null)
    );
    assert!(counted["frees_at"].as_str().unwrap().ends_with('Z'), "{counted}");
    for (wrong, says) in [
        (budget("sliding"), "or a sliding one such as sliding 5h"),
        (budget("sliding 5"), "or a sliding one such as sliding 5h"),
        (budget("sliding 0h"), "between 1 and"),
        (budget("sliding 4000d"), "between 1 and"),
        (
            json!({"amount_usd": 1, "window": "sliding 1d", "time_zone": "Europe/Berlin"}),
            "leave time_zone out",
        ),
    ] {
        let answer = site.call(Method::PATCH, &path, json!({"budgets": [wrong]})).await;
        assert_eq!(answer.status, 400, "{}", answer.text());
        assert!(answer.text().contains(says), "{says}: {}", answer.text());
    }
    let folder = site.folder.path();
    let (ok, said) = command(
        folder,
        &[
            "key",
            "create",
            "--name",
            "c",
            "--quota",
            "tokens=100000/sliding 5h",
            "--budget",
            "20",
            "--budget-window",
            "sliding 30d",
        ],
    );
    assert!(ok, "{said}");
    let keys = site.does(Method::GET, "/admin/v1/keys?name=c", Value::Null).await;
    assert_eq!(keys["data"][0]["quotas"][0]["window"], "sliding 5h");
    assert_eq!(keys["data"][0]["budgets"][0]["window"], "sliding 30d");
    let (ok, said) = command(
        folder,
        &["team", "create", "--name", "t", "--budget-window", "fortnight"],
    );
    assert!(!ok && said.contains("sliding 5h"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_has_budgets_that_slide() {
    let sim = SimServer::local(SimOptions::default()).await.unwrap();
    // A request costs some cents, and may cost a few more.
    let folder = folder(&config(
        &sim,
        "budgets: [ { amount_usd: 0.15, window: sliding 1d } ]",
    ));
    let key = key(folder.path(), NewKey::default());
    let house = House::open(folder.path());
    let mut answered = 0;
    let denied = loop {
        let answer = ask(&house, &key).await;
        if answer.status != 200 {
            break answer;
        }
        answered += 1;
        assert!(answered < 20, "there is always money");
    };
    assert!(answered > 0);
    assert_eq!(denied.status, 429, "{}", denied.text());
    assert!(
        denied.text().contains(r#"the provider \"o\" has no budget left"#),
        "{}",
        denied.text()
    );
    let wait: u64 = denied.header("retry-after").parse().unwrap();
    assert!((86_000..=87_265).contains(&wait), "{wait}");
    house.stop();
    let house = House::open(folder.path());
    assert_eq!(ask(&house, &key).await.status, 429);
}
