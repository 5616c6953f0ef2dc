//! What strangers and curious callers try at the admin API, and what comes of it: nothing.

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use pointsman_store::NewKey;
use serde_json::{Value, json};

use super::{Site, TOKEN, bearer};
use crate::harness::{exchange, get, key};

#[expect(clippy::too_many_lines, reason = "a list of credentials that are none")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn privilege_escalation_every_route_denies_whoever_has_no_token() {
    let site = Site::open().await;
    let virtual_key = key(site.folder.path(), NewKey::default());
    let document = get(site.house.admin, "/admin/openapi.json").await.unwrap().json();
    let mut tried = 0;
    for (path, operations) in document["paths"].as_object().unwrap() {
        if path == "/admin/openapi.json" {
            continue;
        }
        // Where one signs in is open; it has tests of its own.
        if path.starts_with("/admin/auth") {
            continue;
        }
        let path = path
            .split('/')
            .map(|part| if part.starts_with('{') { "x" } else { part });
        let path = path.collect::<Vec<_>>().join("/");
        for method in operations.as_object().unwrap().keys() {
            let method: Method = method.to_ascii_uppercase().parse().unwrap();
            let basic = "Basic YWRtaW46YWRtaW4=".to_owned();
            for credential in [
                None,
                Some("Bearer wrong".to_owned()),
                Some(format!("Bearer {virtual_key}")),
                Some(format!("Bearer {TOKEN}x")),
                Some(format!("Bearer {}", &TOKEN[..TOKEN.len() - 1])),
                Some(format!("Token {TOKEN}")),
                Some(basic),
                // Whatever a database might do with it.
                Some("Bearer ' OR '1'='1".to_owned()),
            ] {
                let mut headers = HeaderMap::new();
                headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
                // No header says who somebody is or where they come from, but the one.
                headers.insert("x-forwarded-for", HeaderValue::from_static("127.0.0.1"));
                headers.insert(header::HOST, HeaderValue::from_static("localhost"));
                if let Some(credential) = &credential {
                    headers.insert(header::AUTHORIZATION, credential.parse().unwrap());
                }
                let answer = exchange(site.house.admin, method.clone(), &path, headers, "{}".into());
                let answer = answer.await.unwrap();
                assert_eq!(
                    answer.status,
                    StatusCode::UNAUTHORIZED,
                    "{method} {path} {credential:?}"
                );
                tried += 1;
            }
        }
    }
    assert!(tried > 400, "only {tried}");
    // What is not there is not told to strangers either.
    for path in [
        "/admin/v1/nothing",
        "/",
        "/metrics/../admin/v1/keys",
        "/admin/v1/keys?token=x",
        "//metrics",
    ] {
        let answer = get(site.house.admin, path).await.unwrap();
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{path}");
    }
    assert_eq!(
        site.call(Method::GET, "/admin/v1/nothing", Value::Null)
            .await
            .status,
        404
    );
    assert_eq!(
        site.call(Method::PUT, "/admin/v1/keys", Value::Null).await.status,
        405
    );
    // The admin token opens no model.
    assert_eq!(site.chat(TOKEN, "m").await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_of_other_origins_and_bodies_without_end_are_refused() {
    let site = Site::open().await;
    let origin = |origin| [(header::ORIGIN, origin)];
    let path = "/admin/v1/teams";
    let evil = origin("http://evil.example");
    let evil = site.call_with(Method::GET, path, Value::Null, &evil).await;
    assert_eq!(evil.status, StatusCode::FORBIDDEN);
    let own = format!("http://{}", site.house.admin);
    let own = origin(&own);
    let own = site.call_with(Method::GET, path, Value::Null, &own).await;
    assert_eq!(own.status, StatusCode::OK);
    let form = [(header::CONTENT_TYPE, "application/x-www-form-urlencoded")];
    let form = site
        .call_with(Method::POST, path, json!({"name": "a"}), &form)
        .await;
    assert_eq!(form.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    // Whoever sends more is told so, or finds the connection closed.
    let mut headers = bearer(TOKEN);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let large = json!({"name": "x".repeat(2 * 1024 * 1024)}).to_string();
    if let Some(large) = exchange(site.house.admin, Method::POST, path, headers, large.into()).await {
        assert_eq!(large.status, StatusCode::PAYLOAD_TOO_LARGE);
    }
    let listed = site.does(Method::GET, path, Value::Null).await;
    assert_eq!(listed["total"], 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forged_forwarded_headers_say_nothing_of_who_or_where_somebody_is() {
    let site = Site::open().await;
    let forged = [
        "x-forwarded-for",
        "x-real-ip",
        "forwarded",
        "x-forwarded-user",
        "x-pointsman-user",
    ]
    .map(|name| (header::HeaderName::from_static(name), "6.6.6.6"));
    let made = site
        .call_with(Method::POST, "/admin/v1/teams", json!({"id": "t"}), &forged)
        .await;
    assert_eq!(made.status, StatusCode::CREATED);
    let audit = site.does(Method::GET, "/admin/v1/audit", Value::Null).await;
    let row = audit["data"].as_array().unwrap().last().unwrap();
    assert_eq!(
        (&row["actor"], &row["source"]),
        (&json!("admin"), &json!("127.0.0.1"))
    );
    assert!(!audit.to_string().contains("6.6.6.6"));
    // Nor do they let anybody in.
    let mut headers = HeaderMap::new();
    for (name, value) in forged {
        headers.insert(name, value.parse().unwrap());
    }
    let stranger = exchange(
        site.house.admin,
        Method::GET,
        "/admin/v1/teams",
        headers,
        "".into(),
    )
    .await;
    assert_eq!(stranger.unwrap().status, StatusCode::UNAUTHORIZED);
}

#[expect(clippy::too_many_lines, reason = "a list of what is refused")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mass_assignment_and_nonsense_change_nothing() {
    let site = Site::open().await;
    site.does(Method::POST, "/admin/v1/teams", json!({"id": "t", "name": "T"}))
        .await;
    let key = site
        .does(Method::POST, "/admin/v1/keys", json!({"team": "t"}))
        .await;
    let key_path = format!("/admin/v1/keys/{}", key["id"].as_str().unwrap());
    for (method, path, body) in [
        (Method::PATCH, "/admin/v1/teams/t", json!({"id": "other"})),
        (
            Method::PATCH,
            "/admin/v1/teams/t",
            json!({"created_at": "1970-01-01T00:00:00Z"}),
        ),
        (
            Method::PATCH,
            "/admin/v1/teams/t",
            json!({"spending": [{"spent_usd": 0}]}),
        ),
        (
            Method::PATCH,
            "/admin/v1/teams/t",
            json!({"deleted_at": null, "version": 1}),
        ),
        (
            Method::PATCH,
            "/admin/v1/teams/t",
            json!({"limits": {"admin": 1}}),
        ),
        (
            Method::PATCH,
            "/admin/v1/teams/t",
            json!({"budgets": [{"amount_usd": -1}]}),
        ),
        (
            Method::PATCH,
            "/admin/v1/teams/t",
            json!({"budgets": [{"amount_usd": 1, "window": "never"}]}),
        ),
        (
            Method::PATCH,
            "/admin/v1/teams/t",
            json!({"organization": "none"}),
        ),
        (
            Method::PATCH,
            &key_path,
            json!({"hash": "00", "status": "active"}),
        ),
        (Method::PATCH, &key_path, json!({"secret": "sk-0123456789abcdef"})),
        (
            Method::PATCH,
            &key_path,
            json!({"revoked_at": null, "is_admin": true}),
        ),
        (Method::PATCH, &key_path, json!({"expires_at": "tomorrow"})),
        (Method::POST, "/admin/v1/keys", json!({"id": "key_mine"})),
        (Method::POST, "/admin/v1/keys", json!({"team": "none"})),
        (Method::POST, "/admin/v1/teams", json!({"id": "a/b"})),
        (
            Method::POST,
            "/admin/v1/organizations",
            json!({"organization": "o"}),
        ),
        (Method::GET, "/admin/v1/keys?teams=t", Value::Null),
        (Method::GET, "/admin/v1/keys?limit=100000", Value::Null),
        (Method::GET, "/admin/v1/usage?by=secret", Value::Null),
    ] {
        let answer = site.call(method, path, body.clone()).await;
        let refused = [StatusCode::BAD_REQUEST, StatusCode::NOT_FOUND].contains(&answer.status);
        assert!(refused, "{path} {body}: {} {}", answer.status, answer.text());
        assert!(answer.json()["error"]["message"].is_string());
    }
    let team = site.does(Method::GET, "/admin/v1/teams/t", Value::Null).await;
    assert_eq!((&team["name"], &team["budgets"]), (&json!("T"), &json!([])));
    let unchanged = site.does(Method::GET, &key_path, Value::Null).await;
    assert_eq!(unchanged["updated_at"], key["updated_at"]);
}

/// What a database might take for a part of a question.
const EVIL: [&str; 4] = [
    "' OR '1'='1",
    "x'; DROP TABLE keys; --",
    "%' UNION SELECT value FROM settings --",
    "\" OR 1=1 --",
];

/// Everything that some route is narrowed by, and more.
const NARROWS: [&str; 22] = [
    "key",
    "user",
    "project",
    "team",
    "organization",
    "model",
    "provider",
    "outcome",
    "request",
    "since",
    "until",
    "by",
    "after",
    "limit",
    "name",
    "plan",
    "state",
    "filter",
    "startIndex",
    "count",
    "team_id",
    "user_id",
];

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::too_many_lines, reason = "every way in, one after another")]
async fn sql_injection_by_query_header_and_body_changes_nothing() {
    let site = Site::open().await;
    site.does(Method::POST, "/admin/v1/organizations", json!({"id": "o"}))
        .await;
    site.does(
        Method::POST,
        "/admin/v1/teams",
        json!({"id": "t", "organization": "o"}),
    )
    .await;
    let made = site
        .does(Method::POST, "/admin/v1/keys", json!({"team": "t", "name": "k"}))
        .await;
    let secret = made["secret"].as_str().unwrap().to_owned();
    let document = get(site.house.admin, "/admin/openapi.json").await.unwrap().json();
    let (mut tried, mut taken) = (0, 0);
    for (pattern, operations) in document["paths"].as_object().unwrap() {
        if operations.get("get").is_none() || pattern.starts_with("/admin/auth") {
            continue;
        }
        for (number, evil) in EVIL.iter().enumerate() {
            let evil = encoded(evil);
            let path = pattern.split('/').map(|part| {
                if part.starts_with('{') {
                    evil.as_str()
                } else {
                    part
                }
            });
            let path = path.collect::<Vec<_>>().join("/");
            // One of them in turn for each name: each name meets all of them at some route.
            let names = NARROWS
                .iter()
                .enumerate()
                .filter(|(at, _)| at % EVIL.len() == number || path != *pattern);
            let queries = names.map(|(_, name)| format!("?{name}={evil}"));
            for query in queries.chain([String::new()]) {
                let answer = site
                    .call(Method::GET, &format!("{path}{query}"), Value::Null)
                    .await;
                assert!(
                    answer.status.as_u16() < 500,
                    "{path}{query}: {} {}",
                    answer.status,
                    answer.text()
                );
                tried += 1;
                // A list that is narrowed by what nobody is called is empty.
                let is_list = ["teams", "keys", "organizations", "ledger"]
                    .iter()
                    .any(|list| path.ends_with(&format!("/v1/{list}")));
                if answer.status == StatusCode::OK && is_list && !query.is_empty() {
                    assert_eq!(answer.json()["data"], json!([]), "{path}{query}");
                    taken += 1;
                }
            }
        }
    }
    assert!(tried > 500 && taken > 10, "{tried} {taken}");
    for evil in EVIL {
        // Headers that are looked at, on both listeners.
        for name in [
            "if-match",
            "idempotency-key",
            "x-request-id",
            "user-agent",
            "x-pointsman-csrf",
        ] {
            let more = [(header::HeaderName::from_static(name), evil)];
            let answer = site
                .call_with(Method::GET, "/admin/v1/teams/t", Value::Null, &more)
                .await;
            assert!(answer.status.as_u16() < 500, "{name}: {}", answer.text());
        }
        for name in ["authorization", "x-api-key", "x-goog-api-key", "api-key"] {
            let mut headers = HeaderMap::new();
            headers.insert(name, format!("Bearer {evil}").parse().unwrap());
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            let asked = exchange(
                site.house.address,
                Method::POST,
                "/v1/chat/completions",
                headers,
                "{}".into(),
            );
            assert_eq!(asked.await.unwrap().status, StatusCode::UNAUTHORIZED, "{name}");
        }
        // A text is a text: it comes back as it was given.
        let made = site
            .does(Method::POST, "/admin/v1/keys", json!({"team": "t", "name": evil}))
            .await;
        let path = format!("/admin/v1/keys/{}", made["id"].as_str().unwrap());
        assert_eq!(site.does(Method::GET, &path, Value::Null).await["name"], evil);
        site.does(Method::DELETE, &path, Value::Null).await;
    }
    // All is there, and as it was.
    assert_eq!(
        site.does(Method::GET, "/admin/v1/teams", Value::Null).await["total"],
        1
    );
    assert_eq!(site.chat(&secret, "m").await.status, StatusCode::OK);
    let verified = site
        .does(Method::GET, "/admin/v1/audit/verify", Value::Null)
        .await;
    assert_eq!(verified["broken_at"], Value::Null);
}
