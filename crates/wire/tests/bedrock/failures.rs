//! Failures: as SDKs of AWS look for them, and as Bedrock tells them.

use bytes::BytesMut;
use http::{HeaderMap, HeaderValue, StatusCode};
use pointsman_wire::failure::{self, ERROR_TYPE, FailureClass};
use pointsman_wire::form::{Failure, FailureKind, StreamEvent};
use pointsman_wire::format::Format;
use serde_json::{Value, json};

use super::{decode, encode, message, unframe};

#[test]
fn a_failure_is_told_by_header_and_status() {
    for (kind, status, name) in [
        (FailureKind::InvalidRequest, 400, "ValidationException"),
        (FailureKind::Unprocessable, 400, "ValidationException"),
        (FailureKind::Authentication, 403, "AccessDeniedException"),
        (FailureKind::PermissionDenied, 403, "AccessDeniedException"),
        (FailureKind::NotFound, 404, "ResourceNotFoundException"),
        (FailureKind::ProviderTimeout, 408, "ModelTimeoutException"),
        (FailureKind::Provider, 424, "ModelErrorException"),
        (FailureKind::RateLimited, 429, "ThrottlingException"),
        (FailureKind::QuotaExceeded, 400, "ServiceQuotaExceededException"),
        (FailureKind::Internal, 500, "InternalServerException"),
        (FailureKind::Unavailable, 503, "ServiceUnavailableException"),
        (FailureKind::Overloaded, 503, "ServiceUnavailableException"),
    ] {
        for format in [Format::BedrockConverse, Format::BedrockInvoke] {
            let rendered = failure::render(format, &Failure::new(kind, "why"), "req_1");
            assert_eq!(rendered.status.as_u16(), status, "{kind:?}");
            assert_eq!(
                rendered.header,
                Some((ERROR_TYPE, HeaderValue::from_static(name))),
                "{kind:?}"
            );
            let body: Value = serde_json::from_slice(&rendered.body).unwrap();
            assert_eq!(body, json!({"message": "why"}));
        }
    }
    assert_eq!(
        failure::render(Format::OpenAiChat, &Failure::new(FailureKind::Internal, "m"), "r").header,
        None
    );
}

/// What some services hang on to the name of an error.
const LONG: &str = "ValidationException:http://internal.amazon.com/coral/com.amazon.bedrock/";

/// Status, header and body of what Bedrock says, and what is understood: kind and code.
const SAID: [(u16, &str, &str, FailureKind, &str); 12] = [
    (
        400,
        LONG,
        r#"{"message":"m"}"#,
        FailureKind::InvalidRequest,
        "ValidationException",
    ),
    (
        429,
        "ThrottlingException",
        r#"{"message":"m"}"#,
        FailureKind::RateLimited,
        "ThrottlingException",
    ),
    (
        429,
        "ModelNotReadyException",
        r#"{"message":"m"}"#,
        FailureKind::Overloaded,
        "ModelNotReadyException",
    ),
    (
        400,
        "ServiceQuotaExceededException",
        r#"{"message":"m"}"#,
        FailureKind::Provider,
        "ServiceQuotaExceededException",
    ),
    (
        403,
        "UnrecognizedClientException",
        r#"{"message":"m"}"#,
        FailureKind::Authentication,
        "UnrecognizedClientException",
    ),
    (
        403,
        "",
        r#"{"__type":"com.amazon.coral.service#ExpiredTokenException","message":"m"}"#,
        FailureKind::Authentication,
        "ExpiredTokenException",
    ),
    (403, "", r#"{"Message":"m"}"#, FailureKind::PermissionDenied, ""),
    (
        404,
        "ResourceNotFoundException",
        r#"{"message":"m"}"#,
        FailureKind::NotFound,
        "ResourceNotFoundException",
    ),
    (
        408,
        "ModelTimeoutException",
        r#"{"message":"m"}"#,
        FailureKind::ProviderTimeout,
        "ModelTimeoutException",
    ),
    (
        424,
        "",
        r#"{"message":"m","originalStatusCode":500}"#,
        FailureKind::Provider,
        "",
    ),
    (
        424,
        "ModelErrorException",
        r#"{"message":"m"}"#,
        FailureKind::Provider,
        "ModelErrorException",
    ),
    (
        503,
        "ServiceUnavailableException",
        r#"{"message":"m"}"#,
        FailureKind::Unavailable,
        "ServiceUnavailableException",
    ),
];

#[test]
fn what_bedrock_says_is_understood() {
    for (status, header, body, kind, code) in SAID {
        let mut headers = HeaderMap::new();
        if !header.is_empty() {
            headers.insert(ERROR_TYPE, HeaderValue::from_str(header).unwrap());
        }
        let status = StatusCode::from_u16(status).unwrap();
        let read = failure::decode_typed(Format::BedrockConverse, status, &headers, None, body.as_bytes());
        assert_eq!(
            (
                read.kind,
                read.code.as_deref().unwrap_or_default(),
                &*read.message
            ),
            (kind, code, "m"),
            "{header} {body}"
        );
    }
}

#[test]
fn an_input_that_is_too_long_is_known_for_fallbacks() {
    let body = br#"{"message":"Input is too long for requested model."}"#;
    let read = failure::decode(Format::BedrockConverse, StatusCode::BAD_REQUEST, None, body);
    assert_eq!(failure::classify(&read), Some(FailureClass::ContextWindow));
}

#[test]
fn exceptions_in_a_stream_are_failures() {
    for (name, kind) in [
        ("throttlingException", FailureKind::RateLimited),
        ("modelStreamErrorException", FailureKind::Provider),
        ("validationException", FailureKind::InvalidRequest),
        ("internalServerException", FailureKind::Provider),
        ("serviceUnavailableException", FailureKind::Unavailable),
        ("modelTimeoutException", FailureKind::ProviderTimeout),
        ("unheardOfException", FailureKind::Provider),
    ] {
        let mut stream = BytesMut::new();
        message("event", "messageStart", br#"{"role":"assistant"}"#, &mut stream);
        message(
            "exception",
            name,
            br#"{"message":"why","originalStatusCode":500}"#,
            &mut stream,
        );
        message(
            "event",
            "messageStop",
            br#"{"stopReason":"end_turn"}"#,
            &mut stream,
        );
        let expected = StreamEvent::Error(Failure::new(kind, "why").coded(name));
        assert_eq!(
            decode(Format::BedrockConverse, &[&stream]).unwrap().last(),
            Some(&expected)
        );
        assert_eq!(
            decode(Format::BedrockInvoke, &[&stream]).unwrap().last(),
            Some(&expected)
        );
    }
}

#[test]
fn a_failure_inside_a_stream_is_an_exception() {
    for (kind, name) in [
        (FailureKind::RateLimited, "throttlingException"),
        (FailureKind::Provider, "modelStreamErrorException"),
        (FailureKind::ProviderTimeout, "modelStreamErrorException"),
        (FailureKind::InvalidRequest, "validationException"),
        (FailureKind::PermissionDenied, "validationException"),
        (FailureKind::Internal, "internalServerException"),
        (FailureKind::Overloaded, "serviceUnavailableException"),
    ] {
        for format in [Format::BedrockConverse, Format::BedrockInvoke] {
            let written = encode(format, &[StreamEvent::Error(Failure::new(kind, "why"))]);
            assert_eq!(
                unframe(&written),
                json!([{ name: {"message": "why"} }]),
                "{kind:?}"
            );
        }
    }
}
