//! Stopping: what has begun is finished, nothing new is begun, and what takes too long is cut and still charged.

use std::time::{Duration, Instant};

use pointsman_store::{NewKey, Outcome};
use pointsman_testbed::{SimOptions, SimServer, load};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::{Answer, House, folder, get, key, ledger, post, read};

const PATH: &str = "/v1/chat/completions";

async fn sim() -> SimServer {
    let options = SimOptions {
        token_delay: Duration::from_millis(10),
        ..SimOptions::default()
    };
    SimServer::local(options).await.unwrap()
}

fn config(sim: &SimServer, drain: &str) -> String {
    format!(
        "server: {{ drain: {drain} }}\n\
         providers: {{ o: {{ kind: openai, base_url: \"http://{}/v1\", auth: {{ api_key: sk-sim }} }} }}\n\
         models: {{ m: {{ targets: [ {{ provider: o, model: gpt-5-mini }} ] }} }}\n",
        sim.address()
    )
}

fn stream(house: &House, key: &str, words: usize) -> tokio::task::JoinHandle<Option<Answer>> {
    let (address, key) = (house.address, key.to_owned());
    let body = json!({"model": "m", "stream": true, "messages": [{"role": "user", "content": format!("repeat {words} words")}]});
    tokio::spawn(async move { post(address, PATH, &key, &body).await })
}

/// A stream whose first content has come.
async fn begun(house: &House, key: &str, words: usize) -> tokio::task::JoinHandle<Option<Answer>> {
    let mut sender = load::connect(house.address).await.unwrap();
    let body = json!({"model": "m", "stream": true, "messages": [{"role": "user", "content": format!("repeat {words} words")}]});
    let request = http::Request::post(PATH)
        .header("host", "x")
        .header("authorization", format!("Bearer {key}"))
        .header("content-type", "application/json")
        .body(body.to_string().into());
    let head = sender.send_request(request.unwrap()).await.unwrap();
    assert_eq!(head.status(), 200);
    tokio::spawn(async move {
        let answer = read(head).await;
        drop(sender);
        answer
    })
}

/// Waits until so many requests are on the road.
async fn on_the_road(house: &House, count: usize) {
    let line = format!("pointsman_requests_in_flight {count}\n");
    for _ in 0..200 {
        let metrics = get(house.admin, "/metrics").await.unwrap();
        if metrics.text().contains(&line) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{count} requests were never on the road");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopping_gateway_finishes_what_has_begun_and_begins_nothing() {
    let sim = sim().await;
    let folder = folder(&config(&sim, "20s"));
    let key = key(folder.path(), NewKey::default());
    let mut house = House::open(folder.path());
    // Connections that only wait must not hold anything up: one that never spoke, one kept alive, a scraper's.
    let silent = TcpStream::connect(house.address).await.unwrap();
    let mut kept = load::connect(house.address).await.unwrap();
    let mut scraper = load::connect(house.admin).await.unwrap();
    for (sender, path) in [(&mut kept, "/health"), (&mut scraper, "/metrics")] {
        let request = http::Request::get(path)
            .header("host", "x")
            .body(http_body_util::Full::default());
        let answer = read(sender.send_request(request.unwrap()).await.unwrap())
            .await
            .unwrap();
        assert_eq!(answer.status, 200);
    }
    assert_eq!(get(house.admin, "/health/ready").await.unwrap().status, 200);
    let streams: Vec<_> = (0..5).map(|_| stream(&house, &key, 200)).collect();
    on_the_road(&house, 5).await;
    let stopped = Instant::now();
    house.signal("TERM");
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(house.is_up(), "{}", house.said());
    assert!(
        TcpStream::connect(house.address).await.is_err(),
        "a new connection was taken"
    );
    let ready = get(house.admin, "/health/ready")
        .await
        .expect("the admin listener is gone");
    assert_eq!(ready.status, 503, "{}", ready.text());
    assert_eq!(get(house.admin, "/health/live").await.unwrap().status, 200);
    let metrics = get(house.admin, "/metrics").await.unwrap();
    assert!(
        metrics.text().contains("pointsman_requests_in_flight 5\n"),
        "{}",
        metrics.text()
    );
    for stream in streams {
        let answer = stream.await.unwrap().expect("a stream was cut");
        assert!(answer.text().ends_with("data: [DONE]\n\n"), "{}", answer.text());
    }
    assert!(house.ended(Duration::from_secs(5)).success());
    assert!(
        stopped.elapsed() < Duration::from_secs(10),
        "{:?}",
        stopped.elapsed()
    );
    let entries = ledger(folder.path());
    assert_eq!(entries.len(), 5);
    assert!(
        entries
            .iter()
            .all(|entry| entry.outcome == Outcome::Complete && entry.usage.output > 0),
        "{entries:?}"
    );
    drop((silent, kept, scraper));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_the_drain_time_streams_are_cut_and_charged() {
    let sim = sim().await;
    let folder = folder(&config(&sim, "500ms"));
    let key = key(folder.path(), NewKey::default());
    let mut house = House::open(folder.path());
    let mut streams = Vec::new();
    for _ in 0..3 {
        streams.push(begun(&house, &key, 5_000).await);
    }
    let stopped = Instant::now();
    house.signal("TERM");
    assert!(house.ended(Duration::from_secs(5)).success());
    let took = stopped.elapsed();
    assert!(
        took >= Duration::from_millis(450) && took < Duration::from_secs(3),
        "{took:?}"
    );
    for stream in streams {
        let answer = stream.await.unwrap();
        assert!(answer.is_none(), "a cut stream ended cleanly");
    }
    let entries = ledger(folder.path());
    assert_eq!(entries.len(), 3);
    for entry in entries {
        assert!(
            entry.outcome == Outcome::Cancelled && entry.usage_estimated && entry.usage.output > 0,
            "{entry:?}"
        );
    }
}

/// A request that is written while the gateway is told to stop is answered or its connection closed; never left open.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_come_with_the_signal_are_answered_or_closed() {
    let sim = sim().await;
    let folder = folder(&config(&sim, "20s"));
    let mut house = House::open(folder.path());
    let mut clients = Vec::new();
    for _ in 0..200 {
        clients.push(TcpStream::connect(house.address).await.unwrap());
    }
    let told: Vec<_> = clients
        .into_iter()
        .map(|mut client| {
            tokio::spawn(async move {
                let sent = client.write_all(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n").await;
                let mut answer = Vec::new();
                if sent.is_ok() {
                    let _ = client.read_to_end(&mut answer).await;
                }
                answer
            })
        })
        .collect();
    house.signal("TERM");
    assert!(house.ended(Duration::from_secs(5)).success());
    for told in told {
        let answer = tokio::time::timeout(Duration::from_secs(1), told)
            .await
            .unwrap()
            .unwrap();
        assert!(
            answer.is_empty() || answer.starts_with(b"HTTP/1.1 200") && answer.ends_with(b"}"),
            "{}",
            String::from_utf8_lossy(&answer)
        );
    }
}
