//! Decisions: when, and what then.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Predicate;
use crate::support::PLUGINS;

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
    /// How one of the models is picked (`static`), or several are asked (`confidence`, `ratings`, `remom`, `fusion`, `workflows`).
    pub algorithm: Option<serde_json::Value>,
    /// What else is done.
    pub plugins: Vec<PluginConfig>,
    /// Guardrails of `guardrails` that act on its requests and answers, beside those that act on all.
    pub guardrails: Vec<String>,
    /// In which form the answer is wanted: words for the models of a loop.
    pub output_contract: Option<String>,
    /// The same for programs: a choice or a reference.
    pub output_contract_spec: Option<serde_json::Value>,
    /// Where the request goes, when to no model.
    pub action: Option<serde_json::Value>,
    /// How far learning may change it.
    pub adaptations: Option<Adaptations>,
    /// Lists of its candidates; nothing follows from them but that they are checked.
    #[serde(rename = "candidateIterations")]
    pub candidate_iterations: Vec<CandidateIteration>,
    /// How long what its requests leave behind is kept: one `retention` at most.
    pub emits: Vec<EmitConfig>,
    /// Words of one's own; nothing follows from them.
    pub annotations: BTreeMap<String, serde_json::Value>,
}

/// A list of a decision's candidates, under a name.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CandidateIteration {
    /// What stands for one of them.
    pub variable: String,
    /// `decision.candidates`, or `models` for those named here.
    pub source: String,
    /// Some of the decision's `modelRefs`.
    pub models: Vec<ModelRef>,
    /// What each becomes.
    pub outputs: Vec<IterationOutput>,
}

/// What one of a list becomes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct IterationOutput {
    /// `model`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The variable.
    pub value: Option<String>,
}

/// What a decision says beside its answer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EmitConfig {
    /// `retention`.
    pub kind: String,
    /// How long what is left behind is kept.
    pub retention: Option<RetentionConfig>,
}

/// How long what a request leaves behind is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RetentionConfig {
    /// The cache does not remember its answer.
    pub drop: Option<bool>,
    /// It remembers it for so many turns of a minute.
    pub ttl_turns: Option<u32>,
    /// The session stays with its model.
    pub keep_current_model: Option<bool>,
    /// The provider is told that the beginning of the prompt is worth keeping.
    pub prefer_prefix_retention: Option<bool>,
}

/// How far learning may change a decision.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Adaptations {
    /// `apply`, `observe` or `bypass`.
    pub mode: Option<String>,
    /// Learning which model is best.
    pub adaptation: Option<Adaptation>,
    /// Staying with the model of a session.
    pub protection: Option<Protection>,
}

/// Learning which model is best.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Adaptation {
    /// `apply`, `observe` or `bypass`.
    pub mode: Option<String>,
    /// Among which models: of the `decision`, of its `tier`, or of all (`global`).
    pub candidate_set: Option<String>,
}

/// Staying with the model of a session.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Protection {
    /// `apply`, `observe` or `bypass`.
    pub mode: Option<String>,
    /// What staying counts.
    pub stability_weight: Option<f64>,
    /// Least lead of another model.
    pub switch_margin: Option<f64>,
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
    /// The class, of a classifier.
    pub label: Option<String>,
    /// Within which bounds its score must lie, of a classifier.
    pub predicate: Option<Predicate>,
    /// What holds when the classifier fails: `no_match` (the default) or `match`.
    pub on_error: Option<String>,
    /// What holds when it cannot say: `no_match` (the default), `match` or `fail_request`.
    pub on_unknown: Option<String>,
}

/// A model of a decision.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ModelRef {
    /// The model, or an A2A agent (`a2a/NAME`), which answers alone.
    pub model: String,
    /// The adapter that is asked for in its place.
    pub lora_name: Option<String>,
    /// Share of the requests among the decision's models; 1 when absent.
    pub weight: Option<f64>,
    /// Whether it shall reason; as the client says when absent.
    pub use_reasoning: Option<bool>,
    /// How much.
    pub reasoning_effort: Option<String>,
    /// `enabled`, `disabled`, or `adaptive` for as the model likes; says more than `use_reasoning`.
    pub reasoning_mode: Option<String>,
    /// Why.
    pub reasoning_description: Option<String>,
}

/// A plugin of a decision.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PluginConfig {
    /// Which, such as `system_prompt`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its settings.
    pub configuration: serde_json::Value,
}

impl JsonSchema for PluginConfig {
    fn schema_name() -> Cow<'static, str> {
        "PluginConfig".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let variants: Vec<serde_json::Value> = PLUGINS
            .iter()
            .flat_map(|plugin| plugin.names.iter().map(move |name| (plugin, name)))
            .map(|(plugin, name)| {
                json!({
                    "type": "object",
                    "properties": { "type": { "const": name }, "configuration": (plugin.schema)(generator) },
                    "required": ["type"],
                    "additionalProperties": false
                })
            })
            .collect();
        json_schema!({ "description": "A plugin of a decision.", "oneOf": variants })
    }
}
