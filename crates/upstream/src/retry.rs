//! Whether a failed attempt is made again, and how long to wait. Plain functions; chance and time are passed in.

mod after;
mod budget;

pub use after::parse_retry_after;
pub use budget::RetryBudget;

use std::time::Duration;

use http::StatusCode;
use rand::{Rng, RngExt};

use crate::config::{ConfigError, RetryConfig};
use crate::failure::Failure;

/// Statuses that would come again: the request itself, or who sends it, is at fault.
const NEVER: [u16; 6] = [400, 401, 403, 404, 413, 422];

/// A checked [`RetryConfig`].
#[derive(Clone, Debug, PartialEq)]
pub struct RetryPolicy {
    attempts: u32,
    connect: bool,
    timeout: bool,
    reset: bool,
    statuses: Vec<StatusRange>,
    base: Duration,
    max: Duration,
}

/// Statuses from the first to the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct StatusRange(u16, u16);

/// What to do before the next attempt at the same target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backoff {
    /// Wait this long.
    Wait(Duration),
    /// The provider asks for more patience than we have: go to the next target at once.
    NextTarget,
}

impl RetryPolicy {
    /// Checks the configuration.
    ///
    /// # Errors
    ///
    /// When there is no attempt at all, `on` holds what is no failure or is never retried, the waits do not fit one
    /// another or the budget's ratio makes no sense.
    pub fn compile(config: &RetryConfig) -> Result<Self, ConfigError> {
        if config.attempts == 0 {
            return Err(ConfigError::new(
                "retry.attempts",
                "must be at least 1; the first attempt counts",
            ));
        }
        if config.backoff.base > config.backoff.max {
            return Err(ConfigError::new(
                "retry.backoff.base",
                "must not be longer than `max`",
            ));
        }
        RetryBudget::check(&config.budget)?;
        let mut policy = Self {
            attempts: config.attempts,
            connect: false,
            timeout: false,
            reset: false,
            statuses: Vec::new(),
            base: config.backoff.base.get(),
            max: config.backoff.max.get(),
        };
        for (index, token) in config.on.iter().enumerate() {
            policy
                .allow(token)
                .map_err(|problem| ConfigError::new(format!("retry.on[{index}]"), problem))?;
        }
        Ok(policy)
    }

    fn allow(&mut self, token: &str) -> Result<(), String> {
        match token {
            "connect" => self.connect = true,
            "timeout" => self.timeout = true,
            "reset" => self.reset = true,
            status => self.statuses.push(parse_statuses(status)?),
        }
        Ok(())
    }

    /// Attempts in all, the first one included.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Whether this kind of failure may be tried again. Counting attempts and asking the [`RetryBudget`] are the
    /// caller's.
    #[must_use]
    pub fn may_retry(&self, failure: &Failure) -> bool {
        match failure {
            Failure::Connect | Failure::Timeout(crate::Phase::Connect) => self.connect,
            Failure::Timeout(_) | Failure::SlowFirstToken => self.timeout,
            Failure::Reset | Failure::Cut | Failure::Protocol => self.reset,
            Failure::Status(status) => self.may_retry_status(*status),
            Failure::ContentFilter | Failure::InvalidRequest | Failure::Full => false,
        }
    }

    fn may_retry_status(&self, status: StatusCode) -> bool {
        let status = status.as_u16();
        !NEVER.contains(&status)
            && self
                .statuses
                .iter()
                .any(|range| (range.0..=range.1).contains(&status))
    }

    /// The wait after attempt number `attempt` (from 1) failed: at random between 0 and the base doubled with each
    /// attempt, at most the maximum. `retry_after`, what the provider asked for, is the least; if it is more than the
    /// maximum, the next target is due.
    pub fn backoff<R: Rng>(&self, attempt: u32, retry_after: Option<Duration>, rng: &mut R) -> Backoff {
        let doublings = attempt.saturating_sub(1).min(20);
        let ceiling = self.base.saturating_mul(1 << doublings).min(self.max);
        let jitter = ceiling.mul_f64(rng.random::<f64>());
        match retry_after {
            Some(wait) if wait > self.max => Backoff::NextTarget,
            // On top of what was asked for, so that all who were asked do not come back in the same instant.
            Some(wait) => Backoff::Wait((wait + jitter.min(wait / 5)).min(self.max)),
            None => Backoff::Wait(jitter),
        }
    }
}

/// `"429"` or `"5xx"`.
fn parse_statuses(token: &str) -> Result<StatusRange, String> {
    match token {
        "4xx" => return Ok(StatusRange(400, 499)),
        "5xx" => return Ok(StatusRange(500, 599)),
        _ => {}
    }
    match token.parse::<u16>() {
        Ok(status) if NEVER.contains(&status) => Err(format!(
            "status {status} is never retried: the same request would fail again"
        )),
        Ok(status) if (400..600).contains(&status) => Ok(StatusRange(status, status)),
        _ => Err(format!(
            "`{token}` is not one of connect, timeout, reset, a status such as \"429\" or a class such as \"5xx\""
        )),
    }
}

#[cfg(test)]
mod tests;
