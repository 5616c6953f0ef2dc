//! Who sends copies: one task on each worker, which ends with it.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinHandle, JoinSet};

use super::turns::Place;
use super::{Duplicate, Original};
use crate::worker::Worker;

/// Copies that were handed over and have not been taken up, on one worker.
const HANDED: usize = 1_024;

/// Where copies are handed over.
pub struct Desk(mpsc::Sender<Job>);

/// What is handed over.
pub type Handed = mpsc::Receiver<Job>;

/// A copy that has a place.
pub struct Job {
    pub(super) duplicate: Duplicate,
    pub(super) original: Original,
    place: Option<Place>,
    worker: Arc<Worker>,
    /// What came of it; none where the gateway has stopped before.
    result: Option<&'static str>,
}

impl Drop for Job {
    fn drop(&mut self) {
        let result = self.result.unwrap_or("stopped");
        self.duplicate.counters(&self.worker).came(result);
    }
}

/// A desk, and what is handed over at it.
pub fn desk() -> (Desk, Handed) {
    let (handed, jobs) = mpsc::channel(HANDED);
    (Desk(handed), jobs)
}

impl Desk {
    /// Hands a copy over, or lets it go where there is no room.
    pub(super) fn hand(&self, worker: &Arc<Worker>, duplicate: Duplicate, original: Original) {
        let counters = duplicate.counters(worker);
        if worker.is_stopping() {
            counters.came("stopped");
            return;
        }
        // Those of one decision that go for another purpose have places of their own.
        let lane = format!("{}/{}", duplicate.surface(), original.decision);
        let Some(place) = worker.shared.shadows.enter(&lane, &duplicate.shadow) else {
            counters.came("full");
            return;
        };
        let job = Job {
            duplicate,
            original,
            place: Some(place),
            worker: Arc::clone(worker),
            result: Some("full"),
        };
        // What is not taken counts itself as it goes.
        drop(self.0.try_send(job));
    }
}

/// The task that sends the copies of one worker.
pub struct Owner {
    end: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Owner {
    /// Starts it. Must be called on the worker's runtime.
    pub fn start(jobs: Handed) -> Self {
        let (end, ended) = oneshot::channel();
        Self {
            end,
            task: tokio::spawn(own(jobs, ended)),
        }
    }

    /// Ends it: what waits is let go, and what is under way is given up and charged for what its provider was given.
    pub async fn stop(self) {
        // It may have ended by itself, by a panic that the runtime has reported.
        let _ = self.end.send(());
        drop(self.task.await);
    }
}

async fn own(mut jobs: Handed, mut ended: oneshot::Receiver<()>) {
    let mut under_way = JoinSet::new();
    loop {
        tokio::select! {
            _ = &mut ended => break,
            Some(mut job) = jobs.recv() => {
                job.result = None;
                under_way.spawn(carry(job));
            }
            Some(ended) = under_way.join_next(), if !under_way.is_empty() => {
                if ended.is_err() {
                    tracing::error!("the task of a copy panicked");
                }
            }
        }
    }
    jobs.close();
    while let Ok(mut job) = jobs.try_recv() {
        job.result = None;
    }
    under_way.shutdown().await;
}

async fn carry(mut job: Job) {
    let Some(place) = job.place.take() else { return };
    let Some(_turn) = place.turn().await else { return };
    let worker = Arc::clone(&job.worker);
    let result = super::run(&worker, &mut job).await;
    job.result = Some(result);
}
