//! Chat completion requests.

use bytes::Bytes;

use super::{parts, thinking};
use crate::form::{
    Audio, ChatRequest, ContentShape, MaxTokensName, Message, Part, PartKind, Reasoning, ReasoningEffort,
    ResponseFormat, Role, Sampling, StreamRequest, Text, Thinking, Tool, ToolChoice, ToolKind, ToolResult,
};
use crate::format::{DecodeError, Format};
use crate::json::fields::{Fields, Value, parse};

pub use super::encode::encode;
pub use super::encode::{effort_nearest, write_sampling, write_stream};
pub use super::parts::{read_cache_control, write_cache_control};

/// Reads a request.
///
/// # Errors
/// When it does not say what the format demands; the field is named.
pub fn decode(body: &Bytes) -> Result<ChatRequest, DecodeError> {
    let body = Text::try_from(body.clone()).map_err(|_| DecodeError::plain("the body is not UTF-8"))?;
    let value = parse(&body)?;
    let mut fields = value.fields()?;
    let model = fields.need("model", |model| model.string())?;
    let messages = fields.need("messages", |messages| {
        messages.list(|message| read_message(&message))
    })?;
    let sampling = read_sampling(&mut fields)?;
    let tools = fields
        .take("tools", |tools| tools.list(|tool| read_tool(&tool)))?
        .unwrap_or_default();
    Ok(ChatRequest {
        format: Format::OpenAiChat,
        model,
        messages,
        tools,
        tool_choice: fields.take("tool_choice", |choice| read_tool_choice(&choice))?,
        parallel_tool_calls: fields.take("parallel_tool_calls", |value| value.boolean())?,
        sampling,
        reasoning: fields.take("reasoning_effort", |effort| read_effort(&effort))?,
        response_format: fields.take("response_format", |format| read_response_format(&format))?,
        stream: read_stream(&mut fields)?,
        user: fields.take("user", |user| user.string())?,
        cache_control: None,
        service_tier: fields.take("service_tier", |tier| tier.string())?,
        extra: fields.rest(),
    })
}

/// Reads the parameters that chat completions and completions share.
pub fn read_sampling(fields: &mut Fields<'_>) -> Result<Sampling, DecodeError> {
    let count = |value: Value<'_>| value.count();
    let number = |value: Value<'_>| value.number();
    let newer = fields.take("max_completion_tokens", count)?;
    let older = fields.take("max_tokens", count)?;
    let max_tokens_name = if newer.is_some() {
        MaxTokensName::MaxCompletionTokens
    } else {
        MaxTokensName::MaxTokens
    };
    let mut stop_is_string = false;
    let stop = fields.take("stop", |stop| {
        if stop.is_string() {
            stop_is_string = true;
            return Ok(vec![stop.string()?]);
        }
        stop.list(|item| item.string())
    })?;
    Ok(Sampling {
        max_tokens: newer.or(older),
        max_tokens_name,
        temperature: fields.take("temperature", number)?,
        top_p: fields.take("top_p", number)?,
        top_k: fields.take("top_k", count)?,
        frequency_penalty: fields.take("frequency_penalty", number)?,
        presence_penalty: fields.take("presence_penalty", number)?,
        seed: fields.take("seed", |seed| seed.integer())?,
        stop: stop.unwrap_or_default(),
        stop_is_string,
        n: fields.take("n", count)?,
        logprobs: fields.take("logprobs", |value| value.boolean())?,
        top_logprobs: fields.take("top_logprobs", count)?,
        logit_bias: fields.take("logit_bias", |bias| Ok(bias.json()))?,
    })
}

/// Reads `stream` and `stream_options`.
pub fn read_stream(fields: &mut Fields<'_>) -> Result<StreamRequest, DecodeError> {
    let enabled = fields.take("stream", |stream| stream.boolean())?;
    let mut include_usage = false;
    let options = fields.take("stream_options", |options| {
        include_usage = options
            .fields()?
            .take("include_usage", |value| value.boolean())?
            .unwrap_or(false);
        Ok(options.json())
    })?;
    Ok(StreamRequest {
        enabled: enabled.unwrap_or(false),
        explicit: enabled.is_some(),
        include_usage,
        options,
    })
}

fn read_message(value: &Value<'_>) -> Result<Message, DecodeError> {
    let mut fields = value.fields()?;
    let role = fields.need("role", |role| match role.said()?.as_ref() {
        "system" => Ok(Role::System),
        "developer" => Ok(Role::Developer),
        "user" => Ok(Role::User),
        "assistant" => Ok(Role::Assistant),
        "tool" | "function" => Ok(Role::Tool),
        other => Err(role.error(format!(
            "unknown role {other:?}; use system, developer, user, assistant or tool"
        ))),
    })?;
    let content = fields.take_nullable("content", |content| parts::read_content(&content))?;
    let (mut content, shape) = match content {
        Some(Some((parts, shape))) => (parts, shape),
        Some(None) => (Vec::new(), ContentShape::Null),
        None => (Vec::new(), ContentShape::Absent),
    };
    let name = fields.take("name", |name| name.string())?;
    if role == Role::Tool {
        let call_id = fields.take("tool_call_id", |id| id.string())?;
        let call_id = call_id
            .or_else(|| name.clone())
            .ok_or_else(|| value.error("a tool message needs tool_call_id"))?;
        let result = ToolResult {
            call_id,
            content,
            shape,
            is_error: None,
        };
        content = vec![Part::new(PartKind::ToolResult(result))];
    }
    if role == Role::Assistant {
        content = read_assistant(&mut fields, content)?;
    }
    Ok(Message {
        role,
        parts: content,
        shape,
        name,
        extra: fields.rest(),
    })
}

/// What an assistant message has beside its content: reasoning before it, refusal, audio and tool calls after it.
fn read_assistant(fields: &mut Fields<'_>, content: Vec<Part>) -> Result<Vec<Part>, DecodeError> {
    let mut all = Vec::new();
    let blocks = fields.take("thinking_blocks", |blocks| {
        blocks.list(|block| thinking::read_block(&block))
    })?;
    let reasoning = fields.take("reasoning_content", |text| text.string())?;
    if let (None, Some(text)) = (&blocks, &reasoning) {
        all.push(Part::new(PartKind::Thinking(Thinking {
            text: text.clone(),
            signature: None,
        })));
    }
    all.extend(content);
    if let Some(refusal) = fields.take("refusal", |text| text.string())? {
        all.push(Part::new(PartKind::Refusal(refusal)));
    }
    if let Some(id) = fields.take("audio", |audio| audio.fields()?.need("id", |id| id.string()))? {
        let audio = Audio {
            data: Text::new(),
            format: Text::new(),
            id: Some(id),
        };
        all.push(Part::new(PartKind::Audio(audio)));
    }
    let calls = fields.take("tool_calls", |calls| {
        calls.list(|call| parts::read_tool_call(&call))
    })?;
    all.extend(calls.unwrap_or_default());
    Ok(match blocks {
        Some(blocks) => thinking::placed(thinking::whole(blocks, reasoning), all),
        None => all,
    })
}

fn read_tool(value: &Value<'_>) -> Result<Tool, DecodeError> {
    let mut fields = value.fields()?;
    let kind = fields.need("type", |kind| kind.string())?;
    if kind != "function" {
        let kind = ToolKind::Opaque {
            format: Format::OpenAiChat,
            kind,
            json: value.json(),
        };
        return Ok(Tool {
            kind,
            cache_control: None,
            extra: crate::form::Extra::default(),
        });
    }
    let kind = fields.need("function", |function| {
        let mut function = function.fields()?;
        Ok(ToolKind::Function {
            name: function.need("name", |name| name.string())?,
            description: function.take("description", |text| text.string())?,
            parameters: function.take("parameters", |schema| Ok(schema.json()))?,
            strict: function.take("strict", |strict| strict.boolean())?,
            extra: function.rest(),
        })
    })?;
    let cache_control = fields.take("cache_control", |value| read_cache_control(&value))?;
    Ok(Tool {
        kind,
        cache_control,
        extra: fields.rest(),
    })
}

fn read_tool_choice(value: &Value<'_>) -> Result<ToolChoice, DecodeError> {
    if value.is_string() {
        return match value.said()?.as_ref() {
            "auto" => Ok(ToolChoice::Auto),
            "none" => Ok(ToolChoice::None),
            "required" | "any" => Ok(ToolChoice::Required),
            other => Err(value.error(format!(
                "unknown tool_choice {other:?}; use auto, none, required or a function"
            ))),
        };
    }
    let mut fields = value.fields()?;
    let kind = fields.take("type", |kind| kind.string())?;
    if kind.as_deref() == Some("function") {
        let name = fields.need("function", |function| {
            function.fields()?.need("name", |name| name.string())
        })?;
        return Ok(ToolChoice::Function(name));
    }
    Ok(ToolChoice::Opaque {
        format: Format::OpenAiChat,
        json: value.json(),
    })
}

fn read_effort(value: &Value<'_>) -> Result<Reasoning, DecodeError> {
    let name = value.string()?;
    let effort = effort_of(&name).ok_or_else(|| value.error(format!("unknown reasoning_effort {name:?}")))?;
    Ok(Reasoning {
        enabled: None,
        budget_tokens: None,
        effort: Some(effort),
        native: None,
    })
}

/// The effort of a name.
#[must_use]
pub fn effort_of(name: &str) -> Option<ReasoningEffort> {
    Some(match name {
        "none" => ReasoningEffort::None,
        "minimal" => ReasoningEffort::Minimal,
        "low" => ReasoningEffort::Low,
        "medium" => ReasoningEffort::Medium,
        "high" => ReasoningEffort::High,
        "xhigh" => ReasoningEffort::XHigh,
        "max" => ReasoningEffort::Max,
        _ => return None,
    })
}

/// The name of an effort.
#[must_use]
pub fn effort_name(effort: ReasoningEffort) -> &'static str {
    match effort {
        ReasoningEffort::None => "none",
        ReasoningEffort::Minimal => "minimal",
        ReasoningEffort::Low => "low",
        ReasoningEffort::Medium => "medium",
        ReasoningEffort::High => "high",
        ReasoningEffort::XHigh => "xhigh",
        ReasoningEffort::Max => "max",
    }
}

fn read_response_format(value: &Value<'_>) -> Result<ResponseFormat, DecodeError> {
    let mut fields = value.fields()?;
    match fields.need("type", |kind| kind.string())?.as_ref() {
        "text" => Ok(ResponseFormat::Text),
        "json_object" => Ok(ResponseFormat::JsonObject),
        "json_schema" => fields.need("json_schema", |schema| {
            let mut schema = schema.fields()?;
            Ok(ResponseFormat::JsonSchema {
                name: schema.take("name", |name| name.string())?,
                description: schema.take("description", |text| text.string())?,
                schema: schema.need("schema", |schema| Ok(schema.json()))?,
                strict: schema.take("strict", |strict| strict.boolean())?,
                extra: schema.rest(),
            })
        }),
        _ => Ok(ResponseFormat::Opaque {
            format: Format::OpenAiChat,
            json: value.json(),
        }),
    }
}
