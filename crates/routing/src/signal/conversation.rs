//! Shape of the conversation.

use super::Reading;
use crate::config::{ConversationConfig, Predicate};
use crate::facts::{Facts, MessageFacts};

pub(crate) struct Conversation {
    source: Shape,
    /// Whose messages.
    role: Role,
    /// One or none, in place of how many.
    exists: bool,
    predicate: Predicate,
}

enum Role {
    Any,
    Only(String),
    /// All but the user's.
    NotUser,
}

#[derive(Clone, Copy)]
enum Shape {
    Message,
    ToolDefinition,
    ToolCall,
    ToolCycle,
    ActiveToolLoop,
    Image,
}

impl Conversation {
    pub(crate) fn compile(config: &ConversationConfig) -> Result<Self, String> {
        let kind = config.feature.kind.as_str();
        if !["exists", "count"].contains(&kind) {
            return Err(format!("unknown feature type {kind:?}; use exists or count"));
        }
        let source = match config.feature.source.kind.as_str() {
            "message" => Shape::Message,
            "tool_definition" => Shape::ToolDefinition,
            "assistant_tool_call" => Shape::ToolCall,
            "assistant_tool_cycle" => Shape::ToolCycle,
            "active_tool_loop" => Shape::ActiveToolLoop,
            "image_content" => Shape::Image,
            other => {
                return Err(format!(
                    "unknown source type {other:?}; use message, tool_definition, assistant_tool_call, assistant_tool_cycle, active_tool_loop or image_content"
                ));
            }
        };
        let exists = kind == "exists";
        let any = Predicate {
            gt: Some(0.0),
            ..Predicate::default()
        };
        // Without bounds any number is right, and there must be one for it to exist.
        let predicate = match config.predicate {
            _ if exists => any,
            Some(predicate) => predicate,
            None => Predicate::default(),
        };
        let role = match config.feature.source.role.as_deref() {
            None | Some("") => Role::Any,
            Some("non_user") => Role::NotUser,
            Some(role @ ("user" | "assistant" | "system" | "developer" | "tool")) => {
                Role::Only(role.to_owned())
            }
            Some(other) => {
                return Err(format!(
                    "unknown role {other:?}; use user, assistant, system, developer, tool or non_user"
                ));
            }
        };
        Ok(Self {
            source,
            role,
            exists,
            predicate,
        })
    }

    pub(crate) fn read(&self, facts: &Facts<'_>) -> Reading {
        let of_role = |message: &&MessageFacts<'_>| match &self.role {
            Role::Any => true,
            Role::Only(role) => message.role == role,
            Role::NotUser => message.role != "user",
        };
        let messages = || facts.messages.iter().filter(of_role);
        let calls = || {
            facts
                .messages
                .iter()
                .map(|message| message.tool_calls)
                .sum::<usize>()
        };
        let results = || {
            facts
                .messages
                .iter()
                .filter(|message| message.is_tool_result)
                .count()
        };
        let count = match self.source {
            Shape::Message => messages().count(),
            Shape::ToolDefinition => facts.tools_defined,
            Shape::ToolCall => calls(),
            Shape::ToolCycle => results(),
            Shape::ActiveToolLoop => usize::from(calls() > results() || ends_with_result(facts.messages)),
            Shape::Image => messages().filter(|message| message.has_image).count(),
        };
        let count = if self.exists { count.min(1) } else { count } as f64;
        Reading::number(count, self.predicate.holds(count))
    }
}

/// Whether a tool's result is the last word, or only the user's word about it is.
fn ends_with_result(messages: &[MessageFacts<'_>]) -> bool {
    let mut last = messages.iter().rev();
    match (last.next(), last.next()) {
        (Some(message), _) if message.is_tool_result => true,
        (Some(user), Some(before)) => user.role == "user" && before.is_tool_result,
        _ => false,
    }
}
