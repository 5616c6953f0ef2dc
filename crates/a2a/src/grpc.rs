//! gRPC: frames, statuses and their details, over HTTP/2.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use serde_json::{Value, json};

use crate::error::{A2aError, Kind};
use crate::json;
use crate::operation::Operation;
use crate::proto::{self, schema};

/// The path that all methods begin with.
pub const SERVICE: &str = "/lf.a2a.v1.A2AService/";
/// The type of bodies.
pub const CONTENT_TYPE: HeaderValue = HeaderValue::from_static("application/grpc");
/// The status of a call.
pub const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");
/// What of a message is encoded.
const PLAIN: &AsciiSet = &CONTROLS.add(b'%');
/// What stands before a message.
const HEAD: usize = 5;

/// Statuses by their numbers.
const CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// The operation of a path.
#[must_use]
pub fn operation(path: &str) -> Option<Operation> {
    let method = path.strip_prefix(SERVICE)?;
    Operation::named(method)
        .filter(|(_, version)| *version == crate::version::Version::V10)
        .map(|(operation, _)| operation)
}

/// A message as it is sent.
#[must_use]
pub fn frame(message: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(HEAD + message.len());
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    frame.extend_from_slice(message);
    frame.freeze()
}

/// Takes messages out of bytes, however they are cut.
#[derive(Debug)]
pub struct Frames {
    bytes: BytesMut,
    limit: usize,
}

impl Frames {
    /// Messages of `limit` bytes at most.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            bytes: BytesMut::new(),
            limit,
        }
    }

    /// Takes bytes in.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next message that is whole.
    ///
    /// # Errors
    /// When it is too large, or compressed.
    pub fn take(&mut self) -> Result<Option<Bytes>, &'static str> {
        let Some((head, _)) = self.bytes.split_first_chunk::<HEAD>() else {
            return Ok(None);
        };
        let [coding, length @ ..] = *head;
        if coding != 0 {
            return Err("compressed messages are not taken");
        }
        let length = u32::from_be_bytes(length) as usize;
        if length > self.limit {
            return Err("a message is too large");
        }
        if self.bytes.len() < HEAD + length {
            return Ok(None);
        }
        self.bytes.advance(HEAD);
        Ok(Some(self.bytes.split_to(length).freeze()))
    }

    /// Whether a message has begun that is not whole.
    #[must_use]
    pub fn is_within(&self) -> bool {
        !self.bytes.is_empty()
    }
}

/// The status of a call that went well, as trailers.
#[must_use]
pub fn good() -> HeaderMap {
    let mut trailers = HeaderMap::new();
    trailers.insert(STATUS, HeaderValue::from_static("0"));
    trailers
}

/// An error as trailers.
#[must_use]
pub fn bad(error: &A2aError) -> HeaderMap {
    let name = match error.kind {
        Kind::Method => "UNIMPLEMENTED",
        _ => error.grpc(),
    };
    let code = CODES.iter().position(|known| *known == name).unwrap_or(2);
    let mut trailers = HeaderMap::new();
    trailers.insert(STATUS, HeaderValue::from(code as u64));
    let message = utf8_percent_encode(&error.message, PLAIN).to_string();
    if let Ok(message) = HeaderValue::try_from(message) {
        trailers.insert(MESSAGE, message);
    }
    let details: Vec<Value> = error
        .details()
        .iter()
        .filter_map(|detail| any(detail.get()))
        .collect();
    let status = json!({ "code": code, "message": error.message, "details": details });
    let bytes = proto::encode(&schema::STATUS_RPC, &status).unwrap_or_default();
    if let Ok(value) = HeaderValue::try_from(STANDARD_NO_PAD.encode(bytes)) {
        trailers.insert(DETAILS, value);
    }
    trailers
}

/// A detail of a known type, packed.
fn any(detail: &str) -> Option<Value> {
    let detail: Value = serde_json::from_str(detail).ok()?;
    let name = detail["@type"].as_str()?;
    let bytes = proto::encode(schema::detail(name)?, &detail).ok()?;
    Some(json!({ "typeUrl": name, "value": STANDARD.encode(bytes) }))
}

/// What trailers, or headers in their place, tell of a call.
///
/// # Errors
/// The error that it ended with.
pub fn outcome(trailers: &HeaderMap, about_task: bool) -> Result<(), A2aError> {
    let text = |name: &HeaderName| trailers.get(name).and_then(|value| value.to_str().ok());
    let code: usize = text(&STATUS).and_then(|code| code.parse().ok()).unwrap_or(2);
    if code == 0 {
        return Ok(());
    }
    let message = text(&MESSAGE).unwrap_or("the agent failed");
    let message = percent_decode_str(message).decode_utf8_lossy().into_owned();
    let status = text(&DETAILS)
        .and_then(|value| STANDARD_NO_PAD.decode(value.trim_end_matches('=')).ok())
        .and_then(|bytes| proto::decode(&schema::STATUS_RPC, &bytes).ok());
    let details: Vec<Value> = status
        .as_ref()
        .and_then(|status| status["details"].as_array())
        .map(|all| all.iter().filter_map(unpacked).collect())
        .unwrap_or_default();
    let kind = match CODES.get(code).copied().unwrap_or_default() {
        "NOT_FOUND" if about_task => Kind::TaskNotFound,
        "INVALID_ARGUMENT" | "OUT_OF_RANGE" => Kind::Params,
        "UNIMPLEMENTED" | "FAILED_PRECONDITION" => Kind::Unsupported,
        _ => Kind::Internal,
    };
    if details.is_empty() {
        return Err(A2aError::from_named(kind, &message));
    }
    Err(A2aError::told(kind, &message, json::raw(&details)))
}

fn unpacked(any: &Value) -> Option<Value> {
    let name = any["typeUrl"].as_str()?;
    let bytes = STANDARD.decode(any["value"].as_str()?).ok()?;
    let mut detail = proto::decode(schema::detail(name)?, &bytes).ok()?;
    detail["@type"] = json!(name);
    Some(detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_the_same_however_they_are_cut() {
        let all = [frame(b"one"), frame(b""), frame(&[7; 300])].concat();
        for size in [1, 2, 5, 7, 1_000] {
            let (mut frames, mut told) = (Frames::new(1_000), Vec::new());
            for piece in all.chunks(size) {
                frames.push(piece);
                while let Some(message) = frames.take().unwrap() {
                    told.push(message.len());
                }
            }
            assert_eq!(told, [3, 0, 300]);
            assert!(!frames.is_within());
        }
        let mut large = Frames::new(10);
        large.push(&frame(&[0; 11]));
        assert!(large.take().is_err());
    }

    #[test]
    fn errors_come_back_as_they_were() {
        for kind in [
            Kind::TaskNotFound,
            Kind::TaskNotCancelable,
            Kind::PushNotSupported,
            Kind::ContentType,
            Kind::VersionNotSupported,
            Kind::Params,
            Kind::Internal,
        ] {
            let back = outcome(&bad(&A2aError::new(kind, "Ä: 100 %")), false).unwrap_err();
            assert_eq!((back.kind, back.message.as_str()), (kind, "Ä: 100 %"));
        }
        assert!(outcome(&good(), false).is_ok());
        let mut alone = HeaderMap::new();
        alone.insert(STATUS, HeaderValue::from_static("5"));
        assert_eq!(outcome(&alone, true).unwrap_err().kind, Kind::TaskNotFound);
    }

    #[test]
    fn only_methods_of_the_service_are_operations() {
        assert_eq!(operation("/lf.a2a.v1.A2AService/GetTask"), Some(Operation::Get));
        assert_eq!(operation("/lf.a2a.v1.A2AService/tasks/get"), None);
        assert_eq!(operation("/a2a.v1.A2AService/GetTask"), None);
    }
}
