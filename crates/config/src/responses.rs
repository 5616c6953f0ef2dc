//! The `responses` block of the configuration.

use pointsman_upstream::HumanDuration;
use schemars::JsonSchema;
use serde::Deserialize;

/// What is kept of responses (OpenAI's Responses API), so that clients can go back to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ResponsesConfig {
    /// Whether responses are kept. A request that says `store: false` is never kept; with `false` here, none is,
    /// whatever it says, and there are no background responses and no conversations.
    pub store: bool,
    /// Who keeps them.
    pub state: StateKeeper,
    /// How long a response or conversation is kept after it was last used.
    pub retention: HumanDuration,
    /// Most bytes of one response with its new input; also of the events of a background response.
    #[schemars(range(min = 1024))]
    pub max_bytes: usize,
    /// Most responses that run in the background at once.
    #[schemars(range(min = 1))]
    pub max_background: usize,
}

impl Default for ResponsesConfig {
    fn default() -> Self {
        Self {
            store: true,
            state: StateKeeper::Gateway,
            retention: HumanDuration::from_secs(30 * 24 * 3600),
            max_bytes: 16 * 1024 * 1024,
            max_background: 256,
        }
    }
}

/// Who keeps responses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum StateKeeper {
    /// The gateway: any provider may answer any turn.
    #[default]
    Gateway,
    /// The provider: `previous_response_id`, `conversation`, `store` and `background` go on to it as they came.
    Provider,
}
