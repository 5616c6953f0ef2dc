//! What an engine must be able to do for what is kept: run a statement, and give rows. Statements are written once, for
//! both engines; where these differ, there is a word for it in [`Dialect`].

use super::StoreError;

/// A value that a statement is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    Null,
    Integer(i64),
    Text(String),
    Blob(Vec<u8>),
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Integer(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<&String> for Value {
    fn from(value: &String) -> Self {
        Self::Text(value.clone())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

impl From<[u8; 32]> for Value {
    fn from(value: [u8; 32]) -> Self {
        Self::Blob(value.to_vec())
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// Values of a statement, in the order of their numbers.
macro_rules! values {
    ($($value:expr),* $(,)?) => { [$($crate::store::Value::from($value)),*] };
}
pub(crate) use values;

/// Where the engines differ.
#[derive(Debug)]
pub(crate) struct Dialect {
    /// The column in whose order keys were made.
    pub(crate) key_number: &'static str,
    /// When a key ends.
    pub(crate) key_expires: &'static str,
    /// How texts of different columns are compared: byte by byte.
    pub(crate) plain: &'static str,
    /// Whether a row of the ledger bears the tag `?`.
    pub(crate) bears_tag: &'static str,
    /// The ledger with a row for each tag of an entry, in the column `tag`.
    pub(crate) by_tag: &'static str,
    /// What `{}` stands for, with a row for each tag of an entry, in the column `tag`, and none where it has none.
    pub(crate) tags_of: &'static str,
    /// Sums cost so much more than rows that those of groups which are not asked for are better not made.
    pub(crate) sums_are_dear: bool,
    /// The day, counted from 1970, on which the month of `at` began.
    pub(crate) month: &'static str,
}

/// A row that was found.
pub(crate) enum Row<'a> {
    Sqlite(&'a rusqlite::Row<'a>),
    Postgres(&'a tokio_postgres::Row),
}

impl Row<'_> {
    pub(crate) fn text(&self, at: usize) -> Result<String, StoreError> {
        match self {
            Self::Sqlite(row) => Ok(row.get(at)?),
            Self::Postgres(row) => Ok(row.try_get(at)?),
        }
    }

    pub(crate) fn maybe_text(&self, at: usize) -> Result<Option<String>, StoreError> {
        match self {
            Self::Sqlite(row) => Ok(row.get(at)?),
            Self::Postgres(row) => Ok(row.try_get(at)?),
        }
    }

    pub(crate) fn integer(&self, at: usize) -> Result<i64, StoreError> {
        match self {
            Self::Sqlite(row) => Ok(row.get(at)?),
            Self::Postgres(row) => Ok(row.try_get(at)?),
        }
    }

    pub(crate) fn maybe_integer(&self, at: usize) -> Result<Option<i64>, StoreError> {
        match self {
            Self::Sqlite(row) => Ok(row.get(at)?),
            Self::Postgres(row) => Ok(row.try_get(at)?),
        }
    }

    pub(crate) fn flag(&self, at: usize) -> Result<bool, StoreError> {
        match self {
            Self::Sqlite(row) => Ok(row.get(at)?),
            Self::Postgres(row) => Ok(row.try_get(at)?),
        }
    }

    pub(crate) fn blob(&self, at: usize) -> Result<Vec<u8>, StoreError> {
        match self {
            Self::Sqlite(row) => Ok(row.get(at)?),
            Self::Postgres(row) => Ok(row.try_get(at)?),
        }
    }

    /// A SHA-256, where there is one.
    pub(crate) fn maybe_hash(&self, at: usize) -> Result<Option<[u8; 32]>, StoreError> {
        let blob: Option<Vec<u8>> = match self {
            Self::Sqlite(row) => row.get(at)?,
            Self::Postgres(row) => row.try_get(at)?,
        };
        let hash = |blob: Vec<u8>| {
            let length = blob.len();
            <[u8; 32]>::try_from(blob).map_err(|_| {
                StoreError::Invalid(format!("a hash in the database has {length} bytes, not 32"))
            })
        };
        blob.map(hash).transpose()
    }
}

/// A connection, for one statement after the other. In statements, `?1` stands for the first value, and so on.
pub(crate) trait Session {
    fn dialect(&self) -> &'static Dialect;

    /// Says how many rows it was about.
    fn execute(&mut self, sql: &str, values: &[Value]) -> Result<u64, StoreError>;

    /// Calls `each` with one row after the other, until it says no.
    fn each(
        &mut self,
        sql: &str,
        values: &[Value],
        each: &mut dyn FnMut(&Row<'_>) -> Result<bool, StoreError>,
    ) -> Result<(), StoreError>;
}

impl dyn Session + '_ {
    /// The first row, if there is one.
    pub(crate) fn one<T>(
        &mut self,
        sql: &str,
        values: &[Value],
        read: impl Fn(&Row<'_>) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        let mut found = None;
        self.each(sql, values, &mut |row| {
            found = Some(read(row)?);
            Ok(false)
        })?;
        Ok(found)
    }

    /// All rows.
    pub(crate) fn all<T>(
        &mut self,
        sql: &str,
        values: &[Value],
        read: impl Fn(&Row<'_>) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        let mut found = Vec::new();
        self.each(sql, values, &mut |row| {
            found.push(read(row)?);
            Ok(true)
        })?;
        Ok(found)
    }

    /// Whether there is any row.
    pub(crate) fn exists(&mut self, sql: &str, values: &[Value]) -> Result<bool, StoreError> {
        Ok(self.one(sql, values, |_| Ok(()))?.is_some())
    }
}
