//! What is to be kept, on its way: a queue of bounded length and bytes, and the task that empties it in order.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use super::health::{Came, Health, Operation};
use super::{PATIENCE, UNHURRIED};
use crate::backend::{Backend, BackendError, NewEntry};
use crate::labels::Filter;
use crate::note::QuestionNote;

/// Most items that wait.
const ITEMS: usize = 4_096;
/// Most bytes of what waits.
const BYTES: usize = 32 * 1024 * 1024;
/// Items that are carried at once.
const TOGETHER: usize = 32;
/// How often what is over is let go.
const TEND: Duration = Duration::from_secs(60);
/// How long what waits may take when it ends.
const LAST: Duration = Duration::from_secs(3);

/// What waits.
enum Item {
    Put(NewEntry),
    Tell(Bytes),
    Learn(Box<QuestionNote>),
    Delete(Filter, oneshot::Sender<Result<u64, BackendError>>),
    End,
}

/// The queue.
#[derive(Debug)]
pub struct Queue {
    items: mpsc::Sender<Item>,
    bytes: Arc<AtomicUsize>,
    health: Arc<Health>,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Queue {
    /// Starts the task that empties it.
    pub fn start(backend: Arc<dyn Backend>, health: Arc<Health>, runtime: &Handle) -> Self {
        let (items, waiting) = mpsc::channel(ITEMS);
        let bytes = Arc::new(AtomicUsize::new(0));
        let carrier = Carrier {
            backend,
            health: Arc::clone(&health),
            bytes: Arc::clone(&bytes),
        };
        Self {
            items,
            bytes,
            health,
            task: Mutex::new(Some(runtime.spawn(carrier.run(waiting)))),
        }
    }

    /// Bytes that wait.
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    pub fn put(&self, entry: NewEntry) {
        self.add(Operation::Put, Item::Put(entry));
    }

    pub fn tell(&self, note: Bytes) {
        self.add(Operation::Tell, Item::Tell(note));
    }

    pub fn learn(&self, question: QuestionNote) {
        self.add(Operation::Learn, Item::Learn(Box::new(question)));
    }

    fn add(&self, operation: Operation, item: Item) {
        let size = item.size();
        if self.bytes.fetch_add(size, Ordering::Relaxed) + size > BYTES || self.items.try_send(item).is_err()
        {
            self.bytes.fetch_sub(size, Ordering::Relaxed);
            self.health.count(operation, Came::Full);
        }
    }

    pub async fn delete(&self, filter: Filter, within: Duration) -> Result<u64, BackendError> {
        let gone = || BackendError("the cache is stopping".to_owned());
        let late = |_| BackendError(format!("no answer within {within:?}"));
        let (tell, told) = oneshot::channel();
        let done = async {
            self.items
                .send(Item::Delete(filter, tell))
                .await
                .map_err(|_| gone())?;
            told.await.map_err(|_| gone())?
        };
        tokio::time::timeout(within, done).await.map_err(late)?
    }

    pub async fn stop(&self) {
        let Some(mut task) = self.task.lock().take() else {
            return;
        };
        let end = async {
            // A task that is gone has nothing left to end.
            let _ = self.items.send(Item::End).await;
            let _ = (&mut task).await;
        };
        if tokio::time::timeout(LAST, end).await.is_err() {
            task.abort();
        }
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        if let Some(task) = self.task.lock().take() {
            task.abort();
        }
    }
}

impl Item {
    /// Bytes that it is counted with.
    fn size(&self) -> usize {
        match self {
            Self::Put(entry) => entry.value.len() + entry.labels.bytes() + 128,
            Self::Tell(note) => note.len() + 64,
            Self::Learn(question) => {
                question.text.len() + 4 * question.vector.len() + question.labels.bytes() + 256
            }
            Self::Delete(..) | Self::End => 0,
        }
    }
}

/// The task.
struct Carrier {
    backend: Arc<dyn Backend>,
    health: Arc<Health>,
    bytes: Arc<AtomicUsize>,
}

impl Carrier {
    async fn run(self, mut waiting: mpsc::Receiver<Item>) {
        let mut tend = tokio::time::interval(TEND);
        tend.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut items = Vec::with_capacity(TOGETHER);
        loop {
            tokio::select! {
                biased;
                _ = tend.tick() => self.tend().await,
                count = waiting.recv_many(&mut items, TOGETHER) => {
                    if count == 0 || self.carry(&mut items).await.is_none() {
                        return;
                    }
                }
            }
        }
    }

    async fn tend(&self) {
        let done = self
            .health
            .ask(&*self.backend, Operation::Tend, PATIENCE, self.backend.tend());
        if done.await.is_some() {
            self.health.count(Operation::Tend, Came::Done);
        }
    }

    /// Carries items; those before a deletion are there before it begins. None at the end.
    async fn carry(&self, items: &mut Vec<Item>) -> Option<()> {
        let mut together = Vec::new();
        for item in items.drain(..) {
            match item {
                Item::Put(_) | Item::Tell(_) | Item::Learn(_) => together.push(item),
                Item::Delete(filter, tell) => {
                    join_all(together.drain(..).map(|item| self.keep(item))).await;
                    let deleted = tokio::time::timeout(PATIENCE, self.backend.delete(&filter)).await;
                    let late = || Err(BackendError(format!("no answer within {PATIENCE:?}")));
                    // Whoever has asked may be gone.
                    let _ = tell.send(deleted.unwrap_or_else(|_| late()));
                }
                Item::End => {
                    join_all(together.drain(..).map(|item| self.keep(item))).await;
                    return None;
                }
            }
        }
        join_all(together.into_iter().map(|item| self.keep(item))).await;
        Some(())
    }

    async fn keep(&self, item: Item) {
        let (operation, doing) = match &item {
            Item::Put(entry) => (Operation::Put, self.backend.put(entry)),
            Item::Tell(note) => (Operation::Tell, self.backend.tell(note.clone())),
            Item::Learn(question) => (Operation::Learn, self.backend.learn(question)),
            Item::Delete(..) | Item::End => return,
        };
        let done = self.health.ask(&*self.backend, operation, UNHURRIED, doing).await;
        if done.is_some() {
            self.health.count(operation, Came::Done);
        }
        self.bytes.fetch_sub(item.size(), Ordering::Relaxed);
    }
}
