//! What is known of a request when it is settled.

use std::time::{Duration, Instant, SystemTime};

use serde::Serialize;

/// Most characters of a model's name that are kept: a client may write anything there.
const MAX_NAME: usize = 200;

/// A settled request. Has no prompt, no answer and no credential, so that nothing made of it can leak one.
#[derive(Debug, Clone)]
pub struct RequestRecord<'a> {
    /// Its id.
    pub id: &'a str,
    /// Path of the surface.
    pub surface: &'a str,
    /// Name of the virtual key.
    pub key: &'a str,
    /// Team of the key.
    pub team: Option<&'a str>,
    /// The name the client asked for.
    pub model_requested: &'a str,
    /// The provider that was asked last.
    pub provider: Option<&'a str>,
    /// Its id in the catalog.
    pub provider_kind: Option<&'a str>,
    /// Its name of the model.
    pub model: Option<&'a str>,
    /// The routing decision.
    pub decision: Option<&'a str>,
    /// `miss`, `exact` or `bypass`.
    pub cache: &'static str,
    /// How it ended, in one word.
    pub outcome: &'static str,
    /// The status the client saw.
    pub status: u16,
    /// The sort of failure; never its words, which may be the client's or the provider's.
    pub error: Option<&'static str>,
    /// Its machine-readable code.
    pub code: Option<&'a str>,
    /// Which provider failed in which way, attempt by attempt.
    pub causes: &'a [String],
    /// Whether the answer was streamed.
    pub streamed: bool,
    /// How many times a provider was asked.
    pub attempts: u16,
    /// Prompt tokens, cached ones included.
    pub input_tokens: u64,
    /// Generated tokens, reasoning included.
    pub output_tokens: u64,
    /// Of the prompt: read from the provider's cache.
    pub cache_read_tokens: u64,
    /// Of the output: reasoning.
    pub reasoning_tokens: u64,
    /// Whether tokens were counted here, because the provider did not say.
    pub usage_estimated: bool,
    /// What it cost, in nano-dollars.
    pub cost_nanodollars: i64,
    /// What it would have cost, had its answer not been remembered, in nano-dollars.
    pub saved_nanodollars: i64,
    /// When its head was complete.
    pub started: Instant,
    /// Time spent waiting for providers.
    pub waited: Duration,
    /// When the first content came.
    pub first_content: Option<Instant>,
    /// Guardrails that flagged something.
    pub flags: &'a [String],
    /// Fields of the request that the provider's format could not express exactly.
    pub losses: &'a [String],
}

/// A record that can outlive its request; the form of an access-log line.
#[derive(Debug, Clone, Serialize)]
pub struct OwnedRecord {
    /// When it was settled, RFC 3339.
    pub time: String,
    /// Its id.
    pub id: String,
    /// Path of the surface.
    pub surface: String,
    /// The status the client saw.
    pub status: u16,
    /// How it ended.
    pub outcome: &'static str,
    /// Name of the virtual key.
    pub key: String,
    /// Team of the key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
    /// The name the client asked for.
    pub model_requested: String,
    /// The provider that was asked last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// Its id in the catalog.
    #[serde(skip)]
    pub provider_kind: Option<String>,
    /// Its name of the model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The routing decision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision: Option<String>,
    /// `miss`, `exact` or `bypass`.
    pub cache: &'static str,
    /// Whether the answer was streamed.
    pub streamed: bool,
    /// How many times a provider was asked.
    pub attempts: u16,
    /// Prompt tokens.
    pub input_tokens: u64,
    /// Generated tokens.
    pub output_tokens: u64,
    /// Of the prompt: read from the provider's cache.
    pub cache_read_tokens: u64,
    /// Of the output: reasoning.
    pub reasoning_tokens: u64,
    /// Whether tokens were counted here, because the provider did not say.
    pub usage_estimated: bool,
    /// What it cost, in nano-dollars.
    pub cost_nanodollars: i64,
    /// What it would have cost, had its answer not been remembered, in nano-dollars.
    #[serde(skip_serializing_if = "is_zero")]
    pub saved_nanodollars: i64,
    /// From the first stage to settlement.
    pub latency_us: u64,
    /// The gateway's own part of it, until the head of the answer.
    pub overhead_us: u64,
    /// To the first content.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttft_us: Option<u64>,
    /// The sort of failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<&'static str>,
    /// Its machine-readable code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Which provider failed in which way, attempt by attempt.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<String>,
    /// Guardrails that flagged something.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<String>,
    /// Fields of the request that the provider's format could not express exactly.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub losses: Vec<String>,
    /// When its head was complete.
    #[serde(skip)]
    pub begun: SystemTime,
    /// When it was settled.
    #[serde(skip)]
    pub ended: SystemTime,
}

impl RequestRecord<'_> {
    /// The gateway's own time: all of it for whole answers, up to the first content for streams (what comes later is
    /// paced by the provider).
    #[must_use]
    pub fn overhead(&self) -> Duration {
        let until = match (self.streamed, self.first_content) {
            (true, Some(first)) => first.saturating_duration_since(self.started),
            _ => self.started.elapsed(),
        };
        until.saturating_sub(self.waited)
    }
}

/// Most requests save nothing.
fn is_zero(amount: &i64) -> bool {
    *amount == 0
}

/// Whether it is a code and not a sentence: a provider may write anything there.
fn is_code(text: &str) -> bool {
    text.len() <= 64
        && text
            .bytes()
            .all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == b'_')
}

impl From<&RequestRecord<'_>> for OwnedRecord {
    fn from(record: &RequestRecord<'_>) -> Self {
        let ended = SystemTime::now();
        let latency = record.started.elapsed();
        Self {
            time: jiff::Timestamp::try_from(ended)
                .map(|time| time.to_string())
                .unwrap_or_default(),
            id: record.id.to_owned(),
            surface: record.surface.to_owned(),
            status: record.status,
            outcome: record.outcome,
            key: record.key.to_owned(),
            team: record.team.map(str::to_owned),
            model_requested: record.model_requested.chars().take(MAX_NAME).collect(),
            provider: record.provider.map(str::to_owned),
            provider_kind: record.provider_kind.map(str::to_owned),
            model: record.model.map(str::to_owned),
            decision: record.decision.map(str::to_owned),
            cache: record.cache,
            streamed: record.streamed,
            attempts: record.attempts,
            input_tokens: record.input_tokens,
            output_tokens: record.output_tokens,
            cache_read_tokens: record.cache_read_tokens,
            reasoning_tokens: record.reasoning_tokens,
            usage_estimated: record.usage_estimated,
            cost_nanodollars: record.cost_nanodollars,
            saved_nanodollars: record.saved_nanodollars,
            latency_us: latency.as_micros() as u64,
            overhead_us: record.overhead().as_micros() as u64,
            ttft_us: record
                .first_content
                .map(|first| first.duration_since(record.started).as_micros() as u64),
            error: record.error,
            code: record.code.filter(|code| is_code(code)).map(str::to_owned),
            causes: record.causes.to_vec(),
            flags: record.flags.to_vec(),
            losses: record.losses.to_vec(),
            begun: ended.checked_sub(latency).unwrap_or(ended),
            ended,
        }
    }
}
