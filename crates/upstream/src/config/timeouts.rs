//! The `timeouts` block.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::HumanDuration;

/// How long to wait for a provider, phase by phase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TimeoutsConfig {
    /// For a new connection: name lookup, TCP, proxy and TLS together.
    pub connect: HumanDuration,
    /// From sending the request to the response's status line and headers.
    pub first_byte: HumanDuration,
    /// Between two pieces of the response's body.
    pub between_chunks: HumanDuration,
    /// For the whole exchange, from the first attempt to connect to the last byte of the body.
    pub total: HumanDuration,
    /// From sending a streamed request to its first content. When it passes, the next target is tried; nothing has
    /// reached the client yet. Off unless set.
    pub first_token: Option<HumanDuration>,
}

impl Default for TimeoutsConfig {
    fn default() -> Self {
        Self {
            connect: HumanDuration::from_secs(5),
            first_byte: HumanDuration::from_secs(120),
            between_chunks: HumanDuration::from_secs(60),
            total: HumanDuration::from_secs(600),
            first_token: None,
        }
    }
}
