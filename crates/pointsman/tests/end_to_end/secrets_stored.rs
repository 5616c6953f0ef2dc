//! Secrets that the database keeps: sealed, used by a reference, changed without a restart, wrapped by another master key,
//! never given back. And what of the admin API is written down or carried out once.

use std::path::Path;
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderValue, Method, header};
use pointsman_store::NewKey;
use serde_json::{Value, json};

use crate::admin::{Site, TOKEN};
use crate::credentials::{ask, bearer, completion, config, server};
use crate::harness::{Answer, House, exchange, folder, key, post, run};

/// Runs `pointsman secret`.
fn secret(folder: &Path, master: &str, arguments: &[&str], input: &str) -> (String, bool) {
    let database = format!("sqlite://{}/p.db", folder.display());
    let arguments = [&["secret"][..], arguments, &["--database", &database]].concat();
    run(&arguments, &[("POINTSMAN_MASTER_KEY", master)], input)
}

async fn admin(house: &House, method: Method, path: &str, body: Value) -> Answer {
    let mut headers = HeaderMap::new();
    headers.insert(header::AUTHORIZATION, format!("Bearer {TOKEN}").parse().unwrap());
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    exchange(house.admin, method, path, headers, body.into())
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::too_many_lines, reason = "one story, from beginning to end")]
async fn a_credential_in_the_database_is_sealed_used_changed_and_wrapped_anew() {
    // It answers with the key that it was shown.
    let provider = server(|head| completion(bearer(head))).await;
    let folder = folder(&config(provider, "{ api_key: \"${store:openai#api_key}\" }"));
    let (old, _) = secret(folder.path(), "", &["key"], "");
    let (new, _) = secret(folder.path(), "", &["key"], "");
    let file = folder.path().join("pointsman.yaml");
    let check = |master: &str| {
        let file = file.to_str().unwrap();
        run(&["check", file], &[("POINTSMAN_MASTER_KEY", master)], "").0
    };
    let told = check(&old);
    assert!(
        told.contains("store:openai#api_key: there is no database"),
        "{told}"
    );
    assert!(!folder.path().join("p.db").exists(), "looking makes no database");
    let told = check("abc");
    assert!(
        told.contains("master key 0 is none") && !told.contains("abc"),
        "{told}"
    );
    let (told, is_kept) = secret(
        folder.path(),
        &old,
        &["set", "openai", "--field", "api_key"],
        "sk-stored-1\n",
    );
    assert!(is_kept, "{told}");
    let caller = key(folder.path(), NewKey::default());
    let both = format!("{new},{old}");
    let environment = [("POINTSMAN_MASTER_KEY", &*both), ("POINTSMAN_ADMIN_TOKEN", TOKEN)];
    let house = House::open_with(folder.path(), &environment);
    let shown = || async {
        let answer = post(house.address, "/v1/chat/completions", &caller, &ask())
            .await
            .unwrap();
        answer.json()["choices"][0]["message"]["content"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(shown().await, "sk-stored-1");
    // A new one is taken over without a restart, and without waiting for the next reading of all secrets.
    let put = json!({"fields": {"api_key": "sk-stored-2", "note": "sk-stored-note"}});
    let answer = admin(&house, Method::PUT, "/admin/v1/secrets/openai", put).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let until = Instant::now() + Duration::from_secs(20);
    while shown().await != "sk-stored-2" {
        assert!(Instant::now() < until, "{}", house.said());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let wrapped = admin(&house, Method::POST, "/admin/v1/secrets/rewrap", Value::Null).await;
    // What was put went by the new one already.
    assert_eq!(wrapped.json(), json!({"wrapped": 0}));
    let (told, is_kept) = secret(folder.path(), &old, &["set", "other"], "sk-stored-3");
    assert!(is_kept, "{told}");
    let wrapped = admin(&house, Method::POST, "/admin/v1/secrets/rewrap", Value::Null).await;
    assert_eq!(wrapped.json(), json!({"wrapped": 1}));
    let shown_by_api = [
        admin(&house, Method::GET, "/admin/v1/secrets", Value::Null).await,
        admin(&house, Method::GET, "/admin/v1/secrets/openai", Value::Null).await,
        admin(&house, Method::GET, "/admin/v1/audit", Value::Null).await,
    ];
    for answer in &shown_by_api {
        assert_eq!(answer.status, 200);
        assert!(!answer.text().contains("sk-stored"), "{}", answer.text());
    }
    assert_eq!(shown_by_api[1].json()["fields"], json!(["api_key", "note"]));
    let log = shown_by_api[2].json();
    let read = |row: &Value| row["action"] == "read" && row["object"] == "/admin/v1/secrets/openai";
    assert!(log["data"].as_array().unwrap().iter().any(read), "{log}");
    let wrong = json!({"value": "x", "fields": {"y": "z"}});
    assert_eq!(
        admin(&house, Method::PUT, "/admin/v1/secrets/openai", wrong)
            .await
            .status,
        400
    );
    let gone = admin(&house, Method::DELETE, "/admin/v1/secrets/nothing", Value::Null).await;
    assert_eq!(gone.status, 404);
    let told = house.said();
    house.stop();
    assert!(
        !told.contains("sk-stored") && !told.contains(&old) && !told.contains(&new),
        "{told}"
    );
    // The old master key is not needed any more; without any, the start is refused and says why.
    let house = House::open_with(folder.path(), &[("POINTSMAN_MASTER_KEY", &new)]);
    let answer = post(house.address, "/v1/chat/completions", &caller, &ask())
        .await
        .unwrap();
    assert_eq!(answer.json()["choices"][0]["message"]["content"], "sk-stored-2");
    house.stop();
    let told = check(&old);
    assert!(
        told.contains("which is not among those that are configured"),
        "{told}"
    );
    for name in ["p.db", "p.db-wal"] {
        let bytes = std::fs::read(folder.path().join(name)).unwrap_or_default();
        assert!(!bytes.windows(9).any(|part| part == b"sk-stored"), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_post_with_an_idempotency_key_makes_one_key_however_often_it_comes() {
    let site = Site::open().await;
    let name = header::HeaderName::from_static("idempotency-key");
    let post = |key: &'static str, body: Value| {
        let (site, name) = (&site, name.clone());
        async move {
            let more = [(name, key)];
            site.call_with(Method::POST, "/admin/v1/keys", body, &more).await
        }
    };
    let key = "3f9c1a52-0d1b-4c6e-9c70-2b1d";
    let body = json!({"name": "once"});
    // A crowd of the same request: one is carried out, and the others are told the same, or to come again.
    let crowd = (0..8).map(|_| post(key, body.clone()));
    let mut made = Vec::new();
    for answer in futures_util::future::join_all(crowd).await {
        match answer.status.as_u16() {
            201 => made.push(answer.json()),
            status => assert_eq!(status, 409, "{}", answer.text()),
        }
    }
    let again = post(key, body.clone()).await;
    assert_eq!(
        (again.status.as_u16(), again.header("idempotent-replayed")),
        (201, "true")
    );
    assert!(!again.header("etag").is_empty());
    made.push(again.json());
    assert!(
        made.len() >= 2 && made.iter().all(|one| *one == made[0]),
        "{made:?}"
    );
    assert!(made[0]["secret"].as_str().unwrap().starts_with("pm-"));
    let listed = site
        .does(Method::GET, "/admin/v1/keys?name=once", Value::Null)
        .await;
    assert_eq!(listed["total"], 1);
    assert_eq!(post(key, json!({"name": "another"})).await.status, 422);
    assert_eq!(post("short", body.clone()).await.status, 400);
    // What came to nothing may be tried again.
    let wrong = json!({"name": "x", "nothing": 1});
    for _ in 0..2 {
        assert_eq!(
            post("3f9c1a52-0d1b-4c6e-9c70-ffff", wrong.clone()).await.status,
            400
        );
    }
    // The secret of the key is nowhere in the database.
    let secret = made[0]["secret"].as_str().unwrap().to_owned();
    for name in ["p.db", "p.db-wal"] {
        let bytes = std::fs::read(site.folder.path().join(name)).unwrap_or_default();
        assert!(
            !bytes.windows(secret.len()).any(|part| part == secret.as_bytes()),
            "{name}"
        );
    }
}
