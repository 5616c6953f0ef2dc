//! A simulated A2A agent, in both versions and both bindings over HTTP: what it does is the first word of the message.
//!
//! `hello` is answered with a message, `ask` wants input, `wait` works until it is cancelled, `chunks a|b|c` makes an
//! artifact of pieces, `picture` one with a file, `think` says what it does meanwhile, `fail` and `reject` end in that way,
//! `die` breaks its stream off, and everything else is an artifact that echoes it. Of several texts the last counts.

mod old;

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body::Frame;
use http_body_util::{BodyExt, Full, Limited, StreamBody};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::load;

/// Most bytes of a message.
const MAX_BODY: usize = 32 * 1024 * 1024;
/// Events on their way to a client; what is more is lost.
const QUEUE: usize = 1_024;
/// Between two pieces of an artifact.
const PAUSE: Duration = Duration::from_millis(20);

/// A running agent; ends when dropped.
pub struct A2aAgent {
    address: SocketAddr,
    state: Arc<State>,
    task: tokio::task::JoinHandle<()>,
}

/// A request as the agent saw it.
#[derive(Debug, Clone)]
pub struct A2aServed {
    /// Its method and path, with the query.
    pub target: String,
    /// Headers.
    pub headers: HeaderMap,
    /// The body; `null` where there was none.
    pub body: Value,
}

struct State {
    card: Mutex<Value>,
    served: Mutex<Vec<A2aServed>>,
    tasks: Mutex<HashMap<String, Running>>,
    next: AtomicU64,
    /// Where its card is redirected to, if it is.
    moved: Mutex<Option<String>>,
    silent: AtomicBool,
    /// Streams of which the client is gone.
    left: AtomicU64,
    port: u16,
}

#[derive(Default)]
struct Running {
    task: Value,
    watchers: Vec<mpsc::Sender<Told>>,
    push: Vec<Value>,
}

/// What goes to whoever watches a task.
#[derive(Clone)]
enum Told {
    Event(Value),
    Break,
}

/// What comes of an operation.
enum Came {
    Whole(Value),
    Wrong(i64, &'static str),
    Stream(mpsc::Receiver<Told>),
}

type Body = StreamBody<BoxStream<'static, Result<Frame<Bytes>, io::Error>>>;

impl A2aAgent {
    /// Starts one on `address`, whose card names these: `rpc`, `rest`, `old`.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn start(address: SocketAddr, interfaces: &[&str]) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let state = Arc::new(State {
            card: Mutex::new(card(address, interfaces)),
            served: Mutex::default(),
            tasks: Mutex::default(),
            next: AtomicU64::new(1),
            moved: Mutex::default(),
            silent: AtomicBool::new(false),
            left: AtomicU64::new(0),
            port: address.port(),
        });
        let shared = Arc::clone(&state);
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let state = Arc::clone(&shared);
                connections.spawn(async move {
                    let service = service_fn(move |request| answer(Arc::clone(&state), request));
                    let connection = hyper::server::conn::http1::Builder::new();
                    let _ = connection.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Ok(Self { address, state, task })
    }

    /// Starts one on any free port of loopback.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn local(interfaces: &[&str]) -> io::Result<Self> {
        Self::start(SocketAddr::from(([127, 0, 0, 1], 0)), interfaces).await
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The requests it got, cards left out.
    #[must_use]
    pub fn served(&self) -> Vec<A2aServed> {
        self.state.served.lock().clone()
    }

    /// Its card, to be changed.
    pub fn change_card(&self, change: impl FnOnce(&mut Value)) {
        change(&mut self.state.card.lock());
    }

    /// Has its card redirected.
    pub fn move_card(&self, to: &str) {
        *self.state.moved.lock() = Some(to.to_owned());
    }

    /// Answers nobody any more.
    pub fn hush(&self) {
        self.state.silent.store(true, Ordering::Relaxed);
    }

    /// Streams that their clients have left.
    #[must_use]
    pub fn left(&self) -> u64 {
        self.state.left.load(Ordering::Relaxed)
    }
}

impl Drop for A2aAgent {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn card(address: SocketAddr, interfaces: &[&str]) -> Value {
    let interface = |name: &&str| {
        let (path, binding, version) = match *name {
            "rest" => ("/rest", "HTTP+JSON", "1.0"),
            "old" => ("/old", "JSONRPC", "0.3"),
            "pigeon" => ("", "CARRIER-PIGEON", "1.0"),
            _ => ("/rpc", "JSONRPC", "1.0"),
        };
        json!({ "url": format!("http://{address}{path}"), "protocolBinding": binding, "protocolVersion": version })
    };
    json!({
        "name": "Simulated agent", "description": "Does what it is told.", "version": "1.0.0",
        "supportedInterfaces": interfaces.iter().map(interface).collect::<Vec<_>>(),
        "capabilities": { "streaming": true, "pushNotifications": true, "extendedAgentCard": true },
        "defaultInputModes": ["text/plain"], "defaultOutputModes": ["text/plain"],
        "securitySchemes": { "inner": { "httpAuthSecurityScheme": { "scheme": "Bearer" } } },
        "securityRequirements": [{ "schemes": { "inner": { "list": [] } } }],
        "skills": [{ "id": "echo", "name": "Echo", "description": "Echoes.", "tags": ["test"] }],
        "signatures": [{ "protected": "e30", "signature": "AAAA" }],
    })
}

async fn answer(state: Arc<State>, request: Request<Incoming>) -> Result<Response<Body>, io::Error> {
    if state.silent.load(Ordering::Relaxed) {
        std::future::pending::<()>().await;
    }
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    if path.ends_with("agent-card.json") {
        let moved = state.moved.lock().clone();
        let Some(to) = moved else {
            let card = state.card.lock().clone();
            return Ok(whole(200, &card));
        };
        let mut response = whole(302, &Value::Null);
        response
            .headers_mut()
            .insert(header::LOCATION, to.parse().map_err(io::Error::other)?);
        return Ok(response);
    }
    let body = Limited::new(body, MAX_BODY)
        .collect()
        .await
        .map(http_body_util::Collected::to_bytes);
    let message: Value = body
        .ok()
        .and_then(|body| serde_json::from_slice(&body).ok())
        .unwrap_or_default();
    state.served.lock().push(A2aServed {
        target: format!("{} {}", parts.method, parts.uri),
        headers: parts.headers,
        body: message.clone(),
    });
    Ok(match path.as_str() {
        "/rpc" => rpc(&state, &message, false).await,
        "/old" => rpc(&state, &message, true).await,
        _ => rest(&state, (&parts.method, &path, parts.uri.query()), message).await,
    })
}

async fn rpc(state: &Arc<State>, message: &Value, is_old: bool) -> Response<Body> {
    let id = message["id"].clone();
    let method = message["method"].as_str().unwrap_or_default();
    let (name, params) = if is_old {
        (old::name(method), old::up(method, message["params"].clone()))
    } else {
        (method, message["params"].clone())
    };
    let wrap = move |value: Value| {
        let value = if is_old { old::down(value) } else { value };
        json!({ "jsonrpc": "2.0", "id": id, "result": value })
    };
    match operate(state, name, params).await {
        Came::Whole(value) => whole(200, &wrap(value)),
        Came::Wrong(code, why) => {
            let error = json!({ "code": code, "message": why });
            whole(
                200,
                &json!({ "jsonrpc": "2.0", "id": message["id"], "error": error }),
            )
        }
        Came::Stream(receiver) => events(state, receiver, wrap),
    }
}

async fn rest(
    state: &Arc<State>,
    (method, path, query): (&Method, &str, Option<&str>),
    mut params: Value,
) -> Response<Body> {
    let below: Vec<&str> = path.trim_start_matches("/rest").split('/').skip(1).collect();
    if params.is_null() {
        params = json!({});
    }
    for pair in query.unwrap_or_default().split('&') {
        if let Some((name, value)) = pair.split_once('=') {
            params[name] = value
                .parse::<i64>()
                .map_or_else(|_| json!(value), |number| json!(number));
        }
    }
    let is_get = *method == Method::GET;
    let name = match below.as_slice() {
        ["message:send"] => "SendMessage",
        ["message:stream"] => "SendStreamingMessage",
        ["tasks"] => "ListTasks",
        ["extendedAgentCard"] => "GetExtendedAgentCard",
        ["tasks", task] => {
            let (task, verb) = task.rsplit_once(':').unwrap_or((*task, "get"));
            params["id"] = json!(task);
            match verb {
                "cancel" => "CancelTask",
                "subscribe" => "SubscribeToTask",
                _ => "GetTask",
            }
        }
        ["tasks", task, "pushNotificationConfigs", rest @ ..] => {
            params["taskId"] = json!(task);
            if let [config] = rest {
                params["id"] = json!(config);
            }
            match (rest.len(), is_get) {
                (0, true) => "ListTaskPushNotificationConfigs",
                (0, false) => "CreateTaskPushNotificationConfig",
                (_, true) => "GetTaskPushNotificationConfig",
                (_, false) => "DeleteTaskPushNotificationConfig",
            }
        }
        _ => "",
    };
    match operate(state, name, params).await {
        Came::Whole(value) => whole(200, &value),
        Came::Wrong(code, why) => {
            let (status, reason) = if code == -32001 {
                (404, "TASK_NOT_FOUND")
            } else {
                (400, "TASK_NOT_CANCELABLE")
            };
            let info = json!({ "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": "a2a-protocol.org" });
            whole(
                status,
                &json!({ "error": { "code": status, "message": why, "details": [info] } }),
            )
        }
        Came::Stream(receiver) => events(state, receiver, |value| value),
    }
}

async fn operate(state: &Arc<State>, name: &str, params: Value) -> Came {
    let no_task = Came::Wrong(-32001, "Task not found");
    let id = params["id"].as_str().unwrap_or_default().to_owned();
    match name {
        "SendMessage" | "SendStreamingMessage" => send(state, name == "SendStreamingMessage", &params).await,
        "GetTask" => match state.tasks.lock().get(&id) {
            Some(running) => Came::Whole(running.task.clone()),
            None => no_task,
        },
        "ListTasks" => {
            let mut tasks: Vec<Value> = state
                .tasks
                .lock()
                .values()
                .map(|running| running.task.clone())
                .collect();
            tasks.sort_by_key(|task| task["id"].to_string());
            let count = tasks.len();
            Came::Whole(json!({ "tasks": tasks, "nextPageToken": "", "pageSize": 100, "totalSize": count }))
        }
        "CancelTask" => cancel(state, &id),
        "SubscribeToTask" => {
            let (sender, receiver) = mpsc::channel(QUEUE);
            let mut tasks = state.tasks.lock();
            let Some(running) = tasks.get_mut(&id) else {
                return no_task;
            };
            let _ = sender.try_send(Told::Event(json!({ "task": running.task })));
            running.watchers.push(sender);
            Came::Stream(receiver)
        }
        "GetExtendedAgentCard" => {
            let mut card = state.card.lock().clone();
            card["description"] = json!("For those who are known.");
            Came::Whole(card)
        }
        _ if name.contains("PushNotification") => push(state, name, params),
        _ => Came::Wrong(-32601, "Method not found"),
    }
}

fn cancel(state: &Arc<State>, id: &str) -> Came {
    let said = state
        .tasks
        .lock()
        .get(id)
        .map(|running| running.task["status"]["state"].clone());
    let Some(said) = said else {
        return Came::Wrong(-32001, "Task not found");
    };
    if said != "TASK_STATE_WORKING" && said != "TASK_STATE_INPUT_REQUIRED" {
        return Came::Wrong(-32002, "Task cannot be canceled");
    }
    Came::Whole(set_status(state, id, "TASK_STATE_CANCELED", None))
}

fn push(state: &State, name: &str, mut params: Value) -> Came {
    let task = params["taskId"].as_str().unwrap_or_default().to_owned();
    let mut tasks = state.tasks.lock();
    let Some(running) = tasks.get_mut(&task) else {
        return Came::Wrong(-32001, "Task not found");
    };
    let at = running
        .push
        .iter()
        .position(|config| config["id"] == params["id"]);
    match (name, at) {
        ("CreateTaskPushNotificationConfig", _) => {
            if params["id"].is_null() {
                params["id"] = json!(format!("p{}", running.push.len()));
            }
            running.push.push(params.clone());
            Came::Whole(params)
        }
        ("ListTaskPushNotificationConfigs", _) => Came::Whole(json!({ "configs": running.push })),
        ("GetTaskPushNotificationConfig", Some(at)) => Came::Whole(running.push[at].clone()),
        ("DeleteTaskPushNotificationConfig", Some(at)) => {
            running.push.remove(at);
            Came::Whole(json!({}))
        }
        _ => Came::Wrong(-32001, "No such config"),
    }
}

async fn send(state: &Arc<State>, streamed: bool, params: &Value) -> Came {
    let message = &params["message"];
    let parts = message["parts"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut texts = parts.iter().rev().filter_map(|part| part["text"].as_str());
    let text = texts.next().unwrap_or_default().to_owned();
    let number = state.next.fetch_add(1, Ordering::Relaxed);
    let known = message["taskId"]
        .as_str()
        .filter(|id| state.tasks.lock().contains_key(*id));
    let id = known.map_or_else(|| format!("t{number}-{}", state.port), str::to_owned);
    let context = message["contextId"]
        .as_str()
        .map_or_else(|| format!("c{number}-{}", state.port), str::to_owned);
    if text.starts_with("hello") {
        let answer = json!({ "message": { "messageId": format!("m{number}"), "contextId": context, "role": "ROLE_AGENT", "parts": [{ "text": "hello yourself" }] } });
        if !streamed {
            return Came::Whole(answer);
        }
        let (sender, receiver) = mpsc::channel(1);
        let _ = sender.try_send(Told::Event(answer));
        return Came::Stream(receiver);
    }
    let (sender, receiver) = mpsc::channel(QUEUE);
    {
        let mut tasks = state.tasks.lock();
        let running = tasks.entry(id.clone()).or_default();
        if known.is_none() {
            running.task = json!({ "id": id, "contextId": context, "artifacts": [], "history": [message] });
        }
        running.task["status"] =
            json!({ "state": "TASK_STATE_WORKING", "timestamp": "2026-01-01T00:00:00Z" });
        if let Some(config) = params["configuration"].get("taskPushNotificationConfig") {
            running.push.push(config.clone());
        }
        let _ = sender.try_send(Told::Event(json!({ "task": running.task })));
        running.watchers.push(sender);
    }
    let at_once = params["configuration"]["returnImmediately"] == true;
    let (doing, task) = (Arc::clone(state), id.clone());
    tokio::spawn(async move { work(&doing, &task, &text).await });
    if streamed {
        return Came::Stream(receiver);
    }
    if !at_once {
        let mut receiver = receiver;
        while receiver.recv().await.is_some() {}
    }
    let task = state.tasks.lock().get(&id).map(|running| running.task.clone());
    Came::Whole(json!({ "task": task }))
}

/// Does what a message says.
async fn work(state: &Arc<State>, id: &str, text: &str) {
    tokio::time::sleep(PAUSE).await;
    if text.starts_with("wait") {
        return;
    }
    if text.starts_with("ask") {
        set_status(state, id, "TASK_STATE_INPUT_REQUIRED", Some("which one?"));
        return;
    }
    if text.starts_with("die") {
        for watcher in &state
            .tasks
            .lock()
            .get(id)
            .map(|running| running.watchers.clone())
            .unwrap_or_default()
        {
            let _ = watcher.try_send(Told::Break);
        }
        return;
    }
    for (word, said) in [("fail", "TASK_STATE_FAILED"), ("reject", "TASK_STATE_REJECTED")] {
        if text.starts_with(word) {
            set_status(state, id, said, Some(text));
            return;
        }
    }
    if text.starts_with("think") {
        let status = json!({ "state": "TASK_STATE_WORKING", "message": { "messageId": "w", "role": "ROLE_AGENT", "parts": [{ "text": text }] } });
        let event = json!({ "statusUpdate": { "taskId": id, "status": status } });
        tell(state, id, &event);
    }
    let pieces: Vec<String> = match text.strip_prefix("chunks ") {
        Some(pieces) => pieces.split('|').map(str::to_owned).collect(),
        None => vec![format!("echo: {text}")],
    };
    let count = pieces.len();
    for (index, piece) in pieces.into_iter().enumerate() {
        let mut artifact = json!({ "artifactId": "a", "parts": [{ "text": piece }] });
        if let (Some(parts), true) = (artifact["parts"].as_array_mut(), text.starts_with("picture")) {
            parts.push(json!({ "raw": "iVBORw0KGgo=", "mediaType": "image/png", "filename": "fox.png" }));
        }
        let event = {
            let mut tasks = state.tasks.lock();
            let Some(running) = tasks.get_mut(id) else { return };
            if let Some(artifacts) = running.task["artifacts"].as_array_mut() {
                artifacts.push(artifact.clone());
            }
            json!({ "artifactUpdate": { "taskId": id, "contextId": running.task["contextId"], "artifact": artifact, "append": index > 0, "lastChunk": index + 1 == count } })
        };
        tell(state, id, &event);
        tokio::time::sleep(PAUSE).await;
    }
    set_status(state, id, "TASK_STATE_COMPLETED", None);
}

/// Gives a task another status, tells of it, and ends its streams.
fn set_status(state: &Arc<State>, id: &str, said: &str, text: Option<&str>) -> Value {
    let mut status = json!({ "state": said, "timestamp": "2026-01-01T00:00:01Z" });
    if let Some(text) = text {
        status["message"] = json!({ "messageId": "q", "role": "ROLE_AGENT", "parts": [{ "text": text }] });
    }
    let task = {
        let mut tasks = state.tasks.lock();
        let Some(running) = tasks.get_mut(id) else {
            return Value::Null;
        };
        running.task["status"] = status.clone();
        running.task.clone()
    };
    tell(
        state,
        id,
        &json!({ "statusUpdate": { "taskId": id, "contextId": task["contextId"], "status": status } }),
    );
    if let Some(running) = state.tasks.lock().get_mut(id) {
        running.watchers.clear();
    }
    task
}

fn tell(state: &Arc<State>, id: &str, event: &Value) {
    let tasks = state.tasks.lock();
    let Some(running) = tasks.get(id) else { return };
    for watcher in &running.watchers {
        let _ = watcher.try_send(Told::Event(event.clone()));
    }
    for config in &running.push {
        tokio::spawn(tell_address(config.clone(), event.clone()));
    }
}

/// Tells an address, as its configuration says.
async fn tell_address(config: Value, event: Value) -> Option<()> {
    let url: http::Uri = config["url"].as_str()?.parse().ok()?;
    let mut sender = load::connect(url.authority()?.as_str().parse().ok()?)
        .await
        .ok()?;
    let mut request = Request::post(url.path())
        .header(header::HOST, url.authority()?.as_str())
        .header(header::CONTENT_TYPE, "application/json");
    if let Some(token) = config["token"].as_str() {
        request = request.header("x-a2a-notification-token", token);
    }
    let said = &config["authentication"];
    if let (Some(scheme), Some(credentials)) = (said["scheme"].as_str(), said["credentials"].as_str()) {
        request = request.header(header::AUTHORIZATION, format!("{scheme} {credentials}"));
    }
    let request = request.body(Full::new(Bytes::from(event.to_string()))).ok()?;
    sender.send_request(request).await.ok().map(drop)
}

/// A response of one JSON text.
fn whole(status: u16, value: &Value) -> Response<Body> {
    let text = Bytes::from(value.to_string());
    let body: BoxStream<'static, _> = stream::iter([Ok(Frame::data(text))]).boxed();
    let mut response = Response::new(StreamBody::new(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or_default();
    let kind = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

/// Counts the client that leaves before a stream has ended.
struct Watched(Arc<State>, bool);

impl Drop for Watched {
    fn drop(&mut self) {
        self.0.left.fetch_add(u64::from(!self.1), Ordering::Relaxed);
    }
}

/// A response of events, as they come.
fn events(
    state: &Arc<State>,
    receiver: mpsc::Receiver<Told>,
    wrap: impl Fn(Value) -> Value + Send + 'static,
) -> Response<Body> {
    let begun = (receiver, wrap, Watched(Arc::clone(state), false));
    let body = stream::unfold(begun, |(mut receiver, wrap, mut watched)| async move {
        let told = receiver.recv().await;
        watched.1 = told.is_none();
        let frame = match told? {
            Told::Event(event) => Ok(Frame::data(Bytes::from(format!("data: {}\r\n\r\n", wrap(event))))),
            Told::Break => Err(io::Error::other("broken off")),
        };
        Some((frame, (receiver, wrap, watched)))
    });
    let mut response = Response::new(StreamBody::new(body.boxed()));
    let kind = HeaderValue::from_static("text/event-stream");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}
