//! Shape of the conversation.

use super::Reading;
use crate::config::{ConversationConfig, Predicate};
use crate::facts::{Facts, MessageFacts};

pub(crate) struct Conversation {
    source: Shape,
    role: Option<String>,
    predicate: Predicate,
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
        let any = Predicate {
            gt: Some(0.0),
            ..Predicate::default()
        };
        let predicate = config.predicate.unwrap_or(any);
        Ok(Self {
            source,
            role: config.feature.source.role.clone(),
            predicate,
        })
    }

    pub(crate) fn read(&self, facts: &Facts<'_>) -> Reading {
        let role = self.role.as_deref();
        let of_role = |message: &&MessageFacts<'_>| role.is_none_or(|role| message.role == role);
        let messages = || facts.messages.iter().filter(of_role);
        let count = match self.source {
            Shape::Message => messages().count(),
            Shape::ToolDefinition => facts.tools_defined,
            Shape::ToolCall => messages().map(|message| message.tool_calls).sum(),
            Shape::ToolCycle => cycles(facts.messages),
            Shape::ActiveToolLoop => {
                usize::from(facts.messages.last().is_some_and(|last| last.is_tool_result))
            }
            Shape::Image => messages().filter(|message| message.has_image).count(),
        };
        Reading::number(count as f64, self.predicate.holds(count as f64))
    }
}

/// Calls that were followed by results.
fn cycles(messages: &[MessageFacts<'_>]) -> usize {
    messages
        .windows(2)
        .filter(|pair| pair[0].tool_calls > 0 && pair[1].is_tool_result)
        .count()
}
