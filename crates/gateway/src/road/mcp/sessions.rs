//! The era with sessions: `initialize`, the session's header, batches where a version has them.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, StatusCode};
use pointsman_mcp::call::Asker;
use pointsman_mcp::error::RpcError;
use pointsman_mcp::link::Told;
use pointsman_mcp::message::{self, Id, Incoming, Message, Notification, Object, Request};
use pointsman_mcp::meta;
use pointsman_mcp::session::Session;
use pointsman_mcp::version::Version;
use serde_json::json;
use tokio::sync::mpsc;

use super::stream::{self, Next, Source};
use super::{Desk, accepted, text_of, work};
use crate::reply::{self, Reply};
use crate::road::Refusal;

/// How long an answer is waited for before its stream begins.
const PATIENCE: Duration = Duration::from_secs(5);

/// Takes messages of this era.
///
/// # Errors
/// Outside what is refused as any request is, inside what is refused as MCP does.
pub async fn answer(desk: &Desk<'_>, incoming: Incoming) -> Result<Result<Reply, RpcError>, Refusal> {
    let messages = match incoming {
        Incoming::One(Message::Request(request)) if request.method == "initialize" => {
            let id = request.id.clone();
            return Ok(begin(desk, request).await.map_err(|error| error.of(&id)));
        }
        Incoming::One(message) => {
            let session = match find(desk) {
                Ok(session) => session,
                Err(error) => return Ok(Err(of(error, &message))),
            };
            return converse(desk, session, vec![message], false).await;
        }
        Incoming::Batch(messages) => messages,
    };
    let session = match find(desk) {
        Ok(session) if session.version.has_batches() => session,
        Ok(session) => {
            let message = format!("version {} has no batches", session.version.name());
            return Ok(Err(RpcError::request(message)));
        }
        Err(error) => return Ok(Err(error)),
    };
    match messages.into_iter().collect::<Result<Vec<_>, _>>() {
        Ok(messages) => converse(desk, session, messages, true).await,
        Err(error) => Ok(Err(error)),
    }
}

fn of(error: RpcError, message: &Message) -> RpcError {
    match message {
        Message::Request(request) => error.of(&request.id),
        _ => error,
    }
}

/// The session that the headers name.
///
/// # Errors
/// 400 without one or in a version that is not spoken, 404 for one that is not known, or is somebody else's.
pub fn find(desk: &Desk<'_>) -> Result<Arc<Session>, RpcError> {
    if let Some(version) = desk.header(&meta::VERSION_HEADER)
        && Version::from_name(version).is_none()
    {
        return Err(RpcError::version(version, &Version::names()));
    }
    let Some(id) = desk.header(&meta::SESSION_HEADER) else {
        return Err(RpcError::request(
            "the header Mcp-Session-Id is missing: begin with `initialize`",
        ));
    };
    let idle = desk.hub.config.session_timeout.get();
    for session in desk.hub.board.sweep(idle) {
        close(desk, session);
    }
    let session = desk.hub.board.session(id, &desk.owner(), idle);
    let session = session.filter(|session| session.scope == desk.arrival.surface.model);
    let session = session.ok_or_else(|| {
        let message = "this session is not known, or not any more: begin with `initialize`";
        RpcError::request(message).with(StatusCode::NOT_FOUND)
    })?;
    session.see(&desk.view);
    Ok(session)
}

/// `initialize`: a new session.
async fn begin(desk: &Desk<'_>, request: Request) -> Result<Reply, RpcError> {
    let Some(requested) = request.params.text("protocolVersion") else {
        return Err(RpcError::params("`protocolVersion` is missing"));
    };
    let version = Version::agreed(&requested);
    let client = &desk.worker.client;
    let (capabilities, instructions) = Box::pin(desk.hub.greeting(&desk.view, client)).await;
    let scope = desk.arrival.surface.model.clone();
    let seen = (Arc::clone(&desk.view), scope);
    let session = Session::begin(desk.owner(), (version, &request.params), seen)?;
    let id = session.id.clone();
    let config = &desk.hub.config;
    let kept = desk
        .hub
        .board
        .keep(session, config.max_sessions, config.session_timeout.get());
    let Ok(gone) = kept else {
        let error = RpcError::internal("there are too many sessions (`mcp.max_sessions`); come back later");
        return Err(error.with(StatusCode::SERVICE_UNAVAILABLE));
    };
    let swept = desk.hub.board.sweep(config.session_timeout.get());
    for session in gone.into_iter().chain(swept) {
        close(desk, session);
    }
    let mut result = Object::default();
    result.set("protocolVersion", version.name());
    result.set("capabilities", &capabilities);
    let info = json!({ "name": "pointsman", "version": env!("CARGO_PKG_VERSION") });
    result.set("serverInfo", &info);
    if let Some(instructions) = instructions {
        result.set("instructions", &instructions);
    }
    let text = message::response(Some(&request.id), Ok(&result.raw()));
    let mut reply = reply::json_bytes(StatusCode::OK, text.into());
    if let Ok(value) = HeaderValue::try_from(id) {
        reply.headers_mut().insert(meta::SESSION_HEADER, value);
    }
    Ok(reply)
}

/// `DELETE`: the session is over.
pub fn end(desk: &Desk<'_>) -> Result<Reply, RpcError> {
    if super::is_modern(desk, &Incoming::Batch(Vec::new())) {
        let error = RpcError::request("there are no sessions in this version");
        return Err(error.with(StatusCode::METHOD_NOT_ALLOWED));
    }
    let session = find(desk)?;
    desk.hub.board.end(&session);
    close(desk, session);
    let mut reply = accepted();
    *reply.status_mut() = StatusCode::NO_CONTENT;
    Ok(reply)
}

/// Gives the links of a session back, beside the request that ended it.
fn close(desk: &Desk<'_>, session: Arc<Session>) {
    let client = desk.worker.client.clone();
    tokio::spawn(async move { session.close(&client).await });
}

/// Messages in a session.
async fn converse(
    desk: &Desk<'_>,
    session: Arc<Session>,
    messages: Vec<Message>,
    batch: bool,
) -> Result<Result<Reply, RpcError>, Refusal> {
    let (sink, told) = mpsc::channel(work::QUEUE);
    let mut left = 0;
    for message in messages {
        match message {
            Message::Response(answer) => session.answered(&desk.worker.client, answer).await,
            Message::Notification(told) => notified(desk, &session, told).await,
            Message::Request(request) => {
                let under_way = match session.begin_request(&request.id) {
                    Ok(under_way) => under_way,
                    Err(error) => return Ok(Err(error)),
                };
                let ticket = work::admit(desk, &request).await?;
                let asker = Asker {
                    hub: Arc::clone(&desk.hub),
                    view: Arc::clone(&desk.view),
                    session: Some(Arc::clone(&session)),
                    client: desk.worker.client.clone(),
                    caller: desk.caller(),
                };
                // It goes on when its connection breaks: only `notifications/cancelled` says that it is not wanted.
                drop(work::start(asker, request, ticket, sink.clone(), Some(under_way)));
                left += 1;
            }
        }
    }
    drop(sink);
    if left == 0 {
        return Ok(Ok(accepted()));
    }
    Ok(Ok(hand_out(
        desk,
        Answers {
            told,
            left,
            first: None,
        },
        batch,
    )
    .await))
}

/// Whole where the answer is all there is to say, as a stream where it is not.
async fn hand_out(desk: &Desk<'_>, mut answers: Answers, batch: bool) -> Reply {
    if batch {
        return stream::reply(desk.worker, answers);
    }
    match tokio::time::timeout(PATIENCE, answers.told.recv()).await {
        Ok(Some(Told::End(id, answered))) => {
            let text = super::written(&id, &answered);
            let status = answered
                .outcome
                .as_ref()
                .map_or_else(pointsman_mcp::call::Refused::status, |_| StatusCode::OK);
            reply::json_bytes(status, text.into())
        }
        // Cancelled: there is no answer.
        Ok(None) => accepted(),
        Ok(Some(first)) => {
            answers.first = Some(first);
            stream::reply(desk.worker, answers)
        }
        Err(_) => stream::reply(desk.worker, answers),
    }
}

/// What clients tell.
async fn notified(desk: &Desk<'_>, session: &Arc<Session>, told: Notification) {
    match told.method.as_str() {
        "notifications/cancelled" => {
            let id = told.params.get("requestId");
            if let Some(id) = id.and_then(|id| serde_json::from_str::<Id>(id.get()).ok()) {
                session.cancel(&id);
            }
        }
        "notifications/roots/list_changed" => {
            let links = session.links();
            for link in links.iter().filter(|link| !link.version.is_modern()) {
                let sent = link.tell(&desk.worker.client, &told.method, told.params.clone());
                if let Err(error) = sent.await {
                    tracing::debug!(server = link.server.name, %error, "a notification could not be passed on");
                }
            }
        }
        // `notifications/initialized`, and what is not known: nobody waits for anything.
        _ => {}
    }
}

/// The answers of a POST, and what is said before them.
struct Answers {
    told: mpsc::Receiver<Told>,
    left: usize,
    first: Option<Told>,
}

impl Source for Answers {
    async fn next(&mut self) -> Next {
        loop {
            let told = match self.first.take() {
                Some(first) => first,
                None => match self.told.recv().await {
                    Some(told) => told,
                    None => return Next::End,
                },
            };
            let is_end = matches!(told, Told::End(..));
            self.left -= usize::from(is_end);
            let Some(text) = text_of(told) else { continue };
            return if self.left == 0 {
                Next::Last(text)
            } else {
                Next::Message(text)
            };
        }
    }
}
