//! Sums of what a model did, fading with a half-life.

use serde::{Deserialize, Serialize};

use super::learner::Outcome;

/// What a model did in a scope. All sums have faded to `as_of`; later ones are worth more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Arm {
    /// The moment the sums are worth what they say, in seconds.
    pub as_of: u64,
    /// How many outcomes had a reward.
    pub rewarded: f64,
    /// Their rewards.
    pub reward: f64,
    /// Their rewards, squared.
    pub reward_squared: f64,
    /// How many outcomes there were.
    pub count: f64,
    /// How many had failed.
    pub failed: f64,
    /// How many told a cost.
    pub costed: f64,
    /// Their costs, in nano-dollars.
    pub cost: f64,
    /// How many told how long they took.
    pub timed: f64,
    /// How long, in milliseconds.
    pub latency_ms: f64,
}

/// What is left of a sum after some seconds.
pub(crate) fn faded(seconds: u64, half_life: Option<f64>) -> f64 {
    half_life.map_or(1.0, |half_life| (-(seconds as f64) / half_life).exp2())
}

impl Arm {
    /// Takes an outcome in; one that comes late has faded by then.
    pub(crate) fn record(&mut self, outcome: &Outcome<'_>, half_life: Option<f64>) {
        let mut one = Self {
            as_of: outcome.at,
            count: 1.0,
            failed: f64::from(u8::from(outcome.failed)),
            ..Self::default()
        };
        if let Some(reward) = outcome.judged() {
            (one.rewarded, one.reward, one.reward_squared) = (1.0, reward, reward * reward);
        }
        if let Some(cost) = outcome.cost {
            (one.costed, one.cost) = (1.0, cost as f64);
        }
        if let Some(latency) = outcome.latency_ms.filter(|latency| latency.is_finite()) {
            (one.timed, one.latency_ms) = (1.0, latency.max(0.0));
        }
        self.add(&one, half_life);
    }

    /// Adds another's sums.
    pub fn add(&mut self, other: &Self, half_life: Option<f64>) {
        let as_of = self.as_of.max(other.as_of);
        let (mine, theirs) = (
            faded(as_of - self.as_of, half_life),
            faded(as_of - other.as_of, half_life),
        );
        self.as_of = as_of;
        for (mine_sum, their_sum) in self.sums().into_iter().zip(other.copied()) {
            *mine_sum = *mine_sum * mine + their_sum * theirs;
        }
    }

    fn sums(&mut self) -> [&mut f64; 9] {
        [
            &mut self.rewarded,
            &mut self.reward,
            &mut self.reward_squared,
            &mut self.count,
            &mut self.failed,
            &mut self.costed,
            &mut self.cost,
            &mut self.timed,
            &mut self.latency_ms,
        ]
    }

    fn copied(&self) -> [f64; 9] {
        let mut copy = *self;
        copy.sums().map(|sum| *sum)
    }

    /// Whether every sum is a number, and none below zero.
    pub(crate) fn is_sound(&self) -> bool {
        self.copied().iter().all(|sum| sum.is_finite() && *sum >= 0.0)
    }

    /// The mean reward; none before the first.
    #[must_use]
    pub fn mean(&self) -> Option<f64> {
        (self.rewarded > 0.0).then(|| self.reward / self.rewarded)
    }

    /// How far rewards lie apart (variance).
    #[must_use]
    pub fn variance(&self) -> Option<f64> {
        let mean = self.mean()?;
        Some((self.reward_squared / self.rewarded - mean * mean).max(0.0))
    }

    /// The mean cost, in nano-dollars.
    #[must_use]
    pub fn mean_cost(&self) -> Option<f64> {
        (self.costed > 0.0).then(|| self.cost / self.costed)
    }

    /// The mean time it took, in milliseconds.
    #[must_use]
    pub fn mean_latency_ms(&self) -> Option<f64> {
        (self.timed > 0.0).then(|| self.latency_ms / self.timed)
    }
}
