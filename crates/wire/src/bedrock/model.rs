//! Families of models, told by their names: what Converse leaves to the model's own parameters differs by family.

/// A family of models that takes its own parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Anthropic's Claude.
    Claude,
    /// Amazon's Nova.
    Nova,
    /// OpenAI's open-weight models.
    GptOss,
    /// Any other, or one behind a name that does not tell.
    Other,
}

impl Family {
    /// The family of a model id, an inference profile or an ARN.
    #[must_use]
    pub fn of(model: &str) -> Self {
        if model.contains("anthropic.claude") {
            Self::Claude
        } else if model.contains("amazon.nova") {
            Self::Nova
        } else if model.contains("openai.gpt-oss") {
            Self::GptOss
        } else {
            Self::Other
        }
    }

    /// Whether it takes cache points: others refuse the request. A name that does not tell is believed to.
    #[must_use]
    pub fn caches(self, model: &str) -> bool {
        match self {
            Self::Claude | Self::Nova => true,
            Self::GptOss => false,
            Self::Other => model.starts_with("arn:"),
        }
    }
}
