//! Questions in a table of PostgreSQL with the extension pgvector, found by the cosine of their vectors.
//!
//! Where the extension is not there and may not be made, that is told in the log once for each connection, and nothing is
//! found: entries are kept all the same.

use tokio_postgres::types::Type;

use super::{Connection, PostgresBackend, SCHEMA_LOCK, told};
use crate::backend::BackendError;
use crate::key::{CacheKey, KeyBuilder};
use crate::note::QuestionNote;

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS pointsman_cache_questions (
        id bytea PRIMARY KEY,
        partition bytea NOT NULL,
        entry bytea NOT NULL,
        width integer NOT NULL,
        embedding vector NOT NULL,
        labels jsonb NOT NULL,
        note text NOT NULL,
        expires_at timestamptz NOT NULL
    );
    CREATE INDEX IF NOT EXISTS pointsman_cache_questions_partition ON pointsman_cache_questions (partition, width);
    CREATE INDEX IF NOT EXISTS pointsman_cache_questions_labels
        ON pointsman_cache_questions USING gin (labels jsonb_path_ops);
    CREATE INDEX IF NOT EXISTS pointsman_cache_questions_expires ON pointsman_cache_questions (expires_at);";
const LEARN: &str = "INSERT INTO pointsman_cache_questions
        (id, partition, entry, width, embedding, labels, note, expires_at)
    VALUES ($1, $2, $3, $4, $5::text::vector, $6::text::jsonb, $7, to_timestamp($8::bigint / 1000.0))
    ON CONFLICT (id) DO UPDATE SET entry = excluded.entry, width = excluded.width, embedding = excluded.embedding,
        labels = excluded.labels, note = excluded.note, expires_at = excluded.expires_at";
const NEAR: &str = "SELECT note FROM pointsman_cache_questions
    WHERE partition = $1 AND width = $2 AND expires_at > now()
    ORDER BY embedding <=> $3::text::vector LIMIT $4";
const DELETE: &str = "DELETE FROM pointsman_cache_questions
    WHERE labels @> $1::text::jsonb AND ($2::bytea IS NULL OR entry = $2)";
const EXPIRE: &str = "DELETE FROM pointsman_cache_questions WHERE expires_at <= now()";

/// Whether there are vectors; makes the extension and the table where it may.
pub(super) async fn prepared(client: &tokio_postgres::Client) -> Result<bool, BackendError> {
    let has = async || -> Result<bool, BackendError> {
        let row = client
            .query_one("SELECT to_regtype('vector') IS NOT NULL", &[])
            .await;
        row.map(|row| row.get(0)).map_err(told)
    };
    if !has().await?
        && let Err(error) = client
            .batch_execute("CREATE EXTENSION IF NOT EXISTS vector")
            .await
    {
        let error = told(error);
        tracing::error!(
            %error,
            "the cache's database has no pgvector: questions in other words are not found there; install it and run CREATE EXTENSION vector, or leave backend.search out"
        );
        return Ok(false);
    }
    let made = format!("BEGIN; SELECT pg_advisory_xact_lock({SCHEMA_LOCK}); {SCHEMA} COMMIT");
    client.batch_execute(&made).await.map_err(told)?;
    Ok(true)
}

impl PostgresBackend {
    /// A connection to where questions are; none where there are no vectors.
    async fn with_vectors(&self) -> Result<Option<std::sync::Arc<Connection>>, BackendError> {
        let connection = self.reads.get().await?;
        Ok(connection.vectors.then_some(connection))
    }

    pub(super) async fn learn_question(&self, question: &QuestionNote) -> Result<(), BackendError> {
        if self.with_vectors().await?.is_none() {
            return Ok(());
        }
        let mut name = KeyBuilder::new();
        name.field("partition", question.partition.as_bytes());
        name.field("text", question.text.as_bytes());
        let id = name.finish();
        let note = serde_json::to_string(question).map_err(|error| BackendError(error.to_string()))?;
        let (width, vector) = (width(&question.vector), written(&question.vector));
        let expires = i64::try_from(question.at.saturating_add(question.ttl)).unwrap_or(i64::MAX >> 20);
        let labels = super::json(&question.labels)?;
        let note = note.replace("\\u0000", "\u{fffd}");
        self.changed(
            LEARN,
            &[
                (&id.as_bytes(), Type::BYTEA),
                (&question.partition.as_bytes(), Type::BYTEA),
                (&question.entry.as_bytes(), Type::BYTEA),
                (&width, Type::INT4),
                (&vector, Type::TEXT),
                (&labels, Type::TEXT),
                (&note, Type::TEXT),
                (&expires, Type::INT8),
            ],
        )
        .await
        .map(drop)
    }

    pub(super) async fn near_questions(
        &self,
        partition: CacheKey,
        vector: &[f32],
        most: usize,
    ) -> Result<Vec<QuestionNote>, BackendError> {
        if self.with_vectors().await?.is_none() {
            return Ok(Vec::new());
        }
        let (width, vector) = (width(vector), written(vector));
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let values: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 4] = [
            (&partition.as_bytes(), Type::BYTEA),
            (&width, Type::INT4),
            (&vector, Type::TEXT),
            (&most, Type::INT8),
        ];
        let rows = self.rows(&self.reads, NEAR, &values).await?;
        let notes = rows.iter().filter_map(|row| {
            let note: QuestionNote = serde_json::from_str(row.get(0)).ok()?;
            (note.partition == partition).then_some(note)
        });
        Ok(notes.collect())
    }

    /// Deletes the questions of a filter's labels and entry.
    pub(super) async fn forget_questions(
        &self,
        labels: &str,
        entry: Option<&[u8]>,
    ) -> Result<(), BackendError> {
        if !self.search || self.with_vectors().await?.is_none() {
            return Ok(());
        }
        let (labels, entry) = (labels.to_owned(), entry.map(<[u8]>::to_vec));
        self.changed(DELETE, &[(&labels, Type::TEXT), (&entry, Type::BYTEA)])
            .await
            .map(drop)
    }

    /// Lets questions go whose time is over.
    pub(super) async fn expire_questions(&self) -> Result<(), BackendError> {
        if !self.search || self.with_vectors().await?.is_none() {
            return Ok(());
        }
        self.changed(EXPIRE, &[]).await.map(drop)
    }
}

fn width(vector: &[f32]) -> i32 {
    i32::try_from(vector.len()).unwrap_or(i32::MAX)
}

/// A vector as pgvector reads it.
fn written(vector: &[f32]) -> String {
    let numbers: Vec<String> = vector.iter().map(f32::to_string).collect();
    format!("[{}]", numbers.join(","))
}
