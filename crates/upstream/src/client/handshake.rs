//! From a transport to an HTTP connection with its driver running.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};

use super::connect::{Stream, Transport};
use super::exclusive::Exclusive;
use super::lease::Http2Sender;
use crate::endpoint::Origin;
use crate::error::{SendError, SendErrorKind};

/// A silent HTTP/2 connection with requests on it is asked for a sign of life this often.
const PING_INTERVAL: Duration = Duration::from_secs(20);
/// A connection that gives none for this long is closed.
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// A connection that has served nothing yet.
pub(super) enum Fresh {
    Http1(Exclusive),
    /// With the number of streams that the server allows at a time.
    Http2(Http2Sender, Arc<AtomicUsize>),
}

/// Starts HTTP on a transport. What drives HTTP/2 is a task that runs until the connection ends or its last sender is
/// dropped; HTTP/1.1 is driven by the request that uses it.
pub(super) async fn shake(transport: Transport, origin: &Origin) -> Result<Fresh, SendError> {
    let Transport { stream, http2 } = transport;
    let fresh = match (stream, http2) {
        (Stream::Plain(stream), false) => shake_http1(stream).await,
        (Stream::Plain(stream), true) => shake_http2(stream).await,
        (Stream::Tls(stream), false) => shake_http1(stream).await,
        (Stream::Tls(stream), true) => shake_http2(stream).await,
    };
    fresh.map_err(|error| SendError::new(SendErrorKind::Connect, origin.host()).because(error))
}

async fn shake_http1<T>(stream: T) -> hyper::Result<Fresh>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = http1::Builder::new().handshake(TokioIo::new(stream)).await?;
    Ok(Fresh::Http1(Exclusive::new(sender, Box::pin(connection))))
}

async fn shake_http2<T>(stream: T) -> hyper::Result<Fresh>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT)
        .handshake(TokioIo::new(stream))
        .await?;
    let limit = Arc::new(AtomicUsize::new(connection.current_max_send_streams()));
    let current = Arc::clone(&limit);
    tokio::spawn(async move {
        let mut connection = pin!(connection);
        let ended = std::future::poll_fn(|cx| {
            let polled = connection.as_mut().poll(cx);
            current.store(connection.current_max_send_streams(), Ordering::Relaxed);
            polled
        });
        if let Err(error) = ended.await {
            tracing::debug!(%error, "HTTP/2 connection ended");
        }
    });
    Ok(Fresh::Http2(sender, limit))
}
