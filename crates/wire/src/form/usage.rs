//! What an answer used. Counts of tokens, normalised: totals include their details.

/// Token counts of one answer.
///
/// `input` and `output` are totals. Formats differ (Anthropic's `input_tokens` leave out what was read from or written
/// to the cache, Gemini's candidates leave out thoughts); decoders add up, encoders take apart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Usage {
    /// All prompt tokens, cached ones included.
    #[serde(skip_serializing_if = "is_zero")]
    pub input: u64,
    /// All generated tokens, reasoning included.
    #[serde(skip_serializing_if = "is_zero")]
    pub output: u64,
    /// Of the prompt: read from the provider's prompt cache.
    #[serde(skip_serializing_if = "is_zero")]
    pub cache_read: u64,
    /// Of the prompt: written to the cache for the default time (five minutes with Anthropic).
    #[serde(skip_serializing_if = "is_zero")]
    pub cache_write: u64,
    /// Of the prompt: written to the cache for one hour.
    #[serde(skip_serializing_if = "is_zero")]
    pub cache_write_1h: u64,
    /// Of the output: reasoning.
    #[serde(skip_serializing_if = "is_zero")]
    pub reasoning: u64,
    /// Of the prompt: audio.
    #[serde(skip_serializing_if = "is_zero")]
    pub audio_input: u64,
    /// Of the output: audio.
    #[serde(skip_serializing_if = "is_zero")]
    pub audio_output: u64,
    /// Of the prompt: images.
    #[serde(skip_serializing_if = "is_zero")]
    pub image_input: u64,
    /// Of the prompt: films.
    #[serde(skip_serializing_if = "is_zero")]
    pub video_input: u64,
    /// Of the output: images.
    #[serde(skip_serializing_if = "is_zero")]
    pub image_output: u64,
    /// Of the prompt: results of tools that the provider itself ran (Gemini).
    #[serde(skip_serializing_if = "is_zero")]
    pub tool_input: u64,
    /// Searches of the web that the provider ran and bills by the piece; not tokens.
    #[serde(skip_serializing_if = "is_zero")]
    pub searches: u64,
    /// Predicted tokens that were used (OpenAI).
    #[serde(skip_serializing_if = "is_zero")]
    pub accepted_prediction: u64,
    /// Predicted tokens that were not used but are billed (OpenAI).
    #[serde(skip_serializing_if = "is_zero")]
    pub rejected_prediction: u64,
    /// What is counted by the piece, and rarer kinds of tokens.
    #[serde(skip_serializing_if = "Units::is_empty")]
    pub units: Units,
}

/// What an answer used beside tokens: pieces, sizes and times, and the kinds of tokens that few formats tell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Units {
    /// Of the tokens read from the cache: audio.
    pub cache_read_audio: u64,
    /// Of the tokens read from the cache: images.
    pub cache_read_image: u64,
    /// Requests, where they are charged as such.
    pub requests: u64,
    /// Queries of a reranker or search engine.
    pub queries: u64,
    /// Pages that were read.
    pub pages: u64,
    /// Images that were given.
    pub images_in: u64,
    /// Images that were made.
    pub images_out: u64,
    /// Pixels of the images that were given.
    pub pixels_in: u64,
    /// Pixels of the images that were made.
    pub pixels_out: u64,
    /// Milliseconds of sound or film that were given.
    pub milliseconds_in: u64,
    /// Milliseconds of sound or film that were made.
    pub milliseconds_out: u64,
    /// Characters that were given.
    pub characters_in: u64,
    /// Characters that were made.
    pub characters_out: u64,
}

impl Units {
    /// Whether nothing was counted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn and(&self, other: &Self) -> Self {
        let sum = |count: fn(&Self) -> u64| count(self).saturating_add(count(other));
        Self {
            cache_read_audio: sum(|units| units.cache_read_audio),
            cache_read_image: sum(|units| units.cache_read_image),
            requests: sum(|units| units.requests),
            queries: sum(|units| units.queries),
            pages: sum(|units| units.pages),
            images_in: sum(|units| units.images_in),
            images_out: sum(|units| units.images_out),
            pixels_in: sum(|units| units.pixels_in),
            pixels_out: sum(|units| units.pixels_out),
            milliseconds_in: sum(|units| units.milliseconds_in),
            milliseconds_out: sum(|units| units.milliseconds_out),
            characters_in: sum(|units| units.characters_in),
            characters_out: sum(|units| units.characters_out),
        }
    }
}

/// Most counts of most answers are zero: what is written by the million leaves them out.
fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Usage {
    /// Prompt tokens that were neither read from nor written to the cache.
    #[must_use]
    pub fn uncached_input(&self) -> u64 {
        self.input
            .saturating_sub(self.cache_read)
            .saturating_sub(self.cache_write)
            .saturating_sub(self.cache_write_1h)
    }

    /// What two answers used together.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        let sum = |count: fn(&Self) -> u64| count(self).saturating_add(count(other));
        Self {
            input: sum(|usage| usage.input),
            output: sum(|usage| usage.output),
            cache_read: sum(|usage| usage.cache_read),
            cache_write: sum(|usage| usage.cache_write),
            cache_write_1h: sum(|usage| usage.cache_write_1h),
            reasoning: sum(|usage| usage.reasoning),
            audio_input: sum(|usage| usage.audio_input),
            audio_output: sum(|usage| usage.audio_output),
            image_input: sum(|usage| usage.image_input),
            video_input: sum(|usage| usage.video_input),
            image_output: sum(|usage| usage.image_output),
            tool_input: sum(|usage| usage.tool_input),
            searches: sum(|usage| usage.searches),
            accepted_prediction: sum(|usage| usage.accepted_prediction),
            rejected_prediction: sum(|usage| usage.rejected_prediction),
            units: self.units.and(&other.units),
        }
    }

    /// Prompt and output together.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.input.saturating_add(self.output)
    }
}
