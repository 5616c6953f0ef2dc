//! Batches in OpenAI's shapes.

use std::collections::BTreeMap;

use pointsman_store::{Batch, BatchApi, BatchStatus, FileId, NewBatch};
use pointsman_wire::form::{Failure, FailureKind};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Asking, named};
use crate::kept::{now, refused, tenant};
use crate::road::files;
use crate::road::line::OPENAI_ENDPOINTS;

/// As OpenAI has them.
const MAX_METADATA: usize = 16;
const MAX_METADATA_KEY: usize = 64;
const MAX_METADATA_VALUE: usize = 512;

#[derive(Deserialize)]
struct Create {
    input_file_id: String,
    endpoint: String,
    completion_window: String,
    #[serde(default)]
    metadata: Option<BTreeMap<String, String>>,
    #[serde(default)]
    output_expires_after: Option<ExpiresAfter>,
}

#[derive(Deserialize)]
struct ExpiresAfter {
    #[serde(default)]
    seconds: Option<i64>,
}

fn wrong(param: &str, message: impl Into<String>) -> Failure {
    Failure::new(FailureKind::InvalidRequest, message).at(param)
}

/// Puts a batch into the queue.
pub(super) async fn create(asking: &Asking<'_>, body: &[u8]) -> Result<Batch, Failure> {
    let asked: Create = serde_json::from_slice(body)
        .map_err(|error| Failure::new(FailureKind::InvalidRequest, format!("the body: {error}")))?;
    if !OPENAI_ENDPOINTS.contains(&asked.endpoint.as_str()) {
        let message = format!("endpoint must be one of {}", OPENAI_ENDPOINTS.join(", "));
        return Err(wrong("endpoint", message));
    }
    if asked.completion_window != "24h" {
        return Err(wrong("completion_window", "completion_window must be 24h"));
    }
    let notes = asked.metadata.map(metadata).transpose()?;
    let rules = &asking.arrival.snapshot.keeping.batches;
    let keep = match asked.output_expires_after {
        None => rules.keep.get().as_secs().cast_signed(),
        Some(after) => files::expiry(after.seconds)?,
    };
    let file = files::find(asking.worker, asking.caller, FileId::from(asked.input_file_id)).await;
    let file = file.map_err(|mut failure| {
        failure.param = Some("input_file_id".to_owned());
        failure
    })?;
    if file.purpose != "batch" {
        return Err(wrong(
            "input_file_id",
            "the input file must have the purpose batch",
        ));
    }
    let (created_at, most) = (now(), rules.max_open);
    let batch = NewBatch {
        tenant: tenant(asking.caller),
        owner: asking.caller.key.clone(),
        api: BatchApi::OpenAi,
        endpoint: asked.endpoint,
        input: file.id,
        metadata: named::noted(notes, &asking.caller.labels),
        keep,
        total: 0,
        created_at,
        expires_at: created_at + rules.window.get().as_secs().cast_signed(),
    };
    let created = asking
        .worker
        .shared
        .kept
        .ask(move |store| store.create_batch(batch, most));
    created.await.map_err(refused)
}

fn metadata(metadata: BTreeMap<String, String>) -> Result<Map<String, Value>, Failure> {
    let fits = metadata.len() <= MAX_METADATA
        && metadata.iter().all(|(key, value)| {
            key.chars().count() <= MAX_METADATA_KEY && value.chars().count() <= MAX_METADATA_VALUE
        });
    if !fits {
        return Err(wrong(
            "metadata",
            format!(
                "metadata may have {MAX_METADATA} pairs, of {MAX_METADATA_KEY} and {MAX_METADATA_VALUE} characters"
            ),
        ));
    }
    Ok(metadata
        .into_iter()
        .map(|(key, value)| (key, value.into()))
        .collect())
}

/// JSON that was written here.
fn parsed(text: Option<&String>) -> Value {
    text.and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default()
}

/// A batch as OpenAI tells of it.
pub(super) fn shaped(batch: &Batch) -> Value {
    let ended = |status: BatchStatus| batch.ended_at.filter(|_| batch.status == status);
    let problems = parsed(batch.outcome.problems.as_ref());
    json!({
        "id": batch.id.as_str(),
        "object": "batch",
        "endpoint": batch.asked.endpoint,
        "errors": if problems.is_null() { Value::Null } else { json!({ "object": "list", "data": problems }) },
        "input_file_id": batch.asked.input.as_str(),
        "completion_window": "24h",
        "status": batch.status.as_str(),
        "output_file_id": batch.outcome.output.as_ref().map(FileId::as_str),
        "error_file_id": batch.outcome.errors.as_ref().map(FileId::as_str),
        "created_at": batch.asked.created_at,
        "in_progress_at": batch.in_progress_at,
        "expires_at": batch.asked.expires_at,
        "finalizing_at": batch.finalizing_at,
        "completed_at": ended(BatchStatus::Completed),
        "failed_at": ended(BatchStatus::Failed),
        "expired_at": ended(BatchStatus::Expired),
        "cancelling_at": batch.cancelling_at,
        "cancelled_at": ended(BatchStatus::Cancelled),
        "request_counts": {
            "total": batch.counts.total,
            "completed": batch.counts.completed,
            "failed": batch.counts.failed,
        },
        "metadata": super::metadata(batch),
    })
}
