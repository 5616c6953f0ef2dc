//! The files of entries: a head in one line of JSON, then the value.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;

use super::super::head::{Head, LONGEST_HEAD};
use crate::key::CacheKey;

/// Most bytes of a value that are read at once before more is known of the file.
const LONGEST_VALUE: u64 = 1 << 32;
/// How the name of a file ends.
const ENDING: &str = "entry";
/// Where files are written before they are whole.
const UNFINISHED: &str = "unfinished";

fn place(root: &Path, key: CacheKey) -> PathBuf {
    let name = key.hex();
    root.join(&name[..2]).join(format!("{name}.{ENDING}"))
}

fn folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Writes a file whole, in place of what was there.
pub fn write(root: &Path, key: CacheKey, head: &[u8], value: &[u8]) -> io::Result<()> {
    let (place, unfinished) = (place(root, key), root.join(UNFINISHED));
    folder(&unfinished)?;
    if let Some(parent) = place.parent() {
        folder(parent)?;
    }
    let unfinished = unfinished.join(format!("{}-{}", key.hex(), std::process::id()));
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&unfinished)?;
    let written = file.write_all(head).and_then(|()| file.write_all(value));
    let done = written.and_then(|()| fs::rename(&unfinished, &place));
    if done.is_err() {
        // It may not even be there; the error is told.
        let _ = fs::remove_file(&unfinished);
    }
    done
}

/// The file of a key, if there is one.
pub fn open(root: &Path, key: CacheKey) -> io::Result<Option<BufReader<File>>> {
    match File::open(place(root, key)) {
        Ok(file) => Ok(Some(BufReader::new(file))),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The head of a file; none where another version has written it, or nobody.
pub fn head(file: &mut BufReader<File>) -> io::Result<Option<Head>> {
    let mut line = Vec::new();
    file.take(LONGEST_HEAD as u64).read_until(b'\n', &mut line)?;
    Ok(Head::read(&line))
}

/// The value of a file behind its head; none where it is damaged.
pub fn rest(file: BufReader<File>, head: &Head) -> io::Result<Option<Bytes>> {
    if head.bytes > LONGEST_VALUE {
        return Ok(None);
    }
    let mut value = Vec::new();
    file.take(head.bytes + 1).read_to_end(&mut value)?;
    Ok(head.fits(&value).then(|| Bytes::from(value)))
}

/// Deletes the file of a key; one that is not there is deleted already.
pub fn delete(root: &Path, key: CacheKey) -> io::Result<()> {
    match fs::remove_file(place(root, key)) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Which files there are, from the oldest to the newest.
#[derive(Debug, Default)]
pub struct Index {
    files: HashMap<CacheKey, (u64, u64)>,
    order: BTreeMap<u64, CacheKey>,
    bytes: u64,
    next: u64,
}

impl Index {
    /// Looks at a folder; what was never finished is deleted.
    pub fn read(root: &Path) -> io::Result<Self> {
        folder(root)?;
        let _ = fs::remove_dir_all(root.join(UNFINISHED));
        let mut found = Vec::new();
        for parent in fs::read_dir(root)? {
            let parent = parent?.path();
            if !parent.is_dir() {
                continue;
            }
            for file in fs::read_dir(parent)? {
                let file = file?;
                let path = file.path();
                let is_entry = path.extension().is_some_and(|ending| ending == ENDING);
                let key = path
                    .file_stem()
                    .and_then(|stem| CacheKey::from_hex(stem.to_str()?));
                if let (true, Some(key)) = (is_entry, key) {
                    let known = file.metadata()?;
                    let at = known.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                    let at = at.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
                    found.push((at, key, known.len()));
                }
            }
        }
        found.sort_unstable_by_key(|(at, key, _)| (*at, *key.as_bytes().first_chunk().unwrap_or(&[0; 8])));
        let mut index = Self::default();
        for (_, key, size) in found {
            index.insert(key, size);
        }
        Ok(index)
    }

    pub fn insert(&mut self, key: CacheKey, size: u64) {
        self.remove(&key);
        self.files.insert(key, (size, self.next));
        self.order.insert(self.next, key);
        self.bytes += size;
        self.next += 1;
    }

    pub fn remove(&mut self, key: &CacheKey) {
        if let Some((size, number)) = self.files.remove(key) {
            self.order.remove(&number);
            self.bytes -= size;
        }
    }

    pub fn oldest(&self) -> Option<CacheKey> {
        self.order.values().next().copied()
    }

    pub fn keys(&self) -> Vec<CacheKey> {
        self.order.values().copied().collect()
    }

    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}
