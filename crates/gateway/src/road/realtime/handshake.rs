//! The client's side of the handshake (RFC 6455 section 4): what it must say, and what it is answered.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Version, header};
use pointsman_wire::form::{Failure, FailureKind};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::reply::{Reply, ReplyBody};
use crate::road::Arrival;

/// The protocol inside the WebSocket.
const REALTIME: &str = "realtime";
/// How a browser, which can set no headers, brings its key.
const KEY_PROTOCOL: &str = "openai-insecure-api-key.";
/// How a browser asks for a beta version.
const BETA_PROTOCOL: &str = "openai-beta.";
const OPENAI_BETA: HeaderName = HeaderName::from_static("openai-beta");

/// The WebSocket that a client asks for.
pub struct Asked {
    accept: String,
    subprotocol: bool,
}

/// Puts what a browser says in its subprotocols where other clients say it.
pub fn unfold(headers: &mut HeaderMap) {
    let mut key = None;
    let mut beta = None;
    for protocol in protocols(headers) {
        if let Some(found) = protocol.strip_prefix(KEY_PROTOCOL) {
            key = HeaderValue::from_str(&format!("Bearer {found}")).ok();
        } else if let Some((name, version)) = protocol
            .strip_prefix(BETA_PROTOCOL)
            .and_then(|beta| beta.rsplit_once('-'))
        {
            beta = HeaderValue::from_str(&format!("{name}={version}")).ok();
        }
    }
    if let (Some(mut key), false) = (key, headers.contains_key(header::AUTHORIZATION)) {
        key.set_sensitive(true);
        headers.insert(header::AUTHORIZATION, key);
    }
    if let (Some(beta), false) = (beta, headers.contains_key(&OPENAI_BETA)) {
        headers.insert(OPENAI_BETA, beta);
    }
}

/// Reads what a client asks for.
///
/// # Errors
/// 400 when it is not a WebSocket of this version.
pub fn read(arrival: &Arrival, version: Version) -> Result<Asked, Failure> {
    let headers = &arrival.headers;
    let wrong = |why: &str| {
        let message = format!("/v1/realtime is a WebSocket (RFC 6455, version 13, over HTTP/1.1): {why}");
        Failure::new(FailureKind::InvalidRequest, message).coded("websocket_required")
    };
    if version >= Version::HTTP_2 {
        return Err(wrong("ask for it over HTTP/1.1"));
    }
    if arrival.method != Method::GET {
        return Err(wrong("the method is GET"));
    }
    if !says(headers, &header::UPGRADE, "websocket") || !says(headers, &header::CONNECTION, "upgrade") {
        return Err(wrong(
            "`Connection: Upgrade` and `Upgrade: websocket` are missing",
        ));
    }
    if !says(headers, &header::SEC_WEBSOCKET_VERSION, "13") {
        return Err(wrong("`Sec-WebSocket-Version` is not 13"));
    }
    let key = headers.get(header::SEC_WEBSOCKET_KEY);
    let key = key.filter(|key| STANDARD.decode(key).is_ok_and(|key| key.len() == 16));
    let Some(key) = key else {
        return Err(wrong("`Sec-WebSocket-Key` is not 16 bytes in base64"));
    };
    Ok(Asked {
        accept: derive_accept_key(key.as_bytes()),
        subprotocol: protocols(headers).any(|protocol| protocol == REALTIME),
    })
}

impl Asked {
    /// The answer that begins the WebSocket.
    pub fn reply(&self) -> Reply {
        let mut reply = Response::new(ReplyBody::Whole(None));
        *reply.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = reply.headers_mut();
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        if let Ok(accept) = HeaderValue::from_str(&self.accept) {
            headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
        }
        // Of the protocols that were offered only this one is spoken; the others carry a key.
        if self.subprotocol {
            headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(REALTIME));
        }
        reply
    }
}

fn protocols(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    list(headers, &header::SEC_WEBSOCKET_PROTOCOL)
}

/// Whether a header that is a list has this token.
fn says(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    list(headers, name).any(|said| said.eq_ignore_ascii_case(token))
}

fn list<'h>(headers: &'h HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'h str> {
    headers
        .get_all(name)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browsers_subprotocols_are_headers() {
        let mut headers = HeaderMap::new();
        let offered = "realtime, openai-insecure-api-key.pm-1_a-b, openai-beta.realtime-v1";
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(offered));
        unfold(&mut headers);
        assert_eq!(headers[header::AUTHORIZATION], "Bearer pm-1_a-b");
        assert_eq!(headers[OPENAI_BETA], "realtime=v1");
        assert!(headers[header::AUTHORIZATION].is_sensitive());
    }

    #[test]
    fn what_stands_in_headers_goes_before() {
        let mut headers = HeaderMap::new();
        let offered = "openai-insecure-api-key.pm-2";
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(offered));
        headers.insert(header::AUTHORIZATION, HeaderValue::from_static("Bearer pm-1"));
        unfold(&mut headers);
        assert_eq!(headers[header::AUTHORIZATION], "Bearer pm-1");
    }
}
