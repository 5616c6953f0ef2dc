//! The circuit breaker of an endpoint: closed, open, half-open. All atomics, and time is passed in.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use rand::{Rng, RngExt};

use crate::clock::micros;
use crate::config::{ConfigError, HealthConfig};
use crate::window::SlidingCounts;

/// A [`HealthConfig`] that was checked, in the units that the breaker counts in (microseconds).
#[derive(Clone, Debug, PartialEq)]
pub struct BreakerPolicy {
    consecutive_failures: u32,
    failure_ratio: f64,
    min_requests: u64,
    window: u64,
    open_for: u64,
    max_open_for: u64,
    trial_timeout: u64,
}

impl BreakerPolicy {
    /// Checks the configuration.
    ///
    /// # Errors
    ///
    /// When the ratio is not between 0 and 1, the window is shorter than a second or a period is empty.
    pub fn compile(config: &HealthConfig) -> Result<Self, ConfigError> {
        if !(0.0..=1.0).contains(&config.failure_ratio) {
            return Err(ConfigError::new(
                "health.failure_ratio",
                "must be between 0 and 1",
            ));
        }
        if config.window.get().as_secs() < 1 {
            return Err(ConfigError::new("health.window", "must be at least 1s"));
        }
        if config.open_for.get().is_zero() {
            return Err(ConfigError::new("health.open_for", "must be longer than 0s"));
        }
        if config.trial_timeout.get().is_zero() {
            return Err(ConfigError::new("health.trial_timeout", "must be longer than 0s"));
        }
        if config.max_open_for < config.open_for {
            return Err(ConfigError::new(
                "health.max_open_for",
                "must not be shorter than `open_for`",
            ));
        }
        Ok(Self {
            consecutive_failures: config.consecutive_failures,
            failure_ratio: config.failure_ratio,
            min_requests: u64::from(config.min_requests.max(1)),
            window: micros(config.window.get()),
            open_for: micros(config.open_for.get()),
            max_open_for: micros(config.max_open_for.get()),
            trial_timeout: micros(config.trial_timeout.get()),
        })
    }
}

/// How a request came through the breaker. Needed again to report how it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// The breaker was closed.
    Regular,
    /// This is the one trial request of a half-open breaker.
    Trial(Trial),
}

/// Proof of being the trial request: the very state that was entered for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trial(u64);

/// What a breaker is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    /// Requests pass.
    Closed,
    /// No request passes.
    Open,
    /// One trial request is on its way, or the next request will be it.
    HalfOpen,
}

/// Lets requests pass until too many fail; then none for a while; then one, whose outcome decides.
///
/// All instants are microseconds from one fixed point that the caller keeps.
#[derive(Debug, Default)]
pub struct Breaker {
    /// `Stage` packed into one word, so that every transition is one compare-and-swap.
    stage: AtomicU64,
    consecutive: AtomicU32,
    window: SlidingCounts,
}

/// The packed state: two bits of tag, six of how often in a row it opened, 56 of an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Closed,
    /// Until this instant.
    Open {
        until: u64,
        opened: u32,
    },
    /// A trial is on its way; when it has not reported by this instant it is given up.
    Trial {
        until: u64,
        opened: u32,
    },
}

const TIME_BITS: u32 = 56;
const TIME_MASK: u64 = (1 << TIME_BITS) - 1;
const MAX_OPENED: u32 = 63;

impl Stage {
    fn pack(self) -> u64 {
        let word = |tag: u64, until: u64, opened: u32| {
            (tag << 62) | (u64::from(opened.min(MAX_OPENED)) << TIME_BITS) | until.min(TIME_MASK)
        };
        match self {
            Self::Closed => 0,
            Self::Open { until, opened } => word(1, until, opened),
            Self::Trial { until, opened } => word(2, until, opened),
        }
    }

    fn unpack(word: u64) -> Self {
        let until = word & TIME_MASK;
        let opened = ((word >> TIME_BITS) & u64::from(MAX_OPENED)) as u32;
        match word >> 62 {
            0 => Self::Closed,
            1 => Self::Open { until, opened },
            _ => Self::Trial { until, opened },
        }
    }
}

impl Breaker {
    /// Whether a request would be let through at `now`.
    pub fn is_ready(&self, now: u64) -> bool {
        match Stage::unpack(self.stage.load(Ordering::Relaxed)) {
            Stage::Closed => true,
            Stage::Open { until, .. } | Stage::Trial { until, .. } => now >= until,
        }
    }

    /// What the breaker is doing at `now`.
    pub fn state(&self, now: u64) -> BreakerState {
        match Stage::unpack(self.stage.load(Ordering::Relaxed)) {
            Stage::Closed => BreakerState::Closed,
            Stage::Open { until, .. } if now < until => BreakerState::Open,
            Stage::Open { .. } | Stage::Trial { .. } => BreakerState::HalfOpen,
        }
    }

    /// Failures one after another up to now.
    pub fn consecutive_failures(&self) -> u32 {
        self.consecutive.load(Ordering::Relaxed)
    }

    /// Lets a request through, or not. Of all that ask a breaker whose time has come, exactly one gets through.
    pub fn admit(&self, policy: &BreakerPolicy, now: u64) -> Option<Admission> {
        let word = self.stage.load(Ordering::Relaxed);
        match Stage::unpack(word) {
            Stage::Closed => Some(Admission::Regular),
            Stage::Open { until, opened } | Stage::Trial { until, opened } if now >= until => {
                let trial = Stage::Trial {
                    until: now.saturating_add(policy.trial_timeout),
                    opened,
                }
                .pack();
                self.swap(word, trial).then_some(Admission::Trial(Trial(trial)))
            }
            Stage::Open { .. } | Stage::Trial { .. } => None,
        }
    }

    /// The request was served.
    pub fn on_success(&self, policy: &BreakerPolicy, admission: Admission, now: u64) {
        if let Admission::Trial(Trial(word)) = admission
            && self.swap(word, Stage::Closed.pack())
        {
            self.window.clear();
        }
        // Mostly it is 0 already: reading does not take the cache line away from the other workers.
        if self.consecutive.load(Ordering::Relaxed) != 0 {
            self.consecutive.store(0, Ordering::Relaxed);
        }
        self.window.add(1, 0, now, policy.window);
    }

    /// The request failed. `counted` says that it was reported as a success before and then came to a bad end, so
    /// that the window does not count it twice.
    pub fn on_failure<R: Rng>(
        &self,
        policy: &BreakerPolicy,
        (admission, counted): (Admission, bool),
        now: u64,
        rng: &mut R,
    ) {
        let consecutive = self.consecutive.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        self.window.add(u64::from(!counted), 1, now, policy.window);
        match admission {
            Admission::Trial(Trial(word)) => {
                if let Stage::Trial { opened, .. } = Stage::unpack(word) {
                    let opened = opened.saturating_add(1);
                    let until = now.saturating_add(open_period(policy, opened, rng));
                    self.swap(word, Stage::Open { until, opened }.pack());
                }
            }
            Admission::Regular if self.is_too_much(policy, consecutive, now) => {
                let until = now.saturating_add(open_period(policy, 1, rng));
                self.swap(Stage::Closed.pack(), Stage::Open { until, opened: 1 }.pack());
            }
            Admission::Regular => {}
        }
    }

    /// The request ended without a verdict (its client went away). A trial makes room for the next one.
    pub fn release(&self, admission: Admission, now: u64) {
        if let Admission::Trial(Trial(word)) = admission
            && let Stage::Trial { opened, .. } = Stage::unpack(word)
        {
            self.swap(word, Stage::Open { until: now, opened }.pack());
        }
    }

    fn is_too_much(&self, policy: &BreakerPolicy, consecutive: u32, now: u64) -> bool {
        if policy.consecutive_failures > 0 && consecutive >= policy.consecutive_failures {
            return true;
        }
        if policy.failure_ratio <= 0.0 {
            return false;
        }
        let counts = self.window.read(now, policy.window);
        let share = counts.marked as f64 / counts.total.max(1) as f64;
        counts.total >= policy.min_requests && share >= policy.failure_ratio
    }

    fn swap(&self, from: u64, to: u64) -> bool {
        self.stage
            .compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
    }
}

/// How long to stay open the `opened`th time in a row: doubled each time, up to the limit, and up to a fifth less, so
/// that many gateways do not come back together.
fn open_period<R: Rng>(policy: &BreakerPolicy, opened: u32, rng: &mut R) -> u64 {
    let doublings = opened.saturating_sub(1).min(32);
    let period = policy
        .open_for
        .saturating_mul(1 << doublings)
        .min(policy.max_open_for);
    period - rng.random_range(0..=period / 5)
}

#[cfg(test)]
mod tests;
