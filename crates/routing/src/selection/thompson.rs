//! `thompson`: tries what may be the best as often as it may be the best.

use super::candidate::{CandidateFacts, SelectionRequest};
use super::chance::Chance;
use super::ranking::{Score, Scores};
use super::selector::Selector;
use crate::learning::Arm;

/// Outcomes that a declared quality, or what is known over all domains, counts for at most.
const PRIOR_STRENGTH: f64 = 4.0;

/// What is drawn from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Posterior {
    /// Of a chance: rewards are right or wrong, or lie between.
    Beta,
    /// Of a mean: rewards are measures.
    Gaussian,
}

/// Draws each candidate's quality from what is known of it, and takes the best draw.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Thompson {
    pub(crate) posterior: Posterior,
    /// What a candidate that costs as much as the dearest gives away, in quality.
    pub(crate) cost_weight: f64,
    /// Of how many requests something may be tried; the others take what is best by the mean.
    pub(crate) explore: f64,
    /// Whether domains are learned apart.
    pub(crate) by_domain: bool,
}

impl Default for Thompson {
    fn default() -> Self {
        Self {
            posterior: Posterior::Beta,
            cost_weight: 0.0,
            explore: 0.2,
            by_domain: true,
        }
    }
}

/// What is known: a mean, and as of how many outcomes.
#[derive(Debug, Clone, Copy)]
struct Belief {
    mean: f64,
    count: f64,
    variance: f64,
}

impl Belief {
    fn with(self, arm: Option<&Arm>, strength: f64) -> Self {
        let held = self.count.min(strength);
        let Some(arm) = arm.filter(|arm| arm.rewarded > 0.0) else {
            return Self { count: held, ..self };
        };
        let count = held + arm.rewarded;
        Self {
            mean: (held * self.mean + arm.reward) / count,
            count,
            variance: (held * self.variance + arm.rewarded * arm.variance().unwrap_or(0.25)) / count,
        }
    }

    fn draw(self, posterior: Posterior, chance: &mut Chance) -> f64 {
        match posterior {
            Posterior::Beta => {
                let (good, bad) = (self.mean * self.count, (1.0 - self.mean) * self.count);
                chance.beta(good.max(0.01), bad.max(0.01))
            }
            Posterior::Gaussian => {
                // A little spread stays, or few alike rewards would look like certainty.
                let spread = (self.variance.max(0.0025) / self.count.max(0.5)).sqrt();
                self.mean + spread * chance.normal()
            }
        }
    }
}

impl Thompson {
    /// What is believed of a candidate; before anything is learned, what is `given`, or was declared.
    fn belief(
        &self,
        request: &SelectionRequest<'_>,
        candidate: &CandidateFacts<'_>,
        given: Option<f64>,
    ) -> Belief {
        let declared = given
            .or_else(|| candidate.prior(request))
            .map(|prior| prior.clamp(0.0, 1.0));
        let start = Belief {
            mean: declared.unwrap_or(0.5),
            count: if declared.is_some() { PRIOR_STRENGTH } else { 2.0 },
            variance: 0.25,
        };
        let Some(learned) = request.learned else {
            return start;
        };
        let all = start.with(
            learned.arm(request.scope, None, candidate.model).as_ref(),
            PRIOR_STRENGTH,
        );
        match request.domain().filter(|_| self.by_domain) {
            // Over all domains is where a domain starts from, but it does not count for more than a few outcomes.
            Some(domain) => all.with(
                learned.arm(request.scope, Some(domain), candidate.model).as_ref(),
                PRIOR_STRENGTH,
            ),
            None => all,
        }
    }
}

impl Thompson {
    /// Scores candidates, of which something is believed, where that is `given`, before anything is learned.
    pub(crate) fn believing(
        &self,
        request: &SelectionRequest<'_>,
        candidates: &[&CandidateFacts<'_>],
        given: Option<&[f64]>,
    ) -> Scores {
        let frozen = request.learned.is_none_or(|learned| learned.is_frozen());
        let tries = !frozen && Chance::named(request.seed, "explore").unit() < self.explore;
        let costs: Vec<Option<u64>> = candidates
            .iter()
            .map(|candidate| candidate.cost(request))
            .collect();
        let dearest = costs.iter().flatten().copied().max().unwrap_or(0).max(1) as f64;
        let score = |(index, (candidate, cost)): (usize, (&&CandidateFacts<'_>, &Option<u64>))| {
            let given = given.and_then(|given| given.get(index)).copied();
            let belief = self.belief(request, candidate, given);
            let value = if tries {
                belief.draw(self.posterior, &mut Chance::named(request.seed, candidate.model))
            } else {
                belief.mean
            };
            let spent = self.cost_weight * cost.unwrap_or(0) as f64 / dearest;
            let mut score = Score::of(value - spent)
                .part("mean", belief.mean)
                .part("outcomes", belief.count)
                .part("drawn", value);
            score.quality = Some(value);
            score
        };
        candidates
            .iter()
            .zip(&costs)
            .enumerate()
            .map(score)
            .collect::<Vec<_>>()
            .into()
    }
}

impl Selector for Thompson {
    fn name(&self) -> &'static str {
        "thompson"
    }

    fn reads_outcomes(&self) -> bool {
        true
    }

    fn reads_domains(&self) -> bool {
        self.by_domain
    }

    fn score(&self, request: &SelectionRequest<'_>, candidates: &[&CandidateFacts<'_>]) -> Scores {
        self.believing(request, candidates, None)
    }
}
