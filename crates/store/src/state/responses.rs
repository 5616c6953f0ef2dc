//! Responses: kept, found, continued, deleted.

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use super::conversations::append;
use super::{HistoryError, StateItem, StateStore, now};
use crate::store::StoreError;

/// Responses that may follow each other; more than any conversation has.
const MAX_DEPTH: usize = 10_000;

/// A response as it is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeptResponse {
    /// Its id.
    pub id: String,
    /// Whose it is.
    pub tenant: String,
    /// Unix milliseconds.
    pub created_at: i64,
    /// The response it goes on from.
    pub previous: Option<String>,
    /// The conversation it is a turn of.
    pub conversation: Option<String>,
    /// Where in that conversation it begins.
    pub turns: i64,
    /// Its status, in the format's words.
    pub status: String,
    /// Which process runs it, while one does.
    pub owner: Option<String>,
    /// The `response` object, its output left out.
    pub body: String,
    /// What was asked: the new items only.
    pub input: Vec<StateItem>,
    /// What was answered.
    pub output: Vec<StateItem>,
}

/// An event of a background run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptEvent {
    /// Its place in the stream.
    pub sequence: u64,
    /// As it goes over the wire.
    pub event: String,
}

/// A response that a process was running.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfinished {
    /// Its id.
    pub id: String,
    /// Whose it is.
    pub tenant: String,
    /// The process.
    pub owner: String,
}

impl StateStore {
    /// Keeps a response, in place of an earlier state of it; its items go to the end of its conversation if it is
    /// `appended`. What it goes back to is kept as long as it is.
    ///
    /// # Errors
    /// When the database refuses: then nothing has changed.
    pub fn keep(
        &mut self,
        response: &KeptResponse,
        events: &[KeptEvent],
        appended: bool,
    ) -> Result<(), StoreError> {
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        write(&transaction, response)?;
        {
            let mut insert = transaction.prepare_cached(
                "INSERT OR REPLACE INTO state_events (response, sequence, event) VALUES (?1, ?2, ?3)",
            )?;
            for event in events {
                insert.execute(params![response.id, event.sequence as i64, event.event])?;
            }
        }
        if let Some(conversation) = response.conversation.as_ref().filter(|_| appended) {
            let items = response.input.iter().chain(&response.output);
            append(&transaction, conversation, items)?;
        }
        touch(&transaction, response)?;
        transaction.commit()?;
        Ok(())
    }

    /// A tenant's response, if it is there.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn find(&self, tenant: &str, id: &str) -> Result<Option<KeptResponse>, StoreError> {
        let mut query = self.connection.prepare_cached(
            "SELECT created_at, previous, conversation, turns, status, owner, body
             FROM state_responses WHERE id = ?1 AND tenant = ?2",
        )?;
        let found = query
            .query_row([id, tenant], |row| {
                Ok(KeptResponse {
                    id: id.to_owned(),
                    tenant: tenant.to_owned(),
                    created_at: row.get(0)?,
                    previous: row.get(1)?,
                    conversation: row.get(2)?,
                    turns: row.get(3)?,
                    status: row.get(4)?,
                    owner: row.get(5)?,
                    body: row.get(6)?,
                    input: Vec::new(),
                    output: Vec::new(),
                })
            })
            .optional()?;
        let Some(mut response) = found else {
            return Ok(None);
        };
        response.input = items(&self.connection, id, false)?;
        response.output = items(&self.connection, id, true)?;
        Ok(Some(response))
    }

    /// What stands before a turn that goes on from `id`: the items of all turns up to it, its own included.
    ///
    /// # Errors
    /// When it is not there, has not ended, or something it goes back to is gone; when there are more than `limit` bytes.
    pub fn history(&self, tenant: &str, id: &str, limit: usize) -> Result<Vec<StateItem>, HistoryError> {
        let mut turns: Vec<Vec<StateItem>> = Vec::new();
        let mut bytes = 0;
        let mut next = Some(id.to_owned());
        while let Some(at) = next.take() {
            let Some(response) = self.find(tenant, &at)? else {
                return Err(if turns.is_empty() {
                    HistoryError::NoResponse(at)
                } else {
                    HistoryError::Broken(at)
                });
            };
            if !matches!(response.status.as_str(), "completed" | "incomplete") {
                return Err(HistoryError::NotEnded {
                    id: at,
                    status: response.status,
                });
            }
            let mut turn = self.before(tenant, &response)?;
            turn.extend(response.input);
            turn.extend(response.output);
            bytes += turn.iter().map(|item| item.json.len()).sum::<usize>();
            turns.push(turn);
            if bytes > limit || turns.len() > MAX_DEPTH {
                return Err(HistoryError::TooLong(limit));
            }
            next = response.previous;
        }
        Ok(turns.into_iter().rev().flatten().collect())
    }

    /// The items of the conversation that a response is a turn of, as it found them.
    fn before(&self, tenant: &str, response: &KeptResponse) -> Result<Vec<StateItem>, HistoryError> {
        let Some(conversation) = &response.conversation else {
            return Ok(Vec::new());
        };
        if self.conversation(tenant, conversation)?.is_none() {
            return Err(HistoryError::Broken(conversation.clone()));
        }
        let mut query = self.connection.prepare_cached(
            "SELECT id, item FROM state_turns WHERE conversation = ?1 AND position < ?2 ORDER BY position",
        )?;
        let rows = query.query_map(params![conversation, response.turns], |row| {
            Ok(StateItem {
                id: row.get(0)?,
                json: row.get(1)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// All input of a response: what came before, and its own.
    ///
    /// # Errors
    /// As [`Self::history`].
    pub fn input(&self, response: &KeptResponse, limit: usize) -> Result<Vec<StateItem>, HistoryError> {
        let mut all = match &response.previous {
            Some(previous) => self.history(&response.tenant, previous, limit)?,
            None => self.before(&response.tenant, response)?,
        };
        all.extend(response.input.iter().cloned());
        Ok(all)
    }

    /// The latest item of this id, of a response or a conversation.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn item(&self, tenant: &str, id: &str) -> Result<Option<StateItem>, StoreError> {
        let mut query = self.connection.prepare_cached(
            "SELECT item, state_responses.created_at AS at FROM state_items
                JOIN state_responses ON state_responses.id = state_items.response
                WHERE state_items.id = ?1 AND tenant = ?2
             UNION ALL SELECT item, state_conversations.created_at AS at FROM state_turns
                JOIN state_conversations ON state_conversations.id = state_turns.conversation
                WHERE state_turns.id = ?1 AND tenant = ?2
             ORDER BY at DESC LIMIT 1",
        )?;
        let found = query.query_row([id, tenant], |row| row.get(0)).optional()?;
        Ok(found.map(|json| StateItem {
            id: id.to_owned(),
            json,
        }))
    }

    /// The events of a background run behind `after`, in order.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn events(&self, id: &str, after: Option<u64>) -> Result<Vec<KeptEvent>, StoreError> {
        let mut query = self.connection.prepare_cached(
            "SELECT sequence, event FROM state_events WHERE response = ?1 AND sequence > ?2 ORDER BY sequence",
        )?;
        let after = after.map_or(-1, |after| i64::try_from(after).unwrap_or(i64::MAX));
        let rows = query.query_map(params![id, after], |row| {
            Ok(KeptEvent {
                sequence: row.get::<_, i64>(0)? as u64,
                event: row.get(1)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Deletes a response with all that belongs to it; says whether it was there.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn delete(&mut self, tenant: &str, id: &str) -> Result<bool, StoreError> {
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let there = transaction.execute(
            "DELETE FROM state_responses WHERE id = ?1 AND tenant = ?2",
            [id, tenant],
        )? > 0;
        if there {
            forget(&transaction, id)?;
        }
        transaction.commit()?;
        if there {
            self.truncate_log();
        }
        Ok(there)
    }

    /// Responses that a process was running when it was last heard of.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn unfinished(&self) -> Result<Vec<Unfinished>, StoreError> {
        let mut query = self
            .connection
            .prepare_cached("SELECT id, tenant, owner FROM state_responses WHERE owner IS NOT NULL")?;
        let rows = query.query_map([], |row| {
            Ok(Unfinished {
                id: row.get(0)?,
                tenant: row.get(1)?,
                owner: row.get(2)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

fn write(transaction: &Transaction<'_>, response: &KeptResponse) -> Result<(), StoreError> {
    transaction.execute(
        "INSERT OR REPLACE INTO state_responses
            (id, tenant, created_at, touched_at, previous, conversation, turns, status, owner, body)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        params![
            response.id,
            response.tenant,
            response.created_at,
            now(),
            response.previous,
            response.conversation,
            response.turns,
            response.status,
            response.owner,
            response.body
        ],
    )?;
    let mut insert = transaction.prepare_cached(
        "INSERT OR REPLACE INTO state_items (response, output, position, id, item) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    for (output, items) in [(false, &response.input), (true, &response.output)] {
        for (position, item) in items.iter().enumerate() {
            insert.execute(params![response.id, output, position as i64, item.id, item.json])?;
        }
    }
    Ok(())
}

/// Keeps what a response goes back to as long as the response itself.
fn touch(transaction: &Transaction<'_>, response: &KeptResponse) -> Result<(), StoreError> {
    if let Some(previous) = &response.previous {
        transaction
            .prepare_cached(
                "WITH RECURSIVE chain (id, conversation) AS (
                    SELECT previous.id, previous.conversation FROM state_responses AS previous
                        WHERE previous.id = ?1 AND previous.tenant = ?2
                    UNION SELECT earlier.previous, (SELECT conversation FROM state_responses WHERE id = earlier.previous)
                        FROM state_responses AS earlier JOIN chain ON earlier.id = chain.id
                        WHERE earlier.previous IS NOT NULL
                 ) UPDATE state_responses SET touched_at = ?3 WHERE id IN (SELECT id FROM chain)",
            )?
            .execute(params![previous, response.tenant, now()])?;
    }
    if let Some(conversation) = &response.conversation {
        transaction.execute(
            "UPDATE state_conversations SET touched_at = ?2 WHERE id = ?1",
            params![conversation, now()],
        )?;
    }
    Ok(())
}

/// Deletes what belongs to a response.
pub(super) fn forget(transaction: &Transaction<'_>, id: &str) -> Result<(), StoreError> {
    transaction.execute("DELETE FROM state_items WHERE response = ?1", [id])?;
    transaction.execute("DELETE FROM state_events WHERE response = ?1", [id])?;
    Ok(())
}

fn items(connection: &Connection, response: &str, output: bool) -> Result<Vec<StateItem>, StoreError> {
    let mut query = connection.prepare_cached(
        "SELECT id, item FROM state_items WHERE response = ?1 AND output = ?2 ORDER BY position",
    )?;
    let rows = query.query_map(params![response, output], |row| {
        Ok(StateItem {
            id: row.get(0)?,
            json: row.get(1)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}
