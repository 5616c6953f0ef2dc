//! Simulated places to keep things in: buckets of three clouds and a vector database. They take what their published
//! descriptions allow, check who asks, and refuse everything else.

mod bucket;
mod qdrant;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::net::TcpListener;

/// Most bytes of a request.
const MAX_BODY: usize = 64 * 1024 * 1024;

/// The key that Qdrant wants, and the token of Google's and Azure's buckets.
pub const KEPT_KEY: &str = "kept-key";
/// The bucket, or container, that there is.
pub const KEPT_BUCKET: &str = "answers";
/// Who may sign requests to the bucket of Amazon.
pub const KEPT_ACCESS_KEY: &str = "AKIAKEPT";
/// What they sign with.
pub const KEPT_SECRET: &str = "kept/secret+EXAMPLE";
/// Where that bucket is.
pub const KEPT_REGION: &str = "eu-west-3";

/// What is simulated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeptKind {
    /// Amazon's S3, with the bucket in the path.
    S3,
    /// Google Cloud Storage's XML API.
    Google,
    /// Azure Blob Storage.
    Azure,
    /// Qdrant's REST API.
    Qdrant,
}

/// A running server; it ends when this is dropped.
pub struct KeptServer {
    address: SocketAddr,
    state: Arc<State>,
    task: tokio::task::JoinHandle<()>,
}

struct State {
    kind: KeptKind,
    /// Answered with this status instead.
    fault: Mutex<Option<u16>>,
    served: Mutex<Vec<String>>,
    bucket: Mutex<bucket::Bucket>,
    qdrant: Mutex<qdrant::Qdrant>,
}

/// A request.
struct Asked {
    method: Method,
    path: String,
    query: String,
    headers: HeaderMap,
    body: Bytes,
}

/// Status and body.
type Told = (u16, Vec<u8>);

impl KeptServer {
    /// Starts one on any free port of loopback.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn local(kind: KeptKind) -> io::Result<Self> {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
        let address = listener.local_addr()?;
        let state = Arc::new(State {
            kind,
            fault: Mutex::new(None),
            served: Mutex::default(),
            bucket: Mutex::default(),
            qdrant: Mutex::default(),
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

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it was asked: method, path and query.
    #[must_use]
    pub fn served(&self) -> Vec<String> {
        self.state.served.lock().clone()
    }

    /// Answers with this status from now on, whatever it is asked.
    pub fn fault(&self, status: Option<u16>) {
        *self.state.fault.lock() = status;
    }
}

impl Drop for KeptServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Asked {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The settings of the query, decoded.
    fn settings(&self) -> Vec<(String, String)> {
        let pairs = self.query.split('&').filter(|pair| !pair.is_empty());
        let decoded = pairs.map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name), decode(value))
        });
        decoded.collect()
    }
}

/// A part of a query without its percent signs.
fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let value = |digit: Option<u8>| {
            digit
                .and_then(|digit| char::from(digit).to_digit(16))
                .unwrap_or(0)
        };
        bytes.push(match byte {
            b'%' => (value(rest.next()) * 16 + value(rest.next())) as u8,
            other => other,
        });
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

async fn answer(state: Arc<State>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (parts, body) = request.into_parts();
    let body = Limited::new(body, MAX_BODY).collect().await;
    let asked = Asked {
        method: parts.method,
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers: parts.headers,
        body: body.map(http_body_util::Collected::to_bytes).unwrap_or_default(),
    };
    let line = format!("{} {}?{}", asked.method, asked.path, asked.query);
    state.served.lock().push(line);
    let fault = *state.fault.lock();
    let (status, body) = match (fault, state.kind) {
        (Some(status), _) => (status, b"out of order".to_vec()),
        (None, KeptKind::Qdrant) => state.qdrant.lock().answer(&asked),
        (None, kind) => state.bucket.lock().answer(kind, &asked),
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or_default();
    Ok(response)
}
