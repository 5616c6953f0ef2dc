//! What has to be asked to know a signal, and of which text: signals that need the same are answered by one call.

/// Which text a signal is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum About {
    /// What the user said last.
    #[default]
    User,
    /// The whole conversation.
    Conversation,
    /// What the model answers.
    Answer,
    /// Images that the user shows.
    Image,
    /// Sound that the user gives.
    Audio,
}

impl About {
    /// Whether it is no text.
    #[must_use]
    pub fn is_media(self) -> bool {
        matches!(self, Self::Image | Self::Audio)
    }
}

/// What a signal needs. In the order of what it costs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Need {
    /// Nothing but the request.
    Text,
    /// The engine's heads: one pass over the text answers all of them.
    Heads(About),
    /// The engine's embedding of the text.
    Embedding(About),
    /// Somebody else, by name: a request over the network.
    Remote(About, String),
}

impl Need {
    /// Whether anyone has to be asked.
    #[must_use]
    pub fn is_asked(&self) -> bool {
        *self != Self::Text
    }

    /// What it costs, next to others.
    pub(crate) fn cost(&self) -> u8 {
        match self {
            Self::Text => 0,
            Self::Heads(_) => 1,
            Self::Embedding(_) => 2,
            Self::Remote(..) => 3,
        }
    }
}

/// A signal that is answered from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AskedSignal {
    /// The type under which rules name it, such as `domain`.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// What has to be asked.
    pub need: Need,
}
