//! Which replica tells of what goes wrong: whoever says first that it does.

use std::time::Duration;

use super::{Store, StoreError, now, values};
use crate::key::{KeyRecord, hash_key};

/// Claims that are so old are of no use to anybody, milliseconds: ninety days.
const OLD: i64 = 90 * 24 * 3_600_000;

impl Store {
    /// Says that this process tells of `name`; whether nobody has said so within the time of `repeat`.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn claim_alert(&self, name: &str, repeat: Duration) -> Result<bool, StoreError> {
        let (name, at) = (setting(name), now());
        let repeat = i64::try_from(repeat.as_millis()).unwrap_or(i64::MAX);
        self.keep(|session| {
            let sql = "SELECT value FROM settings WHERE name = ?1";
            let last = session.one(sql, &values![&name], |row| row.blob(0))?;
            let last = last
                .and_then(|bytes| bytes.try_into().ok())
                .map(i64::from_be_bytes);
            if last.is_some_and(|last| at.saturating_sub(last) < repeat) {
                return Ok(false);
            }
            let sql = "INSERT INTO settings (name, value) VALUES (?1, ?2)
                ON CONFLICT (name) DO UPDATE SET value = excluded.value";
            session.execute(sql, &values![&name, blob(at)])?;
            let sql = "DELETE FROM settings WHERE name LIKE 'alert:%' AND value < ?1";
            session.execute(sql, &values![blob(at.saturating_sub(OLD).max(0))])?;
            Ok(true)
        })
    }

    /// Says that `name` is over; whether it was told of, and nobody has said so before.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn release_alert(&self, name: &str) -> Result<bool, StoreError> {
        let name = setting(name);
        let gone =
            self.keep(|session| session.execute("DELETE FROM settings WHERE name = ?1", &values![&name]))?;
        Ok(gone > 0)
    }

    /// The first keys that are good and end between two times, Unix milliseconds.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn keys_that_end(&self, (from, until): (i64, i64), most: u32) -> Result<Vec<KeyRecord>, StoreError> {
        self.read_much(|session| {
            let expires = session.dialect().key_expires;
            let sql = format!(
                "SELECT {} FROM keys WHERE revoked_at IS NULL AND {expires} > ?1 AND {expires} <= ?2
                 ORDER BY {expires} LIMIT ?3",
                super::keys::COLUMNS
            );
            let bounds = values![from, until, i64::from(most)];
            session.all(&sql, &bounds, super::keys::read_key)
        })
    }
}

/// Names of any length become one of the same length.
fn setting(name: &str) -> String {
    let digits: String = hash_key(name).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("alert:{digits}")
}

/// A time as bytes that sort as times do.
fn blob(at: i64) -> super::Value {
    super::Value::Blob(at.to_be_bytes().to_vec())
}
