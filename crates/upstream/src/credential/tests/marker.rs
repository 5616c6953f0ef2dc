//! Secrets appear nowhere: not in what is printed of any type, not in errors, not in logs; also when the other side
//! sends back what it was sent.

use std::io::{self, Write};

use parking_lot::Mutex;
use serde_json::{Value, json};
use tracing_subscriber::fmt::MakeWriter;

use super::idp::{Answer, Idp, RSA_1};
use super::*;

/// Part of every secret below.
const MARKER: &str = "mArKeR-7f3a";

/// Everything that is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// A block of every kind, each secret field with the marker in it, all asking `idp`.
fn blocks(idp: &str, folder: &std::path::Path) -> Vec<Value> {
    let secret = |name: &str| format!("{MARKER}-{name}");
    let token = folder.join("token");
    std::fs::write(&token, secret("file")).unwrap();
    let oauth2 = json!({ "token_url": idp, "client_id": "c", "client_secret": secret("client") });
    let user = json!({
        "type": "authorized_user", "client_id": "c", "client_secret": secret("user"),
        "refresh_token": secret("refresh"), "token_uri": idp,
    });
    let account = json!({
        "type": "service_account", "client_email": "a@b", "private_key": RSA_1, "token_uri": idp,
    });
    let external = json!({
        "type": "external_account", "audience": "a", "subject_token_type": "t", "token_url": idp,
        "client_id": "c", "client_secret": secret("external"),
        "credential_source": { "url": format!("{idp}?subject"), "headers": { "x-secret": secret("header") } },
    });
    vec![
        json!({ "api_key": secret("key") }),
        json!({ "api_key": [secret("one"), { "key": secret("two"), "requests_per_minute": 1 }] }),
        json!({ "api_key": secret("query"), "query": "key" }),
        json!({ "aws": {
            "access_key_id": "AKID", "secret_access_key": secret("aws"), "session_token": secret("session"),
        } }),
        json!({ "aws": {
            "access_key_id": "AKID", "secret_access_key": secret("aws"), "session_token": secret("session"),
            "sts_endpoint": idp, "assume_role": { "role_arn": "arn:aws:iam::1:role/r" },
        } }),
        json!({ "aws": { "bearer_token": secret("bedrock") } }),
        json!({ "aws": { "sts_endpoint": idp, "web_identity": {
            "role_arn": "arn:aws:iam::1:role/r", "token_file": token,
        } } }),
        json!({ "aws": { "sts_endpoint": idp, "web_identity": {
            "role_arn": "arn:aws:iam::1:role/r", "oidc": oauth2,
        } } }),
        json!({ "entra": { "tenant": "t", "client": "c", "secret": secret("entra"), "authority": idp } }),
        json!({ "entra": { "tenant": "t", "client": "c", "federated_token_file": token, "authority": idp } }),
        json!({ "gcp": { "credentials": user.to_string() } }),
        json!({ "gcp": { "credentials": account.to_string() } }),
        json!({ "gcp": { "credentials": external.to_string() } }),
        json!({ "gcp": { "workload_identity": { "audience": "a", "token_file": token, "token_url": idp } } }),
        json!({ "oauth2": oauth2 }),
        json!({ "oauth2": { "token_url": idp, "client_id": "c", "client_auth": "post", "client_secret": secret("p") } }),
        json!({ "oauth2": { "token_url": idp, "client_id": "c", "private_key": { "pem": RSA_1 } } }),
        json!({ "oauth2": { "token_url": idp, "grant": "token_exchange", "subject_token": secret("subject") } }),
        json!({ "oauth2": { "token_url": idp, "grant": "jwt_bearer", "subject_token_file": token } }),
        json!({ "passthrough": { "from": "x-key" } }),
    ]
}

fn assert_clean(text: &str, of: &Value) {
    let key_line = RSA_1.lines().nth(3).unwrap();
    assert!(!text.contains(MARKER), "{text}\nof {of}");
    assert!(!text.contains(key_line), "{text}\nof {of}");
}

/// Everything that can be printed about a credential and what became of it.
async fn shown(block: &Value) -> String {
    let config: AuthConfig = serde_json::from_value(block.clone()).unwrap();
    let mut text = format!("{config:?} {config:#?}");
    match Credential::compile_with(&config, &AuthStyle::Bearer, &nothing()) {
        Ok(credential) => {
            text.push_str(&format!("{credential:?}"));
            match authorized(&credential).await {
                Ok((request, with)) => text.push_str(&format!("{:?} {with:?}", request.headers())),
                Err(error) => text.push_str(&format!("{error} {error:?} {error:#?} {:?}", error.detail())),
            }
        }
        Err(error) => text.push_str(&format!("{error} {error:?}")),
    }
    text
}

#[tokio::test]
async fn no_secret_is_printed_told_or_logged() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(log.clone())
        .with_max_level(tracing::Level::DEBUG);
    let _guard = tracing::subscriber::set_default(subscriber.finish());
    let folder = tempfile::tempdir().unwrap();
    // One sends back all it was sent, in every place where errors are looked for.
    let echo = Idp::start(|call| {
        let everything = format!("{call:?} {}", call.header("authorization"));
        if call.method == "GET" {
            return Answer::text(200, format!("{MARKER}-found"));
        }
        let field = [
            "client_secret",
            "assertion",
            "client_assertion",
            "subject_token",
            "WebIdentityToken",
        ]
        .into_iter()
        .map(|name| call.form(name))
        .find(|value| !value.is_empty());
        Answer::error(400, &field.unwrap_or_else(|| everything.clone()), &everything)
    })
    .await;
    let xml = Idp::start(|call| {
        Answer::text(
            403,
            format!("<Error><Code>Denied</Code><Message>{call:?}</Message></Error>"),
        )
    })
    .await;
    let garbage = Idp::start(|call| {
        Answer::text(
            200,
            format!("{{\"access_token\": [\"{MARKER}\"], \"x\": {call:?}"),
        )
    })
    .await;
    let issuing = Idp::start(|_| Answer::token(&format!("{MARKER}-issued"), 3600)).await;
    let mut asked = 0;
    for idp in [
        &echo.url,
        &xml.url,
        &garbage.url,
        &issuing.url,
        "http://127.0.0.1:1",
    ] {
        for block in blocks(idp, folder.path()) {
            assert_clean(&shown(&block).await, &block);
            asked += 1;
        }
    }
    assert_eq!(asked, 100);
    assert!(echo.count() > 10 && xml.count() > 10 && garbage.count() > 10 && issuing.count() > 8);
    let logged = String::from_utf8(log.0.lock().clone()).unwrap();
    assert!(logged.contains("no new credential"), "{logged}");
    assert_clean(&logged, &json!("the log"));
}

#[tokio::test]
async fn secrets_that_cannot_be_used_are_not_quoted() {
    let bad = format!("{MARKER}\u{7f}\n");
    for block in [
        json!({ "api_key": bad }),
        json!({ "api_key": [{ "key": bad }] }),
        json!({ "aws": { "access_key_id": bad, "secret_access_key": bad } }),
        json!({ "aws": { "access_key_id": "a", "secret_access_key": "b", "session_token": bad } }),
        json!({ "aws": { "bearer_token": bad } }),
        json!({ "gcp": { "credentials": bad } }),
        json!({ "gcp": { "credentials": json!({ "type": MARKER }).to_string() } }),
        json!({ "gcp": { "credentials": json!({ "type": "service_account", "private_key": MARKER }).to_string() } }),
        json!({ "oauth2": { "token_url": "http://a", "grant": "jwt_bearer", "private_key": { "pem": bad } } }),
    ] {
        let config: AuthConfig = serde_json::from_value(block.clone()).unwrap();
        let error = Credential::compile_with(&config, &AuthStyle::Bearer, &nothing()).unwrap_err();
        assert_clean(&format!("{error} {error:?}"), &block);
    }
}
