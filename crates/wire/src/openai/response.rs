//! Chat completion answers.

use bytes::Bytes;

use super::encode::write_reasoning;
use super::{parts, read_usage, thinking, write_usage};
use crate::form::{Audio, ChatResponse, Choice, FinishReason, Part, PartKind, Text, Thinking, Usage};
use crate::format::{DecodeError, Format, Skim};
use crate::json::fields::{Fields, Value, parse};
use crate::json::write::{Object, object};

/// Reads an answer.
///
/// # Errors
/// When it is not one.
pub fn decode(body: &Bytes) -> Result<ChatResponse, DecodeError> {
    let body = Text::try_from(body.clone()).map_err(|_| DecodeError::plain("the body is not UTF-8"))?;
    let value = parse(&body)?;
    let mut fields = value.fields()?;
    if !fields.has("choices") && fields.has("error") {
        return Err(DecodeError::plain(
            "the provider told an error in a successful answer",
        ));
    }
    let choices = fields.need("choices", |choices| choices.list(|choice| read_choice(&choice)))?;
    let mut usage: Option<Usage> = None;
    let usage_native = fields.take("usage", |value| {
        usage = Some(read_usage(&value)?);
        Ok(value.json())
    })?;
    Ok(ChatResponse {
        format: Format::OpenAiChat,
        id: fields.take("id", |id| id.string())?.unwrap_or_default(),
        model: fields.take("model", |model| model.string())?.unwrap_or_default(),
        created: fields.take("created", |created| created.count())?,
        choices,
        usage,
        usage_native,
        service_tier: fields.take("service_tier", |tier| tier.string())?,
        extra: rest(fields),
    })
}

/// Reads of an answer what it used; what it says is only seen to be there. None for one that must be read in full to
/// know what to make of it.
#[must_use]
pub fn skim(body: &Bytes) -> Option<Skim> {
    let body = Text::try_from(body.clone()).ok()?;
    let value = parse(&body).ok()?;
    let mut fields = value.fields().ok()?;
    let has_message = |choice: Value<'_>| {
        let mut choice = choice.fields()?;
        choice.need("message", |message| message.fields().map(drop))
    };
    let choices = fields.need("choices", |choices| choices.list(has_message));
    choices.ok().filter(|choices| !choices.is_empty())?;
    let tier = fields.take("service_tier", |tier| tier.string());
    Some(Skim {
        usage: fields.need("usage", |usage| read_usage(&usage)).ok()?,
        service_tier: tier.ok()?,
    })
}

fn rest(mut fields: Fields<'_>) -> crate::form::Extra {
    // Written by the encoder itself; what stood there says nothing.
    let _ = fields.take("object", |_| Ok(()));
    fields.rest()
}

fn read_choice(value: &Value<'_>) -> Result<Choice, DecodeError> {
    let mut fields = value.fields()?;
    let index = fields.take("index", |index| index.count())?.unwrap_or(0);
    let finish = fields.take("finish_reason", |reason| Ok(read_finish(&reason.string()?)))?;
    let logprobs = fields.take("logprobs", |logprobs| Ok(logprobs.json()))?;
    let (parts, message_extra) = fields.need("message", |message| read_message(&message))?;
    Ok(Choice {
        index: u32::try_from(index).unwrap_or(u32::MAX),
        parts,
        finish,
        stop_sequence: None,
        logprobs,
        extra: fields.rest(),
        message_extra,
    })
}

fn read_message(value: &Value<'_>) -> Result<(Vec<Part>, crate::form::Extra), DecodeError> {
    let mut fields = value.fields()?;
    let _ = fields.take("role", |_| Ok(()))?;
    let mut all = Vec::new();
    let blocks = fields.take("thinking_blocks", |blocks| {
        blocks.list(|block| thinking::read_block(&block))
    })?;
    let reasoning = fields.take("reasoning_content", |text| text.string())?;
    let other = fields.take("reasoning", |text| text.string())?;
    match reasoning.or(other).filter(|text| !text.is_empty()) {
        Some(text) if blocks.is_none() => {
            all.push(Part::new(PartKind::Thinking(Thinking {
                text,
                signature: None,
            })));
        }
        _ => {}
    }
    if let Some((content, _)) = fields.take("content", |content| parts::read_content(&content))? {
        all.extend(content);
    }
    if let Some(refusal) = fields.take("refusal", |text| text.string())? {
        all.push(Part::new(PartKind::Refusal(refusal)));
    }
    if let Some(part) = fields.take("audio", |audio| read_audio(&audio))? {
        all.push(part);
    }
    let calls = fields.take("tool_calls", |calls| {
        calls.list(|call| parts::read_tool_call(&call))
    })?;
    all.extend(calls.unwrap_or_default());
    let all = match blocks {
        Some(blocks) => thinking::placed(blocks, all),
        None => all,
    };
    Ok((all, fields.rest()))
}

fn read_audio(value: &Value<'_>) -> Result<Part, DecodeError> {
    let mut fields = value.fields()?;
    let id = fields.take("id", |id| id.string())?;
    let data = fields.take("data", |data| data.string())?.unwrap_or_default();
    let mut part = Part::new(PartKind::Audio(Audio {
        data,
        format: Text::new(),
        id,
    }));
    part.extra = fields.rest();
    Ok(part)
}

/// The reason of a `finish_reason`.
#[must_use]
pub fn read_finish(reason: &Text) -> FinishReason {
    match reason.as_ref() {
        "stop" => FinishReason::Stop,
        "length" => FinishReason::Length,
        "tool_calls" | "function_call" => FinishReason::ToolCalls,
        "content_filter" => FinishReason::ContentFilter,
        _ => FinishReason::Other(reason.clone()),
    }
}

/// The `finish_reason` of a reason.
#[must_use]
pub fn finish_name(reason: &FinishReason) -> &str {
    match reason {
        FinishReason::Stop | FinishReason::StopSequence | FinishReason::PauseTurn => "stop",
        FinishReason::Length | FinishReason::ContextWindow => "length",
        FinishReason::ToolCalls => "tool_calls",
        FinishReason::ContentFilter | FinishReason::Refusal => "content_filter",
        FinishReason::Other(reason) => reason,
    }
}

/// Writes an answer.
#[must_use]
pub fn encode(response: &ChatResponse) -> Bytes {
    let own = response.format == Format::OpenAiChat;
    object(|body| {
        body.string(
            "id",
            if response.id.is_empty() {
                "chatcmpl-0"
            } else {
                &response.id
            },
        );
        body.string("object", "chat.completion");
        body.count("created", response.created.unwrap_or_else(now));
        body.string("model", &response.model);
        body.list("choices", |list| {
            for choice in &response.choices {
                list.object(|object| write_choice(object, choice, response.format));
            }
        });
        match (&response.usage_native, &response.usage) {
            (Some(native), _) if own => body.raw("usage", native.as_str()),
            (_, Some(usage)) => body.object("usage", |object| write_usage(object, usage)),
            _ => {}
        }
        body.maybe_string("service_tier", response.service_tier.as_deref().filter(|_| own));
        if own {
            body.extra(&response.extra);
        }
    })
    .into()
}

fn write_choice(object: &mut Object<'_>, choice: &Choice, from: Format) {
    let own = from == Format::OpenAiChat;
    object.count("index", u64::from(choice.index));
    object.object("message", |message| {
        message.string("role", "assistant");
        write_said(message, &choice.parts, own);
        if own {
            message.extra(&choice.message_extra);
        }
    });
    match &choice.logprobs {
        // The form has them in this format's shape.
        Some(logprobs) => object.raw("logprobs", logprobs.as_str()),
        None => object.raw("logprobs", "null"),
    }
    match &choice.finish {
        Some(reason) => object.string("finish_reason", finish_name(reason)),
        None => object.raw("finish_reason", "null"),
    }
    if own {
        object.extra(&choice.extra);
    }
}

fn write_said(message: &mut Object<'_>, all: &[Part], own: bool) {
    let mut text = String::new();
    let mut has_text = false;
    let mut refusal = None;
    for part in all {
        match &part.kind {
            PartKind::Text(said) => {
                has_text = true;
                text.push_str(&said.text);
            }
            PartKind::Refusal(said) => refusal = Some(said.clone()),
            _ => {}
        }
    }
    if has_text {
        message.string("content", &text);
    } else {
        message.raw("content", "null");
    }
    match refusal {
        Some(refusal) => message.string("refusal", &refusal),
        None => message.raw("refusal", "null"),
    }
    write_reasoning(message, all);
    let calls = || {
        all.iter().filter_map(|part| {
            if let PartKind::ToolCall(call) = &part.kind {
                Some((part, call))
            } else {
                None
            }
        })
    };
    if calls().next().is_some() {
        message.list("tool_calls", |list| {
            calls().for_each(|(part, call)| parts::write_tool_call(list, part, call, own));
        });
    }
    for part in all {
        if let PartKind::Audio(audio) = &part.kind {
            message.object("audio", |object| {
                object.maybe_string("id", audio.id.as_deref());
                object.string("data", &audio.data);
                if own {
                    object.extra(&part.extra);
                }
            });
        }
    }
}

/// Unix seconds, for answers of providers that do not tell the time.
#[must_use]
pub fn now() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |time| time.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_skim_knows_what_reading_in_full_knows() {
        let whole = r#"{"id":"x","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"new":{"a":[1]}}],
            "usage":{"prompt_tokens":9,"completion_tokens":3,"prompt_tokens_details":{"cached_tokens":4}},"service_tier":"flex"}"#;
        let body = Bytes::from_static(whole.as_bytes());
        let (skim, full) = (skim(&body).unwrap(), decode(&body).unwrap());
        assert_eq!(
            (Some(skim.usage), skim.service_tier),
            (full.usage, full.service_tier)
        );
    }

    #[test]
    fn what_is_not_plain_is_read_in_full() {
        for odd in [
            "",
            "[]",
            r#"{"error":{"message":"no"},"usage":{}}"#,
            r#"{"choices":[],"usage":{}}"#,
            r#"{"choices":[{"message":{}}]}"#,
            r#"{"choices":[{"message":{}}],"usage":null}"#,
            r#"{"choices":[{"message":{}}],"usage":{"prompt_tokens":"9"}}"#,
            r#"{"choices":[{"message":null}],"usage":{}}"#,
            r#"{"choices":[{"message":{}}],"usage":{},"service_tier":1}"#,
            r#"{"choices":[{"message":{}}],"usage":{}"#,
        ] {
            assert!(skim(&Bytes::from_static(odd.as_bytes())).is_none(), "{odd}");
        }
    }
}
