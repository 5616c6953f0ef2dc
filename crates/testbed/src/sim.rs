//! The server: one address, every format.

use std::collections::HashSet;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::fault::{Fault, Schedule};
use crate::served::{Served, ServedOutcome};
use crate::stream::{Body, STALL};
use crate::{bench, exchange, realtime, routes, store};

/// Requests that are remembered.
const MAX_SERVED: usize = 100_000;
const MAX_BODY: usize = 64 * 1024 * 1024;

/// How a simulated provider behaves.
#[derive(Debug, Clone, Default)]
pub struct SimOptions {
    /// To the first token.
    pub first_token: Duration,
    /// Between tokens.
    pub token_delay: Duration,
    /// How streams are cut into pieces.
    pub chunking: Chunking,
    /// How bodies are compressed, whatever the client accepts.
    pub coding: Coding,
    /// Streams have CRLF line ends.
    pub crlf: bool,
    /// Replies made once, for benchmarks: no checks, no records.
    pub bench: bool,
    /// The only account whose signatures Bedrock accepts; without one, any signature that is well made.
    pub aws: Option<AwsAccount>,
    /// How batches go.
    pub batches: BatchOptions,
    /// Models that are listed beside the usual ones.
    pub models: Vec<String>,
}

/// How batches go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchOptions {
    /// Of each line.
    pub pace: Duration,
    /// How long it takes until whoever has uploaded a file or made a batch is told so.
    pub told_after: Duration,
    /// Lines after which the time of a batch is over.
    pub expire_after: Option<usize>,
    /// OpenAI's fail as a whole, because a line makes no sense to it.
    pub fail: bool,
}

impl Default for BatchOptions {
    fn default() -> Self {
        Self {
            pace: Duration::from_millis(5),
            told_after: Duration::ZERO,
            expire_after: None,
            fail: false,
        }
    }
}

/// Credentials of a simulated cloud account. Nothing here is real.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwsAccount {
    /// Access key.
    pub access_key: String,
    /// Secret key.
    pub secret_key: String,
}

/// How streams are cut into pieces.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Chunking {
    /// An event a piece.
    #[default]
    Events,
    /// So many bytes a piece.
    Bytes(usize),
}

/// Content codings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Coding {
    /// None.
    #[default]
    None,
    /// gzip.
    Gzip,
    /// deflate.
    Deflate,
    /// br.
    Brotli,
    /// zstd.
    Zstd,
}

impl Coding {
    /// The value of `content-encoding`.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Gzip => Some("gzip"),
            Self::Deflate => Some("deflate"),
            Self::Brotli => Some("br"),
            Self::Zstd => Some("zstd"),
        }
    }
}

impl std::str::FromStr for Coding {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::None, Self::Gzip, Self::Deflate, Self::Brotli, Self::Zstd]
            .into_iter()
            .find(|coding| coding.name().unwrap_or("none") == text)
            .ok_or_else(|| format!("unknown coding {text:?}: none, gzip, deflate, br or zstd"))
    }
}

/// A running simulated provider. Ends when dropped.
pub struct SimServer {
    address: SocketAddr,
    state: Arc<State>,
    task: JoinHandle<()>,
}

/// What all requests share.
pub(crate) struct State {
    pub(crate) options: SimOptions,
    faults: Mutex<Vec<(Schedule, Fault)>>,
    served: Mutex<Noted>,
    /// Prefixes that were written to the cache: of a format and a model.
    pub(crate) cached: Mutex<HashSet<(&'static str, String, String)>>,
    /// What stays: responses, files, batches.
    pub(crate) store: store::Store,
    requests: AtomicU64,
}

/// What was served since it was last cleared, and how many requests came before.
#[derive(Default)]
struct Noted {
    before: usize,
    all: Vec<Served>,
}

impl Noted {
    fn clear(&mut self) {
        self.before += self.all.len();
        self.all.clear();
    }
}

/// A request with its body read.
pub(crate) struct Asked {
    pub(crate) method: Method,
    pub(crate) path: String,
    /// What follows the question mark.
    pub(crate) query: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) fault: Option<Fault>,
    pub(crate) reset: Arc<AtomicBool>,
    pub(crate) state: Arc<State>,
}

impl SimServer {
    /// Starts one on `address`.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn start(address: SocketAddr, options: SimOptions) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let state = Arc::new(State {
            options,
            faults: Mutex::default(),
            served: Mutex::default(),
            cached: Mutex::default(),
            store: store::Store::default(),
            requests: AtomicU64::new(0),
        });
        let task = tokio::spawn(accept(listener, Arc::clone(&state)));
        Ok(Self { address, state, task })
    }

    /// Starts one on any free port of loopback.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn local(options: SimOptions) -> io::Result<Self> {
        Self::start(SocketAddr::from(([127, 0, 0, 1], 0)), options).await
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it served so far.
    #[must_use]
    pub fn served(&self) -> Vec<Served> {
        self.state.served.lock().all.clone()
    }

    /// Forgets what it served.
    pub fn clear(&self) {
        self.state.served.lock().clear();
    }

    /// Faults of the requests to come, which are counted anew.
    pub fn set_faults(&self, faults: Vec<(Schedule, Fault)>) {
        self.state.requests.store(0, Ordering::SeqCst);
        *self.state.faults.lock() = faults;
    }
}

impl Drop for SimServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl State {
    /// Notes a request and says under which number.
    pub(crate) fn note(&self, served: Served) -> usize {
        let mut noted = self.served.lock();
        if noted.all.len() >= MAX_SERVED {
            noted.clear();
        }
        noted.all.push(served);
        noted.before + noted.all.len() - 1
    }

    /// Notes how request number `number` ended.
    pub(crate) fn ended(
        &self,
        number: usize,
        outcome: ServedOutcome,
        (output, told): (u64, Option<serde_json::Value>),
    ) {
        let mut noted = self.served.lock();
        // A slow one may end after the list was cleared.
        let Some(at) = number.checked_sub(noted.before) else {
            return;
        };
        if let Some(served) = noted.all.get_mut(at) {
            served.outcome = outcome;
            served.output = output;
            served.told = told;
        }
    }

    fn strike(&self) -> Option<Fault> {
        let number = self.requests.fetch_add(1, Ordering::SeqCst);
        self.faults
            .lock()
            .iter()
            .find(|(schedule, _)| schedule.strikes(number))
            .map(|(_, fault)| *fault)
    }
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    while let Ok((stream, _)) = listener.accept().await {
        let _ = stream.set_nodelay(true);
        let state = Arc::clone(&state);
        tokio::spawn(async move {
            if state.options.bench {
                let service = service_fn(|request: Request<Incoming>| async move {
                    let body = request
                        .into_body()
                        .collect()
                        .await
                        .map(http_body_util::Collected::to_bytes);
                    Ok::<_, std::convert::Infallible>(bench::reply(&body.unwrap_or_default()))
                });
                let _ = auto::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
                return;
            }
            let reset = Arc::new(AtomicBool::new(false));
            let io = Resettable {
                stream,
                reset: Arc::clone(&reset),
            };
            let service = service_fn(move |request| answer(Arc::clone(&state), Arc::clone(&reset), request));
            // A broken connection is what some faults are.
            let _ = auto::Builder::new(TokioExecutor::new())
                .serve_connection_with_upgrades(TokioIo::new(io), service)
                .await;
        });
    }
}

async fn answer(
    state: Arc<State>,
    reset: Arc<AtomicBool>,
    request: Request<Incoming>,
) -> Result<Response<Body>, io::Error> {
    let (mut parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    let upgrade = parts.extensions.remove::<OnUpgrade>();
    if path == "/_sim/served" {
        return Ok(record(&state, &parts.method));
    }
    let body = Limited::new(body, MAX_BODY)
        .collect()
        .await
        .map_err(io::Error::other)?
        .to_bytes();
    let fault = fault(&parts.headers, &path, &body)
        .or_else(|| realtime::fault(parts.uri.query()))
        .or_else(|| state.strike());
    let asked = Asked {
        method: parts.method,
        query: parts.uri.query().unwrap_or_default().to_owned(),
        path,
        headers: with_host(parts.headers, &parts.uri),
        body,
        fault,
        reset: Arc::clone(&reset),
        state,
    };
    match fault {
        Some(Fault::ResetBeforeHead) => {
            reset.store(true, Ordering::SeqCst);
            return Err(io::Error::other("reset on purpose"));
        }
        Some(Fault::StallBeforeHead) => tokio::time::sleep(STALL).await,
        _ => {}
    }
    if realtime::is_asked(&asked.path) {
        return Ok(realtime::answer(asked, upgrade));
    }
    let wait = asked.state.options.batches.told_after;
    let makes =
        asked.method == Method::POST && ["/files", "/batches"].iter().any(|end| asked.path.ends_with(end));
    let answer = routes::answer(asked);
    if makes && !wait.is_zero() {
        // What was asked is done, whether or not anybody still waits for the answer.
        tokio::time::sleep(wait).await;
    }
    Ok(answer)
}

/// The record of what was served, as JSON; forgotten on `DELETE`.
fn record(state: &State, method: &Method) -> Response<Body> {
    let all = state.served.lock().all.clone();
    if method == Method::DELETE {
        state.served.lock().clear();
    }
    let body = serde_json::to_vec(&all).unwrap_or_default();
    exchange::respond(200, body, "application/json", Coding::None)
}

/// The fault that a request asks for: in a header, or in the name of its model.
fn fault(headers: &HeaderMap, path: &str, body: &[u8]) -> Option<Fault> {
    let header = headers.get("x-sim-fault").and_then(|value| value.to_str().ok());
    if let Some(fault) = header.and_then(|text| text.parse().ok()) {
        return Some(fault);
    }
    let model = routes::model_of(path).or_else(|| {
        let value: serde_json::Value = serde_json::from_slice(body).ok()?;
        Some(value.get("model")?.as_str()?.to_owned())
    })?;
    model.split_once("+fault=")?.1.parse().ok()
}

/// HTTP/2 names the host in the address.
fn with_host(mut headers: HeaderMap, uri: &http::Uri) -> HeaderMap {
    if !headers.contains_key(http::header::HOST)
        && let Some(host) = uri.authority().and_then(|host| host.as_str().parse().ok())
    {
        headers.insert(http::header::HOST, host);
    }
    headers
}

/// A socket that can be closed with a reset instead of a farewell.
struct Resettable {
    stream: TcpStream,
    reset: Arc<AtomicBool>,
}

impl Drop for Resettable {
    fn drop(&mut self) {
        if self.reset.load(Ordering::SeqCst) {
            let _ = socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
        }
    }
}

impl AsyncRead for Resettable {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Resettable {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.reset.load(Ordering::SeqCst) {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
