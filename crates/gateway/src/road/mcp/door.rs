//! Who may call from where: web pages and rebound names are kept out before anything is read.

use http::uri::Authority;
use http::{HeaderMap, StatusCode, header};
use pointsman_mcp::error::RpcError;
use url::Url;

use crate::snapshot::McpPolicy;

/// Checks where a call comes from, and by which name it calls.
///
/// # Errors
/// 403 for a host that is none of ours, or a page that may not call.
pub fn check(headers: &HeaderMap, authority: Option<&Authority>, policy: &McpPolicy) -> Result<(), RpcError> {
    check_host(headers, authority, policy)?;
    let config = &policy.hub.config;
    let Some(origin) = headers.get(header::ORIGIN) else {
        return Ok(());
    };
    let origin = origin.to_str().unwrap_or_default();
    let is_local = Url::parse(origin)
        .ok()
        .and_then(|url| url.host_str().map(is_loopback))
        .unwrap_or(false);
    let is_allowed = |allowed: &String| allowed.trim_end_matches('/').eq_ignore_ascii_case(origin);
    if is_local || config.allowed_origins.iter().any(is_allowed) {
        return Ok(());
    }
    Err(forbidden(format!(
        "pages of {origin:?} may not call; add it to mcp.allowed_origins if they may"
    )))
}

/// Checks by which name a call comes.
///
/// # Errors
/// 403 for a host that is none of ours.
pub fn check_host(
    headers: &HeaderMap,
    authority: Option<&Authority>,
    policy: &McpPolicy,
) -> Result<(), RpcError> {
    let config = &policy.hub.config;
    let said = headers
        .get(header::HOST)
        .map(|host| host.to_str().unwrap_or_default());
    // HTTP/2 has it in the target.
    let host = said
        .or_else(|| authority.map(Authority::as_str))
        .unwrap_or_default();
    let is_known = |allowed: &String| allowed.eq_ignore_ascii_case(host);
    if policy.is_local && !is_loopback(name_of(host)) && !config.allowed_hosts.iter().any(is_known) {
        return Err(forbidden(format!(
            "this gateway is not called {host:?}; add it to mcp.allowed_hosts if it is"
        )));
    }
    Ok(())
}

fn forbidden(message: String) -> RpcError {
    RpcError::request(message).with(StatusCode::FORBIDDEN)
}

/// The host without its port.
fn name_of(host: &str) -> &str {
    if host.starts_with('[') {
        return host.find(']').map_or(host, |end| &host[..=end]);
    }
    host.rsplit_once(':').map_or(host, |(name, _)| name)
}

/// Whether a name leads to this machine wherever it is said.
fn is_loopback(name: &str) -> bool {
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost")
        || bare
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// Checks what a message is sent as, and what is wanted back.
///
/// # Errors
/// 415 and 406.
pub fn check_forms(headers: &HeaderMap) -> Result<(), RpcError> {
    let said = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let kind = said(header::CONTENT_TYPE).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("application/json") {
        let error = RpcError::request("messages are sent as application/json");
        return Err(error.with(StatusCode::UNSUPPORTED_MEDIA_TYPE));
    }
    if takes(headers, "application/json") && takes(headers, "text/event-stream") {
        return Ok(());
    }
    let error = RpcError::request("accept both application/json and text/event-stream");
    Err(error.with(StatusCode::NOT_ACCEPTABLE))
}

/// Whether a client takes a kind of answer; one that says nothing takes all.
pub fn takes(headers: &HeaderMap, kind: &str) -> bool {
    let mut lines = headers.get_all(header::ACCEPT).iter().peekable();
    if lines.peek().is_none() {
        return true;
    }
    let whole = kind.split('/').next().unwrap_or_default();
    lines.filter_map(|line| line.to_str().ok()).any(|line| {
        line.split(',').any(|one| {
            let one = one.split(';').next().unwrap_or_default().trim();
            one.eq_ignore_ascii_case(kind)
                || one == "*/*"
                || one
                    .strip_suffix("/*")
                    .is_some_and(|start| start.eq_ignore_ascii_case(whole))
        })
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http::HeaderValue;
    use pointsman_mcp::{Hub, McpConfig};

    use super::*;

    fn judged(is_local: bool, host: &str, origin: Option<&str>) -> bool {
        let config = McpConfig {
            allowed_hosts: vec!["mcp.example.com".to_owned()],
            allowed_origins: vec!["https://chat.example.com".to_owned()],
            ..McpConfig::default()
        };
        let policy = McpPolicy {
            hub: Arc::new(Hub::following(&config, &Arc::default(), None).unwrap()),
            is_local,
            revision: 0,
        };
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::try_from(host).unwrap());
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, HeaderValue::try_from(origin).unwrap());
        }
        check(&headers, None, &policy).is_ok()
    }

    #[test]
    fn rebound_names_and_strange_pages_are_kept_out() {
        for (is_local, host, origin, expected) in [
            (true, "127.0.0.1:8080", None, true),
            (true, "localhost", Some("http://localhost:3000"), true),
            (true, "[::1]:8080", Some("http://[::1]:3000"), true),
            (true, "mcp.example.com", None, true),
            (true, "evil.example.com", None, false),
            (
                true,
                "evil.example.com:8080",
                Some("http://evil.example.com:8080"),
                false,
            ),
            (true, "localhost.evil.example.com", None, false),
            (true, "localhost:8080", Some("http://evil.example.com"), false),
            (true, "localhost:8080", Some("null"), false),
            (
                true,
                "localhost:8080",
                Some("http://localhost.evil.example.com"),
                false,
            ),
            (true, "", None, false),
            (false, "gateway.internal", None, true),
            (false, "gateway.internal", Some("https://chat.example.com"), true),
            (false, "gateway.internal", Some("http://gateway.internal"), false),
        ] {
            assert_eq!(judged(is_local, host, origin), expected, "{host} {origin:?}");
        }
    }

    #[test]
    fn kinds_of_answers_are_read_with_their_wildcards() {
        for (accept, expected) in [
            ("application/json, text/event-stream", true),
            ("text/event-stream;q=0.9, application/*", true),
            ("*/*", true),
            ("application/json", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, HeaderValue::try_from(accept).unwrap());
            headers.insert(
                header::CONTENT_TYPE,
                HeaderValue::from_static("application/json; charset=utf-8"),
            );
            assert_eq!(check_forms(&headers).is_ok(), expected, "{accept}");
        }
    }
}
