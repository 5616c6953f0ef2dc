//! The way to a Redis or Valkey server, or into a cluster of them: one connection, made when it is needed.

use std::fmt;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::{
    AsyncConnectionConfig, Client, Cmd, IntoConnectionInfo, Pipeline, RedisFuture, RedisResult, Value,
};
use secrecy::{ExposeSecret, SecretString};
use tokio::runtime::Handle;

use super::SharedError;

/// A cluster finds its way again by itself; one that has not for so long is looked for anew, where the URL says.
const LOST: Duration = Duration::from_secs(15);
/// How often a cluster is asked again within one call, and how long is waited before that, milliseconds.
const AGAIN: u32 = 4;
const PAUSE: [u64; 2] = [10, 200];

/// The way to where a URL says.
pub(super) struct Link {
    client: Client,
    /// The connection is driven here, whoever asks.
    runtime: Handle,
    way: Mutex<Way>,
    connecting: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Way {
    wire: Option<Wire>,
    /// Since when nothing has come of it.
    failing: Option<Instant>,
}

/// A connection.
#[derive(Clone)]
pub(super) enum Wire {
    /// To one server.
    Server(MultiplexedConnection),
    /// To all servers of a cluster, which says which of them has what.
    Cluster(ClusterConnection),
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").finish_non_exhaustive()
    }
}

impl Link {
    /// The way to `url`: `redis://`, `rediss://` or `redis+unix://`, as `redis-cli -u` takes it. Nothing is connected yet.
    /// Must be called within a Tokio runtime, which drives the connection.
    ///
    /// # Errors
    /// When the URL cannot be used.
    pub(super) fn new(url: &SecretString) -> Result<Self, SharedError> {
        let runtime = Handle::try_current().map_err(|error| SharedError::Server(error.to_string()))?;
        Ok(Self {
            client: open(url)?,
            runtime,
            way: Mutex::default(),
            connecting: tokio::sync::Mutex::new(()),
        })
    }

    /// The connection, made within this time where there is none.
    pub(super) async fn wire(&self, within: Duration) -> Result<Wire, SharedError> {
        let there = || self.way.lock().wire.clone();
        if let Some(wire) = there() {
            return Ok(wire);
        }
        // One connects, the others wait for it.
        let _alone = self.connecting.lock().await;
        if let Some(wire) = there() {
            return Ok(wire);
        }
        let client = self.client.clone();
        let made = self.runtime.spawn(async move { connect(&client, within).await });
        let made = made
            .await
            .map_err(|error| SharedError::Server(error.to_string()))?;
        let wire = made.map_err(told)?;
        self.way.lock().wire = Some(wire.clone());
        Ok(wire)
    }

    /// Takes note of how a call went: after one that failed the next begins with a new connection.
    pub(super) fn went(&self, well: bool) {
        let mut way = self.way.lock();
        if well {
            way.failing = None;
            return;
        }
        let since = *way.failing.get_or_insert_with(Instant::now);
        if matches!(way.wire, Some(Wire::Server(_))) || since.elapsed() >= LOST {
            *way = Way::default();
        }
    }
}

/// Whether a URL can be used.
///
/// # Errors
/// With what is wrong with it.
pub(super) fn open(url: &SecretString) -> Result<Client, SharedError> {
    // What the parser says may hold parts of the URL: only the kind of the mistake is told.
    let info = url.expose_secret().into_connection_info();
    let info = info
        .map_err(|_| SharedError::Url("use redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE], or rediss://"))?;
    Client::open(info).map_err(|_| SharedError::Url("it cannot be used"))
}

async fn connect(client: &Client, within: Duration) -> RedisResult<Wire> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(within))
        .set_response_timeout(Some(within));
    let mut server = client
        .get_multiplexed_async_connection_with_config(&config)
        .await?;
    // Who may not ask is in no cluster: its servers have to be asked by everybody.
    let said = redis::cmd("INFO")
        .arg("cluster")
        .query_async::<String>(&mut server)
        .await;
    if !said.is_ok_and(|said| said.contains("cluster_enabled:1")) {
        return Ok(Wire::Server(server));
    }
    let cluster = ClusterClient::builder([client.get_connection_info().clone()])
        .connection_timeout(within)
        .response_timeout(within)
        .retries(AGAIN)
        .min_retry_wait(PAUSE[0])
        .max_retry_wait(PAUSE[1])
        .build()?;
    Ok(Wire::Cluster(cluster.get_async_connection().await?))
}

impl ConnectionLike for Wire {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::Server(server) => server.req_packed_command(cmd),
            Self::Cluster(cluster) => cluster.req_packed_command(cmd),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::Server(server) => server.req_packed_commands(pipeline, offset, count),
            Self::Cluster(cluster) => cluster.req_packed_commands(pipeline, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::Server(server) => server.get_db(),
            Self::Cluster(cluster) => cluster.get_db(),
        }
    }
}

/// What the server said, without what may hold parts of a command.
pub(super) fn told(error: redis::RedisError) -> SharedError {
    let detail = error.detail().unwrap_or_default();
    let detail: String = detail.chars().take(200).collect();
    SharedError::Server(format!("{}: {detail}", error.category()))
}
