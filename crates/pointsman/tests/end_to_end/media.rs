//! Pictures by URL for a provider that takes none: fetched, within bounds, or refused by name.

use std::net::SocketAddr;

use pointsman_store::NewKey;
use pointsman_testbed::{SimOptions, SimServer};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::harness::{House, folder, key, post};

const CLAUDE: &str = "anthropic.claude-haiku-4-5-20251001-v1:0";
/// One pixel.
const PIXEL: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
/// The same in bytes.
const PIXEL_BYTES: &[u8] =
    b"\x89\x50\x4e\x47\x0d\x0a\x1a\x0a\x00\x00\x00\x0d\x49\x48\x44\x52\x00\x00\x00\x01\x00\x00\x00\
    \x01\x08\x06\x00\x00\x00\x1f\x15\xc4\x89\x00\x00\x00\x0d\x49\x44\x41\x54\x78\xda\x63\x64\xf8\
    \xcf\x50\x0f\x00\x03\x86\x01\x80\x5a\x34\x7d\x6b\x00\x00\x00\x00\x49\x45\x4e\x44\xae\x42\x60\
    \x82";

/// A server of files that keeps to itself what it is asked for.
async fn pictures() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = [0; 2048];
            let read = stream.read(&mut head).await.unwrap_or(0);
            let told = std::str::from_utf8(&head[..read]).unwrap_or_default();
            assert!(!told.to_lowercase().contains("authorization"), "{told}");
            let body = if told.starts_with("GET /page") {
                b"<html>".to_vec()
            } else {
                PIXEL_BYTES.to_vec()
            };
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: image/png\r\ncontent-length: {}\r\n\r\n",
                body.len()
            );
            let _ = stream.write_all(&[head.as_bytes(), &body].concat()).await;
        }
    });
    address
}

fn configuration(sim: &SimServer, media: &str) -> String {
    format!(
        "server: {{ media: {media} }}\n\
         providers: {{ b: {{ kind: aws-bedrock, base_url: \"http://{}\", region: eu-west-1, auth: {{ api_key: bedrock-api-key-sim }} }} }}\n\
         models:\n  converse: {{ targets: [ {{ provider: b, model: \"{CLAUDE}\", format: bedrock-converse }} ] }}\n  \
         invoke: {{ targets: [ {{ provider: b, model: \"{CLAUDE}\", format: bedrock-invoke }} ] }}\n",
        sim.address()
    )
}

fn shown(model: &str, url: &str) -> Value {
    json!({ "model": model, "messages": [ { "role": "user", "content": [ { "type": "text", "text": "repeat 2 words" },
        { "type": "image_url", "image_url": { "url": url } } ] } ] })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pictures_by_url_are_fetched_for_bedrock() {
    let sim = SimServer::local(SimOptions::default()).await.unwrap();
    let files = pictures().await;
    let folder = folder(&configuration(
        &sim,
        "{ plain_http: true, private_hosts: [\"127.0.0.1\"] }",
    ));
    let key = key(folder.path(), NewKey::default());
    let house = House::open(folder.path());
    let url = format!("http://{files}/a.png");
    for model in ["converse", "invoke"] {
        sim.clear();
        let answer = post(house.address, "/v1/chat/completions", &key, &shown(model, &url))
            .await
            .unwrap();
        assert_eq!(answer.status, 200, "{model}: {}", answer.text());
        let sent = &sim.served()[0].body;
        assert!(sent.contains(PIXEL) && !sent.contains("a.png"), "{model}: {sent}");
    }
    // A client that speaks the provider's own format does not know what the provider takes, either.
    sim.clear();
    let body = json!({ "model": "invoke", "max_tokens": 100, "messages": [ { "role": "user", "content": [ { "type": "text", "text": "repeat 2 words" },
        { "type": "image", "source": { "type": "url", "url": url } } ] } ] });
    let answer = post(house.address, "/v1/messages", &key, &body).await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(sim.served()[0].body.contains(PIXEL));
    let page = shown("converse", &format!("http://{files}/page"));
    let refused = post(house.address, "/v1/chat/completions", &key, &page)
        .await
        .unwrap();
    let error = &refused.json()["error"];
    assert_eq!(
        (refused.status.as_u16(), &error["code"], &error["param"]),
        (400, &json!("file_unavailable"), &json!("messages[0].content[1]"))
    );
    assert!(error["message"].to_string().contains("no picture"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_private_is_fetched_and_nothing_at_all_when_that_is_off() {
    let sim = SimServer::local(SimOptions::default()).await.unwrap();
    let files = pictures().await;
    for (media, url, why) in [
        (
            "{ plain_http: true }",
            format!("http://{files}/a.png"),
            "not one of the public internet",
        ),
        (
            "{ plain_http: true }",
            "http://169.254.169.254/latest/meta-data/".to_owned(),
            "not one of the public internet",
        ),
        (
            "{ private_hosts: [\"127.0.0.1\"] }",
            format!("http://{files}/a.png"),
            "only https",
        ),
        (
            "{ plain_http: true, private_hosts: [\"127.0.0.1\"], max_bytes: 20 }",
            format!("http://{files}/a.png"),
            "larger than 20 bytes",
        ),
        (
            "{ fetch: false }",
            format!("http://{files}/a.png"),
            "server.media",
        ),
    ] {
        let folder = folder(&configuration(&sim, media));
        let key = key(folder.path(), NewKey::default());
        let house = House::open(folder.path());
        let answer = post(
            house.address,
            "/v1/chat/completions",
            &key,
            &shown("converse", &url),
        )
        .await
        .unwrap();
        let message = answer.json()["error"]["message"].to_string();
        assert_eq!(answer.status, 400, "{media}: {message}");
        assert!(message.contains(why), "{media}: {message}");
    }
    assert_eq!(sim.served().len(), 0);
}
