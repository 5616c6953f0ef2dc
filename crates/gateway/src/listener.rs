//! Accepting connections: sockets are taken by one task and handed to the worker with the fewest of them.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use rustls::ServerConfig;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::worker::WorkerHandle;

const BACKLOG: i32 = 4096;
/// How long accepting pauses when the process is out of file descriptors.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(50);

/// A connection on its way to a worker.
pub struct Accepted {
    /// The socket, not yet registered with any runtime.
    pub socket: std::net::TcpStream,
    /// Who is at the other end.
    pub peer: SocketAddr,
    /// Present when the listener speaks TLS.
    pub tls: Option<Arc<ServerConfig>>,
}

/// Binds `address`. `SO_REUSEADDR` only: two gateways on one port shall be an error, not a lottery.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Accepts until `stop` says so.
pub async fn accept(
    listener: TcpListener,
    tls: Arc<ArcSwapOption<ServerConfig>>,
    workers: Arc<[WorkerHandle]>,
    mut stop: watch::Receiver<bool>,
) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        match accepted {
            Ok((stream, peer)) => hand_over(stream, peer, tls.load_full(), &workers),
            Err(error) if is_exhaustion(&error) => {
                tracing::warn!(%error, "cannot accept connections for the moment");
                tokio::time::sleep(EXHAUSTED_PAUSE).await;
            }
            // The client was gone before it was accepted.
            Err(error) => tracing::debug!(%error, "a connection was lost before it was accepted"),
        }
    }
}

fn hand_over(stream: TcpStream, peer: SocketAddr, tls: Option<Arc<ServerConfig>>, workers: &[WorkerHandle]) {
    // Server-sent events are small writes that must leave at once.
    let _ = stream.set_nodelay(true);
    let Ok(socket) = stream.into_std() else { return };
    if let Some(worker) = workers.iter().min_by_key(|worker| worker.connections()) {
        worker.hand(Accepted { socket, peer, tls });
    }
}

fn is_exhaustion(error: &io::Error) -> bool {
    // EMFILE and ENFILE: out of descriptors, here or in the whole system.
    matches!(error.raw_os_error(), Some(23 | 24))
}
