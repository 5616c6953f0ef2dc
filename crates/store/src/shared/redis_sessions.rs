//! Shared sessions on Redis or Valkey: small scripts, one connection, every call bounded in time.
//!
//! All keys of a session have its name between `{` and `}`, so that they are on one server of a cluster.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use redis::{AsyncCommands, RedisResult, Script};
use secrecy::SecretString;

use super::SharedError;
use super::link::{Link, Wire, told};
use super::sessions::{Append, Appended, Events, Log, SharedSessions};

/// How long a call may take.
const WITHIN: Duration = Duration::from_secs(2);
/// How long a process that is silent is taken for alive.
const LIFE: Duration = Duration::from_secs(4);
/// Most events of one answer, most letters of one answer, and most that wait for a process.
const MANY: isize = 64;
const LETTERS: usize = 64;
const MAX_LETTERS: isize = 4_096;

/// Sessions on a server.
pub struct RedisSessions {
    link: Link,
    process: String,
    scripts: Scripts,
}

struct Scripts {
    append: Script,
    events: Script,
    swap: Script,
    set: Script,
    take: Script,
}

impl fmt::Debug for RedisSessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisSessions")
            .field("process", &self.process)
            .finish_non_exhaustive()
    }
}

fn key(session: &str) -> String {
    format!("pm:mcp:{{{session}}}")
}

fn log_key(session: &str, log: &str) -> String {
    format!("pm:mcp:{{{session}}}:{log}")
}

/// Where it stands that a process is alive, and what waits for it: on one server of a cluster, too.
fn alive_key(process: &str) -> String {
    format!("pm:mcp:alive:{{{process}}}")
}

fn mail_key(process: &str) -> String {
    format!("pm:mcp:mail:{{{process}}}")
}

fn milliseconds(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

impl RedisSessions {
    /// Sessions at `url`, for this process. Nothing is connected yet. Must be called within a Tokio runtime, which drives
    /// the connection.
    ///
    /// # Errors
    /// When the URL cannot be used.
    pub fn new(url: &SecretString, process: &str) -> Result<Self, SharedError> {
        Ok(Self {
            link: Link::new(url)?,
            process: process.to_owned(),
            scripts: Scripts {
                append: Script::new(include_str!("redis/append.lua")),
                events: Script::new(include_str!("redis/events.lua")),
                swap: Script::new(include_str!("redis/swap.lua")),
                set: Script::new(include_str!("redis/set.lua")),
                take: Script::new(include_str!("redis/take.lua")),
            },
        })
    }

    /// Calls the server, on a new connection after one that failed.
    async fn call<T, C, F>(&self, call: C) -> Result<T, SharedError>
    where
        C: FnOnce(Wire) -> F + Send,
        F: Future<Output = RedisResult<T>> + Send,
    {
        let called = async { call(self.link.wire(WITHIN).await?).await.map_err(told) };
        let called = tokio::time::timeout(WITHIN, called).await;
        let called = called.unwrap_or(Err(SharedError::Slow(WITHIN)));
        self.link.went(called.is_ok());
        called
    }
}

impl SharedSessions for RedisSessions {
    fn process(&self) -> &str {
        &self.process
    }

    fn create<'a>(
        &'a self,
        session: &'a str,
        fields: &'a [(String, String)],
        life: Duration,
    ) -> BoxFuture<'a, Result<(), SharedError>> {
        self.call(move |mut wire| async move {
            let key = key(session);
            let mut pipe = redis::pipe();
            pipe.atomic()
                .hset_multiple(&key, fields)
                .ignore()
                .pexpire(&key, milliseconds(life))
                .ignore();
            pipe.query_async::<()>(&mut wire).await
        })
        .boxed()
    }

    fn fields<'a>(
        &'a self,
        session: &'a str,
        life: Duration,
    ) -> BoxFuture<'a, Result<Option<HashMap<String, String>>, SharedError>> {
        async move {
            let (fields,): (HashMap<String, String>,) = self
                .call(move |mut wire| async move {
                    let key = key(session);
                    let mut pipe = redis::pipe();
                    pipe.hgetall(&key).pexpire(&key, milliseconds(life)).ignore();
                    pipe.query_async(&mut wire).await
                })
                .await?;
            Ok(Some(fields).filter(|fields| !fields.is_empty()))
        }
        .boxed()
    }

    fn swap<'a>(
        &'a self,
        session: &'a str,
        field: &'a str,
        before: Option<&'a str>,
        after: Option<&'a str>,
    ) -> BoxFuture<'a, Result<bool, SharedError>> {
        self.call(move |mut wire| async move {
            let mut call = self.scripts.swap.prepare_invoke();
            call.key(key(session))
                .arg(field)
                .arg(u8::from(before.is_some()))
                .arg(before.unwrap_or_default())
                .arg(u8::from(after.is_some()))
                .arg(after.unwrap_or_default());
            call.invoke_async::<bool>(&mut wire).await
        })
        .boxed()
    }

    fn set<'a>(
        &'a self,
        session: &'a str,
        fields: &'a [(String, String)],
    ) -> BoxFuture<'a, Result<bool, SharedError>> {
        self.call(move |mut wire| async move {
            let mut call = self.scripts.set.prepare_invoke();
            call.key(key(session));
            for (field, value) in fields {
                call.arg(field).arg(value);
            }
            call.invoke_async::<bool>(&mut wire).await
        })
        .boxed()
    }

    fn take<'a>(
        &'a self,
        session: &'a str,
        field: &'a str,
    ) -> BoxFuture<'a, Result<Option<String>, SharedError>> {
        self.call(move |mut wire| async move {
            let mut call = self.scripts.take.prepare_invoke();
            call.key(key(session)).arg(field);
            call.invoke_async::<Option<String>>(&mut wire).await
        })
        .boxed()
    }

    fn append<'a>(&'a self, event: Append<'a>) -> BoxFuture<'a, Result<Option<Appended>, SharedError>> {
        async move {
            let (number, listener) = self
                .call(move |mut wire| async move {
                    let mut call = self.scripts.append.prepare_invoke();
                    call.key(key(event.session))
                        .key(log_key(event.session, event.log))
                        .arg(event.log)
                        .arg(event.holder.unwrap_or_default())
                        .arg(event.text)
                        .arg(u8::from(event.last))
                        .arg(event.bounds.events)
                        .arg(event.bounds.bytes)
                        .arg(milliseconds(event.bounds.life));
                    for (field, value) in &event.marks {
                        call.arg(field).arg(value);
                    }
                    call.invoke_async::<(u64, String)>(&mut wire).await
                })
                .await?;
            Ok((number > 0).then(|| Appended {
                number,
                listener: Some(listener).filter(|listener| !listener.is_empty()),
            }))
        }
        .boxed()
    }

    fn events<'a>(
        &'a self,
        session: &'a str,
        log: &'a str,
        after: u64,
    ) -> BoxFuture<'a, Result<Log, SharedError>> {
        async move {
            let said: Vec<String> = self
                .call(move |mut wire| async move {
                    let mut call = self.scripts.events.prepare_invoke();
                    call.key(key(session))
                        .key(log_key(session, log))
                        .arg(log)
                        .arg(after)
                        .arg(MANY);
                    call.invoke_async(&mut wire).await
                })
                .await?;
            read(said)
        }
        .boxed()
    }

    fn hold<'a>(
        &'a self,
        session: &'a str,
        log: &'a str,
        before: Option<&'a str>,
    ) -> BoxFuture<'a, Result<bool, SharedError>> {
        async move {
            let field = format!("h:{log}");
            self.swap(session, &field, before, Some(&self.process)).await
        }
        .boxed()
    }

    fn forget<'a>(
        &'a self,
        session: &'a str,
        log: &'a str,
        fields: &'a [String],
    ) -> BoxFuture<'a, Result<(), SharedError>> {
        self.call(move |mut wire| async move {
            let own = ["h:", "n:", "b:", "o:"].map(|kind| format!("{kind}{log}"));
            let all: Vec<&String> = own.iter().chain(fields).collect();
            let mut pipe = redis::pipe();
            pipe.del(log_key(session, log))
                .ignore()
                .hdel(key(session), all)
                .ignore();
            pipe.query_async::<()>(&mut wire).await
        })
        .boxed()
    }

    fn remove<'a>(&'a self, session: &'a str) -> BoxFuture<'a, Result<(), SharedError>> {
        self.call(move |mut wire| async move {
            let own = key(session);
            let fields: Vec<String> = wire.hkeys(&own).await?;
            let logs = fields.iter().filter_map(|field| field.strip_prefix("n:"));
            let keys: Vec<String> = logs.map(|log| log_key(session, log)).chain([own]).collect();
            wire.del(keys).await
        })
        .boxed()
    }

    fn is_alive<'a>(&'a self, process: &'a str) -> BoxFuture<'a, Result<bool, SharedError>> {
        if process == self.process {
            return std::future::ready(Ok(true)).boxed();
        }
        self.call(move |mut wire| async move { wire.exists(alive_key(process)).await })
            .boxed()
    }

    fn mail<'a>(&'a self, process: &'a str, text: &'a str) -> BoxFuture<'a, Result<(), SharedError>> {
        self.call(move |mut wire| async move {
            let key = mail_key(process);
            let mut pipe = redis::pipe();
            pipe.rpush(&key, text)
                .ignore()
                .ltrim(&key, -MAX_LETTERS, -1)
                .ignore()
                .pexpire(&key, milliseconds(LIFE))
                .ignore();
            pipe.query_async::<()>(&mut wire).await
        })
        .boxed()
    }

    fn letters(&self) -> BoxFuture<'_, Result<Vec<String>, SharedError>> {
        async move {
            let (letters,): (Option<Vec<String>>,) = self
                .call(move |mut wire| async move {
                    let process = &self.process;
                    let life = u64::try_from(LIFE.as_millis()).unwrap_or(u64::MAX);
                    let mut pipe = redis::pipe();
                    pipe.pset_ex(alive_key(process), "1", life)
                        .ignore()
                        .lpop(mail_key(process), std::num::NonZeroUsize::new(LETTERS));
                    pipe.query_async(&mut wire).await
                })
                .await?;
            Ok(letters.unwrap_or_default())
        }
        .boxed()
    }
}

fn read(said: Vec<String>) -> Result<Log, SharedError> {
    let strange = || SharedError::Server("the answer is not that of the script".to_owned());
    let mut said = said.into_iter();
    let (Some(kind), Some(over), Some(first), Some(holder)) =
        (said.next(), said.next(), said.next(), said.next())
    else {
        return Err(strange());
    };
    match kind.as_str() {
        "0" => {}
        "1" => return Ok(Log::Unknown),
        _ => return Ok(Log::Gone),
    }
    let first: u64 = first.parse().map_err(|_| strange())?;
    Ok(Log::Events(Events {
        events: (first..).zip(said).collect(),
        over: over == "1",
        holder: Some(holder).filter(|holder| !holder.is_empty()),
    }))
}
