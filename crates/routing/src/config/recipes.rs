//! Recipes: several virtual models, each with routing of its own.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    DataPolicy, DecisionConfig, FallbackPolicy, ProjectionsConfig, Requirements, SignalsConfig, Strategy,
};

/// Names of models that enter a recipe.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Entrypoint {
    /// The names.
    pub model_names: Vec<String>,
    /// One of `recipes`, or `default` for the signals and decisions beside them.
    pub recipe: String,
}

/// Signals and decisions under a name. Model cards are shared by all recipes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RecipeConfig {
    /// By which entrypoints refer to it.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// What it does.
    pub routing: RecipeRouting,
}

/// What a recipe does.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RecipeRouting {
    /// How the winner among matching decisions is found; as beside the recipes when absent.
    pub strategy: Option<Strategy>,
    /// What to look at.
    pub signals: SignalsConfig,
    /// What to make of it.
    pub projections: ProjectionsConfig,
    /// What to do.
    pub decisions: Vec<DecisionConfig>,
    /// What candidates must be able to do.
    pub candidate_requirements: Option<Requirements>,
    /// What may be recorded.
    pub data_policy: Option<DataPolicy>,
    /// Which models compute signals.
    pub model_bindings: Option<serde_json::Value>,
    /// What is done when a model fails.
    pub fallback: Option<FallbackPolicy>,
}
