//! The admin API: from organization to key, changed by one at a time, in force at once.

mod attacks;
mod running;

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use pointsman_testbed::{SimOptions, SimServer};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{Answer, House, exchange, folder, post, store};

pub const TOKEN: &str = "an-admin-token-of-the-tests-3f9c1a";

/// A gateway with two providers, its admin API, and a client of it.
pub struct Site {
    pub house: House,
    pub folder: TempDir,
    _sim: SimServer,
}

impl Site {
    pub async fn open() -> Self {
        Self::with("").await
    }

    /// With these blocks in its configuration, too.
    pub async fn with(more: &str) -> Self {
        let sim = SimServer::local(SimOptions::default()).await.unwrap();
        let address = sim.address();
        let folder = folder(&format!(
            "providers:\n  one: {{ kind: openai, base_url: \"http://{address}/v1\", auth: {{ api_key: sk-sim }} }}\n  \
             two: {{ kind: openai, base_url: \"http://{address}/v1\", auth: {{ api_key: sk-sim }} }}\n\
             models:\n  m: {{ targets: [ {{ provider: one, model: gpt-5-mini }} ], price: {{ input: 1000, output: 1000 }} }}\n  \
             both: {{ targets: [ {{ provider: one, model: gpt-5-mini }}, {{ provider: two, model: gpt-5-mini }} ] }}\n{more}"
        ));
        let house = House::open_with(folder.path(), &[("POINTSMAN_ADMIN_TOKEN", TOKEN)]);
        Self {
            house,
            folder,
            _sim: sim,
        }
    }

    /// Calls the admin API.
    pub async fn call(&self, method: Method, path: &str, body: Value) -> Answer {
        self.call_with(method, path, body, &[]).await
    }

    pub async fn call_with(
        &self,
        method: Method,
        path: &str,
        body: Value,
        more: &[(header::HeaderName, &str)],
    ) -> Answer {
        let mut headers = bearer(TOKEN);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        for (name, value) in more {
            headers.insert(name, value.parse().unwrap());
        }
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        exchange(self.house.admin, method, path, headers, body.into())
            .await
            .unwrap()
    }

    /// Calls it, and expects it to do what is asked.
    pub async fn does(&self, method: Method, path: &str, body: Value) -> Value {
        let answer = self.call(method.clone(), path, body).await;
        assert!(answer.status.is_success(), "{method} {path}: {}", answer.text());
        if answer.body.is_empty() {
            Value::Null
        } else {
            answer.json()
        }
    }

    /// Asks a model with a key.
    pub async fn chat(&self, key: &str, model: &str) -> Answer {
        let body = json!({"model": model, "max_tokens": 20, "messages": [{"role": "user", "content": "repeat 5 words"}]});
        post(self.house.address, "/v1/chat/completions", key, &body)
            .await
            .unwrap()
    }

    /// Waits until so many requests are in the ledger.
    pub async fn ledger_has(&self, requests: u64) -> Value {
        for _ in 0..100 {
            let usage = self.does(Method::GET, "/admin/v1/usage", Value::Null).await;
            if usage["data"][0]["requests"].as_u64() >= Some(requests) {
                return usage;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        panic!("the ledger never has {requests} requests");
    }
}

fn bearer(token: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::AUTHORIZATION, format!("Bearer {token}").parse().unwrap());
    headers
}

#[expect(clippy::too_many_lines, reason = "one story, told from beginning to end")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_organization_to_key_and_what_each_of_them_spends() {
    let site = Site::open().await;
    let make = |kind: &str, body: Value| {
        let path = format!("/admin/v1/{kind}");
        let site = &site;
        async move { site.does(Method::POST, &path, body).await }
    };
    // A dollar a thousand tokens.
    let budget = json!([{"amount_usd": 0.1, "window": "month", "time_zone": "Europe/Berlin"}]);
    make(
        "organizations",
        json!({"id": "acme", "name": "Acme", "budgets": budget}),
    )
    .await;
    make(
        "teams",
        json!({"id": "research", "organization": "acme", "models": ["m", "both"]}),
    )
    .await;
    make("projects", json!({"id": "atlas", "team": "research"})).await;
    make("users", json!({"id": "kim@acme.example", "organization": "acme"})).await;
    make(
        "budgets",
        json!({"id": "small", "limits": {"requests_per_minute": 100}}),
    )
    .await;
    let made = make(
        "keys",
        json!({"name": "k", "project": "atlas", "team": "research", "user": "kim@acme.example", "budget": "small"}),
    )
    .await;
    let (id, secret) = (made["id"].as_str().unwrap(), made["secret"].as_str().unwrap());
    assert_eq!(made["status"], "active");
    // In force at once, and its secret is never shown again.
    let first = site.chat(secret, "m").await;
    assert_eq!(first.status, StatusCode::OK, "{}", first.text());
    assert_eq!(first.header("x-ratelimit-limit-requests"), "100");
    let shown = site
        .does(Method::GET, &format!("/admin/v1/keys/{id}"), Value::Null)
        .await;
    assert!(shown.get("secret").is_none() && !shown.to_string().contains(secret));
    let mut answered = 1;
    let denied = loop {
        let answer = site.chat(secret, "m").await;
        if answer.status != StatusCode::OK {
            break answer;
        }
        answered += 1;
    };
    assert_eq!(denied.status, StatusCode::TOO_MANY_REQUESTS);
    let error = &denied.json()["error"];
    assert_eq!(error["code"], "insufficient_quota");
    let told = error["message"].as_str().unwrap();
    assert!(told.contains("organization \"acme\" is $0.1"), "{told}");
    assert!(told.contains("left") && told.contains("begins anew at"), "{told}");
    assert!(denied.header("retry-after").parse::<u64>().unwrap() > 0);
    let usage = site.ledger_has(answered).await;
    let spent = usage["data"][0]["cost_usd"].as_f64().unwrap();
    assert!(spent > 0.0 && spent <= 0.1, "{spent}");
    for (by, name) in [
        ("organization", "acme"),
        ("team", "research"),
        ("project", "atlas"),
        ("user", "kim@acme.example"),
        ("key", id),
        ("provider", "one"),
    ] {
        let path = format!("/admin/v1/usage?by={by}&{by}={}", name.replace('@', "%40"));
        let usage = site.does(Method::GET, &path, Value::Null).await;
        assert_eq!(
            (&usage["data"][0][by], usage["data"][0]["cost_usd"].as_f64()),
            (&json!(name), Some(spent))
        );
    }
    let ledger = site
        .does(Method::GET, "/admin/v1/ledger?team=research&limit=1", Value::Null)
        .await;
    assert_eq!(ledger["data"][0]["organization"], "acme");
    let next = format!(
        "/admin/v1/ledger?team=research&limit=1&after={}",
        ledger["next"].as_str().unwrap()
    );
    let older = site.does(Method::GET, &next, Value::Null).await;
    assert_ne!(ledger["data"][0]["id"], older["data"][0]["id"]);
    // More money, and it goes on; what was spent stays spent.
    let acme = site
        .call(Method::GET, "/admin/v1/organizations/acme", Value::Null)
        .await;
    assert_eq!(acme.json()["spending"][0]["spent_usd"].as_f64(), Some(spent));
    let more = json!({"budgets": [{"amount_usd": "0.5", "window": "month", "time_zone": "Europe/Berlin"}]});
    let tag = acme.header("etag").to_owned();
    let patch = |tag: String| {
        let (site, more) = (&site, more.clone());
        async move {
            let path = "/admin/v1/organizations/acme";
            site.call_with(Method::PATCH, path, more, &[(header::IF_MATCH, &tag)])
                .await
        }
    };
    let patched = patch(tag.clone()).await;
    assert_eq!(patched.json()["spending"][0]["spent_usd"].as_f64(), Some(spent));
    assert_eq!(
        patch(tag).await.status,
        StatusCode::PRECONDITION_FAILED,
        "changed meanwhile"
    );
    assert_eq!(site.chat(secret, "m").await.status, StatusCode::OK);
    // A deleted team's keys are closed, for good.
    let gone = site
        .call(Method::DELETE, "/admin/v1/teams/research", Value::Null)
        .await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT);
    let closed = site.chat(secret, "m").await;
    assert_eq!(closed.status, StatusCode::UNAUTHORIZED);
    assert!(closed.text().contains("team of this key"), "{}", closed.text());
    let again = site
        .call(Method::POST, "/admin/v1/teams", json!({"id": "research"}))
        .await;
    assert_eq!(again.status, StatusCode::CONFLICT);
    let verified = site
        .does(Method::GET, "/admin/v1/audit/verify", Value::Null)
        .await;
    assert_eq!(
        (
            verified["broken_at"].clone(),
            verified["rows"].as_u64() >= Some(8)
        ),
        (Value::Null, true)
    );
    let audit = site
        .does(Method::GET, "/admin/v1/audit?limit=100", Value::Null)
        .await;
    assert!(!audit.to_string().contains(secret));
    assert!(
        audit["data"]
            .as_array()
            .unwrap()
            .iter()
            .all(|row| row["actor"] == "admin")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_are_turned_and_narrowed() {
    let site = Site::open().await;
    for at in 0..5 {
        let team = json!({"id": format!("t{at}")});
        site.does(Method::POST, "/admin/v1/teams", team).await;
        let key = json!({"team": format!("t{}", at % 2), "name": format!("k{at}")});
        site.does(Method::POST, "/admin/v1/keys", key).await;
    }
    for kind in ["teams", "keys"] {
        let mut path = format!("/admin/v1/{kind}?limit=2");
        let mut seen = Vec::new();
        loop {
            let page = site.does(Method::GET, &path, Value::Null).await;
            assert_eq!(page["total"], 5);
            seen.extend(
                page["data"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|item| item["id"].clone()),
            );
            let Some(next) = page["next"].as_str() else { break };
            path = format!("/admin/v1/{kind}?limit=2&after={next}");
        }
        seen.dedup();
        assert_eq!(seen.len(), 5, "{kind}");
    }
    let narrowed = site
        .does(Method::GET, "/admin/v1/keys?team=t1&status=active", Value::Null)
        .await;
    assert_eq!(narrowed["total"], 2);
    let named = site
        .does(Method::GET, "/admin/v1/keys?name=k3", Value::Null)
        .await;
    assert_eq!(named["data"][0]["team"], "t1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_answers_by_the_providers_of_all_its_holders() {
    let site = Site::open().await;
    site.does(
        Method::POST,
        "/admin/v1/teams",
        json!({"id": "t", "providers": ["two"]}),
    )
    .await;
    let key = site
        .does(Method::POST, "/admin/v1/keys", json!({"team": "t"}))
        .await;
    let secret = key["secret"].as_str().unwrap();
    for _ in 0..6 {
        let answer = site.chat(secret, "both").await;
        assert_eq!(
            (answer.status, answer.header("x-pointsman-provider")),
            (StatusCode::OK, "two")
        );
    }
    let denied = site.chat(secret, "m").await;
    assert_eq!(denied.status, StatusCode::FORBIDDEN, "{}", denied.text());
    assert!(denied.text().contains("providers of"), "{}", denied.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_rotated_with_grace_disabled_and_ends() {
    let site = Site::open().await;
    let key = site.does(Method::POST, "/admin/v1/keys", json!({})).await;
    let path = format!("/admin/v1/keys/{}", key["id"].as_str().unwrap());
    let old = key["secret"].as_str().unwrap();
    let rotated = site
        .does(
            Method::POST,
            &format!("{path}/rotate"),
            json!({"grace_seconds": 60}),
        )
        .await;
    let new = rotated["secret"].as_str().unwrap();
    for secret in [old, new] {
        assert_eq!(site.chat(secret, "m").await.status, StatusCode::OK);
    }
    site.does(Method::POST, &format!("{path}/rotate"), json!({}))
        .await;
    assert_eq!(site.chat(new, "m").await.status, StatusCode::UNAUTHORIZED);
    let rotated = site
        .does(Method::POST, &format!("{path}/rotate"), Value::Null)
        .await;
    let newest = rotated["secret"].as_str().unwrap();
    for (change, expected) in [
        (json!({"disabled": true}), StatusCode::UNAUTHORIZED),
        (json!({"disabled": false}), StatusCode::OK),
        (json!({"expires_at": "2020-01-01"}), StatusCode::UNAUTHORIZED),
        (json!({"expires_at": null}), StatusCode::OK),
    ] {
        site.does(Method::PATCH, &path, change.clone()).await;
        assert_eq!(site.chat(newest, "m").await.status, expected, "{change}");
    }
    site.does(Method::DELETE, &path, Value::Null).await;
    assert_eq!(site.chat(newest, "m").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(
        site.call(Method::PATCH, &path, json!({})).await.status,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spend_of_every_holder_survives_kill_9() {
    let mut site = Site::open().await;
    for (kind, body) in [
        (
            "organizations",
            json!({"id": "o", "budgets": [{"amount_usd": 1}]}),
        ),
        (
            "teams",
            json!({"id": "t", "organization": "o", "budgets": [{"amount_usd": 1, "window": "day"}]}),
        ),
        (
            "users",
            json!({"id": "u", "budgets": [{"amount_usd": 1, "window": "86400s"}]}),
        ),
    ] {
        site.does(Method::POST, &format!("/admin/v1/{kind}"), body).await;
    }
    let key = site
        .does(Method::POST, "/admin/v1/keys", json!({"team": "t", "user": "u"}))
        .await;
    for _ in 0..5 {
        assert_eq!(
            site.chat(key["secret"].as_str().unwrap(), "m").await.status,
            StatusCode::OK
        );
    }
    let paths = ["organizations/o", "teams/t", "users/u"].map(|path| format!("/admin/v1/{path}"));
    let mut before = Vec::new();
    for path in &paths {
        before.push(site.does(Method::GET, path, Value::Null).await["spending"][0]["spent_usd"].clone());
    }
    assert!(before[0].as_f64().unwrap() > 0.0);
    site.house.kill();
    site.house = House::open_with(site.folder.path(), &[("POINTSMAN_ADMIN_TOKEN", TOKEN)]);
    for (path, before) in paths.iter().zip(&before) {
        let now = site.does(Method::GET, path, Value::Null).await;
        assert_eq!(&now["spending"][0]["spent_usd"], before, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_start_shows_a_password_once() {
    let folder = folder("");
    let mut house = House::open(folder.path());
    let said = house.said();
    let line = said.lines().find(|line| line.contains("admin password")).unwrap();
    let password = line.rsplit(' ').next().unwrap().to_owned();
    let ask = |address, password: String| async move {
        let answer = exchange(
            address,
            Method::GET,
            "/admin/v1/teams",
            bearer(&password),
            "".into(),
        );
        answer.await.unwrap().status
    };
    assert_eq!(ask(house.admin, password.clone()).await, StatusCode::OK);
    assert_eq!(
        ask(house.admin, format!("{password}x")).await,
        StatusCode::UNAUTHORIZED
    );
    house.kill();
    for name in ["p.db", "p.db-wal"] {
        let bytes = std::fs::read(folder.path().join(name)).unwrap_or_default();
        let needle = password.as_bytes();
        assert!(
            !bytes.windows(needle.len()).any(|window| window == needle),
            "only its hash is kept"
        );
    }
    let house = House::open(folder.path());
    assert!(!house.said().contains("admin password"));
    assert_eq!(ask(house.admin, password).await, StatusCode::OK);
    assert!(store(folder.path()).verify_audit().unwrap().broken.is_none());
}
