//! How long one exchange with a provider may take, phase by phase.

use std::time::Duration;

use crate::config::TimeoutsConfig;

/// The limits of one exchange. [`Client::send`](crate::Client::send) enforces the first two and hands the others to
/// the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For a new connection: DNS, TCP, proxy and TLS together.
    pub connect: Duration,
    /// From sending the request to the response head.
    pub first_byte: Duration,
    /// Between two frames of the body.
    pub between_chunks: Duration,
    /// From the call of `send` to the end of the body.
    pub total: Duration,
}

impl From<&TimeoutsConfig> for Timeouts {
    fn from(config: &TimeoutsConfig) -> Self {
        Self {
            connect: config.connect.get(),
            first_byte: config.first_byte.get(),
            between_chunks: config.between_chunks.get(),
            total: config.total.get(),
        }
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self::from(&TimeoutsConfig::default())
    }
}
