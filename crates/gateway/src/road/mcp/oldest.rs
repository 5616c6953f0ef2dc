//! Clients of the transport of 2024-11-05: a stream of events, whose first one says where messages are posted, and on which
//! everything is answered.
//!
//! A stream is its key's alone, at the address where it was opened, and so is its session: it ends with its stream.

mod pipe;

use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode, Version as Http};
use pointsman_mcp::call::Asker;
use pointsman_mcp::error::RpcError;
use pointsman_mcp::link::Told;
use pointsman_mcp::message::{self, Incoming, Message, Request};
use pointsman_mcp::session::Session;
use pointsman_mcp::version::Version;
use tokio::sync::mpsc;

use super::judge::{Guardrails, judging};
use super::{Desk, accepted, door, sessions, stream, work};
use crate::reply::Reply;
use crate::road::refuse::{self, Origin};
use crate::road::{Arrival, Refusal};

pub use pipe::Pipes;
use pipe::{Events, Pipe};

/// Where such streams are.
const ROOT: &str = "/sse";
/// What the parameter is called that names a stream.
const STREAM: &str = "sessionId";
/// How long an error waits for a client that does not read.
const PATIENCE: Duration = Duration::from_secs(10);
/// The version of this transport. What came later is told to clients that ask for it.
const VERSION: &str = "2024-11-05";

/// Whether a request is for such a stream.
pub fn is_meant(arrival: &Arrival) -> bool {
    arrival.surface.path.starts_with(ROOT)
}

/// Answers whatever is asked at `/sse` and `/sse/{server}`.
pub async fn answer(desk: &Desk<'_>, body: &bytes::Bytes) -> Result<Result<Reply, RpcError>, Refusal> {
    match desk.arrival.method {
        Method::GET => Ok(open(desk)),
        Method::POST => post(desk, body).await,
        _ => Ok(Err(
            RpcError::request("use GET, or POST where it says").with(StatusCode::METHOD_NOT_ALLOWED)
        )),
    }
}

/// Opens a stream.
fn open(desk: &Desk<'_>) -> Result<Reply, RpcError> {
    if !door::takes(&desk.arrival.headers, "text/event-stream") {
        let error = RpcError::request("accept text/event-stream");
        return Err(error.with(StatusCode::NOT_ACCEPTABLE));
    }
    let pipes = &desk.worker.shared.lasting.pipes;
    let scope = desk.arrival.surface.model.clone();
    let opened = pipes.open((desk.owner(), scope), desk.hub.config.max_sessions)?;
    let place = format!("{}?{STREAM}={}", desk.arrival.uri.path(), opened.id);
    let events = Events::new(desk.worker, &desk.hub.board, opened, place);
    Ok(stream::reply(desk.worker, events))
}

/// Takes a message. What comes of it comes on the stream: whoever posts hears that it was taken.
async fn post(desk: &Desk<'_>, body: &bytes::Bytes) -> Result<Result<Reply, RpcError>, Refusal> {
    let message = match super::take(desk, body) {
        Ok(Incoming::One(message)) => message,
        Ok(Incoming::Batch(_)) => {
            return Ok(Err(RpcError::request("there are no batches on this transport")));
        }
        Err(error) => return Ok(Err(error)),
    };
    let named = named(desk.arrival.uri.query());
    let scope = desk.arrival.surface.model.as_deref();
    let pipes = &desk.worker.shared.lasting.pipes;
    let Some(pipe) = named.and_then(|id| pipes.find(id, (&desk.owner(), scope))) else {
        let error = RpcError::request("there is no such stream, or not any more: open one with GET");
        return Ok(Err(error.with(StatusCode::NOT_FOUND)));
    };
    if let Err(error) = taken(desk, &pipe, message).await? {
        // Whoever posts does not wait for whoever reads.
        let told = pipe.tell(error.answer(error.id.as_ref()));
        let _ = tokio::time::timeout(PATIENCE, told).await;
    }
    Ok(Ok(accepted()))
}

/// The stream that a query names.
fn named(query: Option<&str>) -> Option<&str> {
    let mut parameters = query?.split('&').filter_map(|one| one.split_once('='));
    parameters.find_map(|(name, value)| (name == STREAM).then_some(value))
}

async fn taken(desk: &Desk<'_>, pipe: &Arc<Pipe>, message: Message) -> Result<Result<(), RpcError>, Refusal> {
    let session = match (&message, pipe.session()) {
        (Message::Request(request), None) if request.method == "initialize" => {
            let begun = begin(desk, pipe, request).await;
            return Ok(begun.map_err(|error| error.of(&request.id)));
        }
        (Message::Request(request), Some(_)) if request.method == "initialize" => {
            return Ok(Err(RpcError::request("it has begun already").of(&request.id)));
        }
        (Message::Request(request), None) => {
            return Ok(Err(RpcError::request("begin with `initialize`").of(&request.id)));
        }
        (_, None) => return Ok(Ok(())),
        (_, Some(session)) => session,
    };
    let (board, idle) = (&desk.hub.board, desk.hub.config.session_timeout.get());
    for session in board.sweep(idle) {
        sessions::close(desk, session);
    }
    if board.session(&session.id, &session.owner, idle).is_none() {
        // It had to make room.
        pipe.end().await;
        return Ok(Ok(()));
    }
    session.see(&desk.view);
    match message {
        Message::Response(answer) => {
            let guardrails = Guardrails::of(desk)?;
            let judge = judging(guardrails.as_ref());
            session
                .answered(&desk.worker.client, answer, judge.as_deref())
                .await;
            Ok(Ok(()))
        }
        Message::Notification(told) => {
            sessions::notified(desk, &session, told).await;
            Ok(Ok(()))
        }
        Message::Request(request) => {
            let id = request.id.clone();
            let started = match sessions::unwrapped_call(desk, request) {
                Ok(request) => start(desk, pipe, session, request).await?,
                Err(error) => Err(error),
            };
            Ok(started.map_err(|error| error.of(&id)))
        }
    }
}

/// `initialize`: a new session, which is this stream's.
async fn begin(desk: &Desk<'_>, pipe: &Arc<Pipe>, request: &Request) -> Result<(), RpcError> {
    let requested = request.params.text("protocolVersion").unwrap_or_default();
    let version = if requested == VERSION {
        // The oldest that is known otherwise: what it has more is not told unasked.
        Version::V2025March
    } else {
        Version::agreed(&requested)
    };
    let (session, mut greeting) = sessions::begun(desk, (version, request), None).await?;
    if requested == VERSION {
        greeting.set("protocolVersion", VERSION);
    }
    if !pipe.begin(&session) {
        desk.hub.board.end(&session);
        sessions::close(desk, session);
        return Err(RpcError::request("it has begun already, or its stream is gone"));
    }
    pipe.tell(message::response(Some(&request.id), Ok(&greeting.raw())))
        .await;
    let news = session.listen(None);
    let told = Arc::clone(pipe);
    if let Some(news) = news {
        pipe.keep(tokio::spawn(async move { told.pass_news(news).await }).abort_handle());
    }
    Ok(())
}

/// Has a request answered on the stream.
async fn start(
    desk: &Desk<'_>,
    pipe: &Arc<Pipe>,
    session: Arc<Session>,
    request: Request,
) -> Result<Result<(), RpcError>, Refusal> {
    if !pipe.has_room() {
        return Ok(Err(RpcError::request(
            "too many answers of this stream are not read yet",
        )));
    }
    let guardrails = match Guardrails::of(desk) {
        Ok(guardrails) => guardrails,
        Err(failure) => return Ok(Err(told_of(desk, failure.into()))),
    };
    let under_way = match session.begin_request(&request.id) {
        Ok(under_way) => under_way,
        Err(error) => return Ok(Err(error)),
    };
    let ticket = match work::admit(desk, &request).await {
        Ok(ticket) => ticket,
        Err(refusal) => return Ok(Err(told_of(desk, refusal.of(&desk.caller)))),
    };
    let asker = Asker {
        session: Some(session),
        ..desk.asker(judging(guardrails.as_ref()))
    };
    let (sink, told) = mpsc::channel(work::QUEUE);
    pipe.keep(work::start(
        (asker, guardrails),
        request,
        ticket,
        sink,
        Some(under_way),
    ));
    let out = Arc::clone(pipe);
    pipe.keep(tokio::spawn(async move { out.pass(told).await }).abort_handle());
    Ok(Ok(()))
}

/// What is refused as any request is, told on the stream: clients of this transport give it up where a post is refused.
fn told_of(desk: &Desk<'_>, refusal: Refusal) -> RpcError {
    let arrival = desk.arrival;
    let error = RpcError::internal(refusal.failure.message.clone());
    let origin = Origin {
        id: arrival.id.clone(),
        started: arrival.started,
        version: Http::HTTP_11,
        dialect: arrival.surface.dialect,
        surface: arrival.surface.path,
    };
    // Metrics and log know of it as of any other.
    drop(refuse::reply(desk.worker, &origin, refusal));
    error
}

impl Pipe {
    /// Passes on what is said of a request, to its answer.
    async fn pass(&self, mut told: mpsc::Receiver<Told>) {
        while let Some(told) = told.recv().await {
            let text = match told {
                Told::Message(text) | Told::Asked { text, .. } => text,
                Told::End(id, answered) => answered.text(&id),
                Told::At(_) | Told::Question { .. } => continue,
            };
            self.tell(text).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_named_in_the_query() {
        assert_eq!(named(Some("a=b&sessionId=c&d")), Some("c"));
        assert_eq!(named(Some("xsessionId=c")), None);
        assert_eq!(named(None), None);
    }
}
