//! Blobs: bytes under a name, in a folder or in a bucket.
//!
//! What is put is a finished local file: whoever receives bytes writes them to a [`Staged`] file first, so that nothing
//! is ever held in memory whole and nobody sees half a blob. Names are the gateway's own, never a client's.

mod local;
mod reader;
mod s3;
mod staged;

use std::fmt;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use pointsman_upstream::{Client, Environment};

pub use reader::BlobReader;
pub use staged::Staged;

/// Something a blob store does.
pub type Doing<'a, T> = Pin<Box<dyn Future<Output = Result<T, BlobError>> + Send + 'a>>;

/// Where blobs are. Connections are the caller's own: each worker comes with its client.
pub trait BlobStore: fmt::Debug + Send + Sync {
    /// Puts a finished file under a name, in place of what was there. The file is gone afterwards.
    fn put<'a>(&'a self, client: &'a Client, name: &'a str, staged: &'a Path) -> Doing<'a, ()>;

    /// Opens a blob for reading.
    fn open<'a>(&'a self, client: &'a Client, name: &'a str) -> Doing<'a, BlobReader>;

    /// Deletes a blob; one that is not there is deleted already.
    fn delete<'a>(&'a self, client: &'a Client, name: &'a str) -> Doing<'a, ()>;
}

/// Why a blob could not be put, read or deleted.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// There is none of that name.
    #[error("there is no such blob")]
    Missing,
    /// The disk.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The bucket.
    #[error("the bucket: {0}")]
    Bucket(String),
}

/// What is wrong with the URL of a blob store.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BlobUrlError(pub(crate) String);

/// The blob store of a URL: `file://FOLDER`, or `s3://BUCKET/PREFIX?endpoint=URL&region=REGION`.
///
/// # Errors
/// When the URL makes no sense, or names a store that this version does not have.
pub fn at(url: &str, environment: &Environment) -> Result<Arc<dyn BlobStore>, BlobUrlError> {
    if let Some(folder) = url.strip_prefix("file://") {
        if folder.is_empty() {
            return Err(BlobUrlError("names no folder; write file://FOLDER".to_owned()));
        }
        return Ok(Arc::new(local::Folder::new(Path::new(folder).join("blobs"))));
    }
    if url.starts_with("s3://") {
        return Ok(Arc::new(s3::Bucket::compile(url, environment)?));
    }
    // The URL may hold a password: only its scheme is told.
    let scheme = url.split(':').next().unwrap_or_default();
    Err(BlobUrlError(format!(
        "{scheme:?} is not supported in this version; use file://… or s3://…"
    )))
}
