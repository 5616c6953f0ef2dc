//! The caller's own credential.

use super::*;
use crate::config::PassthroughHeaders;

fn passing(from: Option<&str>, header: Option<&str>) -> Credential {
    let passthrough = Passthrough::Headers(PassthroughHeaders {
        from: from.map(str::to_owned),
        header: header.map(str::to_owned),
    });
    compiled(&AuthConfig {
        passthrough: Some(passthrough),
        ..AuthConfig::default()
    })
}

fn caller(name: &'static str, value: &'static str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(name, value.parse().unwrap());
    headers
}

async fn sent(credential: &Credential, caller: &HeaderMap) -> Result<HeaderMap, CredentialError> {
    let mut request = request();
    credential.pass_through(caller, request.headers_mut(), |key| key.starts_with("pm-"));
    credential
        .authorize(&client(), &endpoint("http://a"), &mut request, 0)
        .await?;
    Ok(request.headers().clone())
}

#[tokio::test]
async fn goes_from_the_named_header_to_the_named_header() {
    let callers = caller("x-provider-key", "Bearer sk-callers");
    let credential = passing(Some("X-Provider-Key"), Some("authorization"));
    let headers = sent(&credential, &callers).await.unwrap();
    assert_eq!(headers["authorization"], "Bearer sk-callers");
    assert!(headers["authorization"].is_sensitive());
    assert!(!headers.contains_key("x-provider-key"));
    let same = passing(None, None);
    let headers = sent(&same, &caller("authorization", "Bearer sk-callers"))
        .await
        .unwrap();
    assert_eq!(headers["authorization"], "Bearer sk-callers");
}

#[tokio::test]
async fn the_gateways_own_keys_are_never_passed_on() {
    for value in ["Bearer pm-secret", "pm-secret", "bearer  pm-secret"] {
        let error = sent(&passing(None, None), &caller("authorization", value))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), CredentialErrorKind::Caller);
        assert!(!error.to_string().contains("pm-"), "{error}");
    }
}

#[tokio::test]
async fn a_caller_without_a_credential_is_told_where_to_put_it() {
    let error = sent(&passing(Some("x-provider-key"), None), &HeaderMap::new())
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "this provider is reached with the caller's own credential: send it in the header `x-provider-key`"
    );
}

#[tokio::test]
async fn other_credentials_pass_nothing_through() {
    let mut request = request();
    compiled(&one()).pass_through(&caller("authorization", "x"), request.headers_mut(), |_| false);
    assert!(!request.headers().contains_key("authorization"));
}
