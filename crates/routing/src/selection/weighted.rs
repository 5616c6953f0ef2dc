//! `weighted`: each candidate its share.

use super::candidate::{CandidateFacts, SelectionRequest};
use super::chance::Chance;
use super::ranking::{Score, Scores};
use super::selector::Selector;

/// Draws by weight; the others stand by as drawn, so that shares hold among those that are left when one fails.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Weighted;

impl Selector for Weighted {
    fn name(&self) -> &'static str {
        "weighted"
    }

    fn comparable(&self) -> bool {
        false
    }

    fn score(&self, request: &SelectionRequest<'_>, candidates: &[&CandidateFacts<'_>]) -> Scores {
        let mut chance = Chance::new(request.seed);
        let draw = |candidate: &&CandidateFacts<'_>| {
            // The largest of u^(1/w) is a candidate's with the chance of its weight (Efraimidis and Spirakis).
            let key = (1.0 - chance.unit()).ln() / candidate.weight.max(f64::MIN_POSITIVE);
            let score = if candidate.weight > 0.0 {
                Score::of(key)
            } else {
                Score::default()
            };
            score.part("weight", candidate.weight)
        };
        candidates.iter().map(draw).collect::<Vec<_>>().into()
    }
}
