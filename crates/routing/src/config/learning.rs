//! What is learned of what really happened, for all decisions together.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is learned of what really happened.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LearningConfig {
    /// Nothing more is learned, and nothing is tried for the sake of it; what was learned is gone by.
    pub frozen: bool,
    /// Seconds after which what was learned counts half: 604800 (a week) when absent, 0 for never.
    #[schemars(range(min = 0.0))]
    pub half_life_seconds: Option<f64>,
    /// Most models by decisions and domains, and most compared pairs; 4096 when absent.
    #[schemars(range(min = 1, max = 65536))]
    pub max_entries: Option<u32>,
    /// Whose judgements count.
    pub feedback: FeedbackFrom,
    /// The header that names a session; `x-session-id` when absent.
    pub session_header: Option<String>,
    /// The header that names a conversation within it; `x-conversation-id` when absent.
    pub conversation_header: Option<String>,
}

/// Whose judgements count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FeedbackFrom {
    /// One for each request, of whoever made it.
    #[default]
    Requests,
    /// Of any caller about any two models, too.
    Any,
}

/// A week.
const HALF_LIFE: f64 = 604_800.0;

impl LearningConfig {
    /// Seconds after which what was learned counts half; none for never.
    #[must_use]
    pub fn half_life(&self) -> Option<f64> {
        let seconds = self.half_life_seconds.unwrap_or(HALF_LIFE);
        (seconds.is_finite() && seconds > 0.0).then_some(seconds)
    }

    /// Most models by decisions and domains, and most compared pairs.
    #[must_use]
    pub fn most(&self) -> usize {
        self.max_entries.unwrap_or(4_096).clamp(1, 65_536) as usize
    }
}
