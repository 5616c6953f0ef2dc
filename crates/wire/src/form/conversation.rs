//! Messages and their parts: what was said, by whom, in which medium.

use super::{Extra, Text, ToolCall, ToolResult};
use crate::format::Format;
use crate::json::Json;

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Instructions of the operator. Anthropic's top-level `system` is a leading message of this role.
    System,
    /// OpenAI's newer name for instructions; formats without it write `System`.
    Developer,
    /// The person, or the program that speaks for them.
    User,
    /// The model.
    Assistant,
    /// Results of tools, where the format gives them a role of their own (OpenAI).
    Tool,
}

/// How a format wrote a content field: as one string or as a list of parts. Kept so that a round trip is exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ContentShape {
    /// A list of parts.
    #[default]
    Parts,
    /// One plain string.
    Text,
    /// An explicit `null`.
    Null,
    /// The field was not there.
    Absent,
}

/// One turn of the conversation.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said, in order; tool calls and tool results are parts, too.
    pub parts: Vec<Part>,
    /// How the content was written.
    pub shape: ContentShape,
    /// OpenAI's `name` of the participant.
    pub name: Option<Text>,
    /// Fields the form has no place for.
    pub extra: Extra,
}

impl Message {
    /// A message of one text part.
    #[must_use]
    pub fn text(role: Role, text: impl Into<Text>) -> Self {
        Self {
            role,
            parts: vec![Part::text(text)],
            shape: ContentShape::Text,
            name: None,
            extra: Extra::default(),
        }
    }
}

/// One piece of a message.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Part {
    /// What it is.
    pub kind: PartKind,
    /// Prompt-cache breakpoint after this part (Anthropic `cache_control`).
    pub cache_control: Option<CacheControl>,
    /// Fields the form has no place for.
    pub extra: Extra,
}

impl Part {
    /// A part without cache breakpoint or extra fields.
    #[must_use]
    pub fn new(kind: PartKind) -> Self {
        Self {
            kind,
            cache_control: None,
            extra: Extra::default(),
        }
    }

    /// A plain text part.
    #[must_use]
    pub fn text(text: impl Into<Text>) -> Self {
        Self::new(PartKind::Text(TextPart {
            text: text.into(),
            citations: None,
        }))
    }
}

/// The kinds of part.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PartKind {
    /// Text.
    Text(TextPart),
    /// A picture.
    Image(Image),
    /// A PDF, a plain text or another file.
    Document(Document),
    /// Recorded sound.
    Audio(Audio),
    /// A film.
    Video(Video),
    /// The model asks for a tool to be run.
    ToolCall(ToolCall),
    /// What the tool answered.
    ToolResult(ToolResult),
    /// The model's reasoning.
    Thinking(Thinking),
    /// Reasoning that the provider encrypted; replayed unchanged.
    RedactedThinking(Text),
    /// The model declines to answer.
    Refusal(Text),
    /// A part that only its own format knows (a server tool's result, for example): carried unchanged within that
    /// format, refused by name in others.
    Opaque {
        /// The format it came in.
        format: Format,
        /// Its `type`.
        kind: Text,
        /// The whole part.
        json: Json,
    },
}

/// Text, with the citations that a provider attached to it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TextPart {
    /// The text.
    pub text: Text,
    /// Citations as Anthropic writes them (a JSON list).
    pub citations: Option<Json>,
}

/// A picture.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Image {
    /// Where its bytes are.
    pub source: Source,
    /// OpenAI's resolution hint: `low`, `high`, `auto`.
    pub detail: Option<Text>,
}

/// A file to read.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Document {
    /// Where its bytes are.
    pub source: Source,
    /// File name or title.
    pub title: Option<Text>,
    /// What the document is about (Anthropic `context`).
    pub context: Option<Text>,
    /// Whether and how the answer shall cite it (Anthropic `citations`).
    pub citations: Option<Json>,
}

/// Recorded sound.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Audio {
    /// Base64 data; empty when only an id is given.
    pub data: Text,
    /// `wav`, `mp3`, …
    pub format: Text,
    /// Id of an earlier audio answer (OpenAI).
    pub id: Option<Text>,
}

/// A film (Gemini, Bedrock).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Video {
    /// Where its bytes are.
    pub source: Source,
}

/// Where the bytes of an image or a document are.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Source {
    /// In the request itself, base64.
    Base64 {
        /// For example `image/png`.
        media_type: Text,
        /// Standard base64, as it came.
        data: Text,
    },
    /// At a URL that the provider fetches.
    Url(Text),
    /// Uploaded before.
    FileId(Text),
    /// Plain text in the request itself.
    PlainText {
        /// For example `text/plain`.
        media_type: Text,
        /// The text.
        data: Text,
    },
    /// A document made of parts (Anthropic's `content` source).
    Parts {
        /// The parts.
        parts: Vec<Part>,
        /// Whether they came as a plain string.
        shape: ContentShape,
    },
}

/// The model's reasoning.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Thinking {
    /// The reasoning, or its summary.
    pub text: Text,
    /// The provider's proof that it wrote it; must be replayed unchanged.
    pub signature: Option<Text>,
}

/// A prompt-cache breakpoint (Anthropic `cache_control`).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CacheControl {
    /// `ephemeral` today.
    pub kind: Text,
    /// `5m` or `1h`; the provider's default when absent.
    pub ttl: Option<Text>,
    /// Fields the form has no place for.
    pub extra: Extra,
}
