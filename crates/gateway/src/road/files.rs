//! Files: kept, listed, told again, forgotten. In OpenAI's shapes.
//!
//! A file belongs to the team of its key, or to the key alone. Whoever else asks for it is told that it is not there.

mod upload;

use std::sync::Arc;

use http::StatusCode;
use pointsman_governance::Principal;
use pointsman_store::{FileId, FileRecord, Page};
use pointsman_wire::form::{Failure, FailureKind};
use serde_json::{Value, json};

use super::Arrival;
use crate::kept::{KeepError, now, refused, tenant};
use crate::reply::{self, Reply};
use crate::surface::{FileCall, query_value};
use crate::worker::Worker;

pub use upload::{expiry, upload};

/// Most files of a page, and how many there are when nobody says.
const MOST: u32 = 10_000;

/// Answers all that is asked of files but to take one.
///
/// # Errors
/// 404 for a file that is not there, or not the caller's.
pub async fn travel(
    worker: &Arc<Worker>,
    arrival: &Arrival,
    caller: &Principal,
    call: FileCall,
) -> Result<Reply, Failure> {
    match call {
        FileCall::List => list(worker, arrival, caller).await,
        FileCall::Retrieve => {
            let file = find(worker, caller, id(arrival)).await?;
            Ok(reply::json(StatusCode::OK, &shaped(&file)))
        }
        FileCall::Content => {
            let file = find(worker, caller, id(arrival)).await?;
            let blobs = &worker.shared.kept.blobs;
            let opened = blobs.open(&worker.client, file.id.as_str()).await;
            let reader = opened.map_err(KeepError::from)?;
            Ok(reply::kept(reader, "application/octet-stream"))
        }
        FileCall::Delete => delete(worker, arrival, caller).await,
        FileCall::Upload => Err(Failure::new(FailureKind::Internal, "it was answered before")),
    }
}

fn id(arrival: &Arrival) -> FileId {
    FileId::from(arrival.surface.model.as_deref().unwrap_or_default())
}

/// A file of the caller's.
///
/// # Errors
/// 404 when there is none.
pub async fn find(worker: &Worker, caller: &Principal, id: FileId) -> Result<FileRecord, Failure> {
    let tenant = tenant(caller);
    let wanted = id.clone();
    let found = worker
        .shared
        .kept
        .ask(move |store| store.file(&tenant, &id, (now(), false)));
    found.await.map_err(refused)?.ok_or_else(|| missing(&wanted))
}

fn missing(id: &FileId) -> Failure {
    Failure::new(
        FailureKind::NotFound,
        format!("there is no file {:?}", id.as_str()),
    )
    .at("id")
}

async fn list(worker: &Worker, arrival: &Arrival, caller: &Principal) -> Result<Reply, Failure> {
    let query = arrival.uri.query().unwrap_or_default();
    let page = openai_page(query, MOST, MOST)?;
    let purpose = query_value(query, "purpose").map(std::borrow::Cow::into_owned);
    let tenant = tenant(caller);
    let read = worker
        .shared
        .kept
        .ask(move |store| store.files(&tenant, purpose.as_deref(), &page, now()));
    let read = read.await.map_err(refused)?;
    let shaped: Vec<Value> = read.items.iter().map(shaped).collect();
    Ok(reply::json(StatusCode::OK, &listed(shaped, read.more)))
}

/// A page as OpenAI's clients ask for it.
///
/// # Errors
/// 400 for a limit or an order that makes no sense.
pub fn openai_page(query: &str, usual: u32, most: u32) -> Result<Page, Failure> {
    let said = |name| query_value(query, name).map(std::borrow::Cow::into_owned);
    let wrong = |name: &str, message: String| Failure::new(FailureKind::InvalidRequest, message).at(name);
    Ok(Page {
        after: said("after"),
        before: None,
        limit: limit(query, usual, most)?,
        oldest_first: match said("order").as_deref() {
            None | Some("desc") => false,
            Some("asc") => true,
            Some(_) => return Err(wrong("order", "order must be asc or desc".to_owned())),
        },
    })
}

/// How many items of a page.
///
/// # Errors
/// 400 when it is not a number from 1 to `most`.
pub fn limit(query: &str, usual: u32, most: u32) -> Result<u32, Failure> {
    let Some(said) = query_value(query, "limit") else {
        return Ok(usual);
    };
    let limit = said.parse().ok().filter(|limit| (1..=most).contains(limit));
    limit.ok_or_else(|| {
        Failure::new(
            FailureKind::InvalidRequest,
            format!("limit must be a number from 1 to {most}"),
        )
        .at("limit")
    })
}

/// A list as OpenAI shapes it.
pub fn listed(items: Vec<Value>, more: bool) -> Value {
    let id = |item: Option<&Value>| item.map_or(Value::Null, |item| item["id"].clone());
    let (first, last) = (id(items.first()), id(items.last()));
    json!({ "object": "list", "data": items, "first_id": first, "last_id": last, "has_more": more })
}

async fn delete(worker: &Worker, arrival: &Arrival, caller: &Principal) -> Result<Reply, Failure> {
    let (id, tenant) = (id(arrival), tenant(caller));
    let gone = id.clone();
    let hidden = worker
        .shared
        .kept
        .ask(move |store| store.hide_file(&tenant, &gone, false));
    if !hidden.await.map_err(refused)? {
        return Err(missing(&id));
    }
    let told = json!({ "id": id.as_str(), "object": "file", "deleted": true });
    // Nobody sees it any more; what cannot be deleted now is swept later.
    if let Err(error) = worker.shared.kept.sweep(&worker.client, id).await {
        tracing::warn!(%error, "a deleted file's bytes are still there");
    }
    Ok(reply::json(StatusCode::OK, &told))
}

fn shaped(file: &FileRecord) -> Value {
    json!({
        "id": file.id.as_str(),
        "object": "file",
        "bytes": file.bytes,
        "created_at": file.created_at,
        "expires_at": file.expires_at,
        "filename": file.name,
        "purpose": file.purpose,
        "status": "processed",
        "status_details": null,
    })
}
