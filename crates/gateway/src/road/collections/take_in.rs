//! A file comes into a collection: read, cut into passages, each understood by the model that ships, and kept. All of it or
//! nothing.

use std::sync::Arc;
use std::time::Duration;

use pointsman_semantics::lookup;
use pointsman_store::{Collection, CollectionFile, FileId, FileRecord, Passage, StoreError};
use pointsman_understanding::{Failed, Nobody, SHIPPED};
use pointsman_wire::form::{Failure, FailureKind};
use pointsman_wire::tokens;

use super::{At, shapes};
use crate::kept::{KeepError, now, refused};
use crate::road::files;
use crate::worker::Worker;

/// Most bytes of a file.
const LONGEST: usize = 8 << 20;
/// Most passages of a collection.
const PASSAGES: u64 = 20_000;
/// Passages that are understood together.
const TOGETHER: usize = 8;
/// Times that they are tried, while others are read, and the pause between.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(250);

/// How files are cut, and what their owner says of them.
pub struct How {
    /// Tokens of a passage, and of what it shares with the one before.
    pub sizes: (u64, u64),
    /// Words of the owner's, as JSON.
    pub attributes: String,
}

/// Takes in a file of the caller's, in the place of what the collection held of it.
///
/// # Errors
/// 404 for a file that is not theirs, 400 for one that is no text, 413 for one that does not fit.
pub async fn file(
    (worker, arrival, caller): At<'_>,
    collection: &Collection,
    id: &str,
    how: &How,
) -> Result<CollectionFile, Failure> {
    let record = files::find(worker, caller, FileId::from(id)).await?;
    let text = read(worker, &record).await?;
    let room = worker.shared.collections.reading.acquire().await;
    let _room = room.map_err(|_| Failure::new(FailureKind::Unavailable, "the gateway stops"))?;
    let sizes = how.sizes;
    let cut = move || -> Vec<Arc<str>> {
        let passages = lookup::cut(&text, sizes, &tokens::estimate);
        passages.into_iter().map(Arc::from).collect()
    };
    let cut = tokio::task::spawn_blocking(cut).await;
    let texts =
        cut.map_err(|_| Failure::new(FailureKind::Internal, "a file could not be cut into passages"))?;
    if texts.len() as u64 > PASSAGES {
        return Err(full(texts.len() as u64));
    }
    let mut passages = Vec::with_capacity(texts.len());
    for some in texts.chunks(TOGETHER) {
        let vectors = understood(arrival.snapshot.understanding.as_ref(), some).await?;
        for (text, vector) in some.iter().zip(vectors) {
            passages.push(Passage {
                file: record.id.as_str().to_owned(),
                text: text.to_string(),
                model: SHIPPED.name.to_owned(),
                vector,
            });
        }
    }
    let file = CollectionFile {
        id: record.id.as_str().to_owned(),
        at: now(),
        name: record.name,
        bytes: record.bytes,
        passages: passages.len() as u64,
        attributes: how.attributes.clone(),
    };
    let (owner, into, kept) = (collection.owner.clone(), collection.id.clone(), file.clone());
    let put =
        move |store: &pointsman_store::Store| store.put_passages((&owner, &into), &kept, &passages, PASSAGES);
    match worker.shared.kept.ask(put).await {
        Ok(true) => Ok(file),
        Ok(false) => Err(super::missing(&collection.id)),
        Err(StoreError::Full(total)) => Err(full(total)),
        Err(error) => Err(refused(error)),
    }
}

fn full(total: u64) -> Failure {
    let message = format!(
        "the vector store would hold {total} passages, and {PASSAGES} is the most; make several, or look things up in a \
         database for vectors"
    );
    Failure::new(FailureKind::TooLarge, message).coded("vector_store_full")
}

/// What a file says.
async fn read(worker: &Worker, record: &FileRecord) -> Result<String, Failure> {
    if record.bytes > LONGEST as u64 {
        let message = format!(
            "the file has {} bytes, and {LONGEST} is the most of one to be looked up in",
            record.bytes
        );
        return Err(Failure::new(FailureKind::TooLarge, message).at("file_id"));
    }
    let opened = worker
        .shared
        .kept
        .blobs
        .open(&worker.client, record.id.as_str())
        .await;
    let mut reader = opened.map_err(KeepError::from)?;
    let mut bytes = Vec::new();
    while let Some(piece) = reader.piece().await {
        let piece = piece.map_err(|error| KeepError::Blob(error.into()))?;
        if bytes.len() + piece.len() > LONGEST {
            return Err(Failure::new(FailureKind::TooLarge, "the file is too long").at("file_id"));
        }
        bytes.extend_from_slice(&piece);
    }
    let text = String::from_utf8(bytes).ok().filter(|text| !text.contains('\0'));
    let Some(text) = text else {
        let message = format!(
            "the file {:?} is no text in UTF-8: texts, Markdown, code, HTML and JSON can be looked up in, other documents \
             when they are made one of these",
            record.name
        );
        return Err(Failure::new(FailureKind::InvalidRequest, message)
            .at("file_id")
            .coded("unsupported_file"));
    };
    match text.trim().is_empty() {
        true => Err(shapes::wrong(
            "file_id",
            format!("the file {:?} says nothing", record.name),
        )),
        false => Ok(text),
    }
}

/// Vectors of passages. Requests go first: where as many texts wait as may, these wait longer.
async fn understood(
    understanding: &pointsman_understanding::Understanding,
    texts: &[Arc<str>],
) -> Result<Vec<Vec<f32>>, Failure> {
    let mut tried = 0;
    loop {
        tried += 1;
        match understanding
            .embed(SHIPPED.name, texts.to_vec(), None, &Nobody)
            .await
        {
            Ok(read) => return Ok(read.vectors),
            Err(Failed::Refused(_)) if tried < TRIES => tokio::time::sleep(PAUSE).await,
            Err(error) => return Err(Failure::new(FailureKind::Unavailable, error.to_string())),
        }
    }
}
