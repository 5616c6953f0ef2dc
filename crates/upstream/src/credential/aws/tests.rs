//! Every place where AWS credentials are found, against services that check signatures.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use http::HeaderMap;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::config::AuthConfig;
use crate::credential::tests::idp::{Answer, Call, Idp, in_secs, now_secs};
use crate::credential::tests::{authorized, client, endpoint};
use crate::credential::{AuthStyle, Credential, CredentialErrorKind};

/// The user's folder, with shared files and whatever else is put there, and the environment.
struct Machine {
    home: TempDir,
    variables: BTreeMap<String, String>,
}

impl Machine {
    fn new() -> Self {
        let home = TempDir::new().unwrap();
        let shown = home.path().display().to_string();
        let variables = [
            ("HOME", shown.as_str()),
            ("AWS_EC2_METADATA_DISABLED", "true"),
            ("AWS_REGION", "eu-west-1"),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Self {
            home,
            variables: variables.into(),
        }
    }

    fn set(mut self, name: &str, value: impl Into<String>) -> Self {
        self.variables.insert(name.to_owned(), value.into());
        self
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.home.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    fn credential(&self, aws: Value) -> Credential {
        let auth: AuthConfig = serde_json::from_value(json!({ "aws": aws })).unwrap();
        let environment = Environment::of(self.variables.clone());
        Credential::compile_with(&auth, &AuthStyle::Bearer, &environment).unwrap()
    }

    /// The access key id that a request is signed with.
    async fn signer(&self, aws: Value) -> Result<String, CredentialError> {
        signer(&self.credential(aws)).await
    }
}

async fn signer(credential: &Credential) -> Result<String, CredentialError> {
    let (request, _) = authorized(credential).await?;
    let value = request.headers()["authorization"].to_str().unwrap();
    let id = value
        .split_once("Credential=")
        .unwrap()
        .1
        .split('/')
        .next()
        .unwrap();
    let token = request
        .headers()
        .get("x-amz-security-token")
        .map(|value| value.to_str().unwrap());
    Ok(match token {
        Some(token) => format!("{id} {token}"),
        None => id.to_owned(),
    })
}

fn keys_of(id: &str) -> AccessKeys {
    AccessKeys {
        id: id.to_owned(),
        secret: format!("secret-of-{id}").into(),
        session_token: Some(format!("session&of-{id}").into()),
    }
}

/// Gives `role-1` to whoever signs with `BASE`, and `role-2` to whoever signs with `role-1`.
async fn sts() -> Idp {
    let number = std::sync::atomic::AtomicU32::new(0);
    Idp::start(move |call| {
        let scope = Scope {
            region: "eu-west-1",
            service: "sts",
        };
        let base = AccessKeys {
            id: "BASE".to_owned(),
            secret: "base-secret".into(),
            session_token: None,
        };
        match call.form("Action").as_str() {
            "AssumeRole" => {
                let signed = [&base, &keys_of("role-1")]
                    .iter()
                    .any(|keys| call.is_signed(keys, scope));
                if !signed {
                    let error =
                        "<ErrorResponse><Error><Code>SignatureDoesNotMatch</Code></Error></ErrorResponse>";
                    return Answer::text(403, error);
                }
                let next = number.fetch_add(1, std::sync::atomic::Ordering::SeqCst) + 1;
                Answer::role("AssumeRole", &format!("role-{next}"), 3600)
            }
            "AssumeRoleWithWebIdentity" if call.form("WebIdentityToken") == "a.web.token" => {
                assert_eq!(call.header("authorization"), "", "nothing is signed");
                Answer::role("AssumeRoleWithWebIdentity", "web", 3600)
            }
            _ => Answer::text(400, "<Error><Code>InvalidIdentityToken</Code></Error>"),
        }
    })
    .await
}

const ROLE: &str = "arn:aws:iam::1:role/r";
const BASE: &str = "[base]\naws_access_key_id = BASE\naws_secret_access_key = base-secret\n";

#[tokio::test]
async fn keys_of_the_environment_come_first() {
    let machine = Machine::new()
        .set("AWS_ACCESS_KEY_ID", "ENV")
        .set("AWS_SECRET_ACCESS_KEY", "s")
        .set("AWS_SESSION_TOKEN", "t")
        .set("AWS_PROFILE", "base");
    machine.write(".aws/credentials", BASE);
    assert_eq!(machine.signer(json!({})).await.unwrap(), "ENV t");
    // A profile that the configuration names goes before what lies about in the environment.
    assert_eq!(
        machine.signer(json!({ "profile": "base" })).await.unwrap(),
        "BASE"
    );
}

#[tokio::test]
async fn profiles_are_found_where_the_tools_look() {
    let machine = Machine::new();
    machine.write(
        ".aws/credentials",
        "[default]\naws_access_key_id = DEFAULT\naws_secret_access_key = s\n",
    );
    assert_eq!(machine.signer(json!({})).await.unwrap(), "DEFAULT");
    let elsewhere = machine.write("elsewhere", BASE).display().to_string();
    let machine = machine
        .set("AWS_SHARED_CREDENTIALS_FILE", elsewhere)
        .set("AWS_PROFILE", "base");
    assert_eq!(machine.signer(json!({})).await.unwrap(), "BASE");
    let error = machine.signer(json!({ "profile": "nobody" })).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the AWS profile \"nobody\" is not there, or holds no credentials"
    );
}

#[tokio::test]
async fn the_region_is_found_in_the_profile_when_nothing_else_names_one() {
    let mut machine = Machine::new();
    machine.variables.remove("AWS_REGION");
    machine.write(".aws/config", "[default]\nregion = ap-south-1\n");
    machine.write(
        ".aws/credentials",
        "[default]\naws_access_key_id = D\naws_secret_access_key = s\n",
    );
    let credential = machine.credential(json!({}));
    let mut request = crate::credential::tests::request();
    let server = endpoint("https://bedrock.example.com");
    credential
        .authorize(&client(), &server, &mut request, 0)
        .await
        .unwrap();
    assert!(
        request.headers()["authorization"]
            .to_str()
            .unwrap()
            .contains("/ap-south-1/bedrock/")
    );
    machine.write(".aws/config", "");
    let error = machine
        .credential(json!({}))
        .authorize(&client(), &server, &mut request, 0)
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "no AWS region is known: set `auth.aws.region`, or AWS_REGION"
    );
}

#[test]
fn regions_are_read_from_host_names() {
    for (host, region) in [
        ("bedrock-runtime.eu-west-1.amazonaws.com", Some("eu-west-1")),
        (
            "bedrock-runtime-fips.us-gov-west-1.amazonaws.com",
            Some("us-gov-west-1"),
        ),
        (
            "vpce-0a-1b.bedrock-runtime.eu-west-1.vpce.amazonaws.com",
            Some("eu-west-1"),
        ),
        ("bedrock-runtime.cn-north-1.amazonaws.com.cn", Some("cn-north-1")),
        ("bedrock-runtime.us-east-2.api.aws", Some("us-east-2")),
        ("sts.amazonaws.com", None),
        ("bedrock.eu-west-1.example.com", None),
    ] {
        assert_eq!(region_of_host(host).as_deref(), region, "{host}");
    }
}

#[tokio::test]
async fn source_profiles_are_followed_role_by_role() {
    let sts = sts().await;
    let machine = Machine::new().set("AWS_ENDPOINT_URL_STS", sts.url.as_str());
    machine.write(".aws/credentials", BASE);
    machine.write(
        ".aws/config",
        &format!(
            "[profile one]\nrole_arn = {ROLE}1\nsource_profile = base\nexternal_id = ext\nduration_seconds = 900\n\
             [profile two]\nrole_arn = {ROLE}2\nsource_profile = one\nrole_session_name = me\n"
        ),
    );
    assert_eq!(
        machine.signer(json!({ "profile": "two" })).await.unwrap(),
        "role-2 session&of-role-2"
    );
    let calls = sts.calls();
    let said: Vec<[String; 4]> = calls
        .iter()
        .map(|call| {
            ["RoleArn", "ExternalId", "DurationSeconds", "RoleSessionName"].map(|name| call.form(name))
        })
        .collect();
    assert_eq!(said[0], [&format!("{ROLE}1"), "ext", "900", "pointsman"]);
    assert_eq!(said[1], [&format!("{ROLE}2"), "", "", "me"]);
}

#[tokio::test]
async fn profiles_in_a_circle_are_an_error_and_ones_own_keys_are_not() {
    let sts = sts().await;
    let machine = Machine::new().set("AWS_ENDPOINT_URL_STS", sts.url.as_str());
    let own = format!(
        "[self]\nrole_arn = {ROLE}\nsource_profile = self\naws_access_key_id = BASE\naws_secret_access_key = base-secret\n\
         [a]\nrole_arn = {ROLE}\nsource_profile = b\n[b]\nrole_arn = {ROLE}\nsource_profile = a\n\
         [c]\nrole_arn = {ROLE}\nsource_profile = gone\n"
    );
    machine.write(".aws/credentials", &own);
    assert_eq!(
        machine.signer(json!({ "profile": "self" })).await.unwrap(),
        "role-1 session&of-role-1"
    );
    let error = machine.signer(json!({ "profile": "a" })).await.unwrap_err();
    assert!(error.to_string().contains("in a circle"), "{error}");
    let error = machine.signer(json!({ "profile": "c" })).await.unwrap_err();
    assert!(
        error.to_string().contains("\"gone\" (a source_profile)"),
        "{error}"
    );
}

#[tokio::test]
async fn configured_roles_are_assumed_one_with_the_other() {
    let sts = sts().await;
    let aws = json!({
        "access_key_id": "BASE", "secret_access_key": "base-secret", "sts_endpoint": sts.url,
        "assume_role": [
            { "role_arn": format!("{ROLE}1"), "external_id": "e", "session_name": "s", "duration": "15m" },
            { "role_arn": format!("{ROLE}2") },
        ],
    });
    let credential = Machine::new().credential(aws);
    assert_eq!(signer(&credential).await.unwrap(), "role-2 session&of-role-2");
    assert_eq!(signer(&credential).await.unwrap(), "role-2 session&of-role-2");
    assert_eq!(sts.count(), 2, "the keys are kept");
    assert_eq!(sts.calls()[0].form("DurationSeconds"), "900");
}

#[tokio::test]
async fn a_role_that_is_refused_is_named_with_the_reason() {
    let sts = sts().await;
    let aws = json!({
        "access_key_id": "BASE", "secret_access_key": "wrong", "sts_endpoint": sts.url,
        "assume_role": { "role_arn": ROLE },
    });
    let error = Machine::new().signer(aws).await.unwrap_err();
    assert_eq!(error.kind(), CredentialErrorKind::Refused);
    assert_eq!(
        error.to_string(),
        format!("the role {ROLE}: the AWS Security Token Service refused (403, SignatureDoesNotMatch)")
    );
}

#[tokio::test]
async fn a_web_identity_is_found_in_the_environment_profile_or_configuration() {
    let sts = sts().await;
    let machine = Machine::new().set("AWS_ENDPOINT_URL_STS", sts.url.as_str());
    let file = machine.write("token", "a.web.token\n").display().to_string();
    machine.write(
        ".aws/config",
        &format!("[profile web]\nrole_arn = {ROLE}\nweb_identity_token_file = {file}\n"),
    );
    let configured = json!({ "web_identity": { "role_arn": ROLE, "token_file": file } });
    assert_eq!(machine.signer(configured).await.unwrap(), "web session&of-web");
    assert_eq!(
        machine.signer(json!({ "profile": "web" })).await.unwrap(),
        "web session&of-web"
    );
    let machine = machine
        .set("AWS_WEB_IDENTITY_TOKEN_FILE", file)
        .set("AWS_ROLE_ARN", ROLE)
        .set("AWS_ROLE_SESSION_NAME", "pod");
    assert_eq!(machine.signer(json!({})).await.unwrap(), "web session&of-web");
    assert_eq!(sts.calls()[2].form("RoleSessionName"), "pod");
    machine.write("token", "another");
    let error = machine.signer(json!({})).await.unwrap_err();
    assert!(
        error.to_string().ends_with("refused (400, InvalidIdentityToken)"),
        "{error}"
    );
}

#[tokio::test]
async fn a_token_of_an_oauth_server_is_exchanged_for_a_role() {
    let sts = sts().await;
    let server = Idp::start(|_| Answer::token("a.web.token", 600)).await;
    let aws = json!({ "sts_endpoint": sts.url, "web_identity": { "role_arn": ROLE, "oidc": {
        "token_url": server.at("/token"), "client_id": "c", "client_secret": "s",
    } } });
    assert_eq!(Machine::new().signer(aws).await.unwrap(), "web session&of-web");
    assert_eq!(server.count(), 1);
}

#[tokio::test]
async fn a_credential_process_prints_keys() {
    let machine = Machine::new();
    let document = json!({
        "Version": 1, "AccessKeyId": "PROC", "SecretAccessKey": "s", "SessionToken": "t", "Expiration": in_secs(3600),
    });
    for (command, expected) in [
        (format!("echo '{document}'"), Ok("PROC t")),
        ("false".to_owned(), Err("the credential_process of AWS failed")),
        (
            "echo nonsense".to_owned(),
            Err("what the credential_process of AWS printed makes no sense"),
        ),
        (
            "echo '{\"Version\": 2}'".to_owned(),
            Err("the credential_process of AWS printed another version than 1"),
        ),
    ] {
        machine.write(
            ".aws/config",
            &format!("[default]\ncredential_process = {command}\n"),
        );
        let signer = machine.signer(json!({})).await.map_err(|error| error.to_string());
        assert_eq!(signer.as_deref().map_err(String::as_str), expected);
    }
}

async fn sso() -> Idp {
    Idp::start(|call| match call.path.as_str() {
        "/token" => {
            let asked = call.json();
            assert_eq!(asked["grantType"], "refresh_token");
            assert_eq!(asked["refreshToken"], "refresh-1");
            Answer::json(&json!({ "accessToken": "access-2", "expiresIn": 28800, "refreshToken": "refresh-2" }))
        }
        "/federation/credentials" if call.header("x-amz-sso_bearer_token").starts_with("access-") => {
            assert_eq!((call.parameter("role_name"), call.parameter("account_id")), ("R".to_owned(), "1".to_owned()));
            Answer::json(&json!({ "roleCredentials": {
                "accessKeyId": format!("SSO-{}", call.header("x-amz-sso_bearer_token")), "secretAccessKey": "s",
                "sessionToken": "t", "expiration": (now_secs() + 3600) * 1000,
            } }))
        }
        _ => Answer::text(401, "{\"message\": \"Session token not found or invalid\"}"),
    })
    .await
}

#[tokio::test]
async fn single_sign_on_uses_the_cached_token_and_renews_it() {
    let sso = sso().await;
    let machine = Machine::new()
        .set("AWS_ENDPOINT_URL_SSO", sso.url.as_str())
        .set("AWS_ENDPOINT_URL_SSO_OIDC", sso.url.as_str());
    machine.write(
        ".aws/config",
        "[default]\nsso_session = corp\nsso_account_id = 1\nsso_role_name = R\n\
         [sso-session corp]\nsso_region = eu-north-1\nsso_start_url = https://corp.awsapps.com/start\n",
    );
    let error = machine.signer(json!({})).await.unwrap_err();
    assert!(error.to_string().ends_with("run `aws sso login`"), "{error}");
    // The file is named after the SHA-1 of `corp`.
    let name = hex_sha1("corp");
    let cached = |expires: i64| {
        json!({
            "accessToken": "access-1", "expiresAt": in_secs(expires), "refreshToken": "refresh-1",
            "clientId": "c", "clientSecret": "s", "startUrl": "kept",
        })
        .to_string()
    };
    let path = machine.write(&format!(".aws/sso/cache/{name}.json"), &cached(3600));
    assert_eq!(machine.signer(json!({})).await.unwrap(), "SSO-access-1 t");
    std::fs::write(&path, cached(-10)).unwrap();
    assert_eq!(machine.signer(json!({})).await.unwrap(), "SSO-access-2 t");
    let filed: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    assert_eq!(filed["refreshToken"], "refresh-2", "filed for the next process");
    assert_eq!(filed["startUrl"], "kept");
    assert_eq!(machine.signer(json!({})).await.unwrap(), "SSO-access-2 t");
    assert_eq!(sso.calls().iter().filter(|call| call.path == "/token").count(), 1);
}

fn hex_sha1(text: &str) -> String {
    let hash = ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes());
    sigv4::hex(hash.as_ref())
}

fn document(id: &str, expires: i64) -> Value {
    json!({ "Code": "Success", "AccessKeyId": id, "SecretAccessKey": "s", "Token": "t", "Expiration": in_secs(expires) })
}

#[tokio::test]
async fn a_container_is_asked_with_its_token_read_anew() {
    let service = Idp::start(|call| match call.header("authorization") {
        "pod-1" => Answer::json(&document("POD1", 2)),
        "pod-2" => Answer::json(&document("POD2", 3600)),
        _ => Answer::text(401, ""),
    })
    .await;
    let machine = Machine::new().set(
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        service.at("/v1/credentials"),
    );
    let error = machine.signer(json!({})).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the credentials service of the AWS container refused (401)"
    );
    let file = machine.write("pod-token", "pod-1").display().to_string();
    let machine = machine.set("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", file);
    let credential = machine.credential(json!({}));
    assert_eq!(signer(&credential).await.unwrap(), "POD1 t");
    machine.write("pod-token", "pod-2");
    tokio::time::sleep(Duration::from_millis(2_100)).await;
    assert_eq!(signer(&credential).await.unwrap(), "POD2 t");
    let abroad = Machine::new().set("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://example.com/steal");
    let error = abroad.signer(json!({})).await.unwrap_err();
    assert!(error.to_string().contains("is not allowed"), "{error}");
}

/// The metadata service, version 2 only.
async fn imds(expires: i64) -> Idp {
    Idp::start(
        move |call: &Call| match (call.method.as_str(), call.path.as_str()) {
            ("PUT", "/latest/api/token")
                if call.header("x-aws-ec2-metadata-token-ttl-seconds") == "21600" =>
            {
                Answer::text(200, "session")
            }
            ("GET", _) if call.header("x-aws-ec2-metadata-token") != "session" => Answer::text(401, ""),
            ("GET", "/latest/meta-data/iam/security-credentials/") => Answer::text(200, "my-role\n"),
            ("GET", "/latest/meta-data/iam/security-credentials/my-role") => {
                Answer::json(&document("EC2", expires))
            }
            ("GET", "/latest/meta-data/placement/availability-zone") => Answer::text(200, "eu-west-1b"),
            _ => Answer::text(404, ""),
        },
    )
    .await
}

#[tokio::test]
async fn an_instance_gives_the_keys_of_its_role_to_version_2() {
    let service = imds(3600).await;
    let machine = Machine::new()
        .set("AWS_EC2_METADATA_DISABLED", "false")
        .set("AWS_EC2_METADATA_SERVICE_ENDPOINT", service.at("/"));
    assert_eq!(machine.signer(json!({})).await.unwrap(), "EC2 t");
    assert_eq!(service.count(), 3);
    // Its keys have ended, and it has no others: they are used on.
    let stale = imds(-60).await;
    let machine = machine.set("AWS_EC2_METADATA_SERVICE_ENDPOINT", stale.at(""));
    assert_eq!(machine.signer(json!({})).await.unwrap(), "EC2 t");
}

#[tokio::test]
async fn a_role_is_assumed_with_what_a_profile_says_is_at_hand() {
    let sts = sts().await;
    let machine = Machine::new()
        .set("AWS_ENDPOINT_URL_STS", sts.url.as_str())
        .set("AWS_ACCESS_KEY_ID", "BASE")
        .set("AWS_SECRET_ACCESS_KEY", "base-secret");
    machine.write(
        ".aws/config",
        &format!(
            "[profile env]\nrole_arn = {ROLE}\ncredential_source = Environment\n\
             [profile odd]\nrole_arn = {ROLE}\ncredential_source = Elsewhere\n"
        ),
    );
    assert_eq!(
        machine.signer(json!({ "profile": "env" })).await.unwrap(),
        "role-1 session&of-role-1"
    );
    let error = machine.signer(json!({ "profile": "odd" })).await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("\"Elsewhere\" is not one of Environment"),
        "{error}"
    );
}

#[tokio::test]
async fn who_has_nothing_is_told_where_was_looked() {
    let error = Machine::new().signer(json!({})).await.unwrap_err();
    assert_eq!(error.kind(), CredentialErrorKind::Missing);
    assert!(
        error
            .to_string()
            .starts_with("no AWS credentials were found: not in the environment"),
        "{error}"
    );
}

#[tokio::test]
async fn keys_that_the_provider_calls_ended_are_fetched_anew() {
    let issued = Mutex::new(0);
    let sts = Idp::start(move |_| {
        let mut issued = issued.lock();
        *issued += 1;
        Answer::role("AssumeRoleWithWebIdentity", &format!("web-{issued}"), 3600)
    })
    .await;
    let machine = Machine::new();
    let file = machine.write("token", "t");
    let auth: AuthConfig = serde_json::from_value(json!({ "aws": {
        "sts_endpoint": sts.url, "web_identity": { "role_arn": ROLE, "token_file": file },
    } }))
    .unwrap();
    let patience = Patience {
        min_age: Duration::ZERO,
        ..Patience::default()
    };
    let environment = Environment::of(machine.variables);
    let credential =
        Credential::compile_patiently(&auth, &AuthStyle::Bearer, &environment, patience).unwrap();
    let (_, with) = authorized(&credential).await.unwrap();
    let mut answer = HeaderMap::new();
    answer.insert("x-amzn-errortype", "AccessDeniedException".parse().unwrap());
    assert!(!credential.answered(with, StatusCode::FORBIDDEN, &answer));
    answer.insert(
        "x-amzn-errortype",
        "ExpiredTokenException:http://internal".parse().unwrap(),
    );
    assert!(credential.answered(with, StatusCode::FORBIDDEN, &answer));
    assert!(signer(&credential).await.unwrap().starts_with("web-2 "));
}
