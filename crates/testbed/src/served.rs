//! What a simulated provider says it served, and would bill.

use serde::Serialize;

/// A request as the provider saw it.
#[derive(Debug, Clone, Serialize)]
pub struct Served {
    /// Path.
    pub path: String,
    /// Headers, credentials included: nothing here is real.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
    /// The model asked for.
    pub model: String,
    /// Prompt tokens, cached ones included.
    pub input: u64,
    /// Of these, read from the cache.
    pub cache_read: u64,
    /// Of these, written to it.
    pub cache_write: u64,
    /// Generated tokens, as far as they were written.
    pub output: u64,
    /// How it ended.
    pub outcome: ServedOutcome,
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum ServedOutcome {
    /// Under way.
    Open,
    /// All of it was written.
    Complete,
    /// Refused with this status.
    Refused(u16),
    /// Broken off on purpose.
    Faulted,
    /// The other side went away.
    ClientGone,
}
