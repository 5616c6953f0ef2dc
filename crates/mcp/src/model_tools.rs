//! Servers as tools of a model: how far the gateway goes when it calls them for one request.

use pointsman_upstream::HumanDuration;
use schemars::JsonSchema;
use serde::Deserialize;

/// Bounds of one request to `/v1/responses` or `/v1/messages` that names servers of the gateway.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ModelTools {
    /// How often the model is asked; the last time it may call nothing any more.
    #[schemars(range(min = 1, max = 1_000))]
    pub max_rounds: u32,
    /// Most calls of tools. `max_tool_calls` of a request may say fewer.
    #[schemars(range(min = 1))]
    pub max_calls: u32,
    /// Most tools that the model is shown; a request that names more is refused.
    #[schemars(range(min = 1))]
    pub max_tools: usize,
    /// Most bytes of a result that the model is shown; what is more is cut, and a text says so.
    #[schemars(range(min = 256))]
    pub max_result: usize,
    /// How long all of it may take.
    pub timeout: HumanDuration,
}

impl Default for ModelTools {
    fn default() -> Self {
        Self {
            max_rounds: 16,
            max_calls: 64,
            max_tools: 128,
            max_result: 64 * 1024,
            timeout: HumanDuration::from_secs(10 * 60),
        }
    }
}

impl ModelTools {
    /// Fields that let nothing happen.
    pub(crate) fn problems(&self) -> impl Iterator<Item = &'static str> + use<> {
        let fields = [
            ("max_rounds", self.max_rounds == 0),
            ("max_calls", self.max_calls == 0),
            ("max_tools", self.max_tools == 0),
            ("max_result", self.max_result == 0),
            ("timeout", self.timeout.get().is_zero()),
        ];
        fields
            .into_iter()
            .filter(|(_, wrong)| *wrong)
            .map(|(field, _)| field)
    }
}
