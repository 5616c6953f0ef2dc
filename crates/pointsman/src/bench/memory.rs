//! Memory of open streams.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, Request, header};
use http_body_util::{BodyExt, Full};
use pointsman_testbed::{load, process};
use serde_json::{Value, json};

use super::fleet::{Fleet, Route};

/// Streams that are open at once.
const STREAMS: usize = 1_000;

/// Opens streams that stop in the middle and looks at the gateway's memory before and with them.
pub(crate) async fn open_streams(fleet: &Fleet) -> Result<Value, String> {
    let pid = fleet.gateway_pid();
    let before = process::resident(pid);
    let mut open = Vec::new();
    for _ in 0..STREAMS {
        open.push(open_one(fleet).await?);
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let with = process::resident(pid);
    let each = with.saturating_sub(before) / STREAMS as u64;
    drop(open);
    Ok(
        json!({"streams": STREAMS, "before_bytes": before, "with_bytes": with, "bytes_each": each, "provider": fleet.slow().to_string()}),
    )
}

/// A stream whose first content has come.
async fn open_one(fleet: &Fleet) -> Result<hyper::body::Incoming, String> {
    let address = fleet.address(Route::Pointsman);
    let mut sender = load::connect(address).await.map_err(|error| error.to_string())?;
    let body = r#"{"model":"slow","stream":true,"messages":[{"role":"user","content":"repeat 50 words"}]}"#;
    let mut headers = HeaderMap::new();
    let key = HeaderValue::from_str(&format!("Bearer {}", fleet.key(Route::Pointsman)))
        .map_err(|error| error.to_string())?;
    headers.insert(header::AUTHORIZATION, key);
    headers.insert(
        header::HOST,
        HeaderValue::from_str(&address.to_string()).map_err(|error| error.to_string())?,
    );
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let mut request = Request::new(Full::new(bytes::Bytes::from_static(body.as_bytes())));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = http::Uri::from_static("/v1/chat/completions");
    *request.headers_mut() = headers;
    let response = tokio::time::timeout(Duration::from_secs(30), sender.send_request(request));
    let response = response
        .await
        .map_err(|_| "no stream began".to_owned())?
        .map_err(|error| error.to_string())?;
    let mut body = response.into_body();
    let _ = tokio::time::timeout(Duration::from_secs(5), body.frame()).await;
    Ok(body)
}
