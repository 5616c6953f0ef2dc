//! `knn`, `kmeans`, `svm`, `mlp`: chances of a good answer by what models made of like questions.

use std::sync::Arc;

use super::candidate::{CandidateFacts, SelectionRequest};
use super::fitted::Fitted;
use super::ranking::{Score, Scores};
use super::selector::Selector;

/// A fitted model that says how likely each candidate is to be right.
#[derive(Debug, Clone)]
pub(crate) struct Learned {
    pub(crate) fitted: Arc<Fitted>,
    /// What the dearest candidate's cost is worth, in chance to be right.
    pub(crate) cost_weight: f64,
}

impl Selector for Learned {
    fn name(&self) -> &'static str {
        self.fitted.algorithm().name()
    }

    fn reads_meaning(&self) -> bool {
        self.fitted.encoder().is_some()
    }

    fn reads_words(&self) -> bool {
        true
    }

    fn score(&self, request: &SelectionRequest<'_>, candidates: &[&CandidateFacts<'_>]) -> Scores {
        let chances = match self.fitted.predict(request.text, request.embedding) {
            Ok(chances) => chances,
            Err(note) => return Scores::none(candidates.len(), note),
        };
        let costs: Vec<Option<u64>> = candidates
            .iter()
            .map(|candidate| candidate.cost(request))
            .collect();
        let dearest = costs.iter().flatten().copied().max().unwrap_or(0).max(1) as f64;
        let mut unknown = false;
        let mut score = |(candidate, cost): (&&CandidateFacts<'_>, &Option<u64>)| {
            let Some(chance) = self.fitted.of(candidate.model, &chances) else {
                unknown = true;
                return Score::default();
            };
            let share = cost.unwrap_or(0) as f64 / dearest;
            let mut score = Score::quality(chance).part("cost_share", share);
            score.value = Some(chance - self.cost_weight * share);
            score
        };
        let each = candidates.iter().zip(&costs).map(&mut score).collect();
        let note = unknown.then_some("a candidate is not among the models that were fitted");
        Scores { each, note }
    }
}
