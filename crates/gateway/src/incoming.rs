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

/// Reads the body of a request, as it was sent.
///
/// # Errors
/// 413 when it is larger than the limit, 408 when it comes too slowly, 400 when the client breaks off.
pub async fn read(body: Incoming, bounds: BodyBounds) -> Result<Bytes, Failure> {
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

/// The body freed of its content coding.
///
/// # Errors
/// 413 when it is larger than the limit, 415 for an unknown coding, 400 when the coding is damaged.
pub fn decode(headers: &HeaderMap, body: Bytes, limit: usize) -> Result<Bytes, Failure> {
    match headers.get(header::CONTENT_ENCODING) {
        None => Ok(body),
        Some(coding) => decompress(&body, coding.to_str().unwrap_or("unreadable"), limit),
    }
}

async fn collect(mut body: Incoming, limit: usize) -> Result<Bytes, Failure> {
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
