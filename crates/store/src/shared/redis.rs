//! Shared counters on Redis or Valkey: one script, one connection, every call bounded in time.

use std::fmt;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, IntoConnectionInfo, Script};
use secrecy::{ExposeSecret, SecretString};
use tokio::runtime::Handle;

use super::{Answers, Ask, CounterKind, SharedCounters, SharedError, Told, Verdict};

/// The rules.
const RULES: &str = include_str!("redis/exchange.lua");
/// What is told of one counter, in fields.
const FIELDS: usize = 8;
/// Numbers are exact up to here: nine million dollars, in billionths.
const EXACT: i64 = 1 << 53;
/// Counters of one call of the script: it holds up everybody else for that long.
const MOST: usize = 256;

/// How long replicas are taken for alive, and how long a server that has just begun is given for them to tell what they
/// hold.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// A replica that has not told of a counter for so long is taken for dead.
    pub life: Duration,
    /// After a start of the server nobody is given anything of a counter that it has lost.
    pub grace: Duration,
}

/// Counters on a server.
pub struct RedisCounters {
    client: Client,
    script: Script,
    replica: String,
    /// Of this process, and of the one before it: that one holds nothing any more.
    processes: [String; 2],
    patience: Patience,
    /// The connection is driven here, whoever asks.
    runtime: Handle,
    connection: Mutex<Option<MultiplexedConnection>>,
    connecting: tokio::sync::Mutex<()>,
}

impl fmt::Debug for RedisCounters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisCounters")
            .field("replica", &self.replica)
            .finish_non_exhaustive()
    }
}

/// Whether a URL can be used: `redis://`, `rediss://` or `redis+unix://`, as `redis-cli -u` takes it.
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

impl RedisCounters {
    /// Whether a URL can be used.
    ///
    /// # Errors
    /// With what is wrong with it, without the URL.
    pub fn check(url: &SecretString) -> Result<(), SharedError> {
        open(url).map(drop)
    }

    /// Counters at `url`, for a replica of this name: for this process of it, and what the one before was called. Nothing is connected yet. Must be called within a Tokio runtime,
    /// which drives the connection.
    ///
    /// # Errors
    /// When the URL cannot be used.
    pub fn new(
        url: &SecretString,
        replica: &str,
        processes: [&str; 2],
        patience: Patience,
    ) -> Result<Self, SharedError> {
        let runtime = Handle::try_current().map_err(|error| SharedError::Server(error.to_string()))?;
        Ok(Self {
            client: open(url)?,
            script: Script::new(RULES),
            replica: replica.to_owned(),
            processes: processes.map(str::to_owned),
            patience,
            runtime,
            connection: Mutex::new(None),
            connecting: tokio::sync::Mutex::new(()),
        })
    }

    async fn connection(&self, within: Duration) -> Result<MultiplexedConnection, SharedError> {
        let there = || self.connection.lock().clone();
        if let Some(connection) = there() {
            return Ok(connection);
        }
        // One connects, the others wait for it.
        let _alone = self.connecting.lock().await;
        if let Some(connection) = there() {
            return Ok(connection);
        }
        let client = self.client.clone();
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(within))
            .set_response_timeout(Some(within));
        let made = self
            .runtime
            .spawn(async move { client.get_multiplexed_async_connection_with_config(&config).await });
        let made = made
            .await
            .map_err(|error| SharedError::Server(error.to_string()))?;
        let connection = made.map_err(told)?;
        *self.connection.lock() = Some(connection.clone());
        Ok(connection)
    }

    async fn call(&self, asks: &[Ask], within: Duration) -> Result<Answers, SharedError> {
        let mut answers = Answers::default();
        // Without asks it is asked all the same: for the time, and whether anybody answers.
        let parts = asks.chunks(MOST).chain(asks.is_empty().then_some(asks));
        for part in parts {
            let mut connection = self.connection(within).await?;
            let invocation = self.invocation(part);
            let called = invocation.invoke_async::<Vec<String>>(&mut connection).await;
            let said = called.map_err(told)?;
            answers.now = read(&said, part.len(), &mut answers.told)?;
        }
        Ok(answers)
    }

    fn invocation(&self, asks: &[Ask]) -> redis::ScriptInvocation<'_> {
        let mut call = self.script.prepare_invoke();
        let milliseconds = |time: Duration| bounded(i64::try_from(time.as_millis()).unwrap_or(EXACT));
        call.arg(&self.replica)
            .arg(&self.processes)
            .arg(milliseconds(self.patience.life))
            .arg(milliseconds(self.patience.grace));
        for ask in asks {
            let kind = match ask.kind {
                CounterKind::Places => "p",
                CounterKind::Minute => "m",
                CounterKind::Budget => "b",
            };
            call.key(&ask.key).arg(kind).arg(ask.limit.map_or(-1, bounded));
            for number in [
                ask.used,
                ask.acknowledged,
                ask.recent,
                ask.hold,
                ask.need,
                ask.asked,
                ask.want,
            ] {
                call.arg(bounded(number));
            }
            call.arg(ask.version).arg(milliseconds(ask.lifetime));
            let (number, corrections) = &ask.corrections;
            call.arg(*number).arg(corrections.len());
            for (second, amount) in corrections {
                call.arg(*second).arg(bounded(*amount));
            }
            match &ask.ledger {
                None => {
                    call.arg(-1);
                }
                Some(known) => {
                    call.arg(known.len());
                    for (replica, amount) in known {
                        call.arg(replica).arg(bounded(*amount));
                    }
                }
            }
        }
        call
    }
}

impl SharedCounters for RedisCounters {
    fn exchange<'a>(
        &'a self,
        asks: &'a [Ask],
        within: Duration,
    ) -> BoxFuture<'a, Result<Answers, SharedError>> {
        async move {
            let called = tokio::time::timeout(within, self.call(asks, within)).await;
            let called = called.unwrap_or(Err(SharedError::Slow(within)));
            if called.is_err() {
                // Whatever it is, the next one begins with a new connection.
                *self.connection.lock() = None;
            }
            called
        }
        .boxed()
    }
}

/// As far as the script counts exactly.
fn bounded(number: i64) -> i64 {
    number.clamp(-EXACT, EXACT)
}

/// What the server said, without what may hold parts of a command.
pub(super) fn told(error: redis::RedisError) -> SharedError {
    let detail = error.detail().unwrap_or_default();
    let detail: String = detail.chars().take(200).collect();
    SharedError::Server(format!("{}: {detail}", error.category()))
}

/// Reads the answers of `count` counters; says what time it is there.
fn read(said: &[String], count: usize, answers: &mut Vec<Told>) -> Result<i64, SharedError> {
    let strange = || SharedError::Server("the answer is not that of the script".to_owned());
    let numbers = said.iter().map(|number| number.parse::<i64>());
    let numbers = numbers.collect::<Result<Vec<_>, _>>().map_err(|_| strange())?;
    let (now, rest) = numbers.split_first().ok_or_else(strange)?;
    if rest.len() != count * FIELDS {
        return Err(strange());
    }
    for fields in rest.chunks_exact(FIELDS) {
        let verdict = match fields[0] {
            0 => Verdict::Granted,
            1 => Verdict::Refused,
            2 => Verdict::Unknown,
            _ => Verdict::Settling,
        };
        answers.push(Told {
            verdict,
            ceiling: fields[1],
            version: fields[2].unsigned_abs(),
            total: fields[3],
            held: fields[4],
            fair: fields[5],
            wait: fields[6],
            own: fields[7],
        });
    }
    Ok(*now)
}
