//! Models as agents: the message takes the road of a chat, with all its stages, and its answer is told as an agent's.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use http_body_util::BodyExt;
use pointsman_a2a::call::Call;
use pointsman_a2a::config::ModelAgent;
use pointsman_a2a::error::{A2aError, Kind};
use pointsman_a2a::link;
use pointsman_a2a::spoken;
use pointsman_wire::format::Format;

use super::speech::Speech;
use super::{Desk, work};
use crate::reply::{Reply, ReplyBody};
use crate::road::{Arrival, Refusal, converse};
use crate::surface::{self, Delivery};

/// The surface that the message takes.
const CHAT: &str = "/v1/chat/completions";

/// Answers an operation.
///
/// # Errors
/// What is refused as any chat is: limits, models that are not allowed, guardrails.
pub async fn answer(
    desk: &Desk<'_>,
    speech: Speech,
    call: Call,
    model: &ModelAgent,
) -> Result<Reply, Refusal> {
    if let Err(circle) = link::may_go_on(desk.arrival.hops) {
        return Ok(speech.whole(Err(&circle.into())));
    }
    let body = match read(desk, call, model) {
        Ok(read) => read,
        Err(error) => return Ok(speech.whole(Err(&error))),
    };
    let (call, body) = body;
    let arrival = arrive(desk.arrival)?;
    let caller = Arc::clone(&desk.caller);
    let asked = (Format::OpenAiChat, Delivery::Whole);
    let reply = Box::pin(converse::travel(desk.worker, &arrival, caller, asked, body)).await?;
    let status = reply.status();
    let completion = match reply.into_body().collect().await {
        Ok(body) => body.to_bytes(),
        Err(never) => match never {},
    };
    let told = if status == StatusCode::OK {
        spoken::answered(&call, &completion, speech.version())
    } else {
        let why = format!("the model answered with {}", status.as_u16());
        Err(A2aError::new(Kind::Internal, why))
    };
    let told = told.as_deref();
    if !call.operation.is_streamed() {
        return Ok(speech.whole(told));
    }
    Ok(streamed(&speech, told))
}

fn read(desk: &Desk<'_>, mut call: Call, model: &ModelAgent) -> Result<(Call, Bytes), A2aError> {
    call.check()?;
    work::may_use(desk, &call)?;
    let body = spoken::asked(&call, model)?;
    Ok((call, body.to_string().into()))
}

/// The message as a chat that is asked. Nothing of its client's headers goes along.
fn arrive(arrival: &Arrival) -> Result<Arrival, Refusal> {
    let (uri, headers) = (Uri::from_static(CHAT), HeaderMap::new());
    let surface = surface::find(&Method::POST, &uri, &headers).map_err(|(failure, _)| failure)?;
    Ok(Arrival {
        method: Method::POST,
        uri,
        headers,
        surface,
        hops: arrival.hops.saturating_add(1),
        ..arrival.clone()
    })
}

/// An answer as the only event of a stream.
fn streamed(speech: &Speech, told: Result<&serde_json::value::RawValue, &A2aError>) -> Reply {
    let frames: Vec<_> = std::iter::once(speech.event(told))
        .chain(speech.end().filter(|_| told.is_ok()))
        .collect();
    let mut reply = Reply::new(ReplyBody::Framed(stream::iter(frames).boxed()));
    let headers = reply.headers_mut();
    headers.insert(header::CONTENT_TYPE, speech.stream_type());
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("no-cache, no-transform"),
    );
    reply
}
