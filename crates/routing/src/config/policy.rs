//! What holds for all decisions of a recipe.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What candidates must be able to do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Requirements {
    /// `declared`: what the request needs must be on the card.
    pub capabilities: Option<String>,
    /// `known_limits`: the prompt must fit.
    pub context: Option<String>,
}

/// What may be recorded.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DataPolicy {
    /// Decisions, to be replayed.
    pub replay: Option<bool>,
}

/// What is done when a model fails.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FallbackPolicy {
    /// Of this form.
    pub version: Option<u64>,
    /// Whether anything is.
    pub enabled: Option<bool>,
    /// Most attempts.
    pub max_attempts: Option<u64>,
    /// Longest time for all.
    pub total_timeout: Option<serde_json::Value>,
    /// Longest time for one.
    pub per_attempt_timeout: Option<serde_json::Value>,
    /// Which answers count as failures.
    pub retryable_status_codes: Vec<u16>,
    /// When a model rests.
    pub circuit_breaker: Option<serde_json::Value>,
}
