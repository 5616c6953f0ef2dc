//! Entra ID and managed identities, against servers that check what is signed.

use std::collections::BTreeMap;
use std::io::Write;

use serde_json::Value;
use tempfile::NamedTempFile;

use super::*;
use crate::config::AuthConfig;
use crate::credential::tests::idp::{
    Answer, CERT_1, CERT_2, Expected, Idp, RSA_1, RSA_2, bearer, date_ahead, now_secs, verified,
};
use crate::credential::{AuthStyle, Credential};

fn credential(entra: Value, variables: &[(&str, &str)]) -> Credential {
    let auth: AuthConfig = serde_json::from_value(json!({ "entra": entra })).unwrap();
    let variables: BTreeMap<String, String> = variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    Credential::compile_with(&auth, &AuthStyle::Bearer, &Environment::of(variables)).unwrap()
}

fn file(text: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

#[tokio::test]
async fn a_client_secret_as_the_contract_shows_it() {
    let idp = Idp::numbering(3600).await;
    let entra = json!({ "tenant": "t-1", "client": "c-1", "secret": "s e", "authority": idp.at("/") });
    assert_eq!(bearer(&credential(entra, &[])).await.unwrap(), "Bearer token-1");
    let call = &idp.calls()[0];
    assert_eq!(call.path, "/t-1/oauth2/v2.0/token");
    assert_eq!(call.form("grant_type"), "client_credentials");
    assert_eq!(call.form("client_secret"), "s e");
    assert_eq!(call.form("scope"), "https://cognitiveservices.azure.com/.default");
}

/// Takes assertions signed by one key and certificate.
async fn certified(algorithm: &'static str, key: &'static str, certificate: &'static str, ahead: i64) -> Idp {
    Idp::start(move |call| {
        let audience = format!("http://{}{}", call.header("host"), call.path);
        let expected = Expected {
            key,
            algorithm,
            issuer: "c",
            audience: &audience,
            now: now_secs() + ahead,
        };
        let answer = match verified(&call.form("client_assertion"), &expected) {
            Ok((header, claims)) => {
                let der = jwt::certificates(certificate, "it").unwrap();
                let (name, hash) = match algorithm {
                    "PS256" => ("x5t#S256", &digest::SHA256),
                    _ => ("x5t", &digest::SHA1_FOR_LEGACY_USE_ONLY),
                };
                let thumbprint = URL_SAFE_NO_PAD.encode(digest::digest(hash, &der[0]));
                let chain = header["x5c"].as_array().map(Vec::len);
                let known = header[name] == thumbprint && claims["sub"] == "c" && claims["jti"].is_string();
                if known && chain.is_none_or(|length| length == 1) {
                    Answer::token("certified", 3600)
                } else {
                    Answer::error(401, "invalid_client", "another certificate")
                }
            }
            Err(problem) => Answer::error(401, "invalid_client", &problem),
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
async fn a_client_certificate_signs_in_both_ways() {
    for (algorithm, ahead) in [("PS256", 0), ("RS256", 0), ("PS256", 9_000)] {
        let idp = certified(algorithm, RSA_1, CERT_1, ahead).await;
        let both = file(&format!("{RSA_1}{CERT_1}"));
        let entra = json!({
            "tenant": "t", "client": "c", "certificate": both.path(), "algorithm": algorithm,
            "send_chain": ahead == 0, "authority": idp.url,
        });
        assert_eq!(bearer(&credential(entra, &[])).await.unwrap(), "Bearer certified");
    }
}

#[tokio::test]
async fn a_renewed_certificate_is_read_anew() {
    let idp = certified("PS256", RSA_2, CERT_2, 0).await;
    let (certificate, key) = (file(CERT_1), file(RSA_1));
    let config: EntraConfig = serde_json::from_value(json!({
        "tenant": "t", "client": "c", "certificate": certificate.path(), "certificate_key": key.path(),
        "authority": idp.url,
    }))
    .unwrap();
    let entra = Entra::compile(&config, &crate::credential::tests::nothing()).unwrap();
    let client = crate::credential::tests::client();
    let error = entra.ask(&client).await.err().unwrap();
    assert_eq!(
        error.to_string(),
        "Microsoft Entra ID refused (401, invalid_client)"
    );
    std::fs::write(certificate.path(), CERT_2).unwrap();
    std::fs::write(key.path(), RSA_2).unwrap();
    assert!(entra.ask(&client).await.is_ok());
}

#[tokio::test]
async fn a_federated_token_is_read_anew_or_asked_for() {
    let idp = Idp::start(|call| match call.form("client_assertion").as_str() {
        "federated" | "of-the-server" => Answer::token("good", 3600),
        _ => Answer::error(401, "invalid_client", "AADSTS70021"),
    })
    .await;
    let token = file("federated\n");
    let path = token.path().to_str().unwrap();
    let configured =
        json!({ "tenant": "t", "client": "c", "federated_token_file": path, "authority": idp.url });
    assert_eq!(bearer(&credential(configured, &[])).await.unwrap(), "Bearer good");
    let variables = [
        ("AZURE_TENANT_ID", "t"),
        ("AZURE_CLIENT_ID", "c"),
        ("AZURE_FEDERATED_TOKEN_FILE", path),
        ("AZURE_AUTHORITY_HOST", idp.url.as_str()),
    ];
    assert_eq!(
        bearer(&credential(json!({}), &variables)).await.unwrap(),
        "Bearer good"
    );
    let server = Idp::start(|_| Answer::token("of-the-server", 600)).await;
    let oidc = json!({ "tenant": "t", "client": "c", "authority": idp.url, "oidc": {
        "token_url": server.at("/token"), "client_id": "x", "client_secret": "y",
    } });
    assert_eq!(bearer(&credential(oidc, &[])).await.unwrap(), "Bearer good");
    std::fs::write(token.path(), "another").unwrap();
    let again = json!({ "tenant": "t", "client": "c", "federated_token_file": path, "authority": idp.url });
    let error = bearer(&credential(again, &[])).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "Microsoft Entra ID refused (401, invalid_client)"
    );
    assert_eq!(error.detail(), Some("AADSTS70021"));
}

#[tokio::test]
async fn the_environment_names_a_client_before_a_managed_identity() {
    let idp = Idp::numbering(3600).await;
    let variables = [
        ("AZURE_TENANT_ID", "t"),
        ("AZURE_CLIENT_ID", "c"),
        ("AZURE_CLIENT_SECRET", "s"),
        ("AZURE_AUTHORITY_HOST", idp.url.as_str()),
        ("IDENTITY_ENDPOINT", "http://127.0.0.1:1/msi"),
        ("IDENTITY_HEADER", "h"),
    ];
    assert_eq!(
        bearer(&credential(json!({}), &variables)).await.unwrap(),
        "Bearer token-1"
    );
}

/// All services that know a managed identity; each answers in its own way.
async fn managed() -> Idp {
    Idp::start(|call| {
        let resource = call.parameter("resource") == "https://cognitiveservices.azure.com";
        let answer = |token: &str| {
            let expires = (now_secs() + 3600).to_string();
            Answer::json(&json!({ "access_token": token, "expires_on": expires, "resource": "r" }))
        };
        match (call.path.as_str(), call.parameter("api-version").as_str()) {
            ("/app", "2019-08-01") if call.header("x-identity-header") == "secret" && resource => {
                answer(&format!("app{}", call.parameter("client_id")))
            }
            ("/msi", "2017-09-01") if call.header("secret") == "secret" && resource => {
                answer(&format!("msi{}", call.parameter("clientid")))
            }
            ("/msi", "") if call.header("metadata") == "true" => answer("shell"),
            ("/metadata/identity/oauth2/token", "2018-02-01")
                if call.header("metadata") == "true" && resource =>
            {
                let named = [call.parameter("client_id"), call.parameter("msi_res_id")].concat();
                answer(&format!("vm{named}"))
            }
            _ => Answer::error(400, "invalid_request", "no such identity"),
        }
    })
    .await
}

#[tokio::test]
async fn managed_identities_of_every_kind() {
    let idp = managed().await;
    let app = vec![
        ("IDENTITY_ENDPOINT", idp.at("/app")),
        ("IDENTITY_HEADER", "secret".to_owned()),
    ];
    let msi = vec![
        ("MSI_ENDPOINT", idp.at("/msi")),
        ("MSI_SECRET", "secret".to_owned()),
    ];
    let shell = vec![("MSI_ENDPOINT", idp.at("/msi"))];
    let vm = vec![("AZURE_POD_IDENTITY_AUTHORITY_HOST", idp.url.clone())];
    let vm_named = vec![vm[0].clone(), ("AZURE_CLIENT_ID", "-env".to_owned())];
    let on = || json!({ "managed_identity": true });
    let named = |field: &str, name: &str| json!({ "managed_identity": { field: name } });
    for (variables, entra, expected) in [
        (&app, json!({}), "app"),
        (&app, on(), "app"),
        (&app, named("client_id", "-c"), "app-c"),
        (&app, json!({ "managed_identity": true, "client": "-d" }), "app-d"),
        (&msi, named("client_id", "-c"), "msi-c"),
        (&shell, on(), "shell"),
        (&vm, named("resource_id", "/sub/x"), "vm/sub/x"),
        (&vm_named, json!({}), "vm-env"),
    ] {
        let variables: Vec<(&str, &str)> = variables
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        let token = bearer(&credential(entra, &variables)).await.unwrap();
        assert_eq!(token, format!("Bearer {expected}"));
    }
}

#[tokio::test]
async fn arc_may_not_have_us_read_any_file() {
    let idp = Idp::start(|_| Answer::text(401, "").with("www-authenticate", "Basic realm=/etc/passwd")).await;
    let url = idp.at("/arc");
    let variables = [("IDENTITY_ENDPOINT", url.as_str()), ("IMDS_ENDPOINT", "x")];
    let error = bearer(&credential(json!({}), &variables)).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "Azure Arc names a key file outside of its agent's folder"
    );
    assert_eq!(idp.count(), 1);
}

#[tokio::test]
async fn who_has_nothing_is_told_so() {
    let variables = [("AZURE_POD_IDENTITY_AUTHORITY_HOST", "http://127.0.0.1:1")];
    let error = bearer(&credential(json!({}), &variables)).await.unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("no Azure credentials: neither configured nor"),
        "{error}"
    );
}
