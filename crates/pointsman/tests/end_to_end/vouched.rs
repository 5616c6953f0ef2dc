//! Callers that somebody else vouches for: the issuer of a token that only it can read, and a proxy that is trusted.

use std::time::Duration;

use http::Request;
use pointsman_store::{Actor, HolderKind, HolderSpec, Metadata, NewKey};
use pointsman_testbed::{SimOptions, SimServer};
use serde_json::{Value, json};

use crate::harness::{Answer, House, entry, folder, send, store};
use crate::tokens::Provider;

/// A folder with a provider, an organization, and what is said of identity.
async fn place(identity: &str) -> (SimServer, tempfile::TempDir) {
    let sim = SimServer::local(SimOptions::default()).await.unwrap();
    let folder = folder(&format!(
        "providers: {{ o: {{ kind: openai, base_url: \"http://{}/v1\", auth: {{ api_key: sk-sim }} }} }}\n{identity}",
        sim.address()
    ));
    let spec = HolderSpec::default();
    store(folder.path())
        .create_holder(
            &Actor::local(),
            HolderKind::Organization,
            Some("acme".to_owned()),
            spec,
        )
        .unwrap();
    (sim, folder)
}

async fn ask(house: &House, headers: &[(&str, &str)]) -> Answer {
    let body = json!({"model": "o/gpt-5-mini", "messages": [{"role": "user", "content": "hello"}]});
    let request = Request::post("/v1/chat/completions").header("content-type", "application/json");
    let request = headers
        .iter()
        .fold(request, |request, (name, value)| request.header(*name, *value));
    send(house.address, request.body(body.to_string()).unwrap())
        .await
        .unwrap()
}

async fn with(house: &House, token: &str) -> Answer {
    ask(house, &[("authorization", &format!("Bearer {token}"))]).await
}

fn code(answer: &Answer) -> (u16, Value) {
    (answer.status.as_u16(), answer.json()["error"]["code"].clone())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_only_its_issuer_can_read_is_asked_about_and_keys_are_not() {
    let issuer = Provider::start(&[]);
    let identity = format!(
        "identity:\n  introspection:\n    - {{ url: \"http://{}/introspect\", client_id: pointsman, client_secret: s3cr3t, \
         cache: 1s, user_prefix: \"idp:\", claims: {{ organization: org }} }}\n",
        issuer.address()
    );
    let (_sim, folder) = place(&identity).await;
    let own = "a-key-that-somebody-has-chosen";
    store(folder.path())
        .create_key_as(
            &Actor::local(),
            NewKey::default(),
            Metadata::new(),
            Some(own.into()),
        )
        .unwrap();
    let house = House::open(folder.path());
    issuer.says(&json!({"active": true, "sub": "kim", "org": "acme"}));
    let answer = with(&house, "opaque-of-kim").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let row = entry(folder.path(), answer.header("x-request-id"));
    assert_eq!(row.user.unwrap().as_str(), "idp:kim");
    assert_eq!(row.organization.unwrap().as_str(), "acme");
    // A token that begins like another is another.
    issuer.says(&json!({"active": true, "sub": "ann", "org": "acme"}));
    let answer = with(&house, "opaque-of-kim-and-more").await;
    let row = entry(folder.path(), answer.header("x-request-id"));
    assert_eq!(row.user.unwrap().as_str(), "idp:ann");
    // What was answered is believed for a second, and nobody is asked about keys.
    let asked = issuer.asked();
    for _ in 0..5 {
        assert_eq!(with(&house, "opaque-of-kim").await.status, 200);
        assert_eq!(with(&house, own).await.status, 200);
        assert_eq!(
            code(&with(&house, "pm-nobodys").await),
            (401, json!("invalid_api_key"))
        );
    }
    assert!(issuer.asked() <= asked + 3, "{} after {asked}", issuer.asked());
    // A token that is taken back is good for a second at most; one that never was is not asked about twice.
    issuer.says(&json!({"active": false}));
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    for token in ["opaque-of-kim", "opaque-of-nobody"] {
        assert_eq!(code(&with(&house, token).await), (401, json!("invalid_token")));
    }
    let asked = issuer.asked();
    for _ in 0..5 {
        assert_eq!(with(&house, "opaque-of-nobody").await.status, 401);
    }
    assert_eq!(issuer.asked(), asked);
    // An organization that is not known here is not believed, and an answer that is none lets nobody in.
    issuer.says(&json!({"active": true, "sub": "kim", "org": "elsewhere"}));
    assert_eq!(
        code(&with(&house, "opaque-of-another").await),
        (401, json!("invalid_token"))
    );
    issuer.says(&json!("nonsense"));
    assert_eq!(with(&house, "opaque-of-nonsense").await.status, 503);
    let said = house.said();
    assert!(!said.contains("opaque-of") && !said.contains("s3cr3t"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_trusted_proxy_says_whom_it_has_let_in() {
    const USER: &str = "x-auth-request-email";
    for (network, is_trusted) in [("127.0.0.0/8", true), ("10.0.0.0/8", false)] {
        let (_sim, folder) = place(&format!(
            "server: {{ trusted_proxies: [{network}] }}\n\
             identity: {{ proxy: {{ user: {USER}, organization: acme }} }}\n"
        ))
        .await;
        let house = House::open(folder.path());
        let answer = ask(&house, &[(USER, "kim@example.com")]).await;
        if is_trusted {
            assert_eq!(answer.status, 200, "{}", answer.text());
            let row = entry(folder.path(), answer.header("x-request-id"));
            assert_eq!(row.user.unwrap().as_str(), "kim@example.com");
            assert_eq!(row.organization.unwrap().as_str(), "acme");
        } else {
            assert_eq!(code(&answer), (401, json!("missing_api_key")));
        }
        // Whoever brings a credential is who it says; two headers say nothing; nor does none.
        for headers in [
            &[(USER, "kim@example.com"), ("authorization", "Bearer pm-nobodys")][..],
            &[(USER, "kim@example.com"), (USER, "root@example.com")],
            &[(USER, "")],
            &[],
        ] {
            assert_eq!(ask(&house, headers).await.status, 401, "{headers:?}");
        }
    }
}

#[test]
fn what_nobody_could_be_believed_by_is_told() {
    let folder = folder(
        "server: { trusted_proxies: [office] }\nidentity:\n  proxy: { user: \"no header\" }\n  certificate: { user: uri }\n  introspection:\n    \
         - { url: \"http://login.example/introspect\", client_id: c, client_secret: s3cr3t, cache: 2h }\n",
    );
    let checked = std::process::Command::new(env!("CARGO_BIN_EXE_pointsman"))
        .arg("check")
        .arg(folder.path().join("pointsman.yaml"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&[checked.stdout, checked.stderr].concat()).into_owned();
    assert!(!checked.status.success(), "{said}");
    for part in [
        "server.trusted_proxies[0]",
        "identity.proxy",
        "identity.certificate",
        "identity.introspection[0].url",
        "identity.introspection[0].cache",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(!said.contains("s3cr3t"), "{said}");
}
