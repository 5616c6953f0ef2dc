//! Shared counters on Redis or Valkey: one script, one connection, every call bounded in time.

use std::fmt;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use redis::Script;
use secrecy::SecretString;

use super::link::{Link, open, told};
use super::{Answers, Ask, CounterKind, SharedCounters, SharedError, Told, Verdict};

/// The rules.
const RULES: &str = include_str!("redis/exchange.lua");
/// What is told of one counter, in fields.
const FIELDS: usize = 8;
/// Numbers are exact up to here: nine million dollars, in billionths.
const EXACT: i64 = 1 << 53;
/// Counters of one call of the script: it holds up everybody else for that long.
const MOST: usize = 256;
/// Where the counters of a cluster are: whose clock is asked for where no counter is.
const THERE: &str = "pointsman:{limits}:clock";

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
    link: Link,
    script: Script,
    replica: String,
    /// Of this process, and of the one before it: that one holds nothing any more.
    processes: [String; 2],
    patience: Patience,
}

impl fmt::Debug for RedisCounters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisCounters")
            .field("replica", &self.replica)
            .finish_non_exhaustive()
    }
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
        Ok(Self {
            link: Link::new(url)?,
            script: Script::new(RULES),
            replica: replica.to_owned(),
            processes: processes.map(str::to_owned),
            patience,
        })
    }

    async fn call(&self, asks: &[Ask], within: Duration) -> Result<Answers, SharedError> {
        let mut answers = Answers::default();
        // Without asks it is asked all the same: for the time, and whether anybody answers.
        let parts = asks.chunks(MOST).chain(asks.is_empty().then_some(asks));
        for part in parts {
            let mut wire = self.link.wire(within).await?;
            let invocation = self.invocation(part);
            let called = invocation.invoke_async::<Vec<String>>(&mut wire).await;
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
        if asks.is_empty() {
            call.key(THERE);
        }
        for ask in asks {
            let (kind, length, width) = match ask.kind {
                CounterKind::Places => ("p", 0, 0),
                CounterKind::Minute => ("m", 60_000, 1_000),
                CounterKind::Sliding { length, width } => ("s", length, width),
                CounterKind::Budget => ("b", 0, 0),
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
            call.arg(length).arg(width);
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
            self.link.went(called.is_ok());
            called
        }
        .boxed()
    }
}

/// As far as the script counts exactly.
fn bounded(number: i64) -> i64 {
    number.clamp(-EXACT, EXACT)
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
