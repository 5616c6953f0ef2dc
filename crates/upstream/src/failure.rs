//! How an attempt failed, in the few words that retrying and health need.

use std::fmt;

use http::StatusCode;

use crate::body::BodyError;
use crate::error::{Phase, SendError};

/// How an attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No connection: DNS, TCP, proxy or TLS.
    Connect,
    /// One of our limits passed.
    Timeout(Phase),
    /// A streamed answer had no content in time (`timeouts.first_token`).
    SlowFirstToken,
    /// The connection ended before the response head.
    Reset,
    /// The body ended before it was complete.
    Cut,
    /// What came back is not valid in its format.
    Protocol,
    /// The provider answered with this status.
    Status(StatusCode),
    /// The provider refused the content.
    ContentFilter,
    /// The request could not be expressed in HTTP.
    InvalidRequest,
    /// What the gateway may send to the provider is used up: it was not asked.
    Full,
}

impl Failure {
    /// Whether the failure speaks against the endpoint. A request that the provider refuses does not, and neither
    /// does a 429: it answered as it should.
    #[must_use]
    pub fn is_endpoint_fault(&self) -> bool {
        match self {
            Self::Connect
            | Self::Timeout(_)
            | Self::SlowFirstToken
            | Self::Reset
            | Self::Cut
            | Self::Protocol => true,
            Self::Status(status) => status.is_server_error() && *status != StatusCode::NOT_IMPLEMENTED,
            Self::ContentFilter | Self::InvalidRequest | Self::Full => false,
        }
    }
}

impl fmt::Display for Failure {
    /// In a word or two, with nothing of what the provider said.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "connect",
            Self::Timeout(Phase::Connect) => "timeout (connect)",
            Self::Timeout(Phase::FirstByte) => "timeout (first byte)",
            Self::Timeout(Phase::BetweenChunks) => "timeout (between chunks)",
            Self::Timeout(Phase::Total) => "timeout (total)",
            Self::SlowFirstToken => "timeout (first token)",
            Self::Reset => "reset",
            Self::Cut => "cut",
            Self::Protocol => "protocol",
            Self::Status(status) => return write!(f, "status {}", status.as_u16()),
            Self::ContentFilter => "content filter",
            Self::InvalidRequest => "request cannot be sent",
            Self::Full => "at its limit",
        })
    }
}

impl From<&SendError> for Failure {
    fn from(error: &SendError) -> Self {
        error.failure()
    }
}

impl From<&BodyError> for Failure {
    fn from(error: &BodyError) -> Self {
        match error {
            BodyError::IdleTimeout { .. } => Self::Timeout(Phase::BetweenChunks),
            BodyError::TotalTimeout { .. } => Self::Timeout(Phase::Total),
            BodyError::Cut => Self::Cut,
            BodyError::Protocol => Self::Protocol,
        }
    }
}
