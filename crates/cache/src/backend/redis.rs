//! Entries on Redis or Valkey: a hash each, with value and labels, which the server lets go when its time is over. Notes
//! are a stream of bounded length. With `search`, questions are kept and found there, too.
//!
//! What the server holds at most, and what it lets go then, are its own `maxmemory` and `maxmemory-policy`.

mod questions;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, IntoConnectionInfo, Pipeline, ProtocolVersion, RedisError, RedisResult,
    Value,
};
use tokio::runtime::Handle;

use super::link::Link;
use super::{Backend, BackendConfigError, BackendError, Described, Doing, Heard, Holds, NewEntry};
use crate::key::CacheKey;
use crate::labels::{Filter, Labels};
use crate::note::QuestionNote;
use questions::{Finds, Known};

/// What the names of entries begin with, the version of what is in them included.
const ENTRY: &str = "pointsman:cache:1:";
/// The stream of notes.
const NOTES: &str = "pointsman:cache-notes:1";
/// Notes that are kept, about.
const MOST_NOTES: usize = 100_000;
/// How long they are kept when nobody leaves another, in seconds.
const NOTES_LIFE: u64 = 30 * 86_400;
/// Keys that are looked through in one step: the server does nothing else meanwhile.
const STEP: usize = 512;
/// The longest that a single answer may take; whoever asks waits less.
const ANSWER: Duration = Duration::from_secs(10);

/// A server.
pub struct RedisBackend {
    link: Link<Connected>,
    /// Questions are kept and found here, where the server can.
    search: bool,
    known: Arc<Known>,
}

/// A connection, and how the server at its end finds questions.
#[derive(Clone)]
struct Connected {
    connection: MultiplexedConnection,
    finds: Finds,
}

impl fmt::Debug for RedisBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RedisBackend")
    }
}

/// The client of a URL.
pub fn client(url: &str) -> Result<Client, BackendConfigError> {
    // What the parser says may hold parts of the URL: only the kind of the mistake is told.
    let wrong = || {
        BackendConfigError(
            "use redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE], or rediss:// for TLS".to_owned(),
        )
    };
    let info = url.into_connection_info().map_err(|_| wrong())?;
    // What is read here are lists: the newer protocol has maps.
    let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP2);
    Client::open(info.set_redis_settings(settings)).map_err(|_| wrong())
}

impl RedisBackend {
    /// Not connected yet. With `search`, it finds questions where the server can.
    pub fn new(client: Client, search: bool, runtime: Handle) -> Self {
        let known = Arc::<Known>::default();
        let database = client.get_connection_info().redis_settings().db();
        let knows = Arc::clone(&known);
        let connect = move || {
            let (client, known) = (client.clone(), Arc::clone(&knows));
            async move {
                let config = AsyncConnectionConfig::new()
                    .set_connection_timeout(None)
                    .set_response_timeout(Some(ANSWER));
                let made = client.get_multiplexed_async_connection_with_config(&config);
                let mut connection = made.await.map_err(|error| told(&error))?;
                let finds = if search {
                    known.ask(&mut connection, database).await
                } else {
                    Finds::Unwanted
                };
                Ok(Connected { connection, finds })
            }
            .boxed()
        };
        Self {
            link: Link::new(runtime, connect),
            search,
            known,
        }
    }

    /// What came of a command.
    fn heard<T>(&self, answer: RedisResult<T>) -> Result<T, BackendError> {
        answer.map_err(|error| {
            if error.is_io_error() || error.is_connection_dropped() || error.is_unrecoverable_error() {
                self.link.is_broken();
            }
            told(&error)
        })
    }

    async fn ask<T: redis::FromRedisValue>(&self, command: &redis::Cmd) -> Result<T, BackendError> {
        let mut connection = self.link.get().await?.connection;
        let answer = command.query_async(&mut connection).await;
        self.heard(answer)
    }

    async fn ask_all<T: redis::FromRedisValue>(&self, commands: &Pipeline) -> Result<T, BackendError> {
        let mut connection = self.link.get().await?.connection;
        let answer = commands.query_async(&mut connection).await;
        self.heard(answer)
    }

    /// The next names that begin so, and where to go on; 0 at the end.
    async fn scan(&self, begin: &str, cursor: u64) -> Result<(u64, Vec<String>), BackendError> {
        let mut command = redis::cmd("SCAN");
        command
            .arg(cursor)
            .arg("MATCH")
            .arg(format!("{begin}*"))
            .arg("COUNT")
            .arg(STEP);
        self.ask(&command).await
    }

    /// Those of the names that a filter means.
    async fn meant(&self, filter: &Filter, names: Vec<String>) -> Result<Vec<String>, BackendError> {
        if filter.is_everything() || names.is_empty() {
            return Ok(names);
        }
        let mut labels = Pipeline::new();
        for name in &names {
            labels.cmd("HGET").arg(name).arg("l");
        }
        let labels: Vec<Option<String>> = self.ask_all(&labels).await?;
        let meant = names.into_iter().zip(labels).filter(|(name, labels)| {
            let key = name.strip_prefix(ENTRY).and_then(CacheKey::from_hex);
            let labels = labels.as_deref().and_then(read);
            key.zip(labels)
                .is_some_and(|(key, labels)| filter.means(&key, &labels))
        });
        Ok(meant.map(|(name, _)| name).collect())
    }

    async fn unlink(&self, names: &[String]) -> Result<u64, BackendError> {
        if names.is_empty() {
            return Ok(0);
        }
        self.ask(redis::cmd("UNLINK").arg(names)).await
    }

    async fn delete_meant(&self, filter: &Filter) -> Result<u64, BackendError> {
        if let Some(key) = filter.entry {
            let names = self.meant(filter, vec![name(key)]).await?;
            return self.unlink(&names).await;
        }
        let (mut cursor, mut gone) = (0, 0);
        loop {
            let (next, names) = self.scan(ENTRY, cursor).await?;
            let names = self.meant(filter, names).await?;
            gone += self.unlink(&names).await?;
            if next == 0 {
                return Ok(gone);
            }
            cursor = next;
        }
    }
}

impl Backend for RedisBackend {
    fn name(&self) -> &'static str {
        "redis"
    }

    fn get(&self, key: CacheKey) -> Doing<'_, Option<Bytes>> {
        async move { self.ask(redis::cmd("HGET").arg(name(key)).arg("v")).await }.boxed()
    }

    fn put<'a>(&'a self, entry: &'a NewEntry) -> Doing<'a, ()> {
        async move {
            let milliseconds = u64::try_from(entry.ttl.as_millis()).unwrap_or(u64::MAX >> 1);
            let labels =
                serde_json::to_string(&entry.labels).map_err(|error| BackendError(error.to_string()))?;
            let (name, mut both) = (name(entry.key), Pipeline::new());
            both.atomic();
            both.cmd("HSET")
                .arg(&name)
                .arg("v")
                .arg(&entry.value[..])
                .arg("l")
                .arg(labels);
            both.cmd("PEXPIRE").arg(&name).arg(milliseconds);
            self.ask_all::<Value>(&both).await.map(drop)
        }
        .boxed()
    }

    fn delete<'a>(&'a self, filter: &'a Filter) -> Doing<'a, u64> {
        async move {
            let gone = self.delete_meant(filter).await?;
            self.forget_questions(filter).await?;
            Ok(gone)
        }
        .boxed()
    }

    fn describe(&self, key: CacheKey) -> Doing<'_, Option<Described>> {
        async move {
            let (name, mut all) = (name(key), Pipeline::new());
            all.cmd("HGET").arg(&name).arg("l");
            all.cmd("HSTRLEN").arg(&name).arg("v");
            all.cmd("PTTL").arg(&name);
            let (labels, bytes, left): (Option<String>, u64, i64) = self.ask_all(&all).await?;
            Ok(labels.as_deref().and_then(read).map(|labels| Described {
                labels,
                bytes,
                left: Duration::from_millis(left.max(0).unsigned_abs()),
            }))
        }
        .boxed()
    }

    fn holds(&self) -> Doing<'_, Holds> {
        async move {
            let (mut cursor, mut entries) = (0, 0);
            loop {
                let (next, names) = self.scan(ENTRY, cursor).await?;
                entries += names.len() as u64;
                if next == 0 {
                    return Ok(Holds { entries, bytes: None });
                }
                cursor = next;
            }
        }
        .boxed()
    }

    fn tend(&self) -> Doing<'_, ()> {
        // The server lets go by itself; it is connected to before anybody has to wait for it.
        async { self.link.get().await.map(drop) }.boxed()
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn tell(&self, note: Bytes) -> Doing<'_, ()> {
        async move {
            let mut both = Pipeline::new();
            both.cmd("XADD")
                .arg(NOTES)
                .arg("MAXLEN")
                .arg("~")
                .arg(MOST_NOTES)
                .arg("*")
                .arg("n")
                .arg(&note[..]);
            both.cmd("EXPIRE").arg(NOTES).arg(NOTES_LIFE);
            self.ask_all::<Value>(&both).await.map(drop)
        }
        .boxed()
    }

    fn hear(&self, after: Heard, most: usize) -> Doing<'_, (Vec<Bytes>, Heard)> {
        async move {
            let mut last = match after {
                Heard::UpTo(last) => last,
                Heard::Since(age) => {
                    // The server's own clock gives the names. What is noted from now on comes after this one, even
                    // where there is none yet.
                    let (seconds, _): (u64, u64) = self.ask(&redis::cmd("TIME")).await?;
                    let begin = seconds.saturating_sub(age.as_secs()) * 1_000;
                    format!("{}-0", begin.saturating_sub(1))
                }
            };
            let mut command = redis::cmd("XRANGE");
            command
                .arg(NOTES)
                .arg(format!("({last}"))
                .arg("+")
                .arg("COUNT")
                .arg(most);
            let mut notes = Vec::new();
            for item in list(self.ask(&command).await?) {
                let mut item = list(item).into_iter();
                let (Some(id), Some(fields)) = (item.next(), item.next()) else {
                    continue;
                };
                if let Some(id) = bytes(id).and_then(|id| String::from_utf8(id).ok()) {
                    last = id;
                }
                notes.extend(list(fields).into_iter().nth(1).and_then(bytes).map(Bytes::from));
            }
            Ok((notes, Heard::UpTo(last)))
        }
        .boxed()
    }

    fn finds(&self) -> bool {
        self.search && self.known.may_find()
    }

    fn learn<'a>(&'a self, question: &'a QuestionNote) -> Doing<'a, ()> {
        self.learn_question(question).boxed()
    }

    fn near<'a>(
        &'a self,
        partition: CacheKey,
        vector: &'a [f32],
        most: usize,
    ) -> Doing<'a, Vec<QuestionNote>> {
        self.near_questions(partition, vector, most).boxed()
    }

    fn reconnect(&self) {
        self.link.drop_connection();
    }
}

fn name(key: CacheKey) -> String {
    format!("{ENTRY}{}", key.hex())
}

fn read(labels: &str) -> Option<Labels> {
    serde_json::from_str(labels).ok()
}

fn list(value: Value) -> Vec<Value> {
    match value {
        Value::Array(items) => items,
        _ => Vec::new(),
    }
}

fn bytes(value: Value) -> Option<Vec<u8>> {
    match value {
        Value::BulkString(bytes) => Some(bytes),
        _ => None,
    }
}

/// What the server said, without what may hold parts of a command.
fn told(error: &RedisError) -> BackendError {
    let detail: String = error.detail().unwrap_or_default().chars().take(200).collect();
    BackendError(format!("{}: {detail}", error.category()))
}
