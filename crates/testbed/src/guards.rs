//! Simulated services that judge texts, ten of them on one address, each at its own paths: they take what their published
//! descriptions allow and refuse everything else.
//!
//! What they find is determined by the text: addresses at `example.com` are personal data, and the word `ATTACK` is an attack.

mod services;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// Most bytes of a question.
const MAX_BODY: usize = 8 * 1024 * 1024;

/// The key that all services but the ones of clouds want.
pub const GUARD_KEY: &str = "guard-key";

/// What is wrong with all services.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GuardFault {
    /// Nothing.
    None,
    /// They answer with this status.
    Status(u16),
    /// They do not answer.
    Hang,
    /// They answer with what is no answer.
    Nonsense,
}

/// A question as it was served.
#[derive(Debug, Clone)]
pub struct GuardServed {
    /// Path and query.
    pub path: String,
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub body: Value,
}

/// Running services; they end when this is dropped.
pub struct GuardServer {
    address: SocketAddr,
    state: Arc<State>,
    task: tokio::task::JoinHandle<()>,
}

struct State {
    fault: Mutex<GuardFault>,
    served: Mutex<Vec<GuardServed>>,
}

/// A question, as services look at it.
struct Asked<'a> {
    path: &'a str,
    query: &'a str,
    headers: &'a HeaderMap,
    body: &'a Value,
}

/// Status and body of a refusal.
type Refused = (u16, Value);

impl GuardServer {
    /// Starts them on any free port of loopback.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn local() -> io::Result<Self> {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
        let address = listener.local_addr()?;
        let state = Arc::new(State {
            fault: Mutex::new(GuardFault::None),
            served: Mutex::default(),
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

    /// Where they listen.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What they were asked.
    #[must_use]
    pub fn served(&self) -> Vec<GuardServed> {
        self.state.served.lock().clone()
    }

    /// Forgets what they were asked.
    pub fn clear(&self) {
        self.state.served.lock().clear();
    }

    /// Lets something be wrong with them from now on.
    pub fn fault(&self, fault: GuardFault) {
        *self.state.fault.lock() = fault;
    }
}

impl Drop for GuardServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(state: Arc<State>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (parts, body) = request.into_parts();
    let body = Limited::new(body, MAX_BODY).collect().await;
    let body = body.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let body: Option<Value> = serde_json::from_slice(&body).ok();
    let path_and_query = parts.uri.path_and_query().map(ToString::to_string);
    state.served.lock().push(GuardServed {
        path: path_and_query.unwrap_or_default(),
        headers: parts.headers.clone(),
        body: body.clone().unwrap_or_default(),
    });
    let fault = *state.fault.lock();
    match fault {
        GuardFault::None => {}
        GuardFault::Status(status) => return Ok(told(status, &json!({ "error": "out of order" }))),
        GuardFault::Hang => std::future::pending::<()>().await,
        GuardFault::Nonsense => return Ok(told(200, &json!({ "verdict": "fine" }))),
    }
    let is_json =
        parts.headers.get(header::CONTENT_TYPE) == Some(&HeaderValue::from_static("application/json"));
    let judged = match body {
        _ if parts.method != Method::POST => Err((405, json!({ "error": "Method Not Allowed" }))),
        Some(body) if is_json => services::judge(&Asked {
            path: parts.uri.path(),
            query: parts.uri.query().unwrap_or_default(),
            headers: &parts.headers,
            body: &body,
        }),
        _ => Err((415, json!({ "error": "the body is no JSON" }))),
    };
    Ok(match judged {
        Ok(answer) => told(200, &answer),
        Err((status, body)) => told(status, &body),
    })
}

fn told(status: u16, body: &Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body.to_string())));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or_default();
    let kind = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}
