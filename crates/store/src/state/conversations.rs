//! Conversations: named lists of items that responses go on from and are added to.

use rusqlite::{OptionalExtension, Transaction, TransactionBehavior, params};

use super::{HistoryError, StateItem, StateStore, now};
use crate::store::StoreError;

/// Most items of one conversation.
pub const MAX_CONVERSATION_ITEMS: i64 = 100_000;

/// A conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conversation {
    /// Its id.
    pub id: String,
    /// Whose it is.
    pub tenant: String,
    /// Unix milliseconds.
    pub created_at: i64,
    /// JSON text of an object.
    pub metadata: String,
}

impl StateStore {
    /// Begins a conversation with these items.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn begin(&mut self, conversation: &Conversation, items: &[StateItem]) -> Result<(), StoreError> {
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute(
            "INSERT INTO state_conversations (id, tenant, created_at, touched_at, metadata) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![
                conversation.id,
                conversation.tenant,
                conversation.created_at,
                now(),
                conversation.metadata
            ],
        )?;
        append(&transaction, &conversation.id, items.iter())?;
        transaction.commit()?;
        Ok(())
    }

    /// A tenant's conversation, if it is there.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn conversation(&self, tenant: &str, id: &str) -> Result<Option<Conversation>, StoreError> {
        let mut query = self.connection.prepare_cached(
            "SELECT created_at, metadata FROM state_conversations WHERE id = ?1 AND tenant = ?2",
        )?;
        let found = query.query_row([id, tenant], |row| {
            Ok(Conversation {
                id: id.to_owned(),
                tenant: tenant.to_owned(),
                created_at: row.get(0)?,
                metadata: row.get(1)?,
            })
        });
        Ok(found.optional()?)
    }

    /// Sets the metadata of a conversation; says whether it is there.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn describe(&mut self, tenant: &str, id: &str, metadata: &str) -> Result<bool, StoreError> {
        let changed = self.connection.execute(
            "UPDATE state_conversations SET metadata = ?3, touched_at = ?4 WHERE id = ?1 AND tenant = ?2",
            params![id, tenant, metadata, now()],
        )?;
        Ok(changed > 0)
    }

    /// Deletes a conversation with its items; says whether it was there.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn end(&mut self, tenant: &str, id: &str) -> Result<bool, StoreError> {
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let there = transaction.execute(
            "DELETE FROM state_conversations WHERE id = ?1 AND tenant = ?2",
            [id, tenant],
        )? > 0;
        if there {
            transaction.execute("DELETE FROM state_turns WHERE conversation = ?1", [id])?;
        }
        transaction.commit()?;
        if there {
            self.truncate_log();
        }
        Ok(there)
    }

    /// Has a conversation for the process `owner` alone, unless another one has it that `is_alive`; says whether it
    /// does. One that is not there is anybody's.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn seize(
        &mut self,
        (tenant, id): (&str, &str),
        owner: &str,
        is_alive: impl Fn(&str) -> bool,
    ) -> Result<bool, StoreError> {
        // Read and written under one lock: two processes never both find it free.
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let held: Option<Option<String>> = transaction
            .query_row(
                "SELECT owner FROM state_conversations WHERE id = ?1 AND tenant = ?2",
                [id, tenant],
                |row| row.get(0),
            )
            .optional()?;
        let other = held.flatten().filter(|other| other != owner);
        if other.is_some_and(|other| is_alive(&other)) {
            return Ok(false);
        }
        transaction.execute(
            "UPDATE state_conversations SET owner = ?3 WHERE id = ?1 AND tenant = ?2",
            [id, tenant, owner],
        )?;
        transaction.commit()?;
        Ok(true)
    }

    /// Gives a conversation back that the process `owner` has.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn release(&mut self, id: &str, owner: &str) -> Result<(), StoreError> {
        self.connection.execute(
            "UPDATE state_conversations SET owner = NULL WHERE id = ?1 AND owner = ?2",
            [id, owner],
        )?;
        Ok(())
    }

    /// All items of a conversation in order, and where the next one goes.
    ///
    /// # Errors
    /// When it is not there, or has more than `limit` bytes.
    pub fn turns(&self, tenant: &str, id: &str, limit: usize) -> Result<(Vec<StateItem>, i64), HistoryError> {
        if self.conversation(tenant, id)?.is_none() {
            return Err(HistoryError::NoConversation(id.to_owned()));
        }
        let mut query = self.connection.prepare_cached(
            "SELECT id, item, position FROM state_turns WHERE conversation = ?1 ORDER BY position",
        )?;
        let mut rows = query.query([id])?;
        let (mut items, mut next, mut bytes) = (Vec::new(), 0, 0);
        while let Some(row) = rows.next()? {
            let item = StateItem {
                id: row.get(0)?,
                json: row.get(1)?,
            };
            next = row.get::<_, i64>(2)? + 1;
            bytes += item.json.len();
            if bytes > limit {
                return Err(HistoryError::TooLong(limit));
            }
            items.push(item);
        }
        Ok((items, next))
    }

    /// Adds items to a conversation.
    ///
    /// # Errors
    /// When it is not there, or has no room for all of them: then none is added.
    pub fn add(
        &mut self,
        tenant: &str,
        id: &str,
        items: &[StateItem],
    ) -> Result<Vec<StateItem>, HistoryError> {
        if self.conversation(tenant, id)?.is_none() {
            return Err(HistoryError::NoConversation(id.to_owned()));
        }
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let added = append(&transaction, id, items.iter())?;
        if added.len() < items.len() {
            return Err(HistoryError::Full(MAX_CONVERSATION_ITEMS));
        }
        transaction.execute(
            "UPDATE state_conversations SET touched_at = ?2 WHERE id = ?1",
            params![id, now()],
        )?;
        transaction.commit()?;
        Ok(added)
    }

    /// Deletes an item of a conversation; says whether it was there.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn take_out(&mut self, tenant: &str, id: &str, item: &str) -> Result<bool, StoreError> {
        if self.conversation(tenant, id)?.is_none() {
            return Ok(false);
        }
        let there = self.connection.execute(
            "DELETE FROM state_turns WHERE conversation = ?1 AND id = ?2",
            [id, item],
        )? > 0;
        if there {
            self.truncate_log();
        }
        Ok(there)
    }
}

/// Adds items at the end of a conversation, as far as it is there and has room, and gives them as they were added: an
/// id that the conversation has already gets a number behind it.
pub(super) fn append<'a>(
    transaction: &Transaction<'_>,
    conversation: &str,
    items: impl Iterator<Item = &'a StateItem>,
) -> Result<Vec<StateItem>, StoreError> {
    let there: bool = transaction.query_row(
        "SELECT EXISTS (SELECT 1 FROM state_conversations WHERE id = ?1)",
        [conversation],
        |row| row.get(0),
    )?;
    let mut added = Vec::new();
    if !there {
        return Ok(added);
    }
    let first: i64 = transaction.query_row(
        "SELECT COALESCE(MAX(position) + 1, 0) FROM state_turns WHERE conversation = ?1",
        [conversation],
        |row| row.get(0),
    )?;
    let mut insert = transaction.prepare_cached(
        "INSERT OR IGNORE INTO state_turns (conversation, position, id, item) VALUES (?1, ?2, ?3, ?4)",
    )?;
    for (position, item) in (first..MAX_CONVERSATION_ITEMS).zip(items) {
        let mut id = item.id.clone();
        if insert.execute(params![conversation, position, id, item.json])? == 0 {
            id = format!("{id}_{position}");
            insert.execute(params![conversation, position, id, item.json])?;
        }
        added.push(StateItem {
            id,
            json: item.json.clone(),
        });
    }
    Ok(added)
}
