//! How much retrying there may be in all.

use std::time::{Duration, Instant};

use crate::clock::{Epoch, micros};
use crate::config::{ConfigError, RetryBudgetConfig};
use crate::window::SlidingCounts;

/// The time over which requests and retries are counted.
const WINDOW: Duration = Duration::from_secs(10);

/// Bounds retries to a share of the requests, so that retrying does not multiply the load of a provider that is
/// struggling. Shared by all workers. They count without waiting for one another: at the limit, as many retries more
/// than allowed may pass as there are workers asking in the same instant.
#[derive(Debug)]
pub struct RetryBudget {
    epoch: Epoch,
    counts: SlidingCounts,
    ratio: f64,
    minimum: u64,
}

impl RetryBudget {
    /// Checks the configuration.
    ///
    /// # Errors
    ///
    /// When the ratio is negative or above 10.
    pub fn compile(config: &RetryBudgetConfig) -> Result<Self, ConfigError> {
        Self::check(config)?;
        Ok(Self {
            epoch: Epoch::now(),
            counts: SlidingCounts::default(),
            ratio: config.ratio,
            minimum: u64::from(config.min_per_second) * WINDOW.as_secs(),
        })
    }

    pub(super) fn check(config: &RetryBudgetConfig) -> Result<(), ConfigError> {
        if (0.0..=10.0).contains(&config.ratio) {
            return Ok(());
        }
        Err(ConfigError::new("retry.budget.ratio", "must be between 0 and 10"))
    }

    /// Counts a request (not its retries).
    pub fn deposit(&self, now: Instant) {
        self.counts.add(1, 0, self.epoch.micros(now), micros(WINDOW));
    }

    /// Asks for a retry and, if there is one left, takes it.
    #[must_use]
    pub fn withdraw(&self, now: Instant) -> bool {
        let now = self.epoch.micros(now);
        let counts = self.counts.read(now, micros(WINDOW));
        // Counts are far below 2^52: exact in a float.
        let allowed = (counts.total as f64 * self.ratio) as u64 + self.minimum;
        if counts.marked >= allowed {
            return false;
        }
        self.counts.add(0, 1, now, micros(WINDOW));
        true
    }
}
