//! The journal: where usage is written before a client sees the end of its answer.
//!
//! Each worker appends to a segment of its own, one `write` a request: what the kernel has taken survives the death of
//! the process. A thread carries the lines into the database; an entry that comes twice is written once, so that
//! dying at any point loses nothing and doubles nothing. Segments that a dead process left are imported at start.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;

use crate::ledger::LedgerEntry;
use crate::priority;
use crate::segment::{Segment, read_lines, write_line};
use crate::store::{Store, StoreError};

/// Segments grow to this size before the next begins.
const SEGMENT_BYTES: u64 = 8 * 1024 * 1024;
/// Bytes that may wait for the database; past that nothing is admitted, rather than lost.
const MAX_BACKLOG: u64 = 1024 * 1024 * 1024;
/// How often lines are carried over.
const INTERVAL: Duration = Duration::from_millis(200);
/// Bytes of what a dead process left that are imported at once.
const LEFT: u64 = 1024 * 1024;
/// After each step the thread rests so many times as long as the step took, while requests are served.
const REST: u32 = 3;
/// With more bytes than this waiting, a second's worth under full load, a thread of usual priority helps.
const PRESSING: u64 = 8 * 1024 * 1024;
/// With more than this nobody rests.
const URGENT: u64 = 8 * PRESSING;
/// How often it is looked whether help is needed.
const LOOK: Duration = Duration::from_secs(1);
/// Carried over so many times, the segments are synced to the disk.
const SYNC_EVERY: u32 = 5;

/// What is wrong with the journal.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// Its folder or files.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The journal of this process.
pub struct Journal {
    shared: Arc<Shared>,
    /// That which carries over, and that which helps it.
    importers: Vec<Importer>,
}

/// A thread, and how it is told to end.
struct Importer {
    stop: mpsc::Sender<()>,
    thread: JoinHandle<()>,
}

impl Importer {
    fn start(name: &str, shared: &Arc<Shared>, import: fn(&Shared, &mpsc::Receiver<()>)) -> io::Result<Self> {
        let (stop, stopped) = mpsc::channel();
        let own = Arc::clone(shared);
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || import(&own, &stopped))?;
        Ok(Self { stop, thread })
    }
}

struct Shared {
    folder: PathBuf,
    process: String,
    segments: Mutex<Vec<Arc<Segment>>>,
    /// Held for one step: nobody carries the same lines over at once.
    importing: Mutex<()>,
    next: AtomicU64,
    backlog_full: AtomicBool,
    /// Whether the database takes nothing.
    is_stuck: AtomicBool,
    store: Arc<Store>,
}

impl Journal {
    /// Opens the journal in `folder`, importing what dead processes left there.
    ///
    /// # Errors
    /// When the folder cannot be used or the database refuses the entries.
    pub fn open(folder: &Path, store: Arc<Store>) -> Result<Self, JournalError> {
        std::fs::create_dir_all(folder)?;
        let left = import_left(folder, &store)?;
        if left > 0 {
            tracing::info!(
                entries = left,
                "usage that an earlier process left in its journal was imported"
            );
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let shared = Arc::new(Shared {
            folder: folder.to_owned(),
            process: format!("{:x}-{}", now.as_nanos(), std::process::id()),
            segments: Mutex::new(Vec::new()),
            importing: Mutex::new(()),
            next: AtomicU64::new(0),
            backlog_full: AtomicBool::new(false),
            is_stuck: AtomicBool::new(false),
            store,
        });
        let importers = vec![
            Importer::start("journal", &shared, import_all)?,
            Importer::start("journal-help", &shared, help)?,
        ];
        Ok(Self { shared, importers })
    }

    /// A writer with a segment of its own.
    ///
    /// # Errors
    /// When the segment cannot be created.
    pub fn writer(&self) -> io::Result<JournalWriter> {
        let segment = self.shared.new_segment()?;
        Ok(JournalWriter {
            shared: Arc::clone(&self.shared),
            segment,
            line: Vec::with_capacity(1024),
        })
    }

    /// Imports what is left and stops.
    pub fn close(mut self) {
        self.stop();
    }

    fn stop(&mut self) {
        // The helper first: what is left is the other's.
        while let Some(importer) = self.importers.pop() {
            let _ = importer.stop.send(());
            if importer.thread.join().is_err() {
                tracing::error!(
                    "a thread of the journal panicked; its segments are imported at the next start"
                );
            }
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn new_segment(&self) -> io::Result<Arc<Segment>> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let path = self.folder.join(format!("{}-{number}.journal", self.process));
        let segment = Arc::new(Segment::create(path)?);
        self.segments.lock().push(Arc::clone(&segment));
        Ok(segment)
    }
}

/// Appends entries. One for each worker; never shared.
pub struct JournalWriter {
    shared: Arc<Shared>,
    segment: Arc<Segment>,
    line: Vec<u8>,
}

impl JournalWriter {
    /// Appends an entry; when it returns, the entry survives the death of the process.
    ///
    /// # Errors
    /// When the disk refuses it, or too much waits for the database.
    pub fn append(&mut self, entry: &LedgerEntry) -> io::Result<()> {
        if self.shared.backlog_full.load(Ordering::Relaxed) {
            return Err(io::Error::other("too much usage waits for the database"));
        }
        if self.segment.written.load(Ordering::Relaxed) >= SEGMENT_BYTES {
            self.segment = self.shared.new_segment()?;
        }
        self.line.clear();
        write_line(entry, &mut self.line)?;
        self.segment.append(&self.line)
    }
}

/// Carries everything over, whenever nobody else wants the core.
fn import_all(shared: &Shared, stopped: &mpsc::Receiver<()>) {
    priority::last();
    let mut round = 0_u32;
    loop {
        let last = !matches!(
            stopped.recv_timeout(INTERVAL),
            Err(mpsc::RecvTimeoutError::Timeout)
        );
        round = round.wrapping_add(1);
        let segments = shared.segments.lock().clone();
        let mut backlog = 0;
        for segment in &segments {
            if round.is_multiple_of(SYNC_EVERY)
                && let Err(error) = segment.sync()
            {
                tracing::warn!(%error, "a journal segment could not be synced");
            }
            import_segment(shared, segment, !last);
            backlog += waiting(segment);
        }
        shared
            .backlog_full
            .store(backlog > MAX_BACKLOG, Ordering::Relaxed);
        drop(segments);
        forget_done(shared, last);
        if last {
            return;
        }
    }
}

/// Carries over what has piled up because others always wanted the core.
fn help(shared: &Shared, stopped: &mpsc::Receiver<()>) {
    while matches!(stopped.recv_timeout(LOOK), Err(mpsc::RecvTimeoutError::Timeout)) {
        let segments = shared.segments.lock().clone();
        for segment in segments.iter().filter(|segment| waiting(segment) > PRESSING) {
            import_segment(shared, segment, true);
        }
    }
}

fn import_segment(shared: &Shared, segment: &Segment, gently: bool) {
    let gently = gently && waiting(segment) < URGENT;
    // Told when it begins and when it ends, not five times a second.
    match import_lines(shared, segment, gently) {
        Err(error) if !shared.is_stuck.swap(true, Ordering::Relaxed) => {
            tracing::error!(%error, "usage cannot be imported; it stays in the journal until it can be");
        }
        Ok(1..) if shared.is_stuck.swap(false, Ordering::Relaxed) => {
            tracing::info!("usage is imported again");
        }
        _ => {}
    }
}

/// Carries a segment's new lines over; `gently` while requests are served: in small steps with pauses between them, so
/// that the database takes no core away from a worker for longer than a request takes. Says how many.
fn import_lines(shared: &Shared, segment: &Segment, gently: bool) -> Result<usize, JournalError> {
    // What is written meanwhile is left for the next round, so that every segment has its turn.
    let until = segment.written.load(Ordering::Acquire);
    let mut imported = 0;
    loop {
        let alone = shared.importing.lock();
        let begun = Instant::now();
        let from = segment.imported.load(Ordering::Acquire);
        if from >= until {
            break;
        }
        let lines = read_lines(&segment.path, from, shared.store.stride())?;
        if lines.length == 0 {
            break;
        }
        let strange = shared.store.insert_lines(lines.entries())?;
        imported += lines.count();
        if lines.damaged + strange > 0 {
            tracing::error!(path = %segment.path.display(), lines = lines.damaged + strange, "a journal segment has damaged lines");
        }
        segment.imported.store(from + lines.length, Ordering::Release);
        drop(alone);
        if gently {
            std::thread::sleep((begun.elapsed() * REST).min(INTERVAL));
        }
    }
    Ok(imported)
}

/// Bytes of a segment that are not in the database.
fn waiting(segment: &Segment) -> u64 {
    let imported = segment.imported.load(Ordering::Acquire);
    segment.written.load(Ordering::Acquire).saturating_sub(imported)
}

/// Deletes segments that are in the database and that nobody writes any more.
fn forget_done(shared: &Shared, last: bool) {
    shared.segments.lock().retain(|segment| {
        let imported = segment.imported.load(Ordering::Acquire) == segment.written.load(Ordering::Acquire);
        // One reference is the list's; a writer's is the second.
        let abandoned = Arc::strong_count(segment) == 1;
        let done = imported && (abandoned || last);
        if done && let Err(error) = std::fs::remove_file(&segment.path) {
            tracing::warn!(%error, "an imported journal segment could not be deleted");
        }
        !done
    });
}

/// Imports the segments whose processes are dead; says how many entries.
fn import_left(folder: &Path, store: &Store) -> Result<usize, JournalError> {
    let mut imported = 0;
    for file in std::fs::read_dir(folder)? {
        let path = file?.path();
        if path.extension().is_none_or(|extension| extension != "journal") {
            continue;
        }
        let handle = std::fs::OpenOptions::new().append(true).open(&path)?;
        // A living process holds the lock of its segments.
        if handle.try_lock().is_err() {
            continue;
        }
        let mut from = 0;
        loop {
            let lines = read_lines(&path, from, LEFT)?;
            if lines.length == 0 {
                break;
            }
            from += lines.length;
            let strange = store.insert_lines(lines.entries())?;
            if lines.damaged + strange > 0 {
                tracing::warn!(path = %path.display(), lines = lines.damaged + strange, "a journal segment has damaged lines");
            }
            imported += lines.count() - strange;
        }
        std::fs::remove_file(&path)?;
    }
    Ok(imported)
}
