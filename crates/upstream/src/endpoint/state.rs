//! What was observed of an endpoint: atomics that all workers share.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Instant;

use crate::breaker::Breaker;
use crate::clock::Epoch;
use crate::latency::PeakEwma;

/// Load, health and speed of an endpoint, as all workers see them.
#[derive(Debug)]
pub struct EndpointState {
    pub(super) epoch: Epoch,
    pub(super) breaker: Breaker,
    pub(super) latency: PeakEwma,
    in_flight: AtomicU32,
    /// End of the rest that a 429 asked for, in microseconds from the epoch.
    rests_until: AtomicU64,
}

impl Default for EndpointState {
    fn default() -> Self {
        Self {
            epoch: Epoch::now(),
            breaker: Breaker::default(),
            latency: PeakEwma::default(),
            in_flight: AtomicU32::new(0),
            rests_until: AtomicU64::new(0),
        }
    }
}

impl EndpointState {
    /// Requests whose exchange has not ended.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Failures one after another up to now.
    #[must_use]
    pub fn consecutive_failures(&self) -> u32 {
        self.breaker.consecutive_failures()
    }

    /// Whether the endpoint rests because it said so with a 429.
    #[must_use]
    pub fn is_cooling_down(&self, now: Instant) -> bool {
        !self.is_rested(self.epoch.micros(now))
    }

    pub(super) fn enter(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn leave(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn is_rested(&self, now: u64) -> bool {
        now >= self.rests_until.load(Ordering::Relaxed)
    }

    /// A longer rest that was asked for before is not cut short.
    pub(super) fn rest_until(&self, until: u64) {
        self.rests_until.fetch_max(until, Ordering::Relaxed);
    }
}
