//! Messages requests.

use bytes::Bytes;

use super::blocks;
use crate::form::{
    ChatRequest, Extra, MaxTokensName, Message, Reasoning, ResponseFormat, Role, Sampling, StreamRequest,
    Text, Tool, ToolChoice, ToolKind,
};
use crate::format::{DecodeError, Format};
use crate::json::Json;
use crate::json::fields::{Fields, Value, parse};
use crate::openai::request::effort_of;

pub use super::encode::{encode, encode_enveloped, thinking_budget};
/// Reads a request.
///
/// # Errors
/// When it does not say what the format demands; the field is named.
pub fn decode(body: &Bytes) -> Result<ChatRequest, DecodeError> {
    limited(decode_without_limit(body)?)
}

/// Reads a request in Bedrock's envelope: the model and whether to stream stand in the path.
///
/// # Errors
/// As [`decode`].
pub fn decode_enveloped(body: &Bytes) -> Result<ChatRequest, DecodeError> {
    limited(read(body, Format::BedrockInvoke)?)
}

fn limited(request: ChatRequest) -> Result<ChatRequest, DecodeError> {
    if request.sampling.max_tokens.is_none() {
        return Err(DecodeError {
            message: "max_tokens is missing".to_owned(),
            param: Some("max_tokens".to_owned()),
        });
    }
    Ok(request)
}

/// Reads a request that need not have `max_tokens` (token counting).
///
/// # Errors
/// As [`decode`].
pub fn decode_without_limit(body: &Bytes) -> Result<ChatRequest, DecodeError> {
    read(body, Format::AnthropicMessages)
}

fn read(body: &Bytes, format: Format) -> Result<ChatRequest, DecodeError> {
    let body = Text::try_from(body.clone()).map_err(|_| DecodeError::plain("the body is not UTF-8"))?;
    let value = parse(&body)?;
    let mut fields = value.fields()?;
    let model = if format == Format::BedrockInvoke {
        Text::new()
    } else {
        fields.need("model", |model| model.string())?
    };
    let mut messages = Vec::new();
    if let Some(system) = fields.take("system", |system| read_system(&system))? {
        messages.push(system);
    }
    messages.extend(fields.need("messages", |messages| {
        messages.list(|message| read_message(&message))
    })?);
    let sampling = read_sampling(&mut fields)?;
    let tools = fields
        .take("tools", |tools| tools.list(|tool| read_tool(&tool)))?
        .unwrap_or_default();
    let (tool_choice, parallel_tool_calls) = read_tool_choice(&mut fields)?;
    let stream = fields.take("stream", |stream| stream.boolean())?;
    // What these objects hold beyond what the form knows is kept whole.
    let metadata = kept(&fields, "metadata", &["user_id"]);
    let config = kept(&fields, "output_config", &["effort", "format"]);
    let (reasoning, response_format) = read_output(&mut fields)?;
    let user = read_user(&mut fields)?;
    let cache_control = fields.take("cache_control", |control| blocks::read_cache_control(&control))?;
    let service_tier = fields.take("service_tier", |tier| tier.string())?;
    let mut extra = fields.rest();
    for (name, json) in [("metadata", metadata), ("output_config", config)] {
        if let Some(json) = json {
            extra.set(name, json);
        }
    }
    Ok(ChatRequest {
        format,
        model,
        messages,
        tools,
        tool_choice,
        parallel_tool_calls,
        sampling,
        reasoning,
        response_format,
        stream: StreamRequest {
            enabled: stream.unwrap_or(false),
            explicit: stream.is_some(),
            // Anthropic's streams always tell usage.
            include_usage: true,
            options: None,
        },
        user,
        cache_control,
        service_tier,
        extra,
    })
}

/// The object at `name`, if it holds more than `known`.
fn kept(fields: &Fields<'_>, name: &str, known: &[&str]) -> Option<Json> {
    let json = fields.peek(name)?;
    let keys: std::collections::BTreeMap<String, serde::de::IgnoredAny> = json.read().ok()?;
    keys.keys()
        .any(|key| !known.contains(&key.as_str()))
        .then_some(json)
}

fn read_system(value: &Value<'_>) -> Result<Message, DecodeError> {
    let (parts, shape) = blocks::read_content(value)?;
    Ok(Message {
        role: Role::System,
        parts,
        shape,
        name: None,
        extra: Extra::default(),
    })
}

fn read_message(value: &Value<'_>) -> Result<Message, DecodeError> {
    let mut fields = value.fields()?;
    let role = fields.need("role", |role| match role.said()?.as_ref() {
        "user" => Ok(Role::User),
        "assistant" => Ok(Role::Assistant),
        // Instructions in the middle; `Developer` tells them from the top-level ones.
        "system" => Ok(Role::Developer),
        other => Err(role.error(format!("unknown role {other:?}; use user, assistant or system"))),
    })?;
    let (parts, shape) = fields.need("content", |content| blocks::read_content(&content))?;
    Ok(Message {
        role,
        parts,
        shape,
        name: None,
        extra: fields.rest(),
    })
}

fn read_sampling(fields: &mut Fields<'_>) -> Result<Sampling, DecodeError> {
    Ok(Sampling {
        max_tokens: fields.take("max_tokens", |value| value.count())?,
        max_tokens_name: MaxTokensName::MaxTokens,
        temperature: fields.take("temperature", |value| value.number())?,
        top_p: fields.take("top_p", |value| value.number())?,
        top_k: fields.take("top_k", |value| value.count())?,
        stop: fields
            .take("stop_sequences", |stop| stop.list(|item| item.string()))?
            .unwrap_or_default(),
        ..Sampling::default()
    })
}

fn read_tool(value: &Value<'_>) -> Result<Tool, DecodeError> {
    let mut fields = value.fields()?;
    let kind = fields.take("type", |kind| kind.string())?;
    if let Some(kind) = kind.as_ref().filter(|kind| **kind != "custom") {
        let kind = ToolKind::Opaque {
            format: Format::AnthropicMessages,
            kind: kind.clone(),
            json: value.json(),
        };
        return Ok(Tool {
            kind,
            cache_control: None,
            extra: Extra::default(),
        });
    }
    let mut extra = Extra::default();
    if kind.is_some() {
        extra.set("type", Json::of("custom").unwrap_or_else(|_| Json::null()));
    }
    let kind = ToolKind::Function {
        name: fields.need("name", |name| name.string())?,
        description: fields.take("description", |text| text.string())?,
        parameters: Some(fields.need("input_schema", |schema| Ok(schema.json()))?),
        strict: fields.take("strict", |strict| strict.boolean())?,
        extra,
    };
    let cache_control = fields.take("cache_control", |control| blocks::read_cache_control(&control))?;
    Ok(Tool {
        kind,
        cache_control,
        extra: fields.rest(),
    })
}

fn read_tool_choice(fields: &mut Fields<'_>) -> Result<(Option<ToolChoice>, Option<bool>), DecodeError> {
    let mut parallel = None;
    let choice = fields.take("tool_choice", |value| {
        let mut fields = value.fields()?;
        let kind = fields.need("type", |kind| kind.string())?;
        parallel = fields
            .take("disable_parallel_tool_use", |value| value.boolean())?
            .map(|disabled| !disabled);
        Ok(match kind.as_ref() {
            "auto" => ToolChoice::Auto,
            "none" => ToolChoice::None,
            "any" => ToolChoice::Required,
            "tool" => ToolChoice::Function(fields.need("name", |name| name.string())?),
            _ => ToolChoice::Opaque {
                format: Format::AnthropicMessages,
                json: value.json(),
            },
        })
    })?;
    Ok((choice, parallel))
}

/// `thinking`, and what `output_config` says of effort and format.
fn read_output(fields: &mut Fields<'_>) -> Result<(Option<Reasoning>, Option<ResponseFormat>), DecodeError> {
    let mut reasoning = fields.take("thinking", |thinking| {
        let native = thinking.json();
        let mut fields = thinking.fields()?;
        let kind = fields.need("type", |kind| kind.string())?;
        Ok(Reasoning {
            enabled: Some(kind != "disabled"),
            budget_tokens: fields.take("budget_tokens", |budget| budget.count())?,
            effort: None,
            native: Some(native),
        })
    })?;
    let mut format = None;
    fields.take("output_config", |config| {
        let mut fields = config.fields()?;
        let effort = fields.take("effort", |effort| {
            let name = effort.string()?;
            effort_of(&name).ok_or_else(|| effort.error(format!("unknown effort {name:?}")))
        })?;
        if let Some(effort) = effort {
            let unsaid = Reasoning {
                enabled: None,
                budget_tokens: None,
                effort: None,
                native: None,
            };
            reasoning.get_or_insert(unsaid).effort = Some(effort);
        }
        format = fields.take("format", |format| read_format(&format))?;
        Ok(())
    })?;
    // Its older name.
    if format.is_none() {
        format = fields.take("output_format", |format| read_format(&format))?;
    }
    Ok((reasoning, format))
}

fn read_format(value: &Value<'_>) -> Result<ResponseFormat, DecodeError> {
    let mut fields = value.fields()?;
    if fields.need("type", |kind| kind.string())? != "json_schema" {
        return Ok(ResponseFormat::Opaque {
            format: Format::AnthropicMessages,
            json: value.json(),
        });
    }
    Ok(ResponseFormat::JsonSchema {
        name: None,
        description: None,
        schema: fields.need("schema", |schema| Ok(schema.json()))?,
        strict: None,
        extra: fields.rest(),
    })
}

fn read_user(fields: &mut Fields<'_>) -> Result<Option<Text>, DecodeError> {
    let user = fields.take("metadata", |metadata| {
        metadata.fields()?.take("user_id", |user| user.string())
    })?;
    Ok(user.flatten())
}
