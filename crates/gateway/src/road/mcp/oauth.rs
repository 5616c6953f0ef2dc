//! The gateway as a resource server of OAuth 2.1: where clients learn how to get a token (RFC 9728), which tokens are for
//! it, and what they lack (RFC 6750).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use parking_lot::Mutex;
use pointsman_governance::jwt;
use pointsman_mcp::oauth::{is_same, places};
use pointsman_mcp::scope::AuthorizationConfig;
use pointsman_upstream::fetch_document;
use pointsman_wire::form::{Failure, FailureKind};
use serde_json::{Value, json};
use url::Url;

use crate::reply::{self, Reply};
use crate::road::{Arrival, Refusal, identify};
use crate::worker::Worker;

/// Where a resource describes itself (RFC 9728, section 3).
const RESOURCE: &str = "/.well-known/oauth-protected-resource";
/// How long what an authorization server says of itself is good.
const FRESH: Duration = Duration::from_secs(300);
/// How long it is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// What authorization servers say of themselves, as they were read last.
#[derive(Default)]
pub struct Described(Mutex<HashMap<String, (Instant, Bytes)>>);

fn config(arrival: &Arrival) -> Option<&AuthorizationConfig> {
    arrival.snapshot.mcp.hub.config.authorization.as_ref()
}

/// Authorization servers whose tokens come in.
fn servers<'a>(arrival: &'a Arrival, config: &'a AuthorizationConfig) -> Vec<&'a str> {
    if config.servers.is_empty() {
        let issuers = arrival.snapshot.issuers.iter();
        return issuers.map(|trusted| trusted.config().issuer.as_str()).collect();
    }
    config.servers.iter().map(String::as_str).collect()
}

/// A challenge: where the resource describes itself, and what is wrong.
fn challenge(
    config: &AuthorizationConfig,
    server: Option<&str>,
    (error, scopes): (Option<&str>, &[&str]),
) -> Option<HeaderValue> {
    let mut place = Url::parse(&config.resource_of(server)).ok()?;
    let path = format!("{RESOURCE}{}", place.path());
    place.set_path(&path);
    let mut text = format!("Bearer resource_metadata=\"{place}\"");
    if let Some(error) = error {
        text = format!("{text}, error=\"{error}\"");
    }
    if !scopes.is_empty() {
        text = format!("{text}, scope=\"{}\"", scopes.join(" "));
    }
    HeaderValue::try_from(text).ok()
}

/// A refusal of whoever is not known, with the way to a token.
pub fn unknown(arrival: &Arrival, failure: Failure) -> Refusal {
    let is_known = failure.kind != FailureKind::Authentication;
    let Some(config) = config(arrival).filter(|_| !is_known) else {
        return failure.into();
    };
    let error = identify::has_credential(arrival).then_some("invalid_token");
    let scopes: Vec<&str> = config.always().collect();
    let server = arrival.surface.model.as_deref();
    match challenge(config, server, (error, &scopes)) {
        Some(value) => Refusal::from(failure).saying(header::WWW_AUTHENTICATE, value),
        None => failure.into(),
    }
}

/// What a token that came in may do; nothing of whoever comes without one, or where nothing is said of tokens.
///
/// # Errors
/// 401 for a token that is for somebody else: it would be good here for whatever its holder is allowed there.
pub fn scopes(arrival: &Arrival) -> Result<Option<Vec<String>>, Refusal> {
    let Some(config) = config(arrival) else {
        return Ok(None);
    };
    let Some(token) = identify::token(arrival) else {
        return Ok(None);
    };
    let said = jwt::said(&token).unwrap_or_default();
    let server = arrival.surface.model.as_deref();
    let is_for_it = |audience: &String| {
        let audience = audience.trim_end_matches('/');
        audience == config.resource_of(None) || (server.is_some() && audience == config.resource_of(server))
    };
    if said.audience.iter().any(is_for_it) {
        return Ok(Some(said.scopes));
    }
    let message = format!("the token is not for {}", config.resource_of(server));
    let failure = Failure::new(FailureKind::Authentication, message).coded("invalid_token");
    Err(unknown(arrival, failure))
}

/// The refusal of a token that lacks what every token needs.
pub fn lacking_always(arrival: &Arrival, has: &[String]) -> Option<Refusal> {
    let config = config(arrival)?;
    let needed: Vec<&str> = config.always().collect();
    if needed.iter().all(|scope| has.iter().any(|one| one == scope)) {
        return None;
    }
    let message = format!("the token lacks a scope: {} are needed", needed.join(" "));
    let failure = Failure::new(FailureKind::PermissionDenied, message).coded("insufficient_scope");
    let server = arrival.surface.model.as_deref();
    let value = challenge(config, server, (Some("insufficient_scope"), &needed));
    Some(match value {
        Some(value) => Refusal::from(failure).saying(header::WWW_AUTHENTICATE, value),
        None => failure.into(),
    })
}

/// An answer that says which scopes are lacking says so in its head, too.
pub fn step_up(arrival: &Arrival, mut reply: Reply, text: &str) -> Reply {
    if reply.status() != StatusCode::FORBIDDEN {
        return reply;
    }
    let told: Value = serde_json::from_str(text).unwrap_or_default();
    let scopes = told["error"]["data"]["requiredScopes"].as_array();
    let scopes: Vec<&str> = scopes.into_iter().flatten().filter_map(Value::as_str).collect();
    let server = arrival.surface.model.as_deref();
    let value = config(arrival)
        .filter(|_| !scopes.is_empty())
        .and_then(|config| challenge(config, server, (Some("insufficient_scope"), &scopes)));
    if let Some(value) = value {
        reply.headers_mut().insert(header::WWW_AUTHENTICATE, value);
    }
    reply
}

/// Answers whoever asks how to get a token. Anybody may.
///
/// # Errors
/// 404 where nothing is said of tokens, 502 where the authorization server says nothing of itself.
pub async fn describe(worker: &Arc<Worker>, arrival: &Arrival) -> Result<Reply, Refusal> {
    let Some(config) = config(arrival) else {
        let message = "tokens are not described here (`mcp.authorization`)";
        return Err(Failure::new(FailureKind::NotFound, message).into());
    };
    let body = if arrival.uri.path().starts_with(RESOURCE) {
        let server = arrival.surface.model.as_deref();
        if arrival.snapshot.mcp.hub.view(server).is_none() {
            return Err(Failure::new(FailureKind::NotFound, "there is no such MCP server").into());
        }
        let described = json!({
            "resource": config.resource_of(server),
            "authorization_servers": servers(arrival, config),
            "scopes_supported": config.all(),
            "bearer_methods_supported": ["header"],
            "resource_name": "Pointsman",
        });
        Bytes::from(described.to_string())
    } else {
        authorization_server(worker, arrival, config).await?
    };
    let mut reply = reply::json_bytes(StatusCode::OK, body);
    let headers = reply.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("max-age=300"));
    Ok(reply)
}

/// What the first authorization server says of itself: older clients ask where the resource is.
async fn authorization_server(
    worker: &Arc<Worker>,
    arrival: &Arrival,
    config: &AuthorizationConfig,
) -> Result<Bytes, Failure> {
    let failed = |why: &str| Failure::new(FailureKind::Provider, format!("the authorization server {why}"));
    let server = servers(arrival, config)
        .first()
        .map(|server| (*server).to_owned());
    let server = server.ok_or_else(|| failed("is not named (`mcp.authorization.servers`)"))?;
    let known = worker.shared.lasting.described.0.lock().get(&server).cloned();
    if let Some((_, body)) = known.filter(|(read, _)| read.elapsed() < FRESH) {
        return Ok(body);
    }
    for place in places(&server) {
        let fetching = fetch_document(&worker.client, "the authorization server", &place);
        let Ok(Ok(body)) = tokio::time::timeout(PATIENCE, fetching).await else {
            continue;
        };
        // RFC 8414, section 3.3: whoever describes itself as somebody else is not believed.
        let is_it = serde_json::from_slice::<Value>(&body).is_ok_and(|said| {
            said["issuer"]
                .as_str()
                .is_some_and(|issuer| is_same(issuer, &server))
        });
        if is_it {
            let mut described = worker.shared.lasting.described.0.lock();
            described.retain(|_, (read, _)| read.elapsed() < FRESH);
            described.insert(server, (Instant::now(), body.clone()));
            return Ok(body);
        }
    }
    Err(failed("says nothing of itself"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_says_where_the_resource_describes_itself() {
        let config = AuthorizationConfig {
            resource: "https://g.example.com/mcp".to_owned(),
            ..AuthorizationConfig::default()
        };
        let said = challenge(&config, Some("files"), (Some("insufficient_scope"), &["a", "b"])).unwrap();
        assert_eq!(
            said,
            "Bearer resource_metadata=\"https://g.example.com/.well-known/oauth-protected-resource/mcp/files\", \
             error=\"insufficient_scope\", scope=\"a b\""
        );
    }
}
