//! Where answers are kept outside of this process: so that they outlast it, and replicas share them.
//!
//! A back end knows bytes under keys, and their labels. It says plainly when it fails; that a failure costs nobody more
//! than a bounded wait is what [`Remote`](crate::Remote) is for.

mod disk;
mod head;
mod link;
mod objects;
mod postgres;
mod qdrant;
mod redis;
mod service;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{BoxFuture, FutureExt};
use pointsman_store::PostgresAddress;
use pointsman_upstream::AuthConfig;
use tokio::runtime::Handle;

use crate::config::BackendConfig;
use crate::key::CacheKey;
use crate::labels::{Filter, Labels};
use crate::note::QuestionNote;

/// Something a back end does.
pub type Doing<'a, T> = BoxFuture<'a, Result<T, BackendError>>;

/// Why a back end has not done it. Words of a server hold no part of an entry and no password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BackendError(pub(crate) String);

/// An entry to be kept.
#[derive(Debug, Clone)]
pub struct NewEntry {
    /// Under which key.
    pub key: CacheKey,
    /// The bytes.
    pub value: Bytes,
    /// What it is known by.
    pub labels: Labels,
    /// How long.
    pub ttl: Duration,
}

/// What is known of an entry without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    /// What it is known by.
    pub labels: Labels,
    /// Its bytes.
    pub bytes: u64,
    /// How long it will be kept.
    pub left: Duration,
}

/// How much a back end holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Holds {
    /// Entries.
    pub entries: u64,
    /// Bytes of their values; none where the server would have to read them all.
    pub bytes: Option<u64>,
}

/// Up to where the notes were read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// Nothing yet; wanted are those of so long ago at most.
    Since(Duration),
    /// Up to the one of this name.
    UpTo(String),
}

/// A place for entries, and for notes that all who share it read in the same order.
pub trait Backend: fmt::Debug + Send + Sync {
    /// What it is called in metrics.
    fn name(&self) -> &'static str;

    /// The bytes under a key.
    fn get(&self, key: CacheKey) -> Doing<'_, Option<Bytes>>;

    /// Keeps an entry, in place of an earlier one.
    fn put<'a>(&'a self, entry: &'a NewEntry) -> Doing<'a, ()>;

    /// Deletes what a filter means; says how many that were.
    fn delete<'a>(&'a self, filter: &'a Filter) -> Doing<'a, u64>;

    /// What is known of an entry.
    fn describe(&self, key: CacheKey) -> Doing<'_, Option<Described>>;

    /// How much there is. May take long.
    fn holds(&self) -> Doing<'_, Holds>;

    /// Lets go what is over, and what has no room. Called from time to time.
    fn tend(&self) -> Doing<'_, ()>;

    /// Whether others share it: only then notes are read.
    fn is_shared(&self) -> bool;

    /// Leaves a note for all who share it.
    fn tell(&self, note: Bytes) -> Doing<'_, ()>;

    /// The next notes, the oldest first, at most `most`; and up to where they go.
    fn hear(&self, after: Heard, most: usize) -> Doing<'_, (Vec<Bytes>, Heard)>;

    /// Whether it finds questions by nearness: then they are kept there, and are not passed on by notes.
    fn finds(&self) -> bool {
        false
    }

    /// Keeps a question, in place of the same one in its partition.
    fn learn<'a>(&'a self, _: &'a QuestionNote) -> Doing<'a, ()> {
        async { Err(BackendError("questions are not kept there".to_owned())) }.boxed()
    }

    /// Questions of a partition that are near to a vector, the nearest first, at most `most`.
    fn near<'a>(&'a self, _: CacheKey, _: &'a [f32], _: usize) -> Doing<'a, Vec<QuestionNote>> {
        async { Err(BackendError("questions are not found there".to_owned())) }.boxed()
    }

    /// What is connected may be dead: the next one begins anew.
    fn reconnect(&self) {}
}

/// What is wrong with how a back end is configured. Tells no part of its URL but the scheme.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BackendConfigError(pub(crate) String);

impl BackendConfigError {
    /// Something that it needs is not there.
    #[must_use]
    pub fn of(what: &str, why: &str) -> Self {
        Self(format!("{what}: {why}"))
    }
}

/// The kinds of back end, by their URLs.
enum Place<'a> {
    Redis(Box<::redis::Client>),
    Postgres(PostgresAddress),
    Folder(&'a Path),
    Bucket(objects::BucketAddress),
    Qdrant(qdrant::QdrantAddress),
}

fn place<'a>(url: &'a str, auth: &AuthConfig) -> Result<Place<'a>, BackendConfigError> {
    let scheme = url.split(':').next().unwrap_or_default();
    let dialect = objects::Dialect::of(scheme);
    let is_asked_over_http = dialect.is_some() || matches!(scheme, "qdrant" | "qdrants");
    if !is_asked_over_http && *auth != AuthConfig::default() {
        return Err(BackendConfigError(
            "says who asks itself; leave `auth` out".to_owned(),
        ));
    }
    if let Some(dialect) = dialect {
        return objects::BucketAddress::read(dialect, url, auth).map(Place::Bucket);
    }
    match scheme {
        "qdrant" | "qdrants" => qdrant::QdrantAddress::read(url, auth).map(Place::Qdrant),
        "redis" | "rediss" | "redis+unix" => redis::client(url).map(|client| Place::Redis(Box::new(client))),
        "postgres" | "postgresql" => PostgresAddress::read(url)
            .map(Place::Postgres)
            .map_err(|error| BackendConfigError(error.to_string())),
        "file" => match url.strip_prefix("file://").filter(|folder| !folder.is_empty()) {
            Some(folder) => Ok(Place::Folder(Path::new(folder))),
            None => Err(BackendConfigError(
                "names no folder; write file://FOLDER".to_owned(),
            )),
        },
        _ => Err(BackendConfigError(format!(
            "{scheme:?} is not supported in this version; use redis://…, rediss://…, postgres://…, qdrant://…, s3://…, gs://…, az://… or file://FOLDER"
        ))),
    }
}

/// What is wrong with a URL, or with who asks there.
///
/// # Errors
/// When no back end can be at it.
pub fn check(url: &str, auth: &AuthConfig) -> Result<(), BackendConfigError> {
    place(url, auth).map(drop)
}

/// Whether questions can be found by nearness where a URL leads.
#[must_use]
pub fn can_search(url: &str) -> bool {
    let scheme = url.split(':').next().unwrap_or_default();
    let is_database = matches!(scheme, "postgres" | "postgresql" | "qdrant" | "qdrants");
    is_database || matches!(scheme, "redis" | "rediss" | "redis+unix")
}

/// The back end of a configuration. Nothing is connected yet; connections are driven by `runtime`.
///
/// # Errors
/// When the URL makes no sense.
pub fn at(config: &BackendConfig, runtime: &Handle) -> Result<Arc<dyn Backend>, BackendConfigError> {
    Ok(match place(config.url.expose(), &config.auth)? {
        Place::Redis(client) => Arc::new(redis::RedisBackend::new(*client, config.search, runtime.clone())),
        Place::Postgres(address) => Arc::new(postgres::PostgresBackend::new(
            &address,
            (config.max_bytes, config.search),
            runtime,
        )),
        Place::Folder(folder) => Arc::new(disk::DiskBackend::new(folder, config.max_bytes)),
        Place::Bucket(address) => Arc::new(objects::BucketBackend::new(address, runtime.clone())),
        Place::Qdrant(address) => Arc::new(qdrant::QdrantBackend::new(address, runtime.clone())),
    })
}
