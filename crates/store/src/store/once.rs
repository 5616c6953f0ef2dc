//! Requests that are carried out once: begun, answered, forgotten.

use super::{Session, Store, StoreError, Value, now, values};
use crate::once::{Begun, Once};

/// How long an answer is kept, milliseconds.
const KEPT: i64 = 24 * 3_600_000;
/// How long a request may take, milliseconds; what has no answer after that has none at all.
const TAKES: i64 = 60_000;
/// Requests that are remembered, at most.
const MOST: i64 = 100_000;
/// Bytes of an answer.
const LONGEST: usize = 256 * 1024;

impl Store {
    /// Begins a request, if it has not been begun before.
    ///
    /// # Errors
    /// When too many are remembered, or the database refuses.
    pub fn begin_once(&self, once: &Once) -> Result<Begun, StoreError> {
        self.keep(|session| {
            session.execute("DELETE FROM repeats WHERE at < ?1", &values![now() - KEPT])?;
            if let Some(begun) = find(session, once)? {
                return Ok(begun);
            }
            let count = session.one("SELECT COUNT(*) FROM repeats", &[], |row| row.integer(0))?;
            if count.unwrap_or_default() >= MOST {
                return Err(StoreError::Unreachable(format!(
                    "{MOST} requests are remembered, which is the most"
                )));
            }
            let sql = "INSERT INTO repeats (id, request, at, answer) VALUES (?1, ?2, ?3, NULL)";
            session.execute(sql, &values![once.id, once.request, now()])?;
            Ok(Begun::New)
        })
    }

    /// Ends a request: with its answer, or as if it had never come.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn end_once(&self, once: &Once, answer: Option<&[u8]>) -> Result<(), StoreError> {
        let Some(answer) = answer.filter(|answer| answer.len() <= LONGEST) else {
            return self.keep(|session| {
                session.execute("DELETE FROM repeats WHERE id = ?1", &values![once.id])?;
                Ok(())
            });
        };
        let sealed = once.seal(answer)?;
        self.keep(|session| {
            let sql = "UPDATE repeats SET answer = ?2 WHERE id = ?1";
            session.execute(sql, &[once.id.into(), Value::Blob(sealed)])?;
            Ok(())
        })
    }
}

fn find(session: &mut dyn Session, once: &Once) -> Result<Option<Begun>, StoreError> {
    let sql = "SELECT request, at, COALESCE(answer, ?2) FROM repeats WHERE id = ?1";
    let values = [once.id.into(), Value::Blob(Vec::new())];
    session.one(sql, &values, |row| {
        if row.blob(0)? != once.request {
            return Ok(Begun::Other);
        }
        let answer = row.blob(2)?;
        Ok(match once.open(&answer) {
            Some(answer) => Begun::Done(answer),
            None if now() - row.integer(1)? < TAKES => Begun::Pending,
            None => Begun::Unknown,
        })
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    #[test]
    fn a_request_is_carried_out_once() {
        check(&Store::open("sqlite::memory:").unwrap());
    }

    /// The life of a few requests in an empty database.
    pub(crate) fn check(store: &Store) {
        let once = |caller: &str, key: &str, body: &str| {
            Once::new(caller, key, ("POST /admin/v1/keys", body.as_bytes())).unwrap()
        };
        let first = once("kim", "key-1", "{}");
        assert_eq!(store.begin_once(&first).unwrap(), Begun::New);
        assert_eq!(store.begin_once(&first).unwrap(), Begun::Pending);
        store.end_once(&first, Some(b"pm-secret")).unwrap();
        assert_eq!(
            store.begin_once(&first).unwrap(),
            Begun::Done(b"pm-secret".to_vec())
        );
        assert_eq!(
            store.begin_once(&once("kim", "key-1", "{ }")).unwrap(),
            Begun::Other
        );
        // Somebody else's key of the same name is another.
        let theirs = once("lee", "key-1", "{}");
        assert_eq!(store.begin_once(&theirs).unwrap(), Begun::New);
        store.end_once(&theirs, None).unwrap();
        assert_eq!(store.begin_once(&theirs).unwrap(), Begun::New);
        let old = |age: i64| {
            let sql = "UPDATE repeats SET at = ?1";
            store
                .keep(|session| session.execute(sql, &values![now() - age]))
                .unwrap();
        };
        old(TAKES + 1_000);
        assert_eq!(store.begin_once(&theirs).unwrap(), Begun::Unknown);
        old(KEPT + 1_000);
        assert_eq!(store.begin_once(&first).unwrap(), Begun::New);
        // What was answered cannot be read without the key.
        let rows = |session: &mut dyn Session| session.all("SELECT id FROM repeats", &[], |row| row.blob(0));
        assert_eq!(store.read(rows).unwrap().len(), 1);
    }
}
