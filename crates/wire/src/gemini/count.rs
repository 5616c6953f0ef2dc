//! `countTokens`: the same request, or one wrapped in `generateContentRequest`; a number for an answer.

use bytes::Bytes;

use super::{names, request};
use crate::form::{ChatRequest, Text};
use crate::format::DecodeError;
use crate::json::fields::parse;
use crate::json::write::object;

/// Reads a request to count.
///
/// # Errors
/// When it does not say what the format demands.
pub fn decode_request(body: &Bytes) -> Result<ChatRequest, DecodeError> {
    let text = Text::try_from(body.clone()).map_err(|_| DecodeError::plain("the body is not UTF-8"))?;
    let value = parse(&text)?;
    let mut fields = names::fields(&value, &["generateContentRequest"])?;
    let whole = fields.take("generateContentRequest", |request| Ok(Text::from(request.text())))?;
    request::decode(&whole.map_or_else(|| body.clone(), Text::into_bytes))
}

/// Writes the count.
#[must_use]
pub fn encode_response(tokens: u64) -> Bytes {
    object(|body| body.count("totalTokens", tokens)).into()
}
