//! Where keys go, and where they do not.

use super::*;
use crate::config::{ApiKeys, CloudAuth};

const KEY: &str = "sk-very-secret";

fn keys(keys: &[&str]) -> AuthConfig {
    let keys = keys.iter().map(|key| Secret::from(*key)).collect();
    AuthConfig {
        api_key: Some(ApiKeys::Many(keys)),
        ..AuthConfig::default()
    }
}

fn one() -> AuthConfig {
    AuthConfig {
        api_key: Some(ApiKeys::One(KEY.into())),
        ..AuthConfig::default()
    }
}

fn applied(config: &AuthConfig, style: &AuthStyle) -> HeaderMap {
    let mut headers = HeaderMap::new();
    Credential::compile(config, style).unwrap().apply(&mut headers);
    headers
}

#[test]
fn goes_where_the_format_or_the_configuration_says() {
    let style = AuthStyle::Header(HeaderName::from_static("x-api-key"));
    assert_eq!(
        applied(&one(), &AuthStyle::Bearer)["authorization"],
        "Bearer sk-very-secret"
    );
    assert_eq!(applied(&one(), &style)["x-api-key"], KEY);
    let custom = AuthConfig {
        header: Some("X-Token".to_owned()),
        prefix: Some("Key ".to_owned()),
        ..one()
    };
    let headers = applied(&custom, &style);
    assert_eq!(headers["x-token"], "Key sk-very-secret");
    assert!(headers["x-token"].is_sensitive());
    assert_eq!(headers.len(), 1);
    assert!(applied(&AuthConfig::default(), &style).is_empty());
}

#[test]
fn replaces_what_the_client_sent() {
    let mut headers = HeaderMap::new();
    headers.append("authorization", "Bearer pm-one".parse().unwrap());
    headers.append("authorization", "Bearer pm-two".parse().unwrap());
    Credential::compile(&one(), &AuthStyle::Bearer)
        .unwrap()
        .apply(&mut headers);
    assert_eq!(headers.get_all("authorization").iter().count(), 1);
}

#[test]
fn several_keys_take_turns() {
    let credential = Credential::compile(&keys(&["a", "b", "c"]), &AuthStyle::Bearer).unwrap();
    let seen: Vec<String> = (0..6)
        .map(|_| {
            let mut headers = HeaderMap::new();
            credential.apply(&mut headers);
            headers["authorization"].to_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(seen[..3], ["Bearer a", "Bearer b", "Bearer c"]);
    assert_eq!(seen[..3], seen[3..]);
}

#[test]
fn secrets_are_not_printed() {
    let config = one();
    let credential = Credential::compile(&config, &AuthStyle::Bearer).unwrap();
    let headers = applied(&config, &AuthStyle::Bearer);
    for shown in [
        format!("{config:?}"),
        format!("{credential:?}"),
        format!("{headers:?}"),
    ] {
        assert!(!shown.contains("secret-") && !shown.contains(KEY), "{shown}");
    }
    let bad = AuthConfig {
        api_key: Some(ApiKeys::One("sk-\nsecret".into())),
        ..AuthConfig::default()
    };
    let error = Credential::compile(&bad, &AuthStyle::Bearer)
        .unwrap_err()
        .to_string();
    assert!(!error.contains("sk-"), "{error}");
}

#[test]
fn refuses_what_cannot_be_sent() {
    let cloud = || Some(CloudAuth::default());
    for (field, config) in [
        (
            "auth.aws",
            AuthConfig {
                aws: cloud(),
                ..AuthConfig::default()
            },
        ),
        (
            "auth.entra",
            AuthConfig {
                entra: cloud(),
                ..AuthConfig::default()
            },
        ),
        (
            "auth.gcp",
            AuthConfig {
                gcp: cloud(),
                ..one()
            },
        ),
        ("auth.api_key", keys(&[])),
        ("auth.api_key", keys(&["ok", " "])),
        (
            "auth.header",
            AuthConfig {
                header: Some("not a name".to_owned()),
                ..one()
            },
        ),
        (
            "auth.prefix",
            AuthConfig {
                prefix: Some("Key ".to_owned()),
                ..one()
            },
        ),
    ] {
        let error = Credential::compile(&config, &AuthStyle::Bearer).unwrap_err();
        assert_eq!(error.field, field);
    }
    let error = Credential::compile(
        &AuthConfig {
            aws: cloud(),
            ..AuthConfig::default()
        },
        &AuthStyle::Bearer,
    );
    assert_eq!(
        error.unwrap_err().to_string(),
        "auth.aws: AWS request signing is not supported yet in this version"
    );
}
