//! Messages answers.

use bytes::Bytes;

use super::blocks;
use super::usage::{read_tier, read_usage, write_tier, write_usage};
use crate::form::{ChatResponse, Choice, Extra, FinishReason, PartKind, Text, Usage};
use crate::format::{DecodeError, Format};
use crate::json::fields::parse;
use crate::json::write::{List, object};

/// Reads an answer.
///
/// # Errors
/// When it is not one.
pub fn decode(body: &Bytes) -> Result<ChatResponse, DecodeError> {
    let body = Text::try_from(body.clone()).map_err(|_| DecodeError::plain("the body is not UTF-8"))?;
    let value = parse(&body)?;
    let mut fields = value.fields()?;
    let kind = fields.take("type", |kind| kind.string())?;
    if kind.as_deref() == Some("error") {
        return Err(DecodeError::plain(
            "the provider told an error in a successful answer",
        ));
    }
    let (mut parts, _) = fields.need("content", |content| blocks::read_content(&content))?;
    // The field is there, and nobody signed.
    for part in &mut parts {
        if let PartKind::Thinking(thinking) = &mut part.kind {
            thinking.signature.take_if(|signature| signature.is_empty());
        }
    }
    let mut usage: Option<Usage> = None;
    let mut service_tier = None;
    let usage_native = fields.take("usage", |value| {
        usage = Some(read_usage(&value, None)?);
        service_tier = read_tier(&value)?;
        Ok(value.json())
    })?;
    let _ = fields.take("role", |_| Ok(()))?;
    let choice = Choice {
        index: 0,
        parts,
        finish: fields.take("stop_reason", |reason| Ok(read_finish(&reason.string()?)))?,
        stop_sequence: fields.take("stop_sequence", |stop| stop.string())?,
        logprobs: None,
        extra: Extra::default(),
        message_extra: Extra::default(),
    };
    Ok(ChatResponse {
        format: Format::AnthropicMessages,
        id: fields.need("id", |id| id.string())?,
        model: fields.take("model", |model| model.string())?.unwrap_or_default(),
        created: None,
        choices: vec![choice],
        usage,
        usage_native,
        service_tier,
        extra: fields.rest(),
    })
}

/// The reason of a `stop_reason`.
#[must_use]
pub fn read_finish(reason: &Text) -> FinishReason {
    match reason.as_ref() {
        "end_turn" => FinishReason::Stop,
        "stop_sequence" => FinishReason::StopSequence,
        "max_tokens" => FinishReason::Length,
        "model_context_window_exceeded" => FinishReason::ContextWindow,
        "tool_use" => FinishReason::ToolCalls,
        "refusal" => FinishReason::Refusal,
        "pause_turn" => FinishReason::PauseTurn,
        _ => FinishReason::Other(reason.clone()),
    }
}

/// The `stop_reason` of a reason.
#[must_use]
pub fn finish_name(reason: &FinishReason) -> &str {
    match reason {
        FinishReason::Stop => "end_turn",
        FinishReason::StopSequence => "stop_sequence",
        FinishReason::Length => "max_tokens",
        FinishReason::ContextWindow => "model_context_window_exceeded",
        FinishReason::ToolCalls => "tool_use",
        FinishReason::ContentFilter | FinishReason::Refusal => "refusal",
        FinishReason::PauseTurn => "pause_turn",
        FinishReason::Other(reason) => reason,
    }
}

/// Writes reasoning of a provider that signs none. Clients demand the field.
fn write_unsigned(list: &mut List<'_>, text: &str) {
    if !text.is_empty() {
        list.object(|block| {
            block.string("type", "thinking");
            block.string("thinking", text);
            block.string("signature", "");
        });
    }
}

/// Writes an answer: the first choice, of which the format knows only one.
#[must_use]
pub fn encode(response: &ChatResponse) -> Bytes {
    let own = super::is_own(response.format);
    let choice = response.choices.first();
    object(|body| {
        body.string(
            "id",
            if response.id.is_empty() {
                "msg_0"
            } else {
                &response.id
            },
        );
        body.string("type", "message");
        body.string("role", "assistant");
        body.string("model", &response.model);
        body.list("content", |list| {
            for part in choice.iter().flat_map(|choice| &choice.parts) {
                // A model of another format may answer with what this one cannot carry (audio): its text is left out
                // there, too.
                let foreign = match &part.kind {
                    PartKind::Audio(_) | PartKind::Video(_) => true,
                    PartKind::Opaque { format, .. } => *format != Format::AnthropicMessages,
                    _ => false,
                };
                if let PartKind::Thinking(thinking) = &part.kind
                    && thinking.signature.is_none()
                {
                    write_unsigned(list, &thinking.text);
                } else if !foreign {
                    let _ = blocks::write_block(list, part, &"content", own);
                }
            }
        });
        match choice.and_then(|choice| choice.finish.as_ref()) {
            Some(reason) => body.string("stop_reason", finish_name(reason)),
            None => body.raw("stop_reason", "null"),
        }
        match choice.and_then(|choice| choice.stop_sequence.as_deref()) {
            Some(stop) => body.string("stop_sequence", stop),
            None => body.raw("stop_sequence", "null"),
        }
        match (&response.usage_native, &response.usage) {
            (Some(native), _) if own => body.raw("usage", native.as_str()),
            (_, usage) => body.object("usage", |object| {
                write_usage(object, &usage.unwrap_or_default());
                write_tier(object, response.service_tier.as_deref());
            }),
        }
        if own {
            body.extra(&response.extra);
        }
    })
    .into()
}
