//! The sums of the ledger, brought up to date beside the requests: entries are counted some time after they were written,
//! thousands at once, and reports read those that are not yet from the ledger itself. So writing costs nothing more.

use std::time::{Duration, Instant};

use rusqlite::{Connection, OptionalExtension, Params, Transaction, TransactionBehavior};

use super::{DIALECT, Sqlite};
use crate::store::rollups::{ROLL_UPS, parts};
use crate::store::{Session, StoreError};

/// Entries that are counted at once: some hundredths of a second, for which whoever asks the database waits.
const SLICE: i64 = if cfg!(test) { 100 } else { 2_000 };
/// How long entries are counted, until somebody says whether to go on.
const SPELL: Duration = Duration::from_secs(1);
/// Entries may still come that are so old, Unix milliseconds; what comes later is counted when it comes.
const LATE: i64 = 600_000;

/// The sums know all entries before this time, Unix milliseconds, but none that are dated before 1970.
pub(crate) fn counted(session: &mut dyn Session) -> Result<i64, StoreError> {
    let sql = "SELECT until FROM usage_counted";
    let until = session.one(sql, &[], |row| row.integer(0))?;
    Ok(until.unwrap_or_default())
}

/// The same, of a connection.
pub(super) fn counted_by(connection: &Connection) -> Result<i64, StoreError> {
    let mut statement = connection.prepare_cached("SELECT until FROM usage_counted")?;
    Ok(statement.query_row([], |row| row.get(0))?)
}

/// The entries from one time to another.
const SPAN: &str = "ledger WHERE at >= ?1 AND at < ?2";
/// The entries of a list of times and ids, as JSON.
const LISTED: &str = "(SELECT ledger.* FROM json_each(?1) AS listed CROSS JOIN ledger
    ON ledger.at = listed.value ->> 0 AND ledger.id = listed.value ->> 1) AS ledger";

/// Counts entries of the ledger.
fn count(connection: &Connection, these: &str, values: impl Params + Copy) -> Result<(), StoreError> {
    let parts = format!("({})", parts(these, &DIALECT));
    for sums in &ROLL_UPS {
        let mut statement = connection.prepare_cached(&sums.count(&parts, &DIALECT))?;
        statement.execute(values)?;
    }
    Ok(())
}

/// Counts entries that were put in although all of their time had been counted. What cannot be summed up must not keep
/// entries from the ledger: then all is counted anew.
pub(super) fn count_late(
    transaction: &mut Transaction<'_>,
    late: &[(i64, String)],
) -> Result<(), StoreError> {
    if late.is_empty() {
        return Ok(());
    }
    let late = serde_json::to_string(late)?;
    let mut savepoint = transaction.savepoint()?;
    if let Err(error) = count(&savepoint, LISTED, [&late]) {
        tracing::warn!(%error, "late entries of the ledger cannot be added to its sums; these are made anew");
        savepoint.rollback()?;
        for sums in &ROLL_UPS {
            savepoint.execute(&format!("DELETE FROM {}", sums.table()), [])?;
        }
        savepoint.execute("UPDATE usage_counted SET until = 0", [])?;
    }
    savepoint.commit()?;
    Ok(())
}

impl Sqlite {
    /// Counts what has been written until some minutes before `now`, for a while; says whether there is more.
    pub(crate) fn count_until(&self, now: i64) -> Result<bool, StoreError> {
        let begun = Instant::now();
        while begun.elapsed() < SPELL {
            let slice = Instant::now();
            if !self.count_slice(now - LATE)? {
                return Ok(false);
            }
            // As much time is left to others.
            std::thread::sleep(slice.elapsed());
        }
        Ok(true)
    }

    fn count_slice(&self, until: i64) -> Result<bool, StoreError> {
        let mut connection = self.connection.lock();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let counted = counted_by(&transaction)?;
        if counted >= until {
            return Ok(false);
        }
        let next = "SELECT at FROM ledger WHERE at >= ?1 ORDER BY at LIMIT 1 OFFSET ?2";
        let next: Option<i64> = transaction
            .query_row(next, [counted, SLICE], |row| row.get(0))
            .optional()?;
        // All of a millisecond, however many there are.
        let end = next.map_or(until, |at| at.max(counted + 1)).min(until);
        count(&transaction, SPAN, [counted, end])?;
        transaction.execute("UPDATE usage_counted SET until = ?1", [end])?;
        transaction.commit()?;
        Ok(end < until)
    }
}
