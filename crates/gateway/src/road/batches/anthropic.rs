//! Batches in Anthropic's shapes: the requests come in the body, and their results are one stream of lines.

use std::borrow::Cow;
use std::collections::HashSet;

use http::{StatusCode, header};
use pointsman_store::blob::{BlobError, Staged};
use pointsman_store::{Batch, BatchApi, BatchStatus, NewBatch, NewFile, Page};
use pointsman_wire::form::{Failure, FailureKind};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::Asking;
use crate::batch::one_line;
use crate::kept::{KeepError, now, refused, tenant};
use crate::reply::{self, Reply};
use crate::road::Arrival;
use crate::road::files;
use crate::road::line::ANTHROPIC_ENDPOINT;
use crate::surface::query_value;

/// Most characters of a `custom_id`.
const MAX_ID: usize = 64;
/// Bytes that are written to the disk at once.
const PIECE: usize = 256 * 1024;

#[derive(Deserialize)]
struct Create<'a> {
    #[serde(borrow)]
    requests: Vec<Request<'a>>,
}

#[derive(Deserialize)]
struct Request<'a> {
    #[serde(borrow)]
    custom_id: Cow<'a, str>,
    #[serde(borrow)]
    params: &'a RawValue,
}

fn wrong(param: String, message: impl Into<String>) -> Failure {
    Failure::new(
        FailureKind::InvalidRequest,
        format!("{param}: {}", message.into()),
    )
    .at(param)
}

/// Puts a batch into the queue, its requests beside it.
pub(super) async fn create(asking: &Asking<'_>, body: &[u8]) -> Result<Batch, Failure> {
    let asked: Create = serde_json::from_slice(body)
        .map_err(|error| Failure::new(FailureKind::InvalidRequest, format!("the body: {error}")))?;
    let rules = &asking.arrival.snapshot.keeping;
    check(&asked.requests, rules.batches.max_lines)?;
    let staged = stage(asking, &asked.requests).await;
    let staged = staged.map_err(|error| KeepError::from(BlobError::from(error)))?;
    let (created_at, owner) = (now(), tenant(asking.caller));
    let file = NewFile {
        id: None,
        tenant: owner.clone(),
        name: "requests.jsonl".to_owned(),
        purpose: "batch".to_owned(),
        bytes: staged.written(),
        created_at,
        expires_at: None,
        hidden: true,
    };
    let kept = &asking.worker.shared.kept;
    let input = kept
        .put(&asking.worker.client, (file, Some(rules.files.max_total)), staged)
        .await?;
    let most = rules.batches.max_open;
    let batch = NewBatch {
        tenant: owner,
        owner: asking.caller.key.clone(),
        api: BatchApi::Anthropic,
        endpoint: ANTHROPIC_ENDPOINT.to_owned(),
        input: input.id,
        metadata: super::named::noted(None, &asking.caller.labels),
        keep: rules.batches.keep.get().as_secs().cast_signed(),
        total: asked.requests.len() as u64,
        created_at,
        expires_at: created_at + rules.batches.window.get().as_secs().cast_signed(),
    };
    // First the batch, then its file: one without a batch is never ready, and swept.
    let created = kept.ask(move |store| {
        let (input, tenant) = (batch.input.clone(), batch.tenant.clone());
        let created = store.create_batch(batch, most);
        store.file_ready(&input)?;
        if created.is_err() {
            store.hide_file(&tenant, &input, true)?;
        }
        created
    });
    created.await.map_err(refused)
}

fn check(requests: &[Request<'_>], most: usize) -> Result<(), Failure> {
    if requests.is_empty() || requests.len() > most {
        return Err(wrong(
            "requests".to_owned(),
            format!("a batch has from 1 to {most} requests"),
        ));
    }
    let mut known = HashSet::with_capacity(requests.len());
    for (index, request) in requests.iter().enumerate() {
        let id = &request.custom_id;
        let plain = (1..=MAX_ID).contains(&id.len())
            && id
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        if !plain {
            let message = format!("must have 1 to {MAX_ID} letters of a-z, A-Z, 0-9, - and _");
            return Err(wrong(format!("requests.{index}.custom_id"), message));
        }
        if !known.insert(id) {
            return Err(wrong(
                format!("requests.{index}.custom_id"),
                format!("{id:?} is the custom_id of an earlier request, too"),
            ));
        }
        if !request.params.get().starts_with('{') {
            return Err(wrong(format!("requests.{index}.params"), "must be an object"));
        }
    }
    Ok(())
}

/// Writes the requests as the lines of a file, so that all batches are run alike.
async fn stage(asking: &Asking<'_>, requests: &[Request<'_>]) -> std::io::Result<Staged> {
    let mut staged = Staged::create(&asking.worker.shared.kept.staging()).await?;
    let mut piece = Vec::with_capacity(PIECE * 2);
    for request in requests {
        let line = format!(
            "{{\"custom_id\":\"{}\",\"method\":\"POST\",\"url\":\"{ANTHROPIC_ENDPOINT}\",\"body\":",
            request.custom_id
        );
        piece.extend_from_slice(line.as_bytes());
        piece.extend_from_slice(&one_line(request.params.get().as_bytes()));
        piece.extend_from_slice(b"}\n");
        if piece.len() >= PIECE {
            staged.write(&piece).await?;
            piece.clear();
        }
    }
    staged.write(&piece).await?;
    Ok(staged)
}

/// A page as Anthropic's clients ask for it.
pub(super) fn page(query: &str) -> Result<Page, Failure> {
    let said = |name| query_value(query, name).map(Cow::into_owned);
    Ok(Page {
        after: said("after_id"),
        before: said("before_id"),
        limit: files::limit(query, 20, 1_000)?,
        oldest_first: false,
    })
}

/// A batch as Anthropic tells of it: what came of its requests is told when all is over.
pub(super) fn shaped(batch: &Batch, arrival: &Arrival) -> Value {
    let ended = batch.status.is_ended();
    let counts = batch.counts;
    let left = counts.total.saturating_sub(counts.completed + counts.failed);
    let of = |status: BatchStatus| if batch.status == status { left } else { 0 };
    let done = |count: u64| if ended { count } else { 0 };
    let processing = match batch.status {
        _ if ended => "ended",
        BatchStatus::Cancelling => "canceling",
        _ if batch.cancelling_at.is_some() => "canceling",
        _ => "in_progress",
    };
    let mut told = json!({
        "id": batch.id.as_str(),
        "type": "message_batch",
        "processing_status": processing,
        "request_counts": {
            "processing": if ended { 0 } else { counts.total },
            "succeeded": done(counts.completed),
            "errored": done(counts.failed),
            "canceled": of(BatchStatus::Cancelled),
            "expired": of(BatchStatus::Expired),
        },
        "created_at": time(Some(batch.asked.created_at)),
        "expires_at": time(Some(batch.asked.expires_at)),
        "ended_at": time(batch.ended_at),
        "archived_at": null,
        "cancel_initiated_at": time(batch.cancelling_at),
        "results_url": batch.outcome.output.as_ref().map(|_| results_url(batch, arrival)),
    });
    // Anthropic's batches have no metadata: there is a place for them only where there is something to say.
    let metadata = super::metadata(batch);
    if !metadata.is_null() {
        told["metadata"] = metadata;
    }
    told
}

fn time(seconds: Option<i64>) -> Option<String> {
    let time = jiff::Timestamp::from_second(seconds?).ok()?;
    Some(time.to_string())
}

/// Where the results are, as this client reaches the gateway.
fn results_url(batch: &Batch, arrival: &Arrival) -> String {
    let header = |name: header::HeaderName| arrival.headers.get(name).and_then(|value| value.to_str().ok());
    let host = header(header::HOST).or_else(|| arrival.uri.authority().map(http::uri::Authority::as_str));
    let forwarded = header(header::HeaderName::from_static("x-forwarded-proto"));
    let is_trusted = arrival.snapshot.proxies.has(arrival.peer.ip());
    let tls = arrival.snapshot.keeping.tls || is_trusted && forwarded == Some("https");
    let scheme = if tls { "https" } else { "http" };
    let path = arrival.uri.path();
    let prefix = path.find("/v1/").map_or("", |at| &path[..at]);
    format!(
        "{scheme}://{}{prefix}/v1/messages/batches/{}/results",
        host.unwrap_or_default(),
        batch.id.as_str()
    )
}

/// What came of a batch, line by line.
pub(super) async fn results(asking: &Asking<'_>) -> Result<Reply, Failure> {
    let batch = asking.find().await?;
    let gone = || Failure::new(FailureKind::NotFound, "the results of this batch have expired");
    let Some(output) = batch.outcome.output else {
        let message = "this batch has no results yet: it is still processing";
        return Err(Failure::new(FailureKind::NotFound, message));
    };
    let kept = &asking.worker.shared.kept;
    let (owner, id) = (tenant(asking.caller), output.clone());
    let file = kept.ask(move |store| store.file(&owner, &id, (now(), true)));
    file.await.map_err(refused)?.ok_or_else(gone)?;
    let opened = kept.blobs.open(&asking.worker.client, output.as_str()).await;
    let reader = opened.map_err(KeepError::from)?;
    Ok(reply::kept(reader, "application/x-jsonl"))
}

/// Forgets a batch that has ended, and its results.
pub(super) async fn delete(asking: &Asking<'_>) -> Result<Reply, Failure> {
    let batch = asking.find().await?;
    if !batch.status.is_ended() {
        let message = "a batch that is still processing cannot be deleted; cancel it first";
        return Err(Failure::new(FailureKind::InvalidRequest, message));
    }
    let (owner, id) = (tenant(asking.caller), batch.id.clone());
    let kept = &asking.worker.shared.kept;
    let output = batch.outcome.output.clone();
    let deleted = kept.ask(move |store| {
        if let Some(output) = &output {
            store.hide_file(&owner, output, true)?;
        }
        store.delete_batch(&owner, BatchApi::Anthropic, &id)
    });
    if !deleted.await.map_err(refused)? {
        return Err(asking.missing());
    }
    if let Some(output) = batch.outcome.output
        && let Err(error) = kept.sweep(&asking.worker.client, output).await
    {
        tracing::warn!(%error, "a deleted batch's results are still there");
    }
    let told = json!({ "id": batch.id.as_str(), "type": "message_batch_deleted" });
    Ok(reply::json(StatusCode::OK, &told))
}
