//! What is not gone back to any more goes.

use rusqlite::{TransactionBehavior, params};

use super::StateStore;
use super::responses::forget;
use crate::store::StoreError;

/// Rows of one step, so that nobody waits long.
const STEP: i64 = 200;

impl StateStore {
    /// Deletes responses and conversations that nobody has used since `before` (Unix milliseconds), a step at a time;
    /// says how many went. Responses that a process runs stay.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn sweep(&mut self, before: i64) -> Result<usize, StoreError> {
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let old = |sql: &str| -> Result<Vec<String>, StoreError> {
            let mut query = transaction.prepare_cached(sql)?;
            let rows = query.query_map(params![before, STEP], |row| row.get(0))?;
            Ok(rows.collect::<Result<_, _>>()?)
        };
        let responses =
            old("SELECT id FROM state_responses WHERE touched_at < ?1 AND owner IS NULL LIMIT ?2")?;
        let conversations = old("SELECT id FROM state_conversations WHERE touched_at < ?1 LIMIT ?2")?;
        for id in &responses {
            transaction.execute("DELETE FROM state_responses WHERE id = ?1", [id])?;
            forget(&transaction, id)?;
        }
        for id in &conversations {
            transaction.execute("DELETE FROM state_conversations WHERE id = ?1", [id])?;
            transaction.execute("DELETE FROM state_turns WHERE conversation = ?1", [id])?;
        }
        transaction.commit()?;
        let gone = responses.len() + conversations.len();
        if gone > 0 {
            self.truncate_log();
        }
        Ok(gone)
    }

    /// Empties the write-ahead log, which still holds what was deleted. As far as nobody else is reading: what is left
    /// goes the next time.
    pub(super) fn truncate_log(&self) {
        let emptied: Result<i64, _> =
            self.connection
                .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0));
        if let Err(error) = emptied {
            tracing::warn!(%error, "the database's log could not be emptied");
        }
    }
}
