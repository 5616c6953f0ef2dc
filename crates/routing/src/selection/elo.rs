//! `elo`: whose answers are preferred.

use super::candidate::{CandidateFacts, SelectionRequest};
use super::ranking::{Score, Scores};
use super::selector::Selector;
use crate::learning::expected;

/// Ratings from comparisons; a rating turned into the chance to win against a model of the initial rating.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Elo {
    pub(crate) initial: f64,
    /// Comparisons that a model needs before its rating counts.
    pub(crate) min_comparisons: f64,
    /// Whether domains are rated apart, where a domain has enough comparisons.
    pub(crate) by_domain: bool,
    /// What a candidate that costs as much as the dearest gives away, in chance to win.
    pub(crate) cost_weight: f64,
}

impl Selector for Elo {
    fn name(&self) -> &'static str {
        "elo"
    }

    fn reads_outcomes(&self) -> bool {
        true
    }

    fn reads_domains(&self) -> bool {
        self.by_domain
    }

    fn score(&self, request: &SelectionRequest<'_>, candidates: &[&CandidateFacts<'_>]) -> Scores {
        let Some(learned) = request.learned else {
            return Scores::none(candidates.len(), "nothing is learned here: as declared");
        };
        let overall = learned.rated(request.scope, None, self.initial);
        let domain = request.domain().filter(|_| self.by_domain);
        let within = domain.map(|domain| learned.rated(request.scope, Some(domain), self.initial));
        let enough = |(_, games): &&(f64, f64)| *games >= self.min_comparisons;
        let costs: Vec<Option<u64>> = candidates
            .iter()
            .map(|candidate| candidate.cost(request))
            .collect();
        let dearest = costs.iter().flatten().copied().max().unwrap_or(0).max(1) as f64;
        let mut known = false;
        let mut score = |(candidate, cost): (&&CandidateFacts<'_>, &Option<u64>)| {
            let found = within
                .as_ref()
                .and_then(|rated| rated.get(candidate.model))
                .filter(enough)
                .or_else(|| overall.get(candidate.model).filter(enough));
            known |= found.is_some();
            // One that was hardly compared stands where it starts.
            let (rating, games) = found.copied().unwrap_or((self.initial, 0.0));
            let chance = expected(rating, self.initial);
            let spent = self.cost_weight * cost.unwrap_or(0) as f64 / dearest;
            let mut score = Score::of(chance - spent)
                .part("rating", rating)
                .part("comparisons", games);
            score.quality = Some(chance);
            score
        };
        let each: Vec<Score> = candidates.iter().zip(&costs).map(&mut score).collect();
        let note = (!known).then_some("too few comparisons yet");
        Scores { each, note }
    }
}
