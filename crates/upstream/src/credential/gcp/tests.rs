//! Google's files, federation and metadata server, against servers that check.

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;
use serde_json::Value;
use tempfile::TempDir;

use super::*;
use crate::config::AuthConfig;
use crate::credential::sigv4::{AccessKeys, Payload, Scope};
use crate::credential::tests::authorized;
use crate::credential::tests::idp::{
    Answer, Expected, Idp, RSA_1, bearer, date_ahead, in_secs, now_secs, verified,
};
use crate::credential::{AuthStyle, Credential, sigv4};

fn credential(gcp: Value, variables: &[(&str, &str)]) -> Credential {
    let auth: AuthConfig = serde_json::from_value(json!({ "gcp": gcp })).unwrap();
    let variables: BTreeMap<String, String> = variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    Credential::compile_with(&auth, &AuthStyle::Bearer, &Environment::of(variables)).unwrap()
}

fn write(folder: &TempDir, name: &str, text: &str) -> String {
    let path = folder.path().join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

fn service_account(token_uri: &str) -> Value {
    json!({
        "type": "service_account", "project_id": "p", "private_key_id": "kid-1", "private_key": RSA_1,
        "client_email": "sa@p.iam.gserviceaccount.com", "client_id": "1", "token_uri": token_uri,
        "quota_project_id": "charged",
    })
}

/// Google's token endpoint: takes assertions and refresh tokens.
async fn google(ahead: i64) -> Idp {
    Idp::start(move |call| {
        let audience = format!("http://{}{}", call.header("host"), call.path);
        let answer = match call.form("grant_type").as_str() {
            "refresh_token"
                if call.form("refresh_token") == "refresh" && call.form("client_secret") == "cs" =>
            {
                Answer::token("user", 3599)
            }
            "urn:ietf:params:oauth:grant-type:jwt-bearer" => {
                let expected = Expected {
                    key: RSA_1,
                    algorithm: "RS256",
                    issuer: "sa@p.iam.gserviceaccount.com",
                    audience: &audience,
                    now: now_secs() + ahead,
                };
                match verified(&call.form("assertion"), &expected) {
                    Ok((header, claims)) => {
                        assert_eq!(header["kid"], "kid-1");
                        assert_eq!(claims["scope"], "https://www.googleapis.com/auth/cloud-platform");
                        Answer::token("account", 3599)
                    }
                    Err(problem) => Answer::error(400, "invalid_grant", &problem),
                }
            }
            _ => Answer::error(400, "invalid_grant", "Bad Request"),
        };
        if ahead == 0 {
            answer
        } else {
            answer.with("date", &date_ahead(ahead))
        }
    })
    .await
}

#[tokio::test]
async fn a_service_account_signs_for_its_token() {
    for ahead in [0, 5_000, -5_000] {
        let idp = google(ahead).await;
        let file = service_account(&idp.at("/token")).to_string();
        let credential = credential(json!({ "credentials": file }), &[]);
        let (request, _) = authorized(&credential).await.unwrap();
        assert_eq!(request.headers()["authorization"], "Bearer account");
        assert_eq!(request.headers()["x-goog-user-project"], "charged");
        assert_eq!(idp.count(), if ahead == 0 { 1 } else { 2 });
    }
}

#[tokio::test]
async fn default_credentials_are_looked_for_in_googles_order() {
    let idp = google(0).await;
    let folder = TempDir::new().unwrap();
    let named = write(
        &folder,
        "named.json",
        &service_account(&idp.at("/token")).to_string(),
    );
    let user = json!({
        "type": "authorized_user", "client_id": "c", "client_secret": "cs", "refresh_token": "refresh",
        "token_uri": idp.at("/token"),
    });
    let home = folder.path().display().to_string();
    write(
        &folder,
        ".config/gcloud/application_default_credentials.json",
        &user.to_string(),
    );
    let metadata = Idp::start(|call| {
        assert_eq!(call.header("metadata-flavor"), "Google");
        assert_eq!(
            call.path,
            "/computeMetadata/v1/instance/service-accounts/default/token"
        );
        assert_eq!(
            call.parameter("scopes"),
            "https://www.googleapis.com/auth/cloud-platform"
        );
        Answer::token("machine", 3599).with("metadata-flavor", "Google")
    })
    .await;
    let host = metadata.url.strip_prefix("http://").unwrap();
    let nowhere = folder.path().join("nowhere").display().to_string();
    for (variables, expected) in [
        (
            vec![
                ("GOOGLE_APPLICATION_CREDENTIALS", named.as_str()),
                ("HOME", home.as_str()),
            ],
            "Bearer account",
        ),
        (
            vec![("HOME", home.as_str()), ("GCE_METADATA_HOST", host)],
            "Bearer user",
        ),
        (
            vec![
                ("HOME", home.as_str()),
                ("CLOUDSDK_CONFIG", nowhere.as_str()),
                ("GCE_METADATA_HOST", host),
            ],
            "Bearer machine",
        ),
    ] {
        assert_eq!(
            bearer(&credential(json!({}), &variables)).await.unwrap(),
            expected
        );
    }
}

#[tokio::test]
async fn default_credentials_that_are_not_there_are_told() {
    let missing = [("GOOGLE_APPLICATION_CREDENTIALS", "/does/not/exist")];
    let error = bearer(&credential(json!({}), &missing)).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the credentials file of Google Cloud could not be read"
    );
    let nobody = [("GCE_METADATA_HOST", "127.0.0.1:1")];
    let error = bearer(&credential(json!({}), &nobody)).await.unwrap_err();
    assert!(
        error.to_string().starts_with("no Google Cloud credentials: "),
        "{error}"
    );
}

#[tokio::test]
async fn somebody_else_under_the_metadata_servers_name_is_not_believed() {
    let other = Idp::numbering(3600).await;
    let host = other.url.strip_prefix("http://").unwrap();
    let error = bearer(&credential(json!({}), &[("GCE_METADATA_HOST", host)]))
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "what answers as the metadata server of Google Cloud is none"
    );
}

/// The exchange, and acting as a service account with its token.
async fn exchange(subject: impl Fn(&str) -> bool + Send + Sync + 'static) -> Idp {
    Idp::start(move |call| match call.path.as_str() {
        "/sts" if subject(&call.form("subject_token")) && call.form("audience") == "//iam/pool" => {
            assert_eq!(
                call.form("grant_type"),
                "urn:ietf:params:oauth:grant-type:token-exchange"
            );
            Answer::token("federated", 3600)
        }
        "/sa:generateAccessToken" if call.header("authorization") == "Bearer federated" => {
            let asked = call.json();
            assert_eq!(asked["lifetime"], "1200s");
            assert_eq!(
                asked["scope"][0],
                "https://www.googleapis.com/auth/cloud-platform"
            );
            Answer::json(&json!({ "accessToken": "impersonated", "expireTime": in_secs(1200) }))
        }
        "/subject" if call.header("x-my") == "header" => Answer::json(&json!({ "deep": "from-url" })),
        _ => Answer::error(400, "invalid_grant", "no"),
    })
    .await
}

fn external(idp: &Idp, source: &Value) -> Value {
    json!({
        "type": "external_account", "audience": "//iam/pool", "token_url": idp.at("/sts"),
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt", "credential_source": source,
    })
}

#[tokio::test]
async fn federated_tokens_come_from_files_and_urls() {
    let idp = exchange(|token| ["plain", "from-file", "from-url"].contains(&token)).await;
    let folder = TempDir::new().unwrap();
    let plain = write(&folder, "plain", "plain\n");
    let nested = write(&folder, "nested.json", r#"{"id": "from-file"}"#);
    let format = |name: &str| json!({ "type": "json", "subject_token_field_name": name });
    for source in [
        json!({ "file": plain }),
        json!({ "file": nested, "format": format("id") }),
        json!({ "url": idp.at("/subject"), "headers": { "x-my": "header" }, "format": format("deep") }),
    ] {
        let file = external(&idp, &source).to_string();
        let credential = credential(json!({ "credentials": file }), &[]);
        assert_eq!(bearer(&credential).await.unwrap(), "Bearer federated", "{source}");
    }
    let workload = json!({ "workload_identity": {
        "audience": "//iam/pool", "token_file": plain, "token_url": idp.at("/sts"),
    } });
    assert_eq!(
        bearer(&credential(workload, &[])).await.unwrap(),
        "Bearer federated"
    );
    let wrong = external(&idp, &json!({ "file": nested, "format": format("gone") })).to_string();
    let error = bearer(&credential(json!({ "credentials": wrong }), &[]))
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "the federated token of Google Cloud has no field \"gone\""
    );
    let executable = external(&idp, &json!({ "executable": { "command": "x" } })).to_string();
    let error = bearer(&credential(json!({ "credentials": executable }), &[]))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("executables are not run"), "{error}");
}

#[tokio::test]
async fn a_service_account_is_impersonated_with_the_federated_token() {
    let idp = exchange(|token| token == "plain").await;
    let folder = TempDir::new().unwrap();
    let mut file = external(&idp, &json!({ "file": write(&folder, "plain", "plain") }));
    file["service_account_impersonation_url"] = json!(idp.at("/sa:generateAccessToken"));
    file["service_account_impersonation"] = json!({ "token_lifetime_seconds": 1200 });
    let path = write(&folder, "external.json", &file.to_string());
    let credential = credential(json!({ "credentials_file": path }), &[]);
    assert_eq!(bearer(&credential).await.unwrap(), "Bearer impersonated");
}

/// Whether the serialized request is one that AWS would take as signed by these keys.
fn is_aws_proof(token: &str, keys: &AccessKeys) -> bool {
    let json = percent_decode_str(token).decode_utf8().unwrap();
    let proof: Value = serde_json::from_str(&json).unwrap();
    let header = |name: &str| {
        let all = proof["headers"].as_array().unwrap();
        let found = all
            .iter()
            .find(|header| header["key"].as_str().unwrap().eq_ignore_ascii_case(name));
        found.map(|header| header["value"].as_str().unwrap().to_owned())
    };
    assert_eq!(
        header("x-goog-cloud-target-resource").as_deref(),
        Some("//iam/pool")
    );
    assert_eq!(proof["method"], "POST");
    let url = url::Url::parse(proof["url"].as_str().unwrap()).unwrap();
    let mut again = http::Request::post(&url[url::Position::BeforePath..])
        .header("x-goog-cloud-target-resource", "//iam/pool")
        .body(bytes::Bytes::new())
        .unwrap();
    let date = header("x-amz-date").unwrap();
    let now = (-5..5).map(|off| now_secs() + off).find(|now| {
        let time = jiff::Timestamp::from_second(*now).unwrap();
        time.strftime("%Y%m%dT%H%M%SZ").to_string() == date
    });
    let scope = Scope {
        region: "eu-west-1",
        service: "sts",
    };
    let host = url.host_str().unwrap();
    sigv4::sign(&mut again, host, (keys, scope), Payload::Signed, now.unwrap()).unwrap();
    header("host").as_deref() == Some(host)
        && header("authorization").as_deref() == again.headers()["authorization"].to_str().ok()
}

#[tokio::test]
async fn an_aws_identity_is_proven_by_a_signed_request() {
    let keys = |id: &str| AccessKeys {
        id: id.to_owned(),
        secret: "s".into(),
        session_token: Some("t".into()),
    };
    let idp = exchange(move |token| ["ENV", "EC2"].iter().any(|id| is_aws_proof(token, &keys(id)))).await;
    let aws = Idp::start(|call| match (call.method.as_str(), call.path.as_str()) {
        ("PUT", "/latest/api/token") => Answer::text(200, "session"),
        (_, _) if call.header("x-aws-ec2-metadata-token") != "session" => Answer::text(401, ""),
        (_, "/latest/meta-data/iam/security-credentials/") => Answer::text(200, "role"),
        (_, "/zone") => Answer::text(200, "eu-west-1c"),
        _ => Answer::json(&json!({
            "Code": "Success", "AccessKeyId": "EC2", "SecretAccessKey": "s", "Token": "t", "Expiration": in_secs(3600),
        })),
    })
    .await;
    let mut file = external(
        &idp,
        &json!({
            "environment_id": "aws1", "region_url": aws.at("/zone"),
            "regional_cred_verification_url":
                "https://sts.{region}.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15",
        }),
    );
    file["subject_token_type"] = json!("urn:ietf:params:aws:token-type:aws4_request");
    let gcp = json!({ "credentials": file.to_string() });
    let environment = [
        ("AWS_REGION", "eu-west-1"),
        ("AWS_ACCESS_KEY_ID", "ENV"),
        ("AWS_SECRET_ACCESS_KEY", "s"),
        ("AWS_SESSION_TOKEN", "t"),
    ];
    assert_eq!(
        bearer(&credential(gcp.clone(), &environment)).await.unwrap(),
        "Bearer federated"
    );
    let instance = [("AWS_EC2_METADATA_SERVICE_ENDPOINT", aws.url.as_str())];
    assert_eq!(
        bearer(&credential(gcp, &instance)).await.unwrap(),
        "Bearer federated"
    );
}

#[test]
fn files_that_cannot_be_used_say_why() {
    for (text, problem) in [
        ("nonsense", "is not valid JSON"),
        ("{}", "has no `type`"),
        (
            r#"{"type": "gdch_service_account"}"#,
            "is of a type that is not one of",
        ),
        (r#"{"type": "service_account"}"#, "lacks a field of its type"),
    ] {
        let error = Credentials::parse(text).err().unwrap().to_string();
        assert!(error.contains(problem), "{error}");
    }
}
