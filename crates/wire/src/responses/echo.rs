//! What an answer repeats of its request: the official SDKs demand most of it.

use super::namespaces::Names;
use crate::form::{ChatRequest, MaxTokensName, Text};
use crate::format::{EncodeTarget, Format};
use crate::json::write::Object;

/// The fields, and what stands there where the request does not say.
const FIELDS: [(&str, &str); 17] = [
    ("background", "false"),
    ("instructions", "null"),
    ("max_output_tokens", "null"),
    ("max_tool_calls", "null"),
    ("metadata", "{}"),
    ("parallel_tool_calls", "true"),
    ("previous_response_id", "null"),
    ("prompt_cache_key", "null"),
    ("reasoning", r#"{"effort":null,"summary":null}"#),
    ("safety_identifier", "null"),
    ("temperature", "null"),
    ("text", r#"{"format":{"type":"text"}}"#),
    ("tool_choice", r#""auto""#),
    ("tools", "[]"),
    ("top_logprobs", "0"),
    ("top_p", "null"),
    ("truncation", r#""disabled""#),
];

/// What an answer repeats, and by which names the client knows what the model calls.
#[derive(Debug, Clone, Default)]
pub struct Echo {
    fields: Vec<(&'static str, String)>,
    names: Names,
}

impl Echo {
    /// Of this request; of one in another format, only what every answer says.
    #[must_use]
    pub fn of(request: &ChatRequest) -> Self {
        if request.format != Format::OpenAiResponses {
            return Self::default();
        }
        let target = EncodeTarget {
            model: "",
            default_max_tokens: 0,
            max_tokens_name: MaxTokensName::MaxTokens,
            developer_role: true,
            stream_usage: true,
        };
        let instructions = request
            .messages
            .iter()
            .filter(|message| super::input::is_instructions(message));
        let head = ChatRequest {
            messages: instructions.cloned().collect(),
            ..request.clone()
        };
        let Ok(written) = super::encode::encode(&head, &target) else {
            return Self::default();
        };
        let told: serde_json::Map<String, serde_json::Value> =
            serde_json::from_slice(&written.body).unwrap_or_default();
        let named = |name: &'static str| {
            let mut value = told.get(name)?.clone();
            if name == "tools" {
                complete(&mut value);
            }
            (!value.is_null()).then(|| (name, value.to_string()))
        };
        Self {
            fields: FIELDS.iter().filter_map(|(name, _)| named(name)).collect(),
            names: Names::of(request),
        }
    }

    /// The namespace of a function that was called, and its name in it.
    pub(super) fn called(&self, name: &Text) -> (Option<Text>, Text) {
        match self.names.apart(name) {
            Some((namespace, name)) => (Some(namespace.clone()), name.clone()),
            None => (None, name.clone()),
        }
    }

    /// Writes the fields.
    pub(super) fn write(&self, body: &mut Object<'_>) {
        for (name, unsaid) in FIELDS {
            let told = self.fields.iter().find(|(told, _)| *told == name);
            body.raw(name, told.map_or(unsaid, |(_, json)| json));
        }
    }
}

/// A function in an answer has all its fields.
fn complete(tools: &mut serde_json::Value) {
    for tool in tools.as_array_mut().into_iter().flatten() {
        if tool.get("type").and_then(serde_json::Value::as_str) != Some("function") {
            continue;
        }
        for name in ["description", "parameters", "strict"] {
            if tool.get(name).is_none() {
                tool[name] = serde_json::Value::Null;
            }
        }
    }
}
