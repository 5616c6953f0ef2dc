//! Requests of Gemini generateContent.

use bytes::Bytes;

use crate::form::ChatRequest;
use crate::format::{DecodeError, EncodeError, EncodeTarget, Encoded};

/// Reads a request.
///
/// # Errors
/// When it does not say what the format demands; the field is named.
pub fn decode(_body: &Bytes) -> Result<ChatRequest, DecodeError> {
    Err(DecodeError::plain("Gemini generateContent is not there yet"))
}

/// Writes a request.
///
/// # Errors
/// When it holds something the format has no counterpart for; the field is named.
pub fn encode(_request: &ChatRequest, _target: &EncodeTarget<'_>) -> Result<Encoded, EncodeError> {
    Err(EncodeError::at("", "Gemini generateContent is not there yet"))
}
