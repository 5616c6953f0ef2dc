//! People sign in at an identity provider and come back with a session.
//!
//! What begins is kept here under a state that is good once, bound to the browser that began by a cookie of its own, and
//! checked at the end: so nobody can be made to end a sign-in that another has begun. A session is always a new one,
//! whatever a browser comes with.

mod admitted;
mod provider;

use std::time::Duration;

use http::{HeaderValue, StatusCode, header};
use jiff::Timestamp;
use pointsman_governance::oidc::{OidcConfig, ProviderConfig, SignInError, challenge};
use pointsman_store::{SignIn, hash_key, random_text};
use secrecy::ExposeSecret;
use serde_json::json;
use subtle::ConstantTimeEq;
use tokio::runtime::Handle;
use url::Url;

pub use provider::Descriptions;

use crate::access::{Needs, SESSION_COOKIE, cookie};
use crate::call::{Answer, Call, Failed, Reply};
use crate::routes::{Route, get};

/// What binds a sign-in to the browser that began it.
const SIGN_IN_COOKIE: &str = "__Host-pointsman-sign-in";
/// How long somebody may take at the provider.
const PATIENCE: Duration = Duration::from_secs(600);
/// How long the provider may take to answer all that it is asked.
const PROVIDER_TIME: Duration = Duration::from_secs(30);
/// Letters of what must not be guessed: more than 256 bits.
const LENGTH: usize = 43;

/// Their paths.
pub fn routes() -> [Route; 3] {
    [
        get(
            "/admin/auth",
            Needs::Nothing,
            "Lists where one can sign in.",
            list,
        ),
        get(
            "/admin/auth/{provider}",
            Needs::Nothing,
            "Begins to sign in: leads to the identity provider. `back` is the page to come back to.",
            begin,
        ),
        get(
            "/admin/auth/{provider}/callback",
            Needs::Nothing,
            "Ends to sign in: where the identity provider leads back to.",
            end,
        ),
    ]
}

fn config(call: &Call) -> Result<std::sync::Arc<OidcConfig>, Failed> {
    let config = call.gateway.snapshot().sign_in.clone();
    config.ok_or_else(|| Failed::absent("nobody signs in here: identity.oidc is not set"))
}

fn list(call: &Call) -> Answer {
    call.only(&[])?;
    let config = call.gateway.snapshot().sign_in.clone();
    let names = config.iter().flat_map(|config| config.providers.keys());
    let data: Vec<_> = names
        .map(|name| json!({ "name": name, "url": format!("/admin/auth/{name}") }))
        .collect();
    Ok(Reply::of(json!({ "data": data })))
}

/// A provider with all that is needed to speak with it.
struct At<'c> {
    name: &'c str,
    provider: &'c ProviderConfig,
    /// Where it leads people back to.
    redirect_uri: String,
}

impl<'c> At<'c> {
    fn of(config: &'c OidcConfig, name: &str) -> Result<Self, Failed> {
        let found = config.providers.get_key_value(name);
        let (name, provider) =
            found.ok_or_else(|| Failed::absent(format!("there is no identity provider {name:?}")))?;
        let base = config.public_url.trim_end_matches('/');
        Ok(Self {
            name,
            provider,
            redirect_uri: format!("{base}/admin/auth/{name}/callback"),
        })
    }
}

/// Asks a provider, for as long as somebody may wait. Called where it may block.
fn ask<T>(asking: impl Future<Output = Result<T, Failed>>) -> Result<T, Failed> {
    let bounded = async { tokio::time::timeout(PROVIDER_TIME, asking).await };
    Handle::current().block_on(bounded).unwrap_or_else(|_| {
        Err(Failed::new(
            StatusCode::GATEWAY_TIMEOUT,
            "the identity provider does not answer in time",
        ))
    })
}

fn begin(call: &Call) -> Answer {
    call.only(&["back"])?;
    let config = config(call)?;
    let at = At::of(&config, call.segment(0))?;
    let back = call.parameter("back").unwrap_or("/");
    if !is_local(back) {
        return Err(Failed::wrong("back must be a page of this listener, such as /"));
    }
    let description = ask(call.descriptions.of(&call.gateway, at.provider))?;
    let chance =
        || random_text(LENGTH).map_err(|error| Failed::from(pointsman_store::StoreError::from(error)));
    let (state, nonce, verifier, browser) = (chance()?, chance()?, chance()?, chance()?);
    let mut url = Url::parse(&description.authorization_endpoint)
        .map_err(|_| provider_failed(&SignInError::Description("names no place to sign in at")))?;
    url.query_pairs_mut()
        .append_pair("response_type", "code")
        .append_pair("client_id", &at.provider.client_id)
        .append_pair("redirect_uri", &at.redirect_uri)
        .append_pair("scope", &at.provider.scope())
        .append_pair("state", &state)
        .append_pair("nonce", &nonce)
        .append_pair("code_challenge", &challenge(&verifier))
        .append_pair("code_challenge_method", "S256");
    let sign_in = SignIn {
        provider: at.name.to_owned(),
        browser: hash_key(&browser),
        nonce,
        verifier,
        back: back.to_owned(),
        expires_at: now() + PATIENCE.as_millis() as i64,
    };
    call.store().begin_sign_in(&state, &sign_in)?;
    let kept = set_cookie(SIGN_IN_COOKIE, &browser, PATIENCE)?;
    Ok(Reply::to(location(url.as_str())?).with(header::SET_COOKIE, kept))
}

fn end(call: &Call) -> Answer {
    let config = config(call)?;
    let at = At::of(&config, call.segment(0))?;
    let sign_in = begun(call, &at)?;
    if call.parameter("error").is_some() {
        // What it says may be anything: it is not repeated.
        return Err(Failed::new(
            StatusCode::FORBIDDEN,
            "the identity provider has refused; begin again",
        ));
    }
    let code = call
        .parameter("code")
        .ok_or_else(|| Failed::wrong("code is missing"))?;
    let asking = async {
        let description = call.descriptions.of(&call.gateway, at.provider).await?;
        check_issuer(call.parameter("iss"), &description)?;
        provider::person(&call.gateway, (&at, &*description), code, &sign_in).await
    };
    let person = ask(asking)?;
    let session = config.session.get();
    let secret = admitted::session(call, (at.name, at.provider), &person, session)?;
    let kept = set_cookie(SESSION_COOKIE, secret.expose_secret(), session)?;
    let done = set_cookie(SIGN_IN_COOKIE, "", Duration::ZERO)?;
    Ok(Reply::to(location(&sign_in.back)?)
        .with(header::SET_COOKIE, kept)
        .with(header::SET_COOKIE, done))
}

/// The sign-in that this browser has begun at this provider; it can be ended only once.
fn begun(call: &Call, at: &At<'_>) -> Result<SignIn, Failed> {
    let refused = || {
        Failed::wrong(
            "this browser has begun no such sign-in, or too long ago, or it has ended already; begin again",
        )
    };
    let (state, browser) = (call.parameter("state"), cookie(&call.headers, SIGN_IN_COOKIE));
    let (state, browser) = state.zip(browser).ok_or_else(refused)?;
    let sign_in = call.store().take_sign_in(state)?.ok_or_else(refused)?;
    let is_same: bool = hash_key(browser).ct_eq(&sign_in.browser).into();
    if is_same && sign_in.provider == at.name {
        Ok(sign_in)
    } else {
        Err(refused())
    }
}

/// Whether an answer is that of the provider that was asked, where it says whose it is (RFC 9207).
fn check_issuer(
    said: Option<&str>,
    description: &pointsman_governance::oidc::Description,
) -> Result<(), Failed> {
    let must = description.authorization_response_iss_parameter_supported;
    match said {
        Some(said) if said == description.issuer => Ok(()),
        None if !must => Ok(()),
        _ => Err(Failed::wrong(
            "this answer is not that of the identity provider that was asked",
        )),
    }
}

/// A page of this listener, and no other's: `//host` and `/\host` lead away.
fn is_local(back: &str) -> bool {
    back.starts_with('/')
        && !back.starts_with("//")
        && back.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
}

fn location(to: &str) -> Result<HeaderValue, Failed> {
    HeaderValue::from_str(to).map_err(|_| Failed::wrong("this leads nowhere"))
}

/// A cookie for this host alone, which no script reads and no page of others sends along, but for coming back from the
/// provider.
fn set_cookie(name: &str, value: &str, age: Duration) -> Result<HeaderValue, Failed> {
    let text = format!(
        "{name}={value}; Path=/; Max-Age={}; Secure; HttpOnly; SameSite=Lax",
        age.as_secs()
    );
    let mut cookie = HeaderValue::from_str(&text).map_err(|_| {
        Failed::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the cookie could not be written",
        )
    })?;
    cookie.set_sensitive(true);
    Ok(cookie)
}

/// The provider has not done what it should. Why is for the log: what it says is not for whoever signs in.
fn provider_failed(error: &dyn std::error::Error) -> Failed {
    tracing::warn!(%error, "somebody could not be signed in");
    Failed::new(
        StatusCode::BAD_GATEWAY,
        "the identity provider's answers are not what they should be; the log says why",
    )
}

fn now() -> i64 {
    Timestamp::now().as_millisecond()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_comes_back_to_this_listener_alone() {
        for page in ["/", "/keys?team=a#b", "/a//b"] {
            assert!(is_local(page), "{page}");
        }
        for away in [
            "",
            "https://evil.example",
            "//evil.example",
            "/\\evil.example",
            "/a b",
            "/a\r\nset-cookie: x",
            "/ä",
        ] {
            assert!(!is_local(away), "{away}");
        }
    }

    #[test]
    fn cookies_are_for_this_host_and_no_script() {
        let cookie = set_cookie(SESSION_COOKIE, "pms-x", Duration::from_secs(60)).unwrap();
        assert_eq!(
            cookie.to_str().unwrap(),
            "__Host-pointsman-session=pms-x; Path=/; Max-Age=60; Secure; HttpOnly; SameSite=Lax"
        );
    }
}
