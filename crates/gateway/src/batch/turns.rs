//! Whose turn it is: so many lines at once, and fewer while somebody waits for an answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{Mutex, Notify};

use crate::server::Shared;

/// How often is looked whether still somebody waits.
const LOOK: Duration = Duration::from_millis(10);

/// The turns of all batches.
pub(super) struct Turns {
    shared: Arc<Shared>,
    running: Arc<Running>,
    /// Taken in the order of asking, so that batches alternate.
    queue: Mutex<()>,
}

#[derive(Default)]
struct Running {
    count: AtomicUsize,
    left: Notify,
}

/// A line's turn, until it is dropped.
pub(super) struct Turn(Arc<Running>);

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.count.fetch_sub(1, Ordering::Relaxed);
        self.0.left.notify_one();
    }
}

impl Turns {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            running: Arc::default(),
            queue: Mutex::default(),
        }
    }

    /// Lines that may be under way now.
    fn limit(&self) -> usize {
        let snapshot = self.shared.snapshot.load();
        let batches = &snapshot.keeping.batches;
        let awaited = self
            .shared
            .awaited
            .iter()
            .any(|count| count.load(Ordering::Relaxed) > 0);
        if awaited {
            batches.busy_concurrency.min(batches.concurrency)
        } else {
            batches.concurrency
        }
    }

    /// Waits for a turn.
    pub(super) async fn take(&self) -> Turn {
        let _first = self.queue.lock().await;
        // All of this is on one thread: nobody comes in between.
        while self.running.count.load(Ordering::Relaxed) >= self.limit() {
            let _ = tokio::time::timeout(LOOK, self.running.left.notified()).await;
        }
        self.running.count.fetch_add(1, Ordering::Relaxed);
        Turn(Arc::clone(&self.running))
    }
}
