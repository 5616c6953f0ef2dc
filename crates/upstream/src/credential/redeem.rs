//! Asking an identity provider about somebody: redeeming their code, what their token opens, and whether it is good.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION};
use serde_json::{Map, Value};
use url::form_urlencoded::byte_serialize;

use super::error::CredentialError;
use super::fetch::{Ask, Form};
use crate::client::Client;
use crate::config::Secret;

/// A code that is redeemed (RFC 6749, section 4.1.3; RFC 7636, section 4.5).
pub struct Redeemed<'a> {
    /// The token endpoint.
    pub url: &'a str,
    /// The code.
    pub code: &'a str,
    /// Where the code was sent to.
    pub redirect_uri: &'a str,
    /// Whose challenge was sent with the request for it.
    pub verifier: &'a str,
    /// What the provider calls this client.
    pub client_id: &'a str,
    /// What it knows it by, and whether that goes into a header.
    pub secret: Option<(&'a Secret, bool)>,
}

/// Redeems a code: the answer of the token endpoint.
///
/// # Errors
/// When the provider cannot be asked, or refuses.
pub async fn redeem_code(
    client: &Client,
    who: &str,
    redeemed: &Redeemed<'_>,
) -> Result<Map<String, Value>, CredentialError> {
    let mut form = Form::default();
    form.set("grant_type", "authorization_code")
        .set_secret("code", redeemed.code)
        .set("redirect_uri", redeemed.redirect_uri)
        .set_secret("code_verifier", redeemed.verifier);
    let ask = match redeemed.secret {
        Some((secret, true)) => {
            let basic = basic(redeemed.client_id, secret);
            Ask::form(who, redeemed.url, form).secret(AUTHORIZATION, &basic)?
        }
        Some((secret, false)) => {
            form.set("client_id", redeemed.client_id)
                .set_secret("client_secret", secret.expose());
            Ask::form(who, redeemed.url, form)
        }
        None => {
            form.set("client_id", redeemed.client_id);
            Ask::form(who, redeemed.url, form)
        }
    };
    ask.send(client).await?.json()
}

/// What a client is known by. Both are written as in a form before they are put together (RFC 6749, section 2.3.1).
fn basic(client_id: &str, secret: &Secret) -> String {
    let [id, secret] =
        [client_id, secret.expose()].map(|part| byte_serialize(part.as_bytes()).collect::<String>());
    format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")))
}

/// Asks about a token: what whoever issued it says (RFC 7662).
///
/// # Errors
/// When it cannot be asked, or refuses.
pub async fn introspect(
    client: &Client,
    who: &str,
    (url, token): (&str, &str),
    (client_id, secret): (&str, &Secret),
) -> Result<Map<String, Value>, CredentialError> {
    let mut form = Form::default();
    form.set_secret("token", token);
    let ask = Ask::form(who, url, form).secret(AUTHORIZATION, &basic(client_id, secret))?;
    ask.send(client).await?.json()
}

/// What a token opens, as it came; redirects are not followed.
///
/// # Errors
/// When it cannot be had.
pub async fn fetch_with_token(
    client: &Client,
    who: &str,
    (url, token): (&str, &str),
) -> Result<Bytes, CredentialError> {
    let reply = Ask::get(who, url)
        .plain(ACCEPT, "application/json")
        // GitHub answers nobody who does not say what they are.
        .plain(http::header::USER_AGENT, "pointsman")
        .secret(AUTHORIZATION, &format!("Bearer {token}"))?
        .send(client)
        .await?;
    if reply.status.is_success() {
        Ok(reply.body)
    } else {
        Err(reply.refusal())
    }
}
