//! Which of a decision's models: algorithms that rank candidates by what is known of them and of the request.
//!
//! Everything here is pure: the same facts and the same seed give the same [`Ranking`]. A new algorithm is a file that
//! implements [`Selector`], a block in `config.rs` and an arm in `build.rs`.

mod automix;
mod build;
mod candidate;
mod chance;
mod config;
mod declared;
mod elo;
mod fitted;
mod hybrid;
mod latency_aware;
mod learned;
mod multi_factor;
mod prompt;
mod ranking;
mod router_dc;
mod selector;
mod session;
mod target;
mod thompson;
mod unfitted;
mod weighted;
mod wired;

pub use build::{Surroundings, Wrong};
pub use candidate::{CandidateFacts, Latency, Percentiles, Previous, Price, SelectionRequest};
pub use chance::Chance;
pub use config::{
    AlgorithmConfig, AlgorithmSettings, AutomixConfig, EloConfig, FactorWeights, FittedConfig, HybridConfig,
    LatencyAwareConfig, MultiFactorConfig, OnNoCandidates, PosteriorConfig, PromptConfig, RouterDcConfig,
    SessionConfig, SloConfig, TargetConfig, ThompsonConfig,
};
pub use fitted::{
    Algorithm, Embedder, FitError, FitOptions, Fitted, HashedNgrams, Questions, Row, Sparse, fit,
};
pub(crate) use prompt::framed;
pub use prompt::{HelperQuestion, Prompt};
pub use ranking::{Parts, Ranked, Ranking, Score, Scores, Unfit};
pub use selector::{Selection, Selector, WhenNone};
pub use wired::KnownModels;
pub(crate) use wired::{compile, rank};

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
    pub(crate) card: Card,
}

/// What a model's card says that selection goes by.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Card {
    pub(crate) quality: Option<f64>,
    /// Tokens of prompt and answer together.
    pub(crate) window: Option<u64>,
    /// What it is for.
    pub(crate) description: Option<String>,
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
