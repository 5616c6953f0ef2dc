//! What holders may use at some providers alone: never passed, others take over, and what is not used comes back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::Method;
use pointsman_catalog::Money;
use pointsman_store::{Actor, Budget, BudgetWindow, Counted, HolderKind, HolderSpec, NewKey, Quota, Terms};
use pointsman_testbed::redis::{Keeps, RedisServer};
use pointsman_testbed::{Fault, Schedule, SimOptions, SimServer};
use serde_json::{Value, json};

use crate::admin::Site;
use crate::harness::{Answer, House, folder, key, ledger, post, store};
use crate::priorities::command;

/// Two providers: `m` asks the first before the second, `alone` only the first.
fn config(first: &SimServer, second: &SimServer) -> String {
    let provider = |sim: &SimServer| {
        format!(
            "{{ kind: openai, base_url: \"http://{}/v1\", auth: {{ api_key: sk-sim }}, \
             health: {{ consecutive_failures: 0, failure_ratio: 0 }} }}",
            sim.address()
        )
    };
    format!(
        "providers:\n  first: {}\n  second: {}\n\
         models:\n\
         \x20 m: {{ targets: [ {{ provider: first, model: gpt-5-mini }}, {{ provider: second, model: gpt-5-mini, priority: 1 }} ], \
              price: {{ input: 1000, output: 1000 }} }}\n\
         \x20 alone: {{ targets: [ {{ provider: first, model: gpt-5-mini }} ], retry: {{ attempts: 1 }}, \
              price: {{ input: 1000, output: 1000 }} }}\n",
        provider(first),
        provider(second)
    )
}

async fn sims() -> (SimServer, SimServer) {
    let options = SimOptions {
        first_token: Duration::from_millis(5),
        ..SimOptions::default()
    };
    let first = SimServer::local(options).await.unwrap();
    (first, SimServer::local(SimOptions::default()).await.unwrap())
}

fn body(model: &str, stream: bool) -> Value {
    json!({
        "model": model, "stream": stream, "max_tokens": 30,
        "messages": [{"role": "user", "content": "repeat 10 words"}],
    })
}

async fn chat(house: &House, key: &str, (model, stream): (&str, bool)) -> Answer {
    post(house.address, "/v1/chat/completions", key, &body(model, stream))
        .await
        .unwrap()
}

fn by(answer: &Answer) -> (u16, &str) {
    (answer.status.as_u16(), answer.header("x-pointsman-provider"))
}

fn quota(of: Counted, amount: u64, window: BudgetWindow, models: &[&str]) -> Quota {
    Quota {
        models: models.iter().map(|model| (*model).to_owned()).collect(),
        providers: vec!["fir*".to_owned()],
        ..Quota::of(of, amount, window)
    }
}

/// So many billionths of a dollar at the first provider.
fn budget(amount: i64) -> Budget {
    Budget {
        providers: vec!["first".to_owned()],
        ..Budget::of(Money::from_nanodollars(amount), BudgetWindow::Day)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_where_the_caller_has_no_room_is_passed_over_and_told_where_nobody_is_left() {
    let (first, second) = sims().await;
    let folder = folder(&config(&first, &second));
    let limited = key(
        folder.path(),
        NewKey {
            quotas: vec![quota(Counted::Requests, 3, BudgetWindow::Sliding(60), &[])],
            ..NewKey::default()
        },
    );
    let other = key(folder.path(), NewKey::default());
    let house = House::open(folder.path());
    for turn in 0..3 {
        let answer = chat(&house, &limited, ("m", turn == 1)).await;
        assert_eq!(by(&answer), (200, "first"), "{}", answer.text());
    }
    for stream in [false, true] {
        let answer = chat(&house, &limited, ("m", stream)).await;
        assert_eq!(by(&answer), (200, "second"), "{}", answer.text());
        assert_eq!(answer.header("x-pointsman-attempts"), "1");
        let denied = chat(&house, &limited, ("alone", stream)).await;
        assert_eq!(
            (denied.status.as_u16(), &denied.json()["error"]["code"]),
            (429, &json!("rate_limit_exceeded"))
        );
        let says = "this key at the providers fir* may use 3 requests in any 1m, of which 3 are used";
        assert!(denied.text().contains(says), "{}", denied.text());
        let wait: u64 = denied.header("retry-after").parse().unwrap();
        assert!((1..=61).contains(&wait), "{wait}");
        assert_eq!(by(&chat(&house, &other, ("alone", stream)).await), (200, "first"));
    }
    assert_eq!(first.served().len(), 5);
}

/// Clients at once, some of them streaming, each of whom is answered by somebody.
async fn crowd(house: &House, keys: &Arc<[String; 2]>) {
    let clients: Vec<_> = (0..64_usize)
        .map(|client| {
            let (address, keys) = (house.address, Arc::clone(keys));
            tokio::spawn(async move {
                for turn in 0..3_usize {
                    let body = body("m", (client + turn) % 2 == 0);
                    let key = &keys[client % 2];
                    let answer = post(address, "/v1/chat/completions", key, &body).await.unwrap();
                    assert_eq!(answer.status, 200, "{}", answer.text());
                }
            })
        })
        .collect();
    for client in clients {
        client.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_never_passes_what_a_team_may_spend_at_a_provider_and_a_restart_changes_nothing() {
    let (first, second) = sims().await;
    let folder = folder(&config(&first, &second));
    let amount = 900_000_000;
    let spec = HolderSpec {
        terms: Terms {
            budgets: vec![budget(amount)],
            ..Terms::default()
        },
        ..HolderSpec::default()
    };
    let made =
        store(folder.path()).create_holder(&Actor::local(), HolderKind::Team, Some("t".to_owned()), spec);
    made.unwrap();
    let grant = || NewKey {
        team: Some("t".into()),
        ..NewKey::default()
    };
    let keys = Arc::new([key(folder.path(), grant()), key(folder.path(), grant())]);
    let house = House::open(folder.path());
    // Some fail, so that leaked reservations would show.
    first.set_faults(vec![(Schedule::EveryNth(4), Fault::Status(500))]);
    crowd(&house, &keys).await;
    first.set_faults(Vec::new());
    let mut denied = chat(&house, &keys[0], ("alone", false)).await;
    while denied.status == 200 {
        denied = chat(&house, &keys[0], ("alone", false)).await;
    }
    assert_eq!(denied.status, 429);
    assert_eq!(
        denied.json()["error"]["code"],
        "insufficient_quota",
        "{}",
        denied.text()
    );
    house.stop();
    let of = |provider: &str| {
        let entries = ledger(folder.path()).into_iter();
        let of = entries.filter(|entry| entry.provider.as_deref() == Some(provider));
        of.map(|entry| entry.cost.nanodollars()).sum::<i64>()
    };
    let (spent, beside) = (of("first"), of("second"));
    assert!(
        spent <= amount && spent + 60_000_000 > amount,
        "{spent} of {amount}"
    );
    assert!(beside > 0, "nobody took over");
    let says = format!(
        r#"the budget of team \"t\" at the providers first is $0.9, of which {} is spent"#,
        Money::from_nanodollars(spent)
    );
    assert!(denied.text().contains(&says), "{says}: {}", denied.text());
    let house = House::open(folder.path());
    let denied = chat(&house, &keys[1], ("alone", false)).await;
    assert!(denied.text().contains(&says), "{says}: {}", denied.text());
    assert_eq!(by(&chat(&house, &keys[1], ("m", false)).await), (200, "second"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_on_one_redis_keep_what_may_be_used_at_a_provider_together() {
    let root = tempfile::tempdir().unwrap();
    let Some(redis) = RedisServer::start(root.path(), Keeps::Everything) else {
        return;
    };
    let (first, second) = sims().await;
    let mut houses = Vec::new();
    for number in 0..2 {
        let own = root.path().join(number.to_string());
        std::fs::create_dir_all(&own).unwrap();
        let text = format!(
            "listeners: {{ api: {{ address: \"127.0.0.1:0\" }}, admin: {{ address: \"127.0.0.1:0\" }} }}\n\
             stores: {{ database: \"sqlite://{root}/p.db\", local: \"{own}\", shared: \"{}\", blobs: \"file://{own}\" }}\n{}",
            redis.url(),
            config(&first, &second),
            root = root.path().display(),
            own = own.display(),
        );
        std::fs::write(own.join("pointsman.yaml"), text).unwrap();
        houses.push(House::open(&own));
    }
    let key = key(
        root.path(),
        NewKey {
            quotas: vec![quota(Counted::Requests, 20, BudgetWindow::Sliding(3_600), &["m"])],
            ..NewKey::default()
        },
    );
    // A server that has just begun gives nothing of what it does not know.
    let until = Instant::now() + Duration::from_secs(20);
    while by(&chat(&houses[0], &key, ("m", false)).await) != (200, "first") {
        assert!(Instant::now() < until, "it does not begin");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let mut at_second = 0;
    let until = Instant::now() + Duration::from_secs(30);
    while first.served().len() < 20 || at_second < 6 {
        assert!(Instant::now() < until, "{} at the first", first.served().len());
        for house in &houses {
            match by(&chat(house, &key, ("m", false)).await) {
                (200, "first") => {}
                (200, "second") => at_second += 1,
                told => panic!("{told:?}"),
            }
        }
    }
    assert_eq!(first.served().len(), 20, "all that there is, and not one more");
    // Another model does not count.
    assert_eq!(
        by(&chat(&houses[1], &key, ("alone", false)).await),
        (200, "first")
    );
    for house in houses {
        house.stop();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_limited_at_a_provider_is_kept_and_shown() {
    let site = Site::open().await;
    let key =
        json!({"budgets": [{"amount_usd": 100, "window": "month", "providers": ["openai", "azure-*"]}]});
    let made = site.does(Method::POST, "/admin/v1/keys", key).await;
    let path = format!("/admin/v1/keys/{}", made["id"].as_str().unwrap());
    let shown = site.does(Method::GET, &path, Value::Null).await;
    assert_eq!(shown["budgets"][0]["providers"], json!(["openai", "azure-*"]));
    let same = json!({"amount_usd": 1, "window": "month", "providers": ["openai"]});
    let answer = site
        .call(Method::PATCH, &path, json!({"budgets": [same, same]}))
        .await;
    assert_eq!(answer.status, 400, "{}", answer.text());
    let wrong = json!({"amount_usd": 1, "providers": [""]});
    let answer = site.call(Method::PATCH, &path, json!({"budgets": [wrong]})).await;
    assert_eq!(answer.status, 400, "{}", answer.text());
    let (ok, said) = command(
        site.folder.path(),
        &[
            "key",
            "create",
            "--name",
            "c",
            "--quota",
            "requests=60/sliding 60s at anthropic",
            "--budget",
            "5",
            "--budget-provider",
            "openai",
        ],
    );
    assert!(ok, "{said}");
    let keys = site.does(Method::GET, "/admin/v1/keys?name=c", Value::Null).await;
    assert_eq!(keys["data"][0]["quotas"][0]["providers"], json!(["anthropic"]));
    assert_eq!(keys["data"][0]["budgets"][0]["providers"], json!(["openai"]));
}
