//! Stage *relay*: the answer on its way back, guarded, in the client's format, as it comes.
//!
//! A stream's bytes pass through untouched where provider and client speak the same format and nothing must be
//! judged or remembered ([`Pipe::Same`]); else its events are decoded, guarded and encoded ([`Pipe::Across`]). Either
//! way a stream ends in one of two manners: with the format's terminator, after it was settled; or with the format's
//! error event. Never with silence.

mod across;
mod framing;
mod headers;
mod judges;
mod listener;
mod pipe;
mod whole;

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::stream::{BoxStream, StreamExt};
use http::StatusCode;
use http_body::Body;
use pointsman_store::Outcome;
use pointsman_upstream::{Failure as Fault, InFlight, UpstreamBody};
use pointsman_wire::coding;
use pointsman_wire::failure;
use pointsman_wire::form::{Failure, FailureKind};
use pointsman_wire::format::Format;

use super::arrive::Asked;
use super::send::Answer;
use super::settle::Ending;
use super::{Arrival, Refusal, Ticket};
use crate::reply::{Reply, ReplyBody};
use framing::Framer;

pub use framing::Framing;
pub use headers::{describe, limits};
pub use pipe::Pipe;
pub use whole::{count, judge, replay, speak};

/// A streamed answer between provider and client.
pub struct Relay {
    /// Gone once the client has all it gets.
    body: Option<Origin>,
    coding: Option<coding::Decoder>,
    pipe: Pipe,
    /// What may go to the client.
    ready: VecDeque<Bytes>,
    /// Puts it on the wire as the client wants it.
    framer: Framer,
    flow: Flow,
    /// Settles the stream; absent until the stream is handed to the client.
    ticket: Option<Ticket>,
    /// Counts the stream as load of its endpoint until it ends.
    in_flight: Option<InFlight>,
    client: Client,
}

/// Where a stream comes from.
pub enum Origin {
    /// A provider.
    Provider(UpstreamBody),
    /// An agent, as a provider would have told it.
    Agent(BoxStream<'static, Result<Bytes, Broken>>),
}

/// Why a stream broke: for the client, and for who judges its origin.
pub type Broken = (Failure, Fault);

impl From<UpstreamBody> for Origin {
    fn from(body: UpstreamBody) -> Self {
        Self::Provider(body)
    }
}

impl From<BoxStream<'static, Result<Bytes, Broken>>> for Origin {
    fn from(told: BoxStream<'static, Result<Bytes, Broken>>) -> Self {
        Self::Agent(told)
    }
}

/// Pieces that are gathered before they are handed on, at most, when they come faster than they can be.
const TOGETHER: usize = 32;
/// Bytes of what is handed on together, at most.
const PIECE: usize = 16 * 1024;
/// How long the rest of a stream may take after its terminator.
const REST: Duration = Duration::from_millis(500);

/// How far a stream has come.
enum Flow {
    /// More is to come.
    Open,
    /// The terminator was seen; what is ready is the rest.
    Ended,
    /// It broke; the client must be told.
    Broken(Failure),
    /// Nothing more goes to the client.
    Closed,
}

/// Whom and how to tell.
struct Client {
    dialect: Format,
    request_id: String,
}

impl Relay {
    /// A relay that has not read anything.
    pub fn new(
        (arrival, asked): (&Arrival, &Asked),
        body: impl Into<Origin>,
        coding: Option<coding::Decoder>,
        pipe: Pipe,
    ) -> Self {
        Self {
            body: Some(body.into()),
            coding,
            pipe,
            ready: VecDeque::new(),
            framer: asked.framing.framer(),
            flow: Flow::Open,
            ticket: None,
            in_flight: None,
            client: Client {
                dialect: arrival.surface.dialect,
                request_id: arrival.id.clone(),
            },
        }
    }

    /// Counts as load of the endpoint until the stream ends.
    pub fn hold(&mut self, in_flight: InFlight) {
        self.in_flight = Some(in_flight);
    }

    /// Reads up to the first content, or the end of an answer without any.
    ///
    /// # Errors
    /// When the stream breaks, fails or takes longer than `limit` before that: somebody else can still be asked.
    pub async fn until_content(&mut self, limit: Option<Duration>) -> Result<(), Broken> {
        let reading = poll_fn(|context| self.poll_content(context));
        match limit {
            None => reading.await,
            Some(limit) => tokio::time::timeout(limit, reading).await.unwrap_or_else(|_| {
                let failure = Failure::new(
                    FailureKind::ProviderTimeout,
                    "the provider's first token did not come in time",
                );
                Err((failure, Fault::SlowFirstToken))
            }),
        }
    }

    fn poll_content(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        loop {
            let content = match ready!(self.poll_step(context)) {
                Ok(content) => content,
                Err((failure, fault)) => return Poll::Ready(Err((failure, fault))),
            };
            match std::mem::replace(&mut self.flow, Flow::Open) {
                Flow::Broken(failure) => return Poll::Ready(Err((failure, Fault::Protocol))),
                Flow::Open if !content => {}
                flow => {
                    self.flow = flow;
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }

    /// Reads one chunk into `ready`; says whether it held content.
    fn poll_step(&mut self, context: &mut Context<'_>) -> Poll<Result<bool, Broken>> {
        let Some(body) = &mut self.body else {
            return Poll::Ready(self.end());
        };
        let body = match body {
            Origin::Provider(body) => body,
            Origin::Agent(told) => {
                return Poll::Ready(match ready!(told.poll_next_unpin(context)) {
                    Some(told) => told.and_then(|data| self.take(data)),
                    None => self.end(),
                });
            }
        };
        let frame = ready!(Pin::new(body).poll_frame(context));
        Poll::Ready(match frame {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => self.take(data),
                Err(_) => Ok(false),
            },
            Some(Err(error)) => {
                let fault = Fault::from(&error);
                let kind = super::send::kind_of(&fault);
                Err((
                    Failure::new(kind, format!("the provider's stream broke: {error}")),
                    fault,
                ))
            }
            None => self.end(),
        })
    }

    fn take(&mut self, data: Bytes) -> Result<bool, Broken> {
        let data = match &mut self.coding {
            None => data,
            Some(coding) => coding.push(&data).map_err(|error| {
                (
                    Failure::new(FailureKind::Provider, error.to_string()),
                    Fault::Protocol,
                )
            })?,
        };
        let seen = self
            .pipe
            .take(data, &mut self.ready)
            .map_err(|failure| (failure, Fault::Protocol))?;
        if let Some(failure) = seen.failure {
            self.flow = Flow::Broken(failure);
        } else if seen.ended {
            self.flow = Flow::Ended;
        }
        Ok(seen.content)
    }

    fn end(&mut self) -> Result<bool, Broken> {
        if !matches!(self.flow, Flow::Open) {
            return Ok(false);
        }
        self.pipe
            .finish(&mut self.ready)
            .map_err(|failure| (failure, Fault::Cut))?;
        self.flow = Flow::Ended;
        Ok(false)
    }

    /// The next bytes for the client.
    pub fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        loop {
            match std::mem::replace(&mut self.flow, Flow::Open) {
                // What has come together goes out together: each piece for itself would be a write of its own.
                Flow::Open if self.ready.len() >= TOGETHER => return Poll::Ready(self.next_ready()),
                Flow::Open => match self.poll_step(context) {
                    Poll::Ready(Ok(_)) => {}
                    Poll::Ready(Err((failure, fault))) => {
                        self.blame(fault);
                        self.flow = Flow::Broken(failure);
                    }
                    Poll::Pending => {
                        return self
                            .next_ready()
                            .map_or(Poll::Pending, |bytes| Poll::Ready(Some(bytes)));
                    }
                },
                Flow::Ended => {
                    self.flow = Flow::Ended;
                    self.settle_end();
                    if let Some(bytes) = self.next_ready() {
                        return Poll::Ready(Some(bytes));
                    }
                    self.flow = Flow::Closed;
                }
                Flow::Broken(failure) => {
                    self.settle_broken(&failure);
                    self.tell(&failure);
                    self.flow = Flow::Closed;
                }
                Flow::Closed => {
                    self.flow = Flow::Closed;
                    if let Some(bytes) = self.next_ready().or_else(|| self.framer.close()) {
                        return Poll::Ready(Some(bytes));
                    }
                    self.leave_rest(context);
                    return Poll::Ready(None);
                }
            }
        }
    }

    /// What may go to the client, in one piece as far as that is not large.
    fn next_ready(&mut self) -> Option<Bytes> {
        let first = self.next_framed()?;
        let fits = |at: usize, next: &Bytes| at + next.len() <= PIECE;
        if self.ready.front().is_none_or(|next| !fits(first.len(), next)) {
            return Some(first);
        }
        let rest: usize = self.ready.iter().map(Bytes::len).sum();
        let mut piece = BytesMut::with_capacity((first.len() + rest).min(PIECE));
        piece.extend_from_slice(&first);
        while self.ready.front().is_some_and(|next| fits(piece.len(), next)) {
            piece.extend_from_slice(&self.next_framed().unwrap_or_default());
        }
        Some(piece.freeze())
    }

    fn next_framed(&mut self) -> Option<Bytes> {
        while let Some(bytes) = self.ready.pop_front() {
            let framed = self.framer.frame(bytes);
            if !framed.is_empty() {
                return Some(framed);
            }
        }
        None
    }

    /// Tells the endpoint's health that the stream broke.
    fn blame(&mut self, fault: Fault) {
        if let Some(ticket) = &mut self.ticket {
            let provider = ticket.facts.asked.as_ref().map(|asked| asked.provider.clone());
            ticket.failed(&provider.unwrap_or_default(), &fault);
        }
        if let Some(in_flight) = self.in_flight.as_mut().filter(|_| fault.is_endpoint_fault()) {
            in_flight.record(
                pointsman_upstream::Outcome::Failure(fault),
                std::time::Instant::now(),
            );
        }
    }

    /// The client has all it gets. What is left on the wire after a terminator is a few bytes of framing: read, they
    /// let the connection serve again.
    fn leave_rest(&mut self, context: &mut Context<'_>) {
        let Some(Origin::Provider(mut body)) = self.body.take() else {
            return;
        };
        if let Poll::Ready(None | Some(Err(_))) = Pin::new(&mut body).poll_frame(context) {
            return;
        }
        tokio::spawn(tokio::time::timeout(REST, async move {
            while let Some(Ok(_)) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {}
        }));
    }

    /// Settles before the end can be seen. If it cannot be recorded, the end is taken back.
    fn settle_end(&mut self) {
        let Some(mut ticket) = self.ticket.take() else {
            return;
        };
        self.pipe.report(&mut ticket);
        let (usage, estimated) = self.pipe.usage();
        let ending = Ending::complete(usage, estimated);
        self.pipe.remember(&mut ticket);
        if let Err(refusal) = ticket.settle(&ending) {
            self.ready.clear();
            self.tell(&refusal.failure);
            self.flow = Flow::Closed;
        }
    }

    fn settle_broken(&mut self, failure: &Failure) {
        let Some(mut ticket) = self.ticket.take() else {
            return;
        };
        self.pipe.report(&mut ticket);
        let (usage, estimated) = self.pipe.usage();
        let outcome = if failure.kind == FailureKind::PermissionDenied {
            Outcome::Blocked
        } else {
            Outcome::ProviderFailed
        };
        let ending = Ending {
            outcome,
            status: 200,
            usage,
            estimated,
            error: Some(failure.clone()),
        };
        // The client is told of a failure either way.
        let _ = ticket.settle(&ending);
    }

    /// Ends the stream with the format's error event.
    fn tell(&mut self, failure: &Failure) {
        let mut event = BytesMut::new();
        let place = (self.client.request_id.as_str(), self.pipe.next_number());
        failure::render_event_at(self.client.dialect, failure, place, &mut event);
        self.ready.push_back(event.freeze());
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        // The client went away in the middle: what it was given is charged.
        let Some(mut ticket) = self.ticket.take() else {
            return;
        };
        self.pipe.report(&mut ticket);
        let (usage, estimated) = self.pipe.usage();
        let ending = Ending {
            outcome: Outcome::Cancelled,
            status: 499,
            usage,
            estimated,
            error: None,
        };
        let _ = ticket.settle(&ending);
    }
}

/// Sends the provider's answer on its way to the client.
///
/// # Errors
/// When a guardrail blocks a whole answer, or it cannot be recorded.
pub async fn relay(
    arrival: &Arrival,
    asked: &Asked,
    mut ticket: Ticket,
    answer: Answer,
) -> Result<Reply, Refusal> {
    match answer {
        Answer::Whole { response, native } => {
            let given = whole::Given {
                response: *response,
                native,
            };
            whole::relay(arrival, asked, ticket, given).await
        }
        Answer::Passing { bytes, skim } => whole::pass(ticket, bytes, &skim),
        Answer::Stream(mut relay) => {
            ticket.nothing_at_stake();
            let mut reply = Reply::new(ReplyBody::Whole(None));
            describe(reply.headers_mut(), &ticket, None);
            relay.ticket = Some(ticket);
            *reply.status_mut() = StatusCode::OK;
            asked.framing.describe(reply.headers_mut());
            *reply.body_mut() = ReplyBody::Relayed(relay);
            Ok(reply)
        }
    }
}
