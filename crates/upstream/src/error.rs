//! Why no response head came: the error of [`Client::send`](crate::Client::send).

use std::fmt;

use crate::failure::Failure;

/// A request that got no response head. Its `Display` text may be shown to clients: it names the provider's host and
/// nothing else of the network. What the system said is in `source()`, for logs.
pub struct SendError(Box<Inner>);

struct Inner {
    kind: SendErrorKind,
    before_send: bool,
    host: String,
    /// A few words for the client where the kind alone says too little.
    detail: Option<String>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// What went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendErrorKind {
    /// The request cannot be expressed in HTTP, or its path is not acceptable.
    InvalidRequest,
    /// The host's name could not be resolved.
    Dns,
    /// No TCP connection.
    Connect,
    /// The TLS handshake failed.
    Tls,
    /// The proxy could not be reached or refused.
    Proxy,
    /// One of our limits passed.
    Timeout(Phase),
    /// The connection ended before a response head was complete.
    Reset {
        /// Whether the connection had served a request before: then its idle time had probably run out.
        reused: bool,
    },
    /// What came back is not HTTP.
    Protocol,
    /// The response head is larger than we accept.
    TooLarge,
}

/// Where time ran out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Making the connection.
    Connect,
    /// Waiting for the response head.
    FirstByte,
    /// Between two frames of the body.
    BetweenChunks,
    /// The exchange as a whole.
    Total,
}

impl SendError {
    /// An error after the request may have reached the provider.
    pub(crate) fn new(kind: SendErrorKind, host: &str) -> Self {
        let before_send = match kind {
            SendErrorKind::InvalidRequest
            | SendErrorKind::Dns
            | SendErrorKind::Connect
            | SendErrorKind::Tls
            | SendErrorKind::Proxy
            | SendErrorKind::Timeout(Phase::Connect) => true,
            SendErrorKind::Timeout(_)
            | SendErrorKind::Reset { .. }
            | SendErrorKind::Protocol
            | SendErrorKind::TooLarge => false,
        };
        Self(Box::new(Inner {
            kind,
            before_send,
            host: host.to_owned(),
            detail: None,
            source: None,
        }))
    }

    /// Adds what the system said.
    pub(crate) fn because(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Adds words that are fit for the client.
    pub(crate) fn detail(mut self, detail: impl Into<String>) -> Self {
        self.0.detail = Some(detail.into());
        self
    }

    /// Says that the request was certainly not written.
    pub(crate) fn not_sent(mut self) -> Self {
        self.0.before_send = true;
        self
    }

    /// What went wrong.
    #[must_use]
    pub fn kind(&self) -> SendErrorKind {
        self.0.kind
    }

    /// Whether it is certain that nothing of the request was processed, so that sending it again is safe.
    #[must_use]
    pub fn is_before_send(&self) -> bool {
        self.0.before_send
    }

    /// The provider's host.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.0.host
    }

    /// The same as a [`Failure`], for retry and health.
    #[must_use]
    pub fn failure(&self) -> Failure {
        match self.0.kind {
            SendErrorKind::InvalidRequest => Failure::InvalidRequest,
            SendErrorKind::Dns | SendErrorKind::Connect | SendErrorKind::Tls | SendErrorKind::Proxy => {
                Failure::Connect
            }
            SendErrorKind::Timeout(phase) => Failure::Timeout(phase),
            // Nothing was processed: the same as if no connection had been made.
            SendErrorKind::Reset { .. } if self.0.before_send => Failure::Connect,
            SendErrorKind::Reset { .. } => Failure::Reset,
            SendErrorKind::Protocol | SendErrorKind::TooLarge => Failure::Protocol,
        }
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = &self.0.host;
        match self.0.kind {
            SendErrorKind::InvalidRequest => write!(f, "the request to {host} is not valid"),
            SendErrorKind::Dns => write!(f, "the name {host} could not be resolved"),
            SendErrorKind::Connect => write!(f, "no connection to {host} could be made"),
            SendErrorKind::Tls => write!(f, "no secure connection to {host} could be made"),
            SendErrorKind::Proxy => write!(f, "the proxy on the way to {host} failed"),
            SendErrorKind::Timeout(Phase::Connect) => write!(f, "connecting to {host} took too long"),
            SendErrorKind::Timeout(Phase::FirstByte) => write!(f, "{host} did not begin to answer in time"),
            SendErrorKind::Timeout(Phase::BetweenChunks) => write!(f, "{host} paused too long in its answer"),
            SendErrorKind::Timeout(Phase::Total) => write!(f, "{host} did not finish answering in time"),
            SendErrorKind::Reset { .. } => write!(f, "{host} closed the connection before answering"),
            SendErrorKind::Protocol => write!(f, "{host} answered with something that is not valid HTTP"),
            SendErrorKind::TooLarge => write!(f, "{host} answered with headers that are too large"),
        }?;
        match &self.0.detail {
            Some(detail) => write!(f, ": {detail}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendError")
            .field("kind", &self.0.kind)
            .field("before_send", &self.0.before_send)
            .field("host", &self.0.host)
            .field("detail", &self.0.detail)
            .field("source", &self.0.source)
            .finish()
    }
}

impl std::error::Error for SendError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0
            .source
            .as_deref()
            .map(|source| source as &(dyn std::error::Error + 'static))
    }
}
