//! A back end that may be slow, dead or come back at any moment, without anybody having to wait for it for long.
//!
//! What is asked is given a bounded time, and none at all while the breaker is open; what is to be kept waits in a
//! queue of bounded bytes that one task empties. Whatever goes wrong is a miss, is counted, and is told in the log once
//! for each time that the breaker opens or closes.

mod health;
mod queue;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use pointsman_upstream::breaker::BreakerState;
use tokio::runtime::Handle;

use crate::backend::{Backend, BackendConfigError, BackendError, Described, Heard, Holds, NewEntry};
use crate::key::CacheKey;
use crate::labels::Filter;
use crate::note::QuestionNote;
use health::Health;
use queue::Queue;

pub use health::{Came, Operation};

/// How long somebody who manages the cache waits.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long what nobody waits for may take.
const UNHURRIED: Duration = Duration::from_secs(2);

/// A back end, at arm's length.
#[derive(Debug)]
pub struct Remote {
    backend: Arc<dyn Backend>,
    /// How long a request waits.
    timeout: Duration,
    health: Arc<Health>,
    queue: Queue,
}

impl Remote {
    /// A back end that requests wait for at most `timeout`. What is kept is carried to it on `runtime`.
    ///
    /// # Errors
    /// When the rules of the breaker make no sense.
    pub fn new(
        backend: Arc<dyn Backend>,
        timeout: Duration,
        runtime: &Handle,
    ) -> Result<Self, BackendConfigError> {
        let health = Health::new(backend.name()).map_err(|error| BackendConfigError(error.to_string()))?;
        let health = Arc::new(health);
        Ok(Self {
            queue: Queue::start(Arc::clone(&backend), Arc::clone(&health), runtime),
            backend,
            timeout,
            health,
        })
    }

    /// What metrics call it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.backend.name()
    }

    /// Whether replicas share it.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.backend.is_shared()
    }

    /// What its breaker is doing.
    #[must_use]
    pub fn breaker(&self) -> BreakerState {
        self.health.breaker()
    }

    /// How often each operation came to what.
    pub fn counts(&self) -> impl Iterator<Item = (Operation, Came, u64)> {
        self.health.counts()
    }

    /// Bytes that wait to be kept.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.queue.bytes()
    }

    /// The bytes under a key; none where it has none, or does not say in time.
    pub async fn get(&self, key: CacheKey) -> Option<Bytes> {
        let asked = self.backend.get(key);
        let found = self
            .health
            .ask(&*self.backend, Operation::Get, self.timeout, asked)
            .await?;
        let came = if found.is_some() { Came::Done } else { Came::Missed };
        self.health.count(Operation::Get, came);
        found
    }

    /// Has an entry kept, as soon as may be. Nobody waits; where too much waits already, it is not kept.
    pub fn put(&self, entry: NewEntry) {
        self.queue.put(entry);
    }

    /// Leaves a note for all who share it, as soon as may be.
    pub fn tell(&self, note: Bytes) {
        if self.is_shared() {
            self.queue.tell(note);
        }
    }

    /// Whether it finds questions by nearness.
    #[must_use]
    pub fn finds(&self) -> bool {
        self.backend.finds()
    }

    /// Has a question kept, as soon as may be, where questions are found.
    pub fn learn(&self, question: QuestionNote) {
        if self.finds() {
            self.queue.learn(question);
        }
    }

    /// Questions of a partition that are near to a vector, the nearest first; none where it does not say in time.
    pub async fn near(&self, partition: CacheKey, vector: &[f32], most: usize) -> Vec<QuestionNote> {
        let asked = self.backend.near(partition, vector, most);
        let found = self
            .health
            .ask(&*self.backend, Operation::Near, self.timeout, asked)
            .await;
        let came = match &found {
            Some(found) if found.is_empty() => Came::Missed,
            Some(_) => Came::Done,
            None => return Vec::new(),
        };
        self.health.count(Operation::Near, came);
        found.unwrap_or_default()
    }

    /// The next notes of all who share it, this process included; none where it does not say.
    pub async fn hear(&self, after: Heard, most: usize) -> Option<(Vec<Bytes>, Heard)> {
        let asked = self.backend.hear(after, most);
        let heard = self
            .health
            .ask(&*self.backend, Operation::Hear, UNHURRIED, asked)
            .await;
        if heard.is_some() {
            self.health.count(Operation::Hear, Came::Done);
        }
        heard
    }

    /// Deletes what a filter means, after all that was to be kept until now; says how many entries that were.
    ///
    /// # Errors
    /// When it could not be done: then some may be left.
    pub async fn delete(&self, filter: Filter) -> Result<u64, BackendError> {
        self.queue.delete(filter, PATIENCE).await
    }

    /// What is known of an entry.
    ///
    /// # Errors
    /// When it does not say.
    pub async fn describe(&self, key: CacheKey) -> Result<Option<Described>, BackendError> {
        patiently(self.backend.describe(key)).await
    }

    /// How much it holds.
    ///
    /// # Errors
    /// When it does not say.
    pub async fn holds(&self) -> Result<Holds, BackendError> {
        patiently(self.backend.holds()).await
    }

    /// Has what waits kept, for a bounded time, and ends.
    pub async fn stop(&self) {
        self.queue.stop().await;
    }
}

async fn patiently<T>(asked: impl Future<Output = Result<T, BackendError>>) -> Result<T, BackendError> {
    let answer = tokio::time::timeout(PATIENCE, asked).await;
    answer.unwrap_or_else(|_| Err(BackendError(format!("no answer within {PATIENCE:?}"))))
}
