//! What a decision does beside choosing a model.

mod answer;
mod cached;
mod compress;
mod hallucination;
mod image;
mod judge;
mod marks;
mod memory;
mod rag;
mod retention;
mod shadow;
mod tools;

use serde::de::DeserializeOwned;

use crate::config::PluginConfig;
use crate::config::plugins::{
    FastResponseSettings, HeaderMutationSettings, RequestParamsSettings, RouterReplaySettings,
    SystemPromptSettings,
};
use crate::support::{PLUGINS, plugin_kind};

pub use answer::{AnswerAction, ResponseJailbreak};
pub use cached::{CacheControls, CacheScope, Caching, ResponseCache};
pub use compress::{Compression, CompressionControls, ItemBounds, Recovery};
pub use hallucination::{Hallucination, Warning};
pub use image::ImageGen;
pub use judge::LlmJudge;
pub use marks::PromptCache;
pub use memory::Memory;
pub use rag::{OnFailure, Rag, RagAccess, RagPlace, RagSource, Rerank};
pub use retention::Retention;
pub use shadow::Shadow;
pub use tools::{ListedTool, ToolChoice, Tools, WeighedTool};

/// A decision's plugins, compiled.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plugins {
    /// Answer at once.
    pub fast_response: Option<FastResponse>,
    /// Put instructions in front.
    pub system_prompt: Option<SystemPrompt>,
    /// Bound what the client asks for.
    pub request_params: Option<RequestParams>,
    /// Headers for the provider; none removes.
    pub headers: Vec<(String, Option<String>)>,
    /// Record the decision.
    pub replay: Option<Replay>,
    /// Take tools away.
    pub tools: Option<Tools>,
    /// Choose tools by what they are for, in this order.
    pub tool_choices: Vec<ToolChoice>,
    /// Remember answers otherwise than those of all.
    pub caching: Option<Caching>,
    /// Look things up for the prompt.
    pub rag: Option<Rag>,
    /// Remember the user.
    pub memory: Option<Memory>,
    /// How long what is left behind is kept.
    pub retention: Retention,
    /// Make what is too long shorter.
    pub compression: Option<Compression>,
    /// Answer with an image.
    pub image_gen: Option<ImageGen>,
    /// Judge answers.
    pub response_jailbreak: Option<ResponseJailbreak>,
    /// Look at the answer.
    pub hallucination: Option<Hallucination>,
    /// Mark what the provider shall cache.
    pub marks: Option<PromptCache>,
    /// Send a copy to another model.
    pub shadow: Option<Shadow>,
    /// Have a model say how good answers are.
    pub judge: Option<LlmJudge>,
}

/// How a decision is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replay {
    /// How many of the decision are kept, the latest.
    pub max_records: u32,
    /// Most bytes of the request's texts; none of them where absent.
    pub request_bytes: Option<usize>,
    /// Most bytes of the answer's text; none of it where absent.
    pub response_bytes: Option<usize>,
    /// Most bytes of a tool's result among the texts.
    pub tool_bytes: Option<usize>,
    /// Most results of tools among the texts, the latest.
    pub tool_steps: Option<usize>,
    /// Signals that only need the request are all read, needed or not.
    pub all_signals: bool,
    /// Only requests of which a copy is made are recorded, with what came of it.
    pub of_shadows: bool,
}

impl Default for Replay {
    fn default() -> Self {
        Self {
            max_records: MAX_RECORDS,
            request_bytes: None,
            response_bytes: None,
            tool_bytes: None,
            tool_steps: None,
            all_signals: true,
            of_shadows: false,
        }
    }
}

/// Decisions that are kept of a name, where nothing is said.
const MAX_RECORDS: u32 = 10_000;
/// Decisions that may be kept of a name.
const MOST_RECORDS: u64 = 1_000_000;
/// Bytes of a body that are captured, where nothing is said.
const BODY: usize = 4_096;
/// Bytes of a body that may be captured.
const MOST_BODY: u64 = 1 << 20;

impl Replay {
    /// Of requests of which a copy is made, where nothing else is said.
    #[must_use]
    pub fn of_shadows() -> Self {
        Self {
            all_signals: false,
            of_shadows: true,
            ..Self::default()
        }
    }

    /// Of its settings; none where they say that nothing is recorded.
    fn of(form: &RouterReplaySettings) -> Result<Option<Self>, String> {
        let records = form.max_records.unwrap_or(MAX_RECORDS.into());
        if !(1..=MOST_RECORDS).contains(&records) {
            return Err(format!(
                "router_replay.max_records is a number from 1 to {MOST_RECORDS}"
            ));
        }
        let body = form.max_body_bytes.unwrap_or(BODY as u64);
        if !(1..=MOST_BODY).contains(&body) {
            return Err(format!(
                "router_replay.max_body_bytes is a number from 1 to {MOST_BODY}"
            ));
        }
        let body = usize::try_from(body).unwrap_or(BODY);
        // As it is published: 0 is no limit.
        let limit = |value: Option<u64>| {
            value
                .filter(|value| *value > 0)
                .and_then(|value| value.try_into().ok())
        };
        let replay = Self {
            max_records: u32::try_from(records).unwrap_or(MAX_RECORDS),
            request_bytes: form.capture_request_body.then_some(body),
            response_bytes: form.capture_response_body.then_some(body),
            tool_bytes: limit(form.max_tool_trace_bytes),
            tool_steps: limit(form.max_tool_trace_steps),
            all_signals: form.all_signals.unwrap_or(true),
            of_shadows: false,
        };
        Ok(form.enabled.then_some(replay))
    }
}

/// An answer of the configuration's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FastResponse {
    /// What is said.
    pub message: String,
}

/// Instructions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SystemPrompt {
    /// What they say.
    pub text: String,
    /// In place of the client's own.
    pub replace: bool,
}

/// Bounds of what the client may ask for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestParams {
    /// Most tokens of an answer.
    pub max_tokens: Option<u64>,
    /// Most answers.
    pub max_n: Option<u64>,
    /// Tokens of an answer where the client says nothing.
    pub default_max_tokens: Option<u64>,
    /// Parameters that are taken away.
    pub blocked: Vec<String>,
    /// Parameters that the client's format does not have are taken away.
    pub strip_unknown: bool,
}

impl Plugins {
    /// Whether the text of an answer is looked at before anybody has it.
    #[must_use]
    pub fn reads_answers(&self) -> bool {
        self.response_jailbreak.is_some()
    }

    /// Adds a plugin. One that is not carried out is told elsewhere.
    pub(crate) fn add(&mut self, config: &PluginConfig) -> Result<(), String> {
        let Some(kind) = plugin_kind(&config.kind) else {
            let known = PLUGINS.iter().map(|kind| kind.names[0]);
            let known = known.collect::<Vec<_>>().join(", ");
            return Err(format!("unknown plugin {:?}; use {known}", config.kind));
        };
        match kind.names[0] {
            "fast_response" => {
                let form: FastResponseSettings = read(config)?;
                if form.message.is_empty() {
                    return Err("fast_response needs a message".to_owned());
                }
                self.fast_response = Some(FastResponse {
                    message: form.message,
                });
            }
            "request_params" => {
                let form: RequestParamsSettings = read(config)?;
                self.request_params = Some(RequestParams {
                    max_tokens: form.max_tokens_limit,
                    max_n: form.max_n,
                    default_max_tokens: form.default_max_tokens,
                    blocked: form.blocked_params,
                    strip_unknown: form.strip_unknown,
                });
            }
            "system_prompt" => {
                let form: SystemPromptSettings = read(config)?;
                let replace = match form.mode.as_deref() {
                    None | Some("insert") => false,
                    Some("replace") => true,
                    Some(other) => return Err(format!("unknown mode {other:?}; use insert or replace")),
                };
                self.system_prompt = form.enabled.unwrap_or(true).then_some(SystemPrompt {
                    text: form.system_prompt,
                    replace,
                });
            }
            "hallucination" => self.hallucination = Hallucination::of(read(config)?)?,
            "tools" => {
                let (by_name, chosen) = Tools::of(read(config)?)?;
                self.tools = by_name;
                self.tool_choices.extend(chosen);
            }
            "tool_selection" => self.tool_choices.extend(ToolChoice::of(read(config)?)?),
            "response_cache" => self.caching = Some(Caching::of(read(config)?)?),
            "context_compression" => self.compression = Compression::of(&read(config)?)?,
            "memory" => self.memory = Memory::of(read(config)?)?,
            "rag" => self.rag = Rag::of(read(config)?)?,
            "image_gen" => self.image_gen = ImageGen::of(read(config)?)?,
            "response_jailbreak" => self.response_jailbreak = ResponseJailbreak::of(&read(config)?)?,
            "router_replay" => self.replay = Replay::of(&read(config)?)?,
            "prompt_cache" => self.marks = PromptCache::of(&read(config)?)?,
            "shadow_dispatch" => self.shadow = Shadow::of(read(config)?)?,
            "llm_judge" => self.judge = LlmJudge::of(read(config)?)?,
            "header_mutation" => {
                let form: HeaderMutationSettings = read(config)?;
                let set = form.add.into_iter().chain(form.update);
                self.headers
                    .extend(set.map(|entry| (entry.name, Some(entry.value))));
                self.headers
                    .extend(form.delete.into_iter().map(|name| (name, None)));
            }
            _ => {}
        }
        Ok(())
    }
}

fn read<T: DeserializeOwned + Default>(config: &PluginConfig) -> Result<T, String> {
    if config.configuration.is_null() {
        return Ok(T::default());
    }
    serde_json::from_value(config.configuration.clone()).map_err(|error| format!("{}: {error}", config.kind))
}
