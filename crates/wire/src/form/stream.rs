//! A streamed answer, event by event.
//!
//! Events are block-structured: a part of a choice starts, grows, and ends. Formats without explicit blocks (OpenAI)
//! get theirs from the decoder, so that every encoder can rely on the same grammar:
//!
//! `Start (PartStart Delta* PartEnd)* Finish* Usage* End`, with `Ping`, `Usage`, `Tier` and `Opaque` anywhere after `Start`.
//! Parts of one choice may overlap (OpenAI interleaves parallel tool calls by index). `Error` may stand anywhere and is
//! the last event. Part indexes count per choice, from 0, in the order in which parts start.

use super::{Failure, FinishReason, Text, ToolCallKind, Usage};
use crate::format::Format;
use crate::json::Json;

/// One event of a streamed answer.
#[derive(Debug, Clone, PartialEq)]
pub enum StreamEvent {
    /// The answer begins.
    Start {
        /// The provider's id of the answer.
        id: Text,
        /// The model that answers, as the provider names it.
        model: Text,
        /// Unix seconds, where the format has them.
        created: Option<u64>,
    },
    /// A part begins.
    PartStart {
        /// Which answer.
        choice: u32,
        /// Which part of it.
        part: u32,
        /// What sort of part.
        start: PartStart,
    },
    /// Text of a text, thinking or refusal part, or of a tool call's arguments.
    Delta {
        /// Which answer.
        choice: u32,
        /// Which part of it.
        part: u32,
        /// What is added.
        text: Text,
    },
    /// The signature of a thinking part or of a tool call.
    Signature {
        /// Which answer.
        choice: u32,
        /// Which part of it.
        part: u32,
        /// The signature, or a piece of it.
        signature: Text,
    },
    /// A citation of a text part (Anthropic), as written.
    Citation {
        /// Which answer.
        choice: u32,
        /// Which part of it.
        part: u32,
        /// The citation.
        citation: Json,
    },
    /// Log probabilities for the text just sent (OpenAI), as written.
    Logprobs {
        /// Which answer.
        choice: u32,
        /// OpenAI's `logprobs` object.
        logprobs: Json,
    },
    /// A part is complete.
    PartEnd {
        /// Which answer.
        choice: u32,
        /// Which part of it.
        part: u32,
    },
    /// An answer is complete.
    Finish {
        /// Which answer.
        choice: u32,
        /// Why.
        reason: FinishReason,
        /// The stop sequence that ended it (Anthropic).
        stop_sequence: Option<Text>,
    },
    /// What has been used so far; a later one replaces an earlier one, field by field already merged.
    Usage(Usage),
    /// The service tier that the provider gives, as it names it; a later one replaces an earlier one.
    Tier(Text),
    /// A sign of life without content.
    Ping,
    /// Something only its own format knows: forwarded within that format, left out of others.
    Opaque {
        /// The format it came in.
        format: Format,
        /// SSE event name, if the format has one.
        event: Option<Text>,
        /// The event's data.
        json: Json,
    },
    /// The provider failed after the answer had begun.
    Error(Failure),
    /// The answer is complete: the format's own terminator was seen.
    End,
}

/// How a part begins.
#[derive(Debug, Clone, PartialEq)]
pub enum PartStart {
    /// Text.
    Text,
    /// Reasoning.
    Thinking,
    /// Encrypted reasoning, whole.
    RedactedThinking(Text),
    /// A refusal.
    Refusal,
    /// A tool call; its arguments follow as deltas.
    ToolCall {
        /// Ties the result to the call.
        id: Text,
        /// The tool.
        name: Text,
        /// Function or custom.
        kind: ToolCallKind,
    },
    /// A block that only its own format knows; its deltas come as [`StreamEvent::Opaque`].
    Opaque {
        /// The format it came in.
        format: Format,
        /// The block as it starts.
        json: Json,
    },
}
