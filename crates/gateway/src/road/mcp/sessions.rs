//! The era with sessions: `initialize`, the session's header, batches where a version has them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, StatusCode};
use pointsman_mcp::call::Asker;
use pointsman_mcp::error::RpcError;
use pointsman_mcp::message::{self, Id, Incoming, Message, Notification, Object, Request};
use pointsman_mcp::replay::Stream;
use pointsman_mcp::run::{First, Run};
use pointsman_mcp::session::Session;
use pointsman_mcp::version::Version;
use pointsman_mcp::virtuals::unwrapped;
use pointsman_mcp::{meta, trail};
use pointsman_store::SharedSessions;
use serde_json::json;
use tokio::sync::{mpsc, oneshot};

use super::judge::{Guardrails, judging};
use super::resume::{self, Replayed};
use super::stream;
use super::{Desk, accepted, oauth, work};
use crate::reply::{self, Reply};
use crate::road::Refusal;

/// How long an answer is waited for before its stream begins.
const PATIENCE: Duration = Duration::from_secs(1);

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
            let message = match read(desk, message) {
                Ok(message) => message,
                Err(error) => return Ok(Err(error)),
            };
            let found = match find(desk).await {
                Ok(found) => found,
                Err(error) => return Ok(Err(of(error, &message))),
            };
            if let Message::Request(request) = &message
                && let Some(reply) = resume::again(desk, &found, request).await
            {
                return Ok(reply);
            }
            return converse(desk, found.session, vec![message], false).await;
        }
        Incoming::Batch(messages) => messages,
    };
    let session = match find(desk).await {
        Ok(found) if found.session.version.has_batches() => found.session,
        Ok(found) => {
            let message = format!("version {} has no batches", found.session.version.name());
            return Ok(Err(RpcError::request(message)));
        }
        Err(error) => return Ok(Err(error)),
    };
    let messages = messages.into_iter();
    match messages
        .map(|message| read(desk, message?))
        .collect::<Result<Vec<_>, _>>()
    {
        Ok(messages) => converse(desk, session, messages, true).await,
        Err(error) => Ok(Err(error)),
    }
}

/// A message with the call that it stands for, where tools are searched for.
fn read(desk: &Desk<'_>, message: Message) -> Result<Message, RpcError> {
    match message {
        Message::Request(request) => unwrapped_call(desk, request).map(Message::Request),
        message => Ok(message),
    }
}

/// The call that a request stands for, where tools are searched for.
///
/// # Errors
/// When it stands for none.
pub fn unwrapped_call(desk: &Desk<'_>, request: Request) -> Result<Request, RpcError> {
    let id = request.id.clone();
    unwrapped(&desk.view, request).map_err(|error| error.of(&id))
}

fn of(error: RpcError, message: &Message) -> RpcError {
    match message {
        Message::Request(request) => error.of(&request.id),
        _ => error,
    }
}

/// A session, and what is known of it at all replicas; nothing where there is one alone.
pub struct Found {
    /// The session.
    pub session: Arc<Session>,
    /// What is shared of it.
    pub fields: HashMap<String, String>,
}

/// The session that the headers name.
///
/// # Errors
/// 400 without one or in a version that is not spoken, 404 for one that is not known, or is somebody else's, 503 where
/// it cannot be asked whether another replica knows it.
pub async fn find(desk: &Desk<'_>) -> Result<Found, RpcError> {
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
    let (board, idle) = (&desk.hub.board, desk.hub.config.session_timeout.get());
    for session in board.sweep(idle) {
        close(desk, session);
    }
    let session = board.session(id, &desk.owner(), idle);
    let found = match board.shared() {
        None => session.map(|session| Found {
            session,
            fields: HashMap::new(),
        }),
        Some(shared) => find_shared(desk, id, session, shared).await?,
    };
    let found = found.filter(|found| found.session.scope == desk.arrival.surface.model);
    let found = found.ok_or_else(|| {
        let message = "this session is not known, or not any more: begin with `initialize`";
        RpcError::request(message).with(StatusCode::NOT_FOUND)
    })?;
    found.session.see(&desk.view);
    Ok(found)
}

/// What all replicas know of a session; here it is made of that where another has begun it.
async fn find_shared(
    desk: &Desk<'_>,
    id: &str,
    session: Option<Arc<Session>>,
    shared: &Arc<dyn SharedSessions>,
) -> Result<Option<Found>, RpcError> {
    let (board, idle) = (&desk.hub.board, desk.hub.config.session_timeout.get());
    board.read_letters(&desk.worker.client);
    let fields = match shared.fields(&trail::key_of(id), idle).await {
        Ok(Some(fields)) => fields,
        Ok(None) => {
            // It was ended elsewhere.
            if let Some(session) = session {
                board.end(&session);
                session.leave();
            }
            return Ok(None);
        }
        Err(error) => {
            tracing::warn!(%error, "sessions of other replicas cannot be asked for");
            let error =
                RpcError::internal("sessions cannot be asked for now (`stores.shared`); come back soon");
            let found = session.map(|session| Found {
                session,
                fields: HashMap::new(),
            });
            return found
                .map(Some)
                .ok_or_else(|| error.with(StatusCode::SERVICE_UNAVAILABLE));
        }
    };
    if fields.get("owner") != Some(&desk.owner()) {
        return Ok(None);
    }
    if let Some(session) = session {
        return Ok(Some(Found { session, fields }));
    }
    let shared = (Arc::clone(shared), idle);
    let Some(session) = Session::restored(id, &fields, Arc::clone(&desk.view), shared) else {
        return Ok(None);
    };
    let session = keep(desk, session)?;
    Ok(Some(Found { session, fields }))
}

/// Keeps a session here; one that another request has brought here meanwhile comes first.
fn keep(desk: &Desk<'_>, session: Arc<Session>) -> Result<Arc<Session>, RpcError> {
    let (board, config) = (&desk.hub.board, &desk.hub.config);
    let idle = config.session_timeout.get();
    if let Some(known) = board.session(&session.id, &session.owner, idle) {
        return Ok(known);
    }
    let Ok(gone) = board.keep(Arc::clone(&session), config.max_sessions, idle) else {
        let error = RpcError::internal("there are too many sessions (`mcp.max_sessions`); come back later");
        return Err(error.with(StatusCode::SERVICE_UNAVAILABLE));
    };
    for session in gone.into_iter().chain(board.sweep(idle)) {
        close(desk, session);
    }
    Ok(session)
}

/// `initialize`: a new session.
async fn begin(desk: &Desk<'_>, request: Request) -> Result<Reply, RpcError> {
    let Some(requested) = request.params.text("protocolVersion") else {
        return Err(RpcError::params("`protocolVersion` is missing"));
    };
    let (board, idle) = (&desk.hub.board, desk.hub.config.session_timeout.get());
    board.read_letters(&desk.worker.client);
    let shared = board.shared().map(|shared| (Arc::clone(shared), idle));
    let version = Version::agreed(&requested);
    let (session, greeting) = begun(desk, (version, &request), shared).await?;
    let text = message::response(Some(&request.id), Ok(&greeting.raw()));
    let mut reply = reply::json_bytes(StatusCode::OK, text.into());
    if let Ok(value) = HeaderValue::try_from(session.id.clone()) {
        reply.headers_mut().insert(meta::SESSION_HEADER, value);
    }
    Ok(reply)
}

/// A new session, and what its client is told of the servers.
///
/// # Errors
/// When there are too many, or other replicas cannot be told of it.
pub async fn begun(
    desk: &Desk<'_>,
    (version, request): (Version, &Request),
    shared: Option<(Arc<dyn SharedSessions>, Duration)>,
) -> Result<(Arc<Session>, Object), RpcError> {
    let client = &desk.worker.client;
    let (capabilities, instructions) = Box::pin(desk.hub.greeting(&desk.view, client, version)).await;
    let scope = desk.arrival.surface.model.clone();
    let seen = (Arc::clone(&desk.view), scope);
    let session = Session::begin(desk.owner(), (version, &request.params), seen, shared)?;
    session.share().await.map_err(|error| {
        tracing::warn!(%error, "a session cannot be told to other replicas");
        let error = RpcError::internal("sessions cannot be begun now (`stores.shared`); come back soon");
        error.with(StatusCode::SERVICE_UNAVAILABLE)
    })?;
    let session = keep(desk, session)?;
    let mut result = Object::default();
    result.set("protocolVersion", version.name());
    result.set("capabilities", &capabilities);
    let info = json!({ "name": "pointsman", "version": env!("CARGO_PKG_VERSION") });
    result.set("serverInfo", &info);
    if let Some(instructions) = instructions {
        result.set("instructions", &instructions);
    }
    Ok((session, result))
}

/// `DELETE`: the session is over.
pub async fn end(desk: &Desk<'_>) -> Result<Reply, RpcError> {
    if super::is_modern(desk, &Incoming::Batch(Vec::new())) {
        let error = RpcError::request("there are no sessions in this version");
        return Err(error.with(StatusCode::METHOD_NOT_ALLOWED));
    }
    let session = find(desk).await?.session;
    desk.hub.board.end(&session);
    session.unshare().await;
    let client = desk.worker.client.clone();
    tokio::spawn(async move { session.close(&client).await });
    let mut reply = accepted();
    *reply.status_mut() = StatusCode::NO_CONTENT;
    Ok(reply)
}

/// Gives the links of a session back that nobody uses here, beside the request that finds that. Where others may use it,
/// its links are theirs.
pub fn close(desk: &Desk<'_>, session: Arc<Session>) {
    if session.shelf().is_some() {
        return session.leave();
    }
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
    let guardrails = Guardrails::of(desk)?;
    let judge = judging(guardrails.as_ref());
    let (sink, told) = mpsc::channel(work::QUEUE);
    let stream = Stream::new(&resume::name()?, 0);
    let (mut left, mut trail, mut tasks) = (0, None, Vec::new());
    for message in messages {
        match message {
            Message::Response(answer) => {
                session
                    .answered(&desk.worker.client, answer, judge.as_deref())
                    .await;
            }
            Message::Notification(told) => notified(desk, &session, told).await,
            Message::Request(request) => {
                let under_way = match session.begin_request(&request.id) {
                    Ok(under_way) => under_way,
                    Err(error) => return Ok(Err(error)),
                };
                let ticket = work::admit(desk, &request).await?;
                // Requests of a batch end with their replica.
                trail = session.trail(&stream.name, &request).filter(|_| !batch);
                let asker = Asker {
                    session: Some(Arc::clone(&session)),
                    trail: trail.clone(),
                    ..desk.asker(judge.clone())
                };
                let asker = (asker, guardrails.clone());
                // It goes on when its connection breaks: only `notifications/cancelled` says that it is not wanted.
                tasks.push(work::start(asker, request, ticket, sink.clone(), Some(under_way)));
                left += 1;
            }
        }
    }
    drop(sink);
    if left == 0 {
        return Ok(Ok(accepted()));
    }
    let run = Run {
        session,
        told,
        left,
        stream,
        trail,
        work: tasks,
    };
    Ok(Ok(hand_out(desk, run, batch).await))
}

/// Whole where the answer is all there is to say, as a stream where it is not.
async fn hand_out(desk: &Desk<'_>, run: Run, batch: bool) -> Reply {
    let (session, stream, trail) = (
        Arc::clone(&run.session),
        Arc::clone(&run.stream),
        run.trail.clone(),
    );
    if trail.is_some() {
        // One who asks again before it begins is answered by it.
        session.keep_stream(&stream);
    }
    let (first, begins) = oneshot::channel();
    let begins = if batch { None } else { Some(begins) };
    // It ends with its requests, and those with their time.
    tokio::spawn(run.pump(Some(first)));
    if let Some(begins) = begins {
        match tokio::time::timeout(PATIENCE, begins).await {
            Ok(Ok(First::Whole(text, status))) => {
                let reply = reply::json_bytes(status, text.clone().into());
                return oauth::step_up(desk.arrival, reply, &text);
            }
            // Cancelled: there is no answer.
            Ok(Ok(First::Nothing)) => return accepted(),
            Ok(Ok(First::Stream) | Err(_)) | Err(_) => {}
        }
    }
    session.keep_stream(&stream);
    if let Some(trail) = trail {
        trail.keep().await;
    }
    match Replayed::answers(&stream, 0, &session) {
        Some(replayed) => stream::reply(desk.worker, replayed),
        None => super::told(&resume::unknown(), None),
    }
}

/// What clients tell.
pub async fn notified(desk: &Desk<'_>, session: &Arc<Session>, told: Notification) {
    match told.method.as_str() {
        "notifications/cancelled" => {
            let id = told.params.get("requestId");
            if let Some(id) = id.and_then(|id| serde_json::from_str::<Id>(id.get()).ok()) {
                if session.has_request(&id) {
                    session.cancel(&id);
                } else {
                    session.cancel_elsewhere(&id).await;
                }
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
