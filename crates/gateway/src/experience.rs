//! What really happened, told to decisions: what was learned of models, sessions, and the record of decisions.
//!
//! Workers hand over what came of a request through a bounded queue, and never wait; one thread has the database. What is
//! learned here is added to what all replicas share, and what they have learned is taken in, about once a second. Deciding
//! reads an immutable [`Learner`] that is swapped as a whole.

mod keep;
mod sessions;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use pointsman_routing::learning::{Learner, LearnerConfig};
use pointsman_routing::{LearningConfig, Recorded, Router};
use pointsman_store::{DecisionRow, NewMemory, RoutedRequest, SessionTurn, Store};
use pointsman_wire::form::{Failure, FailureKind, Usage};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

pub use sessions::{Sessions, Turn, session_id};

/// What waits for the thread, at most; what is more is let go and counted.
const QUEUE: usize = 8_192;
/// How long who judges waits to be told what became of it.
const PATIENCE: Duration = Duration::from_secs(5);

/// What came of requests.
pub struct Experience {
    learner: Arc<ArcSwap<Learner>>,
    /// The latest turns.
    pub sessions: Arc<Sessions>,
    jobs: SyncSender<Job>,
    active: Arc<AtomicBool>,
    lost: AtomicU64,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What is handed over.
enum Job {
    /// What a model did.
    Came(Came),
    /// A request that may be judged.
    Routed(RoutedRequest),
    /// A session's turn is over.
    Turned(String, Box<Turn>),
    /// A decision, and how many of its name are kept.
    Decided(Box<Told>, u32),
    /// What came of a copy of a request, by the request's id.
    Shadowed(String, Box<Shadowed>),
    /// Something of a user that is remembered.
    Remember(Box<NewMemory>),
    /// How good an answer was.
    Judge(Judgement, Option<oneshot::Sender<Verdict>>),
    /// Which of two models is preferred.
    Prefer(Preference, oneshot::Sender<Verdict>),
    /// How learning goes on.
    Under(LearnerConfig),
    Stop,
}

/// What a model did.
#[derive(Debug, Clone, Default)]
pub struct Came {
    /// The decision.
    pub scope: String,
    /// The model.
    pub model: String,
    /// What it was about.
    pub domain: Option<String>,
    /// What it cost, in nano-dollars.
    pub cost: Option<u64>,
    /// How long it took, in milliseconds.
    pub latency_ms: Option<f64>,
    /// There was no answer.
    pub failed: bool,
}

/// How good the answer to a request was.
#[derive(Debug, Clone)]
pub struct Judgement {
    /// Who says so; only of one's own requests.
    pub tenant: String,
    /// The request.
    pub request: String,
    /// 0 to 1.
    pub reward: f64,
}

/// One model is preferred to another.
#[derive(Debug, Clone)]
pub struct Preference {
    /// The decisions.
    pub scopes: Vec<String>,
    /// What it was about.
    pub domain: Option<String>,
    /// Whose answer was preferred.
    pub winner: Option<String>,
    /// Whose was not.
    pub loser: Option<String>,
    /// Neither.
    pub tie: bool,
    /// How much it counts, 0 to 1.
    pub weight: f64,
}

/// What became of a judgement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is learned, of this model in this decision.
    Learned {
        /// The decision.
        scope: String,
        /// The model.
        model: String,
    },
    /// The request was judged before.
    Again,
    /// There is no such request.
    Unknown,
    /// It is not learned, for this reason.
    Refused(String),
}

/// A recorded decision, with what came of it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Told {
    /// Whose, when, and how it ended.
    #[serde(skip)]
    pub row: DecisionRow,
    /// What it went by.
    #[serde(flatten)]
    pub recorded: Recorded,
    /// What was used.
    pub usage: Usage,
    /// What it cost, in nano-dollars.
    pub cost: i64,
    /// From request to settlement, in microseconds.
    pub latency_us: u64,
    /// From request to the first content, in microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttft_us: Option<u64>,
    /// What came of the copy that went to another model, where there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shadow: Option<Shadowed>,
}

/// What came of a copy of a request that went to another model.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Shadowed {
    /// The model.
    pub model: String,
    /// Who was asked for it last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// How it ended.
    pub outcome: String,
    /// The status that a client would have seen.
    pub status: u16,
    /// What was used.
    pub usage: Usage,
    /// What it cost, in nano-dollars.
    pub cost: i64,
    /// How long it took, in microseconds.
    pub latency_us: u64,
    /// How like its answer is to that which the client got, -1 to 1, where both say something.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub similarity: Option<f64>,
    /// What went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Its answer, where that is captured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
}

/// How a router's configuration has its learner learn.
pub fn configured(config: &LearningConfig) -> LearnerConfig {
    LearnerConfig {
        replica: "here".to_owned(),
        half_life_seconds: config.half_life(),
        most: config.most(),
        frozen: config.frozen,
    }
}

impl Experience {
    /// Starts its thread, which first reads what is known.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn open(store: Arc<Store>, router: Option<&Router>) -> std::io::Result<Arc<Self>> {
        let config = router
            .map(|router| configured(router.learning()))
            .unwrap_or_default();
        let learner = Arc::new(ArcSwap::from_pointee(Learner::new(config.clone())));
        let sessions = Arc::new(Sessions::default());
        let active = Arc::new(AtomicBool::new(is_active(router)));
        let (jobs, queue) = sync_channel(QUEUE);
        let mut keeper = keep::Keeper::new(
            store,
            Learner::new(config),
            (Arc::clone(&learner), Arc::clone(&sessions), Arc::clone(&active)),
        );
        // Decisions of the first requests go by what was learned before.
        if active.load(Ordering::Relaxed) {
            keeper.take_in();
        }
        let thread = std::thread::Builder::new()
            .name("experience".to_owned())
            .spawn(move || keeper.run(&queue))?;
        Ok(Arc::new(Self {
            learner,
            sessions,
            jobs,
            active,
            lost: AtomicU64::new(0),
            thread: Mutex::new(Some(thread)),
        }))
    }

    /// Goes on under another configuration.
    pub fn reconfigure(&self, router: Option<&Router>) {
        self.active.store(is_active(router), Ordering::Relaxed);
        if let Some(router) = router {
            self.hand(Job::Under(configured(router.learning())));
        }
    }

    /// What was learned so far.
    pub fn learner(&self) -> Arc<Learner> {
        self.learner.load_full()
    }

    /// Notes what a model did.
    pub fn came(&self, came: Came) {
        self.hand(Job::Came(came));
    }

    /// Notes a request that may be judged.
    pub fn routed(&self, request: RoutedRequest) {
        self.hand(Job::Routed(request));
    }

    /// Notes that a session's turn is over; the next turn here knows of it at once.
    pub fn turned(&self, session: String, turn: Turn) {
        self.sessions.put(&session, turn.clone());
        self.hand(Job::Turned(session, Box::new(turn)));
    }

    /// Notes a decision.
    pub fn decided(&self, told: Told, most: u32) {
        self.hand(Job::Decided(Box::new(told), most));
    }

    /// Notes what came of a copy of a request.
    pub fn shadowed(&self, request: String, shadowed: Shadowed) {
        self.hand(Job::Shadowed(request, Box::new(shadowed)));
    }

    /// Has something of a user remembered.
    pub fn remember(&self, memory: NewMemory) {
        self.hand(Job::Remember(Box::new(memory)));
    }

    /// Notes what the next turn says of the answer before.
    pub fn overheard(&self, judgement: Judgement) {
        self.hand(Job::Judge(judgement, None));
    }

    /// Judges an answer.
    ///
    /// # Errors
    /// 503 when too much waits.
    pub async fn judge(&self, judgement: Judgement) -> Result<Verdict, Failure> {
        let (tell, told) = oneshot::channel();
        self.ask(Job::Judge(judgement, Some(tell)), told).await
    }

    /// Prefers one model to another.
    ///
    /// # Errors
    /// 503 when too much waits.
    pub async fn prefer(&self, preference: Preference) -> Result<Verdict, Failure> {
        let (tell, told) = oneshot::channel();
        self.ask(Job::Prefer(preference, tell), told).await
    }

    async fn ask(&self, job: Job, told: oneshot::Receiver<Verdict>) -> Result<Verdict, Failure> {
        self.jobs.try_send(job).map_err(|_| busy())?;
        match tokio::time::timeout(PATIENCE, told).await {
            Ok(Ok(verdict)) => Ok(verdict),
            _ => Err(busy()),
        }
    }

    fn hand(&self, job: Job) {
        if self.jobs.try_send(job).is_err() {
            let lost = self.lost.fetch_add(1, Ordering::Relaxed) + 1;
            if lost.is_power_of_two() {
                tracing::warn!(
                    lost,
                    "what came of requests is not learned or recorded: too much waits"
                );
            }
        }
    }

    /// Writes down what was handed over, and ends. Blocks.
    pub fn close(&self) {
        let Some(thread) = self.thread.lock().take() else {
            return;
        };
        if self.jobs.send(Job::Stop).is_ok() && thread.join().is_err() {
            tracing::error!("the thread of what really happened panicked");
        }
    }
}

/// Whether anything is learned or followed.
fn is_active(router: Option<&Router>) -> bool {
    router.is_some_and(Router::keeps_experience)
}

/// The thread has too much to do.
fn busy() -> Failure {
    Failure::new(
        FailureKind::Unavailable,
        "what really happened cannot be noted now: too much waits; try again",
    )
    .retry_after(Duration::from_secs(1))
}

/// Unix milliseconds.
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

impl Turn {
    fn stored(&self, id: String) -> Option<SessionTurn> {
        Some(SessionTurn {
            id,
            at: self.at,
            turn: serde_json::to_string(self).ok()?,
        })
    }
}
