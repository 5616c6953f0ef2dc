//! How realtime sessions end: with the right code, never cleanly where something broke, and with their place given back.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use pointsman_store::{NewKey, Outcome};
use pointsman_testbed::{Fault, Schedule, ServedOutcome, SimOptions, SimServer};
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use crate::harness::{House, folder, get, key, ledger, store};
use crate::realtime::{config, sim};
use crate::socket::{Client, refused};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_dies_in_an_answer_is_an_error_and_never_a_clean_end() {
    let sim = sim().await;
    let folder = folder(&config(&sim, ""));
    let key = key(folder.path(), NewKey::default());
    let house = House::open(folder.path());
    for fault in [
        Fault::CutAbort,
        Fault::CutClean,
        Fault::ResetMidStream,
        Fault::MalformedEvent,
    ] {
        sim.set_faults(vec![(Schedule::Always, fault)]);
        let mut client = Client::open(house.address, "voice", &key).await;
        client.until("session.created").await;
        client.ask("repeat 40 words").await;
        let (error, code) = client.end().await;
        assert_eq!(code, Some(1011), "{fault}");
        assert_eq!(error.unwrap()["type"], "server_error", "{fault}");
    }
    house.stop();
    let broken: Vec<_> = ledger(folder.path())
        .into_iter()
        .filter(|entry| entry.id.as_str().contains('/'))
        .collect();
    assert_eq!(broken.len(), 4);
    for entry in broken {
        // What was said until then is counted, and charged.
        assert!(
            entry.usage_estimated && entry.usage.output > 0 && entry.cost.nanodollars() > 0,
            "{entry:?}"
        );
        assert_eq!(entry.outcome, Outcome::ProviderFailed);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_of_every_kind_are_handled_and_bounded() {
    let sim = sim().await;
    let folder = folder(&config(&sim, "server: { realtime: { message_limit: 20000 } }\n"));
    let key = key(folder.path(), NewKey::default());
    let house = House::open(folder.path());
    let mut client = Client::open(house.address, "voice", &key).await;
    client.until("session.created").await;
    client
        .socket
        .send(Message::Ping(Bytes::from_static(b"there?")))
        .await
        .unwrap();
    loop {
        match client.socket.next().await.unwrap().unwrap() {
            Message::Pong(said) => break assert_eq!(&said[..], b"there?"),
            Message::Ping(_) => {}
            other => panic!("{other:?}"),
        }
    }
    // Bytes reach the provider, which does not like them and says so.
    client
        .socket
        .send(Message::Binary(Bytes::from_static(b"\0\x01")))
        .await
        .unwrap();
    let crate::socket::Heard::Event(told) = client.hear().await else {
        panic!()
    };
    assert_eq!(told["error"]["code"], "invalid_message");
    client
        .socket
        .send(Message::Text("x".repeat(30_000).into()))
        .await
        .unwrap();
    let (error, code) = client.end().await;
    assert_eq!(code, Some(1009));
    assert_eq!(error.unwrap()["code"], "request_too_large");
    // What is not the protocol at all.
    use tokio::io::AsyncWriteExt;
    let mut client = Client::open(house.address, "voice", &key).await;
    client.until("session.created").await;
    client.socket.get_mut().write_all(&[0xff; 64]).await.unwrap();
    assert_eq!(client.end().await.1, Some(1002));
    let mut good = Client::open(house.address, "voice", &key).await;
    good.until("session.created").await;
    good.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_has_an_end_in_time() {
    let sim = SimServer::local(SimOptions {
        token_delay: Duration::from_millis(5),
        ..SimOptions::default()
    })
    .await
    .unwrap();
    for (times, code) in [
        ("idle_timeout: 1s", "idle_timeout"),
        ("session_limit: 1s", "session_expired"),
    ] {
        let folder = folder(&config(&sim, &format!("server: {{ realtime: {{ {times} }} }}\n")));
        let key = key(folder.path(), NewKey::default());
        let house = House::open(folder.path());
        let mut client = Client::open(house.address, "voice", &key).await;
        let begun = Instant::now();
        let (error, closed) = client.end().await;
        assert_eq!(
            (closed, error.unwrap()["code"].clone()),
            (Some(1001), json!(code))
        );
        assert!(
            (1..5).contains(&begun.elapsed().as_secs()),
            "{:?}",
            begun.elapsed()
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopping_gateway_lets_answers_end_and_then_ends_sessions() {
    let sim = SimServer::local(SimOptions {
        token_delay: Duration::from_millis(10),
        ..SimOptions::default()
    })
    .await
    .unwrap();
    let folder = folder(&config(&sim, "server: { drain: 10s }\n"));
    let key = key(folder.path(), NewKey::default());
    let mut house = House::open(folder.path());
    let mut quiet = Client::open(house.address, "voice", &key).await;
    quiet.until("session.created").await;
    let mut busy = Client::open(house.address, "voice", &key).await;
    busy.until("session.created").await;
    busy.ask("repeat 60 words").await;
    busy.until("response.created").await;
    house.signal("TERM");
    assert_eq!(quiet.end().await.1, Some(1001));
    busy.until("response.done").await;
    let (error, code) = busy.end().await;
    assert_eq!(
        (code, error.unwrap()["code"].clone()),
        (Some(1001), json!("gateway_stopping"))
    );
    assert!(house.ended(Duration::from_secs(8)).success());
    // One that takes too long is cut, and charged.
    let late = crate::harness::folder(&config(&sim, "server: { drain: 1s }\n"));
    let key = crate::harness::key(late.path(), NewKey::default());
    let mut house = House::open(late.path());
    let mut busy = Client::open(house.address, "voice", &key).await;
    busy.until("session.created").await;
    busy.ask("repeat 2000 words").await;
    busy.until("response.output_audio.delta").await;
    house.signal("TERM");
    assert_eq!(busy.end().await.1, Some(1001));
    assert!(house.ended(Duration::from_secs(8)).success());
    let entries = ledger(late.path());
    assert_eq!(entries.len(), 2, "{entries:?}");
    assert!(
        entries
            .iter()
            .any(|entry| entry.usage.output > 0 && entry.usage_estimated)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_place_is_held_for_the_session_and_given_back() {
    let sim = sim().await;
    let folder = folder(&config(&sim, ""));
    let key = key(
        folder.path(),
        NewKey {
            concurrency: Some(1),
            ..NewKey::default()
        },
    );
    let house = House::open(folder.path());
    for round in 0..3 {
        let mut client = Client::open(house.address, "voice", &key).await;
        client.until("session.created").await;
        // Its answers need no place of their own.
        client.ask("repeat 3 words").await;
        client.until("response.done").await;
        let answer = refused(house.address, "/v1/realtime?model=voice", &key).await;
        assert_eq!(
            (answer.status.as_u16(), answer.json()["error"]["code"].clone()),
            (429, json!("rate_limit_exceeded"))
        );
        // Left in good order, and without a word.
        if round == 0 {
            client.close().await;
        } else {
            drop(client);
        }
        let metrics = async || {
            get(house.admin, "/metrics")
                .await
                .unwrap()
                .text()
                .contains("pointsman_requests_in_flight 0\n")
        };
        let until = Instant::now() + Duration::from_secs(10);
        while !metrics().await {
            assert!(Instant::now() < until, "the session is still there");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    let open: Vec<_> = sim
        .served()
        .into_iter()
        .filter(|served| served.outcome == ServedOutcome::Open)
        .collect();
    assert!(open.is_empty(), "{open:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_is_revoked_ends_its_sessions() {
    let sim = sim().await;
    let folder = folder(&config(&sim, ""));
    let key = key(folder.path(), NewKey::default());
    let house = House::open(folder.path());
    let mut client = Client::open(house.address, "voice", &key).await;
    client.until("session.created").await;
    let store = store(folder.path());
    let id = store.keys().unwrap()[0].id.clone();
    store.revoke_key(&id).unwrap();
    let (error, code) = client.end().await;
    assert_eq!(
        (code, error.unwrap()["code"].clone()),
        (Some(1008), json!("invalid_api_key"))
    );
}
