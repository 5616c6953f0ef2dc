//! Tools: what the model may call, what it called, what came back.

use std::borrow::Cow;

use super::{CacheControl, ContentShape, Extra, Part, Text};
use crate::format::Format;
use crate::json::Json;
use crate::json::object::{is_object, object_or};

/// A tool the model may call.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Tool {
    /// What sort of tool it is.
    pub kind: ToolKind,
    /// Prompt-cache breakpoint after this tool.
    pub cache_control: Option<CacheControl>,
    /// Fields the form has no place for.
    pub extra: Extra,
}

/// The sorts of tool.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ToolKind {
    /// A function with a JSON Schema for its arguments.
    Function {
        /// Its name.
        name: Text,
        /// What it does.
        description: Option<Text>,
        /// JSON Schema of the arguments, byte for byte as it came (providers' prompt caches depend on it).
        parameters: Option<Json>,
        /// Whether the provider must follow the schema exactly.
        strict: Option<bool>,
        /// Fields inside OpenAI's `function` object, or Anthropic's explicit `type: custom`, that the form does not know.
        extra: Extra,
    },
    /// A tool only one format knows (provider-hosted search, OpenAI's free-text custom tools): carried unchanged
    /// within that format, refused by name in others.
    Opaque {
        /// The format it came in.
        format: Format,
        /// Its `type`.
        kind: Text,
        /// The whole tool.
        json: Json,
    },
}

/// Whether and which tool the model must call.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ToolChoice {
    /// As the model likes.
    Auto,
    /// Never.
    None,
    /// At least one, whichever.
    Required,
    /// This one.
    Function(Text),
    /// A choice only one format knows.
    Opaque {
        /// The format it came in.
        format: Format,
        /// The whole choice.
        json: Json,
    },
}

/// How the arguments of a call are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ToolCallKind {
    /// JSON arguments.
    #[default]
    Function,
    /// Free text (OpenAI custom tools).
    Custom,
}

/// The model asks for a tool to be run.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ToolCall {
    /// Ties the result to the call.
    pub id: Text,
    /// The tool.
    pub name: Text,
    /// JSON text (an object) for functions, free text for custom tools. Kept as text: OpenAI sends it so, and models
    /// do produce text that is not JSON.
    pub arguments: Text,
    /// Function or custom.
    pub kind: ToolCallKind,
    /// The provider's proof that it made the call (Gemini's `thoughtSignature`); must be replayed unchanged.
    pub signature: Option<Text>,
    /// Fields inside OpenAI's `function` object that the form does not know.
    pub extra: Extra,
}

impl ToolCall {
    /// Whether the arguments are a JSON object, or none at all.
    #[must_use]
    pub fn has_object(&self) -> bool {
        self.arguments.trim().is_empty() || is_object(&self.arguments)
    }

    /// The arguments as a JSON object, for formats that demand one. Models do write arguments that are none: those are
    /// kept as text, so that the conversation can go on.
    #[must_use]
    pub fn arguments_object(&self) -> Cow<'_, str> {
        object_or(&self.arguments, "_raw")
    }
}

/// What the tool answered.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ToolResult {
    /// The call it answers.
    pub call_id: Text,
    /// The answer.
    pub content: Vec<Part>,
    /// How the content was written.
    pub shape: ContentShape,
    /// Whether the tool failed (Anthropic `is_error`).
    pub is_error: Option<bool>,
}
