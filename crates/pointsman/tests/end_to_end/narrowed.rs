//! Where keys may be used, and what for: networks, proxies that are believed, and surfaces.

use std::time::{Duration, Instant};

use http::{Method, Request};
use pointsman_store::{Actor, HolderKind, HolderSpec, NewKey, Terms};
use pointsman_testbed::{SimOptions, SimServer};
use serde_json::{Value, json};

use crate::harness::{Answer, House, ask, folder, key, post, send, store, upload};

/// A gateway with one model; `more` is beside it in its configuration.
async fn open(more: &str) -> (SimServer, tempfile::TempDir) {
    let sim = SimServer::local(SimOptions::default()).await.unwrap();
    let text = format!(
        "providers: {{ o: {{ kind: openai, base_url: \"http://{}/v1\", auth: {{ api_key: sk-sim }} }} }}\n\
         models: {{ m: {{ targets: [ {{ provider: o, model: gpt-5-mini }} ] }} }}\n{more}",
        sim.address()
    );
    (sim, folder(&text))
}

fn question() -> Value {
    json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]})
}

/// Asks with a key, and with what a proxy would say.
async fn from(house: &House, key: &str, forwarded: Option<&str>) -> Answer {
    let mut request = Request::post("/v1/chat/completions")
        .header("authorization", format!("Bearer {key}"))
        .header("content-type", "application/json");
    if let Some(forwarded) = forwarded {
        request = request.header("x-forwarded-for", forwarded);
    }
    send(house.address, request.body(question().to_string()).unwrap())
        .await
        .unwrap()
}

fn code(answer: &Answer) -> (u16, Value) {
    (answer.status.as_u16(), answer.json()["error"]["code"].clone())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_good_in_its_networks_and_only_trusted_proxies_say_where_that_is() {
    let refused = (403, json!("address_not_allowed"));
    for (more, is_trusting) in [
        ("", false),
        ("server: { trusted_proxies: [127.0.0.0/8] }\n", true),
    ] {
        let (_sim, folder) = open(more).await;
        let office = |networks: &[&str]| NewKey {
            networks: networks.iter().map(|text| (*text).to_owned()).collect(),
            ..NewKey::default()
        };
        let anywhere = key(folder.path(), NewKey::default());
        let here = key(folder.path(), office(&["::1", "127.0.0.0/8"]));
        let there = key(folder.path(), office(&["10.0.0.0/8"]));
        let house = House::open(folder.path());
        for forwarded in [None, Some("10.1.1.1")] {
            assert_eq!(from(&house, &anywhere, forwarded).await.status, 200);
        }
        assert_eq!(from(&house, &here, None).await.status, 200);
        assert_eq!(code(&from(&house, &there, None).await), refused);
        let told = from(&house, &there, Some("10.1.1.1")).await;
        if is_trusting {
            assert_eq!(told.status, 200, "{}", told.text());
            // What the client itself writes stands before what the proxy adds.
            assert_eq!(
                code(&from(&house, &there, Some("10.1.1.1, 203.0.113.5")).await),
                refused
            );
            assert_eq!(code(&from(&house, &here, Some("203.0.113.5")).await), refused);
        } else {
            assert_eq!(code(&told), refused);
            assert_eq!(from(&house, &here, Some("203.0.113.5")).await.status, 200);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn surfaces_are_narrowed_by_every_holder_and_lines_of_batches_are_no_way_around() {
    let (_sim, folder) = open("").await;
    let narrowed = |surfaces: &[&str]| surfaces.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let spec = HolderSpec {
        terms: Terms {
            surfaces: narrowed(&["/v1/*"]),
            ..Terms::default()
        },
        ..HolderSpec::default()
    };
    store(folder.path())
        .create_holder(&Actor::local(), HolderKind::Team, Some("t".to_owned()), spec)
        .unwrap();
    let make = |surfaces: &[&str]| {
        let grant = NewKey {
            team: Some("t".into()),
            surfaces: narrowed(surfaces),
            ..NewKey::default()
        };
        key(folder.path(), grant)
    };
    let (all, chats) = (make(&["*"]), make(&["/v1/chat/*"]));
    let keeps = make(&["/v1/files*", "/v1/batches*"]);
    let house = House::open(folder.path());
    let gemini = json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}]});
    let turn = json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]});
    for (key, path, body, expected) in [
        (&all, "/v1/chat/completions", question(), 200),
        (&all, "/openai/v1/chat/completions", question(), 200),
        (&all, "/v1/messages", turn.clone(), 200),
        (&all, "/v1beta/models/m:generateContent", gemini, 403),
        (&chats, "/v1/chat/completions", question(), 200),
        (&chats, "/v1/messages", turn.clone(), 403),
        (&chats, "/anthropic/v1/messages", turn, 403),
        (&chats, "/mcp", json!({}), 403),
        (&keeps, "/v1/chat/completions", question(), 403),
    ] {
        let answer = post(house.address, path, key, &body).await.unwrap();
        assert_eq!(answer.status, expected, "{path}: {}", answer.text());
    }
    let models = ask(house.address, Method::GET, "/v1/models", &chats)
        .await
        .unwrap();
    assert_eq!(models.status, 403, "{}", models.text());
    let line = json!({"custom_id": "1", "method": "POST", "url": "/v1/chat/completions", "body": question()});
    let line = line.to_string();
    let file = upload(house.address, &keeps, &[("purpose", "batch")], line.as_bytes());
    let file = file.await.unwrap().json();
    let batch =
        json!({"input_file_id": file["id"], "endpoint": "/v1/chat/completions", "completion_window": "24h"});
    let batch = post(house.address, "/v1/batches", &keeps, &batch)
        .await
        .unwrap()
        .json();
    let path = format!("/v1/batches/{}", batch["id"].as_str().unwrap());
    let until = Instant::now() + Duration::from_secs(20);
    let ended = loop {
        let batch = ask(house.address, Method::GET, &path, &keeps)
            .await
            .unwrap()
            .json();
        if batch["status"] == "completed" {
            break batch;
        }
        assert!(Instant::now() < until, "{batch}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert_eq!(ended["request_counts"]["failed"], 1, "{ended}");
    let errors = format!("/v1/files/{}/content", ended["error_file_id"].as_str().unwrap());
    let errors = ask(house.address, Method::GET, &errors, &keeps).await.unwrap();
    assert!(errors.text().contains("surface_not_allowed"), "{}", errors.text());
}
