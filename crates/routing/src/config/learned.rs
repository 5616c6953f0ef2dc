//! Signals that a model computes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::RuleNode;

/// Likeness of meaning to examples.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EmbeddingConfig {
    /// By which decisions refer to it.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// Least likeness, 0 to 1.
    pub threshold: Option<f64>,
    /// Examples.
    pub candidates: Vec<String>,
    /// Examples that are images.
    pub image_candidates: Vec<String>,
    /// Examples of what is not meant.
    pub negative_candidates: Vec<String>,
    /// Examples of what is not meant that are images.
    pub negative_image_candidates: Vec<String>,
    /// How the likenesses to all examples become one.
    pub aggregation_method: Option<Aggregation>,
    /// What of the request is compared.
    pub query_modality: Option<QueryModality>,
    /// How examples are summed up.
    pub prototype_scoring: Option<PrototypeScoring>,
}

/// How the likenesses to all examples become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Aggregation {
    /// Their mean.
    Mean,
    /// The greatest.
    Max,
    /// The greatest; one that reaches the threshold is enough.
    Any,
}

/// What of the request is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum QueryModality {
    /// Its text.
    Text,
    /// Its image.
    Image,
    /// Its sound.
    Audio,
}

/// How many examples are summed up as few.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PrototypeScoring {
    /// Whether they are.
    pub enabled: Option<bool>,
    /// Examples at least as alike as this become one.
    pub cluster_similarity_threshold: Option<f64>,
    /// Most prototypes.
    pub max_prototypes: Option<u32>,
    /// What the best counts beside the mean of the next, 0 to 1.
    pub best_weight: Option<f64>,
    /// How many count.
    pub top_m: Option<u32>,
    /// Least lead over the next.
    pub margin_threshold: Option<f64>,
}

/// What the prompt is about.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DomainConfig {
    /// By which decisions refer to it; a domain of the model, unless `mmlu_categories` names others.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// Domains of the model that count as this one.
    pub mmlu_categories: Vec<String>,
    /// How good models are at it.
    pub model_scores: Vec<ModelScore>,
    /// Least confidence, 0 to 1.
    pub threshold: Option<f64>,
}

/// How good a model is at a domain.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ModelScore {
    /// The model.
    pub model: String,
    /// How good, 0 to 1.
    pub score: f64,
    /// Whether it reasons for it.
    pub use_reasoning: Option<bool>,
}

/// A class of a classifier that has few: whether facts need checking, what the user thinks of the last answer, which
/// kind of answer is wanted.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ClassConfig {
    /// The class: `needs_fact_check` or `no_fact_check_needed` of `fact_check`; `satisfied`, `need_clarification`,
    /// `wrong_answer` or `want_different` of `user_feedbacks`; `AR`, `DIFFUSION` or `BOTH` of `modality`.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// Least confidence, 0 to 1.
    pub threshold: Option<f64>,
}

/// The user asks again what was asked before.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ReaskConfig {
    /// By which decisions refer to it.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// Least likeness, 0 to 1; 0.8 when absent.
    pub threshold: Option<f64>,
    /// How many turns in a row must be alike; 1 when absent.
    pub lookback_turns: Option<u32>,
}

/// What the user likes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PreferenceConfig {
    /// By which decisions refer to it.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// What they say.
    pub examples: Vec<String>,
    /// Least likeness, 0 to 1.
    pub threshold: Option<f64>,
}

/// How hard the prompt is. Decisions refer to it as `NAME:easy`, `NAME:medium` and `NAME:hard`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ComplexityConfig {
    /// By which decisions refer to it.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// Hard above this, easy below its negative: of the likeness to hard examples less that to easy ones.
    pub threshold: Option<f64>,
    /// Hard above this, in place of the threshold.
    pub hard_above: Option<f64>,
    /// Easy below this, in place of the threshold's negative.
    pub easy_below: Option<f64>,
    /// Hard below this, for a number that falls with difficulty.
    pub hard_below: Option<f64>,
    /// Easy above this, for a number that falls with difficulty.
    pub easy_above: Option<f64>,
    /// Hard examples.
    pub hard: ComplexityExamples,
    /// Easy examples.
    pub easy: ComplexityExamples,
    /// It holds only where this rule does, too.
    pub composer: Option<RuleNode>,
    /// How examples are summed up.
    pub prototype_scoring: Option<PrototypeScoring>,
}

/// Examples of prompts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ComplexityExamples {
    /// Texts.
    pub candidates: Vec<String>,
    /// What images show.
    pub image_candidates: Vec<String>,
}

/// Attempts to talk the model out of its instructions.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct JailbreakConfig {
    /// By which decisions refer to it.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// `classifier` (the default), `contrastive`, `hybrid`, or `pattern`.
    pub method: Option<String>,
    /// Least confidence, 0 to 1.
    pub threshold: Option<f64>,
    /// Whether earlier turns are looked at, too.
    pub include_history: bool,
    /// What such attempts look like.
    pub jailbreak_patterns: Vec<String>,
    /// What looks like one and is none.
    pub benign_patterns: Vec<String>,
    /// `request` (the default) or `response`.
    pub direction: Option<String>,
}

/// Harm in the prompt.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SafetyConfig {
    /// By which decisions refer to it.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// The model; the one that ships when absent.
    pub model: Option<String>,
    /// All classes of the model.
    pub labels: Vec<String>,
    /// Classes that mean harm.
    pub unsafe_labels: Vec<String>,
    /// Least confidence, 0 to 1.
    pub threshold: Option<f64>,
    /// Which kinds of harm.
    pub hazard: Option<HazardConfig>,
}

/// Kinds of harm.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HazardConfig {
    /// The model; the one that ships when absent.
    pub model: Option<String>,
    /// All classes of the model.
    pub labels: Vec<String>,
    /// Kinds that count; all when empty.
    pub categories: Vec<String>,
    /// Least confidence, 0 to 1.
    pub threshold: Option<f64>,
}

/// Claims of the answer that its context does not support. Looked at on the way back: no decision can depend on it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HallucinationConfig {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// Whether each claim is also tested for contradiction.
    pub use_nli: bool,
}

/// Personal data in the prompt.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PiiConfig {
    /// By which decisions refer to it.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// Least confidence, 0 to 1.
    pub threshold: Option<f64>,
    /// Kinds that may be there.
    pub pii_types_allowed: Vec<String>,
    /// Whether earlier turns are looked at, too.
    pub include_history: bool,
}

/// Likeness to what a knowledge base knows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct KbConfig {
    /// By which decisions refer to it.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// The knowledge base, one of `knowledge_bases`.
    pub kb: String,
    /// What of it.
    pub target: KbTarget,
    /// `best` (the default): it must be the likest of all; `threshold`: like enough is enough.
    #[serde(rename = "match")]
    pub matches: Option<String>,
}

/// What of a knowledge base.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct KbTarget {
    /// `label` or `group`.
    pub kind: String,
    /// Its name.
    pub value: String,
}

/// A classifier of one's own. Rules that refer to it name a `label` and a `predicate`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ClassifierConfig {
    /// By which decisions refer to it.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// `local` or `llm`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Who is asked: of an `llm` one of `models`, of a `local` one one of `understanding.models`.
    pub model: Option<String>,
    /// The folder of a `local` one, as it is published; `understanding.models` names it here.
    pub model_path: Option<String>,
    /// Its classes.
    pub labels: Vec<String>,
    /// What an `llm` is told.
    pub instructions: Option<String>,
    /// Whether an `llm` gives no reasons: it never does.
    pub disable_rationale: bool,
    /// Whether a `local` one stays on the processor: it does.
    pub use_cpu: bool,
    /// How long an `llm` may take; 10 when absent.
    pub timeout_seconds: Option<u64>,
}

/// A kind of content in the request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct InputModalityConfig {
    /// By which decisions refer to it.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// `text`, `image`, `audio` or `video`.
    pub modality: String,
}
