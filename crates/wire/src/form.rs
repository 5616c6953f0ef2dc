//! The internal form: what every format is decoded into and encoded from.
//!
//! The form keeps what a conversation *means* (roles, parts, tools, parameters, usage) in typed fields, and what
//! only one format knows in [`Extra`], so that a round trip through the form in one format loses nothing.

mod conversation;
mod embedding;
mod failure;
mod parameters;
mod response;
mod stream;
mod tool;
mod usage;

pub mod turns;

pub use conversation::{
    Audio, CacheControl, ContentShape, Document, Image, Message, Part, PartKind, Role, Source, TextPart,
    Thinking, Video,
};
pub use embedding::{
    EmbeddingInput, EmbeddingRequest, EmbeddingResponse, Encoding, NativeInput, Purpose, Truncate,
};
pub use failure::{Failure, FailureKind};
pub use parameters::{
    ChatRequest, MaxTokensName, Reasoning, ReasoningEffort, ResponseFormat, Sampling, StreamRequest,
};
pub use response::{ChatResponse, Choice, FinishReason};
pub use stream::{PartStart, StreamEvent};
pub use tool::{Tool, ToolCall, ToolCallKind, ToolChoice, ToolKind, ToolResult};
pub use usage::{Units, Usage};

use std::fmt;

use crate::json::Json;

/// Immutable, cheaply cloned UTF-8 text; decoded text is a slice of the body it came in, not a copy.
pub type Text = bytestring::ByteString;

/// What the name of a note begins with.
const NOTE: char = '?';

/// Fields of one format that the form has no place for, in the order in which they came.
///
/// They are written back when the form is encoded in the format they came from, and nowhere else.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Extra(pub Vec<(Text, Json)>);

impl Extra {
    /// True when there is nothing beyond what the form knows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value of field `name`, if it is here.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Json> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// Adds a field, or replaces the one of the same name.
    pub fn set(&mut self, name: impl Into<Text>, value: Json) {
        let name = name.into();
        match self.0.iter_mut().find(|(key, _)| *key == name) {
            Some((_, old)) => *old = value,
            None => self.0.push((name, value)),
        }
    }

    /// Notes how a thing was written (that an id was left out, for example), for the writer of the same format. A note
    /// is no field: it is never written and never told as lost.
    pub fn note(&mut self, what: &str) {
        self.set(Self::noted(what), Json::null());
    }

    /// The name under which a note stands.
    pub(crate) fn noted(what: impl fmt::Display) -> Text {
        format!("{NOTE}{what}").into()
    }

    /// The notes: the names under which they stand, and what they say.
    pub(crate) fn notes(&self) -> impl Iterator<Item = (&Text, &str)> {
        let notes = self.0.iter().map(|(key, _)| key);
        notes.filter_map(|key| Some((key, key.strip_prefix(NOTE)?)))
    }

    /// Whether there is such a note.
    #[must_use]
    pub fn has_note(&self, what: &str) -> bool {
        self.notes().any(|(_, note)| note == what)
    }

    /// The fields, without the notes.
    pub fn fields(&self) -> impl Iterator<Item = (&Text, &Json)> {
        let fields = self.0.iter().filter(|(key, _)| !key.starts_with(NOTE));
        fields.map(|(key, json)| (key, json))
    }

    /// Takes field `name` out.
    pub fn remove(&mut self, name: &str) -> Option<Json> {
        let at = self.0.iter().position(|(key, _)| key == name)?;
        Some(self.0.remove(at).1)
    }
}
