//! A file that is being written and may yet come to nothing.

use std::io;
use std::path::{Path, PathBuf};

use tokio::fs::{File, OpenOptions};
use tokio::io::AsyncWriteExt;

use crate::key::random_text;

/// A local file on its way to become a blob; deleted when dropped.
#[derive(Debug)]
pub struct Staged {
    path: PathBuf,
    file: File,
    written: u64,
}

impl Staged {
    /// A new file in `folder`, which is made where it is not there.
    ///
    /// # Errors
    /// When the disk refuses.
    pub async fn create(folder: &Path) -> io::Result<Self> {
        tokio::fs::create_dir_all(folder).await?;
        let name = random_text(24).map_err(io::Error::other)?;
        let path = folder.join(name);
        let file = OpenOptions::new()
            .create_new(true)
            .write(true)
            .open(&path)
            .await?;
        Ok(Self {
            path,
            file,
            written: 0,
        })
    }

    /// Appends bytes.
    ///
    /// # Errors
    /// When the disk refuses.
    pub async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes).await?;
        self.written += bytes.len() as u64;
        Ok(())
    }

    /// Bytes written.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes what was written survive a loss of power. It is still deleted when dropped, unless it was moved away.
    ///
    /// # Errors
    /// When the disk refuses.
    pub async fn finish(&mut self) -> io::Result<()> {
        self.file.flush().await?;
        self.file.sync_all().await
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // It is not there any more when it became a blob.
        let _ = std::fs::remove_file(&self.path);
    }
}
