//! Decisions: when, and what then.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A decision.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DecisionConfig {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// The higher wins.
    pub priority: i64,
    /// The lower wins, before priority, where any decision has one above 0.
    pub tier: u32,
    /// When; absent means always.
    pub rules: Option<RuleNode>,
    /// Which models.
    #[serde(rename = "modelRefs")]
    pub model_refs: Vec<ModelRef>,
    /// How one of the models is picked: `static` (the default).
    pub algorithm: Option<serde_json::Value>,
    /// What else is done.
    pub plugins: Vec<PluginConfig>,
}

/// A rule: a signal, or several rules and an operator.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RuleNode {
    /// `AND`, `OR` or `NOT`, for a node.
    pub operator: Option<String>,
    /// What it joins.
    pub conditions: Vec<RuleNode>,
    /// Type of a signal, for a leaf.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// Its name.
    pub name: Option<String>,
}

/// A model of a decision.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ModelRef {
    /// The model.
    pub model: String,
    /// The adapter that is asked for in its place.
    pub lora_name: Option<String>,
    /// Share of the requests among the decision's models; 1 when absent.
    pub weight: Option<f64>,
    /// Whether it shall reason; as the client says when absent.
    pub use_reasoning: Option<bool>,
    /// How much.
    pub reasoning_effort: Option<String>,
    /// Why.
    pub reasoning_description: Option<String>,
}

/// A plugin of a decision.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PluginConfig {
    /// `fast_response`, `system_prompt`, `header_mutation` or `request_params`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its settings.
    pub configuration: serde_json::Value,
}
