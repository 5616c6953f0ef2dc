//! The database of one machine: SQLite.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use pointsman_catalog::Money;
use pointsman_wire::form::Usage;
use rusqlite::{Connection, OptionalExtension, Row, params};
use secrecy::SecretString;

use crate::id::KeyId;
use crate::key::{self, KeyRecord, NewKey};
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

/// Schema, step by step; a database remembers how many steps it has taken.
const MIGRATIONS: [&str; 4] = ["
    CREATE TABLE keys (
        id TEXT PRIMARY KEY, hash BLOB NOT NULL UNIQUE, hint TEXT NOT NULL, grant_json TEXT NOT NULL,
        created_at INTEGER NOT NULL, revoked_at INTEGER
    ) STRICT;
    CREATE TABLE ledger (
        id TEXT PRIMARY KEY, at INTEGER NOT NULL, key TEXT, team TEXT, user TEXT,
        surface TEXT NOT NULL, model_requested TEXT NOT NULL, provider TEXT, model TEXT, decision TEXT,
        outcome TEXT NOT NULL, usage_json TEXT NOT NULL, input INTEGER NOT NULL, output INTEGER NOT NULL,
        estimated INTEGER NOT NULL, cost INTEGER NOT NULL, attempts INTEGER NOT NULL, streamed INTEGER NOT NULL,
        status INTEGER NOT NULL, latency_us INTEGER NOT NULL, ttft_us INTEGER, cache TEXT NOT NULL
    ) STRICT;
    CREATE INDEX ledger_by_key ON ledger (key, at);
    CREATE INDEX ledger_by_time ON ledger (at);
", "
    CREATE TABLE files (
        number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, tenant TEXT NOT NULL, name TEXT NOT NULL,
        purpose TEXT NOT NULL, bytes INTEGER NOT NULL, created_at INTEGER NOT NULL, expires_at INTEGER,
        hidden INTEGER NOT NULL, state TEXT NOT NULL
    ) STRICT;
    CREATE INDEX files_by_tenant ON files (tenant, number);
    CREATE INDEX files_by_state ON files (state, expires_at);
    CREATE TABLE batches (
        number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, tenant TEXT NOT NULL, owner TEXT, api TEXT NOT NULL,
        endpoint TEXT NOT NULL, input TEXT NOT NULL, output TEXT, errors TEXT, metadata TEXT, problems TEXT,
        keep INTEGER NOT NULL, status TEXT NOT NULL, total INTEGER NOT NULL, completed INTEGER NOT NULL,
        failed INTEGER NOT NULL, created_at INTEGER NOT NULL, expires_at INTEGER NOT NULL, in_progress_at INTEGER,
        finalizing_at INTEGER, cancelling_at INTEGER, ended_at INTEGER
    ) STRICT;
    CREATE INDEX batches_by_tenant ON batches (tenant, number);
    CREATE INDEX batches_by_status ON batches (status, number);
", "
    ALTER TABLE batches ADD COLUMN handed TEXT;
", "
    -- In the order of time: rows come in that order, so they are put in at the end. An id that a request got is never
    -- given again, and an entry that comes twice has the same time, too. Lines of batches are looked up by their ids.
    CREATE TABLE ledger_in_order (
        id TEXT NOT NULL, at INTEGER NOT NULL, key TEXT, team TEXT, user TEXT,
        surface TEXT NOT NULL, model_requested TEXT NOT NULL, provider TEXT, model TEXT, decision TEXT,
        outcome TEXT NOT NULL, usage_json TEXT NOT NULL, input INTEGER NOT NULL, output INTEGER NOT NULL,
        estimated INTEGER NOT NULL, cost INTEGER NOT NULL, attempts INTEGER NOT NULL, streamed INTEGER NOT NULL,
        status INTEGER NOT NULL, latency_us INTEGER NOT NULL, ttft_us INTEGER, cache TEXT NOT NULL,
        PRIMARY KEY (at, id)
    ) STRICT, WITHOUT ROWID;
    INSERT INTO ledger_in_order SELECT * FROM ledger ORDER BY at, id;
    DROP TABLE ledger;
    ALTER TABLE ledger_in_order RENAME TO ledger;
    CREATE INDEX ledger_by_key ON ledger (key, at);
    CREATE UNIQUE INDEX ledger_of_batches ON ledger (id) WHERE id < 'req_' OR id >= 'req`';
"];

/// Keys, ledger, files and batches. All calls block: never on a worker's thread.
pub struct Store {
    pub(crate) connection: Mutex<Connection>,
    /// Changes of keys by this process; the ledger's are not counted, because nobody reads keys anew for them.
    key_changes: AtomicU64,
}

/// Which entries of the ledger.
#[derive(Debug, Clone, Default)]
pub struct LedgerFilter {
    /// Of this key.
    pub key: Option<KeyId>,
    /// From this time on, Unix milliseconds.
    pub since: i64,
    /// At most so many, the newest first.
    pub limit: u32,
}

/// Usage of a key and model.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct UsageRow {
    /// The key.
    pub key: Option<KeyId>,
    /// The provider's name of the model.
    pub model: Option<String>,
    /// Requests.
    pub requests: u64,
    /// Prompt tokens.
    pub input: u64,
    /// Generated tokens.
    pub output: u64,
    /// Money.
    pub cost: Money,
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
        migrate(&connection)?;
        Ok(Self {
            connection: Mutex::new(connection),
            key_changes: AtomicU64::new(0),
        })
    }

    /// Makes a key. The secret is returned once and kept nowhere.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn create_key(&self, grant: NewKey) -> Result<(KeyRecord, SecretString), StoreError> {
        let (secret, hash, hint) = key::generate()?;
        let record = KeyRecord {
            id: key::generate_id()?,
            grant,
            hint,
            hash,
            created_at: now(),
            revoked_at: None,
        };
        self.connection.lock().execute(
            "INSERT INTO keys (id, hash, hint, grant_json, created_at) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![
                record.id.as_str(),
                hash,
                record.hint,
                serde_json::to_string(&record.grant)?,
                record.created_at
            ],
        )?;
        self.key_changes.fetch_add(1, Ordering::AcqRel);
        Ok((record, secret))
    }

    /// All keys, revoked ones included, the oldest first.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn keys(&self) -> Result<Vec<KeyRecord>, StoreError> {
        let connection = self.connection.lock();
        let mut query = connection.prepare_cached(
            "SELECT id, hash, hint, grant_json, created_at, revoked_at FROM keys ORDER BY created_at, id",
        )?;
        let mut rows = query.query([])?;
        let mut keys = Vec::new();
        while let Some(row) = rows.next()? {
            keys.push(read_key(row)?);
        }
        Ok(keys)
    }

    /// Revokes a key, by its id or its name.
    ///
    /// # Errors
    /// When there is no such key.
    pub fn revoke_key(&self, id: &KeyId) -> Result<(), StoreError> {
        let changed = self.connection.lock().execute(
            "UPDATE keys SET revoked_at = ?2 WHERE id = ?1 AND revoked_at IS NULL",
            params![id.as_str(), now()],
        )?;
        self.key_changes.fetch_add(1, Ordering::AcqRel);
        if changed == 0 {
            Err(StoreError::NoSuchKey(id.as_str().to_owned()))
        } else {
            Ok(())
        }
    }

    /// Gives a key a new secret; the old one is refused at once.
    ///
    /// # Errors
    /// When there is no such key.
    pub fn rotate_key(&self, id: &KeyId) -> Result<SecretString, StoreError> {
        let (secret, hash, hint) = key::generate()?;
        let changed = self.connection.lock().execute(
            "UPDATE keys SET hash = ?2, hint = ?3 WHERE id = ?1 AND revoked_at IS NULL",
            params![id.as_str(), hash, hint],
        )?;
        self.key_changes.fetch_add(1, Ordering::AcqRel);
        if changed == 0 {
            Err(StoreError::NoSuchKey(id.as_str().to_owned()))
        } else {
            Ok(secret)
        }
    }

    /// A number that changes when this process changes a key, or another one changes anything.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn change_version(&self) -> Result<(i64, u64), StoreError> {
        let connection = self.connection.lock();
        let others: i64 = connection.query_row("PRAGMA data_version", [], |row| row.get(0))?;
        Ok((others, self.key_changes.load(Ordering::Acquire)))
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

    /// What a key has spent since a time, Unix milliseconds.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn spent(&self, key: &KeyId, since: i64) -> Result<Money, StoreError> {
        let sum: i64 = self.connection.lock().query_row(
            "SELECT COALESCE(SUM(cost), 0) FROM ledger WHERE key = ?1 AND at >= ?2",
            params![key.as_str(), since],
            |row| row.get(0),
        )?;
        Ok(Money::from_nanodollars(sum))
    }

    /// Entries of the ledger, the newest first.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn ledger(&self, filter: &LedgerFilter) -> Result<Vec<LedgerEntry>, StoreError> {
        let connection = self.connection.lock();
        let mut query = connection.prepare_cached(
            "SELECT id, at, key, team, user, surface, model_requested, provider, model, decision, outcome, usage_json,
                    estimated, cost, attempts, streamed, status, latency_us, ttft_us, cache
             FROM ledger WHERE at >= ?1 AND (?2 IS NULL OR key = ?2) ORDER BY at DESC, id LIMIT ?3",
        )?;
        let mut rows = query.query(params![
            filter.since,
            filter.key.as_ref().map(KeyId::as_str),
            filter.limit
        ])?;
        let mut entries = Vec::new();
        while let Some(row) = rows.next()? {
            entries.push(read_entry(row)?);
        }
        Ok(entries)
    }

    /// Usage since a time, by key and model.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn usage(&self, since: i64) -> Result<Vec<UsageRow>, StoreError> {
        let connection = self.connection.lock();
        let mut query = connection.prepare_cached(
            "SELECT key, model, COUNT(*), SUM(input), SUM(output), SUM(cost) FROM ledger WHERE at >= ?1
             GROUP BY key, model ORDER BY SUM(cost) DESC",
        )?;
        let rows = query.query_map([since], |row| {
            Ok(UsageRow {
                key: row.get::<_, Option<String>>(0)?.map(KeyId::from),
                model: row.get(1)?,
                requests: row.get::<_, i64>(2)? as u64,
                input: row.get::<_, i64>(3)? as u64,
                output: row.get::<_, i64>(4)? as u64,
                cost: Money::from_nanodollars(row.get(5)?),
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

fn migrate(connection: &Connection) -> Result<(), StoreError> {
    let taken: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    for (step, sql) in MIGRATIONS
        .iter()
        .enumerate()
        .skip(usize::try_from(taken).unwrap_or(0))
    {
        // Two processes may start at once: the second finds the step taken.
        connection.execute_batch("BEGIN IMMEDIATE")?;
        let taken: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        if taken <= step as i64 {
            connection.execute_batch(sql)?;
            connection.pragma_update(None, "user_version", step as i64 + 1)?;
        }
        connection.execute_batch("COMMIT")?;
    }
    Ok(())
}

fn read_key(row: &Row<'_>) -> Result<KeyRecord, StoreError> {
    Ok(KeyRecord {
        id: KeyId::from(row.get::<_, String>(0)?),
        hash: row.get(1)?,
        hint: row.get(2)?,
        grant: serde_json::from_str(&row.get::<_, String>(3)?)?,
        created_at: row.get(4)?,
        revoked_at: row.get(5)?,
    })
}

fn read_entry(row: &Row<'_>) -> Result<LedgerEntry, StoreError> {
    let text = |at: usize| row.get::<_, Option<String>>(at);
    let usage: Usage = serde_json::from_str(&row.get::<_, String>(11)?)?;
    Ok(LedgerEntry {
        id: row.get::<_, String>(0)?.into(),
        at: row.get(1)?,
        key: text(2)?.map(Into::into),
        team: text(3)?.map(Into::into),
        user: text(4)?.map(Into::into),
        surface: row.get(5)?,
        model_requested: row.get(6)?,
        provider: text(7)?,
        model: text(8)?,
        decision: text(9)?,
        outcome: serde_json::from_value(row.get::<_, String>(10)?.into())?,
        usage,
        usage_estimated: row.get(12)?,
        cost: Money::from_nanodollars(row.get(13)?),
        attempts: row.get(14)?,
        streamed: row.get(15)?,
        status: row.get(16)?,
        latency_us: row.get::<_, i64>(17)? as u64,
        ttft_us: row.get::<_, Option<i64>>(18)?.map(|ttft| ttft as u64),
        cache: row.get(19)?,
    })
}

impl Store {
    /// The key with this id or name, revoked ones left out.
    ///
    /// # Errors
    /// When there is none.
    pub fn find_key(&self, id_or_name: &str) -> Result<KeyRecord, StoreError> {
        let connection = self.connection.lock();
        let mut query = connection.prepare_cached(
            "SELECT id, hash, hint, grant_json, created_at, revoked_at FROM keys
             WHERE (id = ?1 OR grant_json ->> '$.name' = ?1) AND revoked_at IS NULL ORDER BY created_at DESC LIMIT 1",
        )?;
        let found = query
            .query_row([id_or_name], |row| Ok(read_key(row)))
            .optional()?;
        found.unwrap_or_else(|| Err(StoreError::NoSuchKey(id_or_name.to_owned())))
    }
}

/// Unix milliseconds.
fn now() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |time| time.as_millis() as i64)
}

#[cfg(test)]
mod tests;
