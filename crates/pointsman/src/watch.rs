//! Noticing that files have changed.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// What is remembered of a file. Looked at, not listened to: that works on every file system, and also where a file is
/// replaced through a link, as Kubernetes does.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    modified: Option<SystemTime>,
    length: u64,
    target: Option<PathBuf>,
}

/// Files that are watched.
#[derive(Debug, Default)]
pub(crate) struct Watched {
    files: Vec<(PathBuf, Option<Seen>)>,
}

impl Watched {
    /// Watches other files from now on.
    pub(crate) fn set(&mut self, files: Vec<PathBuf>) {
        self.files = files
            .into_iter()
            .map(|file| (file.clone(), look(&file)))
            .collect();
    }

    /// Whether one of them has changed since it was last asked.
    pub(crate) fn changed(&mut self) -> bool {
        let mut changed = false;
        for (file, seen) in &mut self.files {
            let now = look(file);
            changed |= *seen != now;
            *seen = now;
        }
        changed
    }
}

fn look(file: &Path) -> Option<Seen> {
    let data = std::fs::metadata(file).ok()?;
    Some(Seen {
        modified: data.modified().ok(),
        length: data.len(),
        target: std::fs::canonicalize(file).ok(),
    })
}
