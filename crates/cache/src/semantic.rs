//! The semantic cache: answers to questions that ask the same in other words.
//!
//! A question is compared only with those of its own partition: everything else that changes the answer, and those who
//! may see it, are equal there by hash. Nearness of vectors finds who could be the same; the verifier says who is.

mod entries;

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, RwLock};
use pointsman_semantics::error::LoadError;
use pointsman_semantics::similar::{Point, Prompt, Verdict, Verifier};
use pointsman_semantics::vectors::{Limits, VectorIndex};

use crate::exact::Stats;
use crate::key::CacheKey;
use entries::{Entries, Entry};

/// How many of the nearest are verified.
const CANDIDATES: usize = 8;
/// What is further away than this is another question: of pairs that ask the same, fewer than one in a hundred is.
const NEAR: f32 = 0.5;
/// From here on two vectors may be of the same text.
const SAME: f32 = 0.999;

/// A question, understood.
pub struct Question {
    partition: CacheKey,
    owner: CacheKey,
    /// Of the text, to know it again.
    text: CacheKey,
    /// The text itself; not remembered.
    said: Box<str>,
    prompt: Prompt,
    vector: Vec<f32>,
}

impl Question {
    /// All but the text that changes its answer, and those who may see it.
    #[must_use]
    pub fn place(&self) -> (CacheKey, CacheKey) {
        (self.partition, self.owner)
    }

    /// Its text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.said
    }

    /// Its vector.
    #[must_use]
    pub fn vector(&self) -> &[f32] {
        &self.vector
    }
}

/// How a question is looked up.
#[derive(Debug, Clone, Copy)]
pub struct Lookup {
    /// How sure it must be.
    pub point: Point,
    /// Nothing older than this.
    pub max_age: Option<Duration>,
}

/// An answer to a question that asks the same.
pub struct Found<V> {
    /// The answer.
    pub value: Arc<V>,
    /// Cosine between the questions.
    pub similarity: f32,
}

/// Values by question.
pub struct SemanticCache<V> {
    verifier: OnceLock<Verifier>,
    /// Made when the first vector says how wide they are.
    index: RwLock<Option<Indexed>>,
    entries: Mutex<Entries<V>>,
    /// Held by whoever writes, so that entries and vectors stay together.
    writing: Mutex<()>,
    max_bytes: AtomicUsize,
    counts: Counts,
}

#[derive(Clone)]
struct Indexed {
    width: usize,
    vectors: Arc<VectorIndex>,
}

#[derive(Default)]
struct Counts {
    hits: AtomicU64,
    misses: AtomicU64,
    evictions: AtomicU64,
}

fn cosine(one: &[f32], other: &[f32]) -> f32 {
    let pairs = one.iter().zip(other);
    let (product, first, second) = pairs.fold((0.0, 0.0, 0.0), |(product, first, second), (a, b)| {
        (product + a * b, first + a * a, second + b * b)
    });
    product / (f32::sqrt(first) * f32::sqrt(second))
}

impl<V> SemanticCache<V> {
    /// An empty cache of so many bytes.
    #[must_use]
    pub fn new(max_bytes: usize) -> Self {
        Self {
            verifier: OnceLock::new(),
            index: RwLock::default(),
            entries: Mutex::default(),
            writing: Mutex::default(),
            max_bytes: AtomicUsize::new(max_bytes),
            counts: Counts::default(),
        }
    }

    /// Takes a new bound; what is remembered stays as far as it fits.
    pub fn reconfigure(&self, max_bytes: usize) {
        self.max_bytes.store(max_bytes, Ordering::Relaxed);
        let _writing = self.writing.lock();
        self.shrink();
    }

    /// Reads the lists by which questions are verified, if that was not done before. Takes some milliseconds.
    ///
    /// # Errors
    /// When what ships is damaged.
    pub fn prepare(&self) -> Result<(), LoadError> {
        if self.verifier.get().is_none() {
            let verifier = Verifier::shipped()?;
            // Somebody else may have been faster.
            let _ = self.verifier.set(verifier);
        }
        Ok(())
    }

    /// Whether questions can be verified.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.verifier.get().is_some()
    }

    /// Reads a question. `partition` is the hash of all else that changes the answer, `owner` of those who may see it.
    /// None before [`prepare`](Self::prepare).
    pub fn question(
        &self,
        (partition, owner): (CacheKey, CacheKey),
        text: &str,
        vector: Vec<f32>,
    ) -> Option<Question> {
        let mut own = crate::key::KeyBuilder::new();
        own.field("text", text.as_bytes());
        Some(Question {
            partition,
            owner,
            text: own.finish(),
            said: text.into(),
            prompt: self.verifier.get()?.read(text),
            vector,
        })
    }

    /// The answer to a question that asks the same.
    pub fn find(&self, question: &Question, lookup: Lookup, now: Instant) -> Option<Found<V>> {
        let found = self.search(question, lookup, now);
        let counter = if found.is_some() {
            &self.counts.hits
        } else {
            &self.counts.misses
        };
        counter.fetch_add(1, Ordering::Relaxed);
        found
    }

    fn search(&self, question: &Question, lookup: Lookup, now: Instant) -> Option<Found<V>> {
        let verifier = self.verifier.get()?;
        let index = self.index_of(question.vector.len())?;
        let tenant = question.partition.short();
        let near = index
            .nearest(tenant, &question.vector, CANDIDATES, NEAR)
            .unwrap_or_default();
        for near in near {
            let entry = self.entries.lock().get(near.id);
            let Some(entry) = entry.filter(|entry| entry.partition == question.partition) else {
                continue;
            };
            if entry.expires <= now {
                self.drop_entry(&index, tenant, near.id);
                continue;
            }
            let is_young = lookup
                .max_age
                .is_none_or(|age| now.saturating_duration_since(entry.stored) <= age);
            if is_young
                && let Verdict::Same(_) = verifier.verify(&question.prompt, &entry.prompt, None, lookup.point)
            {
                return Some(Found {
                    value: Arc::clone(&entry.value),
                    similarity: near.cosine,
                });
            }
        }
        None
    }

    /// The cosine between a question and one that lies elsewhere, with this text and vector; none where that asks something
    /// else.
    #[must_use]
    pub fn alike(&self, question: &Question, (text, vector): (&str, &[f32]), point: Point) -> Option<f32> {
        let verifier = self.verifier.get()?;
        if vector.len() != question.vector.len() {
            return None;
        }
        let cosine = cosine(&question.vector, vector);
        if cosine.is_nan() || cosine < NEAR {
            return None;
        }
        match verifier.verify(&question.prompt, &verifier.read(text), None, point) {
            Verdict::Same(_) => Some(cosine),
            _ => None,
        }
    }

    /// Remembers a value of `cost` bytes for `ttl`, in place of an earlier one to the same text.
    pub fn put(&self, question: Question, value: Arc<V>, cost: usize, ttl: Duration, now: Instant) {
        let max_bytes = self.max_bytes.load(Ordering::Relaxed);
        let Some(expires) = now.checked_add(ttl).filter(|_| !ttl.is_zero()) else {
            return;
        };
        let cost = cost + question.prompt.bytes() + entries::OVERHEAD;
        if cost > max_bytes / 2 || question.vector.is_empty() {
            return;
        }
        let _writing = self.writing.lock();
        let index = self.index_for(question.vector.len());
        let tenant = question.partition.short();
        let before = index.nearest(tenant, &question.vector, CANDIDATES, SAME);
        for near in before.unwrap_or_default() {
            let entry = self.entries.lock().get(near.id);
            if entry.is_some_and(|entry| (entry.partition, entry.text) == (question.partition, question.text))
            {
                self.drop_entry(&index, tenant, near.id);
            }
        }
        let id = self.entries.lock().put(Entry {
            partition: question.partition,
            owner: question.owner.short(),
            text: question.text,
            prompt: question.prompt,
            value,
            cost,
            stored: now,
            expires,
        });
        if index.put(tenant, id, &question.vector).is_err() {
            // A vector without direction is near nothing.
            self.entries.lock().remove(id);
        }
        self.shrink();
    }

    /// Whether vectors of this width can be compared with those that are remembered.
    #[must_use]
    pub fn has_width(&self, width: usize) -> bool {
        self.index
            .read()
            .as_ref()
            .is_none_or(|index| index.width == width)
    }

    /// Forgets what is meant; says how many entries that were. Looks at all of them.
    pub fn forget(&self, mut is_meant: impl FnMut(&V) -> bool) -> usize {
        let _writing = self.writing.lock();
        let Some(index) = self.index.read().clone() else {
            return 0;
        };
        let meant = self.entries.lock().pick(|entry| is_meant(&entry.value));
        for (id, partition) in &meant {
            self.drop_entry(&index.vectors, partition.short(), *id);
        }
        meant.len()
    }

    /// Lets the oldest of whoever holds most go, until all fits.
    fn shrink(&self) {
        let Some(index) = self.index.read().clone() else {
            return;
        };
        let max_bytes = self.max_bytes.load(Ordering::Relaxed);
        loop {
            let mut entries = self.entries.lock();
            if entries.bytes() + index.vectors.counted_bytes() <= max_bytes {
                return;
            }
            let Some((id, entry)) = entries.evict() else {
                return;
            };
            drop(entries);
            index.vectors.delete(entry.partition.short(), id);
            self.counts.evictions.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn drop_entry(&self, index: &VectorIndex, tenant: u64, id: u64) {
        drop(self.entries.lock().remove(id));
        index.delete(tenant, id);
    }

    fn index_of(&self, width: usize) -> Option<Arc<VectorIndex>> {
        let index = self.index.read();
        let index = index.as_ref().filter(|index| index.width == width)?;
        Some(Arc::clone(&index.vectors))
    }

    /// The index of vectors of this width; a new one when those before were of another model.
    fn index_for(&self, width: usize) -> Arc<VectorIndex> {
        if let Some(index) = self.index_of(width) {
            return index;
        }
        let limits = Limits {
            vectors: usize::MAX,
            // Its vectors are counted with the entries, and go with them.
            bytes: usize::MAX,
            ..Limits::default()
        };
        let vectors = Arc::new(VectorIndex::new(width, limits));
        self.entries.lock().clear();
        *self.index.write() = Some(Indexed {
            width,
            vectors: Arc::clone(&vectors),
        });
        vectors
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.lock().len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How it does.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let vectors = self
            .index
            .read()
            .as_ref()
            .map_or(0, |index| index.vectors.counted_bytes());
        let entries = self.entries.lock();
        Stats {
            hits: self.counts.hits.load(Ordering::Relaxed),
            misses: self.counts.misses.load(Ordering::Relaxed),
            evictions: self.counts.evictions.load(Ordering::Relaxed),
            entries: entries.len(),
            bytes: entries.bytes() + vectors,
        }
    }
}
