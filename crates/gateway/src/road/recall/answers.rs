//! Remembered answers of all kinds: what outlasts a configuration.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use pointsman_cache::{
    Bounds, CacheKey, ExactCache, Filter, Flights, Labels, Question, Remote, SemanticCache,
};
use pointsman_understanding::Understanding;

use super::{Kept, Recalled, Remembered};
use crate::server::Shared;

/// How long a model that could not be loaded is left alone.
const REST: Duration = Duration::from_secs(30);
/// From so many entries on, finding the place of another may take milliseconds: not on a thread that serves requests.
const LARGE: usize = 16_384;
/// Answers that wait for their place, at most; more are not remembered by their question.
const WAITING: usize = 32;

/// Where the answer to a question is.
pub struct Pointer {
    /// Its key.
    pub entry: CacheKey,
    /// What it is known by.
    pub labels: Arc<Labels>,
    /// The answer itself; where it is not here, the back end may have it.
    pub answer: Option<Arc<Remembered>>,
}

/// Remembered answers.
pub struct Answers {
    /// To the same request.
    pub exact: ExactCache<Kept>,
    /// To requests under way.
    pub flights: Arc<Flights<Recalled>>,
    /// To questions that ask the same.
    pub semantic: SemanticCache<Pointer>,
    /// Where they are kept beside this process.
    pub remote: Option<Arc<Remote>>,
    /// What this process is called by those who share the back end.
    pub name: String,
    /// Answers past their time that are asked for anew.
    pub refreshing: AtomicUsize,
    /// Somebody loads what questions are understood with.
    loading: AtomicBool,
    /// Answers that wait for their place.
    waiting: AtomicUsize,
}

impl Answers {
    /// None yet; bounds of the exact cache, bytes of the semantic one.
    pub fn new((exact, semantic): (Bounds, usize), remote: Option<Arc<Remote>>) -> Self {
        Self {
            remote,
            name: format!("{:032x}", rand::random::<u128>()),
            exact: ExactCache::new(&exact),
            flights: Arc::default(),
            semantic: SemanticCache::new(semantic),
            refreshing: AtomicUsize::new(0),
            loading: AtomicBool::new(false),
            waiting: AtomicUsize::new(0),
        }
    }

    /// Takes new bounds; what is remembered stays as far as it fits.
    pub fn reconfigure(&self, (exact, semantic): (Bounds, usize)) {
        self.exact.reconfigure(&exact);
        self.semantic.reconfigure(semantic);
    }

    /// Forgets what a filter means in the memory of this process; says how many answers of each cache that were.
    pub fn forget(&self, filter: &Filter) -> [usize; 2] {
        let exact = self.exact.forget(|key, kept| filter.means(key, kept.labels()));
        let semantic = self
            .semantic
            .forget(|pointer| filter.means(&pointer.entry, &pointer.labels));
        [exact, semantic]
    }

    /// Entries, bytes and evictions of the exact and of the semantic cache.
    pub fn sizes(&self) -> [[u64; 3]; 2] {
        let of = |stats: pointsman_cache::Stats| [stats.entries as u64, stats.bytes as u64, stats.evictions];
        [of(self.exact.stats()), of(self.semantic.stats())]
    }
}

/// Remembers an answer of `bytes` that lies under `entry` by its question. Must be called within a runtime.
pub fn remember(
    shared: &Arc<Shared>,
    question: Question,
    (entry, answer): (CacheKey, &Arc<Remembered>),
    (bytes, ttl): (usize, Duration),
) {
    shared.cache.tell(&question, entry, answer, ttl);
    let pointer = Pointer {
        entry,
        labels: Arc::clone(&answer.labels),
        answer: Some(Arc::clone(answer)),
    };
    let (answer, now) = (Arc::new(pointer), Instant::now());
    if shared.cache.semantic.len() < LARGE {
        shared.cache.semantic.put(question, answer, bytes, ttl, now);
        return;
    }
    if shared.cache.waiting.fetch_add(1, Ordering::Relaxed) >= WAITING {
        shared.cache.waiting.fetch_sub(1, Ordering::Relaxed);
        return;
    }
    let shared = Arc::clone(shared);
    drop(tokio::task::spawn_blocking(move || {
        shared.cache.semantic.put(question, answer, bytes, ttl, now);
        shared.cache.waiting.fetch_sub(1, Ordering::Relaxed);
    }));
}

/// Loads what questions are understood with, if the configuration has them understood: the first need not wait for it.
/// Must be called within a runtime.
pub fn warm(shared: &Arc<Shared>) {
    let snapshot = shared.snapshot.load();
    let mut policies = snapshot.cache.iter().chain(&snapshot.cache_of_decisions);
    if policies.any(|cache| cache.semantic.is_some()) {
        understands(shared, &snapshot.understanding);
    }
}

/// Whether questions can be understood now. If not, what it takes is loaded meanwhile; must be called within a runtime.
pub fn understands(shared: &Arc<Shared>, understanding: &Arc<Understanding>) -> bool {
    let answers = &shared.cache;
    if answers.semantic.is_ready() && understanding.counts().is_some() {
        return true;
    }
    if !answers.loading.swap(true, Ordering::Relaxed) {
        let (shared, understanding) = (Arc::clone(shared), Arc::clone(understanding));
        tokio::spawn(async move {
            if let Err(problem) = load(&shared, &understanding).await {
                tracing::warn!(
                    problem,
                    "the semantic cache cannot understand questions; they are sent"
                );
                tokio::time::sleep(REST).await;
            }
            shared.cache.loading.store(false, Ordering::Relaxed);
        });
    }
    false
}

async fn load(shared: &Arc<Shared>, understanding: &Understanding) -> Result<(), String> {
    understanding.warm().await.map_err(|failed| failed.to_string())?;
    let shared = Arc::clone(shared);
    let prepared = tokio::task::spawn_blocking(move || shared.cache.semantic.prepare()).await;
    prepared
        .map_err(|error| error.to_string())?
        .map_err(|error| error.to_string())
}
