//! A new configuration takes over without dropping a stream; a bad one changes nothing.

use std::io::Write;
use std::path::Path;
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

/// Changes a file in its place, so that nothing shows from outside: same length, same time.
fn rewrite_unseen(file: &Path, from: &str, to: &str) {
    let modified = std::fs::metadata(file).unwrap().modified().unwrap();
    let text = std::fs::read_to_string(file).unwrap().replace(from, to);
    let mut open = std::fs::OpenOptions::new().write(true).open(file).unwrap();
    open.write_all(text.as_bytes()).unwrap();
    open.set_modified(modified).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hangup_reloads_and_tells_what_it_refuses() {
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
    let stream = {
        let (address, key) = (house.address, key.clone());
        let body = json!({"model": "first", "stream": true, "messages": [{"role": "user", "content": "repeat 300 words"}]});
        tokio::spawn(async move { post(address, "/v1/chat/completions", &key, &body).await })
    };
    tokio::time::sleep(Duration::from_millis(200)).await;

    // Nothing has changed: it is read all the same, and said so.
    house.signal("HUP");
    house.hears("the new configuration is in force");
    until(&house, &key, "first", 200).await;

    // A change that does not show: same length, same time.
    let file = folder.path().join("pointsman.yaml");
    rewrite_unseen(&file, "first", "newer");
    tokio::time::sleep(Duration::from_millis(700)).await;
    until(&house, &key, "first", 200).await;
    house.signal("HUP");
    until(&house, &key, "newer", 200).await;
    until(&house, &key, "first", 404).await;

    // Each way of being bad is refused and told with its place: what cannot be read, and what cannot be carried out.
    write(folder.path(), "modls: {}\n");
    house.signal("HUP");
    let said = house.hears("the old one stays");
    assert!(said.contains("did you mean") && said.contains("models"), "{said}");
    until(&house, &key, "newer", 200).await;
    let cert = folder.path().join("missing.pem");
    let tls = format!("tls: {{ cert: {0}, key: {0} }}", cert.display());
    let bad = std::fs::read_to_string(&file)
        .unwrap()
        .replace("api: { ", &format!("api: {{ {tls}, "))
        .replace("modls: {}\n", &config("newer"));
    std::fs::write(&file, bad).unwrap();
    house.signal("HUP");
    house.hears("missing.pem");
    until(&house, &key, "newer", 200).await;

    // What only a restart can change is told, and the rest is taken over.
    write(folder.path(), &config("third"));
    let moved = std::fs::read_to_string(&file)
        .unwrap()
        .replacen("127.0.0.1:0", "127.0.0.1:1", 1);
    std::fs::write(&file, moved).unwrap();
    house.signal("HUP");
    until(&house, &key, "third", 200).await;
    let said = house.hears("only at the next start");
    assert!(said.contains("listeners.api.address"), "{said}");

    let answer = stream.await.unwrap().expect("the stream was dropped");
    assert!(answer.text().ends_with("data: [DONE]\n\n"), "{}", answer.text());
}
