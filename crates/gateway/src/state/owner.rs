//! Which processes live: each holds the lock of a file of its own, which the system takes away when it dies.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

const EXTENSION: &str = "owner";

/// This process.
pub struct Owner {
    folder: PathBuf,
    token: String,
    _locked: File,
}

impl Owner {
    /// Shows in `folder` that this process lives; files of dead ones go.
    ///
    /// # Errors
    /// When the folder cannot be used.
    pub fn new(folder: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        for file in std::fs::read_dir(folder)? {
            let path = file?.path();
            if path.extension().is_some_and(|extension| extension == EXTENSION) && !is_held(&path) {
                // Another process may have been faster.
                let _ = std::fs::remove_file(&path);
            }
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let token = format!("{:x}-{}", now.as_nanos(), std::process::id());
        let file = OpenOptions::new()
            .create_new(true)
            .append(true)
            .open(folder.join(&token).with_extension(EXTENSION))?;
        file.lock()?;
        Ok(Self {
            folder: folder.to_owned(),
            token,
            _locked: file,
        })
    }

    /// Its name.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Whether the process of this name lives.
    pub fn is_alive(&self, token: &str) -> bool {
        token == self.token || is_held(&self.folder.join(token).with_extension(EXTENSION))
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        // The lock goes with the process; a file that stays is cleared away by the next.
        let _ = std::fs::remove_file(self.folder.join(&self.token).with_extension(EXTENSION));
    }
}

fn is_held(path: &Path) -> bool {
    let opened = OpenOptions::new().append(true).open(path);
    opened.is_ok_and(|file| file.try_lock().is_err())
}
