//! PostgreSQL: the database that many replicas share.
//!
//! All calls block and are bounded in time, on the server as here. The connections live on a thread of their own; whoever
//! asks waits for it without a runtime, and may be anywhere.

mod address;
mod connection;
mod door;
mod foreign;
mod ledger;
mod pool;
mod schema;
mod tls;
mod wait;

use std::time::{Duration, Instant};

use crate::store::{Dialect, Session, StoreError};
use ledger::{Pace, Partitions};
use pool::Pool;

pub(crate) use address::is_url;
pub use door::PostgresAddress;
pub use foreign::{ForeignDatabase, Snapshot};

/// Bytes of the journal that are carried over at once: some four thousand entries. Each time is a round trip and a commit,
/// and a row of each sum is touched once, however many entries it is of: the more wait, the less each costs.
pub(crate) const STRIDE: u64 = 2 * 1024 * 1024;
/// How long a question may take, waiting for a connection included.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// How long a report may take, or a list of everything.
pub(crate) const REPORT: Duration = Duration::from_secs(60);
/// How long the schema may be under change.
const MIGRATION: Duration = Duration::from_secs(3_600);
/// Whoever changes keys, holders or settings holds this lock of the database ("pointsm", and what for).
const CHANGE_LOCK: i64 = 0x706f_696e_7473_6d01;
/// Whoever keeps what decisions leave behind holds this one.
const ROUTED_LOCK: i64 = 0x706f_696e_7473_6d03;
/// Whoever changes the schema, partitions included, holds this one.
const SCHEMA_LOCK: i64 = 0x706f_696e_7473_6d02;

pub(crate) static DIALECT: Dialect = Dialect {
    key_number: "number",
    key_expires: "expires_at",
    plain: " COLLATE \"C\"",
    bears_tag: "(tags IS NOT NULL AND tags::jsonb @> to_jsonb(CAST(? AS text)))",
    by_tag:
        "(SELECT ledger.*, one.tag FROM ledger LEFT JOIN LATERAL jsonb_array_elements_text(ledger.tags::jsonb)
        AS one (tag) ON TRUE) AS ledger",
    tags_of: "(SELECT bearing.*, one.tag FROM {} AS bearing
        CROSS JOIN LATERAL jsonb_array_elements_text(bearing.tags::jsonb) AS one (tag)) AS bearing",
    // Sums of `bigint` are `numeric`.
    sums_are_dear: true,
    month: "(date_trunc('month', (DATE '1970-01-01' + CAST(at / 86400000 AS integer))::timestamp)::date - DATE '1970-01-01')",
};

/// A database.
pub(crate) struct Postgres {
    pool: Pool,
    partitions: Partitions,
    pace: Pace,
}

impl Postgres {
    /// Opens the database of a URL and takes the steps of its schema that are missing.
    pub(crate) fn open(url: &str) -> Result<Self, StoreError> {
        let pool = Pool::new(address::read(url)?)?;
        pool.with(MIGRATION, schema::migrate)?;
        Ok(Self {
            pool,
            partitions: Partitions::default(),
            pace: Pace::default(),
        })
    }

    /// The same, for a server that may not be there yet.
    pub(crate) fn await_server(url: &str, patience: Duration) -> Result<Self, StoreError> {
        let begun = Instant::now();
        loop {
            match Self::open(url) {
                Err(StoreError::Unreachable(why)) if begun.elapsed() < patience => {
                    tracing::warn!(%why, "PostgreSQL does not answer; it is asked again");
                    std::thread::sleep(Duration::from_secs(1));
                }
                opened => return opened,
            }
        }
    }

    /// Takes steps of the schema back, until only `step` are taken.
    pub(crate) fn revert(url: &str, step: u32) -> Result<(), StoreError> {
        let pool = Pool::new(address::read(url)?)?;
        pool.with(MIGRATION, |connection| schema::revert(connection, step))
    }

    /// How many steps of the schema are taken, and how many are known.
    pub(crate) fn steps(&self) -> Result<(u32, u32), StoreError> {
        Ok((self.pool.with(PATIENCE, schema::taken)?, schema::KNOWN))
    }

    /// Asks.
    pub(crate) fn read<T>(
        &self,
        patience: Duration,
        work: impl FnOnce(&mut dyn Session) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.pool.with(patience, |connection| work(connection))
    }

    /// Keeps what decisions leave behind, all of it or nothing, and nobody else at the same time.
    pub(crate) fn keep<T>(
        &self,
        work: impl FnOnce(&mut dyn Session) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.pool.with(PATIENCE, |connection| {
            connection.locked(ROUTED_LOCK, |connection| work(connection))
        })
    }

    /// Changes something, all of it or nothing, and nobody else at the same time.
    pub(crate) fn change<T>(
        &self,
        work: impl FnOnce(&mut dyn Session) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.pool.with(PATIENCE, |connection| {
            connection.locked(CHANGE_LOCK, |connection| work(connection))
        })
    }
}

#[cfg(test)]
mod tests;
