//! `generateContent` requests.

use bytes::Bytes;

use super::config::{self, Config};
use super::{history, names, parts, tools};
use crate::form::{ChatRequest, Extra, StreamRequest, Text};
use crate::format::{DecodeError, Format};
use crate::json::fields::{Fields, parse};

pub use super::encode::encode;

const KNOWN: [&str; 6] = [
    "systemInstruction",
    "generationConfig",
    "toolConfig",
    "safetySettings",
    "cachedContent",
    "serviceTier",
];
/// What the names of fields inside `generationConfig` begin with where they stand among a request's other fields.
pub(super) const CONFIG: &str = "generationConfig.";

/// Reads a request. The model and whether to stream are set by who knows the path.
///
/// # Errors
/// When it does not say what the format demands; the field is named.
pub fn decode(body: &Bytes) -> Result<ChatRequest, DecodeError> {
    let body = Text::try_from(body.clone()).map_err(|_| DecodeError::plain("the body is not UTF-8"))?;
    let value = parse(&body)?;
    read(names::fields(&value, &KNOWN)?)
}

/// Reads the fields of a request.
pub(super) fn read(mut fields: Fields<'_>) -> Result<ChatRequest, DecodeError> {
    let model = fields.take("model", names::text)?.unwrap_or_default();
    let system = fields.take("systemInstruction", |system| parts::read_system(&system))?;
    let mut contents = fields.need("contents", |contents| {
        names::list(&contents, |content| parts::read_content(&content))
    })?;
    history::tie(&mut contents);
    history::gather_thoughts(&mut contents);
    let messages = system.into_iter().chain(contents).collect();
    let tools = fields.take("tools", |tools| tools::read(&tools))?;
    let mut notes = Extra::default();
    if tools.as_ref().is_some_and(Vec::is_empty) {
        notes.note("tools");
    }
    let (tool_choice, tool_config) = tools::read_config(&mut fields)?;
    let config = fields.take("generationConfig", |config| config::read(&config))?;
    if config.as_ref().is_some_and(Config::is_empty) {
        notes.note("generationConfig");
    }
    let Config {
        sampling,
        reasoning,
        response_format,
        rest,
    } = config.unwrap_or_default();
    let service_tier = fields.take("serviceTier", names::text)?;
    let mut extra = fields.rest();
    extra.0.extend(notes.0);
    if let Some(whole) = tool_config {
        extra.set("toolConfig", whole);
    }
    for (name, json) in rest.0 {
        extra.set(format!("{CONFIG}{name}"), json);
    }
    Ok(ChatRequest {
        format: Format::GeminiGenerate,
        model: plain_model(&model),
        messages,
        tools: tools.unwrap_or_default(),
        tool_choice,
        parallel_tool_calls: None,
        sampling,
        reasoning,
        response_format,
        stream: StreamRequest {
            // Gemini's streams always tell usage.
            include_usage: true,
            ..StreamRequest::default()
        },
        user: None,
        cache_control: None,
        service_tier,
        extra,
    })
}

/// The name of a model without the collection that Google puts in front of it.
fn plain_model(model: &Text) -> Text {
    model
        .strip_prefix("models/")
        .map_or_else(|| model.clone(), |name| model.slice_ref(name))
}
