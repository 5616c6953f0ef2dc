//! Why a request could not be given its credential.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A credential that could not be had. Its `Display` text may be shown to clients: it names what was asked and how
/// it failed, never what was sent or received. What the identity provider said is in [`detail`](Self::detail), for
/// logs, with every secret that was sent taken out.
#[derive(Clone)]
pub struct CredentialError(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    kind: CredentialErrorKind,
    message: String,
    detail: Option<String>,
    retry_after: Option<Duration>,
}

/// What went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CredentialErrorKind {
    /// Nothing was found where credentials are looked for.
    Missing,
    /// The identity provider said no.
    Refused,
    /// The identity provider could not be reached, or took too long.
    Unreachable,
    /// A file or an answer makes no sense.
    Invalid,
    /// Every API key rests: refused, or at its limit.
    Resting,
    /// The caller brought no credential that could be passed on.
    Caller,
}

impl CredentialError {
    /// An error of this kind. Its message names what was asked and how it failed, and holds nothing secret.
    #[must_use]
    pub fn new(kind: CredentialErrorKind, message: impl Into<String>) -> Self {
        Self(Arc::new(Inner {
            kind,
            message: message.into(),
            detail: None,
            retry_after: None,
        }))
    }

    pub(crate) fn missing(message: impl Into<String>) -> Self {
        Self::new(CredentialErrorKind::Missing, message)
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(CredentialErrorKind::Invalid, message)
    }

    fn change(mut self, edit: impl FnOnce(&mut Inner)) -> Self {
        edit(Arc::make_mut(&mut self.0));
        self
    }

    /// Adds words for the log.
    pub(crate) fn because(self, detail: impl Into<String>) -> Self {
        self.change(|inner| inner.detail = Some(detail.into()))
    }

    /// Says when it makes sense to try again.
    pub(crate) fn after(self, wait: Duration) -> Self {
        self.change(|inner| inner.retry_after = Some(wait))
    }

    /// Puts words before the message.
    pub(crate) fn within(self, context: &str) -> Self {
        self.change(|inner| inner.message = format!("{context}: {}", inner.message))
    }

    /// What went wrong.
    #[must_use]
    pub fn kind(&self) -> CredentialErrorKind {
        self.0.kind
    }

    /// What the other side said, for logs.
    #[must_use]
    pub fn detail(&self) -> Option<&str> {
        self.0.detail.as_deref()
    }

    /// When it makes sense to try again.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }
}

impl fmt::Display for CredentialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for CredentialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CredentialError")
            .field("kind", &self.0.kind)
            .field("message", &self.0.message)
            .field("detail", &self.0.detail)
            .finish_non_exhaustive()
    }
}

impl std::error::Error for CredentialError {}
