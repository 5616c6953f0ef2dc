//! Responses that run in the background: how far they have come, who follows them, whether they shall stop.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use pointsman_store::KeptEvent;
use tokio::sync::watch;

/// A response that runs.
pub struct Run {
    /// Its id.
    pub id: String,
    /// Whose it is.
    pub tenant: String,
    progress: Mutex<Progress>,
    /// Counts changes, so that who follows is woken.
    changed: watch::Sender<u64>,
    stop: watch::Sender<bool>,
}

struct Progress {
    /// The `response` object as it was last told.
    body: String,
    /// What was told so far, if anybody may want to follow.
    events: Option<Vec<KeptEvent>>,
    bytes: usize,
    over: bool,
}

impl Run {
    /// A run that has not begun; its events are kept if it is `streamed`.
    pub fn new(id: &str, tenant: &str, body: String, streamed: bool) -> Self {
        Self {
            id: id.to_owned(),
            tenant: tenant.to_owned(),
            progress: Mutex::new(Progress {
                body,
                events: streamed.then(Vec::new),
                bytes: 0,
                over: false,
            }),
            changed: watch::Sender::new(0),
            stop: watch::Sender::new(false),
        }
    }

    /// The `response` object as it was last told.
    pub fn body(&self) -> String {
        self.progress.lock().body.clone()
    }

    /// Whether its events can be followed.
    pub fn is_streamed(&self) -> bool {
        self.progress.lock().events.is_some()
    }

    /// Notes how it stands.
    pub fn stands(&self, body: String) {
        self.progress.lock().body = body;
    }

    /// Adds an event; gives the bytes of all of them.
    pub fn tell(&self, event: KeptEvent) -> usize {
        let mut progress = self.progress.lock();
        let size = event.event.len();
        let Some(events) = &mut progress.events else {
            return 0;
        };
        events.push(event);
        progress.bytes += size;
        let bytes = progress.bytes;
        drop(progress);
        self.changed.send_modify(|count| *count += 1);
        bytes
    }

    /// The number of the next event.
    pub fn next_number(&self) -> u64 {
        let progress = self.progress.lock();
        let last = progress.events.as_ref().and_then(|events| events.last());
        last.map_or(0, |event| event.sequence + 1)
    }

    /// It is over: nothing more is told.
    pub fn end(&self) {
        self.progress.lock().over = true;
        self.changed.send_modify(|count| *count += 1);
    }

    /// The events behind `after`, and whether there will be more.
    pub fn events(&self, after: Option<u64>) -> (Vec<KeptEvent>, bool) {
        let progress = self.progress.lock();
        let events = progress.events.as_deref().unwrap_or_default();
        let from = events.partition_point(|event| after.is_some_and(|after| event.sequence <= after));
        (events[from..].to_vec(), !progress.over)
    }

    /// Whether it is over.
    pub fn is_over(&self) -> bool {
        self.progress.lock().over
    }

    /// Wakes at every change.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Asks it to stop.
    pub fn cancel(&self) {
        self.stop.send_replace(true);
    }

    /// Wakes when it shall stop.
    pub fn stops(&self) -> watch::Receiver<bool> {
        self.stop.subscribe()
    }
}

/// All that run in this process.
#[derive(Default)]
pub struct Runs(Mutex<HashMap<String, Arc<Run>>>);

impl Runs {
    /// Takes one in; false when `limit` run already.
    pub fn begin(&self, run: &Arc<Run>, limit: usize) -> bool {
        let mut runs = self.0.lock();
        if runs.len() >= limit {
            return false;
        }
        runs.insert(run.id.clone(), Arc::clone(run));
        true
    }

    /// A tenant's run, if it is there.
    pub fn find(&self, tenant: &str, id: &str) -> Option<Arc<Run>> {
        let run = self.0.lock().get(id).cloned()?;
        (run.tenant == tenant).then_some(run)
    }

    /// Forgets one.
    pub fn forget(&self, id: &str) {
        self.0.lock().remove(id);
    }
}
