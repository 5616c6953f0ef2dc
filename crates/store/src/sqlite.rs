//! SQLite: the database of one machine.

mod counting;
pub(crate) mod schema;

use std::path::Path;
use std::time::Duration;

use parking_lot::Mutex;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ToSql, TransactionBehavior};

pub(crate) use counting::counted;

use crate::row::{self, Misfit};
use crate::store::{Dialect, Row, Session, StoreError, Value, make_folder_of};

/// Bytes of the journal that are carried over at once: some forty entries, an eighth of a millisecond. More cost less
/// for each entry, but keep a core from requests for longer, which the slowest of a hundred feel.
pub(crate) const STRIDE: u64 = 16 * 1024;

pub(crate) static DIALECT: Dialect = Dialect {
    key_number: "rowid",
    key_expires: "grant_json ->> '$.expires_at'",
    plain: "",
    bears_tag: "(tags IS NOT NULL AND EXISTS (SELECT 1 FROM json_each(tags) AS one WHERE one.value = ?))",
    by_tag: "(SELECT ledger.*, one.value AS tag FROM ledger LEFT JOIN json_each(ledger.tags) AS one) AS ledger",
    tags_of: "(SELECT bearing.*, one.value AS tag FROM {} AS bearing JOIN json_each(bearing.tags) AS one) AS bearing",
    sums_are_dear: false,
    month: "(COALESCE(CAST(strftime('%s', at / 1000, 'unixepoch', 'start of month') AS INTEGER), 0) / 86400)",
};

/// A database.
pub(crate) struct Sqlite {
    pub(crate) connection: Mutex<Connection>,
}

impl Sqlite {
    /// Opens the database of a URL: `sqlite://FILE` or `sqlite::memory:`.
    pub(crate) fn open(url: &str) -> Result<Self, StoreError> {
        let connection = if url == "sqlite::memory:" {
            Connection::open_in_memory()?
        } else if let Some(path) = url.strip_prefix("sqlite://").filter(|path| !path.is_empty()) {
            make_folder_of(Path::new(path))?;
            Connection::open(path)?
        } else {
            let scheme = url.split(':').next().unwrap_or_default();
            return Err(StoreError::Unsupported(scheme.to_owned()));
        };
        connection.busy_timeout(Duration::from_secs(10))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        schema::migrate(&connection)?;
        Ok(Self {
            connection: Mutex::new(connection),
        })
    }

    pub(crate) fn read<T>(
        &self,
        work: impl FnOnce(&mut dyn Session) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        work(&mut &*self.connection.lock())
    }

    /// Asks, and sees the database as it stands now, whatever others change meanwhile.
    pub(crate) fn read_still<T>(
        &self,
        work: impl FnOnce(&mut dyn Session) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut connection = self.connection.lock();
        let transaction = connection.transaction()?;
        work(&mut &*transaction)
    }

    /// All of it or nothing.
    pub(crate) fn change<T>(
        &self,
        work: impl FnOnce(&mut dyn Session) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut connection = self.connection.lock();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let done = work(&mut &*transaction)?;
        transaction.commit()?;
        Ok(done)
    }

    /// Writes entries as the journal has them; says how many are none.
    pub(crate) fn insert_lines<'a>(&self, lines: impl Iterator<Item = &'a str>) -> Result<usize, StoreError> {
        let mut connection = self.connection.lock();
        let mut transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let counted = counting::counted_by(&transaction)?;
        let (mut damaged, mut late) = (0, Vec::new());
        {
            let mut insert = transaction.prepare_cached(row::INSERT)?;
            for line in lines {
                match row::insert(line, &mut insert, counted) {
                    Ok(row) => late.extend(row),
                    Err(Misfit::Line) => damaged += 1,
                    Err(Misfit::Database(error)) => return Err(error.into()),
                }
            }
        }
        counting::count_late(&mut transaction, &late)?;
        transaction.commit()?;
        Ok(damaged)
    }
}

impl Session for &Connection {
    fn dialect(&self) -> &'static Dialect {
        &DIALECT
    }

    fn execute(&mut self, sql: &str, values: &[Value]) -> Result<u64, StoreError> {
        let mut statement = self.prepare_cached(sql)?;
        let changed = statement.execute(rusqlite::params_from_iter(values))?;
        Ok(changed as u64)
    }

    fn each(
        &mut self,
        sql: &str,
        values: &[Value],
        each: &mut dyn FnMut(&Row<'_>) -> Result<bool, StoreError>,
    ) -> Result<(), StoreError> {
        let mut statement = self.prepare_cached(sql)?;
        let mut rows = statement.query(rusqlite::params_from_iter(values))?;
        while let Some(row) = rows.next()? {
            if !each(&Row::Sqlite(row))? {
                break;
            }
        }
        Ok(())
    }
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Integer(value) => ValueRef::Integer(*value),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Blob(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

#[cfg(test)]
mod tests;
