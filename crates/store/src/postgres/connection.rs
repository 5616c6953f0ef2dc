//! One connection: statements one after the other, each prepared once and bounded in time.

use std::collections::HashMap;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use futures_util::TryStreamExt;
use tokio::runtime::Handle;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Client, Error, SimpleQueryMessage, Statement};

use super::address::Address;
use super::tls::Tls;
use super::wait::wait;
use super::{DIALECT, REPORT};
use crate::store::{Dialect, Row, Session, StoreError, Value};

/// Prepared statements of a connection; past that they are prepared anew. Filters make a few of each kind.
const MAX_STATEMENTS: usize = 256;
/// How long a server may take until a connection can be used.
const CONNECT: Duration = Duration::from_secs(8);

/// What a connection begins with. The server itself ends what takes too long, and what somebody has left open. Groups of a
/// report stay in memory.
const SETTINGS: &str = "SET statement_timeout = '60s'; SET lock_timeout = '8s'; SET work_mem = '64MB';
    SET idle_in_transaction_session_timeout = '15s'; SET TIME ZONE 'UTC'";

/// A connection.
pub(super) struct Connection {
    client: Client,
    runtime: Handle,
    tls: Tls,
    statements: HashMap<String, Statement>,
    /// What is asked must be answered by then.
    until: Instant,
    /// It is not to be used again.
    is_broken: bool,
    in_transaction: bool,
}

impl Connection {
    /// Connects, on the thread of the connections.
    pub(super) fn open(address: &Address, runtime: &Handle, until: Instant) -> Result<Self, StoreError> {
        let until = until.min(Instant::now() + CONNECT);
        let (config, tls) = (address.config.clone(), address.tls.clone());
        let (tell, told) = sync_channel(1);
        runtime.spawn(async move {
            match config.connect(tls).await {
                Ok((client, connection)) => {
                    // Nobody may be waiting any more; then the client is gone, and the connection with it.
                    let _ = tell.send(Ok(client));
                    if let Err(error) = connection.await {
                        tracing::debug!(%error, "a connection to PostgreSQL ended");
                    }
                }
                Err(error) => drop(tell.send(Err(error))),
            }
        });
        let client = told
            .recv_timeout(until.saturating_duration_since(Instant::now()))
            .map_err(|_| StoreError::Unreachable("it takes too long to connect".to_owned()))?
            .map_err(unconnected)?;
        let mut connection = Self {
            client,
            runtime: runtime.clone(),
            tls: address.tls.clone(),
            statements: HashMap::new(),
            until,
            is_broken: false,
            in_transaction: false,
        };
        connection.batch(SETTINGS)?;
        Ok(connection)
    }

    /// Whether it can be used again.
    pub(super) fn is_good(&self) -> bool {
        !self.is_broken && !self.in_transaction && !self.client.is_closed()
    }

    /// What is asked from now on must be answered by then.
    pub(super) fn answer_by(&mut self, until: Instant) {
        self.until = until;
    }

    /// What was asked, in time; a connection whose answer came too late is of no use any more.
    fn in_time<T>(&mut self, answer: Option<Result<T, Error>>) -> Result<T, StoreError> {
        match answer {
            Some(Ok(answer)) => Ok(answer),
            Some(Err(error)) => {
                let code = error.code().map(|code| code.code().to_owned());
                // A plan or a statement that the server does not know any more.
                self.is_broken |= matches!(code.as_deref(), Some("0A000" | "26000"));
                Err(refused(&error))
            }
            None => {
                self.is_broken = true;
                let (cancel, tls) = (self.client.cancel_token(), self.tls.clone());
                self.runtime.spawn(async move {
                    // It may be done by now, or the server gone.
                    let _ = tokio::time::timeout(REPORT, cancel.cancel_query(tls)).await;
                });
                Err(StoreError::Unreachable("it takes too long to answer".to_owned()))
            }
        }
    }

    /// Statements without values, for which no answer is read.
    pub(super) fn batch(&mut self, sql: &str) -> Result<(), StoreError> {
        let answer = wait(self.client.batch_execute(sql), self.until);
        self.in_time(answer)
    }

    /// The names in the first column of what a statement without values gives.
    pub(super) fn names(&mut self, sql: &str) -> Result<Vec<String>, StoreError> {
        let answer = wait(self.client.simple_query(sql), self.until);
        let messages = self.in_time(answer)?;
        let name = |message: &SimpleQueryMessage| match message {
            SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        };
        Ok(messages.iter().filter_map(name).collect())
    }

    /// A transaction, in which one of all replicas at a time holds `lock`.
    pub(super) fn locked<T>(
        &mut self,
        lock: i64,
        work: impl FnOnce(&mut Self) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        // Should anything happen in between, what is under way ends with the connection.
        self.in_transaction = true;
        let begun = self.batch(&format!("BEGIN; SELECT pg_advisory_xact_lock({lock})"));
        let done = begun.and_then(|()| work(self));
        let (end, done) = match done {
            Ok(done) => (self.batch("COMMIT"), Ok(done)),
            Err(error) => (self.batch("ROLLBACK"), Err(error)),
        };
        self.in_transaction = end.is_err();
        match (end, done) {
            (Err(error), Ok(_)) => Err(error),
            (_, done) => done,
        }
    }

    /// A transaction that sees the database as it stands now and changes nothing, with tables looked for in `schema`
    /// (quoted). It may take longer than a report: what is read is somebody else's.
    pub(super) fn frozen<T>(
        &mut self,
        schema: &str,
        work: impl FnOnce(&mut Self) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.in_transaction = true;
        let begun = self.batch(&format!(
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = '30min';
             SET LOCAL idle_in_transaction_session_timeout = '10min'; SET LOCAL search_path = {schema}, pg_catalog"
        ));
        let done = begun.and_then(|()| work(self));
        self.in_transaction = self.batch("ROLLBACK").is_err();
        done
    }

    /// A statement, prepared.
    fn prepared(&mut self, sql: &str) -> Result<Statement, StoreError> {
        if let Some(statement) = self.statements.get(sql) {
            return Ok(statement.clone());
        }
        let answer = wait(self.client.prepare(&sql.replace('?', "$")), self.until);
        let statement = self.in_time(answer)?;
        if self.statements.len() >= MAX_STATEMENTS {
            self.statements.clear();
        }
        self.statements.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }

    /// As [`execute`](Session::execute), with values of any kind.
    pub(super) fn execute_with(
        &mut self,
        sql: &str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<u64, StoreError> {
        let statement = self.prepared(sql)?;
        let answer = wait(self.client.execute(&statement, values), self.until);
        self.in_time(answer)
    }
}

impl Session for Connection {
    fn dialect(&self) -> &'static Dialect {
        &DIALECT
    }

    fn execute(&mut self, sql: &str, values: &[Value]) -> Result<u64, StoreError> {
        let values: Vec<_> = values.iter().map(|value| value as &(dyn ToSql + Sync)).collect();
        self.execute_with(sql, &values)
    }

    fn each(
        &mut self,
        sql: &str,
        values: &[Value],
        each: &mut dyn FnMut(&Row<'_>) -> Result<bool, StoreError>,
    ) -> Result<(), StoreError> {
        let statement = self.prepared(sql)?;
        let answer = wait(self.client.query_raw(&statement, values), self.until);
        let mut rows = Box::pin(self.in_time(answer)?);
        loop {
            let answer = wait(rows.try_next(), self.until);
            match self.in_time(answer)? {
                Some(row) if each(&Row::Postgres(&row))? => {}
                _ => return Ok(()),
            }
        }
    }
}

impl ToSql for Value {
    fn to_sql(
        &self,
        kind: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::Integer(value) if *kind == Type::INT4 => i32::try_from(*value)?.to_sql(kind, out),
            Self::Integer(value) => value.to_sql(kind, out),
            Self::Text(text) => (&*clean(text)).to_sql(kind, out),
            Self::Blob(bytes) => bytes.to_sql(kind, out),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// A text as PostgreSQL takes it: without the one character that it cannot hold.
pub(super) fn clean(text: &str) -> std::borrow::Cow<'_, str> {
    if text.contains('\0') {
        text.replace('\0', "\u{fffd}").into()
    } else {
        text.into()
    }
}

/// What the server says no with.
fn refused(error: &Error) -> StoreError {
    let Some(told) = error.as_db_error() else {
        return StoreError::Unreachable(reason(error));
    };
    let (code, message) = (told.code().code(), told.message());
    // Connection, resources, locks and transactions that clash, and whatever an operator does to a server: it may go
    // well next time.
    let passes = ["08", "25", "40", "53", "55", "57", "58"]
        .iter()
        .any(|class| code.starts_with(class));
    if passes {
        StoreError::Unreachable(format!("{message} ({code})"))
    } else {
        StoreError::Postgres {
            code: code.to_owned(),
            message: message.to_owned(),
        }
    }
}

/// What stands in the way of a connection.
pub(super) fn unconnected(error: Error) -> StoreError {
    match error.as_db_error() {
        Some(_) => refused(&error),
        None => StoreError::Unreachable(reason(&error)),
    }
}

/// An error with what it comes from.
fn reason(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        refused(&error)
    }
}
