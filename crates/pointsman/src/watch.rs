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
    /// Watches these files from now on. What was seen of one before still counts: a change that comes while it is being
    /// read is noticed at the next look.
    pub(crate) fn set(&mut self, files: Vec<PathBuf>) {
        let before = std::mem::take(&mut self.files);
        self.files = files
            .into_iter()
            .map(|file| {
                let known = before.iter().find(|(known, _)| *known == file);
                let seen = known.map_or_else(|| look(&file), |(_, seen)| seen.clone());
                (file, seen)
            })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_made_while_the_file_was_read_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("f");
        std::fs::write(&file, "one").unwrap();
        let mut watched = Watched::default();
        watched.set(vec![file.clone()]);
        assert!(!watched.changed());
        std::fs::write(&file, "three").unwrap();
        assert!(watched.changed());
        std::fs::write(&file, "seventeen").unwrap();
        watched.set(vec![file]);
        assert!(watched.changed());
        assert!(!watched.changed());
    }

    #[test]
    fn files_that_come_go_and_are_relinked_have_changed() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("a"), "same").unwrap();
        std::fs::write(path("b"), "same").unwrap();
        std::os::unix::fs::symlink(path("a"), path("link")).unwrap();
        let mut watched = Watched::default();
        watched.set(vec![path("link"), path("new")]);
        assert!(!watched.changed());
        std::fs::remove_file(path("link")).unwrap();
        std::os::unix::fs::symlink(path("b"), path("link")).unwrap();
        assert!(watched.changed());
        std::fs::write(path("new"), "").unwrap();
        assert!(watched.changed());
        std::fs::remove_file(path("new")).unwrap();
        assert!(watched.changed());
        assert!(!watched.changed());
    }
}
