//! Whole answers of Gemini generateContent.

use bytes::Bytes;

use crate::form::ChatResponse;
use crate::format::DecodeError;

/// Reads a whole answer.
///
/// # Errors
/// When it is not one.
pub fn decode(_body: &Bytes) -> Result<ChatResponse, DecodeError> {
    Err(DecodeError::plain("Gemini generateContent is not there yet"))
}

/// Writes a whole answer.
#[must_use]
pub fn encode(_response: &ChatResponse) -> Bytes {
    Bytes::new()
}
