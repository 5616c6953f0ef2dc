//! Completion answers.

use bytes::Bytes;

use crate::form::{ChatResponse, Choice, Extra, Part, PartKind, Text, Usage};
use crate::format::{DecodeError, Format};
use crate::json::fields::{Value, parse};
use crate::json::write::object;
use crate::openai::response::{finish_name, now, read_finish};
use crate::openai::{read_usage, write_usage};

/// Reads an answer.
///
/// # Errors
/// When it is not one.
pub fn decode(body: &Bytes) -> Result<ChatResponse, DecodeError> {
    let body = Text::try_from(body.clone()).map_err(|_| DecodeError::plain("the body is not UTF-8"))?;
    let value = parse(&body)?;
    let mut fields = value.fields()?;
    let choices = fields.need("choices", |choices| choices.list(|choice| read_choice(&choice)))?;
    let mut usage: Option<Usage> = None;
    let usage_native = fields.take("usage", |value| {
        usage = Some(read_usage(&value)?);
        Ok(value.json())
    })?;
    let _ = fields.take("object", |_| Ok(()))?;
    Ok(ChatResponse {
        format: Format::OpenAiCompletions,
        id: fields.take("id", |id| id.string())?.unwrap_or_default(),
        model: fields.take("model", |model| model.string())?.unwrap_or_default(),
        created: fields.take("created", |created| created.count())?,
        choices,
        usage,
        usage_native,
        service_tier: None,
        extra: fields.rest(),
    })
}

fn read_choice(value: &Value<'_>) -> Result<Choice, DecodeError> {
    let mut fields = value.fields()?;
    let index = fields.take("index", |index| index.count())?.unwrap_or(0);
    let text = fields.need("text", |text| text.string())?;
    Ok(Choice {
        index: u32::try_from(index).unwrap_or(u32::MAX),
        parts: vec![Part::text(text)],
        finish: fields.take("finish_reason", |reason| Ok(read_finish(&reason.string()?)))?,
        stop_sequence: None,
        logprobs: fields.take("logprobs", |logprobs| Ok(logprobs.json()))?,
        extra: fields.rest(),
        message_extra: Extra::default(),
    })
}

/// Writes an answer: the text of each choice.
#[must_use]
pub fn encode(response: &ChatResponse) -> Bytes {
    let own = response.format == Format::OpenAiCompletions;
    object(|body| {
        body.string(
            "id",
            if response.id.is_empty() {
                "cmpl-0"
            } else {
                &response.id
            },
        );
        body.string("object", "text_completion");
        body.count("created", response.created.unwrap_or_else(now));
        body.string("model", &response.model);
        body.list("choices", |list| {
            for choice in &response.choices {
                list.object(|object| {
                    object.count("index", u64::from(choice.index));
                    object.string("text", &text_of(choice));
                    match choice.logprobs.as_ref().filter(|_| own) {
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
                });
            }
        });
        match (&response.usage_native, &response.usage) {
            (Some(native), _) if own => body.raw("usage", native.as_str()),
            (_, Some(usage)) => body.object("usage", |object| write_usage(object, usage)),
            _ => {}
        }
        if own {
            body.extra(&response.extra);
        }
    })
    .into()
}

fn text_of(choice: &Choice) -> String {
    let mut all = String::new();
    for part in &choice.parts {
        if let PartKind::Text(text) = &part.kind {
            all.push_str(&text.text);
        }
    }
    all
}
