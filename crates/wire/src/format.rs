//! The formats by name.

/// A wire format of chat requests and answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// OpenAI chat completions.
    OpenAiChat,
    /// OpenAI (text) completions.
    OpenAiCompletions,
    /// Anthropic messages.
    AnthropicMessages,
}

impl Format {
    /// Every format, in the order of the documentation.
    pub const ALL: [Self; 3] = [Self::OpenAiChat, Self::OpenAiCompletions, Self::AnthropicMessages];

    /// The name used in configuration, the catalog, metrics and documentation.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::OpenAiChat => "openai-chat",
            Self::OpenAiCompletions => "openai-completions",
            Self::AnthropicMessages => "anthropic-messages",
        }
    }
}
