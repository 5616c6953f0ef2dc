//! Loops: what an `algorithm` says that asks several models for one answer, named as the vLLM Semantic Router has it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How far every loop may go, whatever its own block says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LoopBounds {
    /// Calls of one request, at most: 1 to 256.
    pub max_calls: u32,
    /// Seconds that one call may take, where the loop does not say.
    pub call_timeout_seconds: u64,
    /// Seconds that all of it may take.
    pub timeout_seconds: u64,
}

impl Default for LoopBounds {
    fn default() -> Self {
        Self {
            max_calls: 64,
            call_timeout_seconds: 300,
            timeout_seconds: 3_600,
        }
    }
}

/// An `algorithm` that asks several models. Only the block of its type may be there.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LoopConfig {
    /// `confidence`, `ratings`, `remom`, `fusion` or `workflows`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `skip` or `fail`, where the type's own block does not say.
    pub on_error: Option<String>,
    /// Of `confidence`.
    pub confidence: Option<ConfidenceConfig>,
    /// Of `ratings`.
    pub ratings: Option<RatingsConfig>,
    /// Of `remom`.
    pub remom: Option<RemomConfig>,
    /// Of `fusion`.
    pub fusion: Option<FusionConfig>,
    /// Of `workflows`.
    pub workflows: Option<WorkflowsConfig>,
}

/// From small models to large ones, until one is sure.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ConfidenceConfig {
    /// `avg_logprob` (the default), `margin`, `hybrid` or `self_verify`.
    pub confidence_method: Option<String>,
    /// From which confidence, 0 to 1, an answer is taken.
    pub threshold: Option<f64>,
    /// Of `hybrid`.
    pub hybrid_weights: Option<HybridWeights>,
    /// `skip` (the default) or `fail`.
    pub on_error: Option<String>,
    /// `size` (also `small_to_large`, the default), `declared`, `cost` or `automix`.
    pub escalation_order: Option<String>,
    /// Of `automix`: what cost counts, 0 to 1; 0.3 when absent.
    pub cost_quality_tradeoff: Option<f64>,
    /// `all` (the default) or `tool_call_args`: which tokens count.
    pub token_filter: Option<String>,
    /// Of `automix_entailment`, which is not carried out.
    pub verifier_server_url: Option<String>,
    /// Of `automix_entailment`, which is not carried out.
    pub verifier_timeout_seconds: Option<u64>,
}

/// What the two measures of `hybrid` count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HybridWeights {
    /// Of the mean log probability; 0.5 when absent.
    pub logprob_weight: Option<f64>,
    /// Of the mean margin; 0.5 when absent.
    pub margin_weight: Option<f64>,
}

/// All models side by side.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RatingsConfig {
    /// Calls at once; all when absent.
    pub max_concurrent: Option<u32>,
    /// `skip` (the default) or `fail`.
    pub on_error: Option<String>,
}

/// Rounds of answers, each made of those before.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RemomConfig {
    /// How many answers each round has; one more round of one answer follows.
    pub breadth_schedule: Vec<u32>,
    /// `weighted` (the default), `equal`, `round_robin` or `first_only`.
    pub model_distribution: Option<String>,
    /// Of all calls.
    pub temperature: Option<f64>,
    /// Whether later rounds see what models thought.
    pub include_reasoning: bool,
    /// `full` (the default) or `last_n_tokens`.
    pub compaction_strategy: Option<String>,
    /// Tokens that are left of an answer; 1000 when absent.
    pub compaction_tokens: Option<u32>,
    /// How later rounds are asked, in Go's templates.
    pub synthesis_template: Option<String>,
    /// Who gives the last answer; one of `modelRefs`.
    pub synthesis_model: Option<String>,
    /// Calls at once; all of a round when absent.
    pub max_concurrent: Option<u32>,
    /// Most tokens of each answer.
    pub max_completion_tokens: Option<u32>,
    /// Seconds of a round.
    pub round_timeout_seconds: Option<u64>,
    /// Answers that are enough for a round; all when absent.
    pub min_successful_responses: Option<u32>,
    /// `skip` (the default) or `fail`.
    pub on_error: Option<String>,
    /// Of the order in which answers are shown; 42 when there is no block at all.
    pub shuffle_seed: Option<i64>,
    /// Whether the client is shown the rounds.
    pub include_intermediate_responses: Option<bool>,
    /// Answers of a round that the next sees, at most.
    pub max_responses_per_round: Option<u32>,
}

/// A panel, a judge, and one answer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FusionConfig {
    /// Who judges and answers; the first of the panel when absent.
    pub model: Option<String>,
    /// The panel; `modelRefs` when absent.
    pub analysis_models: Vec<String>,
    /// What is different for some of the panel.
    pub analysis_overrides: Vec<FusionOverride>,
    /// Calls at once; all of the panel when absent.
    pub max_concurrent: Option<u32>,
    /// Most tokens of each answer.
    pub max_completion_tokens: Option<u32>,
    /// Seconds of the panel.
    pub round_timeout_seconds: Option<u64>,
    /// Answers that are enough; all when absent.
    pub min_successful_responses: Option<u32>,
    /// Of all calls.
    pub temperature: Option<f64>,
    /// Whether the client is shown the judge's analysis; yes when absent.
    pub include_analysis: Option<bool>,
    /// `skip` (the default) or `fail`.
    pub on_error: Option<String>,
    /// How the judge is asked: `{{original}}`, `{{responses}}`.
    pub analysis_template: Option<String>,
    /// How the answer is asked for: `{{original}}`, `{{responses}}`, `{{analysis}}`.
    pub synthesis_template: Option<String>,
    /// A name for these prompts, told in the trace.
    pub judge_prompt_version: Option<String>,
    /// Whether the client is shown what the panel said; yes when absent.
    pub include_intermediate_responses: Option<bool>,
    /// Scoring the panel's answers by models of one's own; only off.
    pub grounding: Option<GroundingConfig>,
}

/// What is different for one of a panel.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FusionOverride {
    /// Which.
    pub model: String,
    /// Its temperature.
    pub temperature: Option<f64>,
    /// Most tokens of its answer.
    pub max_completion_tokens: Option<u32>,
}

/// Scoring a panel's answers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct GroundingConfig {
    /// Whether; only `false` is carried out.
    pub enabled: bool,
    /// `hybrid`, `context` or `panel`.
    pub reference: Option<String>,
    /// `weight`, `annotate` or `filter`.
    pub policy: Option<String>,
    /// Least score.
    pub min_score: Option<f64>,
    /// Answers that stay in any case.
    pub min_keep: Option<u32>,
    /// What a contradiction costs.
    pub nli_contradiction_penalty: Option<f64>,
    /// `skip` or `fail`.
    pub on_error: Option<String>,
}

/// Steps of several models, planned by the configuration or by a model.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct WorkflowsConfig {
    /// `static` (the default) or `dynamic`.
    pub mode: Option<String>,
    /// A name for this workflow, told in the trace.
    pub template: Option<String>,
    /// The steps of `static`, in order.
    pub roles: Vec<WorkflowRole>,
    /// The last step.
    #[serde(rename = "final")]
    pub last: WorkflowFinal,
    /// Who plans, of `dynamic`.
    pub planner: WorkflowPlanner,
    /// Steps, at most; 3 when absent.
    pub max_steps: Option<u32>,
    /// Models of one step, at most; 2 when absent.
    pub max_parallel: Option<u32>,
    /// Most tokens of each answer.
    pub max_completion_tokens: Option<u32>,
    /// Seconds of a step.
    pub round_timeout_seconds: Option<u64>,
    /// Answers that are enough for a step; all when absent.
    pub min_successful_responses: Option<u32>,
    /// Of all calls.
    pub temperature: Option<f64>,
    /// Whether the client is shown the steps; yes when absent.
    pub include_intermediate_responses: Option<bool>,
    /// `fail` (the default) or `skip`.
    pub on_error: Option<String>,
}

/// A step of a static workflow.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct WorkflowRole {
    /// What it is; its id, too.
    pub name: String,
    /// Who takes it: of `modelRefs`.
    pub models: Vec<String>,
    /// What is asked of them.
    pub prompt: Option<String>,
    /// Earlier steps whose answers it sees; all when absent.
    pub access_list: Option<Vec<String>>,
}

/// The last step of a workflow.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct WorkflowFinal {
    /// Who answers.
    pub model: Option<String>,
    /// What is asked.
    pub prompt: Option<String>,
}

/// Who plans a workflow.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct WorkflowPlanner {
    /// The model.
    pub model: Option<String>,
    /// Most tokens of its plan; 2048 when absent.
    pub max_completion_tokens: Option<u32>,
}

/// What the answer of a loop must be, for programs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ContractConfig {
    /// `choice` or `reference_selection`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Of `choice`.
    pub choice_set: ChoiceSet,
    /// Of `structured_json`, which is not carried out.
    pub json_schema: Option<serde_json::Value>,
    /// Of `reference_selection`.
    pub reference: ReferenceConfig,
    /// How a choice is written.
    pub render: RenderConfig,
    /// Where it is looked for.
    pub extract: ExtractConfig,
    /// Not carried out.
    pub normalize: Option<serde_json::Value>,
    /// Not carried out.
    pub on_violation: Option<serde_json::Value>,
    /// `dereference_selected_reference`.
    pub postprocess: Vec<PostprocessConfig>,
}

/// What may be chosen.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ChoiceSet {
    /// The choices.
    pub values: Vec<String>,
}

/// How an earlier answer is named.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ReferenceConfig {
    /// `candidate_responses`.
    pub source: Option<String>,
    /// `index` (the default) or `reference_number`.
    pub id_format: Option<String>,
}

/// How a choice is written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RenderConfig {
    /// `value` (the default) or `template`.
    pub mode: Option<String>,
    /// With `{{choice}}` where it goes.
    pub template: Option<String>,
}

/// Where an answer is looked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ExtractConfig {
    /// `exact` (the default).
    pub mode: Option<String>,
    /// `content` (the default) and `reasoning_content`, in this order.
    pub sources: Vec<String>,
}

/// What is done with an answer at the end.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PostprocessConfig {
    /// Which.
    #[serde(rename = "type")]
    pub kind: String,
}
