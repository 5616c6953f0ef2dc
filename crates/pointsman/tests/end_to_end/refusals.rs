//! What is refused is told to everybody who ought to know: the client by headers, the operator by metrics and log.

use std::path::Path;

use bytes::Bytes;
use http::{HeaderMap, Method, header};
use pointsman_store::NewKey;
use pointsman_testbed::{SimOptions, SimServer};
use serde_json::{Value, json};

use crate::harness::{Answer, House, exchange, folder, get, key, post};

const CHAT: &str = "/v1/chat/completions";

fn ask(model: &str, text: &str) -> Value {
    json!({"model": model, "max_tokens": 50, "messages": [{"role": "user", "content": text}]})
}

fn config(sim: &SimServer) -> String {
    let address = sim.address();
    format!(
        "server: {{ request_limit: 10000 }}\n\
         telemetry: {{ access_log: json }}\n\
         providers:\n\
         \x20 o: &p {{ kind: openai, base_url: \"http://{address}/v1\", auth: {{ api_key: sk-sim }}, \
         retry: {{ attempts: 2 }}, health: {{ consecutive_failures: 0, failure_ratio: 0, max_cool_down: 1ms }} }}\n\
         \x20 other: *p\n\
         models:\n\
         \x20 m: {{ targets: [ {{ provider: o, model: gpt-5-mini }} ] }}\n\
         \x20 broken: {{ targets: [ {{ provider: o, model: \"gpt-5-mini+fault=status:500\" }}, \
         {{ provider: other, model: \"gpt-5-nano+fault=status:503\", priority: 1 }} ] }}\n\
         routing:\n\
         \x20 decisions:\n\
         \x20   - {{ name: doomed, priority: 1, rules: {{ operator: AND, conditions: [ {{ type: keyword, name: k }} ] }}, modelRefs: [ {{ model: broken }} ] }}\n\
         \x20 signals: {{ keywords: [ {{ name: k, operator: OR, keywords: [algebra] }} ] }}\n\
         guardrails: [ {{ name: words, type: regex, on: [output], action: block, deny: [\"forbidden\"] }} ]\n"
    )
}

/// The one line of the access log that has this id.
fn line(house: &House, answer: &Answer) -> Value {
    let id = answer.header("x-request-id");
    assert!(id.starts_with("req_"), "{:?}", answer.headers);
    let said = house.hears(id);
    let lines: Vec<&str> = said
        .lines()
        .filter(|line| line.contains(&format!("\"id\":\"{id}\"")))
        .collect();
    assert_eq!(lines.len(), 1, "{id}: {lines:?}");
    serde_json::from_str(lines[0]).unwrap()
}

async fn count(house: &House, surface: &str) -> u64 {
    let metrics = get(house.admin, "/metrics").await.unwrap();
    let of = format!(
        "pointsman_requests_total{{surface=\"{surface}\",gen_ai_provider_name=\"\",gen_ai_request_model=\"\",outcome=\"refused\",cache=\"bypass\"}} "
    );
    let lines = metrics.text().lines().filter_map(|line| line.strip_prefix(&of));
    lines.map(|count| count.parse::<u64>().unwrap()).sum()
}

/// Keys by their names.
struct Keys {
    good: String,
    only: String,
    slow: String,
}

impl Keys {
    fn made(folder: &Path) -> Self {
        let named = |name: &str| NewKey {
            name: name.to_owned(),
            ..NewKey::default()
        };
        let only = NewKey {
            models: vec!["other-model".to_owned()],
            ..named("only")
        };
        let slow = NewKey {
            requests_per_minute: Some(1),
            ..named("slow")
        };
        Self {
            good: key(folder, named("good")),
            only: key(folder, only),
            slow: key(folder, slow),
        }
    }
}

/// A request, and what is told of its refusal.
struct Case<'a> {
    asked: (Method, &'a str, &'a str, String),
    status: u16,
    error: &'a str,
    key: &'a str,
    surface: &'a str,
}

fn cases(keys: &Keys) -> Vec<Case<'_>> {
    let hello = || ask("m", "hi").to_string();
    let case = |asked, status, error, key, surface| Case {
        asked,
        status,
        error,
        key,
        surface,
    };
    let good = keys.good.as_str();
    let chat = |key, body| (Method::POST, CHAT, key, body);
    let one = "/v1/models/{model}";
    let (models, lost) = ((Method::GET, "/v1/models/none", good, String::new()), "unknown");
    vec![
        case(chat("", hello()), 401, "authentication", "", CHAT),
        case(chat("pm-nobody", hello()), 401, "authentication", "", CHAT),
        case(
            (Method::POST, "/v1/who/knows", good, hello()),
            404,
            "not_found",
            "",
            lost,
        ),
        case(
            (Method::PUT, CHAT, good, hello()),
            405,
            "method_not_allowed",
            "",
            lost,
        ),
        case(
            chat(good, "{\"model\": 7".to_owned()),
            400,
            "invalid_request",
            "good",
            CHAT,
        ),
        case(chat(good, " ".repeat(20_000)), 413, "too_large", "good", CHAT),
        case(
            chat(good, ask("mm", "hi").to_string()),
            404,
            "not_found",
            "good",
            CHAT,
        ),
        case(models, 404, "not_found", "good", one),
        case(chat(&keys.only, hello()), 403, "permission_denied", "only", CHAT),
        case(chat(&keys.slow, hello()), 429, "rate_limited", "slow", CHAT),
    ]
}

async fn refused(house: &House, case: Case<'_>) {
    let before = count(house, case.surface).await;
    let (method, path, key, body) = case.asked;
    let mut headers = HeaderMap::new();
    if !key.is_empty() {
        headers.insert(header::AUTHORIZATION, format!("Bearer {key}").parse().unwrap());
    }
    let answer = exchange(house.address, method, path, headers, Bytes::from(body)).await;
    let answer = answer.expect("the connection broke");
    assert_eq!(answer.status, case.status, "{}", answer.text());
    let line = line(house, &answer);
    for (field, expected) in [
        ("status", json!(case.status)),
        ("error", json!(case.error)),
        ("key", json!(case.key)),
        ("surface", json!(case.surface)),
        ("outcome", json!("refused")),
    ] {
        assert_eq!(line[field], expected, "{field}: {line}");
    }
    assert_eq!(count(house, case.surface).await, before + 1, "{line}");
    // Who is known also learns how much is left.
    let limited = answer.headers.contains_key("x-ratelimit-limit-requests");
    assert_eq!(limited, case.key == "slow", "{line}");
    assert!(!line.to_string().contains("pm-"), "{line}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_never_got_in_is_counted_and_logged() {
    let sim = SimServer::local(SimOptions::default()).await.unwrap();
    let folder = folder(&config(&sim));
    let keys = Keys::made(folder.path());
    let house = House::open(folder.path());
    let first = post(house.address, CHAT, &keys.slow, &ask("m", "hi"))
        .await
        .unwrap();
    assert_eq!(first.status, 200);
    for case in cases(&keys) {
        refused(&house, case).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_client_makes_up_neither_labels_nor_fills_anything() {
    let sim = SimServer::local(SimOptions::default()).await.unwrap();
    let folder = folder(&config(&sim));
    let key = key(folder.path(), NewKey::default());
    let house = House::open(folder.path());
    let name = "m\n{}".repeat(100);
    let unknown = post(house.address, CHAT, &key, &ask(&name, "hi")).await.unwrap();
    let logged = line(&house, &unknown);
    assert_eq!(logged["code"], "model_not_found");
    assert_eq!(logged["model_requested"].as_str().unwrap().chars().count(), 200);
    for number in 0..50 {
        let path = format!("/v1/made/up/{number}");
        get(house.address, &path).await.unwrap();
    }
    let metrics = get(house.admin, "/metrics").await.unwrap();
    assert!(!metrics.text().contains("/v1/made/up"), "{}", metrics.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_tell_how_far_the_request_came() {
    let sim = SimServer::local(SimOptions::default()).await.unwrap();
    let folder = folder(&config(&sim));
    let key = key(folder.path(), NewKey::default());
    let house = House::open(folder.path());
    for path in [CHAT, "/v1/messages"] {
        let failed = post(house.address, path, &key, &ask("auto", "some algebra please"))
            .await
            .unwrap();
        assert!(failed.status.is_server_error(), "{}", failed.text());
        for (name, value) in [
            ("x-pointsman-decision", "doomed"),
            ("x-pointsman-provider", "other"),
            ("x-pointsman-model", "gpt-5-nano+fault=status:503"),
            ("x-pointsman-attempts", "2"),
            ("x-pointsman-cache", "bypass"),
        ] {
            assert_eq!(failed.header(name), value, "{name}: {:?}", failed.headers);
        }
        assert!(failed.header("x-pointsman-overhead-us").parse::<u64>().is_ok());
        assert!(!failed.headers.contains_key("x-pointsman-cost-usd"));
        let logged = line(&house, &failed);
        assert_eq!(
            logged["causes"],
            json!(["o: status 500", "other: status 503"]),
            "{logged}"
        );
        assert_eq!(logged["status"], failed.status.as_u16());

        let blocked = post(house.address, path, &key, &ask("m", "say forbidden"))
            .await
            .unwrap();
        assert_eq!(blocked.status, 403, "{}", blocked.text());
        assert_eq!(blocked.header("x-pointsman-provider"), "o");
        assert_eq!(blocked.header("x-pointsman-attempts"), "1");
        let logged = line(&house, &blocked);
        assert_eq!(
            (&logged["outcome"], &logged["code"]),
            (&json!("blocked"), &json!("guardrail_blocked"))
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_has_a_number_of_its_own() {
    let sim = SimServer::local(SimOptions::default()).await.unwrap();
    let folder = folder(&config(&sim));
    let key = key(folder.path(), NewKey::default());
    let house = House::open(folder.path());
    let mut seen = std::collections::HashSet::new();
    let mut streamed = ask("m", "hi");
    streamed["stream"] = json!(true);
    for _ in 0..2 {
        for answer in [
            get(house.address, "/health").await.unwrap(),
            get(house.address, "/health/ready").await.unwrap(),
            get(house.address, "/v1/models").await.unwrap(),
            get(house.address, "/nowhere").await.unwrap(),
            post(house.address, CHAT, &key, &ask("m", "hi")).await.unwrap(),
            post(house.address, CHAT, &key, &streamed).await.unwrap(),
            post(house.address, "/v1/messages", &key, &streamed)
                .await
                .unwrap(),
            post(house.address, "/api/v1/eval", &key, &json!({"text": "algebra"}))
                .await
                .unwrap(),
            post(
                house.address,
                "/v1/embeddings",
                &key,
                &json!({"model": "m", "input": "a"}),
            )
            .await
            .unwrap(),
            post(house.address, "/v1/messages/count_tokens", &key, &ask("m", "hi"))
                .await
                .unwrap(),
        ] {
            let id = answer.header("x-request-id").to_owned();
            assert!(id.starts_with("req_") && seen.insert(id), "{:?}", answer.headers);
        }
    }
}
