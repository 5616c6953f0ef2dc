//! Whole answers of Converse. They name neither themselves nor the model.

use bytes::Bytes;

use super::model::Family;
use super::names::DocumentNames;
use super::usage::{read_usage, write_usage};
use super::write::{Pen, Place, write_content};
use super::{blocks, kept};
use crate::form::{ChatResponse, Choice, Extra, FinishReason, Part, PartKind, Text, Usage};
use crate::format::{DecodeError, Format};
use crate::json::Json;
use crate::json::fields::{Fields, Value, parse};
use crate::json::write::{Object, object};
use crate::rules::Losses;

/// The reason as written, where its name would come out as another.
const REASON: &str = "stopReason";

/// Reads a whole answer.
///
/// # Errors
/// When it is not one.
pub fn decode(body: &Bytes) -> Result<ChatResponse, DecodeError> {
    let body = Text::try_from(body.clone()).map_err(|_| DecodeError::plain("the body is not UTF-8"))?;
    let value = parse(&body)?;
    let mut fields = value.fields()?;
    let mut extra = Extra::default();
    let (parts, message_extra) = fields.need("output", |output| read_output(&output, &mut extra))?;
    let mut choice_extra = Extra::default();
    let finish = fields.take("stopReason", |reason| {
        let name = reason.string()?;
        let finish = read_finish(&name);
        if name != finish_name(&finish) {
            choice_extra.set(REASON, reason.json());
        }
        Ok(finish)
    })?;
    let mut usage: Option<Usage> = None;
    let usage_native = fields.take("usage", |value| {
        usage = Some(read_usage(&value)?);
        Ok(value.json())
    })?;
    let choice = Choice {
        index: 0,
        parts,
        finish,
        stop_sequence: stop_sequence(&fields),
        logprobs: None,
        extra: choice_extra,
        message_extra,
    };
    let service_tier = fields.take("serviceTier", |tier| {
        let mut tier = tier.fields()?;
        let name = tier.take("type", |kind| kind.string())?;
        kept::keep(&mut extra, "serviceTier", tier, name.is_some());
        Ok(name)
    })?;
    extra.0.extend(fields.rest().0);
    Ok(ChatResponse {
        format: Format::BedrockConverse,
        id: Text::new(),
        model: Text::new(),
        created: None,
        choices: vec![choice],
        usage,
        usage_native,
        service_tier: service_tier.flatten(),
        extra,
    })
}

fn read_output(value: &Value<'_>, extra: &mut Extra) -> Result<(Vec<Part>, Extra), DecodeError> {
    let mut fields = value.fields()?;
    let message = fields.need("message", |message| {
        let mut message = message.fields()?;
        let _ = message.take("role", |_| Ok(()))?;
        let parts = message.need("content", |content| blocks::read_content(&content))?;
        Ok((parts, message.rest()))
    })?;
    kept::keep(extra, "output", fields, true);
    Ok(message)
}

/// Which stop sequence came, where the client had the model's own field for it told.
fn stop_sequence(fields: &Fields<'_>) -> Option<Text> {
    let more = kept::fields_of(&fields.peek("additionalModelResponseFields")?);
    more.get("stop_sequence")?.read::<String>().ok().map(Text::from)
}

/// The reason of a `stopReason`.
#[must_use]
pub fn read_finish(reason: &Text) -> FinishReason {
    match reason.as_ref() {
        "end_turn" => FinishReason::Stop,
        "stop_sequence" => FinishReason::StopSequence,
        "max_tokens" => FinishReason::Length,
        "model_context_window_exceeded" => FinishReason::ContextWindow,
        "tool_use" => FinishReason::ToolCalls,
        "content_filtered" | "guardrail_intervened" => FinishReason::ContentFilter,
        "refusal" => FinishReason::Refusal,
        _ => FinishReason::Other(reason.clone()),
    }
}

/// The `stopReason` of a reason.
#[must_use]
pub fn finish_name(reason: &FinishReason) -> &str {
    match reason {
        FinishReason::Stop | FinishReason::PauseTurn => "end_turn",
        FinishReason::StopSequence => "stop_sequence",
        FinishReason::Length => "max_tokens",
        FinishReason::ContextWindow => "model_context_window_exceeded",
        FinishReason::ToolCalls => "tool_use",
        FinishReason::ContentFilter | FinishReason::Refusal => "content_filtered",
        FinishReason::Other(reason)
            if matches!(reason.as_ref(), "malformed_model_output" | "malformed_tool_use") =>
        {
            reason
        }
        // SDKs refuse reasons that they do not know.
        FinishReason::Other(_) => "end_turn",
    }
}

/// Writes a whole answer: the first choice, of which the format knows only one.
#[must_use]
pub fn encode(response: &ChatResponse) -> Bytes {
    let own = response.format == Format::BedrockConverse;
    let choice = response.choices.first();
    object(|body| {
        let inner = if own {
            kept::of(&response.extra, "output")
        } else {
            Extra::default()
        };
        body.object("output", |output| {
            output.object("message", |message| write_message(message, choice, own));
            kept::write(output, &inner, &[]);
        });
        match choice.map(|choice| (choice.extra.get(REASON).filter(|_| own), &choice.finish)) {
            Some((Some(reason), _)) => body.raw("stopReason", reason.as_str()),
            Some((None, Some(reason))) => body.string("stopReason", finish_name(reason)),
            Some((None, None)) if own => {}
            _ => body.string("stopReason", "end_turn"),
        }
        match (&response.usage_native, &response.usage) {
            (Some(native), _) if own => body.raw("usage", native.as_str()),
            (_, None) if own => {}
            (_, usage) => body.object("usage", |object| write_usage(object, &usage.unwrap_or_default())),
        }
        if own {
            write_own(body, response);
        } else {
            write_metrics(body);
        }
    })
    .into()
}

fn write_message(message: &mut Object<'_>, choice: Option<&Choice>, own: bool) {
    message.string("role", "assistant");
    // An answer is not refused: what has no counterpart is left out of it.
    let mut losses = Losses::default();
    let mut pen = Pen {
        own,
        family: Family::Other,
        caches: own,
        losses: &mut losses,
        names: DocumentNames::default(),
    };
    message.list("content", |list| {
        for part in choice.iter().flat_map(|choice| &choice.parts) {
            if !matches!(part.kind, PartKind::Audio(_)) || own {
                let _ = write_content(
                    list,
                    std::slice::from_ref(part),
                    Place::Model,
                    &"content",
                    &mut pen,
                );
            }
        }
    });
    if let Some(choice) = choice.filter(|_| own) {
        message.extra(&choice.message_extra);
    }
}

fn write_own(body: &mut Object<'_>, response: &ChatResponse) {
    let tier = response.extra.get("serviceTier").map(kept::fields_of);
    if response.service_tier.is_some() || tier.is_some() {
        body.object("serviceTier", |object| {
            object.maybe_string("type", response.service_tier.as_deref());
            object.extra(&tier.unwrap_or_default());
        });
    }
    kept::write(body, &response.extra, &["output", "serviceTier"]);
}

/// The format demands a time that the provider of another does not tell.
pub(super) fn write_metrics(body: &mut Object<'_>) {
    body.object("metrics", |metrics| metrics.count("latencyMs", 0));
}

/// The JSON of an event's or an answer's text; `null` where it is none.
pub(super) fn json_of(text: &str) -> Json {
    Json::parse(text.to_owned()).unwrap_or_else(|_| Json::null())
}
