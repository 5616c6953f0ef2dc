//! Asking an authorization server on behalf of somebody who let the gateway in: any grant, any way of saying who asks.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{ACCEPT, AUTHORIZATION};
use serde_json::{Map, Value, json};
use url::form_urlencoded::byte_serialize;

use super::environment;
use super::error::CredentialError;
use super::fetch::{Ask, Form};
use super::jwt::{self, Algorithm, Claims, Signer};
use super::oauth2::CLIENT_ASSERTION;
use super::skew::ServerClock;
use crate::client::Client;
use crate::config::{PrivateKeyConfig, Secret};

/// How long an assertion about the client itself is good.
const ASSERTION_SECS: i64 = 5 * 60;

/// How a client says who it is.
#[derive(Debug, Clone, Copy)]
pub enum Proof<'a> {
    /// Not at all.
    None,
    /// Its secret, in the header.
    Basic(&'a Secret),
    /// Its secret, in the body.
    Post(&'a Secret),
    /// An assertion for this audience, signed with its key (RFC 7523).
    Key(&'a PrivateKeyConfig, &'a str),
}

/// What a token endpoint is asked.
#[derive(Debug)]
pub struct TokenRequest<'a> {
    /// The endpoint.
    pub url: &'a str,
    /// What the server calls this client.
    pub client_id: Option<&'a str>,
    /// How the client says who it is.
    pub proof: Proof<'a>,
    /// What is asked.
    pub fields: Vec<(&'a str, &'a str)>,
    /// What is asked and must not be told: codes, verifiers, tokens.
    pub secrets: Vec<(&'a str, &'a str)>,
}

/// Asks a token endpoint: its answer.
///
/// # Errors
/// When it cannot be asked, or refuses.
pub async fn request_token(
    client: &Client,
    who: &str,
    request: &TokenRequest<'_>,
) -> Result<Map<String, Value>, CredentialError> {
    addressed(who, request).await?.send(client).await?.json()
}

/// Has a token revoked (RFC 7009): whatever the answer says beside its status is of no interest.
///
/// # Errors
/// When the server cannot be asked, or refuses.
pub async fn revoke_token(
    client: &Client,
    who: &str,
    request: &TokenRequest<'_>,
) -> Result<(), CredentialError> {
    let reply = addressed(who, request).await?.send(client).await?;
    if reply.status.is_success() {
        return Ok(());
    }
    Err(reply.refusal())
}

/// A question for an authorization server, with what shows who asks.
async fn addressed(who: &str, request: &TokenRequest<'_>) -> Result<Ask, CredentialError> {
    let mut form = Form::default();
    for (name, value) in &request.fields {
        form.set(name, *value);
    }
    for (name, value) in &request.secrets {
        form.set_secret(name, *value);
    }
    let id = request.client_id.unwrap_or_default();
    let ask = match request.proof {
        Proof::Basic(secret) => {
            // Both are written as in a form before they are put together (RFC 6749, section 2.3.1).
            let encoded =
                [id, secret.expose()].map(|part| byte_serialize(part.as_bytes()).collect::<String>());
            let pair = STANDARD.encode(encoded.join(":"));
            let mut ask =
                Ask::form(who, request.url, form).secret(AUTHORIZATION, &format!("Basic {pair}"))?;
            ask.keep_secret(secret.expose());
            ask
        }
        Proof::Post(secret) => {
            form.set("client_id", id)
                .set_secret("client_secret", secret.expose());
            Ask::form(who, request.url, form)
        }
        Proof::Key(key, audience) => {
            let assertion = assertion(key, id, audience).await?;
            form.set("client_id", id)
                .set("client_assertion_type", CLIENT_ASSERTION)
                .set_secret("client_assertion", assertion.expose());
            Ask::form(who, request.url, form)
        }
        Proof::None => {
            form.set_some("client_id", request.client_id);
            Ask::form(who, request.url, form)
        }
    };
    Ok(ask)
}

/// What a client says of itself, signed.
async fn assertion(key: &PrivateKeyConfig, id: &str, audience: &str) -> Result<Secret, CredentialError> {
    let what = "the private key that signs assertions";
    let pem: Secret = match (&key.file, &key.pem) {
        (Some(file), _) => environment::read(file, what).await?.into(),
        (None, Some(text)) => text.clone(),
        (None, None) => return Err(CredentialError::missing(format!("{what} is not configured"))),
    };
    let algorithm = key.algorithm.as_deref().and_then(Algorithm::parse);
    let signer = Signer::from_pem(pem.expose(), algorithm, what)?;
    let claims = Claims {
        issuer: id,
        subject: Some(id),
        audience,
        lifetime_secs: ASSERTION_SECS,
    };
    let mut claims = claims.now(&ServerClock::default());
    claims.insert("jti".to_owned(), json!(jwt::unique()));
    let mut header = Map::new();
    if let Some(id) = &key.key_id {
        header.insert("kid".to_owned(), json!(id));
    }
    signer.sign(header, &claims)
}

/// Tells an authorization server of this client (RFC 7591): its answer.
///
/// # Errors
/// When it cannot be asked, or refuses.
pub async fn register_client(
    client: &Client,
    who: &str,
    (url, metadata): (&str, &Value),
) -> Result<Map<String, Value>, CredentialError> {
    let ask = Ask::json(who, url, metadata).plain(ACCEPT, "application/json");
    ask.send(client).await?.json()
}
