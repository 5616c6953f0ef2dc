//! Collections of documents. Who changes one names the owner: what is another's is not there. Who may read one is for the
//! caller to judge.

use std::fmt::Write as _;

use super::{Row, Session, Store, StoreError, Value, values};
use crate::collection::{Collection, CollectionFile, Passage};

const COLUMNS: &str = "c.id, c.owner, c.at, c.version, c.name, c.metadata, c.readers,
    (SELECT COUNT(*) FROM collection_files f WHERE f.collection = c.id),
    (SELECT CAST(COALESCE(SUM(f.bytes), 0) AS BIGINT) FROM collection_files f WHERE f.collection = c.id),
    (SELECT CAST(COALESCE(SUM(f.passages), 0) AS BIGINT) FROM collection_files f WHERE f.collection = c.id)";
/// Passages that are written by one statement.
const TOGETHER: usize = 40;

impl Store {
    /// Makes a collection, unless its owner has `most` already; says whether it is made.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn make_collection(&self, new: &Collection, most: u32) -> Result<bool, StoreError> {
        self.keep(|session| {
            let count = "SELECT COUNT(*) FROM collections WHERE owner = ?1";
            let has = session.one(count, &values![&new.owner], |row| row.integer(0))?;
            if has.unwrap_or(0) >= i64::from(most) {
                return Ok(false);
            }
            session.execute(
                "INSERT INTO collections (id, owner, at, version, name, metadata, readers)
                 VALUES (?1, ?2, ?3, 0, ?4, ?5, ?6)",
                &values![
                    &new.id,
                    &new.owner,
                    new.at,
                    &new.name,
                    &new.metadata,
                    &new.readers
                ],
            )?;
            Ok(true)
        })
    }

    /// The collections of an owner, the latest first.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn collections(&self, owner: &str) -> Result<Vec<Collection>, StoreError> {
        let sql =
            format!("SELECT {COLUMNS} FROM collections c WHERE c.owner = ?1 ORDER BY c.at DESC, c.id DESC");
        self.read(|session| session.all(&sql, &values![owner], read))
    }

    /// A collection, whoever's it is.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn collection(&self, id: &str) -> Result<Option<Collection>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM collections c WHERE c.id = ?1");
        self.read(|session| session.one(&sql, &values![id], read))
    }

    /// Gives an owner's collection another name, other words and other readers; says whether it is there.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn change_collection(&self, changed: &Collection) -> Result<bool, StoreError> {
        let sql =
            "UPDATE collections SET name = ?3, metadata = ?4, readers = ?5 WHERE id = ?1 AND owner = ?2";
        let said = values![
            &changed.id,
            &changed.owner,
            &changed.name,
            &changed.metadata,
            &changed.readers
        ];
        self.keep(|session| Ok(session.execute(sql, &said)? > 0))
    }

    /// Deletes an owner's collection; says whether it was there.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn delete_collection(&self, owner: &str, id: &str) -> Result<bool, StoreError> {
        self.keep(|session| {
            let gone = "DELETE FROM collections WHERE id = ?1 AND owner = ?2";
            if session.execute(gone, &values![id, owner])? == 0 {
                return Ok(false);
            }
            session.execute("DELETE FROM passages WHERE collection = ?1", &values![id])?;
            session.execute("DELETE FROM collection_files WHERE collection = ?1", &values![id])?;
            Ok(true)
        })
    }

    /// Puts a file's passages into an owner's collection, in the place of what it held of that file.
    ///
    /// # Errors
    /// [`StoreError::Full`] when the collection would hold more than `most` passages; when the database refuses.
    pub fn put_passages(
        &self,
        (owner, collection): (&str, &str),
        file: &CollectionFile,
        passages: &[Passage],
        most: u64,
    ) -> Result<bool, StoreError> {
        self.keep(|session| {
            if !changed(session, owner, collection)? {
                return Ok(false);
            }
            forget(session, collection, &file.id)?;
            let count = "SELECT CAST(COALESCE(SUM(passages), 0) AS BIGINT) FROM collection_files WHERE collection = ?1";
            let has = session.one(count, &values![collection], |row| row.integer(0))?;
            let total = has.unwrap_or(0).unsigned_abs() + passages.len() as u64;
            if total > most {
                return Err(StoreError::Full(total));
            }
            session.execute(
                "INSERT INTO collection_files (collection, file, at, name, bytes, passages, attributes)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                &values![
                    collection,
                    &file.id,
                    file.at,
                    &file.name,
                    file.bytes.cast_signed(),
                    passages.len() as i64,
                    &file.attributes
                ],
            )?;
            for (chunk, some) in passages.chunks(TOGETHER).enumerate() {
                write(session, (collection, &file.id), (chunk * TOGETHER, some))?;
            }
            Ok(true)
        })
    }

    /// The files of a collection, the latest first.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn collection_files(&self, collection: &str) -> Result<Vec<CollectionFile>, StoreError> {
        let sql = "SELECT file, at, name, bytes, passages, attributes FROM collection_files
             WHERE collection = ?1 ORDER BY at DESC, file DESC";
        self.read(|session| {
            session.all(sql, &values![collection], |row| {
                Ok(CollectionFile {
                    id: row.text(0)?,
                    at: row.integer(1)?,
                    name: row.text(2)?,
                    bytes: row.integer(3)?.unsigned_abs(),
                    passages: row.integer(4)?.unsigned_abs(),
                    attributes: row.text(5)?,
                })
            })
        })
    }

    /// Takes a file out of an owner's collection; says whether it was there.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn take_out(&self, owner: &str, collection: &str, file: &str) -> Result<bool, StoreError> {
        self.keep(|session| Ok(changed(session, owner, collection)? && forget(session, collection, file)?))
    }

    /// Everything that a collection says, file by file, in its order.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn passages(&self, collection: &str) -> Result<Vec<Passage>, StoreError> {
        let sql =
            "SELECT file, text, model, vector FROM passages WHERE collection = ?1 ORDER BY file, number";
        self.read_much(|session| {
            session.all(sql, &values![collection], |row| {
                let bytes = row.blob(3)?;
                let numbers = bytes
                    .chunks_exact(4)
                    .filter_map(|four| Some(f32::from_le_bytes(four.try_into().ok()?)));
                Ok(Passage {
                    file: row.text(0)?,
                    text: row.text(1)?,
                    model: row.text(2)?,
                    vector: numbers.collect(),
                })
            })
        })
    }
}

/// Notes that what is in an owner's collection changes; says whether it is there.
fn changed(session: &mut dyn Session, owner: &str, collection: &str) -> Result<bool, StoreError> {
    let sql = "UPDATE collections SET version = version + 1 WHERE id = ?1 AND owner = ?2";
    Ok(session.execute(sql, &values![collection, owner])? > 0)
}

fn forget(session: &mut dyn Session, collection: &str, file: &str) -> Result<bool, StoreError> {
    let named = values![collection, file];
    session.execute("DELETE FROM passages WHERE collection = ?1 AND file = ?2", &named)?;
    Ok(session.execute(
        "DELETE FROM collection_files WHERE collection = ?1 AND file = ?2",
        &named,
    )? > 0)
}

fn write(
    session: &mut dyn Session,
    (collection, file): (&str, &str),
    (first, passages): (usize, &[Passage]),
) -> Result<(), StoreError> {
    let mut sql = "INSERT INTO passages (collection, file, number, text, model, vector) VALUES ".to_owned();
    let mut said = vec![Value::from(collection), Value::from(file)];
    for (number, passage) in passages.iter().enumerate() {
        let comma = if number > 0 { ", " } else { "" };
        let at = said.len();
        let _ = write!(
            sql,
            "{comma}(?1, ?2, ?{}, ?{}, ?{}, ?{})",
            at + 1,
            at + 2,
            at + 3,
            at + 4
        );
        let vector = passage.vector.iter().flat_map(|number| number.to_le_bytes());
        said.push(((first + number) as i64).into());
        said.push((&passage.text).into());
        said.push((&passage.model).into());
        said.push(Value::Blob(vector.collect()));
    }
    session.execute(&sql, &said)?;
    Ok(())
}

fn read(row: &Row<'_>) -> Result<Collection, StoreError> {
    Ok(Collection {
        id: row.text(0)?,
        owner: row.text(1)?,
        at: row.integer(2)?,
        version: row.integer(3)?,
        name: row.text(4)?,
        metadata: row.text(5)?,
        readers: row.text(6)?,
        files: row.integer(7)?.unsigned_abs(),
        bytes: row.integer(8)?.unsigned_abs(),
        passages: row.integer(9)?.unsigned_abs(),
    })
}
