//! A streamed response: told under the gateway's id as it comes, kept before its end is told.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use http_body::Body;
use pointsman_wire::failure;
use pointsman_wire::form::{Failure, FailureKind};
use pointsman_wire::format::Format;
use pointsman_wire::splice::Edits;
use pointsman_wire::sse::{SseDecoder, SseEvent};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::turn::Turn;
use crate::reply::{Reply, ReplyBody};
use crate::worker::Worker;

/// An event that tells how the response stands.
#[derive(Deserialize)]
pub struct Told<'a> {
    #[serde(borrow)]
    r#type: Option<Cow<'a, str>>,
    /// Its number, where it has one.
    pub sequence_number: Option<u64>,
    /// The response as it stands, where the event tells it.
    #[serde(borrow)]
    pub response: Option<&'a RawValue>,
    /// Why it failed, where the event tells that.
    #[serde(borrow)]
    pub code: Option<Cow<'a, str>>,
    /// As `code`, for people.
    #[serde(borrow)]
    pub message: Option<Cow<'a, str>>,
}

impl Told<'_> {
    /// What the event is called.
    pub fn kind(&self) -> &str {
        self.r#type.as_deref().unwrap_or_default()
    }

    /// Whether it ends the response.
    pub fn is_end(&self) -> bool {
        matches!(
            self.kind(),
            "response.completed" | "response.incomplete" | "response.failed"
        )
    }
}

/// Whether an event of this name tells the response as it stands.
fn tells_response(name: Option<&str>) -> bool {
    name.is_none_or(|name| {
        matches!(
            name,
            "response.created"
                | "response.queued"
                | "response.in_progress"
                | "response.completed"
                | "response.incomplete"
                | "response.failed"
        )
    })
}

/// An event of this name and data, as it goes over the wire.
pub fn event(name: Option<&str>, data: &str) -> String {
    let mut out = String::with_capacity(data.len() + 64);
    if let Some(name) = name {
        out.push_str("event: ");
        out.push_str(name);
        out.push('\n');
    }
    for line in data.split('\n') {
        out.push_str("data: ");
        out.push_str(line);
        out.push('\n');
    }
    out.push('\n');
    out
}

/// An event's data with another response in it, and perhaps another number.
pub fn with(data: &str, response: Option<&str>, number: Option<u64>) -> String {
    let mut edits = Edits::new();
    if let Some(response) = response {
        edits.set("response", response);
    }
    if let Some(number) = number {
        edits.set("sequence_number", number.to_string());
    }
    let edited = edits.apply(&Bytes::copy_from_slice(data.as_bytes()));
    let text = edited
        .ok()
        .and_then(|edited| String::from_utf8(edited.to_vec()).ok());
    text.unwrap_or_else(|| data.to_owned())
}

/// The stream of a turn, kept on its way to the client.
pub fn keep(worker: &Arc<Worker>, turn: Turn, reply: Reply) -> Reply {
    let (parts, body) = reply.into_parts();
    let keeping = Keeping {
        worker: Arc::clone(worker),
        turn: Some(turn),
        body,
        decoder: SseDecoder::default(),
        events: Vec::new(),
        ready: VecDeque::new(),
    };
    Reply::from_parts(parts, ReplyBody::Told(keeping.boxed()))
}

struct Keeping {
    worker: Arc<Worker>,
    /// Gone once the response has ended, and its conversation is free.
    turn: Option<Turn>,
    body: ReplyBody,
    decoder: SseDecoder,
    events: Vec<SseEvent>,
    ready: VecDeque<Bytes>,
}

impl Stream for Keeping {
    type Item = Bytes;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        loop {
            if let Some(bytes) = self.ready.pop_front() {
                return Poll::Ready(Some(bytes));
            }
            match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                None => return Poll::Ready(None),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.take_in(&data);
                    }
                }
                Some(Err(never)) => match never {},
            }
        }
    }
}

impl Keeping {
    fn take_in(&mut self, data: &Bytes) {
        let mut events = std::mem::take(&mut self.events);
        // Events were read or written here before; what is no event (a ping) goes on as it is.
        let understood = self.decoder.push(data, &mut events).is_ok();
        if !understood || (events.is_empty() && self.decoder.is_between_events()) {
            self.ready.push_back(data.clone());
        }
        let mut out = String::new();
        for told in events.drain(..) {
            let data = self.event(&told);
            match data {
                Ok(data) => out.push_str(&event(told.event.as_deref(), &data)),
                Err((failure, number)) => {
                    let mut bytes = BytesMut::new();
                    failure::render_event_at(Format::OpenAiResponses, &failure, ("", number), &mut bytes);
                    out.push_str(std::str::from_utf8(&bytes).unwrap_or_default());
                }
            }
        }
        if !out.is_empty() {
            self.ready.push_back(out.into());
        }
        self.events = events;
    }

    /// The data of an event as the client is told it; or why it cannot be, and the number it had.
    fn event<'a>(&mut self, told: &'a SseEvent) -> Result<Cow<'a, str>, (Failure, u64)> {
        let data: &'a str = &told.data;
        let Some(turn) = self
            .turn
            .as_ref()
            .filter(|_| tells_response(told.event.as_deref()))
        else {
            return Ok(Cow::Borrowed(data));
        };
        let Ok(read) = serde_json::from_str::<Told<'_>>(data) else {
            return Ok(Cow::Borrowed(data));
        };
        let Some(response) = read.response else {
            return Ok(Cow::Borrowed(data));
        };
        if !read.is_end() {
            let shaped = turn.shape(response.get(), turn.kept);
            return Ok(Cow::Owned(with(data, shaped.as_deref(), None)));
        }
        let shaped = turn.end(&self.worker, response.get());
        self.turn = None;
        shaped
            .map(|shaped| Cow::Owned(with(data, Some(&shaped), None)))
            .map_err(|failure| (failure, read.sequence_number.unwrap_or(0)))
    }
}

/// The failure that an `error` event tells.
pub fn failure_of(told: &Told<'_>) -> Failure {
    let message = told.message.as_deref().unwrap_or("the provider's stream failed");
    let failure = Failure::new(FailureKind::Provider, message);
    match told.code.as_deref() {
        Some(code) => failure.coded(code),
        None => failure,
    }
}
