//! What a provider keeps: responses, files, batches. Bounded: the oldest goes first.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use serde_json::Value;

use crate::anthropic::KeptBatch;
use crate::openai::KeptFile;

/// Things of a kind that are kept.
const MOST: usize = 10_000;

/// Things by their identifier, in the order in which they came.
#[derive(Default)]
pub(crate) struct Shelf<T> {
    inner: Mutex<Inner<T>>,
}

struct Inner<T> {
    next: u64,
    all: BTreeMap<u64, (String, T)>,
}

impl<T> Default for Inner<T> {
    fn default() -> Self {
        Self {
            next: 0,
            all: BTreeMap::new(),
        }
    }
}

impl<T: Clone> Shelf<T> {
    /// A number that was not given before.
    pub(crate) fn number(&self) -> u64 {
        let mut inner = self.inner.lock();
        inner.next += 1;
        inner.next
    }

    /// Keeps a thing; replaces one of the same name.
    pub(crate) fn put(&self, id: &str, thing: T) {
        let mut inner = self.inner.lock();
        if let Some(old) = inner.all.values_mut().find(|(name, _)| name == id) {
            old.1 = thing;
            return;
        }
        inner.next += 1;
        let number = inner.next;
        inner.all.insert(number, (id.to_owned(), thing));
        if inner.all.len() > MOST {
            inner.all.pop_first();
        }
    }

    /// A thing by name.
    pub(crate) fn get(&self, id: &str) -> Option<T> {
        let inner = self.inner.lock();
        // The newest are asked for most.
        inner
            .all
            .values()
            .rev()
            .find(|(name, _)| name == id)
            .map(|(_, thing)| thing.clone())
    }

    /// Changes a thing.
    pub(crate) fn change(&self, id: &str, change: impl FnOnce(&mut T)) {
        if let Some((_, thing)) = self.inner.lock().all.values_mut().find(|(name, _)| name == id) {
            change(thing);
        }
    }

    /// Forgets a thing, and says whether it was there.
    pub(crate) fn remove(&self, id: &str) -> bool {
        let mut inner = self.inner.lock();
        let before = inner.all.len();
        inner.all.retain(|_, (name, _)| name != id);
        inner.all.len() < before
    }

    /// All of them, newest first.
    pub(crate) fn all(&self) -> Vec<T> {
        let inner = self.inner.lock();
        inner.all.values().rev().map(|(_, thing)| thing.clone()).collect()
    }
}

/// A response that was kept, with what it was an answer to.
#[derive(Clone, Default)]
pub(crate) struct KeptResponse {
    pub(crate) body: Value,
    /// All input items, those of earlier responses included.
    pub(crate) input: Vec<Value>,
}

/// All that is kept.
#[derive(Default)]
pub(crate) struct Store {
    pub(crate) responses: Shelf<KeptResponse>,
    pub(crate) files: Shelf<KeptFile>,
    pub(crate) batches: Shelf<Value>,
    pub(crate) message_batches: Shelf<KeptBatch>,
    /// Pieces of texts; their places are the numbers of tokens.
    pub(crate) words: Mutex<Vec<String>>,
}

/// A page of a list, as `limit` and `after` ask for it: the things, and whether there are more.
pub(crate) fn page(all: Vec<Value>, query: &str) -> (Vec<Value>, bool) {
    let asked = |name: &str| crate::routes::query(query, name);
    let limit = asked("limit").and_then(|limit| limit.parse().ok()).unwrap_or(20);
    let after = asked("after").or_else(|| asked("after_id"));
    let start = after
        .and_then(|after| all.iter().position(|one| one["id"] == after.as_str()))
        .map_or(0, |at| at + 1);
    let rest = all.len().saturating_sub(start);
    let page = all.into_iter().skip(start).take(limit).collect();
    (page, rest > limit)
}
