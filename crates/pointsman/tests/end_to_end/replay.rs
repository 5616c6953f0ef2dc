//! Recorded decisions, through the built binary: written off the road, told by the admin API, taken again by another
//! configuration.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use http::{HeaderMap, Method, header};
use pointsman_store::NewKey;
use pointsman_testbed::{SimOptions, SimServer};
use serde_json::{Value, json};

use crate::admin::TOKEN;
use crate::harness::{House, exchange, folder, key, post};

/// Secret words, which no record may hold unless it is said so.
const SECRET: &str = "xylophone";

fn config(address: std::net::SocketAddr, decisions: &str) -> String {
    format!(
        "providers: {{ fleet: {{ kind: openai-compatible, base_url: \"http://{address}/v1\", auth: {{ api_key: sk-sim }} }} }}\n\
         models:\n  large: {{ targets: [ {{ provider: fleet, model: m-large }} ], price: {{ input: 10, output: 20 }} }}\n  \
         small: {{ targets: [ {{ provider: fleet, model: m-small }} ], price: {{ input: 1, output: 2 }} }}\n\
         routing:\n  default_model: large\n  signals:\n    keywords: [ {{ name: sums, operator: OR, keywords: [algebra] }} ]\n    \
         context: [ {{ name: short, min_tokens: \"0\", max_tokens: \"1K\" }} ]\n  decisions:\n{decisions}"
    )
}

fn decisions(capture: bool) -> String {
    format!(
        "    - name: maths\n      priority: 9\n      rules: {{ type: keyword, name: sums }}\n      modelRefs: [ {{ model: large }} ]\n      \
         plugins: [ {{ type: router_replay, configuration: {{ enabled: true, max_records: 50, capture_request_body: {capture}, \
         capture_response_body: {capture} }} }} ]\n    \
         - name: quiet\n      modelRefs: [ {{ model: small }} ]\n"
    )
}

async fn recorded(house: &House, query: &str) -> Value {
    let mut headers = HeaderMap::new();
    headers.insert(header::AUTHORIZATION, format!("Bearer {TOKEN}").parse().unwrap());
    let path = format!("/admin/v1/decisions{query}");
    let answer = exchange(house.admin, Method::GET, &path, headers, Default::default())
        .await
        .unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

/// Waits until so many are recorded.
async fn until_recorded(house: &House, count: usize) -> Vec<Value> {
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        let all = recorded(house, "?limit=1000").await["data"]
            .as_array()
            .unwrap()
            .clone();
        if all.len() >= count {
            return all;
        }
        assert!(Instant::now() < until, "{} of {count} are recorded", all.len());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn replay(folder: &Path, more: &[&str]) -> String {
    let told = Command::new(env!("CARGO_BIN_EXE_pointsman"))
        .arg("replay")
        .arg("--config")
        .arg(folder.join("new.yaml"))
        .args(more)
        .output()
        .unwrap();
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    String::from_utf8(told.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::too_many_lines, reason = "one story, told from beginning to end")]
async fn decisions_are_recorded_without_texts_told_and_taken_again() {
    let sim = SimServer::local(SimOptions::default()).await.unwrap();
    let folder = folder(&config(sim.address(), &decisions(false)));
    let key = key(folder.path(), NewKey::default());
    let house = House::open_with(folder.path(), &[("POINTSMAN_ADMIN_TOKEN", TOKEN)]);
    let asks = |text: &str, stream: bool| json!({"model": "auto", "stream": stream, "messages": [{"role": "user", "content": text}]});
    for (text, stream) in [
        ("algebra and a xylophone", false),
        ("more algebra, xylophone", true),
        ("just a xylophone", false),
    ] {
        let answer = post(house.address, "/v1/chat/completions", &key, &asks(text, stream))
            .await
            .unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    let all = until_recorded(&house, 2).await;
    assert_eq!(all.len(), 2, "only one decision is recorded: {all:?}");
    for decision in &all {
        assert_eq!(
            (&decision["decision"], &decision["model"], &decision["outcome"]),
            (&json!("maths"), &json!("large"), &json!("complete"))
        );
        let record = &decision["record"];
        assert_eq!(record["signals"]["keyword:sums"][0], true, "{record}");
        assert!(
            record["cost"].as_i64().unwrap() > 0 && record["usage"]["output"].as_u64().unwrap() > 0,
            "{record}"
        );
        assert!(!decision.to_string().contains(SECRET));
    }
    // One by one, page by page, and what is not known is refused.
    let first = recorded(&house, "?limit=1").await;
    let rest = recorded(
        &house,
        &format!("?limit=1&after={}", first["next"].as_str().unwrap()),
    )
    .await;
    assert_ne!(first["data"][0]["request"], rest["data"][0]["request"]);
    assert_eq!(recorded(&house, "?decision=quiet").await["data"], json!([]));
    let one = recorded(
        &house,
        &format!("/{}", first["data"][0]["request"].as_str().unwrap()),
    )
    .await;
    assert_eq!(one, first["data"][0]);

    // A new decision comes first, for a tenth of the price.
    let new = "    - name: brief\n      priority: 20\n      rules: { type: context, name: short }\n      modelRefs: [ { model: small } ]\n";
    let root = folder.path().display();
    let stores = format!("stores: {{ database: \"sqlite://{root}/p.db\", blobs: \"file://{root}\" }}\n");
    let text = stores + &config(sim.address(), &(new.to_owned() + &decisions(false)));
    std::fs::write(folder.path().join("new.yaml"), text).unwrap();
    let told = replay(
        folder.path(),
        &["--json", "--current", &format!("{root}/pointsman.yaml")],
    );
    let lines: Vec<Value> = told
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 3, "{told}");
    for line in &lines[..2] {
        assert_eq!(
            (&line["change"], &line["to"]["decision"], &line["to"]["model"]),
            (&json!("changed"), &json!("brief"), &json!("small"))
        );
        assert_eq!(
            line["why"][0], "brief comes before maths (priority 20 before priority 9)",
            "{line}"
        );
        assert_eq!(line["why"][1], "brief holds: ✓ context:short");
    }
    let summary = &lines[2]["summary"];
    assert_eq!(
        (&summary["decisions"], &summary["changed"], &summary["same"]),
        (&json!(2), &json!(2), &json!(0))
    );
    let dollars = |name: &str| summary[name].as_str().unwrap().parse::<f64>().unwrap();
    assert!(
        (dollars("would_spend_usd") * 10.0 - dollars("spent_usd")).abs() < 2e-5,
        "{summary}"
    );
    let people = replay(folder.path(), &[]);
    assert!(
        people.contains("maths (large) → brief (small)") && people.contains("changed            2  100.0 %"),
        "{people}"
    );
    let none = replay(folder.path(), &["--since", "2999-01-01"]);
    assert!(none.contains("none is recorded"), "{none}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn texts_are_captured_where_that_is_asked() {
    let sim = SimServer::local(SimOptions::default()).await.unwrap();
    let folder = folder(&config(sim.address(), &decisions(true)));
    let key = key(folder.path(), NewKey::default());
    let house = House::open_with(folder.path(), &[("POINTSMAN_ADMIN_TOKEN", TOKEN)]);
    for stream in [false, true] {
        let body = json!({"model": "auto", "stream": stream, "messages": [{"role": "user", "content": "algebra and a xylophone"}]});
        let answer = post(house.address, "/v1/chat/completions", &key, &body)
            .await
            .unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    for decision in until_recorded(&house, 2).await {
        let captured = &decision["record"]["captured"];
        assert_eq!(captured["messages"], json!([["user", "algebra and a xylophone"]]));
        assert!(
            captured["answer"]
                .as_str()
                .is_some_and(|answer| !answer.is_empty()),
            "{decision}"
        );
    }
}
