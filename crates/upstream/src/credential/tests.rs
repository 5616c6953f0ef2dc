//! Where credentials go, and where they do not.

pub(crate) mod idp;
mod keys;
mod marker;
mod passing;

use std::collections::BTreeMap;

use serde_json::json;

use super::*;
use crate::client::ClientOptions;
use crate::config::{ApiKeys, AwsConfig, EndpointConfig, HealthConfig, Passthrough, Secret, UpstreamConfig};

pub(super) const KEY: &str = "sk-very-secret";

pub(super) fn one() -> AuthConfig {
    AuthConfig {
        api_key: Some(ApiKeys::One(KEY.into())),
        ..AuthConfig::default()
    }
}

/// A client that looks at no environment.
pub(super) fn client() -> Client {
    Client::new(ClientOptions::compile_with(&UpstreamConfig::default(), |_| None).unwrap())
}

pub(super) fn endpoint(url: &str) -> Arc<Endpoint> {
    Endpoint::new(&EndpointConfig::new(url), &HealthConfig::default()).unwrap()
}

pub(super) fn request() -> Request<Bytes> {
    Request::post("/v1/chat?x=1")
        .header("content-type", "application/json")
        .body(Bytes::from_static(b"{}"))
        .unwrap()
}

pub(crate) fn nothing() -> Environment {
    Environment::of(BTreeMap::<String, String>::new())
}

pub(super) fn compiled(config: &AuthConfig) -> Credential {
    Credential::compile_with(config, &AuthStyle::Bearer, &nothing()).unwrap()
}

/// A request with the credential on it.
pub(super) async fn authorized(
    credential: &Credential,
) -> Result<(Request<Bytes>, Authorized), CredentialError> {
    let mut request = request();
    let endpoint = endpoint("https://bedrock-runtime.eu-west-1.amazonaws.com");
    let with = credential
        .authorize(&client(), &endpoint, &mut request, 0)
        .await?;
    Ok((request, with))
}

async fn applied(config: &AuthConfig, style: &AuthStyle) -> HeaderMap {
    let credential = Credential::compile_with(config, style, &nothing()).unwrap();
    let mut headers = authorized(&credential).await.unwrap().0.headers().clone();
    headers.remove("content-type");
    headers
}

#[tokio::test]
async fn goes_where_the_format_or_the_configuration_says() {
    let style = AuthStyle::Header(HeaderName::from_static("x-api-key"));
    assert_eq!(
        applied(&one(), &AuthStyle::Bearer).await["authorization"],
        "Bearer sk-very-secret"
    );
    assert_eq!(applied(&one(), &style).await["x-api-key"], KEY);
    let custom = AuthConfig {
        header: Some("X-Token".to_owned()),
        prefix: Some("Key ".to_owned()),
        ..one()
    };
    let headers = applied(&custom, &style).await;
    assert_eq!(headers["x-token"], "Key sk-very-secret");
    assert!(headers["x-token"].is_sensitive());
    assert_eq!(headers.len(), 1);
    assert!(applied(&AuthConfig::default(), &style).await.is_empty());
}

#[tokio::test]
async fn a_query_parameter_replaces_what_is_there_under_its_name() {
    let config = AuthConfig {
        query: Some("key".to_owned()),
        api_key: Some(ApiKeys::One("a b&c".into())),
        ..AuthConfig::default()
    };
    let credential = compiled(&config);
    let mut request = request();
    *request.uri_mut() = "/v1/chat?key=callers&alt=sse".parse().unwrap();
    let endpoint = endpoint("http://a");
    for _ in 0..2 {
        credential
            .authorize(&client(), &endpoint, &mut request, 0)
            .await
            .unwrap();
        assert_eq!(request.uri(), "/v1/chat?alt=sse&key=a%20b%26c");
    }
    assert!(!request.headers().contains_key("authorization"));
}

#[tokio::test]
async fn replaces_what_the_client_sent() {
    let mut request = request();
    request
        .headers_mut()
        .append("authorization", "Bearer pm-one".parse().unwrap());
    request
        .headers_mut()
        .append("authorization", "Bearer pm-two".parse().unwrap());
    let credential = compiled(&one());
    credential
        .authorize(&client(), &endpoint("http://a"), &mut request, 0)
        .await
        .unwrap();
    assert_eq!(request.headers().get_all("authorization").iter().count(), 1);
}

#[tokio::test]
async fn aws_keys_of_the_configuration_sign_without_asking_anybody() {
    let config = AuthConfig {
        aws: Some(AwsConfig {
            access_key_id: Some("AKID".into()),
            secret_access_key: Some(KEY.into()),
            session_token: Some("session".into()),
            ..AwsConfig::default()
        }),
        ..AuthConfig::default()
    };
    let credential = compiled(&config);
    let (request, with) = authorized(&credential).await.unwrap();
    let headers = request.headers();
    let value = headers["authorization"].to_str().unwrap();
    assert!(value.starts_with("AWS4-HMAC-SHA256 Credential=AKID/"), "{value}");
    assert!(
        value.contains("/eu-west-1/bedrock/aws4_request, "),
        "the region is in the host: {value}"
    );
    assert_eq!(headers["x-amz-security-token"], "session");
    // Keys that stand in the configuration are all there is: refused, they are not looked for elsewhere.
    let mut answer = HeaderMap::new();
    answer.insert("x-amzn-errortype", "UnrecognizedClientException".parse().unwrap());
    assert!(!credential.answered(with, StatusCode::FORBIDDEN, &answer));
    assert!(authorized(&credential).await.is_ok());
}

#[tokio::test]
async fn a_clock_that_is_off_is_corrected_by_the_answer_to_a_refused_signature() {
    let config = AuthConfig {
        aws: Some(AwsConfig {
            access_key_id: Some("AKID".into()),
            secret_access_key: Some(KEY.into()),
            ..AwsConfig::default()
        }),
        ..AuthConfig::default()
    };
    let credential = compiled(&config);
    let (_, with) = authorized(&credential).await.unwrap();
    let mut answer = HeaderMap::new();
    answer.insert(
        "x-amzn-errortype",
        "InvalidSignatureException:http://x".parse().unwrap(),
    );
    answer.insert("date", "Sat, 02 Jan 2100 03:04:05 GMT".parse().unwrap());
    assert!(credential.answered(with, StatusCode::FORBIDDEN, &answer));
    let (request, with) = authorized(&credential).await.unwrap();
    assert!(
        request.headers()["x-amz-date"]
            .to_str()
            .unwrap()
            .starts_with("21000102T0304")
    );
    assert!(
        !credential.answered(with, StatusCode::FORBIDDEN, &answer),
        "once is enough"
    );
    answer.insert("x-amzn-errortype", "AccessDeniedException".parse().unwrap());
    assert!(!credential.answered(with, StatusCode::FORBIDDEN, &answer));
}

#[tokio::test]
async fn a_bedrock_key_is_sent_and_nothing_is_signed() {
    let given = AuthConfig {
        aws: Some(AwsConfig {
            bearer_token: Some("bedrock-key".into()),
            ..AwsConfig::default()
        }),
        ..AuthConfig::default()
    };
    let found = AuthConfig {
        aws: Some(AwsConfig::default()),
        ..AuthConfig::default()
    };
    let environment = Environment::of([
        ("AWS_BEARER_TOKEN_BEDROCK", "bedrock-key"),
        ("AWS_ACCESS_KEY_ID", "AKID"),
        ("AWS_SECRET_ACCESS_KEY", KEY),
    ]);
    for config in [given, found.clone()] {
        let credential = Credential::compile_with(&config, &AuthStyle::Bearer, &environment).unwrap();
        let (request, _) = authorized(&credential).await.unwrap();
        assert_eq!(request.headers()["authorization"], "Bearer bedrock-key");
        assert!(!request.headers().contains_key("x-amz-date"));
    }
    let mut other = found;
    other.aws.as_mut().unwrap().service = Some("sagemaker".to_owned());
    let credential = Credential::compile_with(&other, &AuthStyle::Bearer, &environment).unwrap();
    let (request, _) = authorized(&credential).await.unwrap();
    assert!(
        request.headers()["authorization"]
            .to_str()
            .unwrap()
            .contains("/sagemaker/")
    );
}

fn assert_refused(cases: Vec<(&str, serde_json::Value)>) {
    for (field, block) in cases {
        let config: AuthConfig = serde_json::from_value(block).unwrap();
        let error = Credential::compile_with(&config, &AuthStyle::Bearer, &nothing()).unwrap_err();
        assert_eq!(error.field, format!("auth.{field}"), "{error}");
    }
}

#[test]
fn refuses_what_contradicts_itself_or_cannot_be_sent() {
    assert_refused(vec![
        ("gcp", json!({ "api_key": "k", "gcp": {} })),
        ("entra", json!({ "aws": {}, "entra": {} })),
        ("passthrough", json!({ "api_key": "k", "passthrough": true })),
        ("api_key", json!({ "api_key": [] })),
        ("header", json!({ "api_key": "k", "header": "not a name" })),
        ("header", json!({ "aws": {}, "header": "x-a" })),
        ("prefix", json!({ "api_key": "k", "prefix": "Key " })),
        ("query", json!({ "api_key": "k", "query": "key", "header": "x" })),
        ("query", json!({ "query": "key" })),
        ("passthrough.from", json!({ "passthrough": { "from": "a b" } })),
    ]);
}

#[test]
fn refuses_clouds_that_lack_something_or_have_too_much() {
    assert_refused(vec![
        (
            "aws.secret_access_key",
            json!({ "aws": { "access_key_id": "a" } }),
        ),
        (
            "aws.access_key_id",
            json!({ "aws": { "secret_access_key": "a" } }),
        ),
        (
            "aws.bearer_token",
            json!({ "aws": { "bearer_token": "a", "profile": "p" } }),
        ),
        (
            "aws.sts_endpoint",
            json!({ "aws": { "sts_endpoint": "sts.example.com" } }),
        ),
        (
            "aws.assume_role[1].role_arn",
            json!({ "aws": { "assume_role": [
            { "role_arn": "arn:aws:iam::1:role/r" }, { "role_arn": "r" },
        ] } }),
        ),
        (
            "aws.web_identity",
            json!({ "aws": { "web_identity": { "role_arn": "r" } } }),
        ),
        ("entra.tenant", json!({ "entra": { "secret": "s" } })),
        ("entra.secret", json!({ "entra": { "tenant": "t" } })),
        (
            "entra.tenant",
            json!({ "entra": { "tenant": "../x", "client": "c", "secret": "s" } }),
        ),
        (
            "entra",
            json!({ "entra": { "tenant": "t", "client": "c", "secret": "s", "certificate": "f" } }),
        ),
        (
            "entra.certificate_key",
            json!({ "entra": { "certificate_key": "f" } }),
        ),
        (
            "entra.managed_identity",
            json!({ "entra": { "managed_identity": { "client_id": "a", "object_id": "b" } } }),
        ),
        (
            "entra.managed_identity",
            json!({ "entra": { "managed_identity": true, "secret": "s" } }),
        ),
        (
            "gcp",
            json!({ "gcp": { "credentials": "{}", "credentials_file": "f" } }),
        ),
        ("gcp.credentials", json!({ "gcp": { "credentials": "{}" } })),
        ("gcp.impersonate", json!({ "gcp": { "impersonate": "a/b@c" } })),
        (
            "gcp.workload_identity",
            json!({ "gcp": { "workload_identity": { "audience": "a" } } }),
        ),
        (
            "client_certificate.cert",
            json!({ "client_certificate": { "cert": "/none", "key": "/none" } }),
        ),
    ]);
}

#[test]
fn a_credential_outlives_a_configuration_that_does_not_change_it() {
    let registry = CredentialRegistry::default();
    let get =
        |name: &str, config: &AuthConfig| registry.credential(name, config, &AuthStyle::Bearer).unwrap();
    let first = get("a", &one());
    assert!(Arc::ptr_eq(&first, &get("a", &one())));
    assert!(!Arc::ptr_eq(&first, &get("b", &one())));
    let other = AuthConfig {
        api_key: Some(ApiKeys::One(Secret::from("another"))),
        ..AuthConfig::default()
    };
    assert!(!Arc::ptr_eq(&first, &get("a", &other)));
}
