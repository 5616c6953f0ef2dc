//! Managers that answer only what is asked as they want it asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::*;
use crate::credential::tests::idp::{Answer, Call, Idp};
use crate::credential::tests::nothing;

fn config(json: Value) -> SecretsConfig {
    serde_json::from_value(json).unwrap()
}

/// What a configuration with these references would have; all of it is in force then.
async fn all(
    secrets: &Arc<Secrets>,
    config: &SecretsConfig,
    references: &[&str],
) -> Vec<Result<String, String>> {
    let (secrets, config) = (Arc::clone(secrets), config.clone());
    let references: Vec<String> = references.iter().map(|&text| text.to_owned()).collect();
    let read = tokio::task::spawn_blocking(move || {
        let mut session = secrets.begin(&config);
        let mut get = |text: &String| {
            let value = session.get(&Reference::parse(text)?)?;
            Ok(value.expose_secret().to_owned())
        };
        let found = references.iter().map(&mut get).collect();
        session.keep();
        found
    });
    read.await.unwrap()
}

/// One reference, with nothing known before.
async fn one(config: Value, reference: &str) -> Result<String, String> {
    let secrets = Arc::new(Secrets::new(nothing()));
    all(&secrets, &self::config(config), &[reference]).await.remove(0)
}

fn refused(status: u16, why: &str) -> Answer {
    Answer::text(status, json!({ "errors": [why] }).to_string())
}

/// A Vault with an engine of version 2 at `secret` and one of version 1 at `old/kv`, which lets in whoever has `tokens`.
fn vault(call: &Call, tokens: &[&str]) -> Answer {
    assert_eq!(call.header("x-vault-request"), "true");
    if call.header("x-vault-namespace") != "team" {
        return refused(404, "no handler for route");
    }
    if !tokens.contains(&call.header("x-vault-token")) {
        return refused(403, "permission denied");
    }
    match (call.method.as_str(), call.path.as_str()) {
        ("GET", path) if path.starts_with("/v1/sys/internal/ui/mounts/secret/") => Answer::json(
            &json!({ "data": { "path": "secret/", "type": "kv", "options": { "version": "2" } } }),
        ),
        ("GET", "/v1/sys/internal/ui/mounts/old/kv/openai") => {
            Answer::json(&json!({ "data": { "path": "old/kv/", "type": "kv", "options": null } }))
        }
        ("GET", "/v1/secret/data/llm/openai") => {
            let key = match call.parameter("version").as_str() {
                "" => "sk-newest",
                "1" => "sk-first",
                _ => return refused(404, ""),
            };
            Answer::json(
                &json!({ "data": { "data": { "api_key": key, "port": 1 }, "metadata": { "version": 2 } } }),
            )
        }
        ("GET", "/v1/secret/data/llm/gone") => {
            let data =
                json!({ "data": { "data": null, "metadata": { "deletion_time": "2026-01-01T00:00:00Z" } } });
            Answer::text(404, data.to_string())
        }
        ("GET", "/v1/old/kv/openai") => Answer::json(&json!({ "data": { "api_key": "sk-old" } })),
        ("GET", "/v1/auth/token/lookup-self") => {
            Answer::json(&json!({ "data": { "ttl": 0, "renewable": false } }))
        }
        _ => refused(403, "permission denied"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vault_keeps_values_in_both_versions_of_its_engine() {
    let idp = Idp::start(|call| vault(call, &["s.root"])).await;
    let block = |token: &str| json!({ "vault": { "address": idp.url, "namespace": "team", "auth": { "token": token } } });
    for (reference, expected) in [
        ("vault:secret/llm/openai#api_key", "sk-newest"),
        ("vault:secret/data/llm/openai#api_key", "sk-newest"),
        ("vault:secret/llm/openai?version=1#api_key", "sk-first"),
        ("vault:secret/llm/openai#port", "1"),
        ("vault:old/kv/openai#api_key", "sk-old"),
        ("vault:old/kv/openai", "sk-old"),
    ] {
        let found = one(block("s.root"), reference).await;
        assert_eq!(found.as_deref(), Ok(expected), "{reference}");
    }
    for (token, reference, part) in [
        (
            "s.root",
            "vault:secret/llm/openai#nothing",
            "it has api_key, port",
        ),
        ("s.root", "vault:secret/llm/openai", "several fields"),
        ("s.root", "vault:secret/llm/gone#api_key", "keeps nothing"),
        (
            "s.root",
            "vault:secret/llm/openai?version=x#api_key",
            "?version=NUMBER",
        ),
        ("s.wrong", "vault:secret/llm/openai#api_key", "Vault refused (403"),
    ] {
        let told = one(block(token), reference).await.unwrap_err();
        assert!(told.contains(part), "{told}");
        assert!(!told.contains("sk-") && !told.contains(token), "{told}");
    }
    let version = json!({ "vault": {
        "address": idp.url, "namespace": "team", "auth": { "token": "s.root" }, "kv_version": 2
    } });
    let found = one(version, "vault:secret/llm/openai#api_key").await;
    assert_eq!(found.as_deref(), Ok("sk-newest"));
    let none = json!({ "vault": { "address": idp.url } });
    let told = one(none, "vault:secret/llm/openai#api_key").await.unwrap_err();
    assert!(told.contains("VAULT_TOKEN"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vault_is_entered_by_roles_and_again_when_a_token_has_ended() {
    let (logins, ended) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let (counted, is_ended) = (Arc::clone(&logins), Arc::clone(&ended));
    let idp = Idp::start(move |call| {
        let body = || call.json();
        let is_let_in = match call.path.as_str() {
            "/v1/auth/approle/login" => body() == json!({ "role_id": "r-1", "secret_id": "s3cr3t-id" }),
            "/v1/auth/eks/login" => body() == json!({ "role": "gateway", "jwt": "pod-jwt" }),
            _ if is_ended.load(Ordering::SeqCst) => return vault(call, &["hvs.2"]),
            _ => return vault(call, &["hvs.1"]),
        };
        assert_eq!((call.method.as_str(), call.header("x-vault-token")), ("POST", ""));
        if !is_let_in {
            return refused(400, "invalid role or secret ID");
        }
        let number = counted.fetch_add(1, Ordering::SeqCst) + 1;
        Answer::json(&json!({ "auth": { "client_token": format!("hvs.{number}"), "lease_duration": 3600 } }))
    })
    .await;
    let token = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(token.path(), "pod-jwt\n").unwrap();
    let block =
        |auth: Value| config(json!({ "vault": { "address": idp.url, "namespace": "team", "auth": auth } }));
    let roles = [
        json!({ "app_role": { "role_id": "r-1", "secret_id": "s3cr3t-id" } }),
        json!({ "kubernetes": { "role": "gateway", "mount": "eks", "token_file": token.path() } }),
    ];
    for auth in roles {
        logins.store(0, Ordering::SeqCst);
        ended.store(false, Ordering::SeqCst);
        let secrets = Arc::new(Secrets::new(nothing()));
        let references = ["vault:secret/llm/openai#api_key", "vault:old/kv/openai#api_key"];
        let found = all(&secrets, &block(auth.clone()), &references).await;
        assert_eq!(found, [Ok("sk-newest".to_owned()), Ok("sk-old".to_owned())]);
        assert_eq!(logins.load(Ordering::SeqCst), 1, "one login for all");
        // The token has ended before its time: the next is asked for, once.
        ended.store(true, Ordering::SeqCst);
        all(&secrets, &block(auth.clone()), &[]).await;
        let found = all(&secrets, &block(auth), &references).await;
        assert_eq!(found, [Ok("sk-newest".to_owned()), Ok("sk-old".to_owned())]);
        assert_eq!(logins.load(Ordering::SeqCst), 2);
    }
    let wrong = block(json!({ "app_role": { "role_id": "r-1", "secret_id": "wr0ng-id" } }));
    let secrets = Arc::new(Secrets::new(nothing()));
    let told = all(&secrets, &wrong, &["vault:old/kv/openai#api_key"])
        .await
        .remove(0);
    let told = told.unwrap_err();
    assert!(told.contains("400") && !told.contains("wr0ng-id"), "{told}");
    let both = block(json!({ "token": "a", "token_file": "/nowhere" }));
    let told = all(&secrets, &both, &["vault:old/kv/openai#api_key"])
        .await
        .remove(0);
    assert!(told.unwrap_err().contains("takes one of"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn aws_secrets_are_asked_for_with_a_signature() {
    let idp = Idp::start(|call| {
        let keys = crate::credential::sigv4::AccessKeys {
            id: "AKIA".to_owned(),
            secret: "aws-s3cr3t".into(),
            session_token: None,
        };
        let scope = crate::credential::sigv4::Scope {
            region: "eu-west-1",
            service: "secretsmanager",
        };
        if !call.is_signed(&keys, scope) {
            return Answer::text(
                400,
                json!({ "__type": "InvalidSignatureException", "Message": "no" }).to_string(),
            );
        }
        assert_eq!((call.method.as_str(), call.path.as_str()), ("POST", "/"));
        assert_eq!(call.header("x-amz-target"), "secretsmanager.GetSecretValue");
        assert_eq!(call.header("content-type"), "application/x-amz-json-1.1");
        let value = match call.json()["SecretId"].as_str().unwrap() {
            "llm/openai" | "arn:aws:secretsmanager:eu-west-1:111:secret:openai-AbCdEf" => {
                json!({ "SecretString": json!({ "api_key": "sk-aws" }).to_string() })
            }
            "plain" => json!({ "SecretString": "sk-plain" }),
            "binary" => json!({ "SecretBinary": STANDARD.encode("sk-bytes") }),
            _ => {
                let told = json!({ "__type": "ResourceNotFoundException", "Message": "can't find it" });
                return Answer::text(400, told.to_string());
            }
        };
        Answer::json(&value)
    })
    .await;
    let block = |secret: &str| {
        let auth = json!({ "access_key_id": "AKIA", "secret_access_key": secret });
        json!({ "aws": { "region": "eu-west-1", "endpoint": idp.url, "auth": auth } })
    };
    for (reference, expected) in [
        ("aws:llm/openai#api_key", "sk-aws"),
        (
            "aws:arn:aws:secretsmanager:eu-west-1:111:secret:openai-AbCdEf#api_key",
            "sk-aws",
        ),
        ("aws:plain", "sk-plain"),
        ("aws:binary", "sk-bytes"),
    ] {
        let found = one(block("aws-s3cr3t"), reference).await;
        assert_eq!(found.as_deref(), Ok(expected), "{reference}");
    }
    for (secret, reference, part) in [
        ("aws-s3cr3t", "aws:nothing", "ResourceNotFoundException"),
        ("aws-s3cr3t", "aws:plain#field", "is not JSON"),
        (
            "aws-s3cr3t",
            "aws:arn:aws:secretsmanager:us-east-1:111:secret:x",
            "another region",
        ),
        ("wr0ng", "aws:plain", "InvalidSignatureException"),
    ] {
        let told = one(block(secret), reference).await.unwrap_err();
        assert!(told.contains(part), "{told}");
        assert!(!told.contains(secret) && !told.contains("sk-"), "{told}");
    }
    let told = one(json!({}), "aws:plain").await.unwrap_err();
    assert!(told.contains("AWS_REGION"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn google_and_azure_are_asked_with_tokens_of_their_own() {
    let idp = Idp::start(|call| {
        match call.path.as_str() {
            "/token" => {
                assert_eq!(call.form("refresh_token"), "refresh");
                return Answer::token("g00gle", 3600);
            }
            "/t-1/oauth2/v2.0/token" => {
                assert_eq!(call.form("scope"), "https://vault.azure.net/.default");
                return Answer::token("4zure", 3600);
            }
            _ => {}
        }
        let google = |text: &str| {
            assert_eq!(call.header("authorization"), "Bearer g00gle");
            Answer::json(&json!({ "payload": { "data": STANDARD.encode(text) } }))
        };
        let azure = |text: &str| {
            assert_eq!(call.header("authorization"), "Bearer 4zure");
            assert_eq!(call.parameter("api-version"), "7.4");
            Answer::json(&json!({ "value": text, "id": "https://x.vault.azure.net/secrets/openai/1" }))
        };
        match call.path.as_str() {
            "/v1/projects/p/secrets/openai/versions/latest:access" => google("sk-latest"),
            "/v1/projects/p/secrets/openai/versions/3:access" => google("sk-third"),
            "/v1/projects/q/secrets/openai/versions/latest:access" => google("{\"api_key\":\"sk-of-q\"}"),
            "/secrets/openai" => azure("sk-azure"),
            "/secrets/openai/7" => azure("sk-seventh"),
            _ => Answer::text(
                404,
                json!({ "error": { "code": "SecretNotFound", "message": "no" } }).to_string(),
            ),
        }
    })
    .await;
    let user = json!({
        "type": "authorized_user", "client_id": "c", "client_secret": "cs", "refresh_token": "refresh",
        "token_uri": idp.at("/token"),
    });
    let entra = json!({ "tenant": "t-1", "client": "c", "secret": "s", "authority": idp.url });
    let block = config(json!({
        "gcp": { "project": "p", "endpoint": idp.url, "auth": { "credentials": user.to_string() } },
        "azure": { "vault": idp.url, "auth": entra },
    }));
    let secrets = Arc::new(Secrets::new(nothing()));
    let references = [
        "gcp:openai",
        "gcp:openai/3",
        "gcp:projects/q/secrets/openai#api_key",
        "azure:openai",
        "azure:openai/7",
    ];
    let found = all(&secrets, &block, &references).await;
    let expected = ["sk-latest", "sk-third", "sk-of-q", "sk-azure", "sk-seventh"];
    assert_eq!(found, expected.map(|text| Ok(text.to_owned())));
    for reference in ["gcp:nothing", "azure:nothing", "azure:a/b/c", "gcp:a/b/c"] {
        let told = all(&secrets, &block, &[reference]).await.remove(0).unwrap_err();
        assert!(told.starts_with(reference) && !told.contains("sk-"), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kubernetes_is_asked_as_the_service_account() {
    let idp = Idp::start(|call| {
        if call.header("authorization") != "Bearer pod-token" {
            let status = json!({ "kind": "Status", "message": "secrets is forbidden", "reason": "Forbidden", "code": 403 });
            return Answer::text(403, status.to_string());
        }
        let data = match call.path.as_str() {
            "/api/v1/namespaces/llm/secrets/openai" => {
                json!({ "api_key": STANDARD.encode("sk-kube"), "store": STANDARD.encode([0xff, 0xfe]) })
            }
            "/api/v1/namespaces/other/secrets/openai" => json!({ "api_key": STANDARD.encode("sk-other") }),
            _ => return Answer::text(404, json!({ "message": "not found", "code": 404 }).to_string()),
        };
        Answer::json(&json!({ "kind": "Secret", "data": data }))
    })
    .await;
    let token = tempfile::NamedTempFile::new().unwrap();
    let block =
        || json!({ "kubernetes": { "server": idp.url, "namespace": "llm", "token_file": token.path() } });
    std::fs::write(token.path(), "pod-token\n").unwrap();
    let found = one(block(), "kubernetes:openai#api_key").await;
    assert_eq!(found.as_deref(), Ok("sk-kube"));
    let found = one(block(), "kubernetes:other/openai#api_key").await;
    assert_eq!(found.as_deref(), Ok("sk-other"));
    assert!(one(block(), "kubernetes:nothing#x").await.is_err());
    std::fs::write(token.path(), "ended").unwrap();
    let told = one(block(), "kubernetes:openai#api_key").await.unwrap_err();
    assert!(told.contains("403") && !told.contains("ended"), "{told}");
}

/// Waits until it holds.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(10);
    while !holds() {
        assert!(Instant::now() < end, "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_good_value_is_kept_while_a_manager_fails_and_a_new_one_is_told() {
    let (version, is_down) = (Arc::new(AtomicU64::new(1)), Arc::new(AtomicBool::new(false)));
    let (current, down) = (Arc::clone(&version), Arc::clone(&is_down));
    let idp = Idp::start(move |call| {
        if down.load(Ordering::SeqCst) {
            return Answer::text(403, "{}");
        }
        let data = match call.path.as_str() {
            "/v1/kv/openai" => json!({ "api_key": format!("sk-{}", current.load(Ordering::SeqCst)) }),
            "/v1/kv/other" => json!({ "api_key": "sk-other" }),
            _ => return refused(404, ""),
        };
        Answer::json(&json!({ "data": data }))
    })
    .await;
    let block = config(json!({ "refresh": "300ms", "vault": {
        "address": idp.url, "kv_version": 1, "auth": { "token": "t" }
    } }));
    let secrets = Arc::new(Secrets::new(nothing()));
    let reference = "vault:kv/openai#api_key";
    let both = [reference, "vault:kv/other#api_key"];
    assert_eq!(
        all(&secrets, &block, &both).await,
        [Ok("sk-1".to_owned()), Ok("sk-other".to_owned())]
    );
    let standing = |secrets: &Secrets| secrets.standing().remove(0);
    until("it is read again", || standing(&secrets).reads >= 6).await;
    assert!(!secrets.changed(), "nothing has");
    // What is loaded again is at hand, and what it does not name any more is forgotten.
    is_down.store(true, Ordering::SeqCst);
    let failures = standing(&secrets).failures;
    until("it fails", || standing(&secrets).failures > failures).await;
    assert_eq!(all(&secrets, &block, &[reference]).await, [Ok("sk-1".to_owned())]);
    assert!(!secrets.changed());
    assert_eq!(standing(&secrets).kept, 1);
    is_down.store(false, Ordering::SeqCst);
    version.store(2, Ordering::SeqCst);
    until("it has changed", || secrets.changed()).await;
    assert!(!secrets.changed(), "it is told once");
    // Whoever cannot wait says so.
    let patient = config(json!({ "refresh": "1h", "vault": {
        "address": idp.url, "kv_version": 1, "auth": { "token": "t" }
    } }));
    assert_eq!(
        all(&secrets, &patient, &[reference]).await,
        [Ok("sk-2".to_owned())]
    );
    // What was due by the other configuration is done.
    tokio::time::sleep(Duration::from_millis(700)).await;
    version.store(3, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(!secrets.changed(), "it is not time yet");
    secrets.hurry();
    until("it has changed, too", || secrets.changed()).await;
    version.store(2, Ordering::SeqCst);
    secrets.hurry();
    until("it has changed back", || secrets.changed()).await;
    assert_eq!(all(&secrets, &block, &[reference]).await, [Ok("sk-2".to_owned())]);
    assert!(!format!("{secrets:?}{:?}", secrets.standing()).contains("sk-"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_waits_twice_for_a_manager_that_is_not_there() {
    let gone = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let block = config(json!({ "vault": {
        "address": format!("http://{gone}"), "kv_version": 1, "auth": { "token": "t" }
    } }));
    let secrets = Arc::new(Secrets::new(nothing()));
    let references = ["vault:kv/a#x", "vault:kv/b#x", "vault:kv/c#x"];
    let found = all(&secrets, &block, &references).await;
    assert!(
        found[0].as_ref().unwrap_err().contains("could not be asked"),
        "{found:?}"
    );
    for other in &found[1..] {
        assert!(
            other.as_ref().unwrap_err().contains("did not answer before"),
            "{found:?}"
        );
    }
    assert_eq!(secrets.standing().remove(0).failures, 1);
}
