//! Batches at work: a worker of their own takes them from the queue and sends their lines down the road.
//!
//! The queue is the database, so batches outlive the process. What is done of a batch stands in its
//! [`Results`](pointsman_store::Results); a batch that is taken up again goes on with the lines that have none. Two
//! processes never run the same batch: its results are locked. A batch that a provider runs in one of its own is
//! looked after in the same way: what is done of handing it over stands in the database, and it rests in between.

mod drive;
mod hand;
mod lines;
mod output;
mod provider;
#[cfg(test)]
pub(crate) mod sample;
mod turns;

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use pointsman_governance::{IdentifyError, SetAside, Wanted};
use pointsman_store::{Batch, BatchId, Tenant};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::kept::now;
use crate::road::identify::look_up;
use crate::worker::{Worker, stopped};
use turns::Turns;

pub use hand::RunBy;

/// Batches that are run at once: each has its lines' places in memory.
const MAX_RUNNING: usize = 32;
/// Batches of one tenant among them, so that nobody stands in everybody's way.
const MAX_OF_TENANT: usize = 4;
/// Open batches that are looked at.
const LOOK: u32 = 1_000;
/// How often the queue is looked at when nobody says that there is something new.
const INTERVAL: Duration = Duration::from_secs(1);
/// How often what has expired is deleted.
const SWEEP: Duration = Duration::from_secs(30);
/// Files that are deleted at a time.
const SWEPT: u32 = 200;
/// How long a batch rests when the disk or the database refused.
const REST: Duration = Duration::from_secs(5);

/// What all batches share.
struct Runner {
    worker: Arc<Worker>,
    turns: Turns,
    busy: Mutex<HashMap<BatchId, Busy>>,
    /// Batches that providers run.
    waiting: Mutex<HashMap<BatchId, Waiting>>,
    /// Room for a batch's lines in memory, on their way to a provider.
    uploads: Semaphore,
}

/// A batch that is running, or rests.
struct Busy {
    tenant: Tenant,
    /// Until when it rests; none while it runs.
    until: Option<Instant>,
    /// Whether it had been cancelled when it went to rest.
    cancelling: bool,
}

/// What is held for a batch that a provider runs.
struct Waiting {
    /// What its lines may cost.
    aside: SetAside,
    /// How often was looked how far it is.
    looks: u32,
}

impl Waiting {
    fn new(aside: SetAside) -> Self {
        Self { aside, looks: 0 }
    }
}

/// Runs batches until the gateway stops; lines under way are then waited for.
pub async fn run(worker: Arc<Worker>, mut stop: watch::Receiver<bool>) {
    let runner = Arc::new(Runner {
        turns: Turns::new(Arc::clone(&worker.shared)),
        worker,
        busy: Mutex::default(),
        waiting: Mutex::default(),
        uploads: Semaphore::new(1),
    });
    let mut running = JoinSet::new();
    let mut swept: Option<Instant> = None;
    loop {
        if swept.is_none_or(|swept| swept.elapsed() >= SWEEP) {
            swept = Some(Instant::now());
            runner.sweep().await;
        }
        runner.take_up(&mut running, &stop).await;
        tokio::select! {
            () = stopped(&mut stop) => break,
            () = runner.worker.shared.kept.begun.notified() => {}
            _ = running.join_next(), if !running.is_empty() => {}
            () = tokio::time::sleep(INTERVAL) => {}
        }
    }
    let limit = runner.worker.shared.snapshot.load().bounds.drain;
    let ended = async { while running.join_next().await.is_some() {} };
    if tokio::time::timeout(limit, ended).await.is_err() {
        tracing::warn!("lines of batches outlived the drain time; they are sent again at the next start");
    }
}

impl Runner {
    /// Begins batches of the queue, as many as there is room for.
    async fn take_up(self: &Arc<Self>, running: &mut JoinSet<()>, stop: &watch::Receiver<bool>) {
        let open = self
            .worker
            .shared
            .kept
            .ask(|store| store.open_batches(LOOK))
            .await;
        let open = match open {
            Ok(open) => open,
            Err(error) => return tracing::error!(%error, "the queue of batches cannot be read"),
        };
        for batch in open {
            if running.len() < MAX_RUNNING && self.claim(&batch) {
                let (runner, stop) = (Arc::clone(self), stop.clone());
                running.spawn(async move {
                    let _claim = Claim(&runner, batch.id.clone());
                    Box::pin(runner.one(batch, stop)).await;
                });
            }
        }
    }

    /// Whether this batch may begin now; if so, it is running.
    fn claim(&self, batch: &Batch) -> bool {
        let mut busy = self.busy.lock();
        let now = Instant::now();
        busy.retain(|_, other| other.until.is_none_or(|until| until > now));
        if let Some(known) = busy.get(&batch.id) {
            // One that was cancelled meanwhile rests no more.
            let wakes = known.until.is_some() && batch.cancelling_at.is_some() && !known.cancelling;
            if !wakes {
                return false;
            }
        }
        let of_tenant = busy
            .values()
            .filter(|other| other.until.is_none() && other.tenant == batch.asked.tenant);
        if of_tenant.count() >= MAX_OF_TENANT {
            return false;
        }
        let begun = Busy {
            tenant: batch.asked.tenant.clone(),
            until: None,
            cancelling: batch.cancelling_at.is_some(),
        };
        busy.insert(batch.id.clone(), begun);
        true
    }

    async fn one(&self, batch: Batch, stop: watch::Receiver<bool>) {
        let id = batch.id.clone();
        self.read_owner(&batch).await;
        let wait = match drive::drive(self, batch, stop).await {
            Ok(drive::Next::Ended) => {
                self.waiting.lock().remove(&id);
                return;
            }
            Ok(drive::Next::Again(wait)) => wait,
            Err(error) => {
                tracing::error!(%error, batch = id.as_str(), "a batch is interrupted; it goes on in a moment");
                REST
            }
        };
        if let Some(busy) = self.busy.lock().get_mut(&id) {
            busy.until = Some(Instant::now() + wait);
        }
    }

    /// Has the key of a batch's owner in memory, where there are too many to have them all. Where that cannot be done, its
    /// lines are refused or charged to nobody: so it is waited for.
    async fn read_owner(&self, batch: &Batch) {
        let Some(owner) = &batch.asked.owner else {
            return;
        };
        let keys = &self.worker.shared.keys;
        while let Err(IdentifyError::Unread) = keys.claimed(owner.as_str()) {
            match look_up(&self.worker, Wanted::Id(owner.clone())).await {
                Ok(()) => return,
                Err(_) if self.worker.is_stopping() => return,
                Err(_) => tokio::time::sleep(INTERVAL).await,
            }
        }
    }

    /// Deletes files that have expired, or that were to be deleted before.
    async fn sweep(&self) {
        let kept = &self.worker.shared.kept;
        let files = match kept.ask(|store| store.files_to_sweep(now(), SWEPT)).await {
            Ok(files) => files,
            Err(error) => return tracing::error!(%error, "expired files cannot be looked up"),
        };
        for file in files {
            if let Err(error) = kept.sweep(&self.worker.client, file).await {
                return tracing::error!(%error, "an expired file cannot be deleted");
            }
        }
    }
}

/// A batch that is running; not any more when dropped, unless it rests.
struct Claim<'a>(&'a Arc<Runner>, BatchId);

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        let mut busy = self.0.busy.lock();
        if busy.get(&self.1).is_some_and(|known| known.until.is_none()) {
            busy.remove(&self.1);
        }
    }
}

/// JSON in one line: outside of its texts a line break is but a space, and inside there is none.
pub fn one_line(json: &[u8]) -> Cow<'_, [u8]> {
    if !json.iter().any(|byte| matches!(byte, b'\n' | b'\r')) {
        return Cow::Borrowed(json);
    }
    let line = json.iter().map(|byte| match byte {
        b'\n' | b'\r' => b' ',
        other => *other,
    });
    Cow::Owned(line.collect())
}
