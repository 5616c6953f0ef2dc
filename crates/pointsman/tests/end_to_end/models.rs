//! `pointsman models list`: the catalog, and what a provider itself says.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::{Command, Output};

use serde_json::Value;

fn models(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_pointsman"))
        .args(["models", "list"])
        .args(arguments)
        .env_clear()
        .output()
        .unwrap()
}

fn said(output: &Output) -> String {
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn there_are_as_many_as_promised() {
    let text = said(&models(&["--counts"]));
    let number = |label: &str| -> u64 {
        let line = text.lines().find_map(|line| line.strip_prefix(label));
        line.unwrap_or_else(|| panic!("{label} is not in {text}"))
            .trim()
            .parse()
            .unwrap()
    };
    assert!(
        number("providers reachable with an API key alone:") >= 130,
        "{text}"
    );
    assert!(number("priced models:") >= 3_500, "{text}");
}

#[test]
fn filters_keep_what_was_asked_for() {
    let list = |arguments: &[&str]| -> Vec<Value> {
        let mut all = vec!["--json"];
        all.extend(arguments);
        serde_json::from_str(&said(&models(&all))).unwrap()
    };
    let cheap = list(&[
        "--provider",
        "azure",
        "--feature",
        "vision",
        "--min-context",
        "200000",
        "--max-price",
        "0.3",
    ]);
    assert!(!cheap.is_empty());
    for model in &cheap {
        assert_eq!(model["provider"], "azure-openai", "{model}");
        assert!(
            model["features"].as_array().unwrap().contains(&"vision".into()),
            "{model}"
        );
        assert!(model["context_window"].as_u64() >= Some(200_000), "{model}");
        let price: f64 = model["price"]["input"].as_str().unwrap().parse().unwrap();
        assert!(price <= 0.3, "{model}");
        assert!(model.get("variant").is_none(), "{model}");
    }
    let embeddings = list(&["--kind", "embedding", "voyage"]);
    assert!(!embeddings.is_empty() && embeddings.iter().all(|model| model["kind"] == "embedding"));
    assert!(list(&["--variants", "--provider", "bedrock", "us-gov-west-1/"]).len() > 10);
    let table = said(&models(&["--provider", "openai", "gpt-5-mini"]));
    assert!(table.starts_with("PROVIDER") && table.contains("0.25"), "{table}");
    let unknown = models(&["--provider", "nobody"]);
    assert!(!unknown.status.success());
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("there is no provider \"nobody\""));
}

/// A provider that answers one request for its models, if it comes with the key.
fn provider(reply: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let head: Vec<String> = BufReader::new(&stream)
            .lines()
            .map_while(Result::ok)
            .take_while(|line| !line.is_empty())
            .collect();
        let let_in = head[0] == "GET /v1/models HTTP/1.1"
            && head
                .iter()
                .any(|line| line.eq_ignore_ascii_case("authorization: Bearer sk-live"));
        let (status, body) = if let_in {
            ("200 OK", reply)
        } else {
            ("401 Unauthorized", "{}")
        };
        let length = body.len();
        write!(
            &stream,
            "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
        )
        .unwrap();
    });
    address
}

#[test]
fn a_provider_is_asked_itself() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("p.yaml");
    let ask = |key: &str, reply: &'static str| {
        let address = provider(reply);
        let text = format!(
            "providers: {{ mine: {{ kind: openai, base_url: \"http://{address}/v1\", auth: {{ api_key: {key} }} }} }}"
        );
        std::fs::write(&file, text).unwrap();
        models(&["--live", "-c", file.to_str().unwrap()])
    };
    let list = r#"{"object":"list","data":[{"id":"gpt-5-mini"},{"id":"made-up-today"}]}"#;
    let text = said(&ask("sk-live", list));
    assert!(text.contains("mine/gpt-5-mini\n"), "{text}");
    assert!(
        text.contains("mine/made-up-today  not in the catalog: no price"),
        "{text}"
    );
    for (key, reply, told) in [
        ("sk-wrong", list, "answered 401"),
        ("sk-live", "<html>", "is not a list of models"),
    ] {
        let output = ask(key, reply);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && error.contains(told), "{error}");
        assert!(!error.contains(key), "{error}");
    }
    let nobody = models(&["--live"]);
    assert!(String::from_utf8_lossy(&nobody.stderr).contains("no provider to ask"));
}

/// A provider that answers these paths, one after the other, and nothing else.
fn pages(replies: Vec<(&'static str, String)>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for (path, body) in replies {
            let (stream, _) = listener.accept().unwrap();
            let head: Vec<String> = BufReader::new(&stream)
                .lines()
                .map_while(Result::ok)
                .take_while(|line| !line.is_empty())
                .collect();
            let status = if head[0] == format!("GET {path} HTTP/1.1") {
                "200 OK"
            } else {
                "404 Not Found"
            };
            let length = body.len();
            write!(
                &stream,
                "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
            )
            .unwrap();
        }
    });
    address
}

/// Lists the models of a provider of this kind that answers so.
fn live(kind: &str, base: &str, replies: Vec<(&'static str, String)>) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("p.yaml");
    let address = pages(replies);
    let text = format!(
        "providers: {{ mine: {{ kind: {kind}, base_url: \"http://{address}{base}\", auth: {{ api_key: sk-live }} }} }}"
    );
    std::fs::write(&file, text).unwrap();
    models(&["--live", "-c", file.to_str().unwrap()])
}

#[test]
fn all_pages_of_a_providers_list_are_read() {
    let text = |body: &str| body.to_owned();
    for (kind, base, replies) in [
        (
            "anthropic",
            "",
            vec![
                (
                    "/v1/models",
                    text(r#"{"data":[{"type":"model","id":"m1"}],"has_more":true,"last_id":"m1"}"#),
                ),
                (
                    "/v1/models?after_id=m1",
                    text(r#"{"data":[{"type":"model","id":"m2"}],"has_more":false}"#),
                ),
            ],
        ),
        (
            "gemini",
            "/v1beta",
            vec![
                (
                    "/v1beta/models",
                    text(r#"{"models":[{"name":"models/m1"}],"nextPageToken":"a/b"}"#),
                ),
                (
                    "/v1beta/models?pageToken=a%2Fb",
                    text(r#"{"models":[{"name":"models/m2"}]}"#),
                ),
            ],
        ),
        (
            "openai",
            "/v1",
            vec![
                (
                    "/v1/models",
                    text(r#"{"data":[{"id":"m1"}],"nextLink":"/v1/models?skip=1"}"#),
                ),
                ("/v1/models?skip=1", text(r#"{"data":[{"id":"m2"}]}"#)),
            ],
        ),
    ] {
        let told = said(&live(kind, base, replies));
        assert!(
            told.contains("mine/m1") && told.contains("mine/m2"),
            "{kind}: {told}"
        );
        assert!(told.contains("2 models"), "{told}");
    }
}

#[test]
fn a_list_that_leads_elsewhere_or_round_in_a_circle_is_not_followed() {
    for (next, error) in [
        (r#""https://elsewhere.example/v1/models""#, "is not below"),
        (r#""/v1/models""#, "leads to itself"),
    ] {
        let body = format!(r#"{{"data":[{{"id":"m1"}}],"nextLink":{next}}}"#);
        let output = live("openai", "/v1", vec![("/v1/models", body)]);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && told.contains(error), "{told}");
        assert!(!told.contains("sk-live"), "{told}");
    }
}
