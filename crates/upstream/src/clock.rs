//! Instants as integers, so that they fit an atomic.

use std::time::{Duration, Instant};

/// A fixed point from which microseconds are counted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Epoch(Instant);

impl Epoch {
    /// Counts from now.
    pub(crate) fn now() -> Self {
        Self(Instant::now())
    }

    /// Microseconds from the epoch to `instant`; 0 for what was before.
    pub(crate) fn micros(self, instant: Instant) -> u64 {
        micros(instant.saturating_duration_since(self.0))
    }
}

/// A duration in whole microseconds, saturating.
pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
