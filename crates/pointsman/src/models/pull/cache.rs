//! The layout of the hub's cache: blobs by their hash, snapshots that link to them, references to commits.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Component, Path, PathBuf};

use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY, SHA256};

use super::hub::Listed;
use crate::models::own::hex;

/// Bytes that are read at a time.
const PIECE: usize = 1 << 20;

/// The folder of one model.
pub(super) struct Cache {
    folder: PathBuf,
    revision: String,
}

/// What a blob is called: its hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Hash {
    /// SHA-256 of a large file.
    Sha256(String),
    /// What git calls a small one: SHA-1 of its length and bytes.
    Git(String),
}

impl Hash {
    /// Its digits, which are the blob's name.
    pub(super) fn digits(&self) -> &str {
        match self {
            Self::Sha256(digits) | Self::Git(digits) => digits,
        }
    }

    /// One of 40 or 64 hexadecimal digits.
    pub(super) fn read(digits: &str) -> Option<Self> {
        let plain = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        match digits.len() {
            64 if plain => Some(Self::Sha256(digits.to_ascii_lowercase())),
            40 if plain => Some(Self::Git(digits.to_ascii_lowercase())),
            _ => None,
        }
    }

    /// Whether a file has this hash.
    fn is_of(&self, path: &Path) -> io::Result<bool> {
        let mut file = File::open(path)?;
        let mut context = match self {
            Self::Sha256(_) => Context::new(&SHA256),
            Self::Git(_) => {
                let mut context = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
                context.update(format!("blob {}\0", file.metadata()?.len()).as_bytes());
                context
            }
        };
        let mut piece = vec![0; PIECE];
        loop {
            let count = file.read(&mut piece)?;
            if count == 0 {
                return Ok(hex(context.finish().as_ref()) == self.digits());
            }
            context.update(&piece[..count]);
        }
    }
}

/// A file that is being fetched.
pub(super) struct Fetching {
    file: File,
    path: PathBuf,
    /// Bytes that are there already.
    pub(super) there: u64,
}

impl Cache {
    /// For a model, and a revision of it.
    ///
    /// # Errors
    ///
    /// If the name or the revision is none.
    pub(super) fn open(root: &Path, repo: &str, revision: &str) -> Result<Self, String> {
        let plain = |part: &str| {
            let letters = part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
            letters && !part.is_empty() && !part.starts_with('.') && part.len() <= 96
        };
        let parts: Vec<&str> = repo.split('/').collect();
        if parts.len() > 2 || !parts.iter().all(|part| plain(part)) {
            return Err("a model of the hub is named `owner/name`".to_owned());
        }
        if !revision.split('/').all(plain) {
            return Err(format!("{revision:?} is no revision"));
        }
        Ok(Self {
            folder: root.join(format!("models--{}", parts.join("--"))),
            revision: revision.to_owned(),
        })
    }

    /// The folder of a commit.
    pub(super) fn snapshot(&self, commit: &str) -> PathBuf {
        self.folder.join("snapshots").join(commit)
    }

    /// Where a file of a commit stands.
    ///
    /// # Errors
    ///
    /// If its name leads out of the folder.
    pub(super) fn place(&self, commit: &str, name: &str) -> Result<PathBuf, String> {
        let inside = Path::new(name)
            .components()
            .all(|part| matches!(part, Component::Normal(_)));
        if inside && !name.is_empty() {
            Ok(self.snapshot(commit).join(name))
        } else {
            Err(format!(
                "the hub names a file {name:?}, which leads out of the folder"
            ))
        }
    }

    fn blob(&self, file: &Listed) -> PathBuf {
        self.folder.join("blobs").join(file.hash.digits())
    }

    /// Whether a file is there whole, in this snapshot or another.
    ///
    /// # Errors
    ///
    /// If it can't be read.
    pub(super) fn has(&self, _place: &Path, file: &Listed) -> Result<bool, String> {
        let blob = self.blob(file);
        if !blob.exists() {
            return Ok(false);
        }
        if file.hash.is_of(&blob).map_err(|error| told(&blob, &error))? {
            return Ok(true);
        }
        // Damaged: it is fetched anew.
        fs::remove_file(&blob).map_err(|error| told(&blob, &error))?;
        Ok(false)
    }

    /// Goes on with what was fetched of a file before.
    ///
    /// # Errors
    ///
    /// If it can't be written.
    pub(super) fn fetch(&self, file: &Listed) -> Result<Fetching, String> {
        let blob = self.blob(file);
        let path = blob.with_extension("incomplete");
        let open = || {
            fs::create_dir_all(self.folder.join("blobs"))?;
            let opened = OpenOptions::new().create(true).append(true).open(&path)?;
            let there = opened.metadata()?.len();
            io::Result::Ok((opened, there))
        };
        let (opened, there) = open().map_err(|error| told(&path, &error))?;
        Ok(Fetching {
            file: opened,
            path,
            there,
        })
    }

    /// Keeps a file that was fetched, if it has the hash that the hub says.
    ///
    /// # Errors
    ///
    /// If it has another: then what was fetched is forgotten.
    pub(super) fn keep(&self, file: &Listed, fetching: Fetching) -> Result<u64, String> {
        let Fetching {
            file: written, path, ..
        } = fetching;
        let keep = || {
            written.sync_all()?;
            let size = written.metadata()?.len();
            drop(written);
            if !file.hash.is_of(&path)? {
                fs::remove_file(&path)?;
                return io::Result::Ok(None);
            }
            fs::rename(&path, self.blob(file))?;
            Ok(Some(size))
        };
        keep().map_err(|error| told(&path, &error))?.ok_or_else(|| {
            format!(
                "{} has another hash than the hub says ({}); what came was thrown away",
                file.name,
                file.hash.digits()
            )
        })
    }

    /// Links a snapshot's file to its blob.
    ///
    /// # Errors
    ///
    /// If it can't be.
    pub(super) fn link(&self, place: &Path, file: &Listed) -> Result<(), String> {
        let depth = file.name.matches('/').count() + 2;
        let mut target = PathBuf::new();
        (0..depth).for_each(|_| target.push(".."));
        target.push("blobs");
        target.push(file.hash.digits());
        let link = || {
            if let Some(parent) = place.parent() {
                fs::create_dir_all(parent)?;
            }
            match fs::remove_file(place) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            std::os::unix::fs::symlink(&target, place)
        };
        link().map_err(|error| told(place, &error))
    }

    /// Notes which commit the revision is. Written last: what is not whole is not found.
    ///
    /// # Errors
    ///
    /// If it can't be.
    pub(super) fn point_to(&self, commit: &str) -> Result<(), String> {
        if self.revision == commit {
            return Ok(());
        }
        let path = self.folder.join("refs").join(&self.revision);
        let write = || {
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent)?;
            }
            fs::write(&path, commit)
        };
        write().map_err(|error| told(&path, &error))
    }
}

impl Fetching {
    /// Writes what came.
    ///
    /// # Errors
    ///
    /// If it can't be.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.there += bytes.len() as u64;
        self.file
            .write_all(bytes)
            .map_err(|error| told(&self.path, &error))
    }

    /// Begins anew.
    ///
    /// # Errors
    ///
    /// If it can't be.
    pub(super) fn restart(&mut self) -> Result<(), String> {
        self.there = 0;
        self.file.set_len(0).map_err(|error| told(&self.path, &error))
    }
}

fn told(path: &Path, error: &io::Error) -> String {
    format!("{}: {error}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        let root = tempfile::tempdir().unwrap();
        for repo in ["", "../x", "a/b/c", "a//b", "a/.b", "a b"] {
            assert!(Cache::open(root.path(), repo, "main").is_err(), "{repo}");
        }
        assert!(Cache::open(root.path(), "a/b", "../x").is_err());
        let cache = Cache::open(root.path(), "a/b", "refs/pr/1").unwrap();
        for name in ["", "../x", "/etc/passwd", "a/../../x"] {
            assert!(cache.place("c", name).is_err(), "{name}");
        }
        assert!(cache.place("c", "1_Pooling/config.json").is_ok());
    }

    #[test]
    fn hashes_are_git_s_and_sha256() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        fs::write(&path, "hello\n").unwrap();
        for digits in [
            "ce013625030ba8dba906f756967f9e9ca394464a",
            "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03",
        ] {
            assert!(Hash::read(digits).unwrap().is_of(&path).unwrap(), "{digits}");
        }
        let other = "0".repeat(64);
        assert!(!Hash::read(&other).unwrap().is_of(&path).unwrap());
        assert!(Hash::read("xyz").is_none());
    }
}
