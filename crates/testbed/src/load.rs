//! A closed-loop load generator: so many connections, each with one request after another.

mod pace;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::net::TcpStream;

use pace::{Pacer, Pauses};

/// What is asked, how often, by how many at once.
#[derive(Debug, Clone)]
pub struct LoadPlan {
    /// Who is asked.
    pub address: SocketAddr,
    /// Path.
    pub path: String,
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub body: Bytes,
    /// Connections.
    pub connections: usize,
    /// Requests in all.
    pub requests: usize,
    /// Pause of a connection between its requests, on the average; pauses are drawn.
    pub pause: Duration,
}

/// What came of it.
#[derive(Debug, Clone, Default)]
pub struct LoadReport {
    /// Requests that were answered with 200, to their end.
    pub good: usize,
    /// Requests that were not.
    pub bad: usize,
    /// How long it took.
    pub elapsed: Duration,
    /// To the end of each answer, sorted.
    pub latency: Vec<Duration>,
    /// To the first piece of each body, sorted.
    pub first_piece: Vec<Duration>,
    /// Pieces of bodies.
    pub pieces: usize,
}

/// The value below which a share of the sorted values lies.
#[must_use]
pub fn quantile(sorted: &[Duration], share: f64) -> Duration {
    let at = ((sorted.len() as f64 - 1.0) * share).round().max(0.0) as usize;
    sorted.get(at).copied().unwrap_or_default()
}

/// Runs a plan.
pub async fn run(plan: LoadPlan) -> LoadReport {
    let plan = Arc::new(plan);
    let report = Arc::new(Mutex::new(LoadReport::default()));
    let started = Instant::now();
    let pacer = (!plan.pause.is_zero()).then(Pacer::start);
    let mut tasks = Vec::new();
    for number in 0..plan.connections {
        let share = plan.requests / plan.connections + usize::from(number < plan.requests % plan.connections);
        let pace = pacer
            .clone()
            .map(|pacer| (pacer, Pauses::new(plan.pause, number)));
        tasks.push(tokio::spawn(client(
            Arc::clone(&plan),
            share,
            pace,
            Arc::clone(&report),
        )));
    }
    drop(pacer);
    for task in tasks {
        // A panic in the generator shows as missing requests.
        let _ = task.await;
    }
    let mut report = std::mem::take(&mut *report.lock());
    report.elapsed = started.elapsed();
    report.latency.sort_unstable();
    report.first_piece.sort_unstable();
    report
}

async fn client(
    plan: Arc<LoadPlan>,
    share: usize,
    mut pace: Option<(Pacer, Pauses)>,
    report: Arc<Mutex<LoadReport>>,
) {
    let mut own = LoadReport::default();
    let mut sender = None;
    for _ in 0..share {
        if sender.is_none() {
            sender = connect(plan.address).await.ok();
        }
        if let Some((pacer, pauses)) = &mut pace {
            pacer.pause(pauses.next()).await;
        }
        let outcome = match &mut sender {
            Some(open) => once(open, &plan).await,
            None => Err(()),
        };
        match outcome {
            Ok((first, all, pieces)) => {
                own.good += 1;
                own.pieces += pieces;
                own.first_piece.push(first);
                own.latency.push(all);
            }
            Err(()) => {
                own.bad += 1;
                sender = None;
            }
        }
    }
    let mut report = report.lock();
    report.good += own.good;
    report.bad += own.bad;
    report.pieces += own.pieces;
    report.latency.append(&mut own.latency);
    report.first_piece.append(&mut own.first_piece);
}

type Sender = http1::SendRequest<Full<Bytes>>;

/// Opens a connection.
///
/// # Errors
/// When nobody listens.
pub async fn connect(address: SocketAddr) -> Result<Sender, std::io::Error> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(std::io::Error::other)?;
    tokio::spawn(connection);
    Ok(sender)
}

async fn once(sender: &mut Sender, plan: &LoadPlan) -> Result<(Duration, Duration, usize), ()> {
    let mut request = Request::new(Full::new(plan.body.clone()));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = plan.path.parse().map_err(drop)?;
    *request.headers_mut() = plan.headers.clone();
    let host = plan.address.to_string().parse().map_err(drop)?;
    request.headers_mut().insert(header::HOST, host);
    let started = Instant::now();
    sender.ready().await.map_err(drop)?;
    let response = sender.send_request(request).await.map_err(drop)?;
    let good = response.status() == StatusCode::OK;
    let mut body = response.into_body();
    let (mut first, mut pieces) = (None, 0);
    while let Some(frame) = body.frame().await {
        frame.map_err(drop)?;
        pieces += 1;
        first.get_or_insert_with(|| started.elapsed());
    }
    if good {
        Ok((first.unwrap_or_default(), started.elapsed(), pieces))
    } else {
        Err(())
    }
}
