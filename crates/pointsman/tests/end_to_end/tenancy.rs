//! Many keys of one organization at once, and what other tenants see of each other: nothing.

mod paths;

use std::sync::Arc;

use http::Method;
use serde_json::{Value, json};

use crate::admin::Site;
use crate::harness::{ask, post, upload};

const CLIENTS: usize = 128;

#[expect(clippy::too_many_lines, reason = "one story, told from beginning to end")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_of_keys_never_passes_the_budget_of_their_organization_and_can_use_it_up() {
    let site = Site::open().await;
    let make = |kind: &str, body: Value| {
        let (site, path) = (&site, format!("/admin/v1/{kind}"));
        async move { site.does(Method::POST, &path, body).await }
    };
    // More tokens are reserved than any answer takes, because what a provider counts beyond that is charged all the
    // same. A dollar a thousand tokens: worth 2,000 of them, and each team's 1,500.
    make(
        "organizations",
        json!({"id": "o", "budgets": [{"amount_usd": 2}]}),
    )
    .await;
    let mut keys = Vec::new();
    for at in 0..8 {
        let team = format!("t{}", at % 2);
        if at < 2 {
            let body =
                json!({"id": team, "organization": "o", "budgets": [{"amount_usd": 1.5, "window": "day"}]});
            make("teams", body).await;
        }
        let key = make("keys", json!({"team": team})).await;
        keys.push(key["secret"].as_str().unwrap().to_owned());
    }
    let keys = Arc::new(keys);
    let address = site.house.address;
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let keys = Arc::clone(&keys);
            tokio::spawn(async move {
                let body = json!({"model": "m", "max_tokens": 40, "messages": [{"role": "user", "content": "repeat 10 words"}]});
                let mut codes = Vec::new();
                for round in 0..4 {
                    let key = &keys[(client + round) % keys.len()];
                    let answer = post(address, "/v1/chat/completions", key, &body).await.unwrap();
                    codes.push((answer.status.as_u16(), answer.text().contains("organization")));
                }
                codes
            })
        })
        .collect();
    let mut codes = Vec::new();
    for client in clients {
        codes.extend(client.await.unwrap());
    }
    assert!(
        codes.iter().all(|(code, _)| [200, 429].contains(code)),
        "{codes:?}"
    );
    let answered = codes.iter().filter(|(code, _)| *code == 200).count() as u64;
    let shown = site
        .does(Method::GET, "/admin/v1/organizations/o", Value::Null)
        .await;
    let spending = &shown["spending"][0];
    let spent = spending["spent_usd"].as_f64().unwrap();
    assert!(spent <= 2.0, "{spending}");
    assert_eq!(
        spending["reserved_usd"], 0.0,
        "every reservation is settled: {spending}"
    );
    assert!(
        codes.contains(&(429, true)),
        "the organization denies at the end: {codes:?}"
    );
    // What is left is not enough for another request: all but one percent and a request is used.
    assert!(spent >= 2.0 * 0.97, "only {spent} of 2 could be used");
    // To the nano-dollar what the ledger says.
    site.ledger_has(answered).await;
    let usage = site
        .does(
            Method::GET,
            "/admin/v1/usage?by=organization&outcome=complete",
            Value::Null,
        )
        .await;
    assert_eq!(usage["data"][0]["cost_usd"].as_f64(), Some(spent));
    assert_eq!(usage["data"][0]["requests"].as_u64(), Some(answered));
}

#[expect(clippy::too_many_lines, reason = "one story, told from beginning to end")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_other_tenant_finds_what_a_team_has_kept() {
    let site = Site::open().await;
    for (kind, body) in [
        ("organizations", json!({"id": "o"})),
        ("teams", json!({"id": "a", "organization": "o"})),
        ("teams", json!({"id": "b", "organization": "o"})),
        ("projects", json!({"id": "p", "team": "a"})),
        ("users", json!({"id": "u", "organization": "o"})),
    ] {
        site.does(Method::POST, &format!("/admin/v1/{kind}"), body).await;
    }
    let mut keys = Vec::new();
    for held in [
        json!({"project": "p"}),
        json!({"team": "a"}),
        json!({"team": "b", "user": "u"}),
        json!({"organization": "o", "user": "u"}),
        json!({}),
    ] {
        let key = site.does(Method::POST, "/admin/v1/keys", held).await;
        keys.push(key["secret"].as_str().unwrap().to_owned());
    }
    let address = site.house.address;
    let line = json!({"custom_id": "1", "method": "POST", "url": "/v1/chat/completions",
                      "body": {"model": "m", "messages": [{"role": "user", "content": "hi"}]}});
    let file = upload(
        address,
        &keys[0],
        &[("purpose", "batch")],
        line.to_string().as_bytes(),
    )
    .await;
    let file = file.unwrap().json()["id"].as_str().unwrap().to_owned();
    let batch =
        json!({"input_file_id": file, "endpoint": "/v1/chat/completions", "completion_window": "24h"});
    let batch = post(address, "/v1/batches", &keys[0], &batch)
        .await
        .unwrap()
        .json();
    let response = json!({"model": "m", "input": "hi", "store": true});
    let response = post(address, "/v1/responses", &keys[0], &response)
        .await
        .unwrap()
        .json();
    let conversation = post(address, "/v1/conversations", &keys[0], &json!({}))
        .await
        .unwrap()
        .json();
    let id = |object: &Value| object["id"].as_str().unwrap().to_owned();
    let (batch, response, conversation) = (id(&batch), id(&response), id(&conversation));
    for (method, path) in [
        (Method::GET, format!("/v1/files/{file}")),
        (Method::GET, format!("/v1/files/{file}/content")),
        (Method::GET, format!("/v1/batches/{batch}")),
        (Method::GET, format!("/v1/responses/{response}")),
        (Method::GET, format!("/v1/responses/{response}/input_items")),
        (Method::GET, format!("/v1/conversations/{conversation}")),
        (Method::POST, format!("/v1/batches/{batch}/cancel")),
        (Method::DELETE, format!("/v1/responses/{response}")),
        (Method::DELETE, format!("/v1/conversations/{conversation}")),
        (Method::DELETE, format!("/v1/files/{file}")),
    ] {
        for stranger in &keys[2..] {
            let answer = ask(address, method.clone(), &path, stranger).await.unwrap();
            assert_eq!(answer.status, 404, "{method} {path}: {}", answer.text());
        }
        // The other key of the team sees what the project's has kept.
        let answer = ask(address, method.clone(), &path, &keys[1]).await.unwrap();
        assert!(
            answer.status.as_u16() < 300 || path.contains("cancel"),
            "{method} {path}: {}",
            answer.text()
        );
    }
    for path in ["/v1/files", "/v1/batches"] {
        let listed = ask(address, Method::GET, path, &keys[2]).await.unwrap().json();
        assert_eq!(listed["data"], json!([]), "{path}");
    }
}
