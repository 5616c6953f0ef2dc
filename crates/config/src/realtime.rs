//! The `server.realtime` block of the configuration.

use pointsman_upstream::HumanDuration;
use schemars::JsonSchema;
use serde::Deserialize;

/// Bounds of realtime sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RealtimeConfig {
    /// Most bytes of one message, either way.
    #[schemars(range(min = 1024))]
    pub message_limit: usize,
    /// Longest time in which neither side says anything.
    pub idle_timeout: HumanDuration,
    /// Longest session.
    pub session_limit: HumanDuration,
}

impl Default for RealtimeConfig {
    fn default() -> Self {
        Self {
            message_limit: 16 * 1024 * 1024,
            idle_timeout: HumanDuration::from_secs(15 * 60),
            session_limit: HumanDuration::from_secs(60 * 60),
        }
    }
}
