//! Chat requests.

use bytes::Bytes;

use super::{documents, parts};
use crate::form::{
    ChatRequest, ContentShape, Extra, Message, Part, PartKind, Reasoning, ResponseFormat, Role, Sampling,
    StreamRequest, Text, Tool, ToolChoice, ToolKind, ToolResult,
};
use crate::format::{DecodeError, Format};
use crate::json::Json;
use crate::json::fields::{Fields, Value, parse};
use crate::openai::parts::read_tool_call;

pub use super::encode::encode;

/// Under this name a schema that came as `schema` instead of `json_schema` is kept.
pub(super) const OLD_SCHEMA: &str = "schema";

/// Reads a request.
///
/// # Errors
/// When it does not say what the format demands; the field is named.
pub fn decode(body: &Bytes) -> Result<ChatRequest, DecodeError> {
    let body = Text::try_from(body.clone()).map_err(|_| DecodeError::plain("the body is not UTF-8"))?;
    let value = parse(&body)?;
    let mut fields = value.fields()?;
    let model = fields.need("model", |model| model.string())?;
    let mut messages = fields.need("messages", |messages| {
        messages.list(|message| read_message(&message))
    })?;
    read_documents(&mut fields, &mut messages)?;
    let tools = read_tools(&mut fields)?;
    let sampling = read_sampling(&mut fields)?;
    let stream = fields.take("stream", |stream| stream.boolean())?;
    Ok(ChatRequest {
        format: Format::CohereChat,
        model,
        messages,
        tools,
        tool_choice: fields.take("tool_choice", |choice| read_tool_choice(&choice))?,
        parallel_tool_calls: None,
        sampling,
        reasoning: fields.take("thinking", |thinking| read_thinking(&thinking))?,
        response_format: fields.take("response_format", |format| read_response_format(&format))?,
        stream: StreamRequest {
            enabled: stream.unwrap_or(false),
            explicit: stream.is_some(),
            // The last event always tells usage.
            include_usage: true,
            options: None,
        },
        user: None,
        cache_control: None,
        service_tier: None,
        extra: fields.rest(),
    })
}

/// The value `true`.
pub(super) fn truth() -> Json {
    Json::of(&true).unwrap_or_else(|_| Json::null())
}

/// `documents`, in front of the last user's message: what they are to answer.
fn read_documents(fields: &mut Fields<'_>, messages: &mut Vec<Message>) -> Result<(), DecodeError> {
    if is_empty_list(fields, "documents") {
        return Ok(());
    }
    let mode = fields.peek("citation_options");
    let cited =
        mode.is_none_or(|mode| !mode.as_str().contains("\"OFF\"") && !mode.as_str().contains("\"DISABLED\""));
    let documents = fields.take("documents", |documents| {
        documents.list(|document| documents::read(&document, cited))
    })?;
    if let Some(documents) = documents {
        let last = messages.iter().rposition(|message| message.role == Role::User);
        messages.insert(last.unwrap_or(0), documents::message(documents));
    }
    Ok(())
}

/// Whether a list is there and empty: then it stays as it came.
fn is_empty_list(fields: &Fields<'_>, name: &str) -> bool {
    let empty = |json: &Json| {
        json.read::<Vec<serde::de::IgnoredAny>>()
            .is_ok_and(|list| list.is_empty())
    };
    fields.peek(name).as_ref().is_some_and(empty)
}

fn read_message(value: &Value<'_>) -> Result<Message, DecodeError> {
    let mut fields = value.fields()?;
    let role = fields.need("role", |role| match role.said()?.as_ref() {
        "system" => Ok(Role::System),
        "user" => Ok(Role::User),
        "assistant" => Ok(Role::Assistant),
        "tool" => Ok(Role::Tool),
        other => Err(role.error(format!(
            "unknown role {other:?}; use system, user, assistant or tool"
        ))),
    })?;
    let content = fields.take_nullable("content", |content| parts::read_content(&content, role))?;
    let (content, shape) = match content {
        Some(Some((parts, shape))) => (parts, shape),
        Some(None) => (Vec::new(), ContentShape::Null),
        None => (Vec::new(), ContentShape::Absent),
    };
    let all = match role {
        Role::Assistant => read_said(&mut fields, content)?,
        Role::Tool => {
            let result = ToolResult {
                call_id: fields.need("tool_call_id", |id| id.string())?,
                content,
                shape,
                is_error: None,
            };
            vec![Part::new(PartKind::ToolResult(result))]
        }
        _ if shape == ContentShape::Parts || shape == ContentShape::Text => content,
        _ => return Err(value.error("a message needs content")),
    };
    Ok(Message {
        role,
        parts: all,
        shape,
        name: None,
        extra: fields.rest(),
    })
}

/// What an assistant's message has beside its content: the plan, which follows its thoughts, and the calls after it.
pub(super) fn read_said(fields: &mut Fields<'_>, content: Vec<Part>) -> Result<Vec<Part>, DecodeError> {
    let mut all = content;
    if let Some(plan) = fields.take("tool_plan", |plan| plan.string())? {
        let thinks = |part: &&Part| matches!(part.kind, PartKind::Thinking(_));
        all.insert(all.iter().take_while(thinks).count(), parts::plan(plan));
    }
    if !is_empty_list(fields, "tool_calls") {
        let calls = fields.take("tool_calls", |calls| calls.list(|call| read_tool_call(&call)))?;
        all.extend(calls.unwrap_or_default());
    }
    Ok(all)
}

fn read_tools(fields: &mut Fields<'_>) -> Result<Vec<Tool>, DecodeError> {
    if is_empty_list(fields, "tools") {
        return Ok(Vec::new());
    }
    // It binds every tool, and stands at each.
    let strict = fields
        .peek("strict_tools")
        .and_then(|json| json.read::<bool>().ok());
    let tools = fields.take("tools", |tools| tools.list(|tool| read_tool(&tool, strict)))?;
    let tools = tools.unwrap_or_default();
    if strict.is_some()
        && tools
            .iter()
            .any(|tool| matches!(tool.kind, ToolKind::Function { .. }))
    {
        let _ = fields.take("strict_tools", |_| Ok(()))?;
    }
    Ok(tools)
}

fn read_tool(value: &Value<'_>, strict: Option<bool>) -> Result<Tool, DecodeError> {
    let mut fields = value.fields()?;
    let kind = fields.need("type", |kind| kind.string())?;
    if kind != "function" {
        let kind = ToolKind::Opaque {
            format: Format::CohereChat,
            kind,
            json: value.json(),
        };
        return Ok(Tool {
            kind,
            cache_control: None,
            extra: Extra::default(),
        });
    }
    let kind = fields.need("function", |function| {
        let mut function = function.fields()?;
        Ok(ToolKind::Function {
            name: function.need("name", |name| name.string())?,
            description: function.take("description", |text| text.string())?,
            parameters: function.take("parameters", |schema| Ok(schema.json()))?,
            strict,
            extra: function.rest(),
        })
    })?;
    Ok(Tool {
        kind,
        cache_control: None,
        extra: fields.rest(),
    })
}

fn read_tool_choice(value: &Value<'_>) -> Result<ToolChoice, DecodeError> {
    match value.said()?.as_ref() {
        "REQUIRED" => Ok(ToolChoice::Required),
        "NONE" => Ok(ToolChoice::None),
        other => Err(value.error(format!(
            "unknown tool_choice {other:?}; use REQUIRED or NONE, or leave it out"
        ))),
    }
}

fn read_sampling(fields: &mut Fields<'_>) -> Result<Sampling, DecodeError> {
    let number = |value: Value<'_>| value.number();
    let is = |fields: &Fields<'_>, name: &str, what: &str| {
        fields.peek(name).is_some_and(|json| json.as_str() == what)
    };
    let top_k = if is(fields, "k", "0") {
        // Not a choice of none, but no choice at all: other formats say so by leaving it out.
        None
    } else {
        fields.take("k", |value| value.count())?
    };
    let stop = if is_empty_list(fields, "stop_sequences") {
        None
    } else {
        fields.take("stop_sequences", |stop| stop.list(|item| item.string()))?
    };
    // Cohere's seeds go beyond the form's: those stay as they came.
    let seed = fields.peek("seed").and_then(|json| json.read::<i64>().ok());
    if seed.is_some() {
        let _ = fields.take("seed", |_| Ok(()))?;
    }
    Ok(Sampling {
        max_tokens: fields.take("max_tokens", |value| value.count())?,
        temperature: fields.take("temperature", number)?,
        top_p: fields.take("p", number)?,
        top_k,
        frequency_penalty: fields.take("frequency_penalty", number)?,
        presence_penalty: fields.take("presence_penalty", number)?,
        seed,
        stop: stop.unwrap_or_default(),
        logprobs: fields.take("logprobs", |value| value.boolean())?,
        ..Sampling::default()
    })
}

fn read_thinking(value: &Value<'_>) -> Result<Reasoning, DecodeError> {
    let mut fields = value.fields()?;
    let kind = fields.take("type", |kind| kind.string())?;
    Ok(Reasoning {
        enabled: Some(kind.as_deref() != Some("disabled")),
        budget_tokens: fields.take("token_budget", |budget| budget.count())?,
        effort: None,
        native: Some(value.json()),
    })
}

fn read_response_format(value: &Value<'_>) -> Result<ResponseFormat, DecodeError> {
    let mut fields = value.fields()?;
    let kind = fields.need("type", |kind| kind.string())?;
    let schema = fields.take("json_schema", |schema| Ok(schema.json()))?;
    let older = fields.peek(OLD_SCHEMA).filter(|json| json.as_str() != "null");
    let schema = schema.or(older);
    let extra = fields.rest();
    match (kind.as_ref(), schema) {
        ("json_object", Some(schema)) => Ok(ResponseFormat::JsonSchema {
            name: None,
            description: None,
            schema,
            // Cohere's schemas always bind.
            strict: None,
            extra,
        }),
        ("text", None) if extra.is_empty() => Ok(ResponseFormat::Text),
        ("json_object", None) if extra.is_empty() => Ok(ResponseFormat::JsonObject),
        _ => Ok(ResponseFormat::Opaque {
            format: Format::CohereChat,
            json: value.json(),
        }),
    }
}
