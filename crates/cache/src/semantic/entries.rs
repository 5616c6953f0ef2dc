//! What is remembered of questions: by number, and for each owner from the oldest to the newest.
//!
//! When there is no room, the oldest of the owner who holds most goes: who floods the cache pushes out what is their own.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use pointsman_semantics::similar::Prompt;

use crate::key::CacheKey;

/// What an entry costs beside value, words and vector: itself, and its places in tables that may be half empty.
pub const OVERHEAD: usize = 512;
/// Numbers of entries that are gone, and still stand in the order of an owner, at most beside as many as are there.
const SLACK: usize = 32;

/// A question with its answer.
pub struct Entry<V> {
    /// Everything else that changes the answer.
    pub partition: CacheKey,
    /// Who may see it.
    pub owner: u64,
    /// Of the text.
    pub text: CacheKey,
    /// The words.
    pub prompt: Prompt,
    /// The answer.
    pub value: Arc<V>,
    /// Bytes that it is counted with.
    pub cost: usize,
    /// When it was remembered.
    pub stored: Instant,
    /// Until when it is.
    pub expires: Instant,
}

/// All entries.
pub struct Entries<V> {
    all: HashMap<u64, Arc<Entry<V>>, foldhash::fast::RandomState>,
    owners: HashMap<u64, Owner, foldhash::fast::RandomState>,
    /// Bytes that each owner is counted with, the most last.
    sizes: BTreeSet<(usize, u64)>,
    bytes: usize,
    next: u64,
}

#[derive(Default)]
struct Owner {
    order: VecDeque<u64>,
    entries: usize,
    bytes: usize,
}

impl<V> Default for Entries<V> {
    fn default() -> Self {
        Self {
            all: HashMap::default(),
            owners: HashMap::default(),
            sizes: BTreeSet::new(),
            bytes: 0,
            next: 0,
        }
    }
}

impl<V> Entries<V> {
    pub fn len(&self) -> usize {
        self.all.len()
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn get(&self, id: u64) -> Option<Arc<Entry<V>>> {
        self.all.get(&id).map(Arc::clone)
    }

    /// Puts an entry in, and gives its number.
    pub fn put(&mut self, entry: Entry<V>) -> u64 {
        let (id, name, cost) = (self.next, entry.owner, entry.cost);
        self.next += 1;
        self.bytes += cost;
        self.all.insert(id, Arc::new(entry));
        let owner = self.owners.entry(name).or_default();
        self.sizes.remove(&(owner.bytes, name));
        owner.order.push_back(id);
        owner.entries += 1;
        owner.bytes += cost;
        self.sizes.insert((owner.bytes, name));
        id
    }

    /// Takes an entry out.
    pub fn remove(&mut self, id: u64) -> Option<Arc<Entry<V>>> {
        let entry = self.all.remove(&id)?;
        self.bytes -= entry.cost;
        let name = entry.owner;
        if let Some(owner) = self.owners.get_mut(&name) {
            self.sizes.remove(&(owner.bytes, name));
            owner.entries -= 1;
            owner.bytes -= entry.cost;
            if owner.entries == 0 {
                self.owners.remove(&name);
            } else {
                self.sizes.insert((owner.bytes, name));
                if owner.order.len() > 2 * owner.entries + SLACK {
                    let all = &self.all;
                    owner.order.retain(|id| all.contains_key(id));
                }
            }
        }
        Some(entry)
    }

    /// Takes out the oldest entry of the owner who holds most.
    pub fn evict(&mut self) -> Option<(u64, Arc<Entry<V>>)> {
        let (_, name) = *self.sizes.last()?;
        loop {
            let id = self.owners.get_mut(&name)?.order.pop_front()?;
            if let Some(entry) = self.remove(id) {
                return Some((id, entry));
            }
        }
    }

    /// Numbers and partitions of those that are meant.
    pub fn pick(&self, mut is_meant: impl FnMut(&Entry<V>) -> bool) -> Vec<(u64, CacheKey)> {
        let meant = self.all.iter().filter(|(_, entry)| is_meant(entry));
        meant.map(|(id, entry)| (*id, entry.partition)).collect()
    }

    /// Takes all out.
    pub fn clear(&mut self) {
        *self = Self {
            next: self.next,
            ..Self::default()
        };
    }
}
