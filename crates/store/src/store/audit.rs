//! The audit log: who changed what, each row bound to the one before by a hash, so that a row that is changed, taken
//! out or put in later is found.

use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{Session, Store, StoreError, now, values};
use crate::holder::Actor;

/// What has been changed.
pub(crate) struct Change {
    pub(crate) action: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) object: String,
    pub(crate) before: Option<String>,
    pub(crate) after: Option<String>,
}

/// A row of the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Audited {
    /// Counted from one, without gaps.
    pub number: i64,
    /// Unix milliseconds.
    pub at: i64,
    /// Who.
    pub actor: String,
    /// From where.
    pub source: String,
    /// What was done: `create`, `update`, `delete`, `rotate`, `flush`.
    pub action: String,
    /// To what kind of thing.
    pub kind: String,
    /// To which.
    pub object: String,
    /// As it was.
    pub before: Option<Value>,
    /// As it is.
    pub after: Option<Value>,
    /// Binds it to the row before, hexadecimal.
    pub hash: String,
}

/// What checking the audit log has shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// How many rows there are.
    pub rows: u64,
    /// How many were taken from the beginning, by [`Store::trim_audit`].
    pub trimmed: u64,
    /// The first one that does not fit to the one before.
    pub broken: Option<i64>,
    /// The hash of the last, hexadecimal: kept elsewhere, it shows later whether rows were taken from the end.
    pub head: String,
}

/// What was taken from the beginning of the audit log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trimmed {
    /// How many rows.
    pub rows: u64,
    /// The hash of the last of them, hexadecimal.
    pub head: String,
}

/// The name under which it is kept where the log begins, once rows were taken from its beginning.
const BEGINS: &str = "audit_begins";

/// Where the log begins: the number and the hash of the last row that was taken out.
type Begins = (i64, Vec<u8>);

/// A row as it is hashed and kept.
struct Line {
    number: i64,
    at: i64,
    texts: [String; 5],
    before: Option<String>,
    after: Option<String>,
}

impl Line {
    /// Every field with its length before it: no two rows read the same.
    fn hash(&self, previous: &[u8]) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(previous);
        hash.update(self.number.to_be_bytes());
        hash.update(self.at.to_be_bytes());
        let texts = self.texts.iter().map(|text| Some(text.as_str()));
        for text in texts.chain([self.before.as_deref(), self.after.as_deref()]) {
            hash.update([u8::from(text.is_some())]);
            let text = text.unwrap_or_default();
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text.as_bytes());
        }
        hash.finalize().into()
    }
}

/// Where the log begins; nothing where no row was ever taken out.
fn begins(session: &mut dyn Session) -> Result<Option<Begins>, StoreError> {
    let sql = "SELECT value FROM settings WHERE name = ?1";
    let kept = session.one(sql, &values![BEGINS], |row| row.blob(0))?;
    Ok(kept.and_then(|kept| {
        let (number, hash) = kept.split_first_chunk::<8>()?;
        Some((i64::from_be_bytes(*number), hash.to_vec()))
    }))
}

/// The last row of those that are all older than this, but for the newest of all: its number and hash.
fn last_before(session: &mut dyn Session, before: i64) -> Result<Option<Begins>, StoreError> {
    let sql = "SELECT number, hash FROM audit WHERE number = -1 + COALESCE(
                   (SELECT MIN(number) FROM audit WHERE at >= ?1), (SELECT MAX(number) FROM audit))";
    session.one(sql, &values![before], |row| Ok((row.integer(0)?, row.blob(1)?)))
}

/// Puts a row at the end.
pub(super) fn append(session: &mut dyn Session, actor: &Actor, change: &Change) -> Result<(), StoreError> {
    let last = "SELECT number, hash FROM audit ORDER BY number DESC LIMIT 1";
    let last = session.one(last, &[], |row| Ok((row.integer(0)?, row.blob(1)?)))?;
    let (number, previous) = last.unwrap_or_default();
    let own = |text: &str| text.to_owned();
    let line = Line {
        number: number + 1,
        at: now(),
        texts: [
            actor.name.clone(),
            actor.source.clone(),
            own(change.action),
            own(change.kind),
            change.object.clone(),
        ],
        before: change.before.clone(),
        after: change.after.clone(),
    };
    let hash = line.hash(&previous);
    let [actor, source, action, kind, object] = line.texts;
    session.execute(
        "INSERT INTO audit (number, at, actor, source, action, kind, object, before_json, after_json, hash)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        &values![
            line.number,
            line.at,
            actor,
            source,
            action,
            kind,
            object,
            line.before,
            line.after,
            hash
        ],
    )?;
    Ok(())
}

/// Calls `each` with the rows after `after` and their hashes, until it says no.
fn read(
    session: &mut dyn Session,
    (after, limit): (i64, i64),
    mut each: impl FnMut(Line, Vec<u8>) -> Result<bool, StoreError>,
) -> Result<(), StoreError> {
    let sql =
        "SELECT number, at, actor, source, action, kind, object, before_json, after_json, hash FROM audit
         WHERE number > ?1 ORDER BY number LIMIT ?2";
    session.each(sql, &values![after, limit], &mut |row| {
        let line = Line {
            number: row.integer(0)?,
            at: row.integer(1)?,
            texts: [
                row.text(2)?,
                row.text(3)?,
                row.text(4)?,
                row.text(5)?,
                row.text(6)?,
            ],
            before: row.maybe_text(7)?,
            after: row.maybe_text(8)?,
        };
        each(line, row.blob(9)?)
    })
}

impl Store {
    /// Writes down that something is done that is not kept in the database: which action, to what kind of thing, to
    /// which; and how.
    ///
    /// # Errors
    /// When the database refuses: then it is not to be done.
    pub fn record_act(
        &self,
        actor: &Actor,
        (action, kind, object): (&'static str, &'static str, &str),
        how: &Value,
    ) -> Result<(), StoreError> {
        self.change(actor, |_| {
            let change = Change {
                action,
                kind,
                object: object.to_owned(),
                before: None,
                after: Some(how.to_string()),
            };
            Ok(((), change))
        })
    }

    /// Rows of the audit log after a number, the oldest first.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn audit(&self, after: i64, limit: u32) -> Result<Vec<Audited>, StoreError> {
        let mut found = Vec::new();
        let json = |text: Option<String>| text.map(|text| serde_json::from_str(&text)).transpose();
        self.read(|session| {
            read(session, (after, i64::from(limit)), |line, hash| {
                let [actor, source, action, kind, object] = line.texts;
                found.push(Audited {
                    number: line.number,
                    at: line.at,
                    actor,
                    source,
                    action,
                    kind,
                    object,
                    before: json(line.before)?,
                    after: json(line.after)?,
                    hash: hex(&hash),
                });
                Ok(true)
            })
        })?;
        Ok(found)
    }

    /// Whether there is a row with this hash, hexadecimal.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn has_audited(&self, hash: &str) -> Result<bool, StoreError> {
        let Some(hash) = unhex(hash) else {
            return Ok(false);
        };
        self.read(|session| {
            session.exists("SELECT 1 FROM audit WHERE hash = ?1", &[super::Value::Blob(hash)])
        })
    }

    /// Whether there are rows older than `before`, Unix milliseconds, that could be taken out.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn has_audit_before(&self, before: i64) -> Result<bool, StoreError> {
        Ok(self.read(|session| last_before(session, before))?.is_some())
    }

    /// Takes the rows out that are older than `before`, Unix milliseconds, but for the newest of all; nothing where there
    /// are none. That this was done, and the hash that the rest is bound to, is a row of the log itself.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn trim_audit(&self, actor: &Actor, before: i64) -> Result<Option<Trimmed>, StoreError> {
        if self.read(|session| last_before(session, before))?.is_none() {
            return Ok(None);
        }
        self.change(actor, |session| {
            let (number, hash) = last_before(session, before)?.unwrap_or_default();
            let rows = session.execute("DELETE FROM audit WHERE number <= ?1", &values![number])?;
            let kept = [&number.to_be_bytes()[..], &hash].concat();
            let keep = "INSERT INTO settings (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = excluded.value";
            session.execute(keep, &[BEGINS.to_owned().into(), super::Value::Blob(kept)])?;
            let trimmed = Trimmed {
                rows,
                head: hex(&hash),
            };
            let told = Change {
                action: "trim",
                kind: "audit",
                object: number.to_string(),
                before: None,
                after: Some(head_text(&trimmed.head)),
            };
            Ok((Some(trimmed), told))
        })
    }

    /// Checks that every row of the audit log fits to the one before, and that a row says so where the first are missing.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn verify_audit(&self) -> Result<Verified, StoreError> {
        let mut verified = Verified {
            rows: 0,
            trimmed: 0,
            broken: None,
            head: String::new(),
        };
        let mut previous = Vec::new();
        self.read_much(|session| {
            let begins = begins(session)?;
            let first = begins.as_ref().map_or(0, |(number, _)| *number);
            let trim = begins.map(|(number, hash)| {
                previous = hash;
                (number.to_string(), head_text(&hex(&previous)))
            });
            let mut is_said = trim.is_none();
            verified.trimmed = first.unsigned_abs();
            read(session, (0, i64::MAX), |line, hash| {
                let expected = i64::try_from(verified.rows).unwrap_or(i64::MAX) + 1 + first;
                if line.number != expected || line.hash(&previous)[..] != hash[..] {
                    verified.broken = Some(line.number);
                    return Ok(false);
                }
                is_said |= trim.as_ref().is_some_and(|(object, head)| {
                    let [_, _, action, kind, of] = &line.texts;
                    (&**action, &**kind, of, line.after.as_ref()) == ("trim", "audit", object, Some(head))
                });
                verified.rows += 1;
                previous = hash;
                Ok(true)
            })?;
            if !is_said && verified.broken.is_none() {
                verified.broken = Some(first + 1);
            }
            Ok(())
        })?;
        verified.head = hex(&previous);
        Ok(verified)
    }
}

/// What a row says that tells of a trimming.
fn head_text(head: &str) -> String {
    serde_json::json!({ "head": head }).to_string()
}

/// Bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |byte: u8| DIGITS[usize::from(byte)] as char;
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}

/// Bytes of hexadecimal digits, in capitals or not.
pub(super) fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: &u8| (*byte as char).to_digit(16);
    let pairs = text.as_bytes().chunks(2);
    let byte = |pair: &[u8]| match pair {
        [high, low] => u8::try_from(digit(high)? * 16 + digit(low)?).ok(),
        _ => None,
    };
    pairs.map(byte).collect()
}
