//! What an answer may go by, as whoever has the conversation tells it.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where a text comes from that an answer may go by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Given {
    /// A tool has answered it.
    ToolResult,
    /// A document that came along.
    Document,
    /// The operator's instructions.
    Instruction,
    /// What the user said.
    User,
}

/// All texts of a conversation that an answer may go by, and what was asked last.
#[derive(Debug, Clone, Default)]
pub struct Grounds {
    /// In the order of the conversation.
    pub texts: Vec<(Given, Arc<str>)>,
    /// What the user said last: an answer may say it again.
    pub question: Arc<str>,
}

impl Grounds {
    /// The texts from these places.
    pub fn of<'g>(&'g self, wanted: &'g [Given]) -> impl Iterator<Item = &'g Arc<str>> {
        let from = self.texts.iter().filter(|(given, _)| wanted.contains(given));
        from.map(|(_, text)| text)
    }
}
