//! Failures as Bedrock tells them: the type in a header (or in `__type`), a message in the body, exceptions in streams.

use bytes::BytesMut;
use http::StatusCode;
use serde::Deserialize;

use super::stream::write_exception;
use crate::eventstream::Message;
use crate::form::{Failure, FailureKind};
use crate::json::write::object;

/// The type of a failure, and its status.
pub(crate) fn name_of(kind: FailureKind) -> (&'static str, u16) {
    match kind {
        FailureKind::InvalidRequest | FailureKind::Unprocessable => ("ValidationException", 400),
        FailureKind::MethodNotAllowed => ("ValidationException", 405),
        FailureKind::Authentication | FailureKind::PermissionDenied => ("AccessDeniedException", 403),
        FailureKind::NotFound => ("ResourceNotFoundException", 404),
        FailureKind::TooLarge => ("ValidationException", 413),
        FailureKind::UnsupportedMediaType => ("ValidationException", 415),
        FailureKind::RateLimited => ("ThrottlingException", 429),
        FailureKind::QuotaExceeded => ("ServiceQuotaExceededException", 400),
        FailureKind::Internal => ("InternalServerException", 500),
        FailureKind::Provider => ("ModelErrorException", 424),
        FailureKind::Unavailable | FailureKind::Overloaded => ("ServiceUnavailableException", 503),
        FailureKind::ClientTimeout | FailureKind::ProviderTimeout => ("ModelTimeoutException", 408),
    }
}

/// The kind of a type; none when the status must tell.
pub(crate) fn kind_of(name: &str) -> Option<FailureKind> {
    // Streams write their names with a small letter.
    let name = name.strip_suffix("Exception")?.to_ascii_lowercase();
    Some(match name.as_str() {
        "validation" => FailureKind::InvalidRequest,
        "accessdenied" => FailureKind::PermissionDenied,
        "unrecognizedclient"
        | "expiredtoken"
        | "invalidsignature"
        | "missingauthenticationtoken"
        | "incompletesignature" => FailureKind::Authentication,
        "resourcenotfound" => FailureKind::NotFound,
        "throttling" | "toomanyrequests" => FailureKind::RateLimited,
        // The account's quota, which waiting alone does not raise.
        "servicequotaexceeded" => FailureKind::Provider,
        "modeltimeout" => FailureKind::ProviderTimeout,
        "modelnotready" => FailureKind::Overloaded,
        "serviceunavailable" => FailureKind::Unavailable,
        "modelerror" | "modelstreamerror" | "internalserver" => FailureKind::Provider,
        _ => return None,
    })
}

/// The kind of a status of which no type tells more.
pub(crate) fn kind_of_status(status: StatusCode) -> Option<FailureKind> {
    (status == StatusCode::FAILED_DEPENDENCY).then_some(FailureKind::Provider)
}

/// A type without what some services hang on to it: `Name:http://…`, `namespace#Name`.
pub(crate) fn bare(name: &str) -> &str {
    let name = name.split_once(':').map_or(name, |(name, _)| name);
    name.rsplit_once('#').map_or(name, |(_, name)| name).trim()
}

/// The body of an error response.
pub(crate) fn render(failure: &Failure, _request_id: &str) -> Vec<u8> {
    object(|body| body.string("message", &failure.message))
}

/// The event that ends a stream with an error. A stream knows fewer types than a response.
pub(crate) fn render_event(failure: &Failure, request_id: &str, out: &mut BytesMut) {
    let name = match failure.kind {
        FailureKind::RateLimited | FailureKind::QuotaExceeded => "throttlingException",
        FailureKind::Internal => "internalServerException",
        FailureKind::Unavailable | FailureKind::Overloaded => "serviceUnavailableException",
        FailureKind::Provider | FailureKind::ProviderTimeout | FailureKind::ClientTimeout => {
            "modelStreamErrorException"
        }
        FailureKind::InvalidRequest
        | FailureKind::Authentication
        | FailureKind::PermissionDenied
        | FailureKind::NotFound
        | FailureKind::MethodNotAllowed
        | FailureKind::TooLarge
        | FailureKind::UnsupportedMediaType
        | FailureKind::Unprocessable => "validationException",
    };
    let written = write_exception(name, &render(failure, request_id), out);
    // The message of a failure is far smaller than what fits.
    debug_assert!(written.is_ok());
}

#[derive(Deserialize, Default)]
struct Told {
    #[serde(alias = "Message")]
    message: Option<String>,
    #[serde(rename = "originalMessage")]
    original: Option<String>,
}

/// The failure that a message of a stream tells; none when it is an event.
pub(crate) fn of_message(message: &Message) -> Option<Failure> {
    let (name, said) = match message.header(":message-type")? {
        "exception" => {
            let told: Told = serde_json::from_slice(&message.payload).unwrap_or_default();
            (message.header(":exception-type"), told.message.or(told.original))
        }
        "error" => (
            message.header(":error-code"),
            message.header(":error-message").map(ToOwned::to_owned),
        ),
        _ => return None,
    };
    let name = bare(name.unwrap_or("unknown"));
    let said = said.unwrap_or_else(|| format!("the provider ended the stream with {name}"));
    let kind = kind_of(name).unwrap_or(FailureKind::Provider);
    Some(Failure::new(kind, crate::failure::told(&said)).coded(name))
}
