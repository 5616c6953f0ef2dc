//! Whole answers.

use bytes::Bytes;

use super::usage::{read_usage, write_usage};
use super::{citations, failure, messages, parts, request};
use crate::form::{
    ChatResponse, Choice, ContentShape, Extra, FinishReason, Part, PartKind, Role, Text, Usage,
};
use crate::format::{DecodeError, Format};
use crate::json::Json;
use crate::json::fields::{Value, parse};
use crate::json::write::{Object, object};

/// Under this name an answer's message keeps how its content came, where that is not a list.
const SHAPE: &str = "content";

/// Reads an answer.
///
/// # Errors
/// When it is not one, or says that it failed.
pub fn decode(body: &Bytes) -> Result<ChatResponse, DecodeError> {
    let body = Text::try_from(body.clone()).map_err(|_| DecodeError::plain("the body is not UTF-8"))?;
    let value = parse(&body)?;
    let mut fields = value.fields()?;
    let reason = fields.take("finish_reason", |reason| reason.string())?;
    if let Some(failure) = reason
        .as_deref()
        .and_then(|reason| failure::of_reason(reason, None))
    {
        return Err(DecodeError::plain(failure.message));
    }
    let (parts, message_extra) = fields.need("message", |message| read_message(&message))?;
    let mut usage: Option<Usage> = None;
    let usage_native = fields.take("usage", |value| {
        usage = Some(read_usage(&value)?);
        Ok(value.json())
    })?;
    let logprobs = fields.peek("logprobs").and_then(|items| logprobs_of(&items));
    let choice = Choice {
        index: 0,
        parts,
        finish: reason.as_ref().map(read_finish),
        stop_sequence: None,
        logprobs,
        extra: Extra::default(),
        message_extra,
    };
    Ok(ChatResponse {
        format: Format::CohereChat,
        id: fields.take("id", |id| id.string())?.unwrap_or_default(),
        // Cohere does not say which model answered.
        model: Text::new(),
        created: None,
        choices: vec![choice],
        usage,
        usage_native,
        service_tier: None,
        extra: fields.rest(),
    })
}

fn read_message(value: &Value<'_>) -> Result<(Vec<Part>, Extra), DecodeError> {
    let mut fields = value.fields()?;
    let _ = fields.take("role", |_| Ok(()))?;
    let content = fields.take_nullable("content", |content| {
        let (content, shape) = parts::read_content(&content, Role::Assistant)?;
        Ok((content, shape == ContentShape::Text))
    })?;
    let shape = match &content {
        None => Some("\"absent\""),
        Some(None) => Some("null"),
        Some(Some((_, true))) => Some("\"text\""),
        Some(Some((_, false))) => None,
    };
    let mut content = content.flatten().map(|(parts, _)| parts).unwrap_or_default();
    if let Some(cited) = fields.peek("citations") {
        citations::place(&cited, &mut content);
    }
    let all = request::read_said(&mut fields, content)?;
    let mut extra = fields.rest();
    if let Some(shape) = shape.and_then(|shape| Json::parse(shape).ok()) {
        extra.set(SHAPE, shape);
    }
    Ok((all, extra))
}

/// The reason of a `finish_reason`.
#[must_use]
pub fn read_finish(reason: &Text) -> FinishReason {
    match reason.as_ref() {
        "COMPLETE" => FinishReason::Stop,
        "STOP_SEQUENCE" => FinishReason::StopSequence,
        "MAX_TOKENS" => FinishReason::Length,
        "TOOL_CALL" => FinishReason::ToolCalls,
        _ => FinishReason::Other(reason.clone()),
    }
}

/// The `finish_reason` of a reason.
#[must_use]
pub fn finish_name(reason: &FinishReason) -> &str {
    match reason {
        FinishReason::Stop | FinishReason::PauseTurn | FinishReason::Refusal => "COMPLETE",
        FinishReason::StopSequence => "STOP_SEQUENCE",
        FinishReason::Length | FinishReason::ContextWindow => "MAX_TOKENS",
        FinishReason::ToolCalls => "TOOL_CALL",
        // There is no name for it, and an answer that was held back is not complete.
        FinishReason::ContentFilter => "ERROR",
        FinishReason::Other(reason) => reason,
    }
}

#[derive(serde::Deserialize)]
struct Item {
    text: Option<String>,
    #[serde(default)]
    logprobs: Vec<f64>,
}

/// Cohere's log probabilities in OpenAI's shape: one entry for each piece of text, whose probability is that of all
/// its tokens.
pub(super) fn logprobs_of(items: &Json) -> Option<Json> {
    let items: Vec<Item> = items
        .read()
        .or_else(|_| items.read::<Item>().map(|item| vec![item]))
        .ok()?;
    let content: Vec<serde_json::Value> = items
        .iter()
        .map(|item| {
            let text = item.text.as_deref().unwrap_or_default();
            let sum: f64 = item.logprobs.iter().sum();
            serde_json::json!({"token": text, "logprob": sum, "bytes": text.as_bytes(), "top_logprobs": []})
        })
        .collect();
    Json::of(&serde_json::json!({"content": content, "refusal": null})).ok()
}

/// OpenAI's log probabilities as Cohere's items.
pub(super) fn items_of(logprobs: &Json) -> Vec<Json> {
    #[derive(serde::Deserialize)]
    struct Told {
        content: Option<Vec<Entry>>,
    }
    #[derive(serde::Deserialize)]
    struct Entry {
        token: String,
        logprob: f64,
    }
    let entries = logprobs.read::<Told>().ok().and_then(|told| told.content);
    entries
        .unwrap_or_default()
        .iter()
        .filter_map(|entry| {
            let item = serde_json::json!({"text": entry.token, "token_ids": [], "logprobs": [entry.logprob]});
            Json::of(&item).ok()
        })
        .collect()
}

/// Writes an answer: the first choice, of which the format knows only one.
#[must_use]
pub fn encode(response: &ChatResponse) -> Bytes {
    let own = response.format == Format::CohereChat;
    let choice = response.choices.first();
    object(|body| {
        body.string(
            "id",
            if response.id.is_empty() {
                "chat-0"
            } else {
                &response.id
            },
        );
        match choice.and_then(|choice| choice.finish.as_ref()) {
            Some(reason) => body.string("finish_reason", finish_name(reason)),
            None if own => {}
            None => body.string("finish_reason", "COMPLETE"),
        }
        body.object("message", |message| {
            message.string("role", "assistant");
            if let Some(choice) = choice {
                if own {
                    write_own(message, choice);
                } else {
                    write_foreign(message, &choice.parts);
                }
            }
        });
        match (&response.usage_native, &response.usage) {
            (Some(native), _) if own => body.raw("usage", native.as_str()),
            (_, Some(usage)) => body.object("usage", |object| write_usage(object, usage)),
            _ => {}
        }
        if own {
            body.extra(&response.extra);
        } else if let Some(logprobs) = choice.and_then(|choice| choice.logprobs.as_ref()) {
            body.list("logprobs", |list| {
                items_of(logprobs).iter().for_each(|item| list.raw(item.as_str()));
            });
        }
    })
    .into()
}

fn write_own(message: &mut Object<'_>, choice: &Choice) {
    let shape = match choice.message_extra.get(SHAPE).map(Json::as_str) {
        None => ContentShape::Parts,
        Some("null") => ContentShape::Null,
        Some("\"text\"") => ContentShape::Text,
        Some(_) => ContentShape::Absent,
    };
    // What came in this format can be written in it.
    let _ = messages::write_said(message, &choice.parts, shape, &"message");
    for (name, json) in &choice.message_extra.0 {
        if name != SHAPE {
            message.raw(name, json.as_str());
        }
    }
}

fn write_foreign(message: &mut Object<'_>, all: &[Part]) {
    let mut cited: Vec<Json> = Vec::new();
    let mut index = 0;
    message.list("content", |list| {
        for part in all {
            let said = match &part.kind {
                PartKind::Text(text) => !text.text.is_empty(),
                PartKind::Refusal(_) => true,
                PartKind::Thinking(thinking) => !thinking.text.is_empty(),
                // A model of another format may answer with what this one cannot carry.
                _ => false,
            };
            if !said {
                continue;
            }
            if let PartKind::Text(text) = &part.kind
                && let Some(citations) = &text.citations
            {
                let citations: Vec<Json> = citations.read().unwrap_or_default();
                let placed = citations
                    .iter()
                    .filter_map(|json| citations::of_form(json, &text.text, index));
                cited.extend(placed);
            }
            let _ = parts::write_part(list, part, &"content", false);
            index += 1;
        }
    });
    if !cited.is_empty() {
        message.list("citations", |list| {
            cited.iter().for_each(|citation| list.raw(citation.as_str()));
        });
    }
    messages::write_calls(message, all, false);
}
