//! Services that take only what their published interfaces describe.

use super::*;
use crate::credential::sigv4::{AccessKeys, Scope};
use crate::credential::tests::idp::{Answer, Call, Idp};
use crate::credential::tests::nothing;

fn config(json: Value) -> SecretsConfig {
    serde_json::from_value(json).unwrap()
}

/// A master key, and another one.
fn key(byte: u8) -> SecretString {
    STANDARD.encode([byte; KEY]).into()
}

/// The body that was sent, which may have these fields and no others.
fn body(call: &Call, fields: &[&str]) -> Value {
    let body = call.json();
    let mut names: Vec<_> = body.as_object().unwrap().keys().map(String::as_str).collect();
    let mut fields = fields.to_vec();
    names.sort_unstable();
    fields.sort_unstable();
    assert_eq!(names, fields, "{}", call.path);
    body
}

/// What these services do for the sake of a test: each byte is another one.
fn turned(text: &str) -> Vec<u8> {
    let bytes = STANDARD
        .decode(text)
        .or_else(|_| URL_SAFE_NO_PAD.decode(text))
        .unwrap();
    bytes.iter().map(|byte| byte ^ 0x5a).collect()
}

fn problem(status: u16, code: &str, message: &str) -> Answer {
    Answer::text(status, json!({ "__type": code, "message": message }).to_string())
}

/// AWS KMS with the key `alias/pointsman`.
fn aws(call: &Call) -> Answer {
    let keys = AccessKeys {
        id: "AKID".to_owned(),
        secret: "secret".into(),
        session_token: None,
    };
    let scope = Scope {
        region: "eu-west-1",
        service: "kms",
    };
    if !call.is_signed(&keys, scope) {
        return problem(400, "InvalidSignatureException", "no");
    }
    assert_eq!(call.header("content-type"), "application/x-amz-json-1.1");
    assert_eq!((call.method.as_str(), call.path.as_str()), ("POST", "/"));
    let is_wrapping = match call.header("x-amz-target") {
        "TrentService.Encrypt" => true,
        "TrentService.Decrypt" => false,
        target => panic!("{target}"),
    };
    let given = if is_wrapping {
        "Plaintext"
    } else {
        "CiphertextBlob"
    };
    let body = body(call, &["KeyId", given, "EncryptionContext"]);
    assert_eq!(
        body["EncryptionContext"],
        json!({ "purpose": "pointsman master key" })
    );
    let id = "arn:aws:kms:eu-west-1:111:key/1";
    if body["KeyId"] != "alias/pointsman" && body["KeyId"] != id {
        let said = format!("Alias is not found; you sent {}", body[given]);
        return problem(400, "NotFoundException", &said);
    }
    let turned = STANDARD.encode(turned(body[given].as_str().unwrap()));
    let answer = if is_wrapping {
        "CiphertextBlob"
    } else {
        "Plaintext"
    };
    Answer::json(&json!({ answer: turned, "KeyId": id, "EncryptionAlgorithm": "SYMMETRIC_DEFAULT" }))
}

/// A key is wrapped and had back; what it was is not to be seen in what came of it.
async fn goes_and_comes_back(by: &str, config: &SecretsConfig) -> String {
    let wrapped = wrap(by, &key(7), config, &nothing()).await.unwrap();
    assert!(
        wrapped.starts_with(&format!("{by}:")) && is_wrapped_key(&wrapped),
        "{wrapped}"
    );
    assert!(!wrapped.contains(key(7).expose_secret()), "{wrapped}");
    let again = unwrap(&wrapped, config, &nothing()).await.unwrap();
    assert_eq!(again.expose_secret(), key(7).expose_secret());
    wrapped
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn aws_kms_wraps_a_master_key() {
    let idp = Idp::start(aws).await;
    let auth = json!({ "access_key_id": "AKID", "secret_access_key": "secret" });
    let own =
        |region: &str| config(json!({ "aws": { "region": region, "kms_endpoint": idp.url, "auth": auth } }));
    goes_and_comes_back("aws-kms:alias/pointsman", &own("eu-west-1")).await;
    // A whole name says its region itself.
    goes_and_comes_back("aws-kms:arn:aws:kms:eu-west-1:111:key/1", &own("us-east-1")).await;
    let told = wrap("aws-kms:alias/none", &key(7), &own("eu-west-1"), &nothing())
        .await
        .unwrap_err();
    assert!(
        told.contains("aws-kms:alias/none: AWS KMS refused (400, NotFoundException)"),
        "{told}"
    );
    assert!(!told.contains(key(7).expose_secret()), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn google_cloud_kms_wraps_a_master_key() {
    let idp = Idp::start(|call| {
        if call.path == "/token" {
            return Answer::token("g00gle", 3600);
        }
        assert_eq!(call.header("authorization"), "Bearer g00gle");
        let path = "/v1/projects/p/locations/europe-west4/keyRings/r/cryptoKeys/k";
        let (given, answer) = match call.path.strip_prefix(path) {
            Some(":encrypt") => ("plaintext", "ciphertext"),
            Some(":decrypt") => ("ciphertext", "plaintext"),
            _ => {
                let error = json!({ "code": 404, "status": "NOT_FOUND", "message": "CryptoKey not found" });
                return Answer::text(404, json!({ "error": error }).to_string());
            }
        };
        let body = body(call, &[given, "additionalAuthenticatedData"]);
        assert_eq!(
            body["additionalAuthenticatedData"],
            STANDARD.encode("pointsman master key")
        );
        Answer::json(&json!({ answer: STANDARD.encode(turned(body[given].as_str().unwrap())) }))
    })
    .await;
    let user = json!({
        "type": "authorized_user", "client_id": "c", "client_secret": "cs", "refresh_token": "refresh",
        "token_uri": idp.at("/token"),
    });
    let own =
        config(json!({ "gcp": { "kms_endpoint": idp.url, "auth": { "credentials": user.to_string() } } }));
    let ring = "gcp-kms:projects/p/locations/europe-west4/keyRings/r/cryptoKeys";
    goes_and_comes_back(&format!("{ring}/k"), &own).await;
    let told = wrap(&format!("{ring}/none"), &key(7), &own, &nothing())
        .await
        .unwrap_err();
    assert!(
        told.contains("Google Cloud KMS refused (404, NOT_FOUND): CryptoKey not found"),
        "{told}"
    );
    let told = wrap("gcp-kms:k", &key(7), &own, &nothing()).await.unwrap_err();
    assert!(told.contains("write it like gcp-kms:projects/P"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn azure_key_vault_wraps_a_master_key() {
    let idp = Idp::start(|call| {
        if call.path == "/t-1/oauth2/v2.0/token" {
            assert_eq!(call.form("scope"), "https://vault.azure.net/.default");
            return Answer::token("4zure", 3600);
        }
        assert_eq!(call.header("authorization"), "Bearer 4zure");
        assert_eq!(call.parameter("api-version"), "7.4");
        if !matches!(
            call.path.as_str(),
            "/keys/master/7/wrapkey" | "/keys/master/7/unwrapkey"
        ) {
            let error = json!({ "code": "KeyNotFound", "message": "no such key" });
            return Answer::text(404, json!({ "error": error }).to_string());
        }
        let body = body(call, &["alg", "value"]);
        assert_eq!(body["alg"], "RSA-OAEP-256");
        let value = body["value"].as_str().unwrap();
        assert!(!value.contains(['+', '/', '=']), "{value}");
        let value = URL_SAFE_NO_PAD.encode(turned(value));
        Answer::json(&json!({ "kid": "https://x.vault.azure.net/keys/master/7", "value": value }))
    })
    .await;
    let entra = json!({ "tenant": "t-1", "client": "c", "secret": "s", "authority": idp.url });
    let own = config(json!({ "azure": { "vault": idp.url, "auth": entra } }));
    goes_and_comes_back("azure-kms:master/7", &own).await;
    let told = wrap("azure-kms:other/7", &key(7), &own, &nothing())
        .await
        .unwrap_err();
    assert!(told.contains("KeyNotFound"), "{told}");
    let told = wrap("azure-kms:master", &key(7), &own, &nothing())
        .await
        .unwrap_err();
    assert!(told.contains("write it like azure-kms:NAME/VERSION"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vaults_transit_engine_wraps_a_master_key() {
    let idp = Idp::start(|call| {
        assert_eq!(call.header("x-vault-request"), "true");
        if call.header("x-vault-token") != "s.root" {
            return Answer::text(403, json!({ "errors": ["permission denied"] }).to_string());
        }
        match (call.method.as_str(), call.path.as_str()) {
            ("GET", "/v1/auth/token/lookup-self") => Answer::json(&json!({ "data": { "renewable": false } })),
            ("POST", "/v1/team/transit/encrypt/pointsman") => {
                let text = STANDARD.encode(turned(body(call, &["plaintext"])["plaintext"].as_str().unwrap()));
                Answer::json(
                    &json!({ "data": { "ciphertext": format!("vault:v1:{text}"), "key_version": 1 } }),
                )
            }
            ("POST", "/v1/team/transit/decrypt/pointsman") => {
                let body = body(call, &["ciphertext"]);
                let text = body["ciphertext"]
                    .as_str()
                    .unwrap()
                    .strip_prefix("vault:v1:")
                    .unwrap();
                Answer::json(&json!({ "data": { "plaintext": STANDARD.encode(turned(text)) } }))
            }
            _ => Answer::text(404, json!({ "errors": ["no handler for route"] }).to_string()),
        }
    })
    .await;
    let own = |token: &str| config(json!({ "vault": { "address": idp.url, "auth": { "token": token } } }));
    let wrapped = goes_and_comes_back("vault-transit:team/transit/pointsman", &own("s.root")).await;
    assert!(wrapped.contains(":vault:v1:"), "{wrapped}");
    let told = unwrap(&wrapped, &own("s.wrong"), &nothing()).await.unwrap_err();
    assert!(told.contains("Vault refused (403): permission denied"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_service_says_is_told_without_the_key() {
    let wrong = Idp::start(|call| {
        let body = call.json();
        match call.header("x-amz-target") {
            "TrentService.Encrypt" => Answer::json(&json!({ "CiphertextBlob": body["Plaintext"] })),
            _ => Answer::json(&json!({ "Plaintext": STANDARD.encode([9; 16]) })),
        }
    })
    .await;
    let auth = json!({ "access_key_id": "AKID", "secret_access_key": "secret" });
    let at = |url: &str| config(json!({ "aws": { "region": "r", "kms_endpoint": url, "auth": auth } }));
    let told = wrap("aws-kms:k", &key(7), &at(&wrong.url), &nothing())
        .await
        .unwrap_err();
    assert!(told.contains("no master key: it has not 32 bytes"), "{told}");
    // Nobody is there.
    let told = unwrap("aws-kms:k:AAAA", &at("http://127.0.0.1:1"), &nothing())
        .await
        .unwrap_err();
    assert!(told.contains("aws-kms:k: AWS KMS could not be asked"), "{told}");
    let told = unwrap("aws-kms:k:AAAA", &config(json!({})), &nothing())
        .await
        .unwrap_err();
    assert!(told.contains("AWS_REGION"), "{told}");
    for odd in [
        "aws-kms:k",
        "aws-kms:",
        "aws-kms::AAAA",
        "aws-kms:k:",
        "vault-transit:transit/k",
        "vault-transit:k:v",
    ] {
        let told = unwrap(odd, &at(&wrong.url), &nothing()).await.unwrap_err();
        assert!(
            told.contains("a wrapped key is") || told.contains("write it like"),
            "{odd}: {told}"
        );
    }
    assert!(!is_wrapped_key(key(7).expose_secret()) && !is_wrapped_key("kms:k:AAAA"));
}

#[test]
fn a_service_is_asked_once_in_the_life_of_a_process() {
    let told = waited(async { Err::<(), _>("no".to_owned()) });
    assert_eq!(told, Err("no".to_owned()));
    let text = "aws-kms:known:AAAA";
    KNOWN.lock().insert(text.to_owned(), key(3));
    let known = unwrap_key(text, &SecretsConfig::default()).unwrap();
    assert_eq!(known.expose_secret(), key(3).expose_secret());
}
