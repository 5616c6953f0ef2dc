//! What clients of stateful APIs go back to: responses with their items, the events of background runs, conversations.
//!
//! Everything belongs to a tenant, and every question names the tenant: what is another's is not there. A connection of
//! its own, used by one thread: a response that is being written never waits for the ledger's lock.

mod conversations;
mod responses;
mod sweep;

use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;

use crate::store::StoreError;

pub use conversations::{Conversation, MAX_CONVERSATION_ITEMS};
pub use responses::{KeptEvent, KeptResponse, Unfinished};

/// Schema, step by step; steps taken are remembered beside those of the keys, so that neither counts for the other.
const MIGRATIONS: [&str; 2] = ["
    CREATE TABLE state_responses (
        id TEXT PRIMARY KEY, tenant TEXT NOT NULL, created_at INTEGER NOT NULL, touched_at INTEGER NOT NULL,
        previous TEXT, conversation TEXT, turns INTEGER NOT NULL, status TEXT NOT NULL, owner TEXT, body TEXT NOT NULL
    ) STRICT;
    CREATE INDEX state_responses_by_time ON state_responses (touched_at);
    CREATE INDEX state_responses_unfinished ON state_responses (owner) WHERE owner IS NOT NULL;
    CREATE TABLE state_items (
        response TEXT NOT NULL, output INTEGER NOT NULL, position INTEGER NOT NULL, id TEXT NOT NULL, item TEXT NOT NULL,
        PRIMARY KEY (response, output, position)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX state_items_by_id ON state_items (id);
    CREATE TABLE state_events (
        response TEXT NOT NULL, sequence INTEGER NOT NULL, event TEXT NOT NULL, PRIMARY KEY (response, sequence)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE state_conversations (
        id TEXT PRIMARY KEY, tenant TEXT NOT NULL, created_at INTEGER NOT NULL, touched_at INTEGER NOT NULL,
        metadata TEXT NOT NULL
    ) STRICT;
    CREATE INDEX state_conversations_by_time ON state_conversations (touched_at);
    CREATE TABLE state_turns (
        conversation TEXT NOT NULL, position INTEGER NOT NULL, id TEXT NOT NULL, item TEXT NOT NULL,
        PRIMARY KEY (conversation, position), UNIQUE (conversation, id)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX state_turns_by_id ON state_turns (id);
", "
    ALTER TABLE state_conversations ADD COLUMN owner TEXT;
"];

/// An item of a response or a conversation, as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateItem {
    /// Its id: its own, or the one it was given here.
    pub id: String,
    /// JSON text.
    pub json: String,
}

/// Why what came before cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HistoryError {
    /// There is no such response.
    #[error("there is no response {0:?}")]
    NoResponse(String),
    /// There is no such conversation.
    #[error("there is no conversation {0:?}")]
    NoConversation(String),
    /// There is no such item.
    #[error("there is no item {0:?}")]
    NoItem(String),
    /// It has not ended well.
    #[error("the response {id:?} is {status}")]
    NotEnded {
        /// The response.
        id: String,
        /// Its status.
        status: String,
    },
    /// It goes back to what was deleted or has expired.
    #[error("what it goes back to, {0:?}, was deleted or has expired")]
    Broken(String),
    /// Nothing more fits in.
    #[error("it has {0} items already")]
    Full(i64),
    /// There is too much of it.
    #[error("it is longer than {0} bytes")]
    TooLong(usize),
    /// The database.
    #[error("{0}")]
    Store(String),
}

impl From<StoreError> for HistoryError {
    fn from(error: StoreError) -> Self {
        Self::Store(error.to_string())
    }
}

impl From<rusqlite::Error> for HistoryError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.to_string())
    }
}

/// Responses and conversations. All calls block: never on a worker's thread.
///
/// Transactions take the write lock at their beginning: one that has read and then wants to write is refused at once when
/// the ledger was written meanwhile.
pub struct StateStore {
    connection: Connection,
}

impl StateStore {
    /// Opens the database of a URL: `sqlite://FILE` or `sqlite::memory:` (a database of its own).
    ///
    /// # Errors
    /// When it cannot be opened, or the URL names another engine.
    pub fn open(url: &str) -> Result<Self, StoreError> {
        let mut connection = if url == "sqlite::memory:" {
            Connection::open_in_memory()?
        } else if let Some(path) = url.strip_prefix("sqlite://").filter(|path| !path.is_empty()) {
            Connection::open(Path::new(path))?
        } else {
            let scheme = url.split(':').next().unwrap_or_default();
            return Err(StoreError::Unsupported(scheme.to_owned()));
        };
        connection.busy_timeout(Duration::from_secs(10))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        // What is deleted is overwritten, not only forgotten.
        connection.pragma_update(None, "secure_delete", "ON")?;
        migrate(&mut connection)?;
        Ok(Self { connection })
    }
}

fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    connection.execute_batch("CREATE TABLE IF NOT EXISTS state_schema (step INTEGER PRIMARY KEY) STRICT")?;
    for (step, sql) in (1_i64..).zip(MIGRATIONS) {
        // Two processes may start at once: the second finds the step taken.
        let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        let taken: i64 =
            transaction.query_row("SELECT COALESCE(MAX(step), 0) FROM state_schema", [], |row| {
                row.get(0)
            })?;
        if taken < step {
            transaction.execute_batch(sql)?;
            transaction.execute("INSERT INTO state_schema (step) VALUES (?1)", [step])?;
        }
        transaction.commit()?;
    }
    Ok(())
}

/// Unix milliseconds.
fn now() -> i64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |time| time.as_millis() as i64)
}

#[cfg(test)]
mod tests;
