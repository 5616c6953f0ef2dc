//! Blobs in a folder: a file each, in one of many sub-folders.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use pointsman_upstream::Client;

use super::{BlobError, BlobReader, BlobStore, Doing};

/// A folder of blobs.
#[derive(Debug)]
pub(super) struct Folder {
    root: PathBuf,
}

impl Folder {
    pub(super) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// Spread over sub-folders by the last letters of the name, which are random or nearly so.
    fn path(&self, name: &str) -> PathBuf {
        let end = name.char_indices().rev().nth(1).map_or(0, |(at, _)| at);
        self.root.join(&name[end..]).join(name)
    }
}

impl BlobStore for Folder {
    fn put<'a>(&'a self, _: &'a Client, name: &'a str, staged: &'a Path) -> Doing<'a, ()> {
        let (from, to) = (staged.to_owned(), self.path(name));
        Box::pin(async move { Ok(blocking(move || put(&from, &to)).await?) })
    }

    fn open<'a>(&'a self, _: &'a Client, name: &'a str) -> Doing<'a, BlobReader> {
        let path = self.path(name);
        Box::pin(async move {
            let file = match tokio::fs::File::open(&path).await {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(BlobError::Missing),
                Err(error) => return Err(error.into()),
            };
            let length = file.metadata().await?.len();
            Ok(BlobReader::file(file, length))
        })
    }

    fn delete<'a>(&'a self, _: &'a Client, name: &'a str) -> Doing<'a, ()> {
        let path = self.path(name);
        Box::pin(async move {
            match tokio::fs::remove_file(&path).await {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
                _ => Ok(()),
            }
        })
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(io::Error::other)?
}

/// Moves a finished file to its place; both the file and its name survive a loss of power.
fn put(from: &Path, to: &Path) -> io::Result<()> {
    let folder = to.parent().unwrap_or_else(|| Path::new("."));
    fs::create_dir_all(folder)?;
    File::open(from)?.sync_all()?;
    match fs::rename(from, to) {
        // Another file system: copied beside its place first, so that nobody sees half of it.
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
            let beside = to.with_extension("part");
            fs::copy(from, &beside)?;
            File::open(&beside)?.sync_all()?;
            fs::rename(&beside, to)?;
            fs::remove_file(from)?;
        }
        moved => moved?,
    }
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use pointsman_upstream::{ClientOptions, UpstreamConfig};

    use super::super::Staged;
    use super::*;

    #[tokio::test]
    async fn a_blob_is_put_whole_read_and_deleted() {
        let client = Client::new(ClientOptions::compile_with(&UpstreamConfig::default(), |_| None).unwrap());
        let folder = tempfile::tempdir().unwrap();
        let blobs = Folder::new(folder.path().join("blobs"));
        let mut staged = Staged::create(&folder.path().join("staging")).await.unwrap();
        let bytes: Vec<u8> = (0..200_000_u32).map(|at| (at % 253) as u8).collect();
        for piece in bytes.chunks(7_777) {
            staged.write(piece).await.unwrap();
        }
        staged.finish().await.unwrap();
        assert_eq!(staged.written(), 200_000);
        blobs.put(&client, "file-abc", staged.path()).await.unwrap();
        drop(staged);
        let mut reader = blobs.open(&client, "file-abc").await.unwrap();
        let mut read = Vec::new();
        while let Some(piece) = reader.piece().await {
            read.extend_from_slice(&piece.unwrap());
        }
        assert!(read == bytes && reader.left() == 0);
        blobs.delete(&client, "file-abc").await.unwrap();
        blobs.delete(&client, "file-abc").await.unwrap();
        assert!(matches!(
            blobs.open(&client, "file-abc").await,
            Err(BlobError::Missing)
        ));
    }

    #[tokio::test]
    async fn what_is_not_finished_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let mut staged = Staged::create(folder.path()).await.unwrap();
        staged.write(b"half").await.unwrap();
        drop(staged);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
