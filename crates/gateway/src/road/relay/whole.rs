//! Whole answers: from a provider, from the cache, or from the configuration itself.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::future::BoxFuture;
use http::StatusCode;
use pointsman_catalog::ServiceTier;
use pointsman_guard::{Shown, Sort, Stage};
use pointsman_store::Outcome;
use pointsman_wire::form::{ChatResponse, Failure, StreamEvent, Usage};
use pointsman_wire::format::{self, Format, Skim, StreamEncoderOptions};
use pointsman_wire::json::Json;
use pointsman_wire::splice::Edits;
use pointsman_wire::text::TextStage;
use pointsman_wire::{replay, text, tokens};

use super::super::arrive::Asked;
use super::super::follow;
use super::super::grounds;
use super::super::guard;
use super::super::hallucination::Check;
use super::super::recall::{self, Recalled};
use super::super::settle::Ending;
use super::super::suspect;
use super::super::transform;
use super::super::{Arrival, Refusal, Ticket};
use super::headers;
use crate::reply::{self, Reply, ReplyBody};

/// An answer as a provider gave it.
pub struct Given {
    /// What it says.
    pub response: ChatResponse,
    /// Its bytes, where they are in the client's format.
    pub native: Option<Bytes>,
}

/// Judges, settles and hands on a provider's answer.
pub async fn relay(
    arrival: &Arrival,
    asked: &Asked,
    mut ticket: Ticket,
    mut given: Given,
) -> Result<Reply, Refusal> {
    if let Some(tier) = &given.response.service_tier {
        ticket.facts.tier = ServiceTier::said(Some(tier));
    }
    let usage = given
        .response
        .usage
        .unwrap_or_else(|| count(asked, &given.response));
    let estimated = given.response.usage.is_none();
    ticket.owes(&usage);
    let judged = match rewritten((arrival, asked), &mut given.response, &mut ticket).await {
        Ok(changed) => asked.check.as_ref().map_or(Ok(changed), |check| {
            let warned = check.whole(&mut given.response, &mut ticket)?;
            Ok(changed || warned)
        }),
        blocked => blocked,
    };
    match judged {
        Err(failure) => {
            let Ending { outcome, status, .. } = ticket.refusal(&failure);
            let ending = Ending {
                outcome,
                status,
                usage,
                estimated,
                error: Some(failure.clone()),
            };
            return Err(ticket.withhold(failure, &ending));
        }
        Ok(true) => given.native = None,
        Ok(false) => {}
    }
    if estimated && given.native.is_none() || usage != ticket.used(&usage) {
        // The client pays for all that was asked, and for what was counted where nobody has said it, and is told so.
        given.response.usage = Some(ticket.used(&usage));
        given.response.usage_native = None;
    }
    follow::capture(&mut ticket, &given.response);
    // What is suspected of an answer is told with it, and not with its copies.
    let may_keep = Check::may_keep(&ticket) && ticket.facts.suspicion.is_none();
    if let Some(place) = asked.place.as_ref().filter(|_| may_keep) {
        recall::keep(&ticket, place, &given.response, &usage);
    }
    if guard::restore(&asked.placeholders, &mut given.response) {
        given.native = None;
    }
    if let Some(id) = &asked.answer_id {
        given.response.id = id.clone();
    }
    let mut reply = if asked.request.stream.enabled {
        streamed(asked, &given.response)
    } else {
        let native = given.native;
        let body =
            native.unwrap_or_else(|| format::encode_answer(asked.format, &given.response, &asked.request));
        reply::json_bytes(StatusCode::OK, with_field(asked, body))
    };
    headers::describe(reply.headers_mut(), &ticket, Some(ticket.cost(&usage)));
    ticket.settle(&Ending::complete(usage, estimated))?;
    Ok(reply)
}

/// Has an answer rewritten, where that is wanted, and judged; whether it was changed.
///
/// # Errors
/// When a guardrail blocks, or it could not be rewritten and may not go as it is.
async fn rewritten(
    (arrival, asked): (&Arrival, &Asked),
    response: &mut ChatResponse,
    ticket: &mut Ticket,
) -> Result<bool, Failure> {
    let (mut changed, mut number) = (false, 0);
    let transforming = asked.transforming.as_ref();
    for one in transforming
        .iter()
        .flat_map(|transforming| &transforming.response)
    {
        // Whoever rewrites sees nothing that a guardrail blocks or replaces.
        changed |= guarded((arrival, asked), response, ticket).await?;
        let rewriting: BoxFuture<'_, _> = Box::pin(transform::response(
            (arrival, asked),
            one,
            response,
            (ticket, &mut number),
        ));
        changed |= rewriting.await?;
    }
    changed |= judge((arrival, asked), response, ticket).await?;
    Ok(changed)
}

/// Settles and hands on an answer of which nobody looks at more than what it used.
pub fn pass(mut ticket: Ticket, bytes: Bytes, skim: &Skim) -> Result<Reply, Refusal> {
    if let Some(tier) = &skim.service_tier {
        ticket.facts.tier = ServiceTier::said(Some(tier));
    }
    let mut reply = reply::json_bytes(StatusCode::OK, bytes);
    headers::describe(reply.headers_mut(), &ticket, Some(ticket.cost(&skim.usage)));
    ticket.settle(&Ending::complete(skim.usage, false))?;
    Ok(reply)
}

/// Gives a remembered answer again.
pub fn replay(asked: &Asked, mut ticket: Ticket, found: &Recalled) -> Result<Reply, Refusal> {
    let usage = found.answer.response.usage.unwrap_or_default();
    ticket.remembered_from(found);
    give(
        asked,
        ticket,
        &found.answer.response,
        Ending {
            outcome: Outcome::Cached,
            status: 200,
            usage,
            estimated: false,
            error: None,
        },
    )
}

/// Gives an answer of the configuration's own.
pub fn speak(asked: &Asked, ticket: Ticket, response: &ChatResponse) -> Result<Reply, Refusal> {
    let usage = Usage::default();
    give(asked, ticket, response, Ending::complete(usage, false))
}

fn give(asked: &Asked, ticket: Ticket, response: &ChatResponse, ending: Ending) -> Result<Reply, Refusal> {
    let mut own = None;
    if asked.answer_id.is_some() || asked.placeholders.is_restorable() {
        let mut changed = response.clone();
        if let Some(id) = &asked.answer_id {
            changed.id = id.clone();
        }
        guard::restore(&asked.placeholders, &mut changed);
        own = Some(changed);
    }
    let response = own.as_ref().unwrap_or(response);
    let mut reply = if asked.request.stream.enabled {
        streamed(asked, response)
    } else {
        reply::json_bytes(
            StatusCode::OK,
            format::encode_answer(asked.format, response, &asked.request),
        )
    };
    headers::describe(reply.headers_mut(), &ticket, Some(pointsman_catalog::Money::ZERO));
    ticket.settle(&ending)?;
    Ok(reply)
}

/// The body of an answer with the field that is told beside it.
fn with_field(asked: &Asked, body: Bytes) -> Bytes {
    let field = asked.beside.as_ref().and_then(|beside| beside.field.as_ref());
    let Some((name, json)) = field.filter(|_| asked.format == Format::OpenAiChat) else {
        return body;
    };
    let mut edits = Edits::new();
    edits.set(name, json.as_str());
    // An answer that we have written is an object.
    edits.apply(&body).unwrap_or(body)
}

/// The same as an event of a stream; other formats leave it out.
pub fn field_event(asked: &Asked) -> Option<StreamEvent> {
    let (name, json) = asked.beside.as_ref()?.field.as_ref()?;
    let json = Json::object(|object| object.raw(name, json.as_str()));
    Some(StreamEvent::Opaque {
        format: Format::OpenAiChat,
        event: None,
        json,
    })
}

/// A whole answer, told as a stream.
fn streamed(asked: &Asked, response: &ChatResponse) -> Reply {
    let options = StreamEncoderOptions {
        model: asked.request.model.clone(),
        include_usage: asked.request.stream.include_usage,
    };
    let mut encoder =
        format::stream_encoder(asked.format, options).answering(&asked.request, response.format);
    let mut bytes = BytesMut::new();
    for event in replay::events(response) {
        encoder.encode(&event, &mut bytes);
        if let (StreamEvent::Start { .. }, Some(field)) = (&event, field_event(asked)) {
            encoder.encode(&field, &mut bytes);
        }
    }
    let mut reply = Reply::new(ReplyBody::Whole(Some(asked.framing.whole(bytes.freeze()))));
    asked.framing.describe(reply.headers_mut());
    reply
}

/// Shows the answer to the output guardrails, and to whoever else judges it by what was decided; true when it was changed.
///
/// # Errors
/// When one of them blocks.
pub async fn judge(
    of: (&Arrival, &Asked),
    response: &mut ChatResponse,
    ticket: &mut Ticket,
) -> Result<bool, Failure> {
    let changed = guarded(of, response, ticket).await?;
    suspect::judge(of, response, ticket).await?;
    Ok(changed)
}

async fn guarded(
    (arrival, asked): (&Arrival, &Asked),
    response: &mut ChatResponse,
    ticket: &mut Ticket,
) -> Result<bool, Failure> {
    if asked.guards.for_stage(Stage::Output).is_empty() {
        return Ok(false);
    }
    let mut texts = Vec::new();
    text::rewrite_response(response, |location, text| {
        let sort = match guard::sort(location.stage) {
            Sort::Model if location.stage == TextStage::Thinking => Sort::Thought,
            // What it says now comes from outside.
            Sort::Model => Sort::Foreign,
            sort => sort,
        };
        texts.push(Shown {
            text: text.into(),
            sort,
            stage: Stage::Output,
        });
        None
    });
    let worker = Arc::clone(ticket.worker());
    let compares = asked.guards.for_stage(Stage::Output).compares();
    let grounds = compares.then(|| grounds::of(&asked.request));
    let shown = (texts, grounds.as_ref());
    let reviewed = guard::review_answer((&worker, arrival), &asked.guards, shown, &asked.placeholders).await;
    ticket.judged(&reviewed);
    let mut each = guard::fixed(reviewed)?.into_iter();
    let changed = text::rewrite_response(response, |_, _| each.next().flatten());
    if changed {
        // They spell out once more what was said before.
        let choices = response.choices.iter_mut();
        choices.for_each(|choice| choice.logprobs = None);
    }
    Ok(changed)
}

/// Counts what the provider did not.
pub fn count(asked: &Asked, response: &ChatResponse) -> Usage {
    let mut output = 0;
    text::response_texts(response, |_, text| output += tokens::estimate(text));
    Usage {
        input: asked.prompt_tokens,
        output,
        ..Usage::default()
    }
}
