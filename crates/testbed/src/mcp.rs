//! A simulated MCP server, of the era with sessions or of the one without: tools that do one thing each, over HTTP or
//! over standard input and output.

mod legacy;
mod modern;
mod oldest;
mod resumable;
mod things;

use std::collections::HashMap;
use std::convert::Infallible;
use std::io::{self, BufRead as _, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use http::{HeaderMap, Method, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, Limited, StreamBody};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};

/// Most bytes of a message.
const MAX_BODY: usize = 32 * 1024 * 1024;

/// Messages on their way to a client; what is more is lost.
const QUEUE: usize = 4_096;

/// Which protocol a simulated server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum McpEra {
    /// A stream of events and an address for messages, 2024-11-05.
    Oldest,
    /// Sessions, up to 2025-11-25.
    Legacy,
    /// Requests that say everything themselves, 2026-07-28.
    Modern,
}

/// A running MCP server; ends when dropped.
pub struct McpServer {
    address: SocketAddr,
    state: Arc<State>,
    task: tokio::task::JoinHandle<()>,
}

/// A message as the server saw it.
#[derive(Debug, Clone)]
pub struct McpServed {
    /// Headers.
    pub headers: HeaderMap,
    /// The message.
    pub body: Value,
}

struct State {
    era: McpEra,
    /// What the changing tool says of itself.
    description: Mutex<String>,
    /// Where messages are to go, in the place of here.
    elsewhere: Mutex<Option<String>>,
    served: Mutex<Vec<McpServed>>,
    sessions: Mutex<HashMap<String, Arc<Talk>>>,
    listeners: Mutex<Vec<(Value, mpsc::Sender<Value>)>>,
    next: AtomicU64,
    /// Nobody is answered.
    silent: std::sync::atomic::AtomicBool,
}

/// A conversation with one client.
struct Talk {
    /// What is said unasked.
    unasked: Mutex<Option<mpsc::Sender<Value>>>,
    waiting: Mutex<HashMap<u64, oneshot::Sender<Value>>>,
    cancelled: Mutex<Vec<Value>>,
    /// Streams that can be taken up again.
    logs: Mutex<HashMap<String, Arc<resumable::Log>>>,
    next: AtomicU64,
}

impl Talk {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            unasked: Mutex::default(),
            waiting: Mutex::default(),
            cancelled: Mutex::default(),
            logs: Mutex::default(),
            next: AtomicU64::new(1),
        })
    }

    fn tell(&self, method: &str, params: &Value) {
        if let Some(sender) = &*self.unasked.lock() {
            let _ = sender.try_send(json!({ "jsonrpc": "2.0", "method": method, "params": params }));
        }
    }

    /// The client's answer to a question that goes out on `out`.
    async fn ask(&self, out: &mpsc::Sender<Value>, method: &str, params: Value) -> Value {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, answer) = oneshot::channel();
        self.waiting.lock().insert(id, sender);
        let _ = out.try_send(json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }));
        answer.await.unwrap_or(Value::Null)
    }

    fn answered(&self, message: &Value) {
        let waiting = message["id"]
            .as_u64()
            .and_then(|id| self.waiting.lock().remove(&id));
        if let Some(waiting) = waiting {
            let _ = waiting.send(message.clone());
        }
    }
}

impl State {
    fn new(era: McpEra) -> Arc<Self> {
        Arc::new(Self {
            era,
            description: Mutex::new("Changes its description when told.".to_owned()),
            elsewhere: Mutex::default(),
            served: Mutex::default(),
            sessions: Mutex::default(),
            listeners: Mutex::default(),
            next: AtomicU64::new(1),
            silent: std::sync::atomic::AtomicBool::new(false),
        })
    }

    /// Tells everybody who listens that a list has changed.
    fn changed(&self, kind: &str) {
        let method = format!("notifications/{kind}/list_changed");
        for talk in self.sessions.lock().values() {
            talk.tell(&method, &json!({}));
        }
        for (id, sender) in &*self.listeners.lock() {
            let meta = json!({ "io.modelcontextprotocol/subscriptionId": id });
            let _ =
                sender.try_send(json!({ "jsonrpc": "2.0", "method": method, "params": { "_meta": meta } }));
        }
    }
}

type Body = StreamBody<BoxStream<'static, Result<Frame<Bytes>, Infallible>>>;

impl McpServer {
    /// Starts one on `address`.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn start(address: SocketAddr, era: McpEra) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let state = State::new(era);
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
    pub async fn local(era: McpEra) -> io::Result<Self> {
        Self::start(SocketAddr::from(([127, 0, 0, 1], 0)), era).await
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The messages it got.
    #[must_use]
    pub fn served(&self) -> Vec<McpServed> {
        self.state.served.lock().clone()
    }

    /// Changes the description of a tool, and tells of it.
    pub fn change(&self, description: &str) {
        description.clone_into(&mut self.state.description.lock());
        self.state.changed("tools");
    }

    /// Tells that a resource has changed to whoever subscribed.
    pub fn update(&self, uri: &str) {
        for talk in self.state.sessions.lock().values() {
            talk.tell("notifications/resources/updated", &json!({ "uri": uri }));
        }
    }

    /// Says from now on that messages go to this host (`http://host:port`); of the oldest era.
    pub fn point(&self, place: &str) {
        *self.state.elsewhere.lock() = Some(place.to_owned());
    }

    /// Forgets all sessions, as a server does that was started anew.
    pub fn forget(&self) {
        self.state.sessions.lock().clear();
    }

    /// Answers nobody any more.
    pub fn hush(&self) {
        self.state.silent.store(true, Ordering::Relaxed);
    }
}

impl Drop for McpServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(state: Arc<State>, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    if state.silent.load(Ordering::Relaxed) {
        std::future::pending::<()>().await;
    }
    let (parts, body) = request.into_parts();
    let body = Limited::new(body, MAX_BODY)
        .collect()
        .await
        .map(http_body_util::Collected::to_bytes);
    let message: Value = body
        .ok()
        .and_then(|body| serde_json::from_slice(&body).ok())
        .unwrap_or_default();
    if parts.method == Method::POST {
        state.served.lock().push(McpServed {
            headers: parts.headers.clone(),
            body: message.clone(),
        });
    }
    Ok(match state.era {
        McpEra::Oldest => oldest::answer(&state, &parts, message),
        McpEra::Legacy => legacy::answer(&state, &parts, message),
        McpEra::Modern => modern::answer(&state, &parts, message),
    })
}

/// A response of one JSON text.
fn whole(status: u16, value: &Value) -> Response<Body> {
    let text = if value.is_null() {
        String::new()
    } else {
        value.to_string()
    };
    let body: BoxStream<'static, _> = stream::iter([Ok(Frame::data(Bytes::from(text)))]).boxed();
    let mut response = Response::new(StreamBody::new(body));
    *response.status_mut() = http::StatusCode::from_u16(status).unwrap_or_default();
    let kind = http::HeaderValue::from_static("application/json");
    response.headers_mut().insert(http::header::CONTENT_TYPE, kind);
    response
}

/// A response of events, as they come.
fn events(receiver: mpsc::Receiver<Value>) -> Response<Body> {
    let body = stream::unfold(receiver, |mut receiver| async move {
        let message = receiver.recv().await?;
        let event = Bytes::from(format!("event: message\ndata: {message}\n\n"));
        Some((Ok(Frame::data(event)), receiver))
    });
    // Clients wait for a head: a comment brings it.
    let first = stream::iter([Ok(Frame::data(Bytes::from_static(b": hello\n\n")))]);
    let mut response = Response::new(StreamBody::new(first.chain(body).boxed()));
    let kind = http::HeaderValue::from_static("text/event-stream");
    response.headers_mut().insert(http::header::CONTENT_TYPE, kind);
    response
}

fn error(id: &Value, code: i64, message: &str) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": message } })
}

fn result(id: &Value, result: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "result": result })
}

/// Serves one client of the era with sessions over standard input and output, until its input ends.
pub async fn serve_stdio() {
    let state = State::new(McpEra::Legacy);
    let talk = Talk::new();
    let (out, mut lines) = mpsc::channel::<Value>(QUEUE);
    *talk.unasked.lock() = Some(out.clone());
    state
        .sessions
        .lock()
        .insert("stdio".to_owned(), Arc::clone(&talk));
    tokio::task::spawn_blocking(move || {
        let mut stdout = io::stdout().lock();
        while let Some(line) = lines.blocking_recv() {
            let line = format!("{line}\n");
            if stdout
                .write_all(line.as_bytes())
                .and_then(|()| stdout.flush())
                .is_err()
            {
                return;
            }
        }
    });
    let (sender, mut input) = mpsc::channel::<String>(QUEUE);
    tokio::task::spawn_blocking(move || {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    while let Some(line) = input.recv().await {
        let Ok(message) = serde_json::from_str::<Value>(&line) else {
            continue;
        };
        let (state, talk, out) = (Arc::clone(&state), Arc::clone(&talk), out.clone());
        tokio::spawn(async move { legacy::take(&state, &talk, out, message).await });
    }
}
