//! Whole answers: the `response` object.

use bytes::Bytes;

use super::{items, parts, read_usage, write_usage};
use crate::form::{
    ChatResponse, Choice, Extra, FinishReason, Part, PartKind, Role, Text, ToolCallKind, Usage,
};
use crate::format::{DecodeError, Format};
use crate::json::Json;
use crate::json::fields::{Value, parse};
use crate::json::write::{List, Object, object};

/// Under this name the first part of a message item keeps the item's own fields.
const ITEM: &str = "item";

/// Reads an answer.
///
/// # Errors
/// When it is not one, or tells a failure.
pub fn decode(body: &Bytes) -> Result<ChatResponse, DecodeError> {
    let body = Text::try_from(body.clone()).map_err(|_| DecodeError::plain("the body is not UTF-8"))?;
    let value = parse(&body)?;
    read(&value)
}

/// Reads the `response` object of a body or of a stream's event.
pub(super) fn read(value: &Value<'_>) -> Result<ChatResponse, DecodeError> {
    let mut fields = value.fields()?;
    if fields
        .peek("status")
        .is_some_and(|status| status.as_str() == r#""failed""#)
    {
        return Err(DecodeError::plain("the provider says that the response failed"));
    }
    let mut all = Vec::new();
    fields.need("output", |output| output.list(|item| read_item(&item, &mut all)))?;
    let mut usage: Option<Usage> = None;
    let usage_native = fields.take("usage", |value| {
        usage = Some(read_usage(&value)?);
        Ok(value.json())
    })?;
    let finish = read_finish(
        fields.peek("status").as_ref(),
        fields.peek("incomplete_details").as_ref(),
        all.iter()
            .any(|part: &Part| matches!(part.kind, PartKind::ToolCall(_))),
    );
    let choice = Choice {
        index: 0,
        parts: all,
        finish,
        stop_sequence: None,
        logprobs: None,
        extra: Extra::default(),
        message_extra: Extra::default(),
    };
    Ok(ChatResponse {
        format: Format::OpenAiResponses,
        id: fields.take("id", |id| id.string())?.unwrap_or_default(),
        model: fields.take("model", |model| model.string())?.unwrap_or_default(),
        created: fields.take("created_at", |created| {
            // Some servers write it as a float.
            let seconds = created.number()?.as_f64().unwrap_or(0.0);
            Ok(seconds.max(0.0) as u64)
        })?,
        choices: vec![choice],
        usage,
        usage_native,
        service_tier: fields.take("service_tier", |tier| tier.string())?,
        extra: fields.rest(),
    })
}

fn read_item(value: &Value<'_>, all: &mut Vec<Part>) -> Result<(), DecodeError> {
    let mut fields = value.fields()?;
    let kind = fields.need("type", |kind| kind.string())?;
    if kind != "message" {
        all.push(items::read_part_item(value)?);
        return Ok(());
    }
    let content = fields.need("content", |content| {
        content.list(|part| parts::read_part(&part, Role::Assistant))
    })?;
    let item = fields.rest();
    let own_fields = object(|object| object.extra(&item));
    let mut content = content.into_iter();
    if let Some(mut first) = content.next() {
        let own_fields = String::from_utf8(own_fields)
            .ok()
            .and_then(|text| Json::parse(text).ok());
        first.extra.set(ITEM, own_fields.unwrap_or_else(Json::null));
        all.push(first);
    }
    all.extend(content);
    Ok(())
}

/// Why an answer of this status ended.
pub(super) fn read_finish(
    status: Option<&Json>,
    details: Option<&Json>,
    calls: bool,
) -> Option<FinishReason> {
    #[derive(serde::Deserialize)]
    struct Details {
        reason: Option<String>,
    }
    let status: String = status?.read().ok()?;
    let reason = details
        .and_then(|details| details.read::<Option<Details>>().ok().flatten())
        .and_then(|details| details.reason);
    Some(match (status.as_str(), reason.as_deref()) {
        ("completed", _) if calls => FinishReason::ToolCalls,
        ("completed", _) => FinishReason::Stop,
        (_, Some("max_output_tokens" | "max_tokens")) => FinishReason::Length,
        (_, Some("content_filter")) => FinishReason::ContentFilter,
        ("incomplete", None) => FinishReason::Length,
        (_, Some(other)) => FinishReason::Other(other.to_owned().into()),
        (other, None) => FinishReason::Other(other.to_owned().into()),
    })
}

/// The status of an answer that ended so, and the reason if it is incomplete.
pub(super) fn status_of(finish: Option<&FinishReason>) -> (&'static str, Option<&'static str>) {
    match finish {
        Some(FinishReason::Length | FinishReason::ContextWindow) => ("incomplete", Some("max_output_tokens")),
        Some(FinishReason::ContentFilter) => ("incomplete", Some("content_filter")),
        _ => ("completed", None),
    }
}

/// Writes an answer.
#[must_use]
pub fn encode(response: &ChatResponse) -> Bytes {
    let own = response.format == Format::OpenAiResponses;
    let body = object(|body| {
        let choice = response.choices.first();
        let id = if response.id.is_empty() {
            "resp_0"
        } else {
            &response.id
        };
        body.string("id", id);
        if own {
            body.extra(&response.extra);
            if let Some(created) = response.created {
                body.count("created_at", created);
            }
            body.string("model", &response.model);
        } else {
            let head = Head {
                model: &response.model,
                created: response.created.unwrap_or(0),
            };
            write_head(body, &head, choice.and_then(|choice| choice.finish.as_ref()));
        }
        body.list("output", |list| {
            for choice in &response.choices {
                write_output(list, &choice.parts, id, own);
            }
        });
        match (&response.usage_native, response.usage) {
            (Some(native), _) if own => body.raw("usage", native.as_str()),
            (_, Some(usage)) => body.object("usage", |object| write_usage(object, &usage)),
            (_, None) => body.raw("usage", "null"),
        }
        body.maybe_string("service_tier", response.service_tier.as_deref());
    });
    body.into()
}

/// What every `response` object begins with.
pub(super) struct Head<'a> {
    pub(super) model: &'a str,
    /// Unix seconds.
    pub(super) created: u64,
}

/// Writes everything but `id`, `output` and `usage` of an answer from another format: the official SDKs demand these
/// fields.
pub(super) fn write_head(body: &mut Object<'_>, head: &Head<'_>, finish: Option<&FinishReason>) {
    let (status, reason) = status_of(finish);
    write_frame(body, head, status, reason);
}

/// As [`write_head`], with a status that is none of an end (`in_progress`).
pub(super) fn write_frame(body: &mut Object<'_>, head: &Head<'_>, status: &str, reason: Option<&str>) {
    body.string("object", "response");
    body.count("created_at", head.created);
    body.string("status", status);
    body.raw("error", "null");
    match reason {
        Some(reason) => body.object("incomplete_details", |details| details.string("reason", reason)),
        None => body.raw("incomplete_details", "null"),
    }
    body.raw("instructions", "null");
    body.raw("max_output_tokens", "null");
    body.string("model", head.model);
    body.raw("metadata", "{}");
    body.boolean("parallel_tool_calls", true);
    body.raw("previous_response_id", "null");
    body.raw("temperature", "null");
    body.string("tool_choice", "auto");
    body.raw("tools", "[]");
    body.raw("top_p", "null");
    body.boolean("store", false);
}

fn write_output(list: &mut List<'_>, all: &[Part], id: &str, own: bool) {
    let mut rest = all;
    let mut number = 0;
    while let Some((first, _)) = rest.split_first() {
        let in_message = |part: &Part| matches!(part.kind, PartKind::Text(_) | PartKind::Refusal(_));
        let length = if in_message(first) {
            // A message goes on until the next begins.
            1 + rest[1..]
                .iter()
                .take_while(|part| in_message(part) && part.extra.get(ITEM).is_none())
                .count()
        } else {
            1
        };
        let (item, after) = rest.split_at(length);
        if in_message(first) {
            write_message(list, item, &format!("msg_{id}_{number}"), own);
        } else {
            write_item(list, first, &format!("{id}_{number}"), own);
        }
        number += 1;
        rest = after;
    }
}

fn write_message(list: &mut List<'_>, content: &[Part], id: &str, own: bool) {
    list.object(|item| {
        item.string("type", "message");
        match content
            .first()
            .and_then(|part| part.extra.get(ITEM))
            .filter(|_| own)
        {
            Some(fields) => splice_fields(item, fields),
            None => {
                item.string("id", id);
                item.string("status", "completed");
                item.string("role", "assistant");
            }
        }
        item.list("content", |list| {
            for part in content {
                write_content_part(list, part, own);
            }
        });
    });
}

fn splice_fields(item: &mut Object<'_>, fields: &Json) {
    if let Ok(fields) = fields.read::<std::collections::BTreeMap<String, Json>>() {
        for (name, json) in fields {
            item.raw(&name, json.as_str());
        }
    }
}

fn write_content_part(list: &mut List<'_>, part: &Part, own: bool) {
    list.object(|object| {
        match &part.kind {
            PartKind::Refusal(text) => {
                object.string("type", "refusal");
                object.string("refusal", text);
            }
            PartKind::Text(text) => {
                object.string("type", "output_text");
                object.string("text", &text.text);
                if !(own && part.extra.get("annotations").is_some()) {
                    parts::write_annotations(object, text.citations.as_ref());
                }
            }
            _ => {}
        }
        if own {
            for (name, json) in part.extra.0.iter().filter(|(name, _)| name != ITEM) {
                object.raw(name, json.as_str());
            }
        }
    });
}

/// Writes a part that is an item of its own.
pub(super) fn write_item(list: &mut List<'_>, part: &Part, id: &str, own: bool) {
    let written = |field: &str| own && part.extra.get(field).is_some();
    match &part.kind {
        PartKind::Opaque {
            format: Format::OpenAiResponses,
            json,
            ..
        } => list.raw(json.as_str()),
        PartKind::ToolCall(call) => list.object(|item| {
            let (kind, field, prefix) = match call.kind {
                ToolCallKind::Function => ("function_call", "arguments", "fc"),
                ToolCallKind::Custom => ("custom_tool_call", "input", "ctc"),
            };
            item.string("type", kind);
            if !own {
                item.string("id", &format!("{prefix}_{id}"));
                item.string("status", "completed");
            }
            item.string("call_id", &call.id);
            item.string("name", &call.name);
            item.string(field, &call.arguments);
            if own {
                item.extra(&part.extra);
            }
        }),
        PartKind::Thinking(thinking) => list.object(|item| {
            item.string("type", "reasoning");
            if !own {
                item.string("id", &format!("rs_{id}"));
            }
            if !written("summary") {
                write_summary(item, &thinking.text);
            }
            item.maybe_string("encrypted_content", thinking.signature.as_deref());
            if own {
                item.extra(&part.extra);
            }
        }),
        PartKind::RedactedThinking(data) => list.object(|item| {
            item.string("type", "reasoning");
            item.string("id", &format!("rs_{id}"));
            write_summary(item, "");
            item.string("encrypted_content", data);
        }),
        // What a model cannot say here is not part of an answer.
        _ => {}
    }
}

/// Writes `summary`.
pub(super) fn write_summary(item: &mut Object<'_>, text: &str) {
    item.list("summary", |list| {
        if !text.is_empty() {
            list.object(|piece| {
                piece.string("type", "summary_text");
                piece.string("text", text);
            });
        }
    });
}
