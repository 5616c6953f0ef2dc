//! CountTokens: a request of Converse or the body of InvokeModel, wrapped in `input`; a number for an answer.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use super::{invoke, request};
use crate::form::{ChatRequest, Text};
use crate::format::DecodeError;
use crate::json::fields::{Value, parse};
use crate::json::write::object;

/// Reads a request to count.
///
/// # Errors
/// When it does not say what the format demands.
pub fn decode_request(body: &Bytes) -> Result<ChatRequest, DecodeError> {
    let text = Text::try_from(body.clone()).map_err(|_| DecodeError::plain("the body is not UTF-8"))?;
    parse(&text)?.fields()?.need("input", |input| {
        let mut fields = input.fields()?;
        if let Some(converse) = fields.take("converse", |said| Ok(Text::from(said.text())))? {
            return request::decode(&converse.into_bytes());
        }
        let invoked = fields.take("invokeModel", |said| said.fields()?.need("body", decode_blob))?;
        let invoked = invoked.ok_or_else(|| input.error("give either converse or invokeModel"))?;
        invoke::decode_request(&invoked)
    })
}

/// Bytes, as AWS writes them in JSON.
fn decode_blob(value: Value<'_>) -> Result<Bytes, DecodeError> {
    let bytes = STANDARD.decode(&*value.string()?);
    bytes.map(Bytes::from).map_err(|_| value.error("not base64"))
}

/// Writes the count.
#[must_use]
pub fn encode_response(tokens: u64) -> Bytes {
    object(|body| body.count("inputTokens", tokens)).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::Format;

    #[test]
    fn either_body_is_read() {
        let said = r#"{"input":{"converse":{"messages":[{"role":"user","content":[{"text":"hello"}]}]}}}"#;
        let request = decode_request(&Bytes::from_static(said.as_bytes())).unwrap();
        assert_eq!(
            (request.format, request.messages.len()),
            (Format::BedrockConverse, 1)
        );
        let inner = r#"{"anthropic_version":"bedrock-2023-05-31","max_tokens":9,"messages":[{"role":"user","content":"hello"}]}"#;
        let said = format!(
            r#"{{"input":{{"invokeModel":{{"body":"{}"}}}}}}"#,
            STANDARD.encode(inner)
        );
        let request = decode_request(&said.into()).unwrap();
        assert_eq!(request.messages.len(), 1);
        for wrong in [
            "{}",
            r#"{"input":{}}"#,
            r#"{"input":{"invokeModel":{"body":"?"}}}"#,
            r#"{"input":{"converse":{}}}"#,
        ] {
            assert!(decode_request(&Bytes::from(wrong)).is_err(), "{wrong}");
        }
        assert_eq!(&*encode_response(7), br#"{"inputTokens":7}"#);
    }
}
