//! The `prompts` block: what is put around conversations, texts that clients call by name, and models that rewrite texts.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::transformers::{self, TransformerConfig};

/// What is put around conversations, and texts that clients call by name: both happen before anything else is done with
/// the request, so that guardrails, limits, cache and router see the result. And models that rewrite texts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PromptsConfig {
    /// Messages put before and behind the client's, in this order.
    pub decorators: Vec<DecoratorConfig>,
    /// Texts by name. A message whose text is `{template://name}` becomes the text, each `{{variable}}` in it the value
    /// of that name in the request's `properties` object.
    pub templates: BTreeMap<String, String>,
    /// Models that rewrite what the user says last, or the answer, in this order.
    pub transformers: Vec<TransformerConfig>,
}

impl PromptsConfig {
    /// What is wrong, and where.
    #[must_use]
    pub fn problems(&self) -> Vec<(String, String)> {
        transformers::problems(&self.transformers)
    }
}

/// Messages put before and behind the client's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DecoratorConfig {
    /// Names of models it is for, as clients write them; all when empty.
    pub models: Vec<String>,
    /// Before the first message.
    pub prepend: Vec<DecoratorMessage>,
    /// Behind the last message.
    pub append: Vec<DecoratorMessage>,
}

impl DecoratorConfig {
    /// Whether it is for requests that ask for this model.
    #[must_use]
    pub fn is_for(&self, model: &str) -> bool {
        self.models.is_empty() || self.models.iter().any(|named| named == model)
    }
}

/// A message of the operator's own.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DecoratorMessage {
    /// Who speaks.
    pub role: DecoratorRole,
    /// What.
    pub content: String,
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DecoratorRole {
    /// The operator.
    System,
    /// The person.
    User,
    /// The model.
    Assistant,
}
