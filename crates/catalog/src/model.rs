//! Models: what a provider calls them, what they can, what they cost.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::named::{Set, named};
use crate::price::Price;

named! {
    /// What a model is for.
    Kind: "kind of model" {
        /// Conversations.
        Chat = "chat",
        /// Continuing a text.
        Completion = "completion",
        /// Vectors of texts or images.
        Embedding = "embedding",
        /// Ordering documents.
        Rerank = "rerank",
        /// Making or changing images.
        Image = "image",
        /// Making films.
        Video = "video",
        /// Text to speech.
        Speech = "speech",
        /// Speech to text.
        Transcription = "transcription",
        /// Talking while listening.
        Realtime = "realtime",
        /// Judging whether content is allowed.
        Moderation = "moderation",
        /// Reading documents.
        Ocr = "ocr",
        /// Searching the web.
        Search = "search",
        /// Labels and decisions.
        Classifier = "classifier",
        /// A service of the provider's that is billed like a model.
        Tool = "tool",
    }
}

named! {
    /// Something a model can do.
    #[allow(missing_docs, reason = "the names say it")]
    Feature: "feature" {
        AdaptiveThinking = "adaptive_thinking",
        AnthropicCompaction = "anthropic_compaction",
        AnthropicThinkingPayload = "anthropic_thinking_payload",
        AssistantPrefill = "assistant_prefill",
        AudioInput = "audio_input",
        AudioOutput = "audio_output",
        BedrockNativeStructuredOutput = "bedrock_native_structured_output",
        BedrockInlineReasoning = "bedrock_runtime_chat_completions_inline_reasoning",
        BedrockResponseFormat = "bedrock_runtime_chat_completions_response_format",
        BedrockToolsWithReasoning = "bedrock_runtime_chat_completions_tools_with_reasoning",
        ComputerUse = "computer_use",
        EmbeddingImageInput = "embedding_image_input",
        FastMode = "fast_mode",
        ForcedToolUse = "forced_tool_use",
        FunctionCalling = "function_calling",
        ImageInput = "image_input",
        LegacyThinking = "legacy_thinking",
        MaxReasoningEffort = "max_reasoning_effort",
        MidConversationSystem = "mid_conversation_system",
        MinimalReasoningEffort = "minimal_reasoning_effort",
        NativeStreaming = "native_streaming",
        NativeStructuredOutput = "native_structured_output",
        NoneReasoningEffort = "none_reasoning_effort",
        OutputConfig = "output_config",
        ParallelFunctionCalling = "parallel_function_calling",
        ParallelToolUseConfig = "parallel_tool_use_config",
        PdfInput = "pdf_input",
        PromptCacheBreakpoint = "prompt_cache_breakpoint",
        PromptCaching = "prompt_caching",
        Reasoning = "reasoning",
        ResponseSchema = "response_schema",
        SystemMessages = "system_messages",
        ThinkingCachePreservation = "thinking_cache_preservation",
        ToolChoice = "tool_choice",
        ToolSearch = "tool_search",
        UrlContext = "url_context",
        VideoInput = "video_input",
        Vision = "vision",
        WebSearch = "web_search",
        XhighReasoningEffort = "xhigh_reasoning_effort",
    }
}

named! {
    /// What a model takes or gives.
    #[allow(missing_docs, reason = "the names say it")]
    Modality: "modality" {
        Text = "text",
        Image = "image",
        Audio = "audio",
        Video = "video",
        Code = "code",
    }
}

named! {
    /// How hard a model may be told to think.
    #[allow(missing_docs, reason = "the names say it")]
    Effort: "reasoning effort" {
        None = "none",
        Minimal = "minimal",
        Low = "low",
        Medium = "medium",
        High = "high",
        Xhigh = "xhigh",
        Max = "max",
    }
}

named! {
    /// Where a provider answers for a model; absent where the provider's own list says it all.
    #[allow(missing_docs, reason = "the names say it")]
    Endpoint: "endpoint" {
        Chat = "chat",
        Responses = "responses",
        Messages = "messages",
        Completions = "completions",
        Embeddings = "embeddings",
        Batch = "batch",
        Images = "images",
        ImageEdits = "image_edits",
        Transcriptions = "transcriptions",
        Speech = "speech",
        Realtime = "realtime",
        Videos = "videos",
        Ocr = "ocr",
    }
}

/// A model of a provider. What is not known is absent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    /// The provider's name of it.
    pub id: Box<str>,
    /// What it is for.
    pub kind: Kind,
    /// No model of its own, but another price of one: for a region (`us-gov-west-1/…`), or for a quality and size of
    /// images (`high/1024-x-1024/…`).
    pub variant: bool,
    /// Most tokens of a prompt.
    pub context_window: Option<u64>,
    /// Most tokens of an answer.
    pub max_output: Option<u64>,
    /// What it costs.
    pub price: Option<Price>,
    /// What it can.
    pub features: Set<Feature>,
    /// What it takes and what it gives.
    pub modalities: Modalities,
    /// How hard it may be told to think.
    pub efforts: Set<Effort>,
    /// Where the provider answers for it.
    pub endpoints: Set<Endpoint>,
    /// Shortest prompt that the provider caches, in tokens.
    pub cache_minimum: Option<u32>,
    /// Length of its vectors.
    pub dimensions: Option<u32>,
    /// The day it goes away.
    pub deprecated: Option<Date>,
    /// What its provider recommends instead.
    pub successor: Option<Box<str>>,
}

/// What a model takes and gives; empty where the source does not say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Modalities {
    /// What it takes.
    pub input: Set<Modality>,
    /// What it gives.
    pub output: Set<Modality>,
}

impl Model {
    /// Whether its price is known and not nothing.
    #[must_use]
    pub fn is_priced(&self) -> bool {
        self.price.as_ref().is_some_and(|price| !price.is_free())
    }
}

/// A day: `2026-10-23`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date(u32);

impl Date {
    /// Reads `2026-10-23`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, '-');
        let mut part = |length: usize, most: u32| {
            let digits = parts.next().filter(|part| part.len() == length)?;
            digits.parse().ok().filter(|number| (1..=most).contains(number))
        };
        let (year, month, day) = (part(4, 9_999)?, part(2, 12)?, part(2, 31)?);
        Some(Self(year * 10_000 + month * 100 + day))
    }

    /// The day of a moment, given in seconds since 1970.
    #[must_use]
    pub fn of(seconds: u64) -> Self {
        // Days since 0000-03-01, cut into eras of 400 years, whose calendar repeats.
        let days = seconds / 86_400 + 719_468;
        let (era, day_of_era) = (days / 146_097, days % 146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * shifted + 2) / 5 + 1;
        let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
        let year = year_of_era + era * 400 + u64::from(month <= 2);
        Self(u32::try_from(year * 10_000 + month * 100 + day).unwrap_or(u32::MAX))
    }
}

impl std::fmt::Display for Date {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (year, month, day) = (self.0 / 10_000, self.0 / 100 % 100, self.0 % 100);
        f.pad(&format!("{year:04}-{month:02}-{day:02}"))
    }
}

impl Serialize for Date {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Date {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let wrong = || serde::de::Error::custom(format!("{text:?} is no day; write it like 2026-10-23"));
        Self::parse(&text).ok_or_else(wrong)
    }
}

/// What a file or a configuration says of a model. What it does not say is as the catalog has it, or absent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ModelFacts {
    /// What it is for; `chat` when absent.
    pub kind: Option<Kind>,
    /// Other names of it.
    pub aliases: Vec<String>,
    /// Most tokens of a prompt.
    pub context_window: Option<u64>,
    /// Most tokens of an answer.
    pub max_output: Option<u64>,
    /// What it costs. Replaces a price that the catalog has as a whole.
    pub price: Option<Price>,
    /// What it can.
    pub features: Option<Set<Feature>>,
    /// What it takes.
    pub input: Option<Set<Modality>>,
    /// What it gives.
    pub output: Option<Set<Modality>>,
    /// How hard it may be told to think.
    pub efforts: Option<Set<Effort>>,
    /// Where the provider answers for it.
    pub endpoints: Option<Set<Endpoint>>,
    /// Shortest prompt that the provider caches, in tokens.
    pub cache_minimum: Option<u32>,
    /// Length of its vectors.
    pub dimensions: Option<u32>,
    /// The day it goes away, such as 2026-10-23.
    #[schemars(with = "Option<String>")]
    pub deprecated: Option<Date>,
    /// What to use instead.
    pub successor: Option<String>,
}

impl ModelFacts {
    /// The model `id` of these facts; what they do not say is as `known` has it.
    pub(crate) fn over(self, id: &str, known: Option<&Model>) -> Model {
        let base = |pick: fn(&Model) -> Option<u64>| known.and_then(pick);
        Model {
            id: id.into(),
            kind: self.kind.or(known.map(|known| known.kind)).unwrap_or(Kind::Chat),
            variant: known.is_some_and(|known| known.variant),
            context_window: self.context_window.or_else(|| base(|known| known.context_window)),
            max_output: self.max_output.or_else(|| base(|known| known.max_output)),
            price: self.price.or_else(|| known?.price.clone()),
            features: self
                .features
                .or(known.map(|known| known.features))
                .unwrap_or_default(),
            modalities: Modalities {
                input: self
                    .input
                    .or(known.map(|known| known.modalities.input))
                    .unwrap_or_default(),
                output: self
                    .output
                    .or(known.map(|known| known.modalities.output))
                    .unwrap_or_default(),
            },
            efforts: self
                .efforts
                .or(known.map(|known| known.efforts))
                .unwrap_or_default(),
            endpoints: self
                .endpoints
                .or(known.map(|known| known.endpoints))
                .unwrap_or_default(),
            cache_minimum: self.cache_minimum.or_else(|| known?.cache_minimum),
            dimensions: self.dimensions.or_else(|| known?.dimensions),
            deprecated: self.deprecated.or_else(|| known?.deprecated),
            successor: self
                .successor
                .map(Into::into)
                .or_else(|| known?.successor.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_read_and_counted() {
        assert_eq!(Date::of(0).to_string(), "1970-01-01");
        assert_eq!(Date::of(951_782_400).to_string(), "2000-02-29");
        assert_eq!(Date::of(1_798_761_599).to_string(), "2026-12-31");
        assert!(Date::parse("2026-10-23") < Date::parse("2026-11-01"));
        for wrong in [
            "2026-13-01",
            "2026-1-01",
            "26-01-01",
            "2026-01-32",
            "2026-01",
            "soon",
        ] {
            assert_eq!(Date::parse(wrong), None, "{wrong}");
        }
    }
}
