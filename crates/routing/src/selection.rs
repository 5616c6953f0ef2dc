//! Which of a decision's models: algorithms that rank candidates by what is known of them and of the request.
//!
//! Everything here is pure: the same facts and the same seed give the same [`Ranking`]. A new algorithm is a file that
//! implements [`Selector`], a block in `config.rs` and an arm in `build.rs`.

mod adapted;
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
pub use selector::{Needs, Selection, Selector, WhenNone};
pub(crate) use session::Protected;
pub use wired::KnownModels;
pub(crate) use wired::{compile, rank};

use serde::Serialize;

use crate::config::ModelCard;
use crate::facts::{Facts, MessageFacts};
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
    /// What it can.
    pub(crate) can: Abilities,
}

/// What a model can, as its card says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Abilities {
    pub(crate) tools: bool,
    pub(crate) images: bool,
    pub(crate) audio: bool,
    pub(crate) video: bool,
}

/// Words for calling tools and for reading images.
const TOOLS: [&str; 6] = [
    "tools",
    "tool_use",
    "tool_calling",
    "tool_calls",
    "function_calling",
    "functions",
];
const IMAGES: [&str; 4] = ["image", "images", "vision", "image_input"];

impl Abilities {
    /// By what a card says.
    pub(crate) fn of(card: &ModelCard) -> Self {
        let plain = |word: &String| word.trim().to_lowercase().replace(['-', ' '], "_");
        let said: Vec<String> = card
            .capabilities
            .iter()
            .chain(&card.modalities.input)
            .map(plain)
            .collect();
        let any = |words: &[&str]| {
            said.iter()
                .any(|word| words.contains(&word.as_str()) || word == "multimodal")
        };
        let tools = |word: &String| TOOLS.contains(&word.as_str());
        Self {
            tools: said.iter().any(tools),
            images: any(&IMAGES),
            audio: any(&["audio", "audio_input", "speech"]),
            video: any(&["video", "video_input"]),
        }
    }

    /// Why a model without what a request brings is not to be taken.
    pub(crate) fn lacks(self, facts: &Facts<'_>) -> Option<&'static str> {
        let brings = |has: fn(&MessageFacts<'_>) -> bool| facts.messages.iter().any(has);
        let lacks = [
            (
                facts.tools_defined > 0 && !self.tools,
                "its card does not say that it calls tools",
            ),
            (
                !self.images && brings(|message| message.has_image),
                "its card does not say that it reads images",
            ),
            (
                !self.audio && brings(|message| message.has_audio),
                "its card does not say that it hears sound",
            ),
            (
                !self.video && brings(|message| message.has_video),
                "its card does not say that it sees films",
            ),
        ];
        lacks.into_iter().find_map(|(lacks, why)| lacks.then_some(why))
    }
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
