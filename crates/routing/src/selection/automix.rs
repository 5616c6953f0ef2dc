//! `automix`: which model to begin with, if answers are verified and doubtful ones handed to a dearer model.

use super::candidate::{CandidateFacts, SelectionRequest};
use super::ranking::{Score, Scores};
use super::selector::Selector;
use crate::learning::Arm;

/// What beginning with a candidate is worth: its own answer where it passes, else what the next dearer ones make of it,
/// less what all of that costs. The calls themselves are a loop's; this picks the first.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Automix {
    /// How sure a verifier must be. A right answer passes; of the wrong ones pass as many as it leaves room for.
    pub(crate) threshold: f64,
    /// How often a dearer model may take over.
    pub(crate) max_escalations: usize,
    /// What the dearest candidate's cost is worth, in quality.
    pub(crate) cost_weight: f64,
    /// What an answer that comes a step later is still worth.
    pub(crate) discount: f64,
}

impl Automix {
    /// The chance that a model's answer is right: what is learned of it, else what is declared, less for hard questions.
    fn right(request: &SelectionRequest<'_>, candidate: &CandidateFacts<'_>) -> Option<f64> {
        let declared = candidate.prior(request);
        let arm = request
            .learned
            .and_then(|learned| learned.arm(request.scope, request.domain(), candidate.model));
        let known = match (declared, arm.as_ref().and_then(Arm::mean).zip(arm)) {
            (Some(declared), Some((mean, arm))) => {
                let held = 4.0;
                (held * declared + arm.rewarded * mean) / (held + arm.rewarded)
            }
            (declared, mean) => declared.or(mean.map(|(mean, _)| mean))?,
        };
        let known = known.clamp(0.0, 1.0);
        let hard = request.difficulty.unwrap_or(0.5).clamp(0.0, 1.0) - 0.5;
        // A question of middling difficulty is what the number was measured on; weak models lose more on hard ones.
        Some((known - 2.0 * hard * known * (1.0 - known)).clamp(0.0, 1.0))
    }

    fn worth(&self, chain: &[(f64, f64)], steps: usize) -> f64 {
        let Some(((right, cost), rest)) = chain.split_first() else {
            return 0.0;
        };
        let own = *right;
        let spent = self.cost_weight * cost;
        if rest.is_empty() || steps == 0 {
            return own - spent;
        }
        let doubted = (1.0 - own) * self.threshold;
        own + doubted * self.discount * self.worth(rest, steps - 1) - spent
    }
}

impl Selector for Automix {
    fn name(&self) -> &'static str {
        "automix"
    }

    fn score(&self, request: &SelectionRequest<'_>, candidates: &[&CandidateFacts<'_>]) -> Scores {
        let costs: Vec<f64> = {
            let of = |candidate: &&CandidateFacts<'_>| candidate.cost(request).unwrap_or(0) as f64;
            candidates.iter().map(of).collect()
        };
        let dearest = costs.iter().copied().fold(1.0, f64::max);
        let rights: Vec<Option<f64>> = candidates
            .iter()
            .map(|candidate| Self::right(request, candidate))
            .collect();
        // From the cheapest to the dearest: that is the way answers are handed on.
        let mut ladder: Vec<usize> = (0..candidates.len()).filter(|at| rights[*at].is_some()).collect();
        ladder.sort_by(|left, right| costs[*left].total_cmp(&costs[*right]).then(left.cmp(right)));
        let chain: Vec<(f64, f64)> = ladder
            .iter()
            .map(|at| (rights[*at].unwrap_or(0.0), costs[*at] / dearest))
            .collect();
        let mut each = vec![Score::default(); candidates.len()];
        for (step, at) in ladder.iter().enumerate() {
            let mut score = Score::of(self.worth(&chain[step..], self.max_escalations))
                .part("right", chain[step].0)
                .part("cost_share", chain[step].1);
            score.quality = Some(chain[step].0);
            each[*at] = score;
        }
        Scores {
            note: ladder
                .is_empty()
                .then_some("no candidate's quality is known: as declared"),
            each,
        }
    }
}
