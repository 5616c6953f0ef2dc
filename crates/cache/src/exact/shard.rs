//! A part of the exact cache: entries in two lists, each from the most to the least recently used, linked by index.
//!
//! What comes is in the first list, the window, which has a tenth of the room. What leaves the window goes on to the second
//! list if there is room, or if it was asked for as often as what would have to make room: else it goes.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::sketch::Sketch;
use crate::key::CacheKey;

/// The window's part of the room.
const WINDOW: usize = 10;

/// Entries.
pub struct Shard<V> {
    index: HashMap<CacheKey, usize, foldhash::fast::RandomState>,
    entries: Vec<Option<Entry<V>>>,
    free: Vec<usize>,
    window: List,
    main: List,
    sketch: Sketch,
}

/// One of both lists.
#[derive(Default)]
struct List {
    newest: Option<usize>,
    oldest: Option<usize>,
    bytes: usize,
}

/// A value, and where it stands.
pub struct Entry<V> {
    key: CacheKey,
    value: Arc<V>,
    cost: usize,
    expires: Instant,
    in_window: bool,
    newer: Option<usize>,
    older: Option<usize>,
}

impl<V> Entry<V> {
    pub fn new(key: CacheKey, value: Arc<V>, cost: usize, expires: Instant) -> Self {
        Self {
            key,
            value,
            cost,
            expires,
            in_window: true,
            newer: None,
            older: None,
        }
    }
}

impl<V> Shard<V> {
    pub fn new() -> Self {
        Self {
            index: HashMap::default(),
            entries: Vec::new(),
            free: Vec::new(),
            window: List::default(),
            main: List::default(),
            sketch: Sketch::default(),
        }
    }

    pub fn len(&self) -> usize {
        self.index.len()
    }

    pub fn bytes(&self) -> usize {
        self.window.bytes + self.main.bytes
    }

    /// Counts that a key was asked for.
    pub fn count(&mut self, key: &CacheKey) {
        self.sketch.count(key);
    }

    pub fn get(&mut self, key: &CacheKey, now: Instant) -> Option<Arc<V>> {
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

    /// A value and how long it is kept, without a trace of having looked.
    pub fn peek(&self, key: &CacheKey, now: Instant) -> Option<(Arc<V>, Duration)> {
        let entry = self.entries[*self.index.get(key)?].as_ref()?;
        let left = entry.expires.checked_duration_since(now);
        let left = left.filter(|left| !left.is_zero())?;
        Some((Arc::clone(&entry.value), left))
    }

    /// Puts an entry in, in place of the one before; says how many others went, or whether it did itself.
    pub fn put(&mut self, entry: Entry<V>, room: usize, now: Instant) -> u64 {
        if let Some(at) = self.index.get(&entry.key).copied() {
            self.remove(at);
        }
        let at = self.free.pop().unwrap_or_else(|| {
            self.entries.push(None);
            self.entries.len() - 1
        });
        self.index.insert(entry.key, at);
        self.link(at, entry);
        let mut evicted = 0;
        while self.window.bytes > room / WINDOW {
            let Some(at) = self.window.oldest else { break };
            evicted += self.pass_on(at, room, now);
        }
        // The second list may have had room that the window takes now.
        evicted + self.shrink(room)
    }

    /// Takes the last of the window into the other list if it may; says how many entries went.
    fn pass_on(&mut self, at: usize, room: usize, now: Instant) -> u64 {
        let Some(candidate) = self.entries[at].as_ref() else {
            return 0;
        };
        let (key, cost) = (candidate.key, candidate.cost);
        // What the window does not use is the second list's.
        let room = room.saturating_sub(self.window.bytes - cost);
        let Some(victims) = self.victims(&key, cost, room, now) else {
            self.remove(at);
            return 1;
        };
        let evicted = victims.len() as u64;
        for victim in victims {
            self.remove(victim);
        }
        if let Some(mut entry) = self.unlink(at) {
            entry.in_window = false;
            self.link(at, entry);
        }
        evicted
    }

    /// What would have to go from the second list for an entry of this key and cost; none where one of those is wanted more.
    fn victims(&self, key: &CacheKey, cost: usize, room: usize, now: Instant) -> Option<Vec<usize>> {
        let often = self.sketch.often(key);
        let (mut left, mut victims, mut next) = (self.main.bytes, Vec::new(), self.main.oldest);
        while left + cost > room {
            let at = next?;
            let victim = self.entries[at].as_ref()?;
            if victim.expires > now && self.sketch.often(&victim.key) > often {
                return None;
            }
            left -= victim.cost;
            next = victim.newer;
            victims.push(at);
        }
        Some(victims)
    }

    /// Forgets what is meant; says how many that were.
    pub fn forget(&mut self, is_meant: &mut impl FnMut(&CacheKey, &V) -> bool) -> usize {
        let meant = self.entries.iter().enumerate().filter_map(|(at, entry)| {
            let entry = entry.as_ref()?;
            is_meant(&entry.key, &entry.value).then_some(at)
        });
        let meant: Vec<usize> = meant.collect();
        for at in &meant {
            self.remove(*at);
        }
        meant.len()
    }

    /// Lets the least recently used go until at most `room` bytes are left; says how many went.
    pub fn shrink(&mut self, room: usize) -> u64 {
        let mut evicted = 0;
        while self.bytes() > room {
            let Some(at) = self.main.oldest.or(self.window.oldest) else {
                break;
            };
            self.remove(at);
            evicted += 1;
        }
        evicted
    }

    fn remove(&mut self, at: usize) {
        if let Some(entry) = self.unlink(at) {
            self.index.remove(&entry.key);
            self.free.push(at);
        }
    }

    fn list(&mut self, in_window: bool) -> &mut List {
        if in_window {
            &mut self.window
        } else {
            &mut self.main
        }
    }

    /// Puts an entry at the newest end of its list.
    fn link(&mut self, at: usize, mut entry: Entry<V>) {
        let list = self.list(entry.in_window);
        list.bytes += entry.cost;
        let newest = list.newest.replace(at);
        list.oldest.get_or_insert(at);
        entry.newer = None;
        entry.older = newest;
        if let Some(newest) = newest.and_then(|newest| self.entries[newest].as_mut()) {
            newest.newer = Some(at);
        }
        self.entries[at] = Some(entry);
    }

    fn unlink(&mut self, at: usize) -> Option<Entry<V>> {
        let entry = self.entries[at].take()?;
        self.list(entry.in_window).bytes -= entry.cost;
        match entry.newer.and_then(|newer| self.entries[newer].as_mut()) {
            Some(newer) => newer.older = entry.older,
            None => self.list(entry.in_window).newest = entry.older,
        }
        match entry.older.and_then(|older| self.entries[older].as_mut()) {
            Some(older) => older.newer = entry.newer,
            None => self.list(entry.in_window).oldest = entry.newer,
        }
        Some(entry)
    }

    /// Places for entries, and room of the table.
    #[cfg(test)]
    pub fn places(&self) -> (usize, usize) {
        (self.entries.len(), self.index.capacity())
    }

    /// Entries and bytes, counted anew.
    #[cfg(test)]
    pub fn counted(&self) -> (usize, usize) {
        let all = self.entries.iter().flatten();
        all.fold((0, 0), |(count, bytes), entry| (count + 1, bytes + entry.cost))
    }
}
