//! `router_dc`: the model whose description, or whose fitted place, is nearest to what is asked.

use std::sync::Arc;

use super::candidate::{CandidateFacts, SelectionRequest};
use super::fitted::Fitted;
use super::ranking::{Score, Scores};
use super::selector::Selector;

/// Cosines between the prompt and each model.
#[derive(Debug, Clone)]
pub(crate) struct RouterDc {
    pub(crate) temperature: f64,
    /// What less is no match.
    pub(crate) min_similarity: f64,
    /// Places of models that were fitted to outcomes; descriptions' places where there are none.
    pub(crate) fitted: Option<Arc<Fitted>>,
}

impl RouterDc {
    fn similarities(
        &self,
        request: &SelectionRequest<'_>,
        candidates: &[&CandidateFacts<'_>],
    ) -> Result<Vec<Option<f64>>, &'static str> {
        if let Some(fitted) = &self.fitted {
            let found = fitted.predict(request.text, request.embedding)?;
            // What was fitted are chances, which here stand for nearness.
            return Ok(candidates
                .iter()
                .map(|candidate| {
                    fitted
                        .of(candidate.model, &found)
                        .map(|chance| 2.0 * chance - 1.0)
                })
                .collect());
        }
        let Some(prompt) = request.embedding else {
            return Err("nothing has read the prompt: as declared");
        };
        let of =
            |candidate: &&CandidateFacts<'_>| candidate.description.and_then(|place| cosine(prompt, place));
        Ok(candidates.iter().map(of).collect())
    }
}

/// The cosine of two vectors; none where they have different widths or no direction.
pub(crate) fn cosine(left: &[f32], right: &[f32]) -> Option<f64> {
    if left.len() != right.len() {
        return None;
    }
    let dot = |left: &[f32], right: &[f32]| -> f64 {
        left.iter()
            .zip(right)
            .map(|(left, right)| f64::from(*left) * f64::from(*right))
            .sum()
    };
    let lengths = (dot(left, left) * dot(right, right)).sqrt();
    (lengths > 0.0 && lengths.is_finite()).then(|| dot(left, right) / lengths)
}

impl Selector for RouterDc {
    fn name(&self) -> &'static str {
        "router_dc"
    }

    fn reads_meaning(&self) -> bool {
        self.fitted
            .as_ref()
            .is_none_or(|fitted| fitted.encoder().is_some())
    }

    fn reads_descriptions(&self) -> bool {
        self.fitted.is_none()
    }

    fn reads_words(&self) -> bool {
        self.fitted.is_some()
    }

    fn score(&self, request: &SelectionRequest<'_>, candidates: &[&CandidateFacts<'_>]) -> Scores {
        let similarities = match self.similarities(request, candidates) {
            Ok(similarities) => similarities,
            Err(note) => return Scores::none(candidates.len(), note),
        };
        let near = |similarity: &f64| *similarity >= self.min_similarity;
        if !similarities.iter().flatten().any(near) {
            return Scores::none(
                candidates.len(),
                "no model is as near as min_similarity asks: as declared",
            );
        }
        let score = |similarity: &Option<f64>| {
            let Some(similarity) = similarity else {
                return Score::default();
            };
            let chance = 1.0 / (1.0 + (-similarity / self.temperature).exp());
            // A cosine orders as the chance does, also where chances are too near 1 to be told apart.
            let value = if near(similarity) {
                *similarity
            } else {
                similarity - 2.0
            };
            let mut score = Score::of(value)
                .part("similarity", *similarity)
                .part("probability", chance);
            score.quality = Some(match &self.fitted {
                Some(_) => similarity.midpoint(1.0),
                None => chance,
            });
            score
        };
        similarities.iter().map(score).collect::<Vec<_>>().into()
    }
}
