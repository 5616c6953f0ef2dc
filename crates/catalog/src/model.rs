//! Models: what a provider calls them, what they can, what they cost.

use serde::Deserialize;

use crate::price::Price;

/// A model of a provider. What is not known is absent.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// The provider's name of it.
    pub id: String,
    /// `chat`, `embedding` or `completion`.
    #[serde(default = "chat")]
    pub kind: String,
    /// Prompt and answer together, in tokens.
    pub context_window: Option<u64>,
    /// Most tokens of an answer.
    pub max_output: Option<u64>,
    /// What it costs.
    pub price: Option<Price>,
    /// What it can: `vision`, `function_calling`, `reasoning`, …
    #[serde(default)]
    pub features: Vec<String>,
}

fn chat() -> String {
    "chat".to_owned()
}
