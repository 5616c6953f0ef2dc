//! Whole answers: the `response` object.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::annotations::{cite, write_annotations};
use super::logprobs::{entries_of, logprobs_of};
use super::namespaces::FIELD;
use super::{Echo, items, parts, read_usage, searches_in, write_usage};
use crate::form::{
    ChatResponse, Choice, Extra, FinishReason, Part, PartKind, Role, Text, ToolCallKind, Usage,
};
use crate::format::{DecodeError, Format};
use crate::json::Json;
use crate::json::fields::{Fields, Value, parse};
use crate::json::write::{List, Object, object};
use crate::openai::response::now;

/// Under this name a content part keeps that it is one: the first of a message with the item's own fields.
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
    let status = fields.peek("status");
    if status
        .as_ref()
        .is_some_and(|status| status.as_str() == r#""failed""#)
    {
        let told = fields.peek("error").and_then(|error| error.read::<Told>().ok());
        let why = told.map_or_else(String::new, |told| format!(": {}", told.message));
        return Err(DecodeError::plain(format!(
            "the provider says that the response failed{why}"
        )));
    }
    let mut all = Vec::new();
    let searches = fields.need("output", |output| {
        output.list(|item| read_item(&item, &mut all))?;
        Ok(searches_in(&output))
    })?;
    let mut usage: Option<Usage> = None;
    let usage_native = fields.take_nullable("usage", |value| {
        usage = Some(Usage {
            searches,
            ..read_usage(&value)?
        });
        Ok(value.json())
    })?;
    let calls = all
        .iter()
        .any(|part: &Part| matches!(part.kind, PartKind::ToolCall(_)));
    let finish = read_finish(status.as_ref(), fields.peek("incomplete_details").as_ref(), calls);
    let choice = Choice {
        index: 0,
        logprobs: logprobs_of(&all),
        parts: all,
        finish,
        stop_sequence: None,
        extra: Extra::default(),
        message_extra: Extra::default(),
    };
    let service_tier = if fields.has("service_tier") {
        fields.take("service_tier", |tier| tier.string())?
    } else {
        None
    };
    Ok(ChatResponse {
        format: Format::OpenAiResponses,
        id: fields.take("id", |id| id.string())?.unwrap_or_default(),
        model: fields.take("model", |model| model.string())?.unwrap_or_default(),
        created: read_created(&mut fields)?,
        choices: vec![choice],
        usage,
        // Said or not, it is said again.
        usage_native: usage_native.map(|usage| usage.unwrap_or_else(Json::null)),
        service_tier,
        extra: fields.rest(),
    })
}

#[derive(serde::Deserialize)]
struct Told {
    message: String,
}

/// Some servers write the time as a float: then it stays as it came, too.
pub(super) fn read_created(fields: &mut Fields<'_>) -> Result<Option<u64>, DecodeError> {
    let Some(told) = fields.peek("created_at") else {
        return Ok(None);
    };
    match told.read::<u64>() {
        Ok(_) => fields.take("created_at", |created| created.count()),
        Err(_) => Ok(told.read::<f64>().ok().map(|seconds| seconds.max(0.0) as u64)),
    }
}

fn read_item(value: &Value<'_>, all: &mut Vec<Part>) -> Result<(), DecodeError> {
    let mut fields = value.fields()?;
    let kind = fields.need("type", |kind| kind.string())?;
    if kind != "message" {
        // What a hosted tool gave back is not for others to answer.
        all.push(if kind.ends_with("_output") {
            items::opaque(kind, value)
        } else {
            items::read_part_item(value)?
        });
        return Ok(());
    }
    let mut content = fields.need("content", |content| {
        content.list(|part| parts::read_part(&part, Role::Assistant))
    })?;
    if content.is_empty() {
        // Nothing is said; the item is kept as it came.
        all.push(items::opaque(kind, value));
        return Ok(());
    }
    let item = fields.rest();
    let mut own_fields = Some(Json::object(|fields| fields.extra(&item)));
    for part in &mut content {
        cite(part);
        part.extra.set(ITEM, own_fields.take().unwrap_or_else(Json::null));
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
pub(super) fn status_of(finish: Option<&FinishReason>) -> (&'static str, Option<&str>) {
    match finish {
        Some(FinishReason::Length | FinishReason::ContextWindow) => ("incomplete", Some("max_output_tokens")),
        Some(FinishReason::ContentFilter) => ("incomplete", Some("content_filter")),
        // What only its format knows is no end that one could rely on.
        Some(FinishReason::Other(reason)) => ("incomplete", Some(reason)),
        _ => ("completed", None),
    }
}

/// Writes an answer, whose request is not known.
#[must_use]
pub fn encode(response: &ChatResponse) -> Bytes {
    encode_for(response, &Echo::default())
}

/// Writes an answer; `echo` is what it repeats of its request.
#[must_use]
pub fn encode_for(response: &ChatResponse, echo: &Echo) -> Bytes {
    if response.format == Format::OpenAiResponses {
        return encode_own(response);
    }
    let choice = response.choices.first();
    let id = if response.id.is_empty() {
        "resp_0"
    } else {
        &response.id
    };
    let (status, reason) = status_of(choice.and_then(|choice| choice.finish.as_ref()));
    object(|body| {
        let head = Head {
            id,
            model: &response.model,
            created: response.created.unwrap_or_else(now),
        };
        write_frame(body, &head, status, reason, echo);
        body.list("output", |list| {
            if let Some(choice) = choice {
                write_foreign(list, choice, (id, status), echo);
            }
        });
        match &response.usage {
            Some(usage) => body.object("usage", |object| write_usage(object, usage)),
            None => body.raw("usage", "null"),
        }
    })
    .into()
}

fn encode_own(response: &ChatResponse) -> Bytes {
    object(|body| {
        body.string("id", &response.id);
        body.extra(&response.extra);
        if response.extra.get("created_at").is_none() {
            body.maybe_count("created_at", response.created);
        }
        body.string("model", &response.model);
        body.list("output", |list| {
            for choice in &response.choices {
                write_own(list, &choice.parts);
            }
        });
        body.maybe_json("usage", response.usage_native.as_ref());
        body.maybe_string("service_tier", response.service_tier.as_deref());
    })
    .into()
}

/// What every `response` object begins with.
pub(super) struct Head<'a> {
    /// Without it SDKs cannot tell answers apart.
    pub(super) id: &'a str,
    pub(super) model: &'a str,
    /// Unix seconds.
    pub(super) created: u64,
}

/// Writes everything but `output` and `usage` of an answer from another format: the official SDKs demand these fields.
pub(super) fn write_frame(
    body: &mut Object<'_>,
    head: &Head<'_>,
    status: &str,
    reason: Option<&str>,
    echo: &Echo,
) {
    body.string("id", head.id);
    body.string("object", "response");
    body.count("created_at", head.created);
    body.string("status", status);
    body.raw("error", "null");
    match reason {
        Some(reason) => body.object("incomplete_details", |details| details.string("reason", reason)),
        None => body.raw("incomplete_details", "null"),
    }
    body.string("model", head.model);
    echo.write(body);
    // What another provider answered, OpenAI does not keep.
    body.boolean("store", false);
}

/// The id of an item that has none of its own: the API takes letters, digits, `_` and `-`, at most 64.
pub(super) fn item_id(prefix: &str, response: &str, number: u64) -> String {
    let clean = |letter: char| {
        let fits = letter.is_ascii_alphanumeric() || letter == '_' || letter == '-';
        if fits { letter } else { '-' }
    };
    let response: String = response.chars().map(clean).take(40).collect();
    format!("{prefix}_{response}_{number}")
}

/// Whether a part stands in the content of a message item.
fn in_message(part: &Part) -> bool {
    part.extra.get(ITEM).is_some() || matches!(part.kind, PartKind::Text(_) | PartKind::Refusal(_))
}

fn write_own(list: &mut List<'_>, all: &[Part]) {
    let goes_on = |part: &Part| part.extra.get(ITEM).is_some_and(|item| item.as_str() == "null");
    let mut rest = all;
    while let Some((first, others)) = rest.split_first() {
        if !in_message(first) {
            write_own_item(list, first);
            rest = others;
            continue;
        }
        // A message goes on until the next begins.
        let length = 1 + others.iter().take_while(|part| goes_on(part)).count();
        let (content, after) = rest.split_at(length);
        list.object(|item| {
            item.string("type", "message");
            let fields = first.extra.get(ITEM).and_then(|fields| fields.read().ok());
            let fields: BTreeMap<String, Json> = fields.unwrap_or_default();
            fields
                .iter()
                .for_each(|(name, json)| item.raw(name, json.as_str()));
            item.list("content", |list| {
                content.iter().for_each(|part| write_own_content(list, part));
            });
        });
        rest = after;
    }
}

fn write_own_content(list: &mut List<'_>, part: &Part) {
    if let PartKind::Opaque { json, .. } = &part.kind {
        list.raw(json.as_str());
        return;
    }
    list.object(|object| {
        match &part.kind {
            PartKind::Refusal(text) => {
                object.string("type", "refusal");
                object.string("refusal", text);
            }
            PartKind::Text(text) => {
                object.string("type", "output_text");
                object.string("text", &text.text);
            }
            _ => {}
        }
        let rest = part.extra.0.iter().filter(|(name, _)| name != ITEM);
        rest.for_each(|(name, json)| object.raw(name, json.as_str()));
    });
}

fn write_own_item(list: &mut List<'_>, part: &Part) {
    match &part.kind {
        PartKind::Opaque { json, .. } => list.raw(json.as_str()),
        PartKind::ToolCall(call) => list.object(|item| {
            let (kind, field) = match call.kind {
                ToolCallKind::Function => ("function_call", "arguments"),
                ToolCallKind::Custom => ("custom_tool_call", "input"),
            };
            item.string("type", kind);
            item.string("call_id", &call.id);
            item.string("name", &call.name);
            item.string(field, &call.arguments);
            item.extra(&part.extra);
        }),
        PartKind::Thinking(thinking) => list.object(|item| {
            item.string("type", "reasoning");
            let kept = items::reasoning_fields(part, thinking);
            kept.iter().for_each(|(name, json)| item.raw(name, json.as_str()));
            if !kept.iter().any(|(name, _)| name == "summary") {
                write_summary(item, &thinking.text);
            }
            item.maybe_string("encrypted_content", thinking.signature.as_deref());
        }),
        // What a model cannot say here is not part of an answer.
        _ => {}
    }
}

/// Writes the output of an answer from another format: texts that follow one another are one message.
fn write_foreign(list: &mut List<'_>, choice: &Choice, (id, status): (&str, &str), echo: &Echo) {
    let silent = |part: &Part| match &part.kind {
        PartKind::Text(text) => text.text.is_empty(),
        PartKind::Thinking(thinking) => thinking.text.is_empty() && thinking.signature.is_none(),
        PartKind::Refusal(_) | PartKind::ToolCall(_) => false,
        // An item of this format, which the gateway has put there.
        PartKind::Opaque { format, .. } => *format != Format::OpenAiResponses,
        // What a model cannot say here is not part of an answer.
        _ => true,
    };
    let said: Vec<&Part> = choice.parts.iter().filter(|part| !silent(part)).collect();
    let mut logprobs = choice.logprobs.as_ref().map(entries_of).unwrap_or_default();
    let mut rest = said.as_slice();
    let mut number = 0;
    while let Some((first, others)) = rest.split_first() {
        let length = if in_message(first) {
            1 + others.iter().take_while(|part| in_message(part)).count()
        } else {
            1
        };
        let (content, after) = rest.split_at(length);
        // Where an answer was cut off is its last item.
        let status = if after.is_empty() { status } else { "completed" };
        if in_message(first) {
            list.object(|item| {
                item.string("type", "message");
                item.string("id", &item_id("msg", id, number));
                item.string("status", status);
                item.string("role", "assistant");
                item.list("content", |list| {
                    for part in content {
                        write_content(list, part, &std::mem::take(&mut logprobs));
                    }
                });
            });
        } else {
            write_item(list, first, (id, number), status, echo);
        }
        number += 1;
        rest = after;
    }
}

fn write_content(list: &mut List<'_>, part: &Part, logprobs: &[Json]) {
    list.object(|object| match &part.kind {
        PartKind::Refusal(text) => {
            object.string("type", "refusal");
            object.string("refusal", text);
        }
        PartKind::Text(text) => {
            object.string("type", "output_text");
            object.string("text", &text.text);
            write_annotations(object, text.citations.as_ref());
            object.list("logprobs", |list| {
                logprobs.iter().for_each(|json| list.raw(json.as_str()));
            });
        }
        _ => {}
    });
}

fn write_item(list: &mut List<'_>, part: &Part, (id, number): (&str, u64), status: &str, echo: &Echo) {
    match &part.kind {
        PartKind::ToolCall(call) => list.object(|item| {
            let custom = call.kind == ToolCallKind::Custom;
            item.string(
                "type",
                if custom {
                    "custom_tool_call"
                } else {
                    "function_call"
                },
            );
            item.string("id", &item_id(if custom { "ctc" } else { "fc" }, id, number));
            if !custom {
                item.string("status", status);
            }
            item.string("call_id", &call.id);
            let (namespace, name) = echo.called(&call.name);
            item.string("name", &name);
            item.maybe_string(FIELD, namespace.as_deref());
            let empty = call.arguments.is_empty() && !custom;
            let field = if custom { "input" } else { "arguments" };
            item.string(field, if empty { "{}" } else { &call.arguments });
        }),
        PartKind::Thinking(thinking) => list.object(|item| {
            item.string("type", "reasoning");
            item.string("id", &item_id("rs", id, number));
            write_summary(item, &thinking.text);
            item.maybe_string("encrypted_content", thinking.signature.as_deref());
        }),
        PartKind::Opaque { json, .. } => list.raw(json.as_str()),
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
