//! The keeper of responses and conversations: one thread with the database, asked through a bounded queue.
//!
//! No worker ever waits for the database. What is kept is handed over and written behind the answer; what is asked
//! stands in the same queue, so that whoever has seen the end of a response finds it.

mod owner;
mod run;

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use pointsman_store::{KeptEvent, KeptResponse, StateStore, StoreError};
use pointsman_wire::form::{Failure, FailureKind};
use pointsman_wire::splice::Edits;
use tokio::sync::oneshot;

pub use owner::Owner;
pub use run::{Run, Runs};

/// Questions and records that wait for the database.
const QUEUE: usize = 1024;
/// Bytes of the records among them.
const QUEUED_BYTES: usize = 256 * 1024 * 1024;
/// How long a question may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// After how long a conversation that another process has is asked for again: a turn is told a moment before its
/// conversation is given back.
const GIVEN_BACK: [Duration; 4] = [
    Duration::from_millis(10),
    Duration::from_millis(40),
    Duration::from_millis(150),
    Duration::from_millis(400),
];
/// Statuses of a response that a process runs.
const RUNNING: [&str; 2] = ["queued", "in_progress"];

type Work = Box<dyn FnOnce(&mut StateStore) + Send>;

enum Job {
    Work(Work),
    Stop,
}

/// What is to be kept.
pub struct Record {
    /// The response.
    pub response: KeptResponse,
    /// Events of a background run.
    pub events: Vec<KeptEvent>,
    /// Whether its items go to its conversation.
    pub appended: bool,
}

impl Record {
    fn size(&self) -> usize {
        let items = self.response.input.iter().chain(&self.response.output);
        self.response.body.len()
            + items.map(|item| item.json.len()).sum::<usize>()
            + self.events.iter().map(|event| event.event.len()).sum::<usize>()
    }
}

/// The keeper.
pub struct Keeper {
    jobs: SyncSender<Job>,
    /// Bytes of records in the queue.
    queued: Arc<AtomicUsize>,
    /// Milliseconds.
    retention: Arc<AtomicU64>,
    /// Conversations that a response is being made for.
    busy: Mutex<HashSet<String>>,
    /// Conversations that could not be given back to other processes, because too much waited.
    unreleased: Mutex<Vec<String>>,
    /// Responses that run in the background.
    pub runs: Runs,
    owner: Arc<Owner>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Keeper {
    /// Opens the database; `folder` is where processes show that they live. Responses of dead ones are told as failed.
    ///
    /// # Errors
    /// When the database or the folder cannot be used.
    pub fn open(url: &str, folder: &Path, retention: Duration) -> Result<Arc<Self>, StoreError> {
        let mut store = StateStore::open(url)?;
        let owner = Arc::new(Owner::new(folder)?);
        for lost in store.unfinished()? {
            if !owner.is_alive(&lost.owner)
                && let Some(response) = store.find(&lost.tenant, &lost.id)?
            {
                bury(&mut store, response)?;
            }
        }
        let (jobs, queue) = sync_channel(QUEUE);
        let retention = Arc::new(AtomicU64::new(retention.as_millis() as u64));
        let kept_for = Arc::clone(&retention);
        let thread = std::thread::Builder::new()
            .name("responses".to_owned())
            .spawn(move || work(store, &queue, &kept_for))?;
        Ok(Arc::new(Self {
            jobs,
            queued: Arc::default(),
            retention,
            busy: Mutex::default(),
            unreleased: Mutex::default(),
            runs: Runs::default(),
            owner,
            thread: Mutex::new(Some(thread)),
        }))
    }

    /// Sets how long what is not used is kept.
    pub fn keep_for(&self, retention: Duration) {
        self.retention
            .store(retention.as_millis() as u64, Ordering::Relaxed);
    }

    /// The name under which this process runs responses.
    pub fn owner(&self) -> String {
        self.owner.token().to_owned()
    }

    /// Asks the database, behind everything that was handed over before.
    ///
    /// # Errors
    /// 503 when too many ask, or the answer takes too long.
    pub async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut StateStore) -> T + Send + 'static,
    ) -> Result<T, Failure> {
        let (tell, told) = oneshot::channel();
        let work: Work = Box::new(move |store| {
            // Nobody may be waiting any more.
            let _ = tell.send(question(store));
        });
        self.jobs.try_send(Job::Work(work)).map_err(|_| overloaded())?;
        match tokio::time::timeout(PATIENCE, told).await {
            Ok(Ok(answer)) => Ok(answer),
            _ => Err(overloaded()),
        }
    }

    /// Hands a record over, to be written as soon as possible; false when too much waits already.
    pub fn keep(&self, record: Record) -> bool {
        let size = record.size();
        if self.queued.load(Ordering::Relaxed).saturating_add(size) > QUEUED_BYTES {
            return false;
        }
        self.queued.fetch_add(size, Ordering::Relaxed);
        let queued = Arc::clone(&self.queued);
        let work: Work = Box::new(move |store| {
            if let Err(error) = store.keep(&record.response, &record.events, record.appended) {
                tracing::error!(%error, id = record.response.id, "a response could not be kept");
            }
            queued.fetch_sub(size, Ordering::Relaxed);
        });
        let handed = self.jobs.try_send(Job::Work(work)).is_ok();
        if !handed {
            self.queued.fetch_sub(size, Ordering::Relaxed);
        }
        handed
    }

    /// A tenant's response. One whose process has died meanwhile has failed.
    ///
    /// # Errors
    /// 404 when it is not there, 503 when the database cannot be asked.
    pub async fn find(&self, tenant: &str, id: &str) -> Result<KeptResponse, Failure> {
        let owner = Arc::clone(&self.owner);
        let (whose, which) = (tenant.to_owned(), id.to_owned());
        let found = self.ask(move |store| {
            let response = store.find(&whose, &which)?;
            match response {
                Some(response)
                    if response
                        .owner
                        .as_ref()
                        .is_some_and(|token| !owner.is_alive(token)) =>
                {
                    bury(store, response).map(Some)
                }
                other => Ok(other),
            }
        });
        found.await?.map_err(|error| unreadable(&error))?.ok_or_else(|| {
            Failure::new(
                FailureKind::NotFound,
                format!("Response with id '{id}' not found."),
            )
        })
    }

    /// Has a conversation for one response alone, until the lock is dropped: against this process and against others
    /// that share its database.
    ///
    /// # Errors
    /// 400 when another response is being made for it, 503 when the database cannot be asked.
    pub async fn lock(self: &Arc<Self>, tenant: &str, conversation: &str) -> Result<Lock, Failure> {
        if !self.busy.lock().insert(conversation.to_owned()) {
            return Err(locked());
        }
        // From here on it is given back whatever happens.
        let lock = Lock {
            keeper: Arc::clone(self),
            conversation: conversation.to_owned(),
        };
        let mut pauses = GIVEN_BACK.into_iter();
        loop {
            let owner = Arc::clone(&self.owner);
            let (tenant, id) = (tenant.to_owned(), conversation.to_owned());
            let seized = self
                .ask(move |store| store.seize((&tenant, &id), owner.token(), |other| owner.is_alive(other)))
                .await?;
            match seized {
                Ok(true) => return Ok(lock),
                Ok(false) => match pauses.next() {
                    Some(pause) => tokio::time::sleep(pause).await,
                    None => return Err(locked()),
                },
                Err(error) => return Err(unreadable(&error)),
            }
        }
    }

    /// Gives a conversation back to other processes, behind what was handed over for it.
    fn release(self: &Arc<Self>, conversation: String) {
        let (keeper, id) = (Arc::clone(self), conversation.clone());
        let work: Work = Box::new(move |store| keeper.give_back(store, &id));
        if self.jobs.try_send(Job::Work(work)).is_err() {
            self.unreleased.lock().push(conversation);
        }
    }

    fn give_back(&self, store: &mut StateStore, conversation: &str) {
        // The next turn of this process has it already, and gives it back itself.
        if self.busy.lock().contains(conversation) {
            return;
        }
        if let Err(error) = store.release(conversation, self.owner.token()) {
            tracing::warn!(%error, "a conversation is not given back; other processes find it locked");
        }
    }

    /// Writes what was handed over, and ends. Blocks.
    pub fn close(&self) {
        let Some(thread) = self.thread.lock().take() else {
            return;
        };
        if self.jobs.send(Job::Stop).is_ok() && thread.join().is_err() {
            tracing::error!("the keeper of responses panicked");
        }
    }
}

/// A conversation that another response is being made for.
fn locked() -> Failure {
    Failure::new(
        FailureKind::InvalidRequest,
        "Another process is currently operating on this conversation. Please retry in a few seconds.",
    )
    .at("conversation")
    .coded("conversation_locked")
}

/// A conversation, for one response alone.
pub struct Lock {
    keeper: Arc<Keeper>,
    conversation: String,
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.keeper.busy.lock().remove(&self.conversation);
        let late = std::mem::take(&mut *self.keeper.unreleased.lock());
        for conversation in late.into_iter().chain([std::mem::take(&mut self.conversation)]) {
            self.keeper.release(conversation);
        }
    }
}

fn work(mut store: StateStore, queue: &Receiver<Job>, retention: &AtomicU64) {
    let mut swept = Instant::now();
    loop {
        let kept_for = Duration::from_millis(retention.load(Ordering::Relaxed));
        let between = (kept_for / 10).clamp(Duration::from_millis(250), Duration::from_secs(60));
        if swept.elapsed() >= between {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let before = now.saturating_sub(kept_for).as_millis() as i64;
            if let Err(error) = store.sweep(before) {
                tracing::warn!(%error, "old responses could not be deleted");
            }
            swept = Instant::now();
        }
        match queue.recv_timeout(between) {
            Ok(Job::Work(work)) => work(&mut store),
            Err(RecvTimeoutError::Timeout) => {}
            Ok(Job::Stop) | Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// Tells a response whose process has died as failed.
fn bury(store: &mut StateStore, mut response: KeptResponse) -> Result<KeptResponse, StoreError> {
    if RUNNING.contains(&response.status.as_str()) {
        let message = "the gateway that ran this response ended before it was complete; ask again";
        response.body = failed(&response.body, "failed", Some(("server_error", message)));
        response.status = "failed".to_owned();
    }
    response.owner = None;
    store.keep(&response, &[], false)?;
    Ok(response)
}

/// A `response` object that ended in this way.
pub fn failed(body: &str, status: &str, error: Option<(&str, &str)>) -> String {
    let mut edits = Edits::new();
    edits.set_string("status", status);
    if let Some((code, message)) = error {
        let error = serde_json::json!({"code": code, "message": message});
        edits.set("error", error.to_string());
    }
    let edited = edits.apply(&bytes::Bytes::copy_from_slice(body.as_bytes()));
    let text = edited
        .ok()
        .and_then(|edited| String::from_utf8(edited.to_vec()).ok());
    text.unwrap_or_else(|| body.to_owned())
}

/// A database that cannot be asked now.
fn overloaded() -> Failure {
    Failure::new(
        FailureKind::Unavailable,
        "the store of responses has too much to do; try again, or send the conversation as `input` with `store: false`",
    )
    .coded("state_unavailable")
    .retry_after(Duration::from_secs(1))
}

/// A database that says no, as a failure; what it says is for the operator.
pub fn unreadable(error: &dyn std::fmt::Display) -> Failure {
    tracing::error!(%error, "the store of responses cannot be read");
    Failure::new(
        FailureKind::Internal,
        "the store of responses cannot be read or written",
    )
}

#[cfg(test)]
mod tests;
