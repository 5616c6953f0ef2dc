//! The connections of one worker to one origin.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::connect;
use super::exclusive::Exclusive;
use super::handshake::{self, Fresh};
use super::lease::{Http2Sender, Lease};
use super::tls::Tls;
use crate::config::{HttpVersion, PoolConfig};
use crate::endpoint::Origin;
use crate::error::SendError;
use crate::proxy::Proxy;

/// How often connections that are idle are looked at, or more often.
const SWEEP: Duration = Duration::from_secs(5);

/// The connections of one worker to one origin: idle ones of HTTP/1.1, the last used on top, and those of HTTP/2,
/// which are shared. The locks are only ever taken by the one worker.
pub(crate) struct OriginPool {
    idle: Mutex<VecDeque<Idle>>,
    shared: Mutex<Vec<Arc<Shared>>>,
    /// Whether requests may share a connection; guessed until the first connection tells.
    multiplexes: AtomicBool,
    /// Held while dialing if connections are shared, so that requests that come together share one.
    dialing: tokio::sync::Mutex<()>,
    reaping: AtomicBool,
    max_idle: usize,
    idle_timeout: Duration,
    proxy: Option<Proxy>,
    /// Whether the proxy forwards requests; else it only opens tunnels.
    forwards: bool,
}

struct Idle {
    connection: Exclusive,
    since: Instant,
}

/// One HTTP/2 connection.
pub(super) struct Shared {
    sender: Http2Sender,
    streams: AtomicUsize,
    /// Streams that the server allows at a time, kept current by the connection's driver.
    limit: Arc<AtomicUsize>,
    idle_since: Mutex<Instant>,
}

/// The right to one stream of an HTTP/2 connection.
pub(crate) struct StreamSlot {
    pub(super) sender: Http2Sender,
    shared: Arc<Shared>,
}

impl StreamSlot {
    fn new(shared: &Arc<Shared>) -> Self {
        shared.streams.fetch_add(1, Ordering::Relaxed);
        Self {
            sender: shared.sender.clone(),
            shared: Arc::clone(shared),
        }
    }
}

impl Drop for StreamSlot {
    fn drop(&mut self) {
        if self.shared.streams.fetch_sub(1, Ordering::Relaxed) == 1 {
            *self.shared.idle_since.lock() = Instant::now();
        }
    }
}

impl OriginPool {
    pub(super) fn new(origin: &Origin, limits: &PoolConfig, proxy: Option<Proxy>) -> Self {
        let multiplexes = match origin.http() {
            HttpVersion::Auto => origin.is_tls(),
            HttpVersion::Http1 => false,
            HttpVersion::Http2 => true,
        };
        Self {
            idle: Mutex::default(),
            shared: Mutex::default(),
            multiplexes: AtomicBool::new(multiplexes),
            dialing: tokio::sync::Mutex::new(()),
            reaping: AtomicBool::new(false),
            max_idle: limits.max_idle as usize,
            idle_timeout: limits.idle_timeout.get(),
            proxy,
            forwards: !multiplexes && !origin.is_tls(),
        }
    }

    /// The proxy that requests themselves are sent to: plain HTTP, not in a tunnel.
    pub(super) fn forwarder(&self) -> Option<&Proxy> {
        self.proxy.as_ref().filter(|_| self.forwards)
    }

    /// A connection that is at hand.
    pub(super) fn check_out(self: &Arc<Self>) -> Option<Lease> {
        self.check_out_shared()
            .map(Lease::Http2)
            .or_else(|| self.check_out_idle())
    }

    fn check_out_shared(&self) -> Option<StreamSlot> {
        let mut shared = self.shared.lock();
        if shared.is_empty() {
            return None;
        }
        // A closed one is forgotten here; its requests keep it until they are done.
        shared.retain(|connection| !connection.sender.is_closed());
        shared
            .iter()
            .find(|connection| {
                connection.streams.load(Ordering::Relaxed) < connection.limit.load(Ordering::Relaxed)
            })
            .map(StreamSlot::new)
    }

    fn check_out_idle(self: &Arc<Self>) -> Option<Lease> {
        let mut idle = self.idle.lock();
        while let Some(Idle {
            mut connection,
            since,
        }) = idle.pop_back()
        {
            if since.elapsed() >= self.idle_timeout {
                // Those below were used even longer ago.
                idle.clear();
                return None;
            }
            connection.settle();
            if connection.is_ready() {
                return Some(Lease::Http1(connection, Arc::clone(self)));
            }
        }
        None
    }

    /// Takes back a connection whose response was read to its end.
    pub(super) fn check_in(self: &Arc<Self>, connection: Exclusive) {
        if self.max_idle == 0 || connection.is_closed() {
            return;
        }
        let mut idle = self.idle.lock();
        if idle.len() >= self.max_idle {
            idle.pop_front();
        }
        idle.push_back(Idle {
            connection,
            since: Instant::now(),
        });
        drop(idle);
        self.reap();
    }

    /// A connection for a request that found none at hand.
    pub(super) async fn dial(self: &Arc<Self>, tls: &Tls, origin: &Origin) -> Result<Lease, SendError> {
        let _turn = if self.multiplexes.load(Ordering::Relaxed) {
            let turn = self.dialing.lock().await;
            if let Some(slot) = self.check_out_shared() {
                return Ok(Lease::Http2(slot));
            }
            // The one before may have found that connections are not shared: then nobody needs to wait.
            self.multiplexes.load(Ordering::Relaxed).then_some(turn)
        } else {
            None
        };
        let transport = connect::open(tls, origin, self.proxy.as_ref()).await?;
        match handshake::shake(transport, origin).await? {
            Fresh::Http1(connection) => {
                self.multiplexes.store(false, Ordering::Relaxed);
                Ok(Lease::Http1(connection, Arc::clone(self)))
            }
            Fresh::Http2(sender, limit) => {
                self.multiplexes.store(true, Ordering::Relaxed);
                let idle_since = Mutex::new(Instant::now());
                let connection = Arc::new(Shared {
                    sender,
                    streams: AtomicUsize::new(0),
                    limit,
                    idle_since,
                });
                let slot = StreamSlot::new(&connection);
                self.shared.lock().push(connection);
                self.reap();
                Ok(Lease::Http2(slot))
            }
        }
    }

    /// Makes sure that somebody closes what stays idle. Ends by itself when nothing is left.
    fn reap(self: &Arc<Self>) {
        if self.reaping.swap(true, Ordering::Relaxed) {
            return;
        }
        tokio::spawn(reaper(Arc::downgrade(self), self.idle_timeout));
    }

    /// Closes what was idle for too long. Whether anything is left.
    fn sweep(&self) -> bool {
        let mut idle = self.idle.lock();
        idle.retain_mut(|idle| {
            // Nobody else learns that a server has closed it.
            idle.connection.settle();
            idle.since.elapsed() < self.idle_timeout && !idle.connection.is_closed()
        });
        let mut shared = self.shared.lock();
        shared.retain(|connection| {
            let is_used = connection.streams.load(Ordering::Relaxed) > 0;
            let is_young = connection.idle_since.lock().elapsed() < self.idle_timeout;
            !connection.sender.is_closed() && (is_used || is_young)
        });
        !idle.is_empty() || !shared.is_empty()
    }
}

async fn reaper(pool: Weak<OriginPool>, period: Duration) {
    loop {
        tokio::time::sleep(period.clamp(Duration::from_millis(10), SWEEP)).await;
        let Some(pool) = pool.upgrade() else { return };
        if !pool.sweep() {
            pool.reaping.store(false, Ordering::Relaxed);
            return;
        }
    }
}
