//! What is remembered of users. Every question names the owner: what is another's is not there.

use super::{Row, Session, Store, StoreError, Value, values};
use crate::memory::{Memory, NewMemory};

impl Store {
    /// Remembers something, unless its owner has refused, or was to agree and has not. What is known word for word is said
    /// anew. Says whether it is kept.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn remember(&self, memory: &NewMemory) -> Result<bool, StoreError> {
        self.keep(|session| {
            match consent(session, &memory.owner)? {
                Some(false) => return Ok(false),
                None if memory.needs_consent => return Ok(false),
                _ => {}
            }
            let again = "UPDATE memories SET at = ?3, expires_at = ?4 WHERE owner = ?1 AND text = ?2";
            let said = values![&memory.owner, &memory.text, memory.at, memory.expires_at];
            if session.execute(again, &said)? > 0 {
                return Ok(true);
            }
            session.execute(
                "INSERT INTO memories (id, owner, at, expires_at, text) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT DO NOTHING",
                &values![
                    &memory.id,
                    &memory.owner,
                    memory.at,
                    memory.expires_at,
                    &memory.text
                ],
            )?;
            session.execute(
                "DELETE FROM memories WHERE owner = ?1 AND id NOT IN
                 (SELECT id FROM memories WHERE owner = ?1 ORDER BY at DESC, id LIMIT ?2)",
                &values![&memory.owner, i64::from(memory.most)],
            )?;
            Ok(true)
        })
    }

    /// What is remembered of an owner, the latest first, at most so many; and whether they have agreed to it, where they
    /// have said.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn memories(
        &self,
        owner: &str,
        now: i64,
        limit: u32,
    ) -> Result<(Option<bool>, Vec<Memory>), StoreError> {
        let sql = "SELECT id, text, at, expires_at, model, vector FROM memories
             WHERE owner = ?1 AND (expires_at IS NULL OR expires_at > ?2) ORDER BY at DESC, id LIMIT ?3";
        self.read(|session| {
            let said = consent(session, owner)?;
            let all = session.all(sql, &values![owner, now, i64::from(limit)], read)?;
            Ok((said, all))
        })
    }

    /// Notes the vectors of memories, by the model that has read them.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn note_vectors(
        &self,
        owner: &str,
        model: &str,
        vectors: &[(String, Vec<f32>)],
    ) -> Result<(), StoreError> {
        let note = "UPDATE memories SET model = ?3, vector = ?4 WHERE id = ?1 AND owner = ?2";
        self.keep(|session| {
            for (id, vector) in vectors {
                let bytes = vector.iter().flat_map(|number| number.to_le_bytes()).collect();
                let row = [id.into(), owner.into(), model.into(), Value::Blob(bytes)];
                session.execute(note, &row)?;
            }
            Ok(())
        })
    }

    /// Forgets one memory of an owner; says whether it was there.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn forget_memory(&self, owner: &str, id: &str) -> Result<bool, StoreError> {
        let sql = "DELETE FROM memories WHERE owner = ?1 AND id = ?2";
        self.keep(|session| Ok(session.execute(sql, &values![owner, id])? > 0))
    }

    /// Forgets everything of an owner; says how much that was.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn forget_memories(&self, owner: &str) -> Result<u64, StoreError> {
        let sql = "DELETE FROM memories WHERE owner = ?1";
        self.keep(|session| session.execute(sql, &values![owner]))
    }

    /// Notes whether an owner agrees. Who refuses is forgotten; says how much was.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn agree_to_memory(&self, owner: &str, agrees: bool, at: i64) -> Result<u64, StoreError> {
        self.keep(|session| {
            session.execute(
                "INSERT INTO memory_consents (owner, agrees, at) VALUES (?1, ?2, ?3)
                 ON CONFLICT (owner) DO UPDATE SET agrees = excluded.agrees, at = excluded.at",
                &values![owner, i64::from(agrees), at],
            )?;
            match agrees {
                true => Ok(0),
                false => session.execute("DELETE FROM memories WHERE owner = ?1", &values![owner]),
            }
        })
    }

    /// Deletes memories whose time is over; says how many.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn sweep_memories(&self, now: i64) -> Result<u64, StoreError> {
        let sql = "DELETE FROM memories WHERE expires_at IS NOT NULL AND expires_at <= ?1";
        self.keep(|session| session.execute(sql, &values![now]))
    }
}

/// Forgets a user who is deleted: what is remembered, and what they have said about it.
pub(super) fn forget_user(session: &mut dyn Session, user: &str) -> Result<(), StoreError> {
    let owner = format!("user:{user}");
    session.execute("DELETE FROM memories WHERE owner = ?1", &values![&owner])?;
    session.execute("DELETE FROM memory_consents WHERE owner = ?1", &values![&owner])?;
    Ok(())
}

fn consent(session: &mut dyn Session, owner: &str) -> Result<Option<bool>, StoreError> {
    let sql = "SELECT agrees FROM memory_consents WHERE owner = ?1";
    session.one(sql, &values![owner], |row| Ok(row.integer(0)? != 0))
}

fn read(row: &Row<'_>) -> Result<Memory, StoreError> {
    let model = row.maybe_text(4)?;
    let vector = match model {
        Some(model) => {
            let bytes = row.blob(5)?;
            let numbers = bytes
                .chunks_exact(4)
                .filter_map(|four| Some(f32::from_le_bytes(four.try_into().ok()?)));
            Some((model, numbers.collect()))
        }
        None => None,
    };
    Ok(Memory {
        id: row.text(0)?,
        text: row.text(1)?,
        at: row.integer(2)?,
        expires_at: row.maybe_integer(3)?,
        vector,
    })
}
