//! `static`: as declared, or by fixed scores of the domain.

use super::candidate::{CandidateFacts, SelectionRequest};
use super::ranking::{Score, Scores};
use super::selector::Selector;

/// The first that is declared; where every candidate has a score for the domain, the highest.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Declared;

impl Selector for Declared {
    fn name(&self) -> &'static str {
        "static"
    }

    fn comparable(&self) -> bool {
        false
    }

    fn score(&self, request: &SelectionRequest<'_>, candidates: &[&CandidateFacts<'_>]) -> Scores {
        let of = |candidate: &&CandidateFacts<'_>| {
            let domain = request.domain()?;
            let known = candidate.quality_by_domain.iter();
            known
                .filter(|(name, _)| name == domain)
                .map(|(_, quality)| *quality)
                .next()
        };
        match candidates.iter().map(of).collect::<Option<Vec<f64>>>() {
            Some(scores) => scores.into_iter().map(Score::quality).collect::<Vec<_>>().into(),
            None => Scores::from(vec![Score::default(); candidates.len()]),
        }
    }
}
