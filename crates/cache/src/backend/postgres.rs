//! Entries in a table of PostgreSQL, and notes in another.
//!
//! The table of entries is not logged: what it costs to write is all that a cache may cost, and a crash of the server
//! empties it. Notes are logged, so that their numbers only grow.

mod questions;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use pointsman_store::PostgresAddress;
use tokio::runtime::Handle;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Error, Row, Statement};

use super::link::Link;
use super::{Backend, BackendError, Described, Doing, Heard, Holds, NewEntry};
use crate::key::CacheKey;
use crate::labels::{Filter, Labels};
use crate::note::QuestionNote;

/// Whoever makes the tables holds this lock of the database ("pointsm", and what for).
const SCHEMA_LOCK: i64 = 0x706f_696e_7473_6d05;
/// Whoever leaves a note holds this one until it can be read: notes are seen in the order of their numbers.
const NOTES_LOCK: i64 = 0x706f_696e_7473_6d06;
/// Notes that are kept.
const MOST_NOTES: i64 = 100_000;

const SCHEMA: &str = "
    CREATE UNLOGGED TABLE IF NOT EXISTS pointsman_cache (
        key bytea PRIMARY KEY,
        value bytea NOT NULL,
        labels jsonb NOT NULL,
        bytes bigint NOT NULL,
        stored_at timestamptz NOT NULL DEFAULT now(),
        expires_at timestamptz NOT NULL
    );
    CREATE INDEX IF NOT EXISTS pointsman_cache_labels ON pointsman_cache USING gin (labels jsonb_path_ops);
    CREATE INDEX IF NOT EXISTS pointsman_cache_expires ON pointsman_cache (expires_at);
    CREATE TABLE IF NOT EXISTS pointsman_cache_notes (
        number bigserial PRIMARY KEY,
        note bytea NOT NULL,
        at timestamptz NOT NULL DEFAULT now()
    );";
/// How long a statement may take at the server, whoever waits for it.
const SETTINGS: &str = "SET statement_timeout = '30s'; SET lock_timeout = '5s'; SET synchronous_commit = off";

const GET: &str = "SELECT value FROM pointsman_cache WHERE key = $1 AND expires_at > now()";
const PUT: &str = "INSERT INTO pointsman_cache (key, value, labels, bytes, expires_at)
    VALUES ($1, $2, $3::text::jsonb, $4, now() + $5 * interval '1 millisecond')
    ON CONFLICT (key) DO UPDATE SET value = excluded.value, labels = excluded.labels, bytes = excluded.bytes,
        stored_at = now(), expires_at = excluded.expires_at";
const DESCRIBE: &str = "SELECT labels::text, bytes, (extract(epoch FROM expires_at - now()) * 1000)::bigint
    FROM pointsman_cache WHERE key = $1 AND expires_at > now()";
const DELETE: &str =
    "DELETE FROM pointsman_cache WHERE labels @> $1::text::jsonb AND ($2::bytea IS NULL OR key = $2)";
const HOLDS: &str =
    "SELECT count(*), coalesce(sum(bytes), 0)::bigint FROM pointsman_cache WHERE expires_at > now()";
const EXPIRE: &str = "DELETE FROM pointsman_cache WHERE expires_at <= now()";
const SHRINK: &str = "DELETE FROM pointsman_cache WHERE key IN (
    SELECT key FROM (
        SELECT key, sum(bytes) OVER (ORDER BY stored_at DESC, key) AS held FROM pointsman_cache
    ) AS counted WHERE held > $1)";
const TELL: &str = "WITH alone AS (SELECT pg_advisory_xact_lock($2))
    INSERT INTO pointsman_cache_notes (note) SELECT $1 FROM alone";
const HEAR: &str =
    "SELECT number, note FROM pointsman_cache_notes WHERE number > $1 ORDER BY number LIMIT $2";
const BEFORE: &str = "SELECT coalesce(max(number), 0) FROM pointsman_cache_notes
    WHERE at < now() - $1 * interval '1 second'";
const FORGET: &str = "DELETE FROM pointsman_cache_notes
    WHERE number <= (SELECT max(number) FROM pointsman_cache_notes) - $1";

/// A database.
pub struct PostgresBackend {
    /// What requests wait for.
    reads: Link<Arc<Connection>>,
    /// What nobody waits for, and what may take long.
    writes: Link<Arc<Connection>>,
    max_bytes: i64,
    /// Questions are kept and found here.
    search: bool,
}

impl fmt::Debug for PostgresBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PostgresBackend")
    }
}

/// A connection with what is asked most, prepared.
struct Connection {
    client: Client,
    get: Statement,
    put: Statement,
    /// It has vectors, where they were asked for.
    vectors: bool,
}

async fn open(address: PostgresAddress, search: bool) -> Result<Arc<Connection>, BackendError> {
    let client = address
        .connect()
        .await
        .map_err(|error| BackendError(error.to_string()))?;
    client.batch_execute(SETTINGS).await.map_err(told)?;
    let there = client
        .query_one("SELECT to_regclass('pointsman_cache_notes') IS NOT NULL", &[])
        .await
        .map_err(told)?;
    if !there.get::<_, bool>(0) {
        let made = format!("BEGIN; SELECT pg_advisory_xact_lock({SCHEMA_LOCK}); {SCHEMA} COMMIT");
        client.batch_execute(&made).await.map_err(told)?;
    }
    let get = client.prepare_typed(GET, &[Type::BYTEA]).await.map_err(told)?;
    let kinds = [Type::BYTEA, Type::BYTEA, Type::TEXT, Type::INT8, Type::INT8];
    let put = client.prepare_typed(PUT, &kinds).await.map_err(told)?;
    let vectors = search && questions::prepared(&client).await?;
    Ok(Arc::new(Connection {
        client,
        get,
        put,
        vectors,
    }))
}

impl PostgresBackend {
    /// Not connected yet; of `max_bytes` of values at most, looked at from time to time. With `search`, questions are
    /// found there, too.
    pub fn new(address: &PostgresAddress, (max_bytes, search): (u64, bool), runtime: &Handle) -> Self {
        // One of both connections prepares for questions.
        let link = |search: bool| {
            let address = address.clone();
            Link::new(runtime.clone(), move || open(address.clone(), search).boxed())
        };
        Self {
            reads: link(search),
            writes: link(false),
            max_bytes: i64::try_from(max_bytes).unwrap_or(i64::MAX),
            search,
        }
    }

    async fn rows(
        &self,
        link: &Link<Arc<Connection>>,
        sql: &str,
        values: &[(&(dyn ToSql + Sync), Type)],
    ) -> Result<Vec<Row>, BackendError> {
        let connection = link.get().await?;
        let answer = connection.client.query_typed(sql, values).await;
        heard(link, &connection, answer)
    }

    async fn changed(&self, sql: &str, values: &[(&(dyn ToSql + Sync), Type)]) -> Result<u64, BackendError> {
        let connection = self.writes.get().await?;
        let answer = connection.client.execute_typed(sql, values).await;
        heard(&self.writes, &connection, answer)
    }
}

impl Backend for PostgresBackend {
    fn name(&self) -> &'static str {
        "postgres"
    }

    fn get(&self, key: CacheKey) -> Doing<'_, Option<Bytes>> {
        async move {
            let connection = self.reads.get().await?;
            let answer = connection
                .client
                .query_opt(&connection.get, &[&key.as_bytes()])
                .await;
            let row = heard(&self.reads, &connection, answer)?;
            Ok(row.map(|row| Bytes::from(row.get::<_, Vec<u8>>(0))))
        }
        .boxed()
    }

    fn put<'a>(&'a self, entry: &'a NewEntry) -> Doing<'a, ()> {
        async move {
            let connection = self.writes.get().await?;
            let labels = json(&entry.labels)?;
            let bytes = entry.value.len() as i64;
            let milliseconds = i64::try_from(entry.ttl.as_millis()).unwrap_or(i64::MAX >> 20);
            let values: [&(dyn ToSql + Sync); 5] = [
                &entry.key.as_bytes(),
                &&entry.value[..],
                &labels,
                &bytes,
                &milliseconds,
            ];
            let answer = connection.client.execute(&connection.put, &values).await;
            heard(&self.writes, &connection, answer).map(drop)
        }
        .boxed()
    }

    fn delete<'a>(&'a self, filter: &'a Filter) -> Doing<'a, u64> {
        async move {
            let labels = json(&filter.labels)?;
            let key = filter.entry.map(|key| key.as_bytes().to_vec());
            self.forget_questions(&labels, key.as_deref()).await?;
            self.changed(DELETE, &[(&labels, Type::TEXT), (&key, Type::BYTEA)])
                .await
        }
        .boxed()
    }

    fn describe(&self, key: CacheKey) -> Doing<'_, Option<Described>> {
        async move {
            let rows = self
                .rows(&self.reads, DESCRIBE, &[(&key.as_bytes(), Type::BYTEA)])
                .await?;
            Ok(rows.first().and_then(|row| {
                Some(Described {
                    labels: serde_json::from_str(row.get(0)).ok()?,
                    bytes: row.get::<_, i64>(1).unsigned_abs(),
                    left: Duration::from_millis(row.get::<_, i64>(2).max(0).unsigned_abs()),
                })
            }))
        }
        .boxed()
    }

    fn holds(&self) -> Doing<'_, Holds> {
        async move {
            let rows = self.rows(&self.writes, HOLDS, &[]).await?;
            let count = |at| {
                rows.first()
                    .map_or(0, |row| row.get::<_, i64>(at).max(0).unsigned_abs())
            };
            Ok(Holds {
                entries: count(0),
                bytes: Some(count(1)),
            })
        }
        .boxed()
    }

    fn tend(&self) -> Doing<'_, ()> {
        async move {
            // Connected before anybody has to wait for it.
            self.reads.get().await?;
            self.changed(EXPIRE, &[]).await?;
            self.expire_questions().await?;
            if self.holds().await?.bytes.unwrap_or(0) > self.max_bytes.unsigned_abs() {
                self.changed(SHRINK, &[(&self.max_bytes, Type::INT8)]).await?;
            }
            self.changed(FORGET, &[(&MOST_NOTES, Type::INT8)]).await.map(drop)
        }
        .boxed()
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn tell(&self, note: Bytes) -> Doing<'_, ()> {
        async move {
            let values: [(&(dyn ToSql + Sync), Type); 2] =
                [(&&note[..], Type::BYTEA), (&NOTES_LOCK, Type::INT8)];
            self.changed(TELL, &values).await.map(drop)
        }
        .boxed()
    }

    fn hear(&self, after: Heard, most: usize) -> Doing<'_, (Vec<Bytes>, Heard)> {
        async move {
            let after = match after {
                Heard::UpTo(number) => number
                    .parse::<i64>()
                    .map_err(|_| BackendError("the number of a note is none".to_owned()))?,
                Heard::Since(age) => {
                    let age = i64::try_from(age.as_secs()).unwrap_or(i64::MAX >> 20);
                    let rows = self.rows(&self.writes, BEFORE, &[(&age, Type::INT8)]).await?;
                    rows.first().map_or(0, |row| row.get(0))
                }
            };
            let most = i64::try_from(most).unwrap_or(i64::MAX);
            let rows = self
                .rows(&self.writes, HEAR, &[(&after, Type::INT8), (&most, Type::INT8)])
                .await?;
            let last = rows.last().map_or(after, |row| row.get(0));
            let notes = rows.iter().map(|row| Bytes::from(row.get::<_, Vec<u8>>(1)));
            Ok((notes.collect(), Heard::UpTo(last.to_string())))
        }
        .boxed()
    }

    fn finds(&self) -> bool {
        self.search
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
        self.reads.drop_connection();
        self.writes.drop_connection();
    }
}

fn json(labels: &Labels) -> Result<String, BackendError> {
    let text = serde_json::to_string(labels).map_err(|error| BackendError(error.to_string()))?;
    // The one character that `jsonb` does not take; ids do not have it.
    Ok(text.replace("\\u0000", "\u{fffd}"))
}

fn heard<T>(
    link: &Link<Arc<Connection>>,
    connection: &Connection,
    answer: Result<T, Error>,
) -> Result<T, BackendError> {
    answer.map_err(|error| {
        // A table that somebody has dropped is made again by the next connection.
        let is_gone = error.code().is_some_and(|code| code.code() == "42P01");
        if connection.client.is_closed() || error.is_closed() || is_gone {
            link.is_broken();
        }
        told(error)
    })
}

/// What the server said: its message names tables and not values.
fn told(error: Error) -> BackendError {
    match error.as_db_error() {
        Some(said) => BackendError(format!("{} ({})", said.message(), said.code().code())),
        None => BackendError(error.to_string()),
    }
}
