//! Credentials of providers under a crowd: one token for all workers, keys that take over for each other, the caller's
//! own passed on.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use pointsman_store::NewKey;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::harness::{House, folder, key, post};

/// A server that answers each request by its head: a status, and a body.
pub async fn server(answer: impl Fn(&str) -> (u16, String) + Send + Sync + 'static) -> SocketAddr {
    server_of_bodies(move |head, _| answer(head)).await
}

/// The same by its body, too.
pub async fn server_of_bodies(
    answer: impl Fn(&str, &str) -> (u16, String) + Send + Sync + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let answer = Arc::new(answer);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, Arc::clone(&answer)));
        }
    });
    address
}

async fn serve(mut stream: TcpStream, answer: Arc<impl Fn(&str, &str) -> (u16, String)>) {
    let mut seen = Vec::new();
    loop {
        if stream.read_buf(&mut seen).await.is_ok_and(|read| read == 0) {
            return;
        }
        let text = String::from_utf8_lossy(&seen).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let head = head.to_ascii_lowercase();
        let length = head.split("content-length: ").nth(1);
        let length: usize = length.map_or(0, |rest| rest.lines().next().unwrap().parse().unwrap());
        if body.len() < length {
            continue;
        }
        let (status, body) = (*answer)(&head, body);
        let reply = format!(
            "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let _ = stream.write_all(reply.as_bytes()).await;
        return;
    }
}

pub fn bearer(head: &str) -> &str {
    let line = head
        .lines()
        .find_map(|line| line.strip_prefix("authorization: bearer "));
    line.unwrap_or_default()
}

pub fn completion(text: &str) -> (u16, String) {
    let body = json!({
        "id": "c", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{ "index": 0, "finish_reason": "stop", "message": { "role": "assistant", "content": text } }],
        "usage": { "prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2 },
    });
    (200, body.to_string())
}

fn refusal(status: u16) -> (u16, String) {
    (
        status,
        json!({ "error": { "message": "no", "type": "x", "code": null, "param": null } }).to_string(),
    )
}

pub fn ask() -> Value {
    json!({ "model": "m", "messages": [{ "role": "user", "content": "hi" }] })
}

pub fn config(provider: SocketAddr, auth: &str) -> String {
    format!(
        "server: {{ workers: 2 }}\n\
         providers: {{ o: {{ kind: openai-compatible, base_url: \"http://{provider}\", auth: {auth} }} }}\n\
         models: {{ m: {{ targets: [ {{ provider: o, model: x }} ] }} }}\n"
    )
}

/// How many of a crowd are answered, and with what.
async fn crowd(house: &House, key: &str, count: usize) -> Vec<(u16, String)> {
    let asked = (0..count).map(|_| {
        let (address, key) = (house.address, key.to_owned());
        tokio::spawn(async move {
            let answer = post(address, "/v1/chat/completions", &key, &ask()).await.unwrap();
            let text = answer.json()["choices"][0]["message"]["content"]
                .as_str()
                .map(str::to_owned);
            (
                answer.status.as_u16(),
                text.unwrap_or_else(|| answer.text().to_owned()),
            )
        })
    });
    let mut answers = Vec::new();
    for asked in asked.collect::<Vec<_>>() {
        answers.push(asked.await.unwrap());
    }
    answers
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_share_a_token_and_replace_one_that_is_refused() {
    let issued = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&issued);
    let identity = server(move |_| {
        let number = counted.fetch_add(1, Ordering::SeqCst) + 1;
        (
            200,
            json!({ "access_token": format!("token-{number}"), "expires_in": 3600 }).to_string(),
        )
    })
    .await;
    let valid = Arc::new(AtomicUsize::new(1));
    let wanted = Arc::clone(&valid);
    let provider = server(move |head| {
        let token = format!("token-{}", wanted.load(Ordering::SeqCst));
        if bearer(head) == token {
            completion(&token)
        } else {
            refusal(401)
        }
    })
    .await;
    let auth =
        format!("{{ oauth2: {{ token_url: \"http://{identity}/t\", client_id: c, client_secret: s }} }}");
    let folder = folder(&config(provider, &auth));
    let key = key(folder.path(), NewKey::default());
    let house = House::open(folder.path());
    for answer in crowd(&house, &key, 60).await {
        assert_eq!(answer, (200, "token-1".to_owned()));
    }
    assert_eq!(issued.load(Ordering::SeqCst), 1, "one fetch for all workers");
    // The provider wants another token long before the end of the first.
    tokio::time::sleep(Duration::from_millis(5_500)).await;
    valid.store(2, Ordering::SeqCst);
    for answer in crowd(&house, &key, 60).await {
        assert_eq!(answer, (200, "token-2".to_owned()));
    }
    assert_eq!(issued.load(Ordering::SeqCst), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limited_or_refused_key_is_not_felt_by_clients() {
    let provider = server(|head| match bearer(head) {
        "sk-a" => refusal(429),
        "sk-b" => refusal(401),
        _ => completion("c"),
    })
    .await;
    let folder = folder(&config(
        provider,
        "{ api_key: [sk-a, sk-b, { key: sk-c, weight: 2 }] }",
    ));
    let key = key(folder.path(), NewKey::default());
    let house = House::open(folder.path());
    for answer in crowd(&house, &key, 40).await {
        assert_eq!(answer, (200, "c".to_owned()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_without_a_credential_is_told_and_its_server_is_not_blamed() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let provider = server(move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        completion("never")
    })
    .await;
    let identity = server(|_| {
        (
            400,
            json!({ "error": "invalid_client", "error_description": "told" }).to_string(),
        )
    })
    .await;
    let auth = format!(
        "{{ oauth2: {{ token_url: \"http://{identity}/t\", client_id: c, client_secret: s3cr3t }} }}"
    );
    let folder = folder(&config(provider, &auth));
    let key = key(folder.path(), NewKey::default());
    let house = House::open(folder.path());
    for (status, text) in crowd(&house, &key, 5).await {
        assert_eq!(status, 502, "{text}");
        let expected = "the gateway has no credential for o: the token endpoint of 127.0.0.1 refused (400, invalid_client)";
        assert!(
            text.contains(expected) && text.contains("provider_authentication"),
            "{text}"
        );
        assert!(!text.contains("s3cr3t") && !text.contains("told"), "{text}");
    }
    assert_eq!(asked.load(Ordering::SeqCst), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_callers_own_credential_is_passed_on_and_the_gateways_key_is_not() {
    let provider = server(|head| completion(bearer(head))).await;
    let rest = config(provider, "{ passthrough: true }");
    let folder = folder(&format!("identity: {{ anonymous: allow }}\n{rest}"));
    let own = key(folder.path(), NewKey::default());
    let house = House::open(folder.path());
    assert_eq!(
        crowd(&house, "sk-callers", 1).await,
        [(200, "sk-callers".to_owned())]
    );
    let (status, text) = crowd(&house, &own, 1).await.remove(0);
    assert_eq!(status, 401, "{text}");
    assert!(
        text.contains("send it in the header `authorization`") && !text.contains(&own),
        "{text}"
    );
}
