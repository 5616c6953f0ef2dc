//! A connection that leaves HTTP: the request for another protocol, and what the server says to it.

use bytes::{Bytes, BytesMut};
use http::{Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Duration, Instant, timeout_at};

use super::Outgoing;
use super::connect::{self, Stream};
use super::lease::unserved;
use super::tls::Tls;
use crate::endpoint::Endpoint;
use crate::error::{Phase, SendError, SendErrorKind};
use crate::proxy::Proxy;
use crate::timeouts::Timeouts;

/// Most bytes that are read of a refusal.
const REFUSAL_LIMIT: usize = 64 * 1024;
/// Longest wait for them.
const REFUSAL_TIME: Duration = Duration::from_secs(5);

/// What a server says to a request for another protocol.
#[derive(Debug)]
pub enum Upgrade {
    /// It speaks it from here on. With the head of its answer.
    Agreed(Response<()>, TokioIo<Upgraded>),
    /// It does not; this is its answer, as much of its body as is told on.
    Refused(Response<Bytes>),
}

/// Dials, asks, and waits for the answer.
pub(super) async fn ask(
    tls: &Tls,
    endpoint: &Endpoint,
    (request, proxy): (Outgoing, Option<&Proxy>),
    timeouts: &Timeouts,
) -> Result<Upgrade, SendError> {
    let host = endpoint.origin().host();
    let total = Instant::now() + timeouts.total;
    let late = |phase| SendError::new(SendErrorKind::Timeout(phase), host);
    let origin = endpoint.origin().over_http1();
    let connect = (Instant::now() + timeouts.connect).min(total);
    let transport = timeout_at(connect, connect::open_tunnelled(tls, &origin, proxy))
        .await
        .map_err(|_| late(Phase::Connect))??;
    let first_byte = (Instant::now() + timeouts.first_byte).min(total);
    let asked = async {
        match transport.stream {
            Stream::Plain(stream) => send(stream, request, host).await,
            Stream::Tls(stream) => send(stream, request, host).await,
        }
    };
    let response = timeout_at(first_byte, asked)
        .await
        .map_err(|_| late(Phase::FirstByte))??;
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return agreed(response, host).await;
    }
    Ok(Upgrade::Refused(refused(response).await))
}

async fn send<T>(stream: T, request: Outgoing, host: &str) -> Result<Response<Incoming>, SendError>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::Builder::new()
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| SendError::new(SendErrorKind::Connect, host).because(error))?;
    tokio::spawn(async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%error, "a connection ended before it changed its protocol");
        }
    });
    sender
        .try_send_request(request)
        .await
        .map_err(|error| unserved(error, false, host).error)
}

async fn agreed(mut response: Response<Incoming>, host: &str) -> Result<Upgrade, SendError> {
    let upgraded = hyper::upgrade::on(&mut response)
        .await
        .map_err(|error| SendError::new(SendErrorKind::Protocol, host).because(error))?;
    Ok(Upgrade::Agreed(response.map(drop), TokioIo::new(upgraded)))
}

/// The answer with the beginning of its body, whatever comes of the rest.
async fn refused(response: Response<Incoming>) -> Response<Bytes> {
    let (parts, mut body) = response.into_parts();
    let mut read = BytesMut::new();
    let reading = async {
        while let Some(Ok(frame)) = body.frame().await {
            if let Some(data) = frame.data_ref() {
                let room = REFUSAL_LIMIT.saturating_sub(read.len());
                read.extend_from_slice(&data[..data.len().min(room)]);
                if room <= data.len() {
                    break;
                }
            }
        }
    };
    // What came in time is told.
    let _ = tokio::time::timeout(REFUSAL_TIME, reading).await;
    Response::from_parts(parts, read.freeze())
}
