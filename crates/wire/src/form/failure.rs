//! What went wrong, before a format writes it down.

use std::time::Duration;

/// A failure as every surface can express it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What sort of failure; decides status and error type in each format.
    pub kind: FailureKind,
    /// For the client: what was wrong, where, and what to do. Never a secret.
    pub message: String,
    /// The request field at fault.
    pub param: Option<String>,
    /// A machine-readable code, where it says more than the kind (OpenAI `code`).
    pub code: Option<String>,
    /// When it makes sense to try again.
    pub retry_after: Option<Duration>,
}

impl Failure {
    /// A failure with nothing but kind and message.
    #[must_use]
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            param: None,
            code: None,
            retry_after: None,
        }
    }

    /// Names the request field at fault.
    #[must_use]
    pub fn at(mut self, param: impl Into<String>) -> Self {
        self.param = Some(param.into());
        self
    }

    /// Adds a machine-readable code.
    #[must_use]
    pub fn coded(mut self, code: impl Into<String>) -> Self {
        self.code = Some(code.into());
        self
    }

    /// Says when to try again.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }
}

/// The sorts of failure, each with the HTTP status that the SDKs map to the right exception.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// 400: malformed, or something the target cannot express.
    InvalidRequest,
    /// 401: no credential, or not a valid one.
    Authentication,
    /// 403: known, but not allowed (model, tool, guardrail).
    PermissionDenied,
    /// 404: no such model or resource.
    NotFound,
    /// 405: no such method on this path.
    MethodNotAllowed,
    /// 408: the client took too long.
    ClientTimeout,
    /// 413: larger than the limit.
    TooLarge,
    /// 415: a content type or coding that is not understood.
    UnsupportedMediaType,
    /// 422: well-formed, but not processable.
    Unprocessable,
    /// 429: a rate or concurrency limit.
    RateLimited,
    /// 429: a budget is spent.
    QuotaExceeded,
    /// 500: our own fault.
    Internal,
    /// 502: the provider failed.
    Provider,
    /// 503: nothing healthy to send it to.
    Unavailable,
    /// 504: the provider took too long.
    ProviderTimeout,
    /// 529 (Anthropic), 503 elsewhere: the provider is overloaded.
    Overloaded,
}

impl FailureKind {
    /// Its name, for logs, metrics and traces: says nothing of the request itself.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::Authentication => "authentication",
            Self::PermissionDenied => "permission_denied",
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::ClientTimeout => "client_timeout",
            Self::TooLarge => "too_large",
            Self::UnsupportedMediaType => "unsupported_media_type",
            Self::Unprocessable => "unprocessable",
            Self::RateLimited => "rate_limited",
            Self::QuotaExceeded => "quota_exceeded",
            Self::Internal => "internal",
            Self::Provider => "provider",
            Self::Unavailable => "unavailable",
            Self::ProviderTimeout => "provider_timeout",
            Self::Overloaded => "overloaded",
        }
    }
}
