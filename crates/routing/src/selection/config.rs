//! The `algorithm` block of a decision, named as the vLLM Semantic Router has it, with what is ours beside.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How one of a decision's models is picked.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct AlgorithmConfig {
    /// `static`, `weighted`, `router_dc`, `latency_aware`, `multi_factor`, `hybrid`, `automix`, `elo`, `thompson`, `knn`,
    /// `kmeans`, `svm`, `mlp` or `prompt`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Settings of the type, in the block of its name.
    #[serde(flatten)]
    pub settings: AlgorithmSettings,
    /// What happens where the algorithm has nothing to go by: `fallback` or `skip`, both of which take models as declared.
    pub on_error: Option<String>,
    /// What is aimed at over all requests of the decision.
    pub target: Option<TargetConfig>,
    /// How sessions stay with their model.
    pub session: Option<SessionConfig>,
}

/// Settings by type. Only the block of the type that is chosen may be there.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct AlgorithmSettings {
    /// Of `router_dc`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub router_dc: Option<RouterDcConfig>,
    /// Of `latency_aware`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_aware: Option<LatencyAwareConfig>,
    /// Of `multi_factor`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub multi_factor: Option<MultiFactorConfig>,
    /// Of `hybrid`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hybrid: Option<HybridConfig>,
    /// Of `automix`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub automix: Option<AutomixConfig>,
    /// Of `elo`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub elo: Option<EloConfig>,
    /// Of `thompson`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thompson: Option<ThompsonConfig>,
    /// Of `knn`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub knn: Option<FittedConfig>,
    /// Of `kmeans`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kmeans: Option<FittedConfig>,
    /// Of `svm`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub svm: Option<FittedConfig>,
    /// Of `mlp`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mlp: Option<FittedConfig>,
    /// Of `prompt`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt: Option<PromptConfig>,
    /// What is there beyond; refused by name.
    #[serde(flatten)]
    #[schemars(skip)]
    pub others: indexmap::IndexMap<String, serde_json::Value>,
}

/// Nearness of the prompt to models' descriptions, or to places that were fitted.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RouterDcConfig {
    /// How sharply the probability follows the cosine; 0.07 when absent.
    pub temperature: Option<f64>,
    /// Taken and not needed: vectors have the width that they have.
    pub dimension_size: Option<u32>,
    /// Cosine below which a model is no match; 0.3 when absent.
    pub min_similarity: Option<f64>,
    /// Taken and not needed: contrast is a matter of fitting.
    pub use_query_contrastive: Option<bool>,
    /// Taken and not needed: contrast is a matter of fitting.
    pub use_model_contrastive: Option<bool>,
    /// Whether every model must have a description.
    pub require_descriptions: bool,
    /// Whether capabilities belong to the description; true when absent.
    pub use_capabilities: Option<bool>,
    /// A file that `pointsman train` wrote: places of models that were fitted to outcomes.
    pub pretrained_path: Option<String>,
}

/// The fastest of late.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LatencyAwareConfig {
    /// Percentile of the time for each token, 1 to 100.
    pub tpot_percentile: Option<u8>,
    /// Percentile of the time to the first token, 1 to 100.
    pub ttft_percentile: Option<u8>,
    /// What it is for.
    pub description: Option<String>,
}

/// Quality, latency, cost and load together.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MultiFactorConfig {
    /// What counts how much; all alike when absent.
    pub weights: Option<FactorWeights>,
    /// What a model may not exceed.
    pub slo: SloConfig,
    /// Percentile of latencies, 1 to 100; 95 when absent.
    pub latency_percentile: Option<u8>,
    /// What happens when every model exceeds something.
    pub on_no_candidates: OnNoCandidates,
}

/// What counts how much.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FactorWeights {
    /// `quality_score` of the model's card.
    pub quality: f64,
    /// How fast it was lately.
    pub latency: f64,
    /// What the request costs there.
    pub cost: f64,
    /// Requests that it works on now.
    pub load: f64,
}

/// What a model may not exceed; absent or 0 is no limit, and what is not known exceeds nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SloConfig {
    /// Milliseconds for each token.
    pub max_tpot_ms: f64,
    /// Milliseconds to the first token.
    pub max_ttft_ms: f64,
    /// Dollars for a million tokens of prompt.
    pub max_cost_per_1m: f64,
    /// Requests at once.
    pub max_inflight: u32,
}

/// What happens when every model exceeds something.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnNoCandidates {
    /// The cheapest is taken.
    #[default]
    Cheapest,
    /// The first is taken.
    First,
    /// The request fails.
    Fail,
}

/// Ratings, nearness and cost-quality together.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HybridConfig {
    /// Of ratings; 0.3 when absent.
    pub experience_weight: Option<f64>,
    /// Of nearness; 0.3 when absent.
    pub router_dc_weight: Option<f64>,
    /// Of cost-quality; 0.2 when absent.
    pub automix_weight: Option<f64>,
    /// What the cheapest gains; 0.2 when absent.
    pub cost_weight: Option<f64>,
    /// Of models that are so little worse than the best, the cheapest is taken; none when absent.
    pub quality_gap_threshold: Option<f64>,
    /// Whether what each says is stretched to 0 to 1; true when absent.
    pub normalize_scores: Option<bool>,
}

/// Which model to begin with, where answers are verified.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AutomixConfig {
    /// How sure a verifier must be; 0.7 when absent.
    pub verification_threshold: Option<f64>,
    /// How often a dearer model may take over; 2 when absent.
    pub max_escalations: Option<u32>,
    /// Whether cost counts; true when absent.
    pub cost_aware_routing: Option<bool>,
    /// What the dearest model's cost is worth, in quality; 0.3 when absent.
    pub cost_quality_tradeoff: Option<f64>,
    /// What an answer that comes a step later is still worth; 0.95 when absent.
    pub discount_factor: Option<f64>,
    /// Taken; verifying is a matter of loops.
    pub use_logprob_verification: Option<bool>,
}

/// Whose answers are preferred.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EloConfig {
    /// Where ratings begin; 1500 when absent.
    pub initial_rating: Option<f64>,
    /// Comparisons that a model needs before its rating counts; 5 when absent.
    pub min_comparisons: Option<u32>,
    /// Whether domains are rated apart; true when absent.
    pub category_weighted: Option<bool>,
    /// What the dearest model's cost is worth, in chance to be preferred; 0 when absent.
    pub cost_scaling_factor: Option<f64>,
}

/// Tries what may be the best.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ThompsonConfig {
    /// What rewards are.
    pub posterior: PosteriorConfig,
    /// What the dearest model's cost is worth, in reward; 0 when absent.
    pub cost_weight: Option<f64>,
    /// Of how many requests something may be tried, 0 to 1; 0.2 when absent.
    pub max_exploration: Option<f64>,
    /// Whether domains are learned apart; true when absent.
    pub by_domain: Option<bool>,
}

/// What rewards are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PosteriorConfig {
    /// Right or wrong.
    #[default]
    Beta,
    /// Measures.
    Gaussian,
}

/// A model fitted to outcomes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FittedConfig {
    /// The file that `pointsman train` wrote.
    pub pretrained_path: String,
    /// What the dearest model's cost is worth, in chance to be right; 0 when absent.
    pub efficiency_weight: Option<f64>,
}

/// A helper that picks.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PromptConfig {
    /// The helper.
    pub model: String,
    /// What it goes by.
    pub instructions: String,
    /// How long it may take; 5 when absent.
    pub timeout_seconds: Option<u32>,
}

/// What is aimed at over all requests of the decision: one of the two.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TargetConfig {
    /// At most so many dollars for a thousand requests, and for them the best answers.
    pub max_dollars_per_thousand: Option<f64>,
    /// At least this quality, 0 to 1, for the least money.
    pub min_quality: Option<f64>,
}

/// How sessions stay with their model.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SessionConfig {
    /// Silence after which a session is as good as new; 300 when absent.
    pub idle_timeout_seconds: Option<u64>,
    /// Turns that a model has at least; 1 when absent.
    pub min_turns_before_switch: Option<u32>,
    /// What another model must score more; 0.05 when absent.
    pub switch_margin: Option<f64>,
    /// Whether a model that waits for results of tools keeps the session; true when absent.
    pub tool_loop_hard_lock: Option<bool>,
    /// What is asked for each share of the turn's cost that is paid again; 0.2 when absent.
    pub prefix_cache_weight: Option<f64>,
    /// The most that is asked for it, in turns' costs; 1 when absent.
    pub max_cache_cost_multiplier: Option<f64>,
    /// What is asked for each second that is waited again; 0.05 when absent.
    pub latency_weight: Option<f64>,
}
