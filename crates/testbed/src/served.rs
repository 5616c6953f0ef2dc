//! What a simulated provider says it served, and would bill.

use serde::Serialize;
use serde_json::Value;

/// A request as the provider saw it.
#[derive(Debug, Clone, Serialize)]
pub struct Served {
    /// Method.
    pub method: String,
    /// Path.
    pub path: String,
    /// What follows the question mark.
    pub query: String,
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
    /// Kinds of tokens among them.
    pub details: ServedDetails,
    /// The usage as it was told to the client, in the format's own words; none when it was not told.
    pub told: Option<Value>,
    /// How it ended.
    pub outcome: ServedOutcome,
}

/// Kinds of tokens that are priced apart.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct ServedDetails {
    /// Prompt tokens of images.
    pub image_input: u64,
    /// Prompt tokens of sound.
    pub audio_input: u64,
    /// Generated tokens of reasoning, of a whole answer.
    pub reasoning: u64,
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
