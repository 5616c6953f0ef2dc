//! Failures as Google tells them: a code of HTTP, a status of gRPC, and details by their type.

use std::time::Duration;

use bytes::BytesMut;
use http::StatusCode;
use serde::Deserialize;

use crate::failure::{MAX_MESSAGE, mask_keys};
use crate::form::{Failure, FailureKind};
use crate::format::Format;
use crate::json::write::{Object, object};

/// The status of gRPC that Google's SDKs know a failure by.
fn status_name(kind: FailureKind) -> &'static str {
    match kind {
        FailureKind::InvalidRequest
        | FailureKind::MethodNotAllowed
        | FailureKind::TooLarge
        | FailureKind::UnsupportedMediaType
        | FailureKind::Unprocessable => "INVALID_ARGUMENT",
        FailureKind::Authentication => "UNAUTHENTICATED",
        FailureKind::PermissionDenied => "PERMISSION_DENIED",
        FailureKind::NotFound => "NOT_FOUND",
        FailureKind::RateLimited | FailureKind::QuotaExceeded => "RESOURCE_EXHAUSTED",
        FailureKind::ClientTimeout | FailureKind::ProviderTimeout => "DEADLINE_EXCEEDED",
        FailureKind::Internal => "INTERNAL",
        FailureKind::Provider | FailureKind::Unavailable | FailureKind::Overloaded => "UNAVAILABLE",
    }
}

/// The body of an error response.
pub(crate) fn render(failure: &Failure, request_id: &str) -> Vec<u8> {
    let code = crate::failure::status(Format::GeminiGenerate, failure);
    object(|body| {
        body.object("error", |error| {
            error.count("code", u64::from(code.as_u16()));
            error.string("message", &failure.message);
            error.string("status", status_name(failure.kind));
            write_details(error, failure, request_id);
        });
    })
}

fn write_details(error: &mut Object<'_>, failure: &Failure, request_id: &str) {
    let none = failure.param.is_none() && failure.code.is_none() && failure.retry_after.is_none();
    if none && request_id.is_empty() {
        return;
    }
    error.list("details", |details| {
        if let Some(code) = &failure.code {
            details.object(|info| {
                info.string("@type", "type.googleapis.com/google.rpc.ErrorInfo");
                info.string("reason", code);
            });
        }
        if let Some(param) = &failure.param {
            details.object(|bad| {
                bad.string("@type", "type.googleapis.com/google.rpc.BadRequest");
                bad.list("fieldViolations", |list| {
                    list.object(|violation| {
                        violation.string("field", param);
                        violation.string("description", &failure.message);
                    });
                });
            });
        }
        if let Some(wait) = failure.retry_after {
            details.object(|retry| {
                retry.string("@type", "type.googleapis.com/google.rpc.RetryInfo");
                // Told too early, the client would only be refused again.
                let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
                retry.string("retryDelay", &format!("{seconds}s"));
            });
        }
        if !request_id.is_empty() {
            details.object(|info| {
                info.string("@type", "type.googleapis.com/google.rpc.RequestInfo");
                info.string("requestId", request_id);
            });
        }
    });
}

/// The event that ends a stream with an error.
pub(crate) fn render_event(failure: &Failure, request_id: &str, out: &mut BytesMut) {
    out.extend_from_slice(b"data: ");
    out.extend_from_slice(&render(failure, request_id));
    out.extend_from_slice(b"\r\n\r\n");
}

#[derive(Deserialize)]
struct Told {
    error: ToldError,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ToldError {
    code: Option<u16>,
    message: Option<String>,
    status: Option<String>,
    details: Vec<Detail>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Detail {
    #[serde(rename = "@type")]
    kind: String,
    reason: Option<String>,
    #[serde(rename = "retryDelay")]
    retry_delay: Option<String>,
    #[serde(rename = "fieldViolations")]
    fields: Vec<Violation>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Violation {
    field: Option<String>,
}

/// Reads a provider's error; none when the body is not one of Google's.
pub(crate) fn decode(status: StatusCode, retry_after: Option<Duration>, body: &[u8]) -> Option<Failure> {
    let told = if body.trim_ascii_start().starts_with(b"[") {
        // A stream that is a list has its errors in a list, too.
        let listed: Vec<Told> = serde_json::from_slice(body).ok()?;
        listed.into_iter().next()?
    } else {
        serde_json::from_slice(body).ok()?
    };
    let error = told.error;
    let status = error
        .code
        .and_then(|code| StatusCode::from_u16(code).ok())
        .unwrap_or(status);
    let detail = |name: &str| error.details.iter().find(|detail| detail.kind.ends_with(name));
    let reason = detail("google.rpc.ErrorInfo").and_then(|info| info.reason.clone());
    let delay =
        detail("google.rpc.RetryInfo").and_then(|retry| retry.retry_delay.as_deref().and_then(seconds));
    let param = detail("google.rpc.BadRequest").and_then(|bad| bad.fields.first()?.field.clone());
    let message = error
        .message
        .unwrap_or_else(|| format!("the provider answered {status} without saying why"));
    let kind = kind_of(status, error.status.as_deref(), reason.as_deref());
    let mut failure = Failure::new(
        kind,
        mask_keys(&message).chars().take(MAX_MESSAGE).collect::<String>(),
    );
    failure.param = param;
    failure.code = reason.or(error.status);
    failure.retry_after = retry_after.or(delay);
    Some(failure)
}

/// A duration as proto writes it: `45.837s`.
fn seconds(text: &str) -> Option<Duration> {
    let seconds: f64 = text.strip_suffix('s')?.parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

fn kind_of(status: StatusCode, name: Option<&str>, reason: Option<&str>) -> FailureKind {
    match (status.as_u16(), name, reason) {
        // A wrong key is told as a bad request.
        (_, _, Some("API_KEY_INVALID" | "API_KEY_EXPIRED"))
        | (401, _, _)
        | (_, Some("UNAUTHENTICATED"), _) => FailureKind::Authentication,
        (403, _, _) | (_, Some("PERMISSION_DENIED"), _) => FailureKind::PermissionDenied,
        (404, _, _) | (_, Some("NOT_FOUND"), _) => FailureKind::NotFound,
        (413, _, _) => FailureKind::TooLarge,
        (422, _, _) => FailureKind::Unprocessable,
        (429, _, _) | (_, Some("RESOURCE_EXHAUSTED"), _) => FailureKind::RateLimited,
        (408 | 504, _, _) | (_, Some("DEADLINE_EXCEEDED"), _) => FailureKind::ProviderTimeout,
        (503, _, _) | (_, Some("UNAVAILABLE"), _) => FailureKind::Overloaded,
        (400..=499, _, _) | (_, Some("INVALID_ARGUMENT" | "FAILED_PRECONDITION" | "OUT_OF_RANGE"), _) => {
            FailureKind::InvalidRequest
        }
        _ => FailureKind::Provider,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(status: u16, body: &str) -> Failure {
        decode(StatusCode::from_u16(status).unwrap(), None, body.as_bytes()).unwrap()
    }

    #[test]
    fn what_google_says_is_understood() {
        let quota = read(
            429,
            r#"{"error":{"code":429,"message":"You exceeded your current quota.","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[{"quotaId":"GenerateRequestsPerMinutePerProjectPerModel-FreeTier"}]},{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"45.5s"}]}}"#,
        );
        assert_eq!(quota.kind, FailureKind::RateLimited);
        assert_eq!(quota.retry_after, Some(Duration::from_millis(45_500)));
        let key = read(
            400,
            r#"{"error":{"code":400,"message":"API key not valid.","status":"INVALID_ARGUMENT","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"API_KEY_INVALID","domain":"googleapis.com"}]}}"#,
        );
        assert_eq!(key.kind, FailureKind::Authentication);
        let field = read(
            400,
            r#"[{"error":{"code":400,"message":"Invalid value","status":"INVALID_ARGUMENT","details":[{"@type":"type.googleapis.com/google.rpc.BadRequest","fieldViolations":[{"field":"contents[0].parts","description":"empty"}]}]}}]"#,
        );
        assert_eq!(
            (field.kind, field.param.as_deref()),
            (FailureKind::InvalidRequest, Some("contents[0].parts"))
        );
        assert_eq!(
            read(
                200,
                r#"{"error":{"code":503,"message":"The model is overloaded.","status":"UNAVAILABLE"}}"#
            )
            .kind,
            FailureKind::Overloaded
        );
        assert_eq!(decode(StatusCode::BAD_GATEWAY, None, b"<html>"), None);
    }

    #[test]
    fn what_is_told_is_what_google_would_tell() {
        let failure = Failure::new(FailureKind::RateLimited, "slow down")
            .at("model")
            .coded("rate_limit_exceeded")
            .retry_after(Duration::from_millis(2_500));
        let body: serde_json::Value = serde_json::from_slice(&render(&failure, "req_1")).unwrap();
        assert_eq!(
            body,
            serde_json::json!({"error": {"code": 429, "message": "slow down", "status": "RESOURCE_EXHAUSTED", "details": [
                {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "rate_limit_exceeded"},
                {"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [{"field": "model", "description": "slow down"}]},
                {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "3s"},
                {"@type": "type.googleapis.com/google.rpc.RequestInfo", "requestId": "req_1"},
            ]}})
        );
        let again = decode(StatusCode::TOO_MANY_REQUESTS, None, &render(&failure, "")).unwrap();
        assert_eq!(again.retry_after, Some(Duration::from_secs(3)));
    }
}
