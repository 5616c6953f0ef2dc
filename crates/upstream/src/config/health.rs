//! The `health` block: when an endpoint is left alone for a while.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::HumanDuration;

/// When an endpoint that fails is left alone, and for how long. Failures are broken connections, timeouts, answers
/// cut short and 5xx statuses; a 429 is none, and neither is a request that the provider refuses.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HealthConfig {
    /// Failures one after another that open the breaker. 0 turns this trigger off.
    pub consecutive_failures: u32,
    /// Share of failures in the window, above 0 and up to 1, that opens the breaker. 0 turns this trigger off.
    pub failure_ratio: f64,
    /// Requests that the window must hold before `failure_ratio` counts.
    pub min_requests: u32,
    /// Length of the window; at least 1s.
    pub window: HumanDuration,
    /// How long a breaker stays open the first time; doubled each time the trial request fails.
    pub open_for: HumanDuration,
    /// The longest that a breaker stays open.
    pub max_open_for: HumanDuration,
    /// How long one trial request may go without a verdict before another is let through.
    pub trial_timeout: HumanDuration,
    /// The longest rest after a 429 with Retry-After, whatever it asks for.
    pub max_cool_down: HumanDuration,
}

impl Default for HealthConfig {
    fn default() -> Self {
        Self {
            consecutive_failures: 5,
            failure_ratio: 0.5,
            min_requests: 20,
            window: HumanDuration::from_secs(10),
            open_for: HumanDuration::from_secs(2),
            max_open_for: HumanDuration::from_secs(60),
            trial_timeout: HumanDuration::from_secs(120),
            max_cool_down: HumanDuration::from_secs(300),
        }
    }
}
