//! Which of several candidates gets the next request. Plain functions: chance and time are passed in.

mod turn;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use rand::{Rng, RngExt};
use smallvec::SmallVec;

use crate::config::{BalanceConfig, BalancePolicyName, ConfigError};

/// What may be chosen: an endpoint of a provider, or a target of a model.
pub trait Candidate {
    /// Share of the traffic. 0 gets none.
    fn weight(&self) -> u32;
    /// The lowest number is used first.
    fn priority(&self) -> u32;
    /// Whether it can take a request.
    fn available(&self, now: Instant) -> bool;
    /// Requests it is busy with.
    fn in_flight(&self) -> u32;
    /// Moving average of its time to the first byte, in microseconds; `None` when it was never measured.
    fn latency_us(&self, now: Instant) -> Option<u64>;
}

impl<C: Candidate + ?Sized> Candidate for &C {
    fn weight(&self) -> u32 {
        (**self).weight()
    }

    fn priority(&self) -> u32 {
        (**self).priority()
    }

    fn available(&self, now: Instant) -> bool {
        (**self).available(now)
    }

    fn in_flight(&self) -> u32 {
        (**self).in_flight()
    }

    fn latency_us(&self, now: Instant) -> Option<u64> {
        (**self).latency_us(now)
    }
}

impl<C: Candidate + ?Sized> Candidate for Arc<C> {
    fn weight(&self) -> u32 {
        (**self).weight()
    }

    fn priority(&self) -> u32 {
        (**self).priority()
    }

    fn available(&self, now: Instant) -> bool {
        (**self).available(now)
    }

    fn in_flight(&self) -> u32 {
        (**self).in_flight()
    }

    fn latency_us(&self, now: Instant) -> Option<u64> {
        (**self).latency_us(now)
    }
}

/// A balancing policy, ready to pick.
#[derive(Debug, Default)]
pub enum Policy {
    /// At random, in proportion to the weights.
    #[default]
    Weighted,
    /// In turn, evenly interleaved; holds whose turn it is, for all workers together.
    RoundRobin(AtomicU64),
    /// Fewer requests in flight for its weight, of two taken at random.
    LeastBusy,
    /// Lower expected wait for its weight, of two taken at random.
    LowestLatency,
}

impl Policy {
    /// Compiles the configuration.
    ///
    /// # Errors
    ///
    /// When the policy is one that this version does not have.
    pub fn compile(config: &BalanceConfig) -> Result<Self, ConfigError> {
        match config.policy {
            BalancePolicyName::Weighted => Ok(Self::Weighted),
            BalancePolicyName::RoundRobin => Ok(Self::RoundRobin(AtomicU64::new(0))),
            BalancePolicyName::LeastBusy => Ok(Self::LeastBusy),
            BalancePolicyName::LowestLatency => Ok(Self::LowestLatency),
            name @ (BalancePolicyName::PrefixCache
            | BalancePolicyName::Session
            | BalancePolicyName::KvCache) => Err(ConfigError::unsupported(
                "balance.policy",
                &format!("`{}`", name.as_str()),
            )),
        }
    }
}

/// The candidates that one request has tried, by their index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TriedSet(SmallVec<[u32; 6]>);

impl TriedSet {
    /// Marks a candidate as tried.
    pub fn insert(&mut self, index: usize) {
        if let Ok(index) = u32::try_from(index)
            && !self.0.contains(&index)
        {
            self.0.push(index);
        }
    }

    /// Whether a candidate was tried.
    #[must_use]
    pub fn contains(&self, index: usize) -> bool {
        self.0.iter().any(|tried| *tried as usize == index)
    }

    /// How many were tried.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none was tried.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Forgets all, so that they can be tried again.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

/// Indices of the candidates that may be chosen; on the stack for all but the largest fleets.
type Eligible = SmallVec<[usize; 16]>;

/// Chooses among the available candidates that were not tried: of those with the lowest priority number, the one
/// that the policy says. `None` when there is none.
pub fn pick<C: Candidate, R: Rng>(
    policy: &Policy,
    candidates: &[C],
    tried: &TriedSet,
    now: Instant,
    rng: &mut R,
) -> Option<usize> {
    let eligible = eligible(candidates, tried, now);
    match eligible.as_slice() {
        [] => None,
        [only] => Some(*only),
        several => match policy {
            Policy::Weighted => Some(weighted(candidates, several, rng)),
            Policy::RoundRobin(turn) => {
                let turn = turn.fetch_add(1, Ordering::Relaxed);
                let weights: SmallVec<[u32; 16]> =
                    several.iter().map(|index| candidates[*index].weight()).collect();
                Some(several[turn::whose(turn, &weights)])
            }
            Policy::LeastBusy => Some(better_of_two(several, rng, |index| {
                let candidate = &candidates[index];
                (f64::from(candidate.in_flight()) + 1.0) / f64::from(candidate.weight())
            })),
            Policy::LowestLatency => Some(better_of_two(several, rng, |index| {
                expected_wait(&candidates[index], now)
            })),
        },
    }
}

fn eligible<C: Candidate>(candidates: &[C], tried: &TriedSet, now: Instant) -> Eligible {
    let mut eligible = Eligible::new();
    let mut lowest = u32::MAX;
    for (index, candidate) in candidates.iter().enumerate() {
        let priority = candidate.priority();
        let is_candidate = priority <= lowest && candidate.weight() > 0 && !tried.contains(index);
        if !is_candidate || !candidate.available(now) {
            continue;
        }
        if priority < lowest {
            lowest = priority;
            eligible.clear();
        }
        eligible.push(index);
    }
    eligible
}

fn weighted<C: Candidate, R: Rng>(candidates: &[C], eligible: &[usize], rng: &mut R) -> usize {
    let weight = |index: &usize| u64::from(candidates[*index].weight());
    let total: u64 = eligible.iter().map(weight).sum();
    let mut ticket = rng.random_range(0..total.max(1));
    for index in eligible {
        let share = weight(index);
        if ticket < share {
            return *index;
        }
        ticket -= share;
    }
    eligible[0]
}

/// Of two different candidates taken at random, the one that costs less. Looking at two is nearly as good as looking
/// at all, and does not send every worker to the same one.
fn better_of_two<R: Rng>(eligible: &[usize], rng: &mut R, cost: impl Fn(usize) -> f64) -> usize {
    let first = rng.random_range(0..eligible.len());
    let second = (first + rng.random_range(1..eligible.len())) % eligible.len();
    let (first, second) = (eligible[first], eligible[second]);
    if cost(first) <= cost(second) {
        first
    } else {
        second
    }
}

/// Cost of a candidate that is being measured for the first time: above any that is known, so that not everything
/// goes there before the first answer is in.
const UNKNOWN_LATENCY_US: f64 = 1e12;

/// Expected wait at a candidate: its latency for each request that is ahead, for its weight.
fn expected_wait<C: Candidate>(candidate: &C, now: Instant) -> f64 {
    let in_flight = f64::from(candidate.in_flight());
    let cost = match candidate.latency_us(now) {
        // Latencies are below 2^32 µs: exact in a float.
        Some(latency) => latency.max(1) as f64 * (in_flight + 1.0),
        None if in_flight > 0.0 => UNKNOWN_LATENCY_US * in_flight,
        None => 0.0,
    };
    cost / f64::from(candidate.weight())
}

#[cfg(test)]
mod tests;
