//! Model cards: what is known of the models.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A model that decisions may choose.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ModelCard {
    /// Its name, as `models` or a provider knows it.
    pub name: String,
    /// What it is.
    pub description: Option<String>,
    /// `text`, `image`, …
    pub modality: Option<String>,
    /// What it can.
    pub capabilities: Vec<String>,
    /// Labels of one's own.
    pub tags: Vec<String>,
    /// Parameters, such as `8B`.
    pub param_size: Option<String>,
    /// Tokens of prompt and answer together.
    pub context_window_size: Option<u64>,
    /// How good it is, 0 to 1.
    pub quality_score: Option<f64>,
    /// Adapters it serves.
    pub loras: Vec<LoraCard>,
    /// How its reasoning is switched; found by the model's name when absent.
    pub reasoning_family: Option<ReasoningFamily>,
    /// Kinds of content that go in and come out.
    pub modalities: Modalities,
    /// Most tokens of an answer.
    pub max_output_tokens: Option<u64>,
    /// What people call it.
    pub display_name: Option<String>,
    /// Who made it.
    pub publisher: Option<String>,
    /// What it is one of.
    pub family: Option<String>,
    /// Which of several.
    pub revision: Option<String>,
    /// The day it came out.
    pub released_at: Option<String>,
    /// The last day it has heard of.
    pub knowledge_cutoff: Option<String>,
    /// Whether it is still looked after, such as `active` or `deprecated`.
    pub lifecycle: Option<String>,
    /// How it is shown.
    pub presentation: Option<serde_json::Value>,
    /// Where it comes from, and under which licence.
    pub distribution: Option<serde_json::Value>,
}

/// Kinds of content.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Modalities {
    /// What it takes.
    pub input: Vec<String>,
    /// What it gives.
    pub output: Vec<String>,
}

/// A LoRA adapter.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LoraCard {
    /// Its name; sent to the server in place of the model's.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
}

/// How reasoning is switched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReasoningFamily {
    /// Where the switch is.
    #[serde(rename = "type")]
    pub kind: ReasoningKind,
    /// What it is called there.
    pub parameter: String,
}

/// Where the switch for reasoning is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReasoningKind {
    /// A boolean in `chat_template_kwargs`.
    ChatTemplateKwargs,
    /// `reasoning_effort`.
    ReasoningEffort,
    /// An effort under another top-level name.
    TopLevelReasoningEffort,
}
