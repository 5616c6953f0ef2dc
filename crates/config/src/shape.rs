//! The `request` block of a provider, a model or a target: what is changed of requests on their way out.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

/// What is changed of requests. A provider's block is applied first, then the model's, then the target's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RequestConfig {
    /// Headers of the request to the provider.
    pub headers: HeaderEdits,
    /// The body, in the provider's format, by JSON pointers such as `/metadata/tenant`.
    pub body: BodyEdits,
    /// Parameters by their OpenAI names, in whatever format they come and go: `max_tokens`, `temperature`, `top_p`,
    /// `top_k`, `frequency_penalty`, `presence_penalty`, `seed`, `stop`, `n`, `reasoning_effort`,
    /// `parallel_tool_calls`, `user`, `service_tier`.
    pub parameters: ParameterEdits,
    /// What becomes of what the provider's format cannot express; `map` when no block says.
    pub unsupported_params: Option<Unsupported>,
    /// How an answer that must follow a JSON Schema is had; as the catalog knows when no block says.
    pub structured_output: Option<StructuredOutput>,
}

/// Edits of headers, in this order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HeaderEdits {
    /// Headers that go.
    pub remove: Vec<String>,
    /// Headers with their only value.
    pub set: BTreeMap<String, String>,
    /// Headers with one more value.
    pub add: BTreeMap<String, String>,
}

/// Edits of a body, in this order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BodyEdits {
    /// Places whose value goes.
    pub remove: Vec<String>,
    /// Values for places where there is none.
    pub default: BTreeMap<String, Value>,
    /// Values, whatever was there.
    pub set: BTreeMap<String, Value>,
}

/// Edits of parameters, in this order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ParameterEdits {
    /// Parameters that go, whatever the client says.
    pub drop: Vec<String>,
    /// Values for parameters that the client does not give.
    pub default: BTreeMap<String, Value>,
    /// Values, whatever the client says.
    pub r#override: BTreeMap<String, Value>,
}

/// What becomes of what a format cannot express.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Unsupported {
    /// The nearest thing is written; without one, what matters is refused and the rest left out. Every loss is told in
    /// `x-pointsman-losses`.
    #[default]
    Map,
    /// As `map`, but parameters that would be refused are left out, too.
    Drop,
    /// Every loss is refused, naming the field.
    Refuse,
}

/// How an answer that must follow a JSON Schema is had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum StructuredOutput {
    /// The schema is sent in the provider's own field, and the answer taken as it comes.
    Native,
    /// The model must call a tool whose arguments have the schema; they are the answer. Where the client has tools of
    /// its own, or the model thinks: as `instruct`.
    Tool,
    /// The schema stands in the instructions.
    Instruct,
}
