//! Where credentials go, and where they do not.

pub(super) mod idp;
mod keys;
mod marker;
mod passing;

use std::collections::BTreeMap;

use super::*;
use crate::client::ClientOptions;
use crate::config::{
    ApiKeys, AwsConfig, EndpointConfig, EntraConfig, GcpConfig, HealthConfig, Passthrough, Secret,
    UpstreamConfig,
};

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

pub(super) fn nothing() -> Environment {
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

#[test]
fn refuses_what_contradicts_itself_or_cannot_be_sent() {
    let base = AuthConfig::default;
    let aws = |aws: AwsConfig| AuthConfig {
        aws: Some(aws),
        ..base()
    };
    let entra = |entra: EntraConfig| AuthConfig {
        entra: Some(entra),
        ..base()
    };
    let text = |text: &str| Some(text.to_owned());
    for (field, config) in [
        (
            "auth.gcp",
            AuthConfig {
                gcp: Some(GcpConfig::default()),
                ..one()
            },
        ),
        (
            "auth.entra",
            AuthConfig {
                entra: Some(EntraConfig::default()),
                ..aws(AwsConfig::default())
            },
        ),
        (
            "auth.api_key",
            AuthConfig {
                api_key: Some(ApiKeys::Many(vec![])),
                ..base()
            },
        ),
        (
            "auth.header",
            AuthConfig {
                header: text("not a name"),
                ..one()
            },
        ),
        (
            "auth.header",
            AuthConfig {
                header: text("x-a"),
                ..aws(AwsConfig::default())
            },
        ),
        (
            "auth.prefix",
            AuthConfig {
                prefix: text("Key "),
                ..one()
            },
        ),
        (
            "auth.query",
            AuthConfig {
                query: text("key"),
                header: text("x"),
                ..one()
            },
        ),
        (
            "auth.query",
            AuthConfig {
                query: text("key"),
                ..base()
            },
        ),
        (
            "auth.passthrough",
            AuthConfig {
                passthrough: Some(Passthrough::Flag(true)),
                ..one()
            },
        ),
        (
            "auth.aws.secret_access_key",
            aws(AwsConfig {
                access_key_id: Some("a".into()),
                ..AwsConfig::default()
            }),
        ),
        (
            "auth.aws.bearer_token",
            aws(AwsConfig {
                bearer_token: Some("a".into()),
                profile: text("p"),
                ..AwsConfig::default()
            }),
        ),
        (
            "auth.aws.sts_endpoint",
            aws(AwsConfig {
                sts_endpoint: text("sts.example.com"),
                ..AwsConfig::default()
            }),
        ),
        (
            "auth.entra.tenant",
            entra(EntraConfig {
                secret: Some("s".into()),
                ..EntraConfig::default()
            }),
        ),
        (
            "auth.entra.secret",
            entra(EntraConfig {
                tenant: text("t"),
                ..EntraConfig::default()
            }),
        ),
        (
            "auth.entra.tenant",
            entra(EntraConfig {
                tenant: text("../x"),
                client: text("c"),
                secret: Some("s".into()),
                ..EntraConfig::default()
            }),
        ),
        (
            "auth.gcp.credentials",
            AuthConfig {
                gcp: Some(GcpConfig {
                    credentials: Some("{}".into()),
                    ..GcpConfig::default()
                }),
                ..base()
            },
        ),
        (
            "auth.gcp.impersonate",
            AuthConfig {
                gcp: Some(GcpConfig {
                    impersonate: text("a/b@c"),
                    ..GcpConfig::default()
                }),
                ..base()
            },
        ),
    ] {
        let error = Credential::compile_with(&config, &AuthStyle::Bearer, &nothing()).unwrap_err();
        assert_eq!(error.field, field, "{error}");
    }
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
