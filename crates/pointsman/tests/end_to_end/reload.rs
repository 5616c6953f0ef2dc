//! A new configuration takes over without dropping a stream; a bad one changes nothing.

use std::time::Duration;

use pointsman_store::NewKey;
use pointsman_testbed::{SimOptions, SimServer};
use serde_json::{Value, json};

use crate::harness::{House, folder, key, post, write};

fn ask(model: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": "hi"}]})
}

async fn until(house: &House, key: &str, model: &str, status: u16) {
    for _ in 0..100 {
        if post(house.address, "/v1/chat/completions", key, &ask(model))
            .await
            .unwrap()
            .status
            == status
        {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{model} never answered {status}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reloads_drop_no_stream_and_bad_files_are_refused() {
    let sim = SimServer::local(SimOptions {
        token_delay: Duration::from_millis(5),
        ..SimOptions::default()
    })
    .await
    .unwrap();
    let config = |name: &str| {
        format!(
            "providers: {{ o: {{ kind: openai, base_url: \"http://{}/v1\", auth: {{ api_key: sk-sim }} }} }}\n\
             models: {{ {name}: {{ targets: [ {{ provider: o, model: gpt-5-mini }} ] }} }}\n",
            sim.address()
        )
    };
    let folder = folder(&config("first"));
    let key = key(folder.path(), NewKey::default());
    let house = House::open(folder.path());
    until(&house, &key, "first", 200).await;
    let streams: Vec<_> = (0..20)
        .map(|_| {
            let (address, key) = (house.address, key.clone());
            let body = json!({"model": "first", "stream": true, "messages": [{"role": "user", "content": "repeat 300 words"}]});
            tokio::spawn(async move { post(address, "/v1/chat/completions", &key, &body).await })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(200)).await;
    write(folder.path(), &config("second"));
    until(&house, &key, "second", 200).await;
    until(&house, &key, "first", 404).await;
    write(folder.path(), "modls: {}\n");
    tokio::time::sleep(Duration::from_secs(1)).await;
    until(&house, &key, "second", 200).await;
    for stream in streams {
        let answer = stream.await.unwrap().expect("a stream was dropped");
        assert!(answer.text().ends_with("data: [DONE]\n\n"), "{}", answer.text());
    }
}
