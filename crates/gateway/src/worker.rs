//! A worker: one thread, one single-threaded runtime, its own upstream connections and its own journal segment.
//!
//! A request lives and dies on the worker that took its connection, so nothing on its way is shared with other
//! requests of other workers but atomics. (Measured against a work-stealing runtime: no wake-ups across cores.)

mod slice;

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use parking_lot::Mutex;
use pointsman_store::JournalWriter;
use pointsman_upstream::Client;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, watch};
use tokio_rustls::TlsAcceptor;

use crate::batch;
use crate::certificate::Certificate;
use crate::listener::Accepted;
use crate::protocol::{self, Protocol, Rewound};
use crate::road::{self, CopyDesk, CopyOwner};
use crate::server::Shared;
use crate::snapshot::Bounds;

/// Connections accepted but not yet taken by their worker.
const HAND_OVER_QUEUE: usize = 4096;
const TLS_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How often a worker wakes, whatever there is to do.
const TICK: Duration = Duration::from_secs(1);
/// How often a quiet HTTP/2 connection is asked whether it is still there, and how long it may take to say so.
const HTTP2_PING: Duration = Duration::from_secs(20);
/// Requests at once on one HTTP/2 connection.
const HTTP2_STREAMS: u32 = 256;

/// What a request finds on its worker.
pub struct Worker {
    /// The gateway it belongs to.
    pub shared: Arc<Shared>,
    /// Connections to providers.
    pub client: Client,
    /// The journal segment of this worker. The lock is never contended: only this thread takes it.
    pub journal: Mutex<JournalWriter>,
    /// Requests of clients that it has in flight.
    pub awaited: Arc<AtomicUsize>,
    /// Where copies of requests are handed over.
    pub copies: CopyDesk,
    ids: IdSource,
    connections: Arc<AtomicUsize>,
    stop: watch::Receiver<bool>,
}

impl Worker {
    /// Whether the gateway is stopping.
    pub fn is_stopping(&self) -> bool {
        *self.stop.borrow()
    }

    /// Waits until the gateway stops.
    pub async fn stops(&self) {
        stopped(&mut self.stop.clone()).await;
    }

    /// Counts work that goes on without a connection.
    pub fn hold(&self) -> Held {
        self.connections.fetch_add(1, Ordering::Relaxed);
        Held(Arc::clone(&self.connections))
    }

    /// A new, never repeated request id.
    pub fn next_id(&self) -> String {
        self.ids.next()
    }
}

/// Work that goes on without a connection; a worker that stops waits for it as for one.
pub struct Held(Arc<AtomicUsize>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The control thread's end of a worker.
pub struct WorkerHandle {
    sender: mpsc::Sender<Accepted>,
    connections: Arc<AtomicUsize>,
}

impl WorkerHandle {
    /// Connections it has now.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Hands it a connection; closes the connection when its queue is full.
    pub fn hand(&self, accepted: Accepted) {
        self.connections.fetch_add(1, Ordering::Relaxed);
        if self.sender.try_send(accepted).is_err() {
            self.connections.fetch_sub(1, Ordering::Relaxed);
            tracing::warn!("a worker's queue of new connections is full; the connection was closed");
        }
    }
}

/// Starts a worker thread. It ends once `stop` is true and its connections are done, or `drain` has passed.
pub fn start(
    index: usize,
    shared: Arc<Shared>,
    client: Client,
    journal: JournalWriter,
    stop: watch::Receiver<bool>,
) -> io::Result<(WorkerHandle, JoinHandle<()>)> {
    let (sender, receiver) = mpsc::channel(HAND_OVER_QUEUE);
    let connections = Arc::new(AtomicUsize::new(0));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (copies, handed) = road::copy_desk();
    let worker = Worker {
        copies,
        ids: IdSource::new(index, shared.replica()),
        awaited: shared.awaited.get(index).cloned().unwrap_or_default(),
        shared,
        client,
        journal: Mutex::new(journal),
        connections: Arc::clone(&connections),
        stop: stop.clone(),
    };
    let thread = std::thread::Builder::new()
        .name(format!("worker-{index}"))
        .spawn(move || {
            slice::short();
            runtime.block_on(async {
                let owner = CopyOwner::start(handed);
                run(Arc::new(worker), receiver, stop).await;
                owner.stop().await;
            });
        })?;
    Ok((WorkerHandle { sender, connections }, thread))
}

/// Starts the worker that has no connections: it sends the lines of batches.
///
/// # Errors
/// When the thread cannot be started.
pub fn start_for_batches(
    shared: Arc<Shared>,
    client: Client,
    journal: JournalWriter,
    stop: watch::Receiver<bool>,
) -> io::Result<JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let worker = Worker {
        // No copies are made of the lines of batches: nobody takes any up.
        copies: road::copy_desk().0,
        ids: IdSource::new(usize::MAX, shared.replica()),
        awaited: Arc::default(),
        shared,
        client,
        journal: Mutex::new(journal),
        connections: Arc::default(),
        stop: stop.clone(),
    };
    std::thread::Builder::new()
        .name("batches".to_owned())
        .spawn(move || runtime.block_on(batch::run(Arc::new(worker), stop)))
}

async fn run(worker: Arc<Worker>, mut receiver: mpsc::Receiver<Accepted>, mut stop: watch::Receiver<bool>) {
    // A timer that is due before all others makes the runtime wake itself through the kernel. Those of requests come by
    // the thousand and are due in many seconds: there is always one that is due before them.
    tokio::spawn(async {
        loop {
            tokio::time::sleep(TICK).await;
        }
    });
    loop {
        let accepted = tokio::select! {
            accepted = receiver.recv() => accepted,
            () = stopped(&mut stop) => break,
        };
        let Some(accepted) = accepted else { break };
        spawn(&worker, &stop, accepted);
    }
    // What had been handed over before the end was told has a client that waits.
    receiver.close();
    while let Ok(accepted) = receiver.try_recv() {
        spawn(&worker, &stop, accepted);
    }
    let drained = async {
        while worker.connections.load(Ordering::Relaxed) > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let limit = worker.shared.snapshot.load().bounds.drain;
    if tokio::time::timeout(limit, drained).await.is_err() {
        tracing::warn!(?limit, "some connections outlived the drain time and were closed");
    }
}

fn spawn(worker: &Arc<Worker>, stop: &watch::Receiver<bool>, accepted: Accepted) {
    let connection = Connection {
        worker: Arc::clone(worker),
        stop: stop.clone(),
    };
    tokio::spawn(connection.serve(accepted));
}

/// Waits until the gateway stops. A gateway that is gone has stopped, too.
pub async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

/// One client connection; counts itself out when dropped.
struct Connection {
    worker: Arc<Worker>,
    stop: watch::Receiver<bool>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.worker.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Connection {
    async fn serve(mut self, accepted: Accepted) {
        let Ok(stream) = tokio::net::TcpStream::from_std(accepted.socket) else {
            return;
        };
        match accepted.tls {
            None => self.serve_http(stream, (accepted.peer, None), None).await,
            Some(config) => {
                let handshake = TlsAcceptor::from(config).accept(stream);
                match tokio::time::timeout(TLS_HANDSHAKE_TIMEOUT, handshake).await {
                    Ok(Ok(stream)) => {
                        let session = stream.get_ref().1;
                        let agreed = protocol::by_alpn(session.alpn_protocol());
                        let shown = Certificate::read(session.peer_certificates()).map(Arc::new);
                        // Boxed, as is HTTP/2 below: a connection without them takes no room for them.
                        Box::pin(self.serve_http(stream, (accepted.peer, shown), agreed)).await;
                    }
                    Ok(Err(error)) => tracing::debug!(%error, peer = %accepted.peer, "TLS handshake failed"),
                    Err(_) => tracing::debug!(peer = %accepted.peer, "TLS handshake timed out"),
                }
            }
        }
    }

    async fn serve_http<S>(
        &mut self,
        stream: S,
        (peer, shown): (SocketAddr, Option<Arc<Certificate>>),
        agreed: Option<Protocol>,
    ) where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let bounds = self.worker.shared.snapshot.load().bounds;
        let (protocol, stream) = match agreed {
            Some(protocol) => (protocol, Rewound::untouched(stream)),
            None => match self.first_bytes(stream, bounds.header_timeout).await {
                Some(told) => told,
                None => return,
            },
        };
        let worker = Arc::clone(&self.worker);
        let service = service_fn(move |request: Request<Incoming>| {
            let (worker, shown) = (Arc::clone(&worker), shown.clone());
            async move { Ok::<_, std::convert::Infallible>(road::answer(worker, request, (peer, shown)).await) }
        });
        let stream = TokioIo::new(stream);
        let ended = match protocol {
            Protocol::Http1 => {
                let mut connection = pin!(http1(&bounds).serve_connection(stream, service).with_upgrades());
                tokio::select! {
                    ended = connection.as_mut() => ended,
                    () = stopped(&mut self.stop) => {
                        connection.as_mut().graceful_shutdown();
                        connection.await
                    }
                }
            }
            Protocol::Http2 => {
                let mut connection = Box::pin(http2(&bounds).serve_connection(stream, service));
                tokio::select! {
                    ended = connection.as_mut() => ended,
                    () = stopped(&mut self.stop) => {
                        connection.as_mut().graceful_shutdown();
                        connection.await
                    }
                }
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, %peer, "connection ended");
        }
    }

    /// Waits for a client to say which HTTP it speaks, as long as for a request head; none when it says nothing.
    async fn first_bytes<S>(&mut self, stream: S, limit: Duration) -> Option<(Protocol, Rewound<S>)>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let told = tokio::time::timeout(limit, protocol::by_first_bytes(stream));
        tokio::select! {
            // First what has come already: a request that was sent before the end is answered.
            biased;
            told = told => told.ok()?.ok(),
            () = stopped(&mut self.stop) => None,
        }
    }
}

fn http1(bounds: &Bounds) -> hyper::server::conn::http1::Builder {
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(bounds.header_timeout)
        .max_buf_size(bounds.header_limit);
    builder
}

fn http2(bounds: &Bounds) -> hyper::server::conn::http2::Builder<TokioExecutor> {
    let mut builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .keep_alive_interval(HTTP2_PING)
        .keep_alive_timeout(HTTP2_PING)
        .max_concurrent_streams(HTTP2_STREAMS)
        .max_header_list_size(bounds.header_limit as u32);
    builder
}

/// Request ids: a random prefix for the process and worker, and a counter. 26 characters of hex after `req_`; where
/// replicas count together, after the eight of the replica, by which the ledger tells what each of them has charged.
struct IdSource {
    replica: String,
    prefix: u64,
    next: AtomicU64,
}

impl IdSource {
    fn new(index: usize, replica: &str) -> Self {
        let mut seed = [0_u8; 8];
        // Without the system's randomness ids would repeat between processes; the clock is the next best thing.
        if getrandom::fill(&mut seed).is_err() {
            let now = std::time::SystemTime::now()
                .duration_since(std::time::UNIX_EPOCH)
                .unwrap_or_default();
            seed = (now.as_nanos() as u64 ^ index as u64).to_le_bytes();
        }
        Self {
            replica: replica.to_owned(),
            prefix: u64::from_le_bytes(seed),
            next: AtomicU64::new(0),
        }
    }

    fn next(&self) -> String {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        format!("req_{}{:016x}{number:010x}", self.replica, self.prefix)
    }
}
