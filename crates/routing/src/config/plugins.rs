//! Settings of decisions' plugins, each as its own type: what is misspelt is found where it stands.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Answers from the cache.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ResponseCacheSettings {
    /// Whether it acts.
    pub enabled: bool,
    /// `semantic`, `exact` or `exact_then_semantic`.
    pub mode: Option<String>,
    /// Whose answers: `user`, `team`, `global`, …
    pub scope: Option<String>,
    /// How alike questions must be.
    pub semantic: Option<CacheLikeness>,
    /// The same, in the older form.
    pub similarity_threshold: Option<f64>,
    /// How long an answer is good.
    pub ttl_seconds: Option<u64>,
    /// What clients may ask for.
    pub request_controls: Option<RequestControls>,
    /// The same, in the older form.
    pub allow_request_controls: bool,
    /// The header, in the older form.
    pub control_header: Option<String>,
    /// What becomes of answers that hold what is known of the user.
    pub personalized: Option<CachePersonalized>,
    /// Answers of another revision are not used.
    pub revision: Option<CacheRevision>,
}

/// How alike questions must be.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CacheLikeness {
    /// Least likeness, 0 to 1.
    pub similarity_threshold: Option<f64>,
}

/// What becomes of answers that hold what is known of the user.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CachePersonalized {
    /// `disabled`, or whose they are.
    pub mode: Option<String>,
}

/// What answers depend on beside the question.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CacheRevision {
    /// The operator's count.
    pub cache_epoch: Option<String>,
    /// Of the models.
    pub model_revision: Option<String>,
    /// Of the prompts.
    pub prompt_revision: Option<String>,
    /// Of the policy.
    pub policy_revision: Option<String>,
}

/// What clients may ask for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RequestControls {
    /// Whether it acts.
    pub enabled: bool,
    /// In which header.
    pub header: Option<String>,
    /// Which words of it.
    pub allowed: Vec<String>,
    /// Longest time.
    pub max_ttl_seconds: Option<u64>,
    /// Most tokens.
    pub max_target_tokens: Option<u64>,
}

/// Long conversations, made shorter.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CompressionSettings {
    /// Whether it acts.
    pub enabled: bool,
    /// `auto`, `always` or `off`.
    pub mode: Option<String>,
    /// How long is too long.
    pub budget: Option<CompressionBudget>,
    /// What is made shorter.
    pub targets: Option<CompressionTargets>,
    /// What is kept.
    pub scoring: Option<CompressionScoring>,
    /// Whether the whole can be had again.
    pub recovery: Option<CompressionRecovery>,
    /// What clients may ask for.
    pub request_controls: Option<RequestControls>,
    /// `fail_open` or `fail_closed`.
    pub failure_mode: Option<String>,
}

/// How long is too long: numbers of tokens, or `auto`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CompressionBudget {
    /// From which length.
    pub trigger_tokens: Option<TokenLimit>,
    /// To which length.
    pub target_tokens: Option<TokenLimit>,
    /// Kept free for the answer.
    pub reserve_output_tokens: Option<TokenLimit>,
}

/// A number of tokens, or `auto`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum TokenLimit {
    /// As many.
    Tokens(u64),
    /// `auto`.
    Word(String),
}

/// What is made shorter.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CompressionTargets {
    /// What tools brought.
    pub tool_outputs: Option<CompressionTarget>,
    /// Earlier turns.
    pub history: Option<CompressionTarget>,
    /// What was looked up.
    pub rag: Option<CompressionTarget>,
    /// What is remembered.
    pub memory: Option<CompressionTarget>,
    /// What the user says now.
    pub current_user: Option<CompressionTarget>,
}

/// How a part is made shorter.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CompressionTarget {
    /// `extractive`, `recoverable` or `preserve`.
    pub mode: Option<String>,
    /// Shorter ones stay.
    pub min_tokens: Option<u64>,
    /// To which length.
    pub target_tokens: Option<u64>,
}

/// What is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CompressionScoring {
    /// `bm25` or `embedding`.
    pub method: Option<String>,
    /// The model.
    pub embedding_model_ref: Option<String>,
}

/// Whether the whole can be had again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CompressionRecovery {
    /// Whether it acts.
    pub enabled: bool,
    /// Changes nothing: it is kept with the request.
    pub store: Option<String>,
    /// Changes nothing: it is kept as long as the request lives.
    pub ttl_seconds: Option<u64>,
    /// Most of a request; 10485760 when absent.
    pub max_bytes_per_request: Option<u64>,
    /// Most of all; 268435456 when absent.
    pub max_total_bytes: Option<u64>,
    /// How often, up to 32; 8 when absent.
    pub max_retrievals: Option<u64>,
}

/// What is remembered of the user.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MemorySettings {
    /// Whether it acts.
    pub enabled: bool,
    /// Most memories.
    pub retrieval_limit: Option<u64>,
    /// Least likeness.
    pub similarity_threshold: Option<f64>,
    /// Whether new ones are made.
    pub auto_store: Option<bool>,
    /// Whether words are looked at, too.
    pub hybrid_search: bool,
    /// How.
    pub hybrid_mode: Option<String>,
    /// What is let through.
    pub reflection: Option<MemoryReflection>,
    /// Who has agreed: `operator` (the default): users may refuse; `user`: only those who have said so are remembered.
    pub consent: Option<String>,
    /// After how many days one is gone; never when absent.
    pub ttl_days: Option<u64>,
    /// Most memories of a user; the oldest go.
    pub max_memories: Option<u64>,
}

/// Which memories are let through.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MemoryReflection {
    /// Whether it acts.
    pub enabled: Option<bool>,
    /// How they are ranked.
    pub algorithm: Option<String>,
    /// Most tokens of them.
    pub max_inject_tokens: Option<u64>,
    /// After how many days they count half.
    pub recency_decay_days: Option<u64>,
    /// Those at least as alike as this are one.
    pub dedup_threshold: Option<f64>,
    /// Those with these words are left out.
    pub block_patterns: Vec<String>,
}

/// Answers that show that the model was talked out of its instructions.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ResponseJailbreakSettings {
    /// Whether it acts.
    pub enabled: bool,
    /// Least confidence.
    pub threshold: Option<f64>,
    /// `block`, `header` or `none`.
    pub action: Option<String>,
}

/// Claims of the answer that nothing supports.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HallucinationSettings {
    /// Whether it acts.
    pub enabled: bool,
    /// Whether each is also tested for contradiction.
    pub use_nli: bool,
    /// `header`, `body`, `block` or `none`.
    pub hallucination_action: Option<String>,
    /// The same, where there is nothing to compare with.
    pub unverified_factual_action: Option<String>,
    /// Whether the claims are told.
    pub include_hallucination_details: bool,
    /// How sure a find must be, by the share of grounded answers in which something is found all the same: `fpr_1pct`,
    /// `fpr_3pct` (when absent), `fpr_10pct`.
    pub operating_point: Option<String>,
}

/// Decisions that are recorded, to be looked at and taken again by another configuration. Without texts, unless these are
/// to be captured.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RouterReplaySettings {
    /// Whether it acts.
    pub enabled: bool,
    /// How many of the decision are kept, the latest; 10000 when absent.
    pub max_records: Option<u64>,
    /// With the texts of requests.
    pub capture_request_body: bool,
    /// With the texts of answers.
    pub capture_response_body: bool,
    /// Most bytes of texts; 4096 when absent.
    pub max_body_bytes: Option<u64>,
    /// Most bytes of a tool's result among them; 0 or absent is no limit.
    pub max_tool_trace_bytes: Option<u64>,
    /// Most results of tools among them, the latest; 0 or absent is no limit.
    pub max_tool_trace_steps: Option<u64>,
    /// Whether signals that only need the request are all read for the record, needed or not; they are when absent.
    pub all_signals: Option<bool>,
}

/// What is looked up for the prompt.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RagSettings {
    /// Whether it acts.
    pub enabled: bool,
    /// Where: `milvus`, `qdrant`, `external_api`, `mcp`, `openai`, `vectorstore` or `hybrid`.
    pub backend: Option<String>,
    /// Least likeness.
    pub similarity_threshold: Option<f64>,
    /// Most findings.
    pub top_k: Option<u64>,
    /// Most letters of them.
    pub max_context_length: Option<u64>,
    /// `tool_role` or `system_prompt`.
    pub injection_mode: Option<String>,
    /// How they are put in order.
    pub rerank: Option<serde_json::Value>,
    /// What the backend needs.
    pub backend_config: Option<serde_json::Value>,
    /// `skip`, `warn` or `block`.
    pub on_failure: Option<String>,
    /// Whether findings are remembered.
    pub cache_results: bool,
    /// How long.
    pub cache_ttl_seconds: Option<u64>,
    /// How likely it must be that facts are asked for, 0 to 1, before anything is looked up.
    pub min_confidence_threshold: Option<f64>,
}

/// Images, made by another service.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ImageGenSettings {
    /// Whether it acts.
    pub enabled: bool,
    /// `openai` or `vllm_omni`.
    pub backend: Option<String>,
    /// What it needs.
    pub backend_config: Option<serde_json::Value>,
    /// When an image is wanted.
    pub modality_detection: Option<serde_json::Value>,
    /// In dots.
    pub default_width: Option<u64>,
    /// In dots.
    pub default_height: Option<u64>,
    /// Most steps.
    pub max_inference_steps: Option<u64>,
    /// Longest wait.
    pub timeout_seconds: Option<u64>,
}

/// Which tools the model may see.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ToolsSettings {
    /// Whether it acts.
    pub enabled: bool,
    /// `passthrough`, `filtered` or `none`.
    pub mode: Option<String>,
    /// Whether they are chosen by meaning.
    pub semantic_selection: Option<bool>,
    /// Only these.
    pub allow_tools: Vec<String>,
    /// Not these.
    pub block_tools: Vec<String>,
    /// Whether earlier calls are taken out.
    pub strip_tool_history: bool,
    /// How they are chosen.
    pub strategy: Option<String>,
    /// How earlier calls count.
    pub dynamic_retrieval: Option<serde_json::Value>,
}

/// Tools that are added or taken away.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ToolSelectionSettings {
    /// Whether it acts.
    pub enabled: bool,
    /// `add` or `filter`.
    pub mode: Option<String>,
    /// The file of tools.
    pub tools_db_path: Option<String>,
    /// Most of them.
    pub top_k: Option<u64>,
    /// Least likeness, to add.
    pub similarity_threshold: Option<f64>,
    /// What else counts.
    pub advanced_filtering: Option<AdvancedFiltering>,
    /// How they are chosen: `default`.
    pub strategy: Option<String>,
    /// Whether none is good enough.
    pub fallback_to_empty: Option<bool>,
    /// Least likeness, to stay.
    pub relevance_threshold: Option<f64>,
    /// So many stay in any case.
    pub preserve_count: Option<u64>,
}

/// What counts beside the likeness of a tool's description.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AdvancedFiltering {
    /// Whether it acts.
    pub enabled: bool,
    /// `weighted` (the default).
    pub retrieval_strategy: Option<String>,
    /// How many are looked at; all are.
    pub candidate_pool_size: Option<u64>,
    /// So many of the user's words must stand in the tool's.
    pub min_lexical_overlap: Option<u64>,
    /// Least score, 0 to 1.
    pub min_combined_score: Option<f64>,
    /// What weighs how much; likeness alone when absent.
    pub weights: Option<ToolWeights>,
    /// Whether only tools of the prompt's category come.
    pub use_category_filter: Option<bool>,
    /// How sure the category must be.
    pub category_confidence_threshold: Option<f64>,
    /// Only these.
    pub allow_tools: Vec<String>,
    /// Not these.
    pub block_tools: Vec<String>,
    /// How earlier calls count.
    pub hybrid_history: Option<serde_json::Value>,
}

/// What weighs how much in the score of a tool.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ToolWeights {
    /// The likeness of its description.
    pub embed: Option<f64>,
    /// Words that it shares with what the user says.
    pub lexical: Option<f64>,
    /// Its tags.
    pub tag: Option<f64>,
    /// Its name.
    pub name: Option<f64>,
    /// Its category.
    pub category: Option<f64>,
}

/// Marks for the provider's own cache, where the client has set none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PromptCacheSettings {
    /// Whether it acts.
    pub enabled: bool,
    /// How long the provider keeps it: `5m` (when absent) or `1h`.
    pub ttl: Option<String>,
    /// What is marked: `instructions`, `tools` (both when absent), `history`.
    pub targets: Vec<String>,
    /// What is done for a provider that knows no marks: `skip` (when absent) or `reject`.
    pub on_unsupported: Option<String>,
}

/// Copies of requests that go to another model, behind the answer, to be compared with it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ShadowSettings {
    /// Whether it acts.
    pub enabled: bool,
    /// The model.
    pub model: Option<String>,
    /// Share of requests, 0 to 1; all when absent.
    pub sample_rate: Option<f64>,
    /// Most at once; 2 when absent.
    pub max_concurrency: Option<u64>,
    /// Most in waiting, what is more is let go; 8 when absent.
    pub max_queue_depth: Option<u64>,
    /// Longest wait; 30 when absent.
    pub timeout_seconds: Option<u64>,
    /// Longest answer; 1048576 when absent.
    pub max_response_bytes: Option<u64>,
    /// How often it is tried again, up to 3; not at all when absent.
    pub max_retries: Option<u64>,
    /// Whether answers are kept.
    pub capture_response_body: bool,
    /// Most of one; 4096 when absent.
    pub max_capture_bytes: Option<u64>,
    /// Whether anybody is believed.
    pub tls_skip_verify: bool,
    /// Headers of `header_mutation` that go with it.
    pub forward_headers: Vec<String>,
    /// Who pays: `caller` (when absent), or the id of a key (`key_…`), whose limits and budgets then hold.
    pub charge_to: Option<String>,
}

/// Answers that a model judges behind them, for selections that learn.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct JudgeSettings {
    /// Whether it acts.
    pub enabled: bool,
    /// The model that judges.
    pub model: Option<String>,
    /// What a good answer is, in words.
    pub rubric: String,
    /// Share of answers, 0 to 1; all when absent.
    pub sample_rate: Option<f64>,
    /// Most at once; 2 when absent.
    pub max_concurrency: Option<u64>,
    /// Most in waiting, what is more is let go; 8 when absent.
    pub max_queue_depth: Option<u64>,
    /// Longest wait; 30 when absent.
    pub timeout_seconds: Option<u64>,
    /// Most bytes of the conversation, its end, and of the answer, its beginning, that it is shown; 8192 when absent.
    pub max_shown_bytes: Option<u64>,
    /// Who pays: `caller` (when absent), or the id of a key (`key_…`), whose limits and budgets then hold.
    pub charge_to: Option<String>,
}

/// An answer of the configuration's own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FastResponseSettings {
    /// What is said.
    pub message: String,
}

/// Instructions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SystemPromptSettings {
    /// Whether it acts; it does when absent.
    pub enabled: Option<bool>,
    /// What they say.
    pub system_prompt: String,
    /// `insert` (the default) or `replace`.
    pub mode: Option<String>,
}

/// Bounds of what the client may ask for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RequestParamsSettings {
    /// Most tokens of an answer.
    pub max_tokens_limit: Option<u64>,
    /// Most answers.
    pub max_n: Option<u64>,
    /// Parameters that are taken away.
    pub blocked_params: Vec<String>,
    /// Tokens of an answer where the client says nothing.
    pub default_max_tokens: Option<u64>,
    /// Whether parameters that no format knows are taken away.
    pub strip_unknown: bool,
}

/// Headers for the provider.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HeaderMutationSettings {
    /// Set.
    pub add: Vec<HeaderSetting>,
    /// Set anew.
    pub update: Vec<HeaderSetting>,
    /// Taken away.
    pub delete: Vec<String>,
}

/// A header.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HeaderSetting {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}
