//! What a decision does beside choosing a model.

use serde::Deserialize;

use crate::config::PluginConfig;

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
}

/// An answer of the configuration's own.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
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
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RequestParams {
    /// Most tokens of an answer.
    #[serde(alias = "max_tokens_limit")]
    pub max_tokens: Option<u64>,
    /// Most answers.
    #[serde(alias = "n")]
    pub max_n: Option<u64>,
    /// Parameters that are taken away.
    #[serde(alias = "blocked_params")]
    pub blocked: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SystemPromptForm {
    system_prompt: String,
    #[serde(default)]
    mode: Option<String>,
    #[serde(default = "yes")]
    enabled: bool,
}

fn yes() -> bool {
    true
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct HeaderForm {
    add: Vec<HeaderEntry>,
    update: Vec<HeaderEntry>,
    delete: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HeaderEntry {
    name: String,
    value: String,
}

/// Plugins that the language has and this version does not.
const UNSUPPORTED: [&str; 16] = [
    "hallucination",
    "image_gen",
    "memory",
    "rag",
    "context_compression",
    "response_jailbreak",
    "router_replay",
    "response_cache",
    "semantic-cache",
    "tool_selection",
    "tools",
    "prompt_cache",
    "shadow_dispatch",
    "pii",
    "jailbreak",
    "cache",
];

/// Names of the plugins there are.
pub(crate) const SUPPORTED: [&str; 4] = [
    "fast_response",
    "system_prompt",
    "header_mutation",
    "request_params",
];

impl Plugins {
    /// Adds a plugin.
    pub(crate) fn add(&mut self, config: &PluginConfig) -> Result<(), String> {
        let settings = config.configuration.clone();
        let wrong = |error: serde_json::Error| format!("{}: {error}", config.kind);
        match config.kind.as_str() {
            "fast_response" => self.fast_response = Some(serde_json::from_value(settings).map_err(wrong)?),
            "request_params" => self.request_params = Some(serde_json::from_value(settings).map_err(wrong)?),
            "system_prompt" => {
                let form: SystemPromptForm = serde_json::from_value(settings).map_err(wrong)?;
                let replace = match form.mode.as_deref() {
                    None | Some("insert") => false,
                    Some("replace") => true,
                    Some(other) => return Err(format!("unknown mode {other:?}; use insert or replace")),
                };
                self.system_prompt = form.enabled.then_some(SystemPrompt {
                    text: form.system_prompt,
                    replace,
                });
            }
            "header_mutation" => {
                let form: HeaderForm = serde_json::from_value(settings).map_err(wrong)?;
                let set = form.add.into_iter().chain(form.update);
                self.headers
                    .extend(set.map(|entry| (entry.name, Some(entry.value))));
                self.headers
                    .extend(form.delete.into_iter().map(|name| (name, None)));
            }
            known if UNSUPPORTED.contains(&known) => {
                return Err(format!("the plugin {known:?} is not supported in this version"));
            }
            unknown => {
                return Err(format!(
                    "unknown plugin {unknown:?}; use {}",
                    SUPPORTED.join(", ")
                ));
            }
        }
        Ok(())
    }
}
