//! What a decision does beside choosing a model.

use serde::de::DeserializeOwned;

use crate::config::PluginConfig;
use crate::config::plugins::{
    FastResponseSettings, HeaderMutationSettings, RequestParamsSettings, SystemPromptSettings,
};
use crate::support::{PLUGINS, plugin_kind};

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
    /// Parameters that are taken away.
    pub blocked: Vec<String>,
}

impl Plugins {
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
                if form.strip_unknown {
                    return Err("request_params.strip_unknown is not supported in this version".to_owned());
                }
                if form.default_max_tokens.is_some() {
                    return Err(
                        "request_params.default_max_tokens is not supported in this version".to_owned(),
                    );
                }
                self.request_params = Some(RequestParams {
                    max_tokens: form.max_tokens_limit,
                    max_n: form.max_n,
                    blocked: form.blocked_params,
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
