//! The exact cache: sharded, bounded by bytes. What goes first is what has not been used for longest, unless it was asked for
//! more often than what would take its place (W-TinyLFU): a thousand requests that come once do not push out the one that
//! comes every minute.

mod shard;
mod sketch;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::key::CacheKey;
use shard::{Entry, Shard};

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
        let found = {
            let mut shard = self.shard(key).lock();
            shard.count(key);
            shard.get(key, now)
        };
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
        let entry = Entry::new(key, value, cost, expires);
        let evicted = self.shard(&key).lock().put(entry, room, now);
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
            forgotten += shard.lock().forget(&mut is_meant);
        }
        forgotten
    }

    /// The value of a key and how long it will be remembered, without a trace of having looked.
    pub fn peek(&self, key: &CacheKey, now: Instant) -> Option<(Arc<V>, Duration)> {
        self.shard(key).lock().peek(key, now)
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
            stats.entries += shard.len();
            stats.bytes += shard.bytes();
        }
        stats
    }

    fn shard(&self, key: &CacheKey) -> &Mutex<Shard<V>> {
        &self.shards[usize::from(key.0[0]) % SHARDS]
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
            let (places, table) = shard.lock().places();
            assert!(places <= ROOM / SHARDS / (100 + ENTRY_OVERHEAD) + 1);
            assert!(table <= 4 * places);
        }
    }

    /// Hits among requests that come again and again, in a row of others that come once.
    fn hits(between: u64) -> u64 {
        const ROOM: usize = 32 * 64 * (100 + ENTRY_OVERHEAD);
        let cache = ExactCache::new(&Bounds {
            max_bytes: ROOM,
            max_entry_bytes: ROOM,
        });
        let key = |number: u64| {
            let mut key = crate::key::KeyBuilder::new();
            key.field("number", &number.to_le_bytes());
            key.finish()
        };
        let (now, hour) = (Instant::now(), Duration::from_secs(3_600));
        let asked = |number: u64| {
            let found = cache.get(&key(number), now).is_some();
            if !found {
                cache.put(key(number), Arc::new(()), 100, hour, now);
            }
            u64::from(found)
        };
        // A thousand that are wanted take half of the room; between two rounds come as many others as `between` says.
        let mut once = 1_000_000;
        let mut hits = 0;
        for round in 0..8 {
            for number in 0..1_000 {
                let hit = asked(number);
                hits += if round >= 4 { hit } else { 0 };
            }
            for _ in 0..between {
                once += 1;
                asked(once);
            }
        }
        hits
    }

    #[test]
    fn what_comes_once_does_not_push_out_what_comes_again() {
        assert_eq!(hits(0), 4_000);
        // By time of use alone, four thousand strangers in a room of two thousand would leave nothing behind.
        let found = hits(4_000);
        assert!(found > 3_600, "{found} of 4000");
    }

    #[test]
    fn what_has_become_useless_makes_room() {
        let cache = cache(2);
        let (now, second) = (Instant::now(), Duration::from_secs(1));
        for number in [1, 2] {
            cache.put(key(number), Arc::new(number), 100, second, now);
            for _ in 0..9 {
                assert!(cache.get(&key(number), now).is_some());
            }
        }
        cache.put(key(3), Arc::new(3), 100, second, now);
        assert!(cache.get(&key(3), now).is_none(), "both are wanted more");
        let later = now + second;
        cache.put(key(4), Arc::new(4), 100, second, later);
        cache.put(key(5), Arc::new(5), 100, second, later);
        assert!(cache.get(&key(4), later).is_some() && cache.get(&key(5), later).is_some());
        assert_eq!(cache.stats().entries, 2);
    }

    proptest! {
        #[test]
        fn unasked_for_it_behaves_as_a_plain_list(numbers in proptest::collection::vec(0_u8..8, 0..200)) {
            let cache = cache(3);
            let now = Instant::now();
            let mut plain: Vec<u8> = Vec::new();
            for number in numbers {
                cache.put(key(number), Arc::new(number), 100, Duration::from_secs(9), now);
                plain.retain(|other| *other != number);
                plain.push(number);
                if plain.len() > 3 {
                    plain.remove(0);
                }
                for number in 0..8 {
                    prop_assert_eq!(cache.peek(&key(number), now).is_some(), plain.contains(&number));
                }
            }
        }

        #[test]
        fn whatever_is_done_bytes_are_bounded_and_counted(
            steps in proptest::collection::vec((0_u8..12, 0_u8..4, 1_usize..400), 0..300),
        ) {
            let cache = cache(4);
            let room = 4 * (100 + ENTRY_OVERHEAD);
            let now = Instant::now();
            for (number, what, cost) in steps {
                match what {
                    0 => drop(cache.forget(|_, value| *value == number)),
                    1 | 2 => {
                        if let Some(found) = cache.get(&key(number), now) {
                            prop_assert_eq!(*found, number);
                        }
                    }
                    _ => cache.put(key(number), Arc::new(number), cost, Duration::from_secs(9), now),
                }
                prop_assert!(cache.stats().bytes <= room);
                prop_assert_eq!(cache.shards[0].lock().counted(), (cache.stats().entries, cache.stats().bytes));
            }
        }
    }
}
