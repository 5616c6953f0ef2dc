//! `knn`, `kmeans`, `svm` and `mlp` before anything was fitted: models are taken as declared, and the reason is told.

use super::candidate::{CandidateFacts, SelectionRequest};
use super::fitted::Algorithm;
use super::ranking::Scores;
use super::selector::Selector;

/// An algorithm that has nothing to go by yet.
#[derive(Debug)]
pub(crate) struct Unfitted(pub(crate) Algorithm);

impl Selector for Unfitted {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn comparable(&self) -> bool {
        false
    }

    fn score(&self, _request: &SelectionRequest<'_>, candidates: &[&CandidateFacts<'_>]) -> Scores {
        Scores::none(
            candidates.len(),
            "nothing is fitted yet (pointsman train): as declared",
        )
    }
}
