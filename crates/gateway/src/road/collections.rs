//! Collections of documents that are looked up, in the shapes of OpenAI's vector stores: made, filled from files that are
//! kept here, searched, deleted.
//!
//! A collection belongs to the team of its key, or to the key alone, which alone changes it. Beside them those read it
//! whom it names (`access`, our own). To everybody else it is not there.

mod shapes;
mod take_in;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use pointsman_governance::Principal;
use pointsman_semantics::lookup::By;
use pointsman_store::{Collection, random_text};
use pointsman_understanding::{Nobody, SHIPPED};
use pointsman_wire::form::{Failure, FailureKind};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{Arrival, files};
use crate::collections::{Found, may_read};
use crate::kept::{now, refused, tenant};
use crate::reply::{self, Reply};
use crate::surface::CollectionCall;
use crate::worker::Worker;
use shapes::{Changing, FileGiven, FilesGiven, Making, Searching};

/// Collections of a team or key at most.
const MOST: u32 = 1_000;
/// Files that come in with one request, at most.
const FILES: usize = 100;
/// How long the question of a search may take to be understood.
const PATIENCE: Duration = Duration::from_secs(2);
/// What the words of a question count beside its meaning, where nobody says.
pub const WORDS: f32 = 0.4;

/// Answers all that is asked of collections.
///
/// # Errors
/// 404 for one that is not there, or not the caller's.
pub async fn travel(
    worker: &Arc<Worker>,
    arrival: &Arrival,
    caller: &Principal,
    (call, body): (CollectionCall, Bytes),
) -> Result<Reply, Failure> {
    let named = arrival.surface.model.clone().unwrap_or_default();
    let mut path = named.split('/');
    let id = path.next().unwrap_or_default().to_owned();
    let rest: Vec<&str> = path.collect();
    let at = (worker, arrival, caller);
    let told = match (call, rest.as_slice()) {
        (CollectionCall::Create, []) => create(at, said(&body)?).await?,
        (CollectionCall::List, []) => list(at).await?,
        (CollectionCall::Search, []) => search(at, &id, &body).await?,
        (CollectionCall::AddFile, []) => {
            let found = own(at, &id).await?;
            let given: FileGiven = said(&body)?;
            let file = take_in::file(at, &found, &given.file_id, &given.how()?).await?;
            shapes::file(&found.id, &file)
        }
        (CollectionCall::Files, []) => files_of(at, &id).await?,
        (CollectionCall::Show, []) => {
            let found = seen(at, &id).await?;
            shapes::collection(&found, found.owner == tenant(caller).as_str())
        }
        (CollectionCall::Show, ["files", file]) => one_file(at, &id, file).await?,
        (CollectionCall::Change, []) => change(at, &id, &body).await?,
        (CollectionCall::Change, ["file_batches"]) => batch(at, &id, &body).await?,
        (CollectionCall::Delete, []) => delete(at, &id).await?,
        (CollectionCall::Delete, ["files", file]) => take_out(at, &id, file).await?,
        _ => {
            let message = format!("there is nothing at {}", arrival.uri.path());
            return Err(Failure::new(FailureKind::NotFound, message));
        }
    };
    Ok(reply::json(StatusCode::OK, &told))
}

/// Where a request is answered, and who asks.
type At<'a> = (&'a Arc<Worker>, &'a Arrival, &'a Principal);

fn said<T: DeserializeOwned>(body: &Bytes) -> Result<T, Failure> {
    let body: &[u8] = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body).map_err(|error| {
        Failure::new(
            FailureKind::InvalidRequest,
            format!("the body makes no sense: {error}"),
        )
    })
}

fn missing(id: &str) -> Failure {
    Failure::new(FailureKind::NotFound, format!("there is no vector store {id:?}")).at("vector_store_id")
}

/// A collection that a caller may read.
///
/// # Errors
/// 404 where there is none.
async fn seen((worker, _, caller): At<'_>, id: &str) -> Result<Collection, Failure> {
    let wanted = id.to_owned();
    let found = worker.shared.kept.ask(move |store| store.collection(&wanted));
    let found = found.await.map_err(refused)?;
    found
        .filter(|found| may_read(found, caller))
        .ok_or_else(|| missing(id))
}

/// A collection that a caller may change.
///
/// # Errors
/// 404 where there is none that they see, 403 where they only read it.
async fn own(at: At<'_>, id: &str) -> Result<Collection, Failure> {
    let found = seen(at, id).await?;
    if found.owner == tenant(at.2).as_str() {
        return Ok(found);
    }
    let message =
        format!("the vector store {id:?} is another team's or key's: it can be searched, and not changed");
    Err(Failure::new(FailureKind::PermissionDenied, message).at("vector_store_id"))
}

async fn create(at: At<'_>, making: Making) -> Result<Value, Failure> {
    let (worker, _, caller) = at;
    let how = making.how()?;
    let random = random_text(24).map_err(|error| refused(error.into()))?;
    let new = Collection {
        id: format!("vs_{random}"),
        owner: tenant(caller).as_str().to_owned(),
        at: now(),
        version: 0,
        name: shapes::name(making.name.as_deref())?,
        metadata: shapes::metadata(making.metadata.as_ref())?,
        readers: shapes::readers(making.access.as_ref())?,
        files: 0,
        bytes: 0,
        passages: 0,
    };
    if making.file_ids.len() > FILES {
        return Err(shapes::wrong(
            "file_ids",
            format!("at most {FILES} files can come in at once"),
        ));
    }
    let made = new.clone();
    let kept = &worker.shared.kept;
    let made = kept.ask(move |store| store.make_collection(&made, MOST)).await;
    if !made.map_err(refused)? {
        let message = format!("there are {MOST} vector stores already; delete some");
        return Err(Failure::new(FailureKind::TooLarge, message));
    }
    for file in &making.file_ids {
        if let Err(failure) = take_in::file(at, &new, file, &how).await {
            // Nobody knows its id: half of it would be there for ever.
            let (owner, id) = (new.owner.clone(), new.id.clone());
            let gone = kept.ask(move |store| store.delete_collection(&owner, &id)).await;
            gone.map_err(refused)?;
            return Err(failure);
        }
    }
    Ok(shapes::collection(&seen(at, &new.id).await?, true))
}

async fn list((worker, arrival, caller): At<'_>) -> Result<Value, Failure> {
    let page = files::openai_page(arrival.uri.query().unwrap_or_default(), 20, 100)?;
    let owner = tenant(caller);
    let read = worker
        .shared
        .kept
        .ask(move |store| store.collections(owner.as_str()));
    let all = read.await.map_err(refused)?;
    let told = all.iter().map(|one| shapes::collection(one, true)).collect();
    Ok(shapes::page(told, &page))
}

async fn files_of(at: At<'_>, id: &str) -> Result<Value, Failure> {
    let page = files::openai_page(at.1.uri.query().unwrap_or_default(), 20, 100)?;
    let found = own(at, id).await?;
    let wanted = found.id.clone();
    let read = at.0.shared.kept.ask(move |store| store.collection_files(&wanted));
    let all = read.await.map_err(refused)?;
    let told = all.iter().map(|file| shapes::file(&found.id, file)).collect();
    Ok(shapes::page(told, &page))
}

async fn one_file(at: At<'_>, id: &str, file: &str) -> Result<Value, Failure> {
    let found = own(at, id).await?;
    let wanted = found.id.clone();
    let read = at.0.shared.kept.ask(move |store| store.collection_files(&wanted));
    let all = read.await.map_err(refused)?;
    let one = all.iter().find(|one| one.id == file);
    one.map(|one| shapes::file(&found.id, one))
        .ok_or_else(|| shapes::no_file(file))
}

async fn change(at: At<'_>, id: &str, body: &Bytes) -> Result<Value, Failure> {
    let mut found = own(at, id).await?;
    let changing: Changing = said(body)?;
    if changing.name.is_some() {
        found.name = shapes::name(changing.name.as_deref())?;
    }
    if changing.metadata.is_some() {
        found.metadata = shapes::metadata(changing.metadata.as_ref())?;
    }
    if changing.access.is_some() {
        found.readers = shapes::readers(changing.access.as_ref())?;
    }
    let changed = found.clone();
    let noted =
        at.0.shared
            .kept
            .ask(move |store| store.change_collection(&changed));
    if !noted.await.map_err(refused)? {
        return Err(missing(id));
    }
    Ok(shapes::collection(&found, true))
}

/// Several files, which are all there once this is answered.
async fn batch(at: At<'_>, id: &str, body: &Bytes) -> Result<Value, Failure> {
    let found = own(at, id).await?;
    let given: FilesGiven = said(body)?;
    let how = given.how()?;
    if given.file_ids.is_empty() || given.file_ids.len() > FILES {
        return Err(shapes::wrong("file_ids", format!("from 1 to {FILES} files")));
    }
    for file in &given.file_ids {
        take_in::file(at, &found, file, &how).await?;
    }
    let random = random_text(24).map_err(|error| refused(error.into()))?;
    Ok(json!({
        "id": format!("vsfb_{random}"), "object": "vector_store.file_batch", "created_at": now(),
        "vector_store_id": found.id, "status": "completed", "file_counts": shapes::counts(given.file_ids.len() as u64),
    }))
}

async fn delete(at: At<'_>, id: &str) -> Result<Value, Failure> {
    let found = own(at, id).await?;
    let shared = &at.0.shared;
    let (owner, gone) = (found.owner.clone(), found.id.clone());
    let deleted = shared
        .kept
        .ask(move |store| store.delete_collection(&owner, &gone))
        .await;
    if !deleted.map_err(refused)? {
        return Err(missing(id));
    }
    shared.collections.forget(&found.id);
    Ok(json!({"id": found.id, "object": "vector_store.deleted", "deleted": true}))
}

async fn take_out(at: At<'_>, id: &str, file: &str) -> Result<Value, Failure> {
    let found = own(at, id).await?;
    let (owner, wanted, gone) = (found.owner.clone(), found.id.clone(), file.to_owned());
    let taken =
        at.0.shared
            .kept
            .ask(move |store| store.take_out(&owner, &wanted, &gone))
            .await;
    if !taken.map_err(refused)? {
        return Err(shapes::no_file(file));
    }
    Ok(json!({"id": file, "object": "vector_store.file.deleted", "deleted": true}))
}

async fn search(at: At<'_>, id: &str, body: &Bytes) -> Result<Value, Failure> {
    let found = seen(at, id).await?;
    let (questions, most, by, least) = said::<Searching>(body)?.read()?;
    let wanted = (by, most);
    let mut all: Vec<Found> = Vec::new();
    for question in &questions {
        let looked = tokio::time::timeout(PATIENCE, look_up((at.0, at.1), &found, (question, wanted), None));
        let looked = looked.await.map_err(|_| {
            Failure::new(
                FailureKind::Overloaded,
                "the question was not understood in time; ask again",
            )
        })?;
        for one in looked? {
            match all
                .iter_mut()
                .find(|known| known.text == one.text && known.file == one.file)
            {
                Some(known) => known.score = known.score.max(one.score),
                None => all.push(one),
            }
        }
    }
    all.retain(|one| one.score >= least);
    all.sort_by(|left, right| right.score.total_cmp(&left.score));
    all.truncate(most);
    let wanted = found.id.clone();
    let read = at.0.shared.kept.ask(move |store| store.collection_files(&wanted));
    let known = read.await.map_err(refused)?;
    let told: Vec<Value> = all.iter().map(|one| shapes::result(one, &known)).collect();
    Ok(json!({
        "object": "vector_store.search_results.page", "search_query": questions, "data": told, "has_more": false,
        "next_page": null,
    }))
}

/// The passages of a collection that answer a question best, of these files or of all. Who may read it was asked before.
///
/// # Errors
/// When the question cannot be understood, or the collection cannot be read.
pub async fn look_up(
    (worker, arrival): (&Arc<Worker>, &Arrival),
    collection: &Collection,
    (question, (by, most)): (&str, (By, usize)),
    files: Option<Vec<String>>,
) -> Result<Vec<Found>, Failure> {
    let vector = match by {
        By::Words => None,
        By::Meaning | By::Both(_) => {
            let understanding = &arrival.snapshot.understanding;
            let read = understanding
                .embed(SHIPPED.name, vec![question.into()], None, &Nobody)
                .await;
            let read = read.map_err(|error| Failure::new(FailureKind::Unavailable, error.to_string()))?;
            read.vectors.into_iter().next()
        }
    };
    let shared = &worker.shared;
    let shelf = shared
        .collections
        .shelf(&shared.kept, collection)
        .await
        .map_err(refused)?;
    let question = question.to_owned();
    let find = move || shelf.find((&question, vector.as_deref()), by, most, files.as_deref());
    // Every passage is compared: that is nothing to hold up other requests of this thread with.
    tokio::task::spawn_blocking(find)
        .await
        .map_err(|_| Failure::new(FailureKind::Internal, "a collection could not be looked up in"))
}
