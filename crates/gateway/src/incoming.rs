//! The request body: read whole, within one limit and one deadline, and freed of its content coding.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, header};
use http_body::Body;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use pointsman_wire::coding;
use pointsman_wire::form::{Failure, FailureKind};

/// How much of a body is read, and for how long. One place for every surface.
#[derive(Debug, Clone, Copy)]
pub struct BodyBounds {
    /// Most bytes, before and after decompression.
    pub limit: usize,
    /// Longest time from the first to the last byte.
    pub timeout: Duration,
}

/// Most that is read of a body nobody wants, and for how long.
const REST: usize = 256 * 1024 * 1024;
const REST_TIME: Duration = Duration::from_secs(5);

/// Reads the body of a request, as it was sent.
///
/// # Errors
/// 413 when it is larger than the limit, 408 when it comes too slowly, 400 when the client breaks off.
pub async fn read(headers: &HeaderMap, mut body: Incoming, bounds: BodyBounds) -> Result<Bytes, Failure> {
    let received = receive(&mut body, bounds).await;
    if received.is_err() {
        leave(headers, body);
    }
    received
}

/// Reads what is left of a body that is not wanted, beside the answer and within bounds: a connection that is closed
/// with bytes unread is reset, and a client that is still sending would lose its answer with it.
pub fn leave(headers: &HeaderMap, mut body: Incoming) {
    // Who waits to be told to continue sends nothing unless it is told.
    if body.is_end_stream() || headers.contains_key(header::EXPECT) {
        return;
    }
    let rest = async move {
        let mut left = REST;
        while let Some(Ok(frame)) = body.frame().await {
            left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
            if left == 0 {
                return;
            }
        }
    };
    tokio::spawn(tokio::time::timeout(REST_TIME, rest));
}

async fn receive(body: &mut Incoming, bounds: BodyBounds) -> Result<Bytes, Failure> {
    if body.size_hint().lower() > bounds.limit as u64 {
        return Err(too_large(bounds.limit));
    }
    let read = tokio::time::timeout(bounds.timeout, collect(body, bounds.limit));
    read.await.map_err(|_| {
        Failure::new(
            FailureKind::ClientTimeout,
            "the request body did not arrive in time; send it faster or raise server.request_timeout",
        )
    })?
}

/// The body freed of its content codings: a list, in one line or in several.
///
/// # Errors
/// 413 when it is larger than the limit, 415 for an unknown coding, 400 when the coding is damaged.
pub fn decode(headers: &HeaderMap, body: Bytes, limit: usize) -> Result<Bytes, Failure> {
    let mut lines = headers.get_all(header::CONTENT_ENCODING).iter();
    let Some(first) = lines.next() else {
        return Ok(body);
    };
    let mut codings = first.to_str().unwrap_or("unreadable").to_owned();
    for line in lines {
        codings.push(',');
        codings.push_str(line.to_str().unwrap_or("unreadable"));
    }
    decompress(&body, &codings, limit)
}

async fn collect(body: &mut Incoming, limit: usize) -> Result<Bytes, Failure> {
    let mut first: Option<Bytes> = None;
    let mut rest = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            Failure::new(
                FailureKind::InvalidRequest,
                format!("the request body broke off: {error}"),
            )
        })?;
        let Ok(data) = frame.into_data() else { continue };
        let so_far = first.as_ref().map_or(0, Bytes::len) + rest.len();
        if so_far + data.len() > limit {
            return Err(too_large(limit));
        }
        // Most bodies are one chunk: keep it as it is, copy only when a second one comes.
        match (&first, rest.is_empty()) {
            (None, true) => first = Some(data),
            (Some(_), _) => {
                let head = first.take().unwrap_or_default();
                rest.reserve(body.size_hint().lower() as usize + head.len() + data.len());
                rest.extend_from_slice(&head);
                rest.extend_from_slice(&data);
            }
            (None, false) => rest.extend_from_slice(&data),
        }
    }
    Ok(first.unwrap_or_else(|| rest.freeze()))
}

fn decompress(bytes: &Bytes, coding: &str, limit: usize) -> Result<Bytes, Failure> {
    coding::decode_all(bytes, coding, limit).map_err(|error| match error {
        coding::CodingError::TooLarge { .. } => too_large(limit),
        coding::CodingError::Unsupported { .. } => {
            Failure::new(FailureKind::UnsupportedMediaType, error.to_string())
        }
        coding::CodingError::Corrupt { .. } => Failure::new(FailureKind::InvalidRequest, error.to_string()),
    })
}

fn too_large(limit: usize) -> Failure {
    Failure::new(
        FailureKind::TooLarge,
        format!("the request body is larger than {limit} bytes; raise server.request_limit if it must be"),
    )
}
