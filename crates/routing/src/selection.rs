//! Which of a decision's models.

use serde::Serialize;

use crate::reasoning::Reasoning;

/// A model that was selected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Selected {
    /// The model.
    pub model: String,
    /// The adapter that is asked for in its place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lora_name: Option<String>,
    /// How its reasoning is switched.
    #[serde(skip)]
    pub reasoning: Option<Reasoning>,
    /// Whether it shall reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub use_reasoning: Option<bool>,
}

/// A candidate with its share.
pub(crate) struct Candidate {
    pub(crate) selected: Selected,
    pub(crate) weight: f64,
}

/// Draws by weight; `roll` lies in 0..1.
pub(crate) fn draw(candidates: &[Candidate], roll: f64) -> Option<usize> {
    let total: f64 = candidates.iter().map(|candidate| candidate.weight).sum();
    let mut left = roll * total;
    for (index, candidate) in candidates.iter().enumerate() {
        left -= candidate.weight;
        if left < 0.0 {
            return Some(index);
        }
    }
    candidates.len().checked_sub(1)
}
