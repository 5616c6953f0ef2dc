//! Streams that clients hold open to hear what changes.

use std::collections::VecDeque;

use http::StatusCode;
use pointsman_mcp::board::{self, Listening, WatchedTask};
use pointsman_mcp::call::Asker;
use pointsman_mcp::error::RpcError;
use pointsman_mcp::link::Watch;
use pointsman_mcp::message::{self, Id, Incoming, Object, Request};
use pointsman_mcp::session::{SWITCHES, once};
use pointsman_mcp::{meta, replay, trail};
use tokio::sync::mpsc;

use super::resume::{self, Replayed};
use super::stream::{self, Next, Source};
use super::{Desk, door, is_modern, sessions};
use crate::reply::Reply;

/// Most tasks that one listener hears of.
const MAX_TASKS: usize = 64;
/// Most resources that one listener hears of.
const MAX_URIS: usize = 256;

/// Behind which event a client goes on.
const LAST_EVENT_ID: http::HeaderName = http::HeaderName::from_static("last-event-id");

/// `GET`: what a session's servers say unasked.
///
/// # Errors
/// 405 in the era without sessions, 406 for who takes no events, and what is wrong with the session.
pub async fn open(desk: &Desk<'_>) -> Result<Reply, RpcError> {
    if is_modern(desk, &Incoming::Batch(Vec::new())) {
        let error = RpcError::request("there is no such stream in this version: use subscriptions/listen");
        return Err(error.with(StatusCode::METHOD_NOT_ALLOWED));
    }
    if !door::takes(&desk.arrival.headers, "text/event-stream") {
        let error = RpcError::request("accept text/event-stream");
        return Err(error.with(StatusCode::NOT_ACCEPTABLE));
    }
    let session = sessions::find(desk).await?.session;
    let said = desk.arrival.headers.get(LAST_EVENT_ID);
    let after = match said.map(|id| id.to_str().ok().and_then(replay::read_id)) {
        None => None,
        Some(Some((trail::NEWS, number))) => Some(number),
        Some(Some((log, number))) => return resume::attach(desk, &session, log, number).await,
        Some(None) => return Err(resume::unknown()),
    };
    let reader = match session.shelf() {
        None => session.listen(after),
        Some(_) => session.listen_shared(&desk.worker.client, after).await,
    };
    let reader = reader.ok_or_else(resume::unknown)?;
    Ok(stream::reply(desk.worker, Replayed::news(reader, &session)))
}

/// `subscriptions/listen`: the same in the era without sessions.
///
/// # Errors
/// When nothing is subscribed to, or too much.
pub async fn subscribe(desk: &Desk<'_>, asker: Asker, request: Request) -> Result<Reply, RpcError> {
    let Some(wanted) = request.params.object("notifications") else {
        return Err(RpcError::params("`notifications` is missing"));
    };
    let mut honoured = Object::default();
    let mut methods = Vec::new();
    for (switch, method) in SWITCHES {
        if wanted.get(switch).is_some_and(|on| on.get() == "true") {
            honoured.set(switch, &true);
            methods.push(method);
        }
    }
    let uris = wanted.get("resourceSubscriptions");
    let uris: Vec<String> = uris
        .and_then(|uris| serde_json::from_str(uris.get()).ok())
        .unwrap_or_default();
    if uris.len() > MAX_URIS {
        return Err(RpcError::params(format!("more than {MAX_URIS} resources")));
    }
    let uris = watch(desk, once(uris)).await;
    if !uris.is_empty() {
        honoured.set("resourceSubscriptions", &uris);
    }
    let tasks = wanted.get("taskIds");
    let tasks: Vec<String> = tasks
        .and_then(|ids| serde_json::from_str(ids.get()).ok())
        .unwrap_or_default();
    if tasks.len() > MAX_TASKS {
        return Err(RpcError::params(format!("more than {MAX_TASKS} tasks")));
    }
    let (tasks, watches) = watch_tasks(desk, &asker, once(tasks)).await;
    if !tasks.is_empty() {
        let shown: Vec<&str> = tasks.iter().map(|task| task.shown.as_str()).collect();
        honoured.set("taskIds", &shown);
    }
    let view = std::sync::Arc::clone(&desk.view);
    let listening = desk
        .hub
        .board
        .listen(request.id.clone(), view, (methods, uris, tasks));
    let listening = listening.ok_or_else(|| RpcError::internal("there are too many listeners"))?;
    let mut params = Object::default();
    params.set("notifications", &honoured);
    params.set("_meta", &belongs_to(&request.id));
    let first = message::notification("notifications/subscriptions/acknowledged", &params);
    Ok(stream::reply(
        desk.worker,
        News {
            id: request.id,
            ready: VecDeque::from([first]),
            listening,
            asker,
            meta: meta::of(&request.params),
            _watches: watches,
        },
    ))
}

/// Has servers tell of tasks; gives those that are the caller's, of servers of this era.
async fn watch_tasks(desk: &Desk<'_>, asker: &Asker, shown: Vec<String>) -> (Vec<WatchedTask>, Vec<Watch>) {
    let client = &desk.worker.client;
    let (mut tasks, mut watches) = (Vec::new(), Vec::new());
    for shown in shown {
        let Some((server, id)) = asker.names().find(&shown) else {
            continue;
        };
        let Some(found) = desk.view.server(&server) else {
            continue;
        };
        let Ok(link) = found.house(client).await else {
            continue;
        };
        if link.version.is_modern() {
            watches.push(link.watch_task(client, &id));
            tasks.push(WatchedTask { server, id, shown });
        }
    }
    (tasks, watches)
}

/// Has servers tell of resources; gives those whose servers do.
async fn watch(desk: &Desk<'_>, uris: Vec<String>) -> Vec<String> {
    let (client, caller) = (&desk.worker.client, desk.caller());
    let mut watched = Vec::new();
    for uri in uris {
        let Some(found) = desk.view.find_uri(client, &uri).await else {
            continue;
        };
        if !desk.hub.gates.allow(&caller, &found.server.name, None) {
            continue;
        }
        let Ok(link) = found.server.house(client).await else {
            continue;
        };
        let asked = Box::pin(link.watch(client, &found.name, found.server.timeout)).await;
        if asked.is_ok_and(|answer| answer.outcome.is_ok()) {
            watched.push(uri);
        }
    }
    watched
}

fn belongs_to(id: &Id) -> Object {
    let mut meta = Object::default();
    meta.set(meta::SUBSCRIPTION_ID, id);
    meta
}

/// What changes, for a listener.
struct News {
    id: Id,
    ready: VecDeque<String>,
    listening: Listening,
    asker: Asker,
    /// What its client has said with the request.
    meta: Object,
    _watches: Vec<Watch>,
}

impl News {
    /// A task as it is now, seen as whoever asks after it sees it; nothing where it cannot be told.
    async fn task(&self, shown: String) -> Option<String> {
        let mut params = Object::default();
        params.set("taskId", &shown);
        params.set("_meta", &self.meta);
        let request = Request {
            id: self.id.clone(),
            method: "tasks/get".to_owned(),
            params,
        };
        let (sink, _told) = mpsc::channel(16);
        let task = Box::pin(self.asker.answer(&request, &sink)).await.outcome.ok()?;
        let mut task = Object::parse(task.get()).ok()?;
        task.remove("resultType");
        task.set("_meta", &belongs_to(&self.id));
        Some(message::notification("notifications/tasks", &task))
    }
}

impl Source for News {
    async fn next(&mut self) -> Next {
        if let Some(text) = self.ready.pop_front() {
            return Next::Message(text);
        }
        loop {
            match self.listening.receiver.recv().await {
                None => return Next::End,
                Some(board::News::Message(text)) => return Next::Message(text),
                Some(board::News::Task(shown)) => {
                    if let Some(text) = self.task(shown).await {
                        return Next::Message(text);
                    }
                }
            }
        }
    }

    fn farewell(&mut self) -> Option<Option<String>> {
        let mut result = Object::default();
        result.set("resultType", "complete");
        result.set("_meta", &belongs_to(&self.id));
        Some(Some(message::response(Some(&self.id), Ok(&result.raw()))))
    }
}
