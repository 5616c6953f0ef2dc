//! Which kinds of content the request holds.

use super::Reading;
use crate::config::InputModalityConfig;
use crate::facts::{Facts, MessageFacts};

/// One kind.
#[derive(Debug, Clone, Copy)]
pub(super) enum Input {
    Text,
    Image,
    Audio,
    Video,
}

impl Input {
    pub(super) fn compile(config: &InputModalityConfig) -> Result<Self, String> {
        match config.modality.as_str() {
            "text" => Ok(Self::Text),
            "image" => Ok(Self::Image),
            "audio" => Ok(Self::Audio),
            "video" => Ok(Self::Video),
            other => Err(format!(
                "unknown modality {other:?}; use text, image, audio or video"
            )),
        }
    }

    /// Whether any message holds it, and in how many.
    pub(super) fn read(self, facts: &Facts<'_>) -> Reading {
        let holds = |message: &&MessageFacts<'_>| match self {
            Self::Text => !message.text.trim().is_empty(),
            Self::Image => message.has_image,
            Self::Audio => message.has_audio,
            Self::Video => message.has_video,
        };
        let count = facts.messages.iter().filter(holds).count();
        Reading::number(count as f64, count > 0)
    }
}
