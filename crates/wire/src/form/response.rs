//! A whole answer.

use super::{Extra, Part, Text, Usage};
use crate::format::Format;
use crate::json::Json;

/// The answer to a chat request.
#[derive(Debug, Clone, PartialEq)]
pub struct ChatResponse {
    /// The format it came in; [`Extra`] belongs to it.
    pub format: Format,
    /// The provider's id of the answer.
    pub id: Text,
    /// The model that answered, as the provider names it.
    pub model: Text,
    /// Unix seconds, where the format has them.
    pub created: Option<u64>,
    /// The answers: one, unless `n` asked for more.
    pub choices: Vec<Choice>,
    /// What it used; absent when the provider did not say.
    pub usage: Option<Usage>,
    /// The provider's usage object as written, for an exact round trip.
    pub usage_native: Option<Json>,
    /// OpenAI `service_tier`, as written.
    pub service_tier: Option<Text>,
    /// Fields the form has no place for.
    pub extra: Extra,
}

/// One of the answers.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    /// Its number, from 0.
    pub index: u32,
    /// What is said: text, thinking, tool calls, refusals.
    pub parts: Vec<Part>,
    /// Why it ended.
    pub finish: Option<FinishReason>,
    /// The stop sequence that ended it (Anthropic).
    pub stop_sequence: Option<Text>,
    /// OpenAI `logprobs` of this choice.
    pub logprobs: Option<Json>,
    /// Fields of the choice that the form has no place for.
    pub extra: Extra,
    /// Fields of OpenAI's `message` inside the choice that the form has no place for.
    pub message_extra: Extra,
}

/// Why an answer ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FinishReason {
    /// The model was done.
    Stop,
    /// A stop sequence of the request came.
    StopSequence,
    /// The limit of the request was reached.
    Length,
    /// The model's context window was full.
    ContextWindow,
    /// It wants tools to be run.
    ToolCalls,
    /// The provider held it back.
    ContentFilter,
    /// The model declined.
    Refusal,
    /// A hosted tool's turn is to be continued (Anthropic).
    PauseTurn,
    /// A reason only its format knows, as written.
    Other(Text),
}
