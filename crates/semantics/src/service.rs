//! Reading off the threads that serve requests: a bounded queue with deadlines, threads of its own, texts of several requests
//! read together, and what was read kept for those who ask again.

mod kept;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
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
}

/// How a service is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Threads that read.
    pub threads: usize,
    /// Texts that may wait.
    pub queue: usize,
    /// Texts that are read together.
    pub batch: usize,
    /// Bytes of text that are read together; one longer text is read alone.
    pub batch_bytes: usize,
    /// Readings that are kept.
    pub kept: usize,
    /// Bytes of the longest text that is accepted.
    pub longest: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            threads: 1,
            queue: 256,
            batch: 16,
            batch_bytes: 16 << 10,
            kept: 4_096,
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
}

#[derive(Debug, Default)]
struct Counters {
    read: AtomicU64,
    batches: AtomicU64,
    kept: AtomicU64,
    full: AtomicU64,
    late: AtomicU64,
}

struct Job<R: Reader> {
    text: Arc<str>,
    question: R::Question,
    deadline: Instant,
    key: [u8; 16],
    answer: oneshot::Sender<Result<Arc<R::Reading>, Refused>>,
}

struct Shared<R: Reader> {
    reader: R,
    settings: Settings,
    kept: Kept<Arc<R::Reading>>,
    counters: Counters,
}

/// A service: threads that read what comes through a queue. Dropped, it lets the threads finish what they are at.
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
            kept: Kept::new(settings.kept),
            counters: Counters::default(),
        });
        let threads = (0..settings.threads.max(1))
            .map(|number| {
                let (shared, receiver) = (Arc::clone(&shared), receiver.clone());
                let builder = std::thread::Builder::new().name(format!("semantics-{number}"));
                builder.spawn(move || shared.work(&receiver))
            })
            .collect::<std::io::Result<_>>()?;
        Ok(Self {
            shared,
            queue: Some(sender),
            threads,
        })
    }

    /// Asks for a reading. Never waits for room: where none is left, it says so at once.
    ///
    /// # Errors
    ///
    /// If the text is too long, the queue is full, the deadline passes, or the service was stopped.
    pub async fn read(
        &self,
        text: Arc<str>,
        question: R::Question,
        patience: Duration,
    ) -> Result<Arc<R::Reading>, Refused> {
        let answer = match self.ask(text, question, patience)? {
            Asked::Kept(reading) => return Ok(reading),
            Asked::Waits(answer) => answer,
        };
        answer.await.unwrap_or(Err(Refused::Stopped))
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
            Asked::Waits(answer) => answer.blocking_recv().unwrap_or(Err(Refused::Stopped)),
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
        let (answer, waits) = oneshot::channel();
        let job = Job {
            text,
            question,
            deadline: Instant::now() + patience,
            key,
            answer,
        };
        let Some(queue) = &self.queue else {
            return Err(Refused::Stopped);
        };
        match queue.try_send(job) {
            Ok(()) => Ok(Asked::Waits(waits)),
            Err(TrySendError::Full(_)) => {
                shared.counters.full.fetch_add(1, Ordering::Relaxed);
                Err(Refused::Full)
            }
            Err(TrySendError::Disconnected(_)) => Err(Refused::Stopped),
        }
    }
}

enum Asked<R: Reader> {
    Kept(Arc<R::Reading>),
    Waits(oneshot::Receiver<Result<Arc<R::Reading>, Refused>>),
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
        let now = Instant::now();
        let (timely, late): (Vec<_>, Vec<_>) = batch.into_iter().partition(|job| job.deadline > now);
        self.counters.late.fetch_add(late.len() as u64, Ordering::Relaxed);
        for job in late {
            // Who went away needs no answer, here and below.
            let _ = job.answer.send(Err(Refused::Late));
        }
        // Nobody waits for these any more, and some may have been read while they waited.
        let mut fresh: Vec<Job<R>> = Vec::new();
        for job in timely {
            if job.answer.is_closed() {
                continue;
            }
            match self.kept.get(&job.key) {
                Some(reading) => {
                    self.counters.kept.fetch_add(1, Ordering::Relaxed);
                    let _ = job.answer.send(Ok(reading));
                }
                None => fresh.push(job),
            }
        }
        if fresh.is_empty() {
            return;
        }
        let texts: Vec<(&str, &R::Question)> = fresh.iter().map(|job| (&*job.text, &job.question)).collect();
        let readings = self.reader.read(&texts, room);
        self.counters
            .read
            .fetch_add(readings.len() as u64, Ordering::Relaxed);
        self.counters.batches.fetch_add(1, Ordering::Relaxed);
        for (job, reading) in fresh.into_iter().zip(readings) {
            let reading = Arc::new(reading);
            self.kept.put(job.key, Arc::clone(&reading));
            let _ = job.answer.send(Ok(reading));
        }
    }
}
