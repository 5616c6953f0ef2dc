//! The `balance` block.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How one of several endpoints or targets is chosen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BalanceConfig {
    /// The rule among those of the lowest priority number that are available.
    pub policy: BalancePolicyName,
}

/// Balancing policies by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BalancePolicyName {
    /// At random, in proportion to the weights.
    #[default]
    Weighted,
    /// In turn, evenly interleaved in proportion to the weights.
    RoundRobin,
    /// The one with fewer requests in flight for its weight, of two taken at random.
    LeastBusy,
    /// The one that has been answering sooner, of two taken at random.
    LowestLatency,
    /// The one that most likely holds the prompt's beginning in its cache. Not supported yet in this version.
    PrefixCache,
    /// Always the same one for a session. Not supported yet in this version.
    Session,
    /// By the key-value cache and queue that a model server reports. Not supported yet in this version.
    KvCache,
}

impl BalancePolicyName {
    /// The name as written in the configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Weighted => "weighted",
            Self::RoundRobin => "round_robin",
            Self::LeastBusy => "least_busy",
            Self::LowestLatency => "lowest_latency",
            Self::PrefixCache => "prefix_cache",
            Self::Session => "session",
            Self::KvCache => "kv_cache",
        }
    }
}
