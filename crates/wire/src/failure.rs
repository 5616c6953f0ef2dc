//! Failures in each format: written for clients, read from providers.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::Deserialize;

use crate::form::{Failure, FailureKind};
use crate::format::Format;
use crate::json::write::{self, Object};
use crate::{bedrock, cohere, gemini, responses};

/// A failure as a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// The status that the format's SDKs map to the right exception.
    pub status: StatusCode,
    /// The body.
    pub body: Bytes,
    /// The header in which Bedrock's SDKs look for the type of the failure.
    pub header: Option<(HeaderName, HeaderValue)>,
}

/// The header that names the type of a failure (AWS).
pub const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");

/// Failures that a fallback may be configured for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureClass {
    /// The prompt does not fit into the model's context window.
    ContextWindow,
    /// The provider refuses the content.
    ContentPolicy,
}

/// Most characters of a provider's message that are told on.
pub(crate) const MAX_MESSAGE: usize = 2_000;

/// The status of a failure in `format`.
#[must_use]
pub fn status(format: Format, failure: &Failure) -> StatusCode {
    let code = match failure.kind {
        kind if is_bedrock(format) => bedrock::failure::name_of(kind).1,
        FailureKind::InvalidRequest => 400,
        FailureKind::Authentication => 401,
        FailureKind::PermissionDenied => 403,
        FailureKind::NotFound => 404,
        FailureKind::MethodNotAllowed => 405,
        FailureKind::ClientTimeout => 408,
        FailureKind::TooLarge => 413,
        FailureKind::UnsupportedMediaType => 415,
        FailureKind::Unprocessable => 422,
        FailureKind::RateLimited | FailureKind::QuotaExceeded => 429,
        FailureKind::Internal => 500,
        FailureKind::Provider => 502,
        FailureKind::Unavailable => 503,
        FailureKind::ProviderTimeout => 504,
        FailureKind::Overloaded if format == Format::AnthropicMessages => 529,
        FailureKind::Overloaded => 503,
    };
    StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// The failure as a response in `format`.
#[must_use]
pub fn render(format: Format, failure: &Failure, request_id: &str) -> Rendered {
    let body = match format {
        Format::OpenAiChat | Format::OpenAiCompletions => {
            write::object(|body| body.object("error", |error| openai(error, failure)))
        }
        Format::AnthropicMessages => write::object(|body| anthropic(body, failure, request_id)),
        Format::OpenAiResponses => responses::failure::render(failure, request_id),
        Format::GeminiGenerate => gemini::failure::render(failure, request_id),
        Format::BedrockConverse | Format::BedrockInvoke => bedrock::failure::render(failure, request_id),
        Format::CohereChat => cohere::failure::render(failure, request_id),
    };
    let header = is_bedrock(format).then(|| {
        let (name, _) = bedrock::failure::name_of(failure.kind);
        (ERROR_TYPE, HeaderValue::from_static(name))
    });
    Rendered {
        status: status(format, failure),
        body: body.into(),
        header,
    }
}

/// The failure as the event that ends a stream in `format`, where nothing came before it.
pub fn render_event(format: Format, failure: &Failure, request_id: &str, out: &mut BytesMut) {
    render_event_at(format, failure, (request_id, 0), out);
}

/// The failure as the event that ends a stream in `format`; `number` is its own where the format numbers events.
pub fn render_event_at(
    format: Format,
    failure: &Failure,
    (request_id, number): (&str, u64),
    out: &mut BytesMut,
) {
    match format {
        Format::OpenAiChat | Format::OpenAiCompletions => {}
        Format::AnthropicMessages => out.extend_from_slice(b"event: error\n"),
        Format::OpenAiResponses => return responses::failure::render_event(failure, number, out),
        Format::GeminiGenerate => return gemini::failure::render_event(failure, request_id, out),
        Format::BedrockConverse | Format::BedrockInvoke => {
            return bedrock::failure::render_event(failure, request_id, out);
        }
        Format::CohereChat => return cohere::failure::render_event(failure, request_id, out),
    }
    let rendered = render(format, failure, request_id);
    out.extend_from_slice(b"data: ");
    out.extend_from_slice(&rendered.body);
    out.extend_from_slice(b"\n\n");
}

pub(crate) fn openai(error: &mut Object<'_>, failure: &Failure) {
    let (kind, code) = match failure.kind {
        FailureKind::InvalidRequest | FailureKind::UnsupportedMediaType | FailureKind::Unprocessable => {
            ("invalid_request_error", None)
        }
        FailureKind::Authentication => ("invalid_request_error", Some("invalid_api_key")),
        FailureKind::PermissionDenied => ("permission_error", Some("permission_denied")),
        FailureKind::NotFound => ("invalid_request_error", Some("not_found")),
        FailureKind::MethodNotAllowed => ("invalid_request_error", Some("method_not_allowed")),
        FailureKind::ClientTimeout => ("timeout_error", Some("request_timeout")),
        FailureKind::TooLarge => ("invalid_request_error", Some("request_too_large")),
        FailureKind::RateLimited => ("rate_limit_error", Some("rate_limit_exceeded")),
        FailureKind::QuotaExceeded => ("insufficient_quota", Some("insufficient_quota")),
        FailureKind::Internal => ("server_error", Some("internal_error")),
        FailureKind::Provider => ("server_error", Some("provider_failed")),
        FailureKind::Unavailable | FailureKind::Overloaded => ("server_error", Some("unavailable")),
        FailureKind::ProviderTimeout => ("timeout_error", Some("provider_timeout")),
    };
    error.string("message", &failure.message);
    error.string("type", kind);
    match &failure.param {
        Some(param) => error.string("param", param),
        None => error.raw("param", "null"),
    }
    match failure.code.as_deref().or(code) {
        Some(code) => error.string("code", code),
        None => error.raw("code", "null"),
    }
}

fn anthropic(body: &mut Object<'_>, failure: &Failure, request_id: &str) {
    let kind = match failure.kind {
        FailureKind::InvalidRequest
        | FailureKind::Unprocessable
        | FailureKind::MethodNotAllowed
        | FailureKind::UnsupportedMediaType => "invalid_request_error",
        FailureKind::Authentication => "authentication_error",
        FailureKind::PermissionDenied => "permission_error",
        FailureKind::NotFound => "not_found_error",
        FailureKind::TooLarge => "request_too_large",
        FailureKind::RateLimited | FailureKind::QuotaExceeded => "rate_limit_error",
        FailureKind::ClientTimeout | FailureKind::ProviderTimeout => "timeout_error",
        FailureKind::Overloaded | FailureKind::Unavailable => "overloaded_error",
        FailureKind::Internal | FailureKind::Provider => "api_error",
    };
    body.string("type", "error");
    body.object("error", |error| {
        error.string("type", kind);
        error.string("message", &failure.message);
    });
    body.string("request_id", request_id);
}

#[derive(Deserialize, Default)]
struct Told {
    error: Option<ToldError>,
    // Some servers put the message at the top (vLLM before 0.10, FastAPI).
    #[serde(alias = "Message")]
    message: Option<String>,
    detail: Option<serde_json::Value>,
    // AWS.
    #[serde(rename = "__type")]
    aws_type: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum ToldError {
    Object {
        message: Option<String>,
        #[serde(rename = "type")]
        kind: Option<String>,
        code: Option<serde_json::Value>,
        param: Option<String>,
    },
    Text(String),
}

/// Reads a provider's error.
#[must_use]
pub fn decode(format: Format, status: StatusCode, retry_after: Option<Duration>, body: &[u8]) -> Failure {
    decode_typed(format, status, &HeaderMap::new(), retry_after, body)
}

/// Reads a provider's error whose type may stand in a header.
#[must_use]
pub fn decode_typed(
    format: Format,
    status: StatusCode,
    headers: &HeaderMap,
    retry_after: Option<Duration>,
    body: &[u8],
) -> Failure {
    if format == Format::GeminiGenerate
        && let Some(failure) = gemini::failure::decode(status, retry_after, body)
    {
        return failure;
    }
    let told: Told = serde_json::from_slice(body).unwrap_or_default();
    let named = headers.get(ERROR_TYPE).and_then(|name| name.to_str().ok());
    let named = named.or(told.aws_type.as_deref()).filter(|_| is_bedrock(format));
    let named = named.map(|name| bedrock::failure::bare(name).to_owned());
    let (message, kind, code, param) = match told.error {
        Some(ToldError::Object {
            message,
            kind,
            code,
            param,
        }) => (message, kind, code, param),
        Some(ToldError::Text(message)) => (Some(message), None, None, None),
        None => (
            told.message
                .or_else(|| told.detail.map(|detail| detail.to_string())),
            None,
            None,
            None,
        ),
    };
    let code = code.and_then(|code| match code {
        serde_json::Value::String(code) => Some(code),
        _ => None,
    });
    let message = message.unwrap_or_else(|| format!("the provider answered {status} without saying why"));
    let aws = named.as_deref().and_then(bedrock::failure::kind_of);
    let aws = aws.or_else(|| {
        is_bedrock(format)
            .then(|| bedrock::failure::kind_of_status(status))
            .flatten()
    });
    let sort = aws.unwrap_or_else(|| kind_of(status, kind.as_deref(), code.as_deref()));
    let mut failure = Failure::new(sort, self::told(&message));
    failure.param = param;
    failure.code = named.or(code).or(kind);
    failure.retry_after = retry_after;
    failure
}

fn is_bedrock(format: Format) -> bool {
    matches!(format, Format::BedrockConverse | Format::BedrockInvoke)
}

/// A provider's message as it may be told on: not too long, and without keys.
pub(crate) fn told(message: &str) -> String {
    mask_keys(message).chars().take(MAX_MESSAGE).collect()
}

fn kind_of(status: StatusCode, kind: Option<&str>, code: Option<&str>) -> FailureKind {
    match (status.as_u16(), kind, code) {
        (_, Some("overloaded_error"), _) | (529, _, _) => FailureKind::Overloaded,
        (429, _, Some("insufficient_quota")) => FailureKind::Provider,
        (400, _, _) => FailureKind::InvalidRequest,
        (401, _, _) => FailureKind::Authentication,
        (403, _, _) => FailureKind::PermissionDenied,
        (404, _, _) => FailureKind::NotFound,
        (408 | 504, _, _) => FailureKind::ProviderTimeout,
        (413, _, _) => FailureKind::TooLarge,
        (422, _, _) => FailureKind::Unprocessable,
        (429, _, _) => FailureKind::RateLimited,
        (503, _, _) => FailureKind::Unavailable,
        (402 | 405..=499, _, _) => FailureKind::InvalidRequest,
        _ => FailureKind::Provider,
    }
}

/// Whether a fallback for this sort of failure may help.
#[must_use]
pub fn classify(failure: &Failure) -> Option<FailureClass> {
    if !matches!(
        failure.kind,
        FailureKind::InvalidRequest | FailureKind::TooLarge | FailureKind::PermissionDenied
    ) {
        return None;
    }
    let code = failure.code.as_deref().unwrap_or_default();
    let message = failure.message.to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| message.contains(word));
    if code == "context_length_exceeded"
        || says(&[
            "context length",
            "context window",
            "maximum context",
            "prompt is too long",
            "too many tokens",
            "input is too long",
            "exceeds the maximum number of tokens",
        ])
    {
        return Some(FailureClass::ContextWindow);
    }
    let policy = [
        "content_filter",
        "content_policy_violation",
        "responsible_ai_policy_violation",
    ];
    if policy.contains(&code)
        || says(&[
            "content policy",
            "content management policy",
            "content filtering policy",
            "safety system",
        ])
    {
        return Some(FailureClass::ContentPolicy);
    }
    None
}

/// Hides what looks like a key: providers quote the key they refuse.
pub(crate) fn mask_keys(message: &str) -> String {
    let mut out = String::with_capacity(message.len());
    for word in message.split_inclusive(char::is_whitespace) {
        let secret = ["sk-", "sk_", "pm-", "key-", "gsk_", "xai-", "AIza", "Bearer"]
            .iter()
            .any(|prefix| {
                word.find(prefix)
                    .is_some_and(|at| word.len() - at > prefix.len() + 8)
            });
        if secret {
            out.push_str("[key hidden]");
            out.extend(word.chars().rev().take_while(|letter| letter.is_whitespace()));
        } else {
            out.push_str(word);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(format: Format, failure: &Failure) -> serde_json::Value {
        serde_json::from_slice(&render(format, failure, "req_1").body).unwrap()
    }

    #[test]
    fn each_format_tells_it_its_own_way() {
        let failure = Failure::new(FailureKind::RateLimited, "slow down").at("model");
        assert_eq!(
            body(Format::OpenAiChat, &failure),
            serde_json::json!({"error": {"message": "slow down", "type": "rate_limit_error", "param": "model", "code": "rate_limit_exceeded"}})
        );
        assert_eq!(
            body(Format::AnthropicMessages, &failure),
            serde_json::json!({"type": "error", "error": {"type": "rate_limit_error", "message": "slow down"}, "request_id": "req_1"})
        );
        let overloaded = Failure::new(FailureKind::Overloaded, "later");
        assert_eq!(status(Format::AnthropicMessages, &overloaded).as_u16(), 529);
        assert_eq!(status(Format::OpenAiChat, &overloaded).as_u16(), 503);
    }

    #[test]
    fn what_providers_say_is_understood() {
        for (status, told, kind) in [
            (
                429,
                r#"{"error":{"message":"m","type":"requests","code":"rate_limit_exceeded"}}"#,
                FailureKind::RateLimited,
            ),
            (
                529,
                r#"{"type":"error","error":{"type":"overloaded_error","message":"m"}}"#,
                FailureKind::Overloaded,
            ),
            (500, "<html>oops</html>", FailureKind::Provider),
            (404, r#"{"error":"model not found"}"#, FailureKind::NotFound),
            (
                422,
                r#"{"detail":[{"loc":["body"]}]}"#,
                FailureKind::Unprocessable,
            ),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(
                decode(Format::OpenAiChat, status, None, told.as_bytes()).kind,
                kind,
                "{told}"
            );
        }
    }

    #[test]
    fn a_quoted_key_is_hidden() {
        let told =
            r#"{"error":{"message":"Incorrect API key provided: sk-proj-abcdefgh12345678. See the docs."}}"#;
        let failure = decode(
            Format::OpenAiChat,
            StatusCode::UNAUTHORIZED,
            None,
            told.as_bytes(),
        );
        assert_eq!(
            failure.message,
            "Incorrect API key provided: [key hidden] See the docs."
        );
    }

    #[test]
    fn fallbacks_know_their_failures() {
        let say = |message: &str| classify(&Failure::new(FailureKind::InvalidRequest, message));
        assert_eq!(
            say("prompt is too long: 210000 tokens > 200000 maximum"),
            Some(FailureClass::ContextWindow)
        );
        assert_eq!(
            say("This model's maximum context length is 8192 tokens"),
            Some(FailureClass::ContextWindow)
        );
        assert_eq!(
            say("blocked by our content management policy"),
            Some(FailureClass::ContentPolicy)
        );
        assert_eq!(say("temperature must be at most 2"), None);
    }
}
