//! Token counting: the same request, a number for an answer.

use bytes::Bytes;

use crate::form::ChatRequest;
use crate::format::DecodeError;
use crate::json::write::object;

/// Reads a request to count.
///
/// # Errors
/// When it does not say what the format demands.
pub fn decode_request(body: &Bytes) -> Result<ChatRequest, DecodeError> {
    super::request::decode_without_limit(body)
}

/// Writes the count.
#[must_use]
pub fn encode_response(tokens: u64) -> Bytes {
    object(|body| body.count("input_tokens", tokens)).into()
}
