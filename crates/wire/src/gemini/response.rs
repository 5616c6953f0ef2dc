//! `generateContent` answers.

use bytes::Bytes;

use super::usage::{read_usage, write_usage};
use super::write::Contents;
use super::{history, logprobs, names, parts};
use crate::form::{ChatResponse, Choice, Extra, FinishReason, Part, PartKind, Text, Usage};
use crate::format::{DecodeError, Format};
use crate::json::fields::{Value, parse};
use crate::json::write::{Object, object};
use crate::rules::Losses;

/// The fields of an answer.
pub(super) const ANSWER: [&str; 4] = ["promptFeedback", "usageMetadata", "modelVersion", "responseId"];
/// The fields of a candidate.
pub(super) const CANDIDATE: [&str; 9] = [
    "finishReason",
    "finishMessage",
    "logprobsResult",
    "avgLogprobs",
    "safetyRatings",
    "citationMetadata",
    "groundingMetadata",
    "tokenCount",
    "urlContextMetadata",
];

/// Reads an answer.
///
/// # Errors
/// When it is not one.
pub fn decode(body: &Bytes) -> Result<ChatResponse, DecodeError> {
    let body = Text::try_from(body.clone()).map_err(|_| DecodeError::plain("the body is not UTF-8"))?;
    let value = parse(&body)?;
    let mut fields = names::fields(&value, &ANSWER)?;
    if !fields.has("candidates") && fields.has("error") {
        return Err(DecodeError::plain(
            "the provider told an error in a successful answer",
        ));
    }
    let id = fields.take("responseId", names::text)?.unwrap_or_default();
    let candidates = fields.take("candidates", |list| {
        list.list(|candidate| read_candidate(&candidate, &id))
    })?;
    let mut choices = candidates.unwrap_or_default();
    if choices.is_empty() && fields.has("promptFeedback") {
        choices.push(blocked());
    }
    let mut usage: Option<Usage> = None;
    let usage_native = fields.take("usageMetadata", |value| {
        usage = Some(read_usage(&value)?);
        Ok(value.json())
    })?;
    Ok(ChatResponse {
        format: Format::GeminiGenerate,
        id,
        model: fields.take("modelVersion", names::text)?.unwrap_or_default(),
        created: None,
        choices,
        usage,
        usage_native,
        service_tier: None,
        extra: fields.rest(),
    })
}

/// In place of the candidates that a refused prompt does not get.
fn blocked() -> Choice {
    let mut extra = Extra::default();
    extra.note("candidate");
    Choice {
        index: 0,
        parts: Vec::new(),
        finish: Some(FinishReason::ContentFilter),
        stop_sequence: None,
        logprobs: None,
        extra,
        message_extra: Extra::default(),
    }
}

fn read_candidate(value: &Value<'_>, answer: &str) -> Result<Choice, DecodeError> {
    let mut fields = names::fields(value, &CANDIDATE)?;
    let index = fields.take("index", names::count)?;
    let choice = u32::try_from(index.unwrap_or(0)).unwrap_or(u32::MAX);
    let mut notes = Extra::default();
    if index.is_none() {
        notes.note("index");
    }
    let content = fields.take("content", |content| read_content(&content, answer, choice))?;
    if content.is_none() {
        notes.note("content");
    }
    let (parts, message_extra) = content.unwrap_or_default();
    let calls = parts
        .iter()
        .any(|part| matches!(part.kind, PartKind::ToolCall(_)));
    let reason = fields.take("finishReason", names::text)?;
    let finish = reason.as_ref().map(|reason| read_finish(reason, calls));
    let mut logprobs = None;
    let native = fields.take("logprobsResult", |result| {
        logprobs = logprobs::read(&result)?;
        Ok(result.json())
    })?;
    let mut extra = fields.rest();
    extra.0.extend(notes.0);
    if let Some(native) = native {
        extra.set("logprobsResult", native);
    }
    if let (Some(reason), Some(finish)) = (&reason, &finish)
        && finish_name(finish) != reason.as_ref() as &str
    {
        extra.set("finishReason", parts::json_of(reason));
    }
    Ok(Choice {
        index: choice,
        parts,
        finish,
        stop_sequence: None,
        logprobs,
        extra,
        message_extra,
    })
}

/// The parts, with ids for calls without, and what else the content says.
fn read_content(value: &Value<'_>, answer: &str, choice: u32) -> Result<(Vec<Part>, Extra), DecodeError> {
    let mut fields = value.fields()?;
    let mut extra = Extra::default();
    let parts = fields.take("parts", |parts| {
        names::list(&parts, |part| parts::read_part(&part))
    })?;
    if parts.is_none() {
        extra.note("parts");
    }
    let mut parts = parts.unwrap_or_default();
    let mut ordinal = 0;
    for part in &mut parts {
        if let PartKind::ToolCall(call) = &mut part.kind {
            if call.id.is_empty() {
                call.id = history::call_id(answer, choice, ordinal, &call.name, &call.arguments);
            }
            ordinal += 1;
        }
    }
    if !fields.has("role") {
        extra.note("role");
    }
    extra.0.extend(fields.rest().0);
    Ok((parts, extra))
}

/// The reason of a `finishReason`; `calls` when the answer asks for tools.
#[must_use]
pub fn read_finish(reason: &Text, calls: bool) -> FinishReason {
    match reason.as_ref() {
        "STOP" if calls => FinishReason::ToolCalls,
        "STOP" => FinishReason::Stop,
        "MAX_TOKENS" => FinishReason::Length,
        "SAFETY"
        | "RECITATION"
        | "LANGUAGE"
        | "BLOCKLIST"
        | "PROHIBITED_CONTENT"
        | "SPII"
        | "MODEL_ARMOR"
        | "JAILBREAK"
        | "IMAGE_SAFETY"
        | "IMAGE_PROHIBITED_CONTENT"
        | "IMAGE_RECITATION" => FinishReason::ContentFilter,
        _ => FinishReason::Other(reason.clone()),
    }
}

/// The `finishReason` of a reason.
#[must_use]
pub fn finish_name(reason: &FinishReason) -> &str {
    match reason {
        FinishReason::Stop
        | FinishReason::StopSequence
        | FinishReason::ToolCalls
        | FinishReason::PauseTurn => "STOP",
        FinishReason::Length | FinishReason::ContextWindow => "MAX_TOKENS",
        FinishReason::ContentFilter | FinishReason::Refusal => "SAFETY",
        // A reason of this format; those of others are none that SDKs could read.
        FinishReason::Other(reason)
            if reason
                .bytes()
                .all(|letter| letter.is_ascii_uppercase() || letter == b'_') =>
        {
            reason
        }
        FinishReason::Other(_) => "OTHER",
    }
}

/// Writes an answer.
#[must_use]
pub fn encode(response: &ChatResponse) -> Bytes {
    let own = response.format == Format::GeminiGenerate;
    object(|body| {
        let choices: Vec<&Choice> = response
            .choices
            .iter()
            .filter(|choice| !(own && choice.extra.has_note("candidate")))
            .collect();
        if !choices.is_empty() {
            body.list("candidates", |list| {
                for choice in choices {
                    list.object(|object| write_candidate(object, choice, own));
                }
            });
        }
        if own {
            body.extra(&response.extra);
        }
        match (&response.usage_native, &response.usage) {
            (Some(native), _) if own => body.raw("usageMetadata", native.as_str()),
            (_, Some(usage)) => body.object("usageMetadata", |object| write_usage(object, usage)),
            _ => {}
        }
        for (name, text) in [("modelVersion", &response.model), ("responseId", &response.id)] {
            if !text.is_empty() {
                body.string(name, text);
            }
        }
    })
    .into()
}

fn write_candidate(object: &mut Object<'_>, choice: &Choice, own: bool) {
    if !(own && choice.extra.has_note("content") && choice.parts.is_empty()) {
        object.object("content", |content| write_content(content, choice, own));
    }
    let native = own && choice.extra.get("finishReason").is_some();
    if let Some(finish) = choice.finish.as_ref().filter(|_| !native) {
        object.string("finishReason", finish_name(finish));
    }
    if !(own && choice.extra.has_note("index")) {
        object.count("index", u64::from(choice.index));
    }
    if own {
        object.extra(&choice.extra);
    } else if let Some(logprobs) = &choice.logprobs {
        logprobs::write(object, logprobs);
    }
}

fn write_content(content: &mut Object<'_>, choice: &Choice, own: bool) {
    let mut losses = Losses::default();
    let mut contents = Contents::for_client(own, &mut losses);
    if !(own && choice.message_extra.has_note("parts") && choice.parts.is_empty()) {
        content.list("parts", |list| {
            for part in &choice.parts {
                // What only another format knows its own clients alone can read.
                let _ = contents.part(list, part, &"candidates[].content");
            }
        });
    }
    if !own {
        content.string("role", "model");
        return;
    }
    content.extra(&choice.message_extra);
}
