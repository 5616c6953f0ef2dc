//! Markers in everything that is secret, and everything that goes wrong: none may turn up where it does not belong.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response, header};
use http_body_util::{BodyExt, Full};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use pointsman_store::{NewKey, Store};
use pointsman_testbed::{Fault, SimOptions, SimServer};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::harness::{Answer, House, exchange, folder, get, key, store};

const PROVIDER_KEY: &str = "sk-MARKprovider71";
const PROVIDER_HEADER: &str = "MARKconfiguredheader72";
const WRONG_KEY: &str = "pm-MARKwrongkey73";
const STRANGE_KEY: &str = "MARKstrangekey74";
const HEADER: &str = "MARKclientheader75";
const QUERY: &str = "MARKquery76";
const COOKIE: &str = "MARKcookie77";
/// Texts of prompts; answers may hold them, for they are the client's own.
const PROMPTS: [&str; 5] = [
    "MARKuser81",
    "MARKsystem82",
    "MARKtool83",
    "MARKargument84",
    "MARKbroken85",
];
const SECRETS: [&str; 7] = [
    PROVIDER_KEY,
    PROVIDER_HEADER,
    WRONG_KEY,
    STRANGE_KEY,
    HEADER,
    QUERY,
    COOKIE,
];

/// A collector that keeps what it is sent, and says thanks.
async fn collector() -> (SocketAddr, Arc<Mutex<Vec<u8>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let kept = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&kept);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let told = Arc::clone(&told);
            let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
                let told = Arc::clone(&told);
                async move {
                    let head = format!("{} {:?}\n", request.uri(), request.headers());
                    let body = request.into_body().collect().await.unwrap().to_bytes();
                    let mut told = told.lock().unwrap();
                    told.extend_from_slice(head.as_bytes());
                    told.extend_from_slice(&body);
                    let mut response = Response::new(Full::new(Bytes::from_static(&[0; 5])));
                    let headers = response.headers_mut();
                    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
                    headers.insert("grpc-status", HeaderValue::from_static("0"));
                    Ok::<_, Infallible>(response)
                }
            });
            tokio::spawn(
                http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service),
            );
        }
    });
    (address, kept)
}

fn config(sim: &SimServer, collector: SocketAddr) -> String {
    let address = sim.address();
    let mut text = format!(
        "telemetry: {{ access_log: json, otlp: \"http://{collector}\" }}\n\
         server: {{ request_limit: 100000 }}\n\
         cache: {{ exact: {{ ttl: 1h }}, scope: key }}\n\
         providers:\n\
         \x20 o: &p {{ kind: openai, base_url: \"http://{address}/v1\", auth: {{ api_key: \"${{PROVIDER_KEY}}\" }}, \
         headers: {{ x-configured: {PROVIDER_HEADER} }}, retry: {{ attempts: 1 }}, \
         timeouts: {{ first_byte: 1s, between_chunks: 1s, first_token: 1s }}, \
         health: {{ consecutive_failures: 0, failure_ratio: 0, max_cool_down: 1ms }} }}\n\
         \x20 a: {{ <<: *p, kind: anthropic, base_url: \"http://{address}\" }}\n\
         \x20 gone: {{ <<: *p, base_url: \"http://127.0.0.1:1/v1\" }}\n\
         guardrails: [ {{ name: words, type: regex, on: [input, output], action: block, deny: [\"forbidden MARKuser81\"] }} ]\n\
         models:\n\
         \x20 gone: {{ targets: [ {{ provider: gone, model: gpt-5-mini }} ] }}\n"
    );
    for (provider, model) in [("o", "gpt-5-mini"), ("a", "claude-haiku-4-5")] {
        text.push_str(&format!(
            "  {provider}-good: {{ targets: [ {{ provider: {provider}, model: {model} }} ] }}\n"
        ));
        for fault in Fault::ALL {
            text.push_str(&format!(
                "  \"{provider}-{fault}\": {{ targets: [ {{ provider: {provider}, model: \"{model}+fault={fault}\" }} ] }}\n"
            ));
        }
    }
    text
}

fn openai(model: &str, stream: bool, text: &str) -> Value {
    json!({"model": model, "stream": stream, "max_tokens": 60, "messages": [
        {"role": "system", "content": "MARKsystem82"},
        {"role": "assistant", "content": null, "tool_calls": [
            {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{\"a\":\"MARKargument84\"}"}}]},
        {"role": "tool", "tool_call_id": "c", "content": "MARKtool83"},
        {"role": "user", "content": text}]})
}

fn anthropic(model: &str, stream: bool, text: &str) -> Value {
    json!({"model": model, "stream": stream, "max_tokens": 60, "system": "MARKsystem82", "messages": [
        {"role": "user", "content": "begin"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "c", "name": "f", "input": {"a": "MARKargument84"}}]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "c", "content": "MARKtool83"}, {"type": "text", "text": text}]}]})
}

/// A client that puts secrets wherever a client may.
struct Client {
    address: SocketAddr,
    key: String,
    heard: Vec<Answer>,
}

impl Client {
    async fn ask(&mut self, path: &str, key: &str, body: impl Into<Bytes>) {
        let mut headers = HeaderMap::new();
        // Every other one in the header that the other SDK uses.
        if self.heard.len().is_multiple_of(2) {
            headers.insert(header::AUTHORIZATION, format!("Bearer {key}").parse().unwrap());
        } else {
            headers.insert("x-api-key", key.parse().unwrap());
        }
        headers.insert("x-private", HeaderValue::from_static(HEADER));
        headers.insert(header::COOKIE, HeaderValue::from_static(COOKIE));
        headers.insert("anthropic-version", HeaderValue::from_static("2023-06-01"));
        let path = format!("{path}?key={QUERY}");
        let answer = exchange(self.address, Method::POST, &path, headers, body.into()).await;
        self.heard.extend(answer);
    }

    /// Everything that can happen to a request.
    async fn live(&mut self) {
        let key = self.key.clone();
        type Write = fn(&str, bool, &str) -> Value;
        let formats: [(&str, Write); 2] = [("/v1/chat/completions", openai), ("/v1/messages", anthropic)];
        for (path, write) in formats {
            for provider in ["o", "a"] {
                for stream in [false, true] {
                    let good = format!("{provider}-good");
                    self.ask(path, &key, write(&good, stream, "MARKuser81").to_string())
                        .await;
                    self.ask(
                        path,
                        &key,
                        write(&good, stream, "forbidden MARKuser81").to_string(),
                    )
                    .await;
                    for fault in Fault::ALL
                        .into_iter()
                        .filter(|fault| !fault.to_string().contains("stall"))
                    {
                        let model = format!("{provider}-{fault}");
                        self.ask(path, &key, write(&model, stream, "MARKuser81").to_string())
                            .await;
                    }
                }
            }
            self.ask(path, &key, write("gone", true, "MARKuser81").to_string())
                .await;
            self.ask(path, &key, write("nowhere", true, "MARKuser81").to_string())
                .await;
            self.ask(path, WRONG_KEY, write("o-good", true, "MARKuser81").to_string())
                .await;
            self.ask(path, STRANGE_KEY, write("o-good", true, "MARKuser81").to_string())
                .await;
            for broken in [
                "{\"model\": \"o-good\", \"messages\": \"MARKbroken85\"}",
                "{\"model\": \"o-good\", \"max_tokens\": \"MARKbroken85\", \"messages\": []}",
                "{\"model\": \"o-good\", \"messages\": [{\"role\": \"MARKbroken85\", \"content\": 7}]}",
                "{\"model\": \"o-good\", \"messages\": [{\"role\": \"user\", \"content\": [{\"type\": \"MARKbroken85\"}]}]}",
                "{\"model\": \"o-good\", \"tools\": \"MARKbroken85",
                "MARKbroken85",
            ] {
                self.ask(path, &key, broken).await;
            }
            self.ask(path, &key, "MARKbroken85".repeat(20_000)).await;
        }
        let input = json!({"model": "o-good", "input": ["MARKuser81", 7]}).to_string();
        self.ask("/v1/embeddings", &key, input).await;
        let input = json!({"model": "o-good", "input": "MARKuser81"}).to_string();
        self.ask("/v1/embeddings", &key, input).await;
        let counted = anthropic("a-good", false, "MARKuser81").to_string();
        self.ask("/v1/messages/count_tokens", &key, counted).await;
        self.ask("/api/v1/eval", &key, json!({"text": "MARKuser81"}).to_string())
            .await;
    }
}

fn holds(bytes: &[u8], marker: &str) -> bool {
    bytes
        .windows(marker.len())
        .any(|window| window == marker.as_bytes())
}

/// What is around the marker, for a person to see.
fn around(bytes: &[u8], marker: &str) -> String {
    let at = bytes
        .windows(marker.len())
        .position(|window| window == marker.as_bytes())
        .unwrap_or(0);
    let part = &bytes[at.saturating_sub(300)..(at + 100).min(bytes.len())];
    String::from_utf8_lossy(part).into_owned()
}

fn files(folder: &Path, all: &mut Vec<u8>) {
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        if path.is_dir() {
            files(&path, all);
        } else if path.file_name().unwrap() != "pointsman.yaml" {
            all.extend(std::fs::read(path).unwrap());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_and_no_prompt_turns_up_where_it_does_not_belong() {
    let sim = SimServer::local(SimOptions::default()).await.unwrap();
    let (collector, exported) = collector().await;
    let folder = folder(&config(&sim, collector));
    let virtual_key = key(folder.path(), NewKey::default());
    let environment = [("PROVIDER_KEY", PROVIDER_KEY), ("RUST_LOG", "trace")];
    let mut house = House::open_with(folder.path(), &environment);
    let mut client = Client {
        address: house.address,
        key: virtual_key.clone(),
        heard: Vec::new(),
    };
    client.live().await;
    // A new file that is refused is told with its place, not with its values.
    let file = folder.path().join("pointsman.yaml");
    let good = std::fs::read_to_string(&file).unwrap();
    let bad = good.replace(
        "auth: { api_key: \"${PROVIDER_KEY}\" }",
        &format!("auth: {{ api_kee: \"{PROVIDER_KEY}\" }}"),
    );
    assert_ne!(good, bad);
    std::fs::write(&file, bad).unwrap();
    house.signal("HUP");
    house.hears("the old one stays");
    let metrics = get(house.admin, "/metrics").await.unwrap();
    house.signal("TERM");
    assert!(house.ended(std::time::Duration::from_secs(30)).success());

    providers_got_what_is_theirs(&sim, &virtual_key);
    let mut kept = Vec::new();
    files(folder.path(), &mut kept);
    let said = house.said();
    assert!(
        said.contains("TRACE") && said.contains("\"outcome\":\"complete\""),
        "the log is not as loud as asked"
    );
    let exported = exported.lock().unwrap().clone();
    assert!(holds(&exported, "gen_ai.operation.name") && holds(&exported, "gen_ai.client.token.usage"));
    for (place, bytes) in [
        ("the log", said.as_bytes()),
        ("the metrics", &metrics.body),
        ("traces", &exported),
        ("a file", &kept),
    ] {
        let prompts = PROMPTS.iter().chain(&SECRETS);
        for marker in prompts.copied().chain([virtual_key.as_str()]) {
            assert!(
                !holds(bytes, marker),
                "{marker} is in {place}: {}",
                around(bytes, marker)
            );
        }
    }
    answers_hold_no_secret(&client.heard, &virtual_key);
}

/// The markers were there to be found: the provider got its key and the prompts, and nothing else.
fn providers_got_what_is_theirs(sim: &SimServer, virtual_key: &str) {
    let served = sim.served();
    assert!(served.len() > 100, "{}", served.len());
    let reached = |marker: &str| {
        served.iter().any(|served| {
            served.body.contains(marker) || served.headers.iter().any(|(_, value)| value.contains(marker))
        })
    };
    for marker in [PROVIDER_KEY, PROVIDER_HEADER]
        .into_iter()
        .chain(PROMPTS.into_iter().take(4))
    {
        assert!(reached(marker), "{marker}");
    }
    for marker in [WRONG_KEY, STRANGE_KEY, HEADER, QUERY, COOKIE, virtual_key] {
        assert!(!reached(marker), "{marker} went to a provider");
    }
}

fn answers_hold_no_secret(answers: &[Answer], virtual_key: &str) {
    assert!(answers.len() > 100, "{}", answers.len());
    for answer in answers {
        let mut all = format!("{:?}", answer.headers).into_bytes();
        all.extend_from_slice(&answer.body);
        for marker in SECRETS.into_iter().chain([virtual_key]) {
            assert!(
                !holds(&all, marker),
                "{marker} is in an answer: {}",
                around(&all, marker)
            );
        }
    }
}

#[test]
fn the_command_line_tells_no_secret() {
    let folder = folder("");
    let store: Store = store(folder.path());
    let (_, created) = store.create_key(NewKey::default()).unwrap();
    let file = folder.path().join("pointsman.yaml");
    let base = std::fs::read_to_string(&file).unwrap();
    let run = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_pointsman"))
            .args(arguments)
            .env("PROVIDER_KEY", PROVIDER_KEY)
            .env("RUST_LOG", "trace")
            .output()
            .unwrap();
        let mut all = output.stdout;
        all.extend(output.stderr);
        (output.status.success(), String::from_utf8(all).unwrap())
    };
    let path = file.to_str().unwrap();
    // Right, and wrong in every way in which a secret may stand in the wrong place.
    let broken = [
        "auth: { api_key: \"${PROVIDER_KEY}\" }",
        "auth: { api_key: { key: \"${PROVIDER_KEY}\" } }",
        "auth: { api_kee: \"${PROVIDER_KEY}\" }",
        "auth: \"${PROVIDER_KEY}\"",
        "auth: { api_key: \"${PROVIDER_KEY}\\n\" }",
        "base_url: \"${PROVIDER_KEY}\"",
        "base_url: \"http://user:${PROVIDER_KEY}@h:x/\"",
        "headers: { \"x y\": \"${PROVIDER_KEY}\" }",
        "headers: { x-y: \"${PROVIDER_KEY}\\n\" }",
        "timeouts: { connect: \"${PROVIDER_KEY}\" }",
        "kind: \"${PROVIDER_KEY}\"",
        "retry: { attempts: \"${PROVIDER_KEY}\" }",
        "balance: { policy: \"${PROVIDER_KEY}\" }",
        "auth: { api_key: sk-MARKprovider71, api_kee: sk-MARKprovider71 }",
    ];
    for (number, block) in broken.into_iter().enumerate() {
        std::fs::write(&file, format!("{base}providers: {{ openai: {{ {block} }} }}\n")).unwrap();
        let (good, said) = run(&["check", path]);
        assert_eq!(good, number == 0, "{block}: {said}");
        assert!(!said.contains("MARK"), "{block}: {said}");
        if !good {
            // With file, line and column.
            assert!(said.contains("pointsman.yaml:3:"), "{block}: {said}");
        }
    }
    let database = format!("sqlite://{}/p.db", folder.path().display());
    let (good, said) = run(&["key", "list", "--database", &database]);
    assert!(good && !said.contains(created.expose_secret()), "{said}");
}
