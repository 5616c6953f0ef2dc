//! Every grant and every way of authentication, against a server that checks.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};

use http::{HeaderMap, StatusCode};
use parking_lot::Mutex;
use tempfile::NamedTempFile;

use super::*;
use crate::config::{AuthConfig, PrivateKeyConfig};
use crate::credential::cache::Patience;
use crate::credential::tests::idp::{
    Answer, Expected, Idp, RSA_1, RSA_1_PKCS1, RSA_2, bearer, date_ahead, now_secs, verified,
};
use crate::credential::tests::{authorized, compiled, nothing};
use crate::credential::{AuthStyle, Credential};

fn config(idp: &Idp) -> OAuth2Config {
    serde_json::from_value(json!({ "token_url": idp.at("/token"), "client_id": "client&1" })).unwrap()
}

fn auth(oauth2: OAuth2Config) -> AuthConfig {
    AuthConfig {
        oauth2: Some(oauth2),
        ..AuthConfig::default()
    }
}

fn file(text: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

#[tokio::test]
async fn client_credentials_by_basic_and_post() {
    let idp = Idp::numbering(3600).await;
    let basic = OAuth2Config {
        client_secret: Some("se cret%".into()),
        scopes: vec!["a".to_owned(), "b".to_owned()],
        audience: Some("api".to_owned()),
        parameters: BTreeMap::from([("resource".to_owned(), "r".to_owned())]),
        ..config(&idp)
    };
    let credential = compiled(&auth(basic.clone()));
    assert_eq!(bearer(&credential).await.unwrap(), "Bearer token-1");
    assert_eq!(bearer(&credential).await.unwrap(), "Bearer token-1");
    let post = OAuth2Config {
        client_auth: Some(ClientAuth::Post),
        ..basic
    };
    assert_eq!(bearer(&compiled(&auth(post))).await.unwrap(), "Bearer token-2");
    let calls = idp.calls();
    assert_eq!(calls.len(), 2);
    assert_eq!(
        calls[0].basic(),
        "client%261:se+cret%25",
        "encoded before it is joined"
    );
    assert_eq!(calls[0].form("client_id"), "");
    assert_eq!(calls[1].form("client_id"), "client&1");
    assert_eq!(calls[1].form("client_secret"), "se cret%");
    for call in &calls {
        assert_eq!(call.form("grant_type"), "client_credentials");
        assert_eq!(call.form("scope"), "a b");
        assert_eq!(call.form("audience"), "api");
        assert_eq!(call.form("resource"), "r");
    }
}

#[tokio::test]
async fn a_token_goes_into_the_configured_header() {
    let idp = Idp::numbering(3600).await;
    let config = AuthConfig {
        header: Some("x-token".to_owned()),
        ..auth(OAuth2Config {
            client_secret: Some("s".into()),
            ..config(&idp)
        })
    };
    let style = AuthStyle::Header("x-api-key".parse().unwrap());
    let credential = Credential::compile_with(&config, &style, &nothing()).unwrap();
    let (request, _) = authorized(&credential).await.unwrap();
    assert_eq!(request.headers()["x-token"], "token-1");
    assert!(request.headers()["x-token"].is_sensitive());
}

#[tokio::test]
async fn private_key_jwt_is_signed_by_every_kind_of_key() {
    let ec = rcgen::KeyPair::generate().unwrap().serialize_pem();
    for (pem, algorithm, checked_with) in [
        (RSA_1, "RS256", RSA_1),
        (RSA_1, "PS256", RSA_1),
        (RSA_1_PKCS1, "RS256", RSA_1),
        (ec.as_str(), "ES256", ec.as_str()),
    ] {
        let (key, name) = (checked_with.to_owned(), algorithm.to_owned());
        let ids = Mutex::new(Vec::new());
        let idp = Idp::start(move |call| {
            let audience = format!("http://{}/token", call.header("host"));
            let expected = Expected {
                key: &key,
                algorithm: &name,
                issuer: "client&1",
                audience: &audience,
                now: now_secs(),
            };
            match verified(&call.form("client_assertion"), &expected) {
                Ok((header, claims)) => {
                    assert_eq!(
                        (header["kid"].as_str(), claims["sub"].as_str()),
                        (Some("k1"), Some("client&1"))
                    );
                    ids.lock().push(claims["jti"].clone());
                    Answer::token("good", 3600)
                }
                Err(problem) => Answer::error(401, "invalid_client", &problem),
            }
        })
        .await;
        let config = OAuth2Config {
            private_key: Some(PrivateKeyConfig {
                pem: Some(pem.into()),
                algorithm: Some(algorithm.to_owned()),
                key_id: Some("k1".to_owned()),
                ..PrivateKeyConfig::default()
            }),
            ..config(&idp)
        };
        let credential = compiled(&auth(config));
        assert_eq!(bearer(&credential).await.unwrap(), "Bearer good", "{algorithm}");
        assert_eq!(idp.calls()[0].form("client_assertion_type"), CLIENT_ASSERTION);
    }
}

#[tokio::test]
async fn a_rotated_key_file_is_read_anew() {
    let current = Arc::new(Mutex::new(RSA_1));
    let known = Arc::clone(&current);
    let idp = Idp::start(move |call| {
        let audience = format!("http://{}/token", call.header("host"));
        let expected = Expected {
            key: *known.lock(),
            algorithm: "RS256",
            issuer: "client&1",
            audience: &audience,
            now: now_secs(),
        };
        match verified(&call.form("client_assertion"), &expected) {
            Ok(_) => Answer::token("good", 3600),
            Err(problem) => Answer::error(401, "invalid_client", &problem),
        }
    })
    .await;
    let key = file(RSA_1);
    let oauth2 = OAuth2Config {
        private_key: Some(PrivateKeyConfig {
            file: Some(key.path().to_owned()),
            ..PrivateKeyConfig::default()
        }),
        ..config(&idp)
    };
    let server = OAuth2::compile(&oauth2, "auth.oauth2").unwrap();
    let client = crate::credential::tests::client();
    assert!(server.ask(&client).await.is_ok());
    *current.lock() = RSA_2;
    let error = server.ask(&client).await.err().unwrap();
    assert_eq!(
        error.to_string(),
        "the token endpoint of 127.0.0.1 refused (401, invalid_client)"
    );
    std::fs::write(key.path(), RSA_2).unwrap();
    assert!(server.ask(&client).await.is_ok());
}

#[tokio::test]
async fn tokens_are_exchanged_and_their_file_is_read_anew() {
    let idp = Idp::numbering(3600).await;
    let subject = file("subject-1\n");
    let oauth2 = OAuth2Config {
        grant: Grant::TokenExchange,
        subject_token_file: Some(subject.path().to_owned()),
        ..config(&idp)
    };
    let server = OAuth2::compile(&oauth2, "auth.oauth2").unwrap();
    let client = crate::credential::tests::client();
    server.ask(&client).await.unwrap();
    std::fs::write(subject.path(), "subject-2").unwrap();
    server.ask(&client).await.unwrap();
    let calls = idp.calls();
    assert_eq!(calls[0].form("grant_type"), TOKEN_EXCHANGE);
    assert_eq!(calls[0].form("subject_token"), "subject-1");
    assert_eq!(calls[0].form("subject_token_type"), JWT_TYPE);
    assert_eq!(calls[1].form("subject_token"), "subject-2");
    std::fs::write(subject.path(), "\n").unwrap();
    let error = server.ask(&client).await.err().unwrap();
    assert_eq!(
        error.to_string(),
        "the file of the federated token holds no token"
    );
}

#[tokio::test]
async fn jwt_bearer_says_what_is_configured() {
    let idp = Idp::start(|call| {
        let expected = Expected {
            key: RSA_1,
            algorithm: "RS256",
            issuer: "me",
            audience: "them",
            now: now_secs(),
        };
        let (_, claims) = verified(&call.form("assertion"), &expected).unwrap();
        assert_eq!(
            (claims["sub"].as_str(), claims["role"].as_str()),
            (Some("somebody"), Some("reader"))
        );
        assert_eq!(call.form("grant_type"), JWT_BEARER);
        Answer::json(&json!({ "id_token": "the-id", "access_token": "the-access", "expires_in": "600" }))
    })
    .await;
    let mut oauth2: OAuth2Config = serde_json::from_value(json!({
        "token_url": idp.at("/token"),
        "grant": "jwt_bearer",
        "assertion": {
            "issuer": "me", "subject": "somebody", "audience": "them", "lifetime": "10m", "claims": { "role": "reader" }
        },
        "private_key": { "pem": RSA_1 },
    }))
    .unwrap();
    assert_eq!(
        bearer(&compiled(&auth(oauth2.clone()))).await.unwrap(),
        "Bearer the-access"
    );
    oauth2.issued = IssuedToken::IdToken;
    assert_eq!(bearer(&compiled(&auth(oauth2))).await.unwrap(), "Bearer the-id");
}

#[tokio::test]
async fn a_clock_that_is_off_is_corrected_by_the_servers() {
    let ahead = Arc::new(AtomicI64::new(7_200));
    let theirs = Arc::clone(&ahead);
    let idp = Idp::start(move |call| {
        let ahead = theirs.load(Ordering::SeqCst);
        let audience = format!("http://{}/token", call.header("host"));
        let expected = Expected {
            key: RSA_1,
            algorithm: "RS256",
            issuer: "client&1",
            audience: &audience,
            now: now_secs() + ahead,
        };
        match verified(&call.form("client_assertion"), &expected) {
            Ok(_) => Answer::token("good", 3600),
            Err(problem) => Answer::error(400, "invalid_client", &problem),
        }
        .with("date", &date_ahead(ahead))
    })
    .await;
    let oauth2 = OAuth2Config {
        private_key: Some(PrivateKeyConfig {
            pem: Some(RSA_1.into()),
            ..PrivateKeyConfig::default()
        }),
        ..config(&idp)
    };
    let server = OAuth2::compile(&oauth2, "auth.oauth2").unwrap();
    let client = crate::credential::tests::client();
    assert!(server.ask(&client).await.is_ok());
    assert_eq!(idp.count(), 2);
    assert!(server.ask(&client).await.is_ok());
    assert_eq!(idp.count(), 3, "the difference is remembered");
    ahead.store(-7_200, Ordering::SeqCst);
    assert!(server.ask(&client).await.is_ok());
}

#[tokio::test]
async fn a_server_that_stumbles_is_asked_again() {
    let tries = AtomicU32::new(0);
    let idp = Idp::start(move |_| match tries.fetch_add(1, Ordering::SeqCst) {
        0 => Answer::text(503, "busy"),
        1 => Answer::text(429, ""),
        _ => Answer::token("good", 3600),
    })
    .await;
    let oauth2 = OAuth2Config {
        client_secret: Some("s".into()),
        ..config(&idp)
    };
    assert_eq!(bearer(&compiled(&auth(oauth2))).await.unwrap(), "Bearer good");
    assert_eq!(idp.count(), 3);
}

/// Managed tokens that were cached for ever, and refused after an hour, are a complaint about other gateways.
#[tokio::test]
async fn a_token_that_the_provider_refuses_is_fetched_anew() {
    let idp = Idp::numbering(3600).await;
    let oauth2 = OAuth2Config {
        client_secret: Some("s".into()),
        ..config(&idp)
    };
    let patience = Patience {
        min_age: Duration::ZERO,
        ..Patience::default()
    };
    let credential =
        Credential::compile_patiently(&auth(oauth2), &AuthStyle::Bearer, &nothing(), patience).unwrap();
    let (_, with) = authorized(&credential).await.unwrap();
    assert!(!credential.answered(with, StatusCode::FORBIDDEN, &HeaderMap::new()));
    assert!(
        credential.is_renewable() && credential.answered(with, StatusCode::UNAUTHORIZED, &HeaderMap::new())
    );
    assert_eq!(bearer(&credential).await.unwrap(), "Bearer token-2");
    assert!(credential.answered(with, StatusCode::UNAUTHORIZED, &HeaderMap::new()));
    assert_eq!(
        bearer(&credential).await.unwrap(),
        "Bearer token-2",
        "a late refusal drops nothing"
    );
}

#[tokio::test]
async fn answers_that_make_no_sense_are_told_apart() {
    for (answer, expected) in [
        (
            "{}",
            "the token endpoint of 127.0.0.1 answered without `access_token`",
        ),
        (
            "<html>",
            "the answer of the token endpoint of 127.0.0.1 makes no sense",
        ),
    ] {
        let idp = Idp::start(move |_| Answer::text(200, answer)).await;
        let oauth2 = OAuth2Config {
            client_secret: Some("s".into()),
            ..config(&idp)
        };
        assert_eq!(
            bearer(&compiled(&auth(oauth2))).await.unwrap_err().to_string(),
            expected
        );
    }
}

#[test]
fn what_is_missing_is_named() {
    let base = json!({ "token_url": "https://a/t", "client_id": "c" });
    for (change, field) in [
        (json!({}), "client_secret"),
        (json!({ "token_url": "a" }), "token_url"),
        (json!({ "client_auth": "post" }), "client_secret"),
        (
            json!({ "client_auth": "private_key_jwt", "client_secret": "s" }),
            "private_key",
        ),
        (json!({ "client_id": null, "client_secret": "s" }), "client_id"),
        (json!({ "grant": "token_exchange" }), "subject_token_file"),
        (json!({ "grant": "jwt_bearer" }), "private_key"),
        (json!({ "private_key": {} }), "private_key"),
        (json!({ "private_key": { "pem": "x" } }), "private_key.pem"),
        (
            json!({ "private_key": { "pem": RSA_1, "algorithm": "HS256" } }),
            "private_key.algorithm",
        ),
        (
            json!({ "private_key": { "pem": RSA_1, "algorithm": "ES256" } }),
            "private_key.pem",
        ),
    ] {
        let mut config = base.clone();
        for (name, value) in change.as_object().unwrap() {
            config[name] = value.clone();
        }
        let oauth2: OAuth2Config = serde_json::from_value(config).unwrap();
        let error = OAuth2::compile(&oauth2, "auth.oauth2").err().unwrap();
        assert_eq!(error.field, format!("auth.oauth2.{field}"), "{error}");
    }
}
