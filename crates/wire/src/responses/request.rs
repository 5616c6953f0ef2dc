//! Requests for responses.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::de::IgnoredAny;

use super::{items, rules};
use crate::form::{
    ChatRequest, ContentShape, Extra, MaxTokensName, Message, Part, PartKind, Reasoning, ResponseFormat,
    Role, Sampling, StreamRequest, Text, Tool, ToolChoice, ToolKind,
};
use crate::format::{DecodeError, EncodeError, Format};
use crate::json::Json;
use crate::json::fields::{Fields, Value, parse};
use crate::openai::request::effort_of;

pub use super::encode::encode;

/// Reads a request.
///
/// # Errors
/// When it does not say what the format demands; the field is named.
pub fn decode(body: &Bytes) -> Result<ChatRequest, DecodeError> {
    let body = Text::try_from(body.clone()).map_err(|_| DecodeError::plain("the body is not UTF-8"))?;
    let value = parse(&body)?;
    let mut fields = value.fields()?;
    let model = fields.take("model", |model| model.string())?.unwrap_or_default();
    let mut messages = Vec::new();
    messages.extend(read_prompt(&mut fields)?);
    messages.extend(read_instructions(&mut fields)?);
    // None at all stays as it came: with a template or a conversation there need not be any.
    if fields.peek("input").is_some_and(|input| !is_empty_list(&input)) {
        let input = fields.take("input", |input| items::read_input(&input))?;
        messages.extend(input.unwrap_or_default());
    }
    let tools = fields
        .take("tools", |tools| tools.list(|tool| read_tool(&tool)))?
        .unwrap_or_default();
    let text = fields.peek("text").filter(holds_more);
    let response_format = fields
        .take("text", |text| {
            text.fields()?.take("format", |format| read_format(&format))
        })?
        .flatten();
    let stream = fields.take("stream", |stream| stream.boolean())?;
    let mut request = ChatRequest {
        format: Format::OpenAiResponses,
        model,
        messages,
        tools,
        tool_choice: fields.take("tool_choice", |choice| read_tool_choice(&choice))?,
        parallel_tool_calls: fields.take("parallel_tool_calls", |value| value.boolean())?,
        sampling: read_sampling(&mut fields)?,
        reasoning: fields.take("reasoning", |reasoning| read_reasoning(&reasoning))?,
        response_format,
        stream: StreamRequest {
            enabled: stream.unwrap_or(false),
            explicit: stream.is_some(),
            // The last event always tells usage.
            include_usage: true,
            options: fields.take("stream_options", |options| Ok(options.json()))?,
        },
        user: fields.take("user", |user| user.string())?,
        cache_control: None,
        service_tier: fields.take("service_tier", |tier| tier.string())?,
        extra: fields.rest(),
    };
    if let Some(text) = text {
        request.extra.set("text", text);
    }
    Ok(request)
}

/// `instructions`, as a leading message that has no content field of its own: so it is told from those in `input`.
fn read_instructions(fields: &mut Fields<'_>) -> Result<Option<Message>, DecodeError> {
    // A list of items stands there in answers only; it stays as it came.
    let is_text = fields
        .peek("instructions")
        .is_some_and(|json| json.as_str().starts_with('"'));
    if !is_text {
        return Ok(None);
    }
    let text = fields.take("instructions", |text| text.string())?;
    Ok(text.map(|text| Message {
        shape: ContentShape::Absent,
        ..Message::text(Role::System, text)
    }))
}

fn is_empty_list(json: &Json) -> bool {
    json.read::<Vec<IgnoredAny>>().is_ok_and(|list| list.is_empty())
}

/// Whether `text` says more than the form knows.
fn holds_more(text: &Json) -> bool {
    let fields: BTreeMap<String, Json> = text.read().unwrap_or_default();
    let Some(format) = fields.get("format").filter(|_| fields.len() == 1) else {
        return true;
    };
    let format: BTreeMap<String, Json> = format.read().unwrap_or_default();
    let plain = format
        .get("type")
        .is_some_and(|kind| kind.as_str() != r#""json_schema""#);
    plain && format.len() != 1
}

/// `prompt`, a template that the provider keeps, as a message that only this format knows: its variables are texts, too.
fn read_prompt(fields: &mut Fields<'_>) -> Result<Option<Message>, DecodeError> {
    let prompt = fields.take("prompt", |prompt| Ok(prompt.json()))?;
    Ok(prompt.map(|json| Message {
        role: Role::User,
        parts: vec![Part::new(PartKind::Opaque {
            format: Format::OpenAiResponses,
            kind: Text::from_static("prompt"),
            json,
        })],
        shape: ContentShape::Absent,
        name: None,
        extra: Extra::default(),
    }))
}

/// Refuses what refers to something that the provider of another format does not have: without it, the request would
/// mean something else.
pub(crate) fn must_stand_alone(request: &ChatRequest) -> Result<(), EncodeError> {
    if request.format != Format::OpenAiResponses {
        return Ok(());
    }
    let told = |name: &str| {
        let json = request.extra.get(name);
        json.is_some_and(|json| !matches!(json.as_str(), "null" | "false"))
    };
    match rules::REFERRING.iter().find(|rule| told(rule.field)) {
        Some(rule) => Err(rule.refuse()),
        None => Ok(()),
    }
}

fn read_sampling(fields: &mut Fields<'_>) -> Result<Sampling, DecodeError> {
    let top_logprobs = fields.take("top_logprobs", |value| value.count())?;
    let include = fields.peek("include");
    let logprobs = include.is_some_and(|include| include.as_str().contains("message.output_text.logprobs"));
    Ok(Sampling {
        max_tokens: fields.take("max_output_tokens", |value| value.count())?,
        max_tokens_name: MaxTokensName::MaxCompletionTokens,
        temperature: fields.take("temperature", |value| value.number())?,
        top_p: fields.take("top_p", |value| value.number())?,
        logprobs: logprobs.then_some(true),
        top_logprobs,
        ..Sampling::default()
    })
}

fn read_reasoning(value: &Value<'_>) -> Result<Reasoning, DecodeError> {
    let mut fields = value.fields()?;
    let effort = fields.take("effort", |effort| {
        let name = effort.string()?;
        effort_of(&name).ok_or_else(|| effort.error(format!("unknown effort {name:?}")))
    })?;
    let summary = fields.take("summary", |summary| summary.string())?;
    // Its older name.
    let summary = summary.or(fields.take("generate_summary", |summary| summary.string())?);
    Ok(Reasoning {
        // Who wants to read the reasoning wants it to happen.
        enabled: summary.filter(|summary| summary != "none").map(|_| true),
        budget_tokens: None,
        effort,
        native: Some(value.json()),
    })
}

fn read_tool(value: &Value<'_>) -> Result<Tool, DecodeError> {
    let mut fields = value.fields()?;
    let kind = fields.need("type", |kind| kind.string())?;
    if kind != "function" {
        let kind = ToolKind::Opaque {
            format: Format::OpenAiResponses,
            kind,
            json: value.json(),
        };
        return Ok(Tool {
            kind,
            cache_control: None,
            extra: Extra::default(),
        });
    }
    // SDKs send these fields also where they say nothing.
    let parameters = fields.take_nullable("parameters", |schema| Ok(schema.json()))?;
    let strict = fields.take_nullable("strict", |strict| strict.boolean())?;
    let mut unsaid = Extra::default();
    if parameters == Some(None) {
        unsaid.set("parameters", Json::null());
    }
    if strict == Some(None) {
        unsaid.set("strict", Json::null());
    }
    Ok(Tool {
        kind: ToolKind::Function {
            name: fields.need("name", |name| name.string())?,
            description: fields.take("description", |text| text.string())?,
            parameters: parameters.flatten(),
            strict: strict.flatten(),
            extra: unsaid,
        },
        cache_control: None,
        extra: fields.rest(),
    })
}

fn read_tool_choice(value: &Value<'_>) -> Result<ToolChoice, DecodeError> {
    if value.is_string() {
        return match value.said()?.as_ref() {
            "auto" => Ok(ToolChoice::Auto),
            "none" => Ok(ToolChoice::None),
            "required" => Ok(ToolChoice::Required),
            other => Err(value.error(format!(
                "unknown tool_choice {other:?}; use auto, none, required or a function"
            ))),
        };
    }
    let mut fields = value.fields()?;
    if fields.take("type", |kind| kind.string())?.as_deref() == Some("function") {
        return Ok(ToolChoice::Function(fields.need("name", |name| name.string())?));
    }
    Ok(ToolChoice::Opaque {
        format: Format::OpenAiResponses,
        json: value.json(),
    })
}

fn read_format(value: &Value<'_>) -> Result<ResponseFormat, DecodeError> {
    let mut fields = value.fields()?;
    match fields.need("type", |kind| kind.string())?.as_ref() {
        "text" => Ok(ResponseFormat::Text),
        "json_object" => Ok(ResponseFormat::JsonObject),
        "json_schema" => Ok(ResponseFormat::JsonSchema {
            name: fields.take("name", |name| name.string())?,
            description: fields.take("description", |text| text.string())?,
            schema: fields.need("schema", |schema| Ok(schema.json()))?,
            strict: fields.take("strict", |strict| strict.boolean())?,
            extra: fields.rest(),
        }),
        _ => Ok(ResponseFormat::Opaque {
            format: Format::OpenAiResponses,
            json: value.json(),
        }),
    }
}
