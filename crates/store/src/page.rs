//! Pages of a list, as clients turn them.

use rusqlite::types::ToSql;
use rusqlite::{Connection, Row};

use crate::id::Tenant;
use crate::store::StoreError;

/// Which stretch of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// Only what comes after this id.
    pub after: Option<String>,
    /// Only what comes before this id; `after` is not looked at then.
    pub before: Option<String>,
    /// At most so many.
    pub limit: u32,
    /// The oldest first, instead of the newest.
    pub oldest_first: bool,
}

/// A stretch of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paged<T> {
    /// Its items.
    pub items: Vec<T>,
    /// Whether there is more in the same direction.
    pub more: bool,
}

/// What is listed: rows of `table` that belong to `tenant` and fulfil `condition`, whose parameters are `?3` and `?4`.
pub(crate) struct Listed<'a> {
    pub(crate) table: &'static str,
    pub(crate) columns: &'static str,
    pub(crate) condition: &'static str,
    pub(crate) tenant: &'a Tenant,
    pub(crate) parameters: [&'a dyn ToSql; 2],
}

/// Reads a page.
pub(crate) fn read<T>(
    connection: &Connection,
    listed: &Listed<'_>,
    page: &Page,
    read: impl Fn(&Row<'_>) -> Result<T, StoreError>,
) -> Result<Paged<T>, StoreError> {
    let Listed {
        table,
        columns,
        condition,
        ..
    } = listed;
    let backwards = page.before.is_some();
    let ascending = page.oldest_first != backwards;
    let (sign, order) = if ascending { (">", "ASC") } else { ("<", "DESC") };
    let sql = format!(
        "SELECT {columns} FROM {table} WHERE tenant = ?1 AND ({condition})
         AND (?2 IS NULL OR number {sign} (SELECT number FROM {table} WHERE id = ?2 AND tenant = ?1))
         ORDER BY number {order} LIMIT ?5"
    );
    let mut query = connection.prepare_cached(&sql)?;
    let from = page.before.as_ref().or(page.after.as_ref());
    let limit = i64::from(page.limit) + 1;
    let mut rows = query.query(rusqlite::params![
        listed.tenant.as_str(),
        from,
        listed.parameters[0],
        listed.parameters[1],
        limit
    ])?;
    let mut items = Vec::new();
    while let Some(row) = rows.next()? {
        items.push(read(row)?);
    }
    let more = items.len() > page.limit as usize;
    items.truncate(page.limit as usize);
    if backwards {
        items.reverse();
    }
    Ok(Paged { items, more })
}
