//! The exact cache: sharded, bounded by bytes, the least recently used goes first.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::key::CacheKey;

/// Locks are held for a few pointer moves, and a request meets another's with a chance of one in so many.
const SHARDS: usize = 32;
/// What an entry costs beside its value.
const ENTRY_OVERHEAD: usize = 160;

/// Bounds of a cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Most bytes of all entries.
    pub max_bytes: usize,
    /// Most bytes of one entry.
    pub max_entry_bytes: usize,
}

/// How a cache does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Look-ups that found something.
    pub hits: u64,
    /// Look-ups that did not.
    pub misses: u64,
    /// Entries that had to go.
    pub evictions: u64,
    /// Entries.
    pub entries: usize,
    /// Bytes.
    pub bytes: usize,
}

/// A cache of values that are never changed.
pub struct ExactCache<V> {
    shards: Box<[Mutex<Shard<V>>]>,
    max_bytes: AtomicUsize,
    max_entry_bytes: AtomicUsize,
    hits: AtomicU64,
    misses: AtomicU64,
    evictions: AtomicU64,
}

/// Entries in a list from the most to the least recently used, linked by index.
struct Shard<V> {
    index: HashMap<CacheKey, usize, foldhash::fast::RandomState>,
    entries: Vec<Option<Entry<V>>>,
    free: Vec<usize>,
    newest: Option<usize>,
    oldest: Option<usize>,
    bytes: usize,
}

struct Entry<V> {
    key: CacheKey,
    value: Arc<V>,
    cost: usize,
    expires: Instant,
    newer: Option<usize>,
    older: Option<usize>,
}

impl<V> ExactCache<V> {
    /// An empty cache.
    #[must_use]
    pub fn new(bounds: &Bounds) -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::new(Shard::new())).collect();
        Self {
            shards,
            max_bytes: AtomicUsize::new(bounds.max_bytes),
            max_entry_bytes: AtomicUsize::new(bounds.max_entry_bytes),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
            evictions: AtomicU64::new(0),
        }
    }

    /// Takes new bounds; what is remembered stays as far as it fits.
    pub fn reconfigure(&self, bounds: &Bounds) {
        self.max_bytes.store(bounds.max_bytes, Ordering::Relaxed);
        self.max_entry_bytes
            .store(bounds.max_entry_bytes, Ordering::Relaxed);
        for shard in &self.shards {
            let evicted = shard.lock().shrink(bounds.max_bytes / SHARDS);
            self.evictions.fetch_add(evicted, Ordering::Relaxed);
        }
    }

    /// The value of a key, if it is there and not too old.
    pub fn get(&self, key: &CacheKey, now: Instant) -> Option<Arc<V>> {
        let found = self.shard(key).lock().get(key, now);
        let counter = if found.is_some() { &self.hits } else { &self.misses };
        counter.fetch_add(1, Ordering::Relaxed);
        found
    }

    /// The same, not counted: for whoever has asked a moment ago.
    pub fn get_again(&self, key: &CacheKey, now: Instant) -> Option<Arc<V>> {
        self.shard(key).lock().get(key, now)
    }

    /// Remembers a value of `cost` bytes for `ttl`.
    pub fn put(&self, key: CacheKey, value: Arc<V>, cost: usize, ttl: Duration, now: Instant) {
        if !self.takes(cost) || ttl.is_zero() {
            return;
        }
        let cost = cost.saturating_add(ENTRY_OVERHEAD);
        let room = self.max_bytes.load(Ordering::Relaxed) / SHARDS;
        let Some(expires) = now.checked_add(ttl) else {
            return;
        };
        let mut shard = self.shard(&key).lock();
        shard.remove_key(&key);
        let evicted = shard.shrink(room.saturating_sub(cost));
        shard.push(Entry {
            key,
            value,
            cost,
            expires,
            newer: None,
            older: None,
        });
        drop(shard);
        self.evictions.fetch_add(evicted, Ordering::Relaxed);
    }

    /// Whether a value of `cost` bytes is remembered at all.
    pub fn takes(&self, cost: usize) -> bool {
        let cost = cost.saturating_add(ENTRY_OVERHEAD);
        let room = self.max_bytes.load(Ordering::Relaxed) / SHARDS;
        cost <= self.max_entry_bytes.load(Ordering::Relaxed) && cost <= room
    }

    /// Forgets what is meant; says how many values that were. Looks at all of them.
    pub fn forget(&self, mut is_meant: impl FnMut(&CacheKey, &V) -> bool) -> usize {
        let mut forgotten = 0;
        for shard in &self.shards {
            let mut shard = shard.lock();
            let meant = shard.entries.iter().enumerate().filter_map(|(at, entry)| {
                let entry = entry.as_ref()?;
                is_meant(&entry.key, &entry.value).then_some(at)
            });
            for at in meant.collect::<Vec<_>>() {
                shard.remove(at);
                forgotten += 1;
            }
        }
        forgotten
    }

    /// The value of a key and how long it will be remembered, without a trace of having looked.
    pub fn peek(&self, key: &CacheKey, now: Instant) -> Option<(Arc<V>, Duration)> {
        let shard = self.shard(key).lock();
        let entry = shard.entries[*shard.index.get(key)?].as_ref()?;
        let left = entry
            .expires
            .checked_duration_since(now)
            .filter(|left| !left.is_zero())?;
        Some((Arc::clone(&entry.value), left))
    }

    /// How it does.
    pub fn stats(&self) -> Stats {
        let mut stats = Stats {
            hits: self.hits.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
            evictions: self.evictions.load(Ordering::Relaxed),
            ..Stats::default()
        };
        for shard in &self.shards {
            let shard = shard.lock();
            stats.entries += shard.index.len();
            stats.bytes += shard.bytes;
        }
        stats
    }

    fn shard(&self, key: &CacheKey) -> &Mutex<Shard<V>> {
        &self.shards[usize::from(key.0[0]) % SHARDS]
    }
}

impl<V> Shard<V> {
    fn new() -> Self {
        Self {
            index: HashMap::default(),
            entries: Vec::new(),
            free: Vec::new(),
            newest: None,
            oldest: None,
            bytes: 0,
        }
    }

    fn get(&mut self, key: &CacheKey, now: Instant) -> Option<Arc<V>> {
        let at = *self.index.get(key)?;
        if self.entries[at]
            .as_ref()
            .is_some_and(|entry| entry.expires <= now)
        {
            self.remove(at);
            return None;
        }
        let entry = self.unlink(at)?;
        let value = Arc::clone(&entry.value);
        self.link(at, entry);
        Some(value)
    }

    fn push(&mut self, entry: Entry<V>) {
        self.bytes += entry.cost;
        let at = self.free.pop().unwrap_or_else(|| {
            self.entries.push(None);
            self.entries.len() - 1
        });
        self.index.insert(entry.key, at);
        self.link(at, entry);
    }

    fn remove_key(&mut self, key: &CacheKey) {
        if let Some(at) = self.index.get(key).copied() {
            self.remove(at);
        }
    }

    fn remove(&mut self, at: usize) {
        if let Some(entry) = self.unlink(at) {
            self.bytes -= entry.cost;
            self.index.remove(&entry.key);
            self.free.push(at);
        }
    }

    /// Lets the least recently used go until at most `room` bytes are left; says how many went.
    fn shrink(&mut self, room: usize) -> u64 {
        let mut evicted = 0;
        while self.bytes > room {
            let Some(at) = self.oldest else { break };
            self.remove(at);
            evicted += 1;
        }
        evicted
    }

    /// Puts an entry at the newest end.
    fn link(&mut self, at: usize, mut entry: Entry<V>) {
        entry.newer = None;
        entry.older = self.newest;
        if let Some(newest) = self.newest.and_then(|newest| self.entries[newest].as_mut()) {
            newest.newer = Some(at);
        }
        self.newest = Some(at);
        self.oldest.get_or_insert(at);
        self.entries[at] = Some(entry);
    }

    fn unlink(&mut self, at: usize) -> Option<Entry<V>> {
        let entry = self.entries[at].take()?;
        match entry.newer.and_then(|newer| self.entries[newer].as_mut()) {
            Some(newer) => newer.older = entry.older,
            None => self.newest = entry.older,
        }
        match entry.older.and_then(|older| self.entries[older].as_mut()) {
            Some(older) => older.newer = entry.newer,
            None => self.oldest = entry.newer,
        }
        Some(entry)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(number: u8) -> CacheKey {
        let mut key = [0; 32];
        key[31] = number;
        CacheKey(key)
    }

    fn cache(entries: usize) -> ExactCache<u8> {
        // All test keys fall into one shard.
        ExactCache::new(&Bounds {
            max_bytes: entries * (100 + ENTRY_OVERHEAD) * SHARDS,
            max_entry_bytes: 1_000,
        })
    }

    #[test]
    fn time_and_size_bound_it() {
        let cache = cache(2);
        let now = Instant::now();
        let hour = Duration::from_secs(3_600);
        cache.put(key(1), Arc::new(1), 100, hour, now);
        cache.put(key(2), Arc::new(2), 100, hour, now);
        assert!(cache.get(&key(1), now).is_some());
        cache.put(key(3), Arc::new(3), 100, hour, now);
        assert!(cache.get(&key(2), now).is_none(), "the least recently used went");
        assert!(cache.get(&key(1), now).is_some() && cache.get(&key(3), now).is_some());
        assert!(cache.get(&key(1), now + hour).is_none(), "its time is over");
        cache.put(key(4), Arc::new(4), 2_000, hour, now);
        assert!(cache.get(&key(4), now).is_none(), "too large");
        cache.reconfigure(&Bounds {
            max_bytes: 0,
            max_entry_bytes: 1_000,
        });
        assert_eq!(cache.stats().entries, 0);
    }

    #[test]
    fn what_is_meant_is_forgotten_and_the_rest_stays_in_order() {
        let cache = cache(4);
        let now = Instant::now();
        let hour = Duration::from_secs(3_600);
        for number in 1..=4 {
            cache.put(key(number), Arc::new(number), 100, hour, now);
        }
        assert_eq!(cache.forget(|_, value| value % 2 == 0), 2);
        assert_eq!(cache.stats().entries, 2);
        assert!(cache.peek(&key(2), now).is_none() && cache.peek(&key(3), now).unwrap().1 == hour);
        assert_eq!(cache.stats().misses, 0, "to peek is not to look up");
        for number in 5..=7 {
            cache.put(key(number), Arc::new(number), 100, hour, now);
        }
        assert!(cache.get(&key(1), now).is_none(), "the oldest went");
        assert!(cache.get(&key(3), now).is_some());
        assert_eq!(cache.forget(|_, _| true), 4);
        assert_eq!(cache.stats().bytes, 0);
    }

    #[test]
    fn a_million_entries_stream_through_in_bounded_memory() {
        const ROOM: usize = 4 << 20;
        let cache = ExactCache::new(&Bounds {
            max_bytes: ROOM,
            max_entry_bytes: ROOM,
        });
        let now = Instant::now();
        for number in 0..1_000_000_u64 {
            let mut key = [0; 32];
            key[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes());
            let cost = 100 + (number % 1_000) as usize;
            cache.put(CacheKey(key), Arc::new(()), cost, Duration::from_secs(9), now);
            if number % 10_000 == 0 {
                assert!(cache.stats().bytes <= ROOM);
            }
        }
        let stats = cache.stats();
        assert!(stats.bytes > ROOM / 2 && stats.entries > 4_000, "{stats:?}");
        assert_eq!(stats.evictions + stats.entries as u64, 1_000_000);
        // Places of those that are gone are used again: tables are as large as the most that ever fitted.
        for shard in &cache.shards {
            let shard = shard.lock();
            assert!(shard.entries.len() <= ROOM / SHARDS / (100 + ENTRY_OVERHEAD) + 1);
            assert!(shard.index.capacity() <= 4 * shard.entries.len());
        }
    }

    proptest! {
        #[test]
        fn it_behaves_as_a_plain_list(steps in proptest::collection::vec((0_u8..8, any::<bool>()), 0..200)) {
            let cache = cache(3);
            let now = Instant::now();
            let mut plain: Vec<u8> = Vec::new();
            for (number, put) in steps {
                if put {
                    cache.put(key(number), Arc::new(number), 100, Duration::from_secs(9), now);
                    plain.retain(|other| *other != number);
                    plain.push(number);
                    if plain.len() > 3 {
                        plain.remove(0);
                    }
                } else {
                    prop_assert_eq!(cache.get(&key(number), now).is_some(), plain.contains(&number));
                    if plain.contains(&number) {
                        plain.retain(|other| *other != number);
                        plain.push(number);
                    }
                }
                prop_assert_eq!(cache.stats().entries, plain.len());
            }
        }
    }
}
