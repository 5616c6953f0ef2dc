//! A compacted conversation (`POST /responses/compact`): only what it used is read, the rest is the provider's.

use bytes::Bytes;

use super::usage::read_usage;
use crate::form::{Text, Usage};
use crate::format::DecodeError;
use crate::json::fields::parse;

/// What a provider used to compact a conversation, where it says so.
///
/// # Errors
/// When the body is no compacted conversation.
pub fn response_usage(body: &Bytes) -> Result<Option<Usage>, DecodeError> {
    let body = Text::try_from(body.clone()).map_err(|_| DecodeError::plain("the body is not UTF-8"))?;
    let value = parse(&body)?;
    let mut fields = value.fields()?;
    if !fields.has("output") {
        return Err(DecodeError::plain("output is missing"));
    }
    fields.take("usage", |usage| read_usage(&usage))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_is_read_and_anything_else_left_alone() {
        let usage = |body: &'static str| response_usage(&Bytes::from_static(body.as_bytes()));
        let told = r#"{"object":"response.compaction","output":[{"type":"compaction","encrypted_content":"x"}],"usage":{"input_tokens":7,"output_tokens":3}}"#;
        let found = usage(told).unwrap().unwrap();
        assert_eq!((found.input, found.output), (7, 3));
        assert_eq!(usage(r#"{"output":[]}"#).unwrap(), None);
        assert!(usage(r#"{"id":"resp_1"}"#).is_err());
        assert!(usage("<html>").is_err());
    }
}
