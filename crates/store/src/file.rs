//! Files that clients keep here: what is known of them. Their bytes are blobs of the same name.
//!
//! A row is there before its blob and goes after it, so that a process that dies in between leaves no blob that
//! nobody knows of: rows that never became ready, or that were to be deleted, are [swept](Store::files_to_sweep).

use rusqlite::{OptionalExtension, Row, params};

use crate::id::{FileId, Tenant};
use crate::key::random_text;
use crate::page::{self, Listed, Page, Paged};
use crate::store::{Store, StoreError};

/// Seconds after which an upload that never ended is forgotten.
const ABANDONED: i64 = 24 * 3600;
const COLUMNS: &str = "id, tenant, name, purpose, bytes, created_at, expires_at";

/// A file that is to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewFile {
    /// Its id; a new one when absent. A file that is made anew under its own id takes its own place.
    pub id: Option<FileId>,
    /// Whose it is.
    pub tenant: Tenant,
    /// What its owner calls it.
    pub name: String,
    /// What for.
    pub purpose: String,
    /// Its size.
    pub bytes: u64,
    /// Unix seconds.
    pub created_at: i64,
    /// Unix seconds after which it is gone.
    pub expires_at: Option<i64>,
    /// Not for its owner to see: the gateway's own.
    pub hidden: bool,
}

/// A file that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRecord {
    /// Its id.
    pub id: FileId,
    /// Whose it is.
    pub tenant: Tenant,
    /// What its owner calls it.
    pub name: String,
    /// What for.
    pub purpose: String,
    /// Its size.
    pub bytes: u64,
    /// Unix seconds.
    pub created_at: i64,
    /// Unix seconds after which it is gone.
    pub expires_at: Option<i64>,
}

impl Store {
    /// Announces a file whose blob is about to be put: nobody sees it until [`file_ready`](Self::file_ready).
    ///
    /// # Errors
    /// When its tenant would keep more than `most` bytes.
    pub fn announce_file(&self, file: NewFile, most: Option<u64>) -> Result<FileRecord, StoreError> {
        let id = match file.id {
            Some(id) => id,
            None => FileId::from(format!("file-{}", random_text(24)?)),
        };
        let connection = self.local();
        if let Some(most) = most {
            let total = kept_bytes(&connection, &file.tenant)?.saturating_add(file.bytes);
            if total > most {
                return Err(StoreError::Full(total));
            }
        }
        connection.execute(
            "INSERT INTO files (id, tenant, name, purpose, bytes, created_at, expires_at, hidden, state)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 'announced')
             ON CONFLICT (id) DO UPDATE SET bytes = ?5, state = 'announced'",
            params![
                id.as_str(),
                file.tenant.as_str(),
                file.name,
                file.purpose,
                file.bytes as i64,
                file.created_at,
                file.expires_at,
                file.hidden
            ],
        )?;
        Ok(FileRecord {
            id,
            tenant: file.tenant,
            name: file.name,
            purpose: file.purpose,
            bytes: file.bytes,
            created_at: file.created_at,
            expires_at: file.expires_at,
        })
    }

    /// The blob is where it belongs: the file can be seen.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn file_ready(&self, id: &FileId) -> Result<(), StoreError> {
        let connection = self.local();
        connection.execute(
            "UPDATE files SET state = 'ready' WHERE id = ?1 AND state = 'announced'",
            [id.as_str()],
        )?;
        Ok(())
    }

    /// Bytes that a tenant keeps.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn kept_bytes(&self, tenant: &Tenant) -> Result<u64, StoreError> {
        kept_bytes(&self.local(), tenant)
    }

    /// A tenant's file at a time, Unix seconds; none when it is another's, has expired, or is `hidden` and that was
    /// not asked for.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn file(
        &self,
        tenant: &Tenant,
        id: &FileId,
        (now, hidden): (i64, bool),
    ) -> Result<Option<FileRecord>, StoreError> {
        let connection = self.local();
        let mut query = connection.prepare_cached(&format!(
            "SELECT {COLUMNS} FROM files WHERE id = ?1 AND tenant = ?2 AND state = 'ready' AND hidden <= ?4
             AND (expires_at IS NULL OR expires_at > ?3)"
        ))?;
        let found = query
            .query_row(params![id.as_str(), tenant.as_str(), now, hidden], |row| {
                Ok(read_file(row))
            })
            .optional()?;
        found.transpose()
    }

    /// A tenant's files at a time, of one purpose or of all.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn files(
        &self,
        tenant: &Tenant,
        purpose: Option<&str>,
        page: &Page,
        now: i64,
    ) -> Result<Paged<FileRecord>, StoreError> {
        let listed = Listed {
            table: "files",
            columns: COLUMNS,
            condition: "state = 'ready' AND hidden = 0 AND (expires_at IS NULL OR expires_at > ?3)
                AND (?4 IS NULL OR purpose = ?4)",
            tenant,
            parameters: [&now, &purpose],
        };
        page::read(&self.local(), &listed, page, read_file)
    }

    /// Takes a tenant's file out of sight; says whether it was there. Its blob is deleted next, then
    /// [`forget_file`](Self::forget_file).
    ///
    /// # Errors
    /// When the database refuses.
    pub fn hide_file(&self, tenant: &Tenant, id: &FileId, hidden: bool) -> Result<bool, StoreError> {
        let connection = self.local();
        let changed = connection.execute(
            "UPDATE files SET state = 'going' WHERE id = ?1 AND tenant = ?2 AND state = 'ready' AND hidden <= ?3",
            params![id.as_str(), tenant.as_str(), hidden],
        )?;
        Ok(changed > 0)
    }

    /// Forgets a file whose blob is gone.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn forget_file(&self, id: &FileId) -> Result<(), StoreError> {
        let connection = self.local();
        connection.execute(
            "DELETE FROM files WHERE id = ?1 AND state <> 'ready'",
            [id.as_str()],
        )?;
        Ok(())
    }

    /// Takes what has expired out of sight, and names what must be deleted: that, what was to be deleted before, and
    /// uploads that never ended.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn files_to_sweep(&self, now: i64, most: u32) -> Result<Vec<FileId>, StoreError> {
        let connection = self.local();
        connection.execute(
            "UPDATE files SET state = 'going' WHERE (state = 'ready' AND expires_at <= ?1)
             OR (state = 'announced' AND created_at < ?2)",
            [now, now - ABANDONED],
        )?;
        let mut query = connection
            .prepare_cached("SELECT id FROM files WHERE state = 'going' ORDER BY number LIMIT ?1")?;
        let rows = query.query_map([most], |row| row.get::<_, String>(0))?;
        let ids: Result<Vec<_>, _> = rows.map(|id| id.map(FileId::from)).collect();
        Ok(ids?)
    }
}

fn kept_bytes(connection: &rusqlite::Connection, tenant: &Tenant) -> Result<u64, StoreError> {
    let sum: i64 = connection.query_row(
        "SELECT COALESCE(SUM(bytes), 0) FROM files WHERE tenant = ?1",
        [tenant.as_str()],
        |row| row.get(0),
    )?;
    Ok(sum as u64)
}

fn read_file(row: &Row<'_>) -> Result<FileRecord, StoreError> {
    Ok(FileRecord {
        id: row.get::<_, String>(0)?.into(),
        tenant: row.get::<_, String>(1)?.into(),
        name: row.get(2)?,
        purpose: row.get(3)?,
        bytes: row.get::<_, i64>(4)? as u64,
        created_at: row.get(5)?,
        expires_at: row.get(6)?,
    })
}
