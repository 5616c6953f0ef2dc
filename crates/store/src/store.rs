//! What lasts, in one engine or two: keys, holders, ledger and audit log in SQLite or PostgreSQL; files and batches always
//! in the SQLite database of this machine.

mod alerts;
mod audit;
mod collections;
pub(crate) mod credentials;
pub(crate) mod directory;
mod filter;
mod holders;
mod keys;
pub(crate) mod members;
mod memories;
mod once;
pub(crate) mod places;
mod replicas;
pub(crate) mod rollups;
mod routed;
mod secrets;
mod session;
mod settings;
mod usage;

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::MutexGuard;
use rusqlite::Connection;

pub use audit::{Audited, Trimmed, Verified};
pub use filter::{HolderFilter, KeyFilter, KeyStatus, Listing};
pub use places::Within;
pub use replicas::{Entries, ToldApart, UsedBucket, UsedRequest, UsedRow};
pub use secrets::StoredSecrets;
pub use usage::{LedgerFilter, UsageFilter, UsageGroup, UsageRow};

pub(crate) use filter::Conditions;
pub(crate) use session::{Dialect, Row, Session, Value, values};

use crate::holder::Actor;
use crate::ledger::LedgerEntry;
use crate::postgres::{self, Postgres};
use crate::sqlite::{self, Sqlite};

/// What is wrong with the database.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// SQLite says no.
    #[error("the database: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// PostgreSQL says no.
    #[error("the database: {message} ({code})")]
    Postgres {
        /// SQLSTATE.
        code: String,
        /// In words.
        message: String,
    },
    /// PostgreSQL cannot be reached, or takes too long.
    #[error("the database cannot be reached: {0}")]
    Unreachable(String),
    /// A URL of an engine that this version does not have; only its scheme is told, the rest may hold a password.
    #[error(
        "the database {0:?} is not supported in this version; use sqlite://FILE, sqlite::memory: or postgres://USER@HOST/NAME"
    )]
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
    /// Everything; only what stays on this machine, where there is a shared one.
    local: Sqlite,
    /// Keys, holders, settings, audit log and ledger of many replicas.
    shared: Option<Postgres>,
}

impl Store {
    /// Opens the database of a URL: `sqlite://FILE`, `sqlite::memory:`, or `postgres://USER:PASSWORD@HOST/NAME`, with
    /// which nothing can be done that stays on a machine.
    ///
    /// # Errors
    /// When it cannot be opened, or the URL names another engine.
    pub fn open(url: &str) -> Result<Self, StoreError> {
        let shared = postgres::is_url(url).then(|| Postgres::open(url)).transpose()?;
        let local = if shared.is_some() { "sqlite::memory:" } else { url };
        let local = Sqlite::open(local)?;
        Ok(Self { local, shared })
    }

    /// Opens the database of a URL; where that is PostgreSQL, what stays on this machine is kept in the SQLite database
    /// of `local`, and a server that does not answer is waited for.
    ///
    /// # Errors
    /// As [`open`](Self::open), and when PostgreSQL cannot be reached within `patience`.
    pub fn serve(url: &str, local: &str, patience: Duration) -> Result<Self, StoreError> {
        if !postgres::is_url(url) {
            return Self::open(url);
        }
        let shared = Some(Postgres::await_server(url, patience)?);
        let local = Sqlite::open(local)?;
        Ok(Self { local, shared })
    }

    /// The database of this machine.
    pub(crate) fn local(&self) -> MutexGuard<'_, Connection> {
        self.local.connection.lock()
    }

    /// Whether other machines may change it.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.shared.is_some()
    }

    /// How the engine speaks.
    fn dialect(&self) -> &'static Dialect {
        match &self.shared {
            None => &sqlite::DIALECT,
            Some(_) => &postgres::DIALECT,
        }
    }

    /// Asks, without changing anything.
    pub(crate) fn read<T>(
        &self,
        work: impl FnOnce(&mut dyn Session) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        match &self.shared {
            None => self.local.read(work),
            Some(postgres) => postgres.read(postgres::PATIENCE, work),
        }
    }

    /// Asks for what may take its time.
    fn read_much<T>(
        &self,
        work: impl FnOnce(&mut dyn Session) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        match &self.shared {
            None => self.local.read(work),
            Some(postgres) => postgres.read(postgres::REPORT, work),
        }
    }

    /// Changes something, all or nothing, and writes down who did what. One change at a time, whoever makes it: so the
    /// numbers of changes are in the order in which they can be seen, and rows of the audit log in that of their numbers.
    fn change<T>(
        &self,
        actor: &Actor,
        change: impl FnOnce(&mut dyn Session) -> Result<(T, audit::Change), StoreError>,
    ) -> Result<T, StoreError> {
        let work = |session: &mut dyn Session| {
            let (made, told) = change(session)?;
            audit::append(session, actor, &told)?;
            Ok(made)
        };
        match &self.shared {
            None => self.local.change(work),
            Some(postgres) => postgres.change(work),
        }
    }

    /// Keeps what is no change of keys, holders or settings, all or nothing: what is learned, and what it is learned of.
    /// One at a time, whoever does.
    fn keep<T>(&self, work: impl FnOnce(&mut dyn Session) -> Result<T, StoreError>) -> Result<T, StoreError> {
        match &self.shared {
            None => self.local.change(work),
            Some(postgres) => postgres.keep(work),
        }
    }

    /// A number that grows with every change of a key or a holder, whoever makes it.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn changes(&self) -> Result<i64, StoreError> {
        let sql = "SELECT value FROM sequence";
        let value = self.read(|session| session.one(sql, &[], |row| row.integer(0)))?;
        Ok(value.unwrap_or_default())
    }

    /// Makes the ledger ready for what comes, and drops months that ended before the last `keep` months began, in
    /// PostgreSQL; sums of them are kept. In SQLite, counts what has come since into the sums, for a while: says whether
    /// there is more to count.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn tend(&self, keep: Option<u32>) -> Result<bool, StoreError> {
        match &self.shared {
            None => self.local.count_until(now()),
            Some(postgres) => postgres.tend(keep).map(|()| false),
        }
    }

    /// How many steps of PostgreSQL's schema are taken, and how many this version knows.
    ///
    /// # Errors
    /// When the database refuses, or is another.
    pub fn schema_steps(&self) -> Result<(u32, u32), StoreError> {
        match &self.shared {
            Some(postgres) => postgres.steps(),
            None => Err(no_steps()),
        }
    }

    /// Takes steps of PostgreSQL's schema back, until only `step` are taken, for an older version of pointsman.
    ///
    /// # Errors
    /// When the database refuses or is another, or there is no way back.
    pub fn revert_schema(url: &str, step: u32) -> Result<(), StoreError> {
        if postgres::is_url(url) {
            Postgres::revert(url, step)
        } else {
            Err(no_steps())
        }
    }

    /// Bytes of the journal that are best carried over at once.
    pub(crate) fn stride(&self) -> u64 {
        if self.is_shared() {
            postgres::STRIDE
        } else {
            sqlite::STRIDE
        }
    }

    /// Writes entries; those that are there already are left as they are.
    ///
    /// # Errors
    /// When the database refuses: then none of them is written, or of many some, which may be given again.
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
        match &self.shared {
            None => self.local.insert_lines(lines),
            Some(postgres) => postgres.insert_lines(lines),
        }
    }
}

/// SQLite's schema only goes forward.
fn no_steps() -> StoreError {
    StoreError::Invalid(
        "only the schema of PostgreSQL has a way back; of SQLite, keep a copy of the file".to_owned(),
    )
}

/// The number of the next change.
fn next_version(session: &mut dyn Session) -> Result<i64, StoreError> {
    let sql = "UPDATE sequence SET value = value + 1 RETURNING value";
    let value = session.one(sql, &[], |row| row.integer(0))?;
    Ok(value.unwrap_or_default())
}

/// Unix milliseconds.
pub(crate) fn now() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |time| time.as_millis() as i64)
}

/// The folder of a file, made where it is not there.
pub(crate) fn make_folder_of(path: &Path) -> Result<(), StoreError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    folder.map(std::fs::create_dir_all).transpose()?;
    Ok(())
}

#[cfg(test)]
mod tests;

/// What both engines must do with secrets and repeated requests.
#[cfg(test)]
pub(crate) fn secrets_checked(store: &Store) {
    secrets::tests::check(store);
    once::tests::check(store);
}
