//! Reading off the threads that serve requests: a bounded queue with deadlines, threads of its own, texts of several requests
//! read together, and what was read kept for those who ask again.

mod kept;
mod wait;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use tokio::sync::oneshot;

pub use kept::{Kept, fingerprint};

/// Whatever reads texts.
pub trait Reader: Send + Sync + 'static {
    /// What is asked of a text.
    type Question: Clone + Send + std::hash::Hash + 'static;
    /// What comes out.
    type Reading: Send + Sync + 'static;
    /// What a thread keeps from one batch to the next.
    type Room: Default;

    /// Reads texts together, and gives one reading for each.
    fn read(&self, texts: &[(&str, &Self::Question)], room: &mut Self::Room) -> Vec<Self::Reading>;

    /// Bytes of memory that a reading takes, about. What is kept is bounded by them.
    fn bytes(&self, _reading: &Self::Reading) -> usize {
        size_of::<Self::Reading>()
    }
}

/// How a service is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Threads that read.
    pub threads: usize,
    /// Texts that may wait.
    pub queue: usize,
    /// Bytes of all texts that wait or are being read; one text is always taken.
    pub queue_bytes: usize,
    /// Texts that are read together.
    pub batch: usize,
    /// Bytes of text that are read together; one longer text is read alone.
    pub batch_bytes: usize,
    /// Readings that are kept.
    pub kept: usize,
    /// Bytes of all readings that are kept.
    pub kept_bytes: usize,
    /// Bytes of the longest text that is accepted.
    pub longest: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            threads: 1,
            queue: 256,
            queue_bytes: 64 << 20,
            batch: 16,
            batch_bytes: 16 << 10,
            kept: 4_096,
            kept_bytes: 32 << 20,
            longest: 4 << 20,
        }
    }
}

/// Why there is no reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// As many texts wait as may.
    #[error("too many texts wait to be read")]
    Full,
    /// The deadline passed.
    #[error("the text was not read in time")]
    Late,
    /// The text is too long.
    #[error("the text is longer than {0} bytes")]
    Long(usize),
    /// Whatever reads gave up on this text. Others are read on.
    #[error("the text could not be read")]
    Failed,
    /// The service was stopped.
    #[error("the service was stopped")]
    Stopped,
}

/// Counts since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Texts that were read.
    pub read: u64,
    /// Batches that they came in.
    pub batches: u64,
    /// Answers that were kept already.
    pub kept: u64,
    /// Texts that did not fit into the queue.
    pub full: u64,
    /// Texts whose deadline passed before they were read.
    pub late: u64,
    /// Texts that could not be read.
    pub failed: u64,
}

#[derive(Debug, Default)]
struct Counters {
    read: AtomicU64,
    batches: AtomicU64,
    kept: AtomicU64,
    full: AtomicU64,
    late: AtomicU64,
    failed: AtomicU64,
}

/// A share of the bytes that may wait, given back when the text is done with.
struct Share {
    held: Arc<AtomicUsize>,
    bytes: usize,
}

impl Share {
    fn take(held: &Arc<AtomicUsize>, bytes: usize, most: usize) -> Option<Self> {
        let before = held.fetch_add(bytes, Ordering::Relaxed);
        let share = Self {
            held: Arc::clone(held),
            bytes,
        };
        (before == 0 || before.saturating_add(bytes) <= most).then_some(share)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

struct Job<R: Reader> {
    text: Arc<str>,
    question: R::Question,
    deadline: Instant,
    key: [u8; 16],
    answer: oneshot::Sender<Answer<R>>,
    _share: Share,
}

type Answer<R> = Result<Arc<<R as Reader>::Reading>, Refused>;

struct Shared<R: Reader> {
    reader: R,
    settings: Settings,
    kept: Kept<Arc<R::Reading>>,
    held: Arc<AtomicUsize>,
    counters: Counters,
}

/// The longest that anyone waits.
const LONGEST_PATIENCE: Duration = Duration::from_secs(3_600);

/// A service: threads that read what comes through a queue. Dropped, it lets the threads finish what they are at.
///
/// A text on which the reader panics is refused, and takes no other text with it: what was read along with it is read
/// again by itself.
pub struct Service<R: Reader> {
    shared: Arc<Shared<R>>,
    queue: Option<Sender<Job<R>>>,
    threads: Vec<JoinHandle<()>>,
}

impl<R: Reader> std::fmt::Debug for Service<R> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Service")
            .field("counts", &self.counts())
            .finish_non_exhaustive()
    }
}

impl<R: Reader> Service<R> {
    /// Starts the threads.
    ///
    /// # Errors
    ///
    /// If the operating system has none to give.
    pub fn start(reader: R, settings: Settings) -> std::io::Result<Self> {
        let (sender, receiver) = bounded(settings.queue.max(1));
        let shared = Arc::new(Shared {
            reader,
            settings,
            kept: Kept::new(settings.kept, settings.kept_bytes),
            held: Arc::default(),
            counters: Counters::default(),
        });
        let threads = (0..settings.threads.max(1))
            .map(|number| {
                let (shared, receiver) = (Arc::clone(&shared), receiver.clone());
                let builder = std::thread::Builder::new().name(format!("semantics-{number}"));
                // What panics beside a reader's work ends only what was in hand: the thread begins anew.
                builder.spawn(
                    move || {
                        while catch_unwind(AssertUnwindSafe(|| shared.work(&receiver))).is_err() {}
                    },
                )
            })
            .collect::<std::io::Result<_>>()?;
        Ok(Self {
            shared,
            queue: Some(sender),
            threads,
        })
    }

    /// Asks for a reading. Never waits for room: where none is left, it says so at once. Dropped before it is there, it
    /// takes the text out of the queue.
    ///
    /// # Errors
    ///
    /// If the text is too long, the queue is full, the deadline passes (even while the text is read), the reader gave up,
    /// or the service was stopped.
    pub async fn read(
        &self,
        text: Arc<str>,
        question: R::Question,
        patience: Duration,
    ) -> Result<Arc<R::Reading>, Refused> {
        match self.ask(text, question, patience)? {
            Asked::Kept(reading) => Ok(reading),
            Asked::Waits(answer, deadline) => tokio::time::timeout_at(deadline.into(), answer)
                .await
                .map_or(Err(Refused::Late), answered::<R>),
        }
    }

    /// As [`Service::read`], for threads that may block.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn read_blocking(
        &self,
        text: Arc<str>,
        question: R::Question,
        patience: Duration,
    ) -> Result<Arc<R::Reading>, Refused> {
        match self.ask(text, question, patience)? {
            Asked::Kept(reading) => Ok(reading),
            Asked::Waits(answer, deadline) => {
                wait::until(deadline, answer).map_or(Err(Refused::Late), answered::<R>)
            }
        }
    }

    /// Counts since the start.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let counters = &self.shared.counters;
        Counts {
            read: counters.read.load(Ordering::Relaxed),
            batches: counters.batches.load(Ordering::Relaxed),
            kept: counters.kept.load(Ordering::Relaxed),
            full: counters.full.load(Ordering::Relaxed),
            late: counters.late.load(Ordering::Relaxed),
            failed: counters.failed.load(Ordering::Relaxed),
        }
    }

    /// Texts that wait now.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.queue.as_ref().map_or(0, Sender::len)
    }

    fn ask(&self, text: Arc<str>, question: R::Question, patience: Duration) -> Result<Asked<R>, Refused> {
        let shared = &self.shared;
        if text.len() > shared.settings.longest {
            return Err(Refused::Long(shared.settings.longest));
        }
        let key = fingerprint(&text, &question);
        if let Some(reading) = shared.kept.get(&key) {
            shared.counters.kept.fetch_add(1, Ordering::Relaxed);
            return Ok(Asked::Kept(reading));
        }
        let full = || {
            shared.counters.full.fetch_add(1, Ordering::Relaxed);
            Refused::Full
        };
        let share = Share::take(&shared.held, text.len(), shared.settings.queue_bytes).ok_or_else(full)?;
        let (answer, waits) = oneshot::channel();
        let deadline = Instant::now() + patience.min(LONGEST_PATIENCE);
        let job = Job {
            text,
            question,
            deadline,
            key,
            answer,
            _share: share,
        };
        let Some(queue) = &self.queue else {
            return Err(Refused::Stopped);
        };
        match queue.try_send(job) {
            Ok(()) => Ok(Asked::Waits(waits, deadline)),
            Err(TrySendError::Full(_)) => Err(full()),
            Err(TrySendError::Disconnected(_)) => Err(Refused::Stopped),
        }
    }
}

enum Asked<R: Reader> {
    Kept(Arc<R::Reading>),
    Waits(oneshot::Receiver<Answer<R>>, Instant),
}

/// A job that ends without an answer was in hand when something panicked.
fn answered<R: Reader>(answer: Result<Answer<R>, oneshot::error::RecvError>) -> Answer<R> {
    answer.unwrap_or(Err(Refused::Failed))
}

impl<R: Reader> Drop for Service<R> {
    fn drop(&mut self) {
        self.queue = None;
        for thread in self.threads.drain(..) {
            // A thread that panicked has told so itself, and has nothing left to finish.
            let _ = thread.join();
        }
    }
}

impl<R: Reader> Shared<R> {
    fn work(&self, queue: &Receiver<Job<R>>) {
        let mut room = R::Room::default();
        while let Ok(first) = queue.recv() {
            let mut batch = Vec::with_capacity(self.settings.batch);
            let mut bytes = first.text.len();
            batch.push(first);
            while batch.len() < self.settings.batch && bytes < self.settings.batch_bytes {
                let Ok(next) = queue.try_recv() else { break };
                bytes += next.text.len();
                batch.push(next);
            }
            self.read(batch, &mut room);
        }
    }

    fn read(&self, batch: Vec<Job<R>>, room: &mut R::Room) {
        let fresh: Vec<Job<R>> = batch.into_iter().filter_map(|job| self.wanted(job)).collect();
        if fresh.is_empty() {
            return;
        }
        if let Some(readings) = self.attempt(&fresh, room) {
            return self.answer(fresh, readings);
        }
        // One of them is what the reader fell over: each by itself, the others get their readings.
        let alone = fresh.len() > 1;
        for job in fresh {
            let Some(job) = self.wanted(job) else { continue };
            match alone
                .then(|| self.attempt(std::slice::from_ref(&job), room))
                .flatten()
            {
                Some(readings) => self.answer(vec![job], readings),
                None => {
                    self.counters.failed.fetch_add(1, Ordering::Relaxed);
                    let _ = job.answer.send(Err(Refused::Failed));
                }
            }
        }
    }

    /// The job, if it still is to be read: in time, asked for, and not read while it waited.
    fn wanted(&self, job: Job<R>) -> Option<Job<R>> {
        if job.deadline <= Instant::now() {
            self.counters.late.fetch_add(1, Ordering::Relaxed);
            // Who went away needs no answer, here and below.
            let _ = job.answer.send(Err(Refused::Late));
            return None;
        }
        if job.answer.is_closed() {
            return None;
        }
        let Some(reading) = self.kept.get(&job.key) else {
            return Some(job);
        };
        self.counters.kept.fetch_add(1, Ordering::Relaxed);
        let _ = job.answer.send(Ok(reading));
        None
    }

    /// The readings of these texts; none if the reader panicked, or left one out. Then what is in the room can't be
    /// trusted any more.
    fn attempt(&self, jobs: &[Job<R>], room: &mut R::Room) -> Option<Vec<R::Reading>> {
        let texts: Vec<(&str, &R::Question)> = jobs.iter().map(|job| (&*job.text, &job.question)).collect();
        let readings = catch_unwind(AssertUnwindSafe(|| self.reader.read(&texts, room))).ok();
        let readings = readings.filter(|readings| readings.len() == jobs.len());
        if readings.is_none() {
            *room = R::Room::default();
        }
        readings
    }

    fn answer(&self, jobs: Vec<Job<R>>, readings: Vec<R::Reading>) {
        self.counters
            .read
            .fetch_add(readings.len() as u64, Ordering::Relaxed);
        self.counters.batches.fetch_add(1, Ordering::Relaxed);
        for (job, reading) in jobs.into_iter().zip(readings) {
            let bytes = self.reader.bytes(&reading);
            let reading = Arc::new(reading);
            self.kept.put(job.key, Arc::clone(&reading), bytes);
            let _ = job.answer.send(Ok(reading));
        }
    }
}
