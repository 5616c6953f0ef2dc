//! What all callers together may send to a provider: never passed, others take over, and what is not used comes back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, header};
use http_body_util::{BodyExt, Full};
use pointsman_catalog::Money;
use pointsman_store::NewKey;
use pointsman_testbed::redis::{Keeps, RedisServer};
use pointsman_testbed::{Fault, Schedule, ServedOutcome, SimOptions, SimServer, load};
use serde_json::{Value, json};

use crate::harness::{Answer, House, folder, key, ledger, post, write};

/// A small provider with these limits, and a big one without any.
fn config(small: &SimServer, big: &SimServer, limits: &str) -> String {
    let provider = |sim: &SimServer, limits: &str| {
        format!(
            "{{ kind: openai, base_url: \"http://{}/v1\", auth: {{ api_key: sk-sim }}, \
             health: {{ consecutive_failures: 0, failure_ratio: 0 }}, limits: {{ {limits} }} }}",
            sim.address()
        )
    };
    format!(
        "providers:\n  small: {}\n  big: {}\n\
         models:\n\
         \x20 m: {{ targets: [ {{ provider: small, model: gpt-5-mini }}, {{ provider: big, model: gpt-5-mini, priority: 1 }} ], \
              price: {{ input: 1000, output: 1000 }} }}\n\
         \x20 alone: {{ targets: [ {{ provider: small, model: gpt-5-mini }} ], retry: {{ attempts: 1 }}, \
              price: {{ input: 1000, output: 1000 }} }}\n\
         \x20 other: {{ targets: [ {{ provider: small, model: gpt-5 }} ] }}\n\
         \x20 after: {{ targets: [ {{ provider: small, model: gpt-5-mini }} ], fallback: {{ any: [ beyond ] }} }}\n\
         \x20 beyond: {{ targets: [ {{ provider: big, model: gpt-5-mini }} ] }}\n",
        provider(small, limits),
        provider(big, "")
    )
}

async fn sims(options: SimOptions) -> (SimServer, SimServer) {
    let big = SimServer::local(SimOptions::default()).await.unwrap();
    (SimServer::local(options).await.unwrap(), big)
}

fn body(model: &str, stream: bool) -> Value {
    json!({
        "model": model, "stream": stream, "max_tokens": 60,
        "messages": [{ "role": "user", "content": "repeat 10 words" }],
    })
}

async fn chat(house: &House, key: &str, body: &Value) -> Answer {
    post(house.address, "/v1/chat/completions", key, body)
        .await
        .unwrap()
}

fn by(answer: &Answer) -> (u16, &str) {
    (answer.status.as_u16(), answer.header("x-pointsman-provider"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_at_its_limit_is_passed_over_and_the_client_is_told_where_nobody_is_left() {
    let (small, big) = sims(SimOptions::default()).await;
    let limits = "requests_per_minute: 5, models: { gpt-5: { requests_per_minute: 1 } }";
    let folder = folder(&config(&small, &big, limits));
    let key = key(folder.path(), NewKey::default());
    let house = House::open(folder.path());
    let ask = async |model: &str, stream: bool| chat(&house, &key, &body(model, stream)).await;
    assert_eq!(by(&ask("other", false).await), (200, "small"));
    let denied = ask("other", false).await;
    assert_eq!(denied.status, 429);
    assert!(denied.text().contains(r#"for \"gpt-5\""#), "{}", denied.text());
    for turn in 0..4 {
        assert_eq!(by(&ask("m", turn % 2 == 0).await), (200, "small"), "{turn}");
    }
    for stream in [false, true] {
        let answer = ask("m", stream).await;
        assert_eq!(by(&answer), (200, "big"), "{}", answer.text());
        assert_eq!(answer.header("x-pointsman-attempts"), "1");
        assert_eq!(by(&ask("after", stream).await), (200, "big"));
        let denied = ask("alone", stream).await;
        assert_eq!(
            (denied.status.as_u16(), &denied.json()["error"]["code"]),
            (429, &json!("rate_limit_exceeded"))
        );
        assert!(
            denied
                .text()
                .contains(r#"the provider \"small\" may make 5 requests a minute"#),
            "{}",
            denied.text()
        );
        let wait: u64 = denied.header("retry-after").parse().unwrap();
        assert!((1..=61).contains(&wait), "{wait}");
    }
    // Other endpoints go through the same gate, and a reload opens it without forgetting what was counted.
    let embedding = json!({"model": "small/text-embedding-3-small", "input": "a"});
    let denied = post(house.address, "/v1/embeddings", &key, &embedding)
        .await
        .unwrap();
    assert_eq!(denied.status, 429, "{}", denied.text());
    assert_eq!(small.served().len(), 5);
    write(folder.path(), &config(&small, &big, "requests_per_minute: 6"));
    house.signal("HUP");
    let until = Instant::now() + Duration::from_secs(5);
    while ask("alone", false).await.status != 200 {
        assert!(Instant::now() < until, "the new limit is not there");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(ask("alone", false).await.status, 429);
    assert_eq!(small.served().len(), 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_of_256_never_passes_a_providers_limits_and_is_answered_by_the_next() {
    let options = SimOptions {
        first_token: Duration::from_millis(25),
        ..SimOptions::default()
    };
    let (small, big) = sims(options).await;
    let small = Arc::new(small);
    let folder = folder(&config(&small, &big, "requests_per_minute: 20, concurrency: 3"));
    let key = Arc::new(key(folder.path(), NewKey::default()));
    let house = House::open(folder.path());
    let is_over = Arc::new(AtomicBool::new(false));
    let watch = tokio::spawn({
        let (small, is_over) = (Arc::clone(&small), Arc::clone(&is_over));
        async move {
            let mut most = 0;
            while !is_over.load(Ordering::Relaxed) {
                let served = small.served();
                let open = served.iter().filter(|one| one.outcome == ServedOutcome::Open);
                most = most.max(open.count());
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            most
        }
    });
    let address = house.address;
    let clients: Vec<_> = (0..256)
        .map(|client| {
            let key = Arc::clone(&key);
            tokio::spawn(async move {
                let body = body("m", client % 2 == 0);
                let mut all = Vec::new();
                for _ in 0..3 {
                    let answer = post(address, "/v1/chat/completions", &key, &body).await.unwrap();
                    all.push(answer.status.as_u16());
                }
                all
            })
        })
        .collect();
    for client in clients {
        assert_eq!(client.await.unwrap(), [200; 3]);
    }
    is_over.store(true, Ordering::Relaxed);
    let most = watch.await.unwrap();
    assert!((1..=3).contains(&most), "{most} at once");
    // All of it can be used, and no more.
    let mut last = chat(&house, &key, &body("m", false)).await;
    while by(&last) == (200, "small") {
        last = chat(&house, &key, &body("m", false)).await;
    }
    assert_eq!(small.served().len(), 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_way_out_gives_a_providers_place_and_tokens_back() {
    let options = SimOptions {
        token_delay: Duration::from_millis(30),
        ..SimOptions::default()
    };
    let (small, big) = sims(options).await;
    let folder = folder(&config(
        &small,
        &big,
        "concurrency: 1, output_tokens_per_minute: 600",
    ));
    let key = key(folder.path(), NewKey::default());
    let house = House::open(folder.path());
    // What is reserved and not used would be missed at once: a request may take 400 tokens of 600.
    let mut whole = body("alone", false);
    whole["max_tokens"] = 400.into();
    let mut stream = whole.clone();
    stream["stream"] = true.into();
    stream["messages"][0]["content"] = "repeat 60 words".into();
    assert_eq!(chat(&house, &key, &whole).await.status, 200);
    for fault in [
        Fault::Status(500),
        Fault::Status(400),
        Fault::ResetBeforeHead,
        Fault::TruncatedJson,
    ] {
        small.set_faults(vec![(Schedule::Always, fault)]);
        assert_ne!(chat(&house, &key, &whole).await.status, 200, "{fault}");
        small.set_faults(Vec::new());
        let answer = chat(&house, &key, &whole).await;
        assert_eq!(answer.status, 200, "after {fault}: {}", answer.text());
    }
    // Cut in the middle, and left in the middle.
    small.set_faults(vec![(Schedule::Always, Fault::CutAbort)]);
    let _ = post(house.address, "/v1/chat/completions", &key, &stream).await;
    small.set_faults(Vec::new());
    assert_eq!(chat(&house, &key, &whole).await.status, 200);
    let mut sender = load::connect(house.address).await.unwrap();
    let request = Request::post("/v1/chat/completions")
        .header(header::AUTHORIZATION, format!("Bearer {key}"))
        .header(header::HOST, house.address.to_string())
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(stream.to_string())))
        .unwrap();
    let mut response = sender.send_request(request).await.unwrap();
    assert!(response.body_mut().frame().await.is_some());
    assert_eq!(chat(&house, &key, &whole).await.status, 429, "there is one place");
    drop((response, sender));
    let until = Instant::now() + Duration::from_secs(5);
    while chat(&house, &key, &whole).await.status != 200 {
        assert!(Instant::now() < until, "the place did not come back");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_counted_at_a_provider_is_what_it_used() {
    let (small, big) = sims(SimOptions::default()).await;
    let folder = folder(&config(&small, &big, "tokens_per_minute: 300"));
    let key = key(folder.path(), NewKey::default());
    let house = House::open(folder.path());
    let denied = loop {
        let answer = chat(&house, &key, &body("alone", false)).await;
        if answer.status != 200 {
            break answer;
        }
    };
    assert_eq!(denied.status, 429);
    house.stop();
    let used: u64 = ledger(folder.path())
        .iter()
        .map(|entry| entry.usage.total())
        .sum();
    assert!((200..=300).contains(&used), "{used}");
    assert!(
        denied
            .text()
            .contains(&format!("{used} of the 300 a minute of whoever asks")),
        "{used}: {}",
        denied.text()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_on_one_redis_keep_a_providers_limit_together() {
    let root = tempfile::tempdir().unwrap();
    let Some(redis) = RedisServer::start(root.path(), Keeps::Everything) else {
        return;
    };
    let (small, big) = sims(SimOptions::default()).await;
    let mut houses = Vec::new();
    for number in 0..2 {
        let own = root.path().join(number.to_string());
        std::fs::create_dir_all(&own).unwrap();
        let text = format!(
            "listeners: {{ api: {{ address: \"127.0.0.1:0\" }}, admin: {{ address: \"127.0.0.1:0\" }} }}\n\
             stores: {{ database: \"sqlite://{root}/p.db\", local: \"{own}\", shared: \"{}\", blobs: \"file://{own}\" }}\n{}",
            redis.url(),
            config(&small, &big, "requests_per_minute: 40, concurrency: 8"),
            root = root.path().display(),
            own = own.display(),
        );
        std::fs::write(own.join("pointsman.yaml"), text).unwrap();
        houses.push(House::open(&own));
    }
    let key = Arc::new(key(root.path(), NewKey::default()));
    // A server that has just begun gives nothing of what it does not know: until then others answer.
    let until = Instant::now() + Duration::from_secs(20);
    while by(&chat(&houses[0], &key, &body("m", false)).await) != (200, "small") {
        assert!(Instant::now() < until, "it does not begin");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let clients: Vec<_> = (0..64)
        .map(|client| {
            let (address, key) = (houses[client % 2].address, Arc::clone(&key));
            tokio::spawn(async move {
                for _ in 0..4 {
                    let answer = post(address, "/v1/chat/completions", &key, &body("m", false)).await;
                    assert_eq!(answer.unwrap().status, 200);
                }
            })
        })
        .collect();
    for client in clients {
        client.await.unwrap();
    }
    // What one replica held in advance, the other gets once it is told that nothing is left.
    let until = Instant::now() + Duration::from_secs(10);
    while small.served().len() < 40 && Instant::now() < until {
        for house in &houses {
            chat(house, &key, &body("m", false)).await;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let served = small.served().len();
    assert!((39..=40).contains(&served), "{served} of 40");
    let denied = chat(&houses[1], &key, &body("alone", false)).await;
    assert_eq!(denied.status, 429, "{}", denied.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_providers_budget_is_never_passed_by_256_clients_and_is_the_same_after_a_restart() {
    let (small, big) = sims(SimOptions::default()).await;
    let folder = folder(&config(
        &small,
        &big,
        "budgets: [ { amount_usd: 0.9, window: month } ]",
    ));
    let key = Arc::new(key(folder.path(), NewKey::default()));
    let house = House::open(folder.path());
    let address = house.address;
    let clients: Vec<_> = (0..256)
        .map(|client| {
            let key = Arc::clone(&key);
            tokio::spawn(async move {
                let body = body("m", client % 2 == 0);
                let answer = post(address, "/v1/chat/completions", &key, &body).await.unwrap();
                assert_eq!(answer.status, 200, "{}", answer.text());
            })
        })
        .collect();
    for client in clients {
        client.await.unwrap();
    }
    while by(&chat(&house, &key, &body("m", false)).await) == (200, "small") {}
    let denied = chat(&house, &key, &body("alone", false)).await;
    let told = r#"the provider \"small\" has no budget left"#;
    assert_eq!(
        (denied.status.as_u16(), &denied.json()["error"]["code"]),
        (429, &json!("rate_limit_exceeded"))
    );
    assert!(denied.text().contains(told), "{}", denied.text());
    assert!(!denied.text().contains('$'), "{}", denied.text());
    house.stop();
    let spent: Money = ledger(folder.path())
        .iter()
        .filter(|entry| entry.provider.as_deref() == Some("small"))
        .map(|entry| entry.cost)
        .sum();
    let amount = Money::parse("0.9").unwrap();
    // What one request may cost at most is not there any more.
    let one = Money::parse("0.09").unwrap();
    assert!(spent <= amount && spent + one > amount, "{spent} of {amount}");
    let house = House::open(folder.path());
    assert_eq!(by(&chat(&house, &key, &body("m", false)).await), (200, "big"));
}
