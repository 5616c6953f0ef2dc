//! The `retry` block.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::HumanDuration;

/// Whether and how a failed attempt is made again. Nothing is retried once content has reached the client.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RetryConfig {
    /// Attempts in all, the first one included. 1 turns retrying off.
    pub attempts: u32,
    /// What to retry on: `connect` (no connection could be made, or the provider certainly did not look at the
    /// request), `timeout` (ours passed), `reset` (the connection broke or made no sense before an answer was
    /// complete), a status such as `"429"`, or a class of statuses such as `"5xx"`. The statuses 400, 401, 403, 404,
    /// 413 and 422 are never retried: they would fail again.
    pub on: Vec<String>,
    /// The wait before the same target is tried again.
    pub backoff: BackoffConfig,
    /// How much retrying there may be in all.
    pub budget: RetryBudgetConfig,
}

/// The wait between two attempts at the same target: random, up to `base` doubled with each attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BackoffConfig {
    /// The longest wait after the first attempt.
    pub base: HumanDuration,
    /// The longest wait of all. A provider's Retry-After is obeyed up to here; beyond, the next target is tried.
    pub max: HumanDuration,
}

/// The share of the traffic that may be retries, so that retrying cannot finish off a provider that is struggling.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RetryBudgetConfig {
    /// Retries for each request over the last 10 seconds.
    pub ratio: f64,
    /// Retries a second that are allowed however little traffic there is.
    pub min_per_second: u32,
}

impl Default for RetryConfig {
    fn default() -> Self {
        Self {
            attempts: 3,
            on: ["connect", "timeout", "reset", "429", "5xx"]
                .map(str::to_owned)
                .to_vec(),
            backoff: BackoffConfig::default(),
            budget: RetryBudgetConfig::default(),
        }
    }
}

impl Default for BackoffConfig {
    fn default() -> Self {
        Self {
            base: HumanDuration::from_millis(100),
            max: HumanDuration::from_secs(5),
        }
    }
}

impl Default for RetryBudgetConfig {
    fn default() -> Self {
        Self {
            ratio: 0.2,
            min_per_second: 3,
        }
    }
}
