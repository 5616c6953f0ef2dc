//! Batches: many requests in one file, answered within a day. The queue is this table.
//!
//! Which lines are done is not in here but in the batch's [`Results`](crate::Results), so that counting a line costs
//! no transaction; the counts are carried over now and then, and for good at the end.

use rusqlite::{OptionalExtension, Row, params};

use crate::id::{BatchId, FileId, KeyId, RequestId, Tenant};
use crate::key::random_text;
use crate::page::{self, Listed, Page, Paged};
use crate::store::{Store, StoreError, values};

const COLUMNS: &str = "id, tenant, owner, api, endpoint, input, output, errors, metadata, problems, keep, status, \
    total, completed, failed, created_at, expires_at, in_progress_at, finalizing_at, cancelling_at, ended_at, handed";

/// Whose shapes a batch has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BatchApi {
    /// OpenAI's: files in, files out.
    OpenAi,
    /// Anthropic's: requests in, a stream of results out.
    Anthropic,
}

impl BatchApi {
    fn as_str(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Anthropic => "anthropic",
        }
    }
}

/// How far a batch is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BatchStatus {
    /// Its lines are being looked at.
    Validating,
    /// A line made no sense: none was sent.
    Failed,
    /// Lines are being sent.
    InProgress,
    /// All lines are done; the files are being written.
    Finalizing,
    /// The files are there.
    Completed,
    /// Its time was over before all lines were done.
    Expired,
    /// It was cancelled; lines under way are waited for.
    Cancelling,
    /// It was cancelled.
    Cancelled,
}

const STATUSES: [(BatchStatus, &str); 8] = [
    (BatchStatus::Validating, "validating"),
    (BatchStatus::Failed, "failed"),
    (BatchStatus::InProgress, "in_progress"),
    (BatchStatus::Finalizing, "finalizing"),
    (BatchStatus::Completed, "completed"),
    (BatchStatus::Expired, "expired"),
    (BatchStatus::Cancelling, "cancelling"),
    (BatchStatus::Cancelled, "cancelled"),
];

impl BatchStatus {
    /// In one word, OpenAI's.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        STATUSES
            .iter()
            .find(|(status, _)| *status == self)
            .map_or("", |(_, word)| word)
    }

    /// Whether nothing more will happen.
    #[must_use]
    pub fn is_ended(self) -> bool {
        matches!(
            self,
            Self::Failed | Self::Completed | Self::Expired | Self::Cancelled
        )
    }
}

/// A batch that is to be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewBatch {
    /// Whose it is.
    pub tenant: Tenant,
    /// As whom its lines are sent; nobody's key for anonymous callers.
    pub owner: Option<KeyId>,
    /// Its shapes.
    pub api: BatchApi,
    /// The surface of its lines.
    pub endpoint: String,
    /// The file of its lines.
    pub input: FileId,
    /// What its owner notes, JSON.
    pub metadata: Option<String>,
    /// Seconds that its results are kept.
    pub keep: i64,
    /// How many lines, where it is known.
    pub total: u64,
    /// Unix seconds.
    pub created_at: i64,
    /// Unix seconds after which no line is begun.
    pub expires_at: i64,
}

/// A batch, how far it is, and when it came there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Its id.
    pub id: BatchId,
    /// What was asked for.
    pub asked: NewBatch,
    /// How far it is.
    pub status: BatchStatus,
    /// How many lines.
    pub counts: Counts,
    /// When lines began to be sent, Unix seconds; as all times.
    pub in_progress_at: Option<i64>,
    /// When the files began to be written.
    pub finalizing_at: Option<i64>,
    /// When it was cancelled.
    pub cancelling_at: Option<i64>,
    /// When its last status came.
    pub ended_at: Option<i64>,
    /// Who runs it and how far they are, as whoever runs batches wrote it down; none while nobody has decided.
    pub handed: Option<String>,
    /// What came of it.
    pub outcome: Ended,
}

/// Lines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// All.
    pub total: u64,
    /// With an answer.
    pub completed: u64,
    /// With an error.
    pub failed: u64,
}

/// What came of a batch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ended {
    /// The file of its answers.
    pub output: Option<FileId>,
    /// The file of its errors.
    pub errors: Option<FileId>,
    /// Why it was not begun, JSON.
    pub problems: Option<String>,
}

impl Batch {
    /// A batch of which nothing is done yet.
    #[must_use]
    pub fn created(id: BatchId, asked: NewBatch) -> Self {
        Self {
            id,
            counts: Counts {
                total: asked.total,
                ..Counts::default()
            },
            asked,
            status: BatchStatus::Validating,
            in_progress_at: None,
            finalizing_at: None,
            cancelling_at: None,
            ended_at: None,
            handed: None,
            outcome: Ended::default(),
        }
    }

    /// Under which id a line's request is in the ledger; lines are counted from 1.
    #[must_use]
    pub fn request_id(&self, line: u64) -> RequestId {
        RequestId::from(format!("{}-{line:06}", self.id.as_str()))
    }
}

/// Lines of a batch in the ledger. What is said first is the condition of their index, and makes it the one that is used.
pub(crate) const CHARGED_LINES: &str =
    "SELECT id FROM ledger WHERE (id < 'req_' OR id >= 'req`') AND id >= ?1 AND id < ?2";

impl Store {
    /// Puts a batch into the queue.
    ///
    /// # Errors
    /// When its tenant has `most` batches that have not ended.
    pub fn create_batch(&self, asked: NewBatch, most: u64) -> Result<Batch, StoreError> {
        let prefix = match asked.api {
            BatchApi::OpenAi => "batch",
            BatchApi::Anthropic => "msgbatch",
        };
        let id = BatchId::from(format!("{prefix}_{}", random_text(24)?));
        let connection = self.local();
        let open: i64 = connection.query_row(
            "SELECT COUNT(*) FROM batches WHERE tenant = ?1
             AND status IN ('validating', 'in_progress', 'finalizing', 'cancelling')",
            [asked.tenant.as_str()],
            |row| row.get(0),
        )?;
        if open as u64 >= most {
            return Err(StoreError::TooManyBatches(most));
        }
        connection.execute(
            "INSERT INTO batches (id, tenant, owner, api, endpoint, input, metadata, keep, status, total, completed,
                                  failed, created_at, expires_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 'validating', ?9, 0, 0, ?10, ?11)",
            params![
                id.as_str(),
                asked.tenant.as_str(),
                asked.owner.as_ref().map(KeyId::as_str),
                asked.api.as_str(),
                asked.endpoint,
                asked.input.as_str(),
                asked.metadata,
                asked.keep,
                asked.total as i64,
                asked.created_at,
                asked.expires_at
            ],
        )?;
        Ok(Batch::created(id, asked))
    }

    /// A tenant's batch.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn batch(&self, tenant: &Tenant, api: BatchApi, id: &BatchId) -> Result<Option<Batch>, StoreError> {
        let connection = self.local();
        let mut query = connection.prepare_cached(&format!(
            "SELECT {COLUMNS} FROM batches WHERE id = ?1 AND tenant = ?2 AND api = ?3"
        ))?;
        let found = query
            .query_row(params![id.as_str(), tenant.as_str(), api.as_str()], |row| {
                Ok(read_batch(row))
            })
            .optional()?;
        found.transpose()
    }

    /// A tenant's batches.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn batches(&self, tenant: &Tenant, api: BatchApi, page: &Page) -> Result<Paged<Batch>, StoreError> {
        let listed = Listed {
            table: "batches",
            columns: COLUMNS,
            condition: "api = ?3",
            tenant,
            parameters: [&api.as_str(), &rusqlite::types::Null],
        };
        page::read(&self.local(), &listed, page, read_batch)
    }

    /// Batches of all tenants that have not ended, the oldest first.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn open_batches(&self, most: u32) -> Result<Vec<Batch>, StoreError> {
        let connection = self.local();
        let mut query = connection.prepare_cached(&format!(
            "SELECT {COLUMNS} FROM batches WHERE status IN ('validating', 'in_progress', 'finalizing', 'cancelling')
             ORDER BY number LIMIT ?1"
        ))?;
        let mut rows = query.query([most])?;
        let mut batches = Vec::new();
        while let Some(row) = rows.next()? {
            batches.push(read_batch(row)?);
        }
        Ok(batches)
    }

    /// Cancels a tenant's batch, if lines can still be kept from being sent; gives it as it is then.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn cancel_batch(
        &self,
        tenant: &Tenant,
        api: BatchApi,
        id: &BatchId,
        now: i64,
    ) -> Result<Option<Batch>, StoreError> {
        self.local().execute(
            "UPDATE batches SET status = 'cancelling', cancelling_at = ?4
             WHERE id = ?1 AND tenant = ?2 AND api = ?3 AND status IN ('validating', 'in_progress')",
            params![id.as_str(), tenant.as_str(), api.as_str(), now],
        )?;
        self.batch(tenant, api, id)
    }

    /// Its lines make sense and are about to be sent, unless it was cancelled meanwhile.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn begin_batch(&self, id: &BatchId, total: u64, now: i64) -> Result<(), StoreError> {
        self.local().execute(
            "UPDATE batches SET total = ?2, in_progress_at = COALESCE(in_progress_at, ?3),
                    status = CASE status WHEN 'validating' THEN 'in_progress' ELSE status END WHERE id = ?1",
            params![id.as_str(), total as i64, now],
        )?;
        Ok(())
    }

    /// Notes who runs a batch and how far they are. When it returns, that survives the death of the process.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn hand_batch(&self, id: &BatchId, handed: &str) -> Result<(), StoreError> {
        self.local().execute(
            "UPDATE batches SET handed = ?2 WHERE id = ?1",
            params![id.as_str(), handed],
        )?;
        Ok(())
    }

    /// Notes how far a batch is, and says whether it was cancelled.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn batch_progress(&self, id: &BatchId, counts: Counts) -> Result<bool, StoreError> {
        let connection = self.local();
        connection.execute(
            "UPDATE batches SET completed = ?2, failed = ?3 WHERE id = ?1 AND (completed <> ?2 OR failed <> ?3)",
            params![id.as_str(), counts.completed as i64, counts.failed as i64],
        )?;
        let cancelled = connection.query_row(
            "SELECT cancelling_at IS NOT NULL FROM batches WHERE id = ?1",
            [id.as_str()],
            |row| row.get(0),
        );
        Ok(cancelled.optional()?.unwrap_or(true))
    }

    /// Its files are about to be written.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn finalize_batch(&self, id: &BatchId, now: i64) -> Result<(), StoreError> {
        self.local().execute(
            "UPDATE batches SET finalizing_at = COALESCE(finalizing_at, ?2),
                    status = CASE status WHEN 'in_progress' THEN 'finalizing' ELSE status END WHERE id = ?1",
            params![id.as_str(), now],
        )?;
        Ok(())
    }

    /// Ends a batch: its files can be seen in the same moment as its last status.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn end_batch(
        &self,
        id: &BatchId,
        status: BatchStatus,
        (counts, ended): (Counts, &Ended),
        now: i64,
    ) -> Result<(), StoreError> {
        let mut connection = self.local();
        let transaction = connection.transaction()?;
        for file in [&ended.output, &ended.errors].into_iter().flatten() {
            transaction.execute(
                "UPDATE files SET state = 'ready' WHERE id = ?1 AND state = 'announced'",
                [file.as_str()],
            )?;
        }
        transaction.execute(
            "UPDATE batches SET status = ?2, total = ?3, completed = ?4, failed = ?5, output = ?6, errors = ?7,
                    problems = ?8, ended_at = ?9 WHERE id = ?1",
            params![
                id.as_str(),
                status.as_str(),
                counts.total as i64,
                counts.completed as i64,
                counts.failed as i64,
                ended.output.as_ref().map(FileId::as_str),
                ended.errors.as_ref().map(FileId::as_str),
                ended.problems,
                now
            ],
        )?;
        transaction.commit()?;
        Ok(())
    }

    /// Deletes a tenant's batch that has ended; says whether it was there.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn delete_batch(&self, tenant: &Tenant, api: BatchApi, id: &BatchId) -> Result<bool, StoreError> {
        let changed = self.local().execute(
            "DELETE FROM batches WHERE id = ?1 AND tenant = ?2 AND api = ?3 AND ended_at IS NOT NULL",
            params![id.as_str(), tenant.as_str(), api.as_str()],
        )?;
        Ok(changed > 0)
    }

    /// Lines of a batch that are in the ledger, counted from 1.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn charged_lines(&self, id: &BatchId) -> Result<Vec<u64>, StoreError> {
        let sql = if self.is_shared() {
            "SELECT id FROM ledger_lines WHERE id >= ?1 AND id < ?2"
        } else {
            CHARGED_LINES
        };
        // All ids that begin with `<batch>-`: a point comes right after a hyphen.
        let start = format!("{}-", id.as_str());
        let end = format!("{}.", id.as_str());
        let ids = self.read(|session| session.all(sql, &values![&start, end], |row| row.text(0)))?;
        let line = |id: &String| id.strip_prefix(&start)?.parse().ok();
        Ok(ids.iter().filter_map(line).collect())
    }
}

fn read_batch(row: &Row<'_>) -> Result<Batch, StoreError> {
    let text = |at: usize| row.get::<_, Option<String>>(at);
    let count = |at: usize| row.get::<_, i64>(at).map(|count| count as u64);
    let (api, status): (String, String) = (row.get(3)?, row.get(11)?);
    let total = count(12)?;
    Ok(Batch {
        id: row.get::<_, String>(0)?.into(),
        asked: NewBatch {
            tenant: row.get::<_, String>(1)?.into(),
            owner: text(2)?.map(Into::into),
            api: if api == BatchApi::Anthropic.as_str() {
                BatchApi::Anthropic
            } else {
                BatchApi::OpenAi
            },
            endpoint: row.get(4)?,
            input: row.get::<_, String>(5)?.into(),
            metadata: text(8)?,
            keep: row.get(10)?,
            total,
            created_at: row.get(15)?,
            expires_at: row.get(16)?,
        },
        // What a later version may add has not ended for this one, and is left alone.
        status: STATUSES
            .iter()
            .find(|(_, word)| *word == status)
            .map_or(BatchStatus::Finalizing, |(status, _)| *status),
        counts: Counts {
            total,
            completed: count(13)?,
            failed: count(14)?,
        },
        in_progress_at: row.get(17)?,
        finalizing_at: row.get(18)?,
        cancelling_at: row.get(19)?,
        ended_at: row.get(20)?,
        handed: text(21)?,
        outcome: Ended {
            output: text(6)?.map(Into::into),
            errors: text(7)?.map(Into::into),
            problems: text(9)?,
        },
    })
}
