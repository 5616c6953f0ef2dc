//! What is kept for clients: files and batches, with the store, the blobs and the local folder they need.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use pointsman_governance::Principal;
use pointsman_store::blob::{BlobError, BlobStore, Staged};
use pointsman_store::{FileId, FileRecord, NewFile, Store, StoreError, Tenant};
use pointsman_upstream::Client;
use pointsman_wire::form::{Failure, FailureKind};
use tokio::sync::{Notify, Semaphore};

/// Files that are received at once.
pub const MAX_UPLOADS: usize = 64;

/// Files and batches of all tenants.
pub struct Kept {
    /// What is known of them.
    pub store: Arc<Store>,
    /// Their bytes.
    pub blobs: Arc<dyn BlobStore>,
    /// Where things are while they are under way.
    pub folder: PathBuf,
    /// Told when there is a new batch.
    pub begun: Notify,
    /// Room for files that are being received.
    pub uploads: Semaphore,
}

/// Whose files and batches a caller's are: a team shares them, a key without a team has its own.
pub fn tenant(caller: &Principal) -> Tenant {
    Tenant::from(match (&caller.team, &caller.key) {
        (Some(team), _) => format!("team:{}", team.as_str()),
        (None, Some(key)) => format!("key:{}", key.as_str()),
        (None, None) => "anonymous".to_owned(),
    })
}

/// Unix seconds.
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_secs().cast_signed()
}

impl Kept {
    /// Where files are while they are written.
    pub fn staging(&self) -> PathBuf {
        self.folder.join("staging")
    }

    /// Asks the database, not on this thread.
    ///
    /// # Errors
    /// When it refuses.
    pub async fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let store = Arc::clone(&self.store);
        match tokio::task::spawn_blocking(move || work(&store)).await {
            Ok(done) => done,
            Err(error) => Err(StoreError::Folder(std::io::Error::other(error))),
        }
    }

    /// Announces a file and puts its bytes where they belong; it is not seen before it is made ready.
    ///
    /// # Errors
    /// When it does not fit, or cannot be put.
    pub async fn put(
        &self,
        client: &Client,
        (file, most): (NewFile, Option<u64>),
        mut staged: Staged,
    ) -> Result<FileRecord, KeepError> {
        staged.finish().await.map_err(BlobError::from)?;
        let record = self.ask(move |store| store.announce_file(file, most)).await?;
        // What is announced and never comes is swept.
        self.blobs.put(client, record.id.as_str(), staged.path()).await?;
        Ok(record)
    }

    /// Deletes the bytes of a file that nobody sees any more, then forgets it.
    ///
    /// # Errors
    /// When either cannot be done; it is swept later.
    pub async fn sweep(&self, client: &Client, id: FileId) -> Result<(), KeepError> {
        self.blobs.delete(client, id.as_str()).await?;
        self.ask(move |store| store.forget_file(&id)).await?;
        Ok(())
    }
}

/// Why something could not be kept.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The blobs.
    #[error(transparent)]
    Blob(#[from] BlobError),
}

impl From<KeepError> for Failure {
    fn from(error: KeepError) -> Self {
        match error {
            KeepError::Store(error) => refused(error),
            KeepError::Blob(BlobError::Missing) => {
                Self::new(FailureKind::NotFound, "the file's bytes are gone")
            }
            KeepError::Blob(error) => {
                tracing::error!(%error, "the blob store refuses");
                Self::new(
                    FailureKind::Unavailable,
                    "files cannot be kept or read now; the operator must look at stores.blobs",
                )
            }
        }
    }
}

/// A refusal of the database, as a failure: a bound of the tenant, or the operator's to mend.
pub fn refused(error: StoreError) -> Failure {
    match error {
        StoreError::Full(_) => Failure::new(
            FailureKind::TooLarge,
            format!("{error}, more than may be kept; delete some, or have files.max_total raised"),
        )
        .coded("file_storage_full"),
        StoreError::TooManyBatches(_) => Failure::new(
            FailureKind::RateLimited,
            format!("{error}; wait for one to end, or have batches.max_open raised"),
        )
        .coded("too_many_batches"),
        error => {
            tracing::error!(%error, "files or batches could not be looked up");
            Failure::new(
                FailureKind::Unavailable,
                "the database refuses; the operator must look at stores.database",
            )
        }
    }
}
