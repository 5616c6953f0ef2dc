//! The database of one machine: SQLite.

mod audit;
mod filter;
mod holders;
mod keys;
mod replicas;
mod routed;
mod schema;
mod settings;
mod usage;

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use rusqlite::{Connection, Transaction, TransactionBehavior};

pub use audit::{Audited, Verified};
pub use filter::{HolderFilter, KeyFilter, KeyStatus, Listing};
pub use usage::{LedgerFilter, UsageFilter, UsageGroup, UsageRow};

use crate::holder::Actor;
use crate::ledger::LedgerEntry;
use crate::row::{self, Misfit};

/// What is wrong with the database.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// SQLite says no.
    #[error("the database: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// A URL of an engine that this version does not have.
    #[error("the database {0:?} is not supported in this version; use sqlite://FILE or sqlite::memory:")]
    Unsupported(String),
    /// What is stored cannot be read.
    #[error("the database holds something unreadable: {0}")]
    Unreadable(#[from] serde_json::Error),
    /// No chance to make a key from.
    #[error("the system has no randomness: {0}")]
    Randomness(#[from] getrandom::Error),
    /// No such key.
    #[error("there is no key {0:?}")]
    NoSuchKey(String),
    /// No such holder.
    #[error("there is no {kind} {id:?}")]
    NoSuchHolder {
        /// What kind.
        kind: &'static str,
        /// Its id.
        id: String,
    },
    /// There is one already, or was.
    #[error("there is a {kind} {id:?} already, or there was one; choose another id")]
    Exists {
        /// What kind.
        kind: &'static str,
        /// Its id.
        id: String,
    },
    /// Somebody else has changed it meanwhile.
    #[error("it has been changed meanwhile; read it again")]
    Changed,
    /// What is asked for cannot be.
    #[error("{0}")]
    Invalid(String),
    /// Something else stands in its way.
    #[error("{0}")]
    InUse(String),
    /// A database of a later version.
    #[error("the database was changed by a later version of pointsman, which this one does not understand")]
    Newer,
    /// More than a tenant may keep.
    #[error("the files kept here would be {0} bytes with this one")]
    Full(u64),
    /// More batches at once than a tenant may have.
    #[error("there are {0} batches that have not ended")]
    TooManyBatches(u64),
    /// The folder of the database cannot be made.
    #[error("the folder of the database: {0}")]
    Folder(#[from] std::io::Error),
}

/// Keys, ledger, files and batches. All calls block: never on a worker's thread.
pub struct Store {
    pub(crate) connection: Mutex<Connection>,
}

impl Store {
    /// Opens the database of a URL: `sqlite://FILE` or `sqlite::memory:`.
    ///
    /// # Errors
    /// When it cannot be opened, or the URL names another engine.
    pub fn open(url: &str) -> Result<Self, StoreError> {
        let connection = if url == "sqlite::memory:" {
            Connection::open_in_memory()?
        } else if let Some(path) = url.strip_prefix("sqlite://").filter(|path| !path.is_empty()) {
            if let Some(folder) = Path::new(path)
                .parent()
                .filter(|folder| !folder.as_os_str().is_empty())
            {
                std::fs::create_dir_all(folder)?;
            }
            Connection::open(path)?
        } else {
            return Err(StoreError::Unsupported(url.to_owned()));
        };
        connection.busy_timeout(Duration::from_secs(10))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        schema::migrate(&connection)?;
        Ok(Self {
            connection: Mutex::new(connection),
        })
    }

    /// Changes something, all or nothing, and writes down who did what.
    fn change<T>(
        &self,
        actor: &Actor,
        change: impl FnOnce(&Transaction<'_>) -> Result<(T, audit::Change), StoreError>,
    ) -> Result<T, StoreError> {
        let mut connection = self.connection.lock();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let (made, told) = change(&transaction)?;
        audit::append(&transaction, actor, &told)?;
        transaction.commit()?;
        Ok(made)
    }

    /// A number that grows with every change of a key or a holder, whoever makes it.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn changes(&self) -> Result<i64, StoreError> {
        let connection = self.connection.lock();
        let mut query = connection.prepare_cached("SELECT value FROM sequence")?;
        Ok(query.query_row([], |row| row.get(0))?)
    }

    /// Writes entries; those that are there already are left as they are.
    ///
    /// # Errors
    /// When the database refuses: then none of them is written.
    pub fn insert_ledger(&self, entries: &[LedgerEntry]) -> Result<(), StoreError> {
        let lines = entries.iter().map(serde_json::to_string);
        let lines = lines.collect::<Result<Vec<_>, _>>()?;
        self.insert_lines(lines.iter().map(String::as_str)).map(drop)
    }

    /// Writes entries as the journal has them, as [`insert_ledger`](Self::insert_ledger); says how many are none.
    pub(crate) fn insert_lines<'a>(&self, lines: impl Iterator<Item = &'a str>) -> Result<usize, StoreError> {
        let mut lines = lines.peekable();
        if lines.peek().is_none() {
            return Ok(0);
        }
        let mut connection = self.connection.lock();
        let transaction = connection.transaction()?;
        let mut damaged = 0;
        {
            let mut insert = transaction.prepare_cached(row::INSERT)?;
            for line in lines {
                match row::insert(line, &mut insert) {
                    Ok(()) => {}
                    Err(Misfit::Line) => damaged += 1,
                    Err(Misfit::Database(error)) => return Err(error.into()),
                }
            }
        }
        transaction.commit()?;
        Ok(damaged)
    }
}

/// The number of the next change.
fn next_version(transaction: &Transaction<'_>) -> Result<i64, StoreError> {
    let mut next = transaction.prepare_cached("UPDATE sequence SET value = value + 1 RETURNING value")?;
    Ok(next.query_row([], |row| row.get(0))?)
}

/// Unix milliseconds.
fn now() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |time| time.as_millis() as i64)
}

#[cfg(test)]
mod tests;
