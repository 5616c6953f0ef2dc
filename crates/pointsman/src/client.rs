//! A small client for loopback: probes, the demo, the benchmark.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use pointsman_testbed::load;

/// An answer.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// Address and path prefix of a base URL on this machine.
pub(crate) fn address_of(base_url: &str) -> Option<(SocketAddr, String)> {
    let rest = base_url.strip_prefix("http://")?;
    let (authority, prefix) = rest
        .split_once('/')
        .map_or((rest, String::new()), |(authority, path)| {
            (authority, format!("/{path}"))
        });
    Some((authority.parse().ok()?, prefix))
}

/// Asks for a path.
pub(crate) async fn get(address: SocketAddr, path: &str) -> Result<Bytes, String> {
    send(address, Method::GET, path, HeaderMap::new(), Bytes::new())
        .await
        .map(|answer| answer.body)
}

/// Posts JSON with a key.
pub(crate) async fn post(
    address: SocketAddr,
    path: &str,
    key: &str,
    body: &serde_json::Value,
) -> Result<Answer, String> {
    let mut headers = HeaderMap::new();
    headers.insert(
        header::AUTHORIZATION,
        format!("Bearer {key}")
            .parse()
            .map_err(|_| "not a key".to_owned())?,
    );
    headers.insert(
        header::CONTENT_TYPE,
        http::HeaderValue::from_static("application/json"),
    );
    send(address, Method::POST, path, headers, body.to_string().into()).await
}

async fn send(
    address: SocketAddr,
    method: Method,
    path: &str,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Answer, String> {
    let said = |error: &dyn std::fmt::Display| error.to_string();
    let mut sender = load::connect(address).await.map_err(|error| said(&error))?;
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = method;
    *request.uri_mut() = path.parse().map_err(|error| said(&error))?;
    *request.headers_mut() = headers;
    request.headers_mut().insert(
        header::HOST,
        address.to_string().parse().map_err(|error| said(&error))?,
    );
    let response = sender.send_request(request).await.map_err(|error| said(&error))?;
    let (parts, body) = response.into_parts();
    let body = body.collect().await.map_err(|error| said(&error))?.to_bytes();
    Ok(Answer {
        status: parts.status,
        headers: parts.headers,
        body,
    })
}
