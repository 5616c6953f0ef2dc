//! The `routing` block of the configuration.

mod cards;
mod decisions;
mod projections;
mod signals;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use cards::{LoraCard, ModelCard, ReasoningFamily, ReasoningKind};
pub use decisions::{DecisionConfig, ModelRef, PluginConfig, RuleNode};
pub use projections::{Band, MappingConfig, ProjectionsConfig, ScoreConfig, ScoreInput};
pub use signals::{
    AuthzConfig, ContextConfig, ConversationConfig, EventConfig, Feature, KeywordConfig, KeywordMethod,
    LanguageConfig, MetadataConfig, Operator, Predicate, SignalsConfig, Source, StructureConfig, Subject,
    TokenCount,
};

/// From a prompt to the model that serves it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RoutingConfig {
    /// Model names that enter here; `auto` when empty.
    pub names: Vec<String>,
    /// How the winner among matching decisions is found.
    pub strategy: Strategy,
    /// The model when no decision matches.
    pub default_model: Option<String>,
    /// What is known of the models.
    #[serde(rename = "modelCards")]
    pub model_cards: Vec<ModelCard>,
    /// What to look at.
    pub signals: SignalsConfig,
    /// What to make of it.
    pub projections: ProjectionsConfig,
    /// What to do.
    pub decisions: Vec<DecisionConfig>,
    /// Rules of the only decision, where they are printed beside it.
    pub rules: Option<RuleNode>,
    /// Models of the only decision, where they are printed beside it.
    #[serde(rename = "modelRefs")]
    pub model_refs: Vec<ModelRef>,
}

/// How the winner among matching decisions is found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Strategy {
    /// The highest priority; of equals, the most confident.
    #[default]
    Priority,
    /// The most confident.
    Confidence,
}
