//! End customers, agents and tags: named by requests in every dialect, limited, charged with their keys, and reported.

use http::{Method, Request, StatusCode};
use serde_json::{Value, json};

use crate::admin::Site;
use crate::harness::{Answer, entry, send};

/// Asks with a key, and with these headers beside it.
async fn ask(site: &Site, key: &str, (path, body): (&str, Value), headers: &[(&str, &str)]) -> Answer {
    let mut request = Request::post(path)
        .header("authorization", format!("Bearer {key}"))
        .header("content-type", "application/json");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    send(site.house.address, request.body(body.to_string()).unwrap())
        .await
        .unwrap()
}

fn chat(more: &Value) -> (&'static str, Value) {
    let mut body = json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]});
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    ("/v1/chat/completions", body)
}

fn code(answer: &Answer) -> (u16, Value) {
    (answer.status.as_u16(), answer.json()["error"]["code"].clone())
}

#[expect(clippy::too_many_lines, reason = "one story, told from beginning to end")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_requests_name_is_limited_charged_and_reported() {
    let site = Site::open().await;
    let make = |kind: &'static str, body: Value| {
        let site = &site;
        async move { site.does(Method::POST, &format!("/admin/v1/{kind}"), body).await }
    };
    make("organizations", json!({"id": "acme"})).await;
    let key = make("keys", json!({"organization": "acme"})).await;
    let secret = key["secret"].as_str().unwrap();
    let alice = make(
        "customers",
        json!({"name": "alice", "organization": "acme", "budgets": [{"amount_usd": 100}]}),
    )
    .await;
    make(
        "customers",
        json!({"name": "poor", "budgets": [{"amount_usd": 0}]}),
    )
    .await;
    make(
        "tags",
        json!({"name": "slow", "limits": {"requests_per_minute": 1}}),
    )
    .await;
    make("agents", json!({"name": "mole", "disabled": true})).await;
    // The same end customer in every dialect; a header counts before the body.
    let messages = json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}],
        "metadata": {"user_id": "alice"}});
    let responses = json!({"model": "m", "input": "hi", "max_output_tokens": 9, "user": "alice"});
    let tagged = [
        ("x-pointsman-tags", "blue, green,blue"),
        ("x-pointsman-agent", "bee"),
    ];
    let mut ids = Vec::new();
    for (asked, headers) in [
        (chat(&json!({"user": "alice"})), &tagged[..]),
        (chat(&json!({"safety_identifier": "alice"})), &[]),
        (("/v1/messages", messages), &[]),
        (("/v1/responses", responses), &[]),
        (
            chat(&json!({"user": "bob"})),
            &[("x-pointsman-customer", "alice")],
        ),
    ] {
        let answer = ask(&site, secret, asked, headers).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        ids.push(answer.header("x-request-id").to_owned());
    }
    assert_eq!(
        code(&ask(&site, secret, chat(&json!({"user": "poor"})), &[]).await),
        (429, json!("insufficient_quota"))
    );
    let slow = &[("x-pointsman-tags", "slow")][..];
    assert_eq!(ask(&site, secret, chat(&json!({})), slow).await.status, 200);
    assert_eq!(
        code(&ask(&site, secret, chat(&json!({})), slow).await),
        (429, json!("rate_limit_exceeded"))
    );
    let mole = &[("x-pointsman-agent", "mole")][..];
    assert_eq!(
        code(&ask(&site, secret, chat(&json!({})), mole).await),
        (403, json!("agent_disabled"))
    );
    let many = "a,b,c,d,e,f,g,h,i";
    let refused = ask(&site, secret, chat(&json!({})), &[("x-pointsman-tags", many)]).await;
    assert_eq!(refused.status, 400, "{}", refused.text());
    // What a program writes there that can be no name is no reason to refuse it.
    let long = "x".repeat(300);
    let answer = ask(&site, secret, chat(&json!({"user": long})), &[]).await;
    assert_eq!(answer.status, 200, "{}", answer.text());

    site.ledger_has(7).await;
    let first = entry(site.folder.path(), &ids[0]);
    assert_eq!(
        (first.customer.as_deref(), first.agent.as_deref()),
        (Some("alice"), Some("bee"))
    );
    assert_eq!(first.tags, ["blue", "green"]);
    let report = |query: &'static str| {
        let site = &site;
        async move {
            let found = site
                .does(Method::GET, &format!("/admin/v1/usage?{query}"), Value::Null)
                .await;
            found["data"].as_array().unwrap().clone()
        }
    };
    let by_customer = report("by=customer").await;
    let of = |rows: &[Value], name: &str, is: Value| {
        let row = rows.iter().find(|row| row[name] == is).cloned();
        row.unwrap_or_else(|| panic!("{name} {is} is not in {rows:?}"))
    };
    let row = of(&by_customer, "customer", json!("alice"));
    assert_eq!(row["requests"], 5);
    let by_tag = report("by=tag,customer").await;
    assert_eq!(of(&by_tag, "tag", json!("green"))["requests"], 1);
    assert_eq!(report("tag=blue&agent=bee").await[0]["requests"], 1);
    let path = format!("/admin/v1/customers/{}", alice["id"].as_str().unwrap());
    let spending = site.does(Method::GET, &path, Value::Null).await["spending"][0]["spent_usd"].clone();
    assert!(spending.as_f64().unwrap() > 0.0);
    assert_eq!(
        spending, row["cost_usd"],
        "what was charged is what the ledger has"
    );
    let described = site.does(Method::GET, "/admin/openapi.json", Value::Null).await;
    assert!(described["paths"]["/admin/v1/tags/{id}"]["patch"].is_object());
}
