//! A chat request: the conversation, and how it shall be answered.

use super::{CacheControl, Extra, Message, Part, PartKind, Text, Tool, ToolChoice};
use crate::format::Format;
use crate::json::Json;

/// A request for the next turn of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ChatRequest {
    /// The format it came in; [`Extra`] and opaque parts belong to it.
    pub format: Format,
    /// The model's name as the client wrote it.
    pub model: Text,
    /// The conversation, instructions included, in order.
    pub messages: Vec<Message>,
    /// What the model may call.
    pub tools: Vec<Tool>,
    /// Whether it must.
    pub tool_choice: Option<ToolChoice>,
    /// Whether it may call several at once.
    pub parallel_tool_calls: Option<bool>,
    /// Length, chance and stops.
    pub sampling: Sampling,
    /// How much to think.
    pub reasoning: Option<Reasoning>,
    /// What the answer must look like.
    pub response_format: Option<ResponseFormat>,
    /// Whether and how to stream.
    pub stream: StreamRequest,
    /// The end user, as the client names them (OpenAI `user`, Anthropic `metadata.user_id`).
    pub user: Option<Text>,
    /// Top-level prompt-cache breakpoint (Anthropic).
    pub cache_control: Option<CacheControl>,
    /// OpenAI and Anthropic `service_tier`, as written.
    pub service_tier: Option<Text>,
    /// Fields the form has no place for.
    pub extra: Extra,
}

impl ChatRequest {
    /// Whether it marks anywhere what the provider shall cache, for formats that have no such marks.
    #[must_use]
    pub fn marks_cache(&self) -> bool {
        let marked = |part: &Part| part.cache_control.is_some();
        let within = |part: &Part| match &part.kind {
            PartKind::ToolResult(result) => result.content.iter().any(marked),
            _ => false,
        };
        let mut parts = self.messages.iter().flat_map(|message| &message.parts);
        self.cache_control.is_some()
            || self.tools.iter().any(|tool| tool.cache_control.is_some())
            || parts.any(|part| marked(part) || within(part))
    }
}

/// Length, chance and stops. Floats are kept as the JSON numbers the client wrote.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Sampling {
    /// Most tokens to generate.
    pub max_tokens: Option<u64>,
    /// Under which of its names the limit came.
    pub max_tokens_name: MaxTokensName,
    /// Randomness.
    pub temperature: Option<serde_json::Number>,
    /// Nucleus.
    pub top_p: Option<serde_json::Number>,
    /// Only the k likeliest.
    pub top_k: Option<u64>,
    /// OpenAI `frequency_penalty`.
    pub frequency_penalty: Option<serde_json::Number>,
    /// OpenAI `presence_penalty`.
    pub presence_penalty: Option<serde_json::Number>,
    /// For reproducible answers.
    pub seed: Option<i64>,
    /// Where to stop.
    pub stop: Vec<Text>,
    /// Whether `stop` came as one string instead of a list.
    pub stop_is_string: bool,
    /// How many answers.
    pub n: Option<u64>,
    /// OpenAI `logprobs`.
    pub logprobs: Option<bool>,
    /// OpenAI `top_logprobs`.
    pub top_logprobs: Option<u64>,
    /// OpenAI `logit_bias`.
    pub logit_bias: Option<Json>,
}

/// OpenAI's two names for the same limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum MaxTokensName {
    /// `max_tokens`.
    #[default]
    MaxTokens,
    /// `max_completion_tokens`.
    MaxCompletionTokens,
}

/// How much the model shall think before it answers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Reasoning {
    /// On, off, or as the model finds right.
    pub enabled: Option<bool>,
    /// Most tokens of thinking (Anthropic `budget_tokens`).
    pub budget_tokens: Option<u64>,
    /// Effort level.
    pub effort: Option<ReasoningEffort>,
    /// Anthropic's `thinking` object as written, so that newer modes survive within that format.
    pub native: Option<Json>,
}

/// Named effort levels, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ReasoningEffort {
    /// No reasoning.
    None,
    /// `minimal`.
    Minimal,
    /// `low`.
    Low,
    /// `medium`.
    Medium,
    /// `high`.
    High,
    /// `xhigh`.
    XHigh,
    /// `max`.
    Max,
}

/// What the answer must look like.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ResponseFormat {
    /// Free text, said explicitly.
    Text,
    /// Any JSON object.
    JsonObject,
    /// JSON that follows a schema.
    JsonSchema {
        /// Name of the schema (OpenAI).
        name: Option<Text>,
        /// What it is for.
        description: Option<Text>,
        /// The schema.
        schema: Json,
        /// Whether the provider must follow it exactly.
        strict: Option<bool>,
        /// Fields the form has no place for.
        extra: Extra,
    },
    /// A format only one wire format knows.
    Opaque {
        /// The format it came in.
        format: Format,
        /// The whole value.
        json: Json,
    },
}

/// Whether and how to stream.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct StreamRequest {
    /// Stream the answer.
    pub enabled: bool,
    /// Whether the client wrote `stream` at all.
    pub explicit: bool,
    /// The client asked for usage in the stream (OpenAI `stream_options.include_usage`).
    pub include_usage: bool,
    /// OpenAI `stream_options` as written.
    pub options: Option<Json>,
}
