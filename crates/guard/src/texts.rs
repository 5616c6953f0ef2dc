//! The texts of a request, each with what sort it is and whose guardrails see it.

use std::sync::Arc;

use crate::config::Stage;

/// What sort of text it is: guardrails do not all judge the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sort {
    /// From outside: what users say, documents, results of tools, and answers. Attacks come from there.
    Foreign,
    /// The operator's instructions.
    Instruction,
    /// What the model said or thought before.
    Model,
    /// What the model thinks before it answers, as it goes out.
    Thought,
    /// Arguments of a tool: JSON, and it stays that.
    Arguments,
    /// What a tool does and what it takes: a schema is no sentence, and nobody is asked about it.
    Definition,
}

impl Sort {
    /// As it is told to services.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Foreign | Self::Thought => "content",
            Self::Instruction => "instruction",
            Self::Model => "model",
            Self::Arguments => "tool_arguments",
            Self::Definition => "tool_definition",
        }
    }
}

/// A text that is to be judged.
#[derive(Debug, Clone)]
pub struct Shown {
    /// The text.
    pub text: Arc<str>,
    /// What sort it is.
    pub sort: Sort,
    /// Whose guardrails see it.
    pub stage: Stage,
}
