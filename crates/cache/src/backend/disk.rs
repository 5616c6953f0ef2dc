//! Entries in a folder, a file each: the answers of one machine outlast its process.
//!
//! A file is written whole under another name and renamed, and carries a checksum: what a crash has left behind is not
//! read. When there is no room, the oldest go. Only whoever runs the gateway can read the files.

mod files;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use parking_lot::Mutex;

use super::head::{Head, now};
use super::{Backend, BackendError, Described, Doing, Heard, Holds, NewEntry};
use crate::key::CacheKey;
use crate::labels::Filter;
use files::Index;

/// A folder.
pub struct DiskBackend(Arc<Folder>);

struct Folder {
    root: PathBuf,
    max_bytes: u64,
    /// Which files there are; read when it is first needed.
    index: Mutex<Option<Index>>,
}

impl fmt::Debug for DiskBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DiskBackend")
    }
}

impl DiskBackend {
    /// Not looked at yet; of `max_bytes` at most, heads of files included.
    pub fn new(root: &Path, max_bytes: u64) -> Self {
        Self(Arc::new(Folder {
            root: root.to_owned(),
            max_bytes,
            index: Mutex::new(None),
        }))
    }

    /// Does what waits for the disk where it may wait.
    fn doing<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Folder) -> std::io::Result<T> + Send + 'static,
    ) -> Doing<'_, T> {
        let folder = Arc::clone(&self.0);
        async move {
            let done = tokio::task::spawn_blocking(move || work(&folder)).await;
            let done = done.map_err(|error| BackendError(error.to_string()))?;
            done.map_err(|error| BackendError(error.to_string()))
        }
        .boxed()
    }
}

impl Folder {
    /// With the index, which is read first if that was not done.
    fn with<T>(&self, work: impl FnOnce(&mut Index) -> std::io::Result<T>) -> std::io::Result<T> {
        let mut index = self.index.lock();
        if index.is_none() {
            *index = Some(Index::read(&self.root)?);
        }
        match index.as_mut() {
            Some(index) => work(index),
            None => Err(std::io::Error::other("the index is not there")),
        }
    }

    fn put(&self, entry: &NewEntry) -> std::io::Result<()> {
        let head = Head::of(entry, now());
        let bytes = head.written()?;
        let size = (bytes.len() + entry.value.len()) as u64;
        if size > self.max_bytes {
            return Ok(());
        }
        self.with(|index| {
            files::write(&self.root, entry.key, &bytes, &entry.value)?;
            index.insert(entry.key, size);
            while index.bytes() > self.max_bytes {
                match index.oldest() {
                    Some(oldest) => self.remove(index, oldest)?,
                    None => break,
                }
            }
            Ok(())
        })
    }

    fn get(&self, key: CacheKey) -> std::io::Result<Option<Bytes>> {
        let Some(mut file) = files::open(&self.root, key)? else {
            return Ok(None);
        };
        let Some(head) = files::head(&mut file)?.filter(|head| !head.is_over()) else {
            return Ok(None);
        };
        files::rest(file, &head)
    }

    fn describe(&self, key: CacheKey) -> std::io::Result<Option<Described>> {
        let Some(mut file) = files::open(&self.root, key)? else {
            return Ok(None);
        };
        let head = files::head(&mut file)?.filter(|head| !head.is_over());
        Ok(head.map(Head::described))
    }

    fn delete(&self, filter: &Filter) -> std::io::Result<u64> {
        self.with(|index| {
            let mut gone = 0;
            let keys = match filter.entry {
                Some(key) => vec![key],
                None => index.keys(),
            };
            for key in keys {
                if self.is_meant(filter, key)? {
                    self.remove(index, key)?;
                    gone += 1;
                }
            }
            Ok(gone)
        })
    }

    fn is_meant(&self, filter: &Filter, key: CacheKey) -> std::io::Result<bool> {
        let Some(mut file) = files::open(&self.root, key)? else {
            return Ok(false);
        };
        let head = files::head(&mut file)?;
        // What nobody can read is not kept by a filter that it might fit.
        Ok(head.is_none_or(|head| filter.means(&key, &head.labels)))
    }

    fn tend(&self) -> std::io::Result<()> {
        self.with(|index| {
            for key in index.keys() {
                let Some(mut file) = files::open(&self.root, key)? else {
                    index.remove(&key);
                    continue;
                };
                if files::head(&mut file)?.is_none_or(|head| head.is_over()) {
                    self.remove(index, key)?;
                }
            }
            Ok(())
        })
    }

    fn remove(&self, index: &mut Index, key: CacheKey) -> std::io::Result<()> {
        index.remove(&key);
        files::delete(&self.root, key)
    }
}

impl Backend for DiskBackend {
    fn name(&self) -> &'static str {
        "disk"
    }

    fn get(&self, key: CacheKey) -> Doing<'_, Option<Bytes>> {
        self.doing(move |folder| folder.get(key))
    }

    fn put<'a>(&'a self, entry: &'a NewEntry) -> Doing<'a, ()> {
        let entry = entry.clone();
        self.doing(move |folder| folder.put(&entry))
    }

    fn delete<'a>(&'a self, filter: &'a Filter) -> Doing<'a, u64> {
        let filter = filter.clone();
        self.doing(move |folder| folder.delete(&filter))
    }

    fn describe(&self, key: CacheKey) -> Doing<'_, Option<Described>> {
        self.doing(move |folder| folder.describe(key))
    }

    fn holds(&self) -> Doing<'_, Holds> {
        self.doing(|folder| {
            folder.with(|index| {
                Ok(Holds {
                    entries: index.keys().len() as u64,
                    bytes: Some(index.bytes()),
                })
            })
        })
    }

    fn tend(&self) -> Doing<'_, ()> {
        self.doing(Folder::tend)
    }

    fn is_shared(&self) -> bool {
        false
    }

    fn tell(&self, _: Bytes) -> Doing<'_, ()> {
        async { Ok(()) }.boxed()
    }

    fn hear(&self, after: Heard, _: usize) -> Doing<'_, (Vec<Bytes>, Heard)> {
        async move { Ok((Vec::new(), after)) }.boxed()
    }
}
