//! Somebody else's PostgreSQL database, as it stands at one moment: read, never changed.

use super::address;
use super::connection::Connection;
use super::pool::Pool;
use super::{MIGRATION, is_url};
use crate::store::{Session, StoreError, values};

/// A database that is not Pointsman's.
pub struct ForeignDatabase {
    pool: Pool,
}

/// It at one moment: whatever others change meanwhile is not seen.
pub struct Snapshot<'a> {
    connection: &'a mut Connection,
}

impl ForeignDatabase {
    /// The database of a URL; nothing is connected to yet.
    ///
    /// # Errors
    /// When the URL is none of PostgreSQL. No error tells more of it than the name of a parameter.
    pub fn new(url: &str) -> Result<Self, StoreError> {
        if !is_url(url) {
            return Err(StoreError::Invalid(
                "it is read from PostgreSQL: give a URL such as postgres://USER:PASSWORD@HOST/NAME"
                    .to_owned(),
            ));
        }
        Ok(Self {
            pool: Pool::new(address::read(url)?)?,
        })
    }

    /// Has `work` read the database as it stands now; `schema` is where tables are looked for.
    ///
    /// # Errors
    /// When it cannot be reached, there is no such schema, or `work` fails.
    pub fn at_once<T, E: From<StoreError>>(
        &self,
        schema: &str,
        work: impl FnOnce(&mut Snapshot<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut done = None;
        self.pool.with(MIGRATION, |connection| {
            connection.frozen(&quoted(schema), |connection| {
                done = Some(work(&mut Snapshot { connection }));
                Ok(())
            })
        })?;
        done.unwrap_or_else(|| {
            let never = StoreError::Unreachable("nothing was read".to_owned());
            Err(never.into())
        })
    }
}

impl Snapshot<'_> {
    /// The names of all tables whose name begins with `prefix`, sorted.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn tables(&mut self, prefix: &str) -> Result<Vec<String>, StoreError> {
        let session: &mut dyn Session = self.connection;
        let sql = "SELECT CAST(tablename AS TEXT) FROM pg_catalog.pg_tables
            WHERE schemaname = current_schema() AND starts_with(tablename, ?1) ORDER BY 1";
        session.all(sql, &values![prefix], |row| row.text(0))
    }

    /// Whether a table has any row.
    ///
    /// # Errors
    /// When the database refuses, or there is no such table.
    pub fn has_rows(&mut self, table: &str) -> Result<bool, StoreError> {
        let session: &mut dyn Session = self.connection;
        session.exists(&format!("SELECT 1 FROM {} LIMIT 1", quoted(table)), &[])
    }

    /// Calls `each` with one row of a table after the other, as a JSON object with a field for each column.
    ///
    /// # Errors
    /// When the database refuses, there is no such table, or `each` fails.
    pub fn each_row(
        &mut self,
        table: &str,
        mut each: impl FnMut(&str) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let sql = format!("SELECT CAST(row_to_json(t) AS TEXT) FROM {} AS t", quoted(table));
        self.connection.each(&sql, &[], &mut |row| {
            each(&row.text(0)?)?;
            Ok(true)
        })
    }
}

/// A name as SQL takes any.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
