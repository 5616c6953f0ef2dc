//! Requests of Converse and ConverseStream. Which model, and whether to stream, is set by whoever knows the path.

use bytes::Bytes;

use super::{blocks, kept, reasoning, tools};
use crate::form::{
    ChatRequest, ContentShape, Extra, MaxTokensName, Message, Reasoning, ResponseFormat, Role, Sampling,
    StreamRequest, Text,
};
use crate::format::{DecodeError, Format};
use crate::json::Json;
use crate::json::fields::{Fields, Value, parse};

pub use super::encode::encode;

/// The objects whose fields the form has at the top.
pub(super) const INNER: [&str; 5] = [
    "inferenceConfig",
    "toolConfig",
    "additionalModelRequestFields",
    "outputConfig",
    "serviceTier",
];

/// Reads a request.
///
/// # Errors
/// When it does not say what the format demands; the field is named.
pub fn decode(body: &Bytes) -> Result<ChatRequest, DecodeError> {
    let body = Text::try_from(body.clone()).map_err(|_| DecodeError::plain("the body is not UTF-8"))?;
    let value = parse(&body)?;
    let mut fields = value.fields()?;
    let mut extra = Extra::default();
    let mut messages = Vec::new();
    if let Some(parts) = fields.take("system", |system| blocks::read_content(&system))? {
        messages.push(Message {
            role: Role::System,
            parts,
            shape: ContentShape::Parts,
            name: None,
            extra: Extra::default(),
        });
    }
    messages.extend(fields.need("messages", |messages| {
        messages.list(|message| read_message(&message))
    })?);
    let mut sampling = read_sampling(&mut fields, &mut extra)?;
    let (tools, tool_choice) = tools::read(&mut fields, &mut extra)?;
    let mut native = Extra::default();
    read_model_fields(&mut fields, &mut sampling, &mut native, &mut extra)?;
    let response_format = read_output(&mut fields, &mut native, &mut extra)?;
    let service_tier = read_tier(&mut fields, &mut extra)?;
    extra.0.extend(fields.rest().0);
    Ok(ChatRequest {
        format: Format::BedrockConverse,
        model: Text::new(),
        messages,
        tools,
        tool_choice,
        parallel_tool_calls: None,
        sampling,
        reasoning: read_reasoning(&native),
        response_format,
        stream: StreamRequest {
            enabled: false,
            explicit: false,
            // Bedrock's streams always tell usage.
            include_usage: true,
            options: None,
        },
        user: None,
        cache_control: None,
        service_tier,
        extra,
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
    Ok(Message {
        role,
        parts: fields.need("content", |content| blocks::read_content(&content))?,
        shape: ContentShape::Parts,
        name: None,
        extra: fields.rest(),
    })
}

fn read_sampling(fields: &mut Fields<'_>, extra: &mut Extra) -> Result<Sampling, DecodeError> {
    let sampling = fields.take("inferenceConfig", |config| {
        let mut fields = config.fields()?;
        let sampling = Sampling {
            max_tokens: fields.take("maxTokens", |value| value.count())?,
            max_tokens_name: MaxTokensName::MaxTokens,
            temperature: fields.take("temperature", |value| value.number())?,
            top_p: fields.take("topP", |value| value.number())?,
            stop: fields
                .take("stopSequences", |stop| stop.list(|item| item.string()))?
                .unwrap_or_default(),
            ..Sampling::default()
        };
        let taken = sampling != Sampling::default();
        kept::keep(extra, "inferenceConfig", fields, taken);
        Ok(sampling)
    })?;
    Ok(sampling.unwrap_or_default())
}

/// What the model alone understands: the form knows of it how much to think, and `top_k`.
fn read_model_fields(
    fields: &mut Fields<'_>,
    sampling: &mut Sampling,
    native: &mut Extra,
    extra: &mut Extra,
) -> Result<(), DecodeError> {
    const NAME: &str = "additionalModelRequestFields";
    fields.take(NAME, |value| {
        if !value.is_object() {
            extra.set(NAME, value.json());
            return Ok(());
        }
        let mut fields = value.fields()?;
        if let Some(Ok(top_k)) = fields.peek("top_k").map(|json| json.read()) {
            sampling.top_k = Some(top_k);
            fields.take("top_k", |_| Ok(()))?;
        }
        for name in reasoning::FIELDS {
            if let Some(json) = fields.take(name, |field| Ok(field.json()))? {
                native.set(name, json);
            }
        }
        let taken = sampling.top_k.is_some() || !native.is_empty();
        kept::keep(extra, NAME, fields, taken);
        Ok(())
    })?;
    Ok(())
}

fn read_output(
    fields: &mut Fields<'_>,
    native: &mut Extra,
    extra: &mut Extra,
) -> Result<Option<ResponseFormat>, DecodeError> {
    let format = fields.take("outputConfig", |config| {
        let mut fields = config.fields()?;
        let mut left = Extra::default();
        let format = fields.take("textFormat", |format| read_format(&format, &mut left))?;
        let effort = fields.take("effort", |effort| Ok(effort.json()))?;
        let taken = format.is_some() || effort.is_some();
        if let Some(effort) = effort {
            native.set(reasoning::OUTPUT_EFFORT, effort);
        }
        left.0.extend(fields.rest().0);
        kept::keep_extra(extra, "outputConfig", &left, taken);
        Ok(format)
    })?;
    Ok(format.flatten())
}

fn read_format(value: &Value<'_>, left: &mut Extra) -> Result<ResponseFormat, DecodeError> {
    let opaque = || ResponseFormat::Opaque {
        format: Format::BedrockConverse,
        json: value.json(),
    };
    let mut fields = value.fields()?;
    if fields.take("type", |kind| kind.string())?.as_deref() != Some("json_schema") {
        return Ok(opaque());
    }
    let mut inner = Extra::default();
    let schema = fields.take("structure", |structure| {
        let mut structure = structure.fields()?;
        let mut innermost = Extra::default();
        let schema = structure.take("jsonSchema", |schema| read_schema(&schema, &mut innermost))?;
        innermost.0.extend(structure.rest().0);
        kept::keep_extra(&mut inner, "structure", &innermost, true);
        Ok(schema)
    })?;
    let Some(schema) = schema.flatten() else {
        return Ok(opaque());
    };
    inner.0.extend(fields.rest().0);
    kept::keep_extra(left, "textFormat", &inner, true);
    Ok(schema)
}

/// The schema stands in a string.
fn read_schema(value: &Value<'_>, left: &mut Extra) -> Result<ResponseFormat, DecodeError> {
    let mut fields = value.fields()?;
    let schema = fields.need("schema", |schema| {
        let text = schema.string()?;
        Json::parse(text.to_string())
            .map_err(|error| schema.error(format!("the schema is not valid JSON: {error}")))
    })?;
    let name = fields.take("name", |name| name.string())?;
    let description = fields.take("description", |text| text.string())?;
    kept::keep(left, "jsonSchema", fields, true);
    Ok(ResponseFormat::JsonSchema {
        name,
        description,
        schema,
        strict: None,
        extra: Extra::default(),
    })
}

fn read_tier(fields: &mut Fields<'_>, extra: &mut Extra) -> Result<Option<Text>, DecodeError> {
    let tier = fields.take("serviceTier", |tier| {
        let mut fields = tier.fields()?;
        let tier = fields.take("type", |kind| kind.string())?;
        kept::keep(extra, "serviceTier", fields, tier.is_some());
        Ok(tier)
    })?;
    Ok(tier.flatten())
}

fn read_reasoning(native: &Extra) -> Option<Reasoning> {
    if native.is_empty() {
        return None;
    }
    Some(reasoning::read(native))
}
