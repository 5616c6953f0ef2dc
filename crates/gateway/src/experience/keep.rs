//! The thread that has the database: takes in what came of requests, shares it, and reads what others have shared.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use pointsman_routing::learning::{Comparison, Contribution, Learner, LearnerError, Outcome};
use pointsman_store::{Judged, RoutedBatch, RoutedRequest, Store, StoreError};

use super::{Came, Job, Judgement, Preference, Sessions, Shadowed, Told, Turn, Verdict, now};

/// How often what was learned is shown to decisions, and what was handed over is written.
const SHOWN: Duration = Duration::from_millis(100);
/// How often what was learned is shared.
const SHARED: Duration = Duration::from_millis(1_000);
/// How often memories whose time is over are deleted; nobody is shown them before, either.
const SWEPT: Duration = Duration::from_secs(60);
/// What is written at once, at most.
const BATCH: usize = 512;
/// Clocks of replicas may be so far apart, in milliseconds.
const APART: i64 = 5_000;
/// Sessions that are read at the start, or at once later.
const SESSIONS: u32 = 65_536;

/// What decisions see.
type Shown = (Arc<ArcSwap<Learner>>, Arc<Sessions>, Arc<AtomicBool>);

/// Keeps what came of requests.
pub(super) struct Keeper {
    store: Arc<Store>,
    learner: Learner,
    shown: Arc<ArcSwap<Learner>>,
    sessions: Arc<Sessions>,
    active: Arc<AtomicBool>,
    batch: RoutedBatch,
    /// Something was learned that decisions have not been shown.
    fresh: bool,
    /// Of what all share.
    version: i64,
    /// Turns up to then are known.
    turns_until: i64,
    last_shown: Instant,
    last_shared: Instant,
    last_swept: Instant,
}

impl Keeper {
    pub(super) fn new(store: Arc<Store>, learner: Learner, (shown, sessions, active): Shown) -> Self {
        Self {
            store,
            learner,
            shown,
            sessions,
            active,
            batch: RoutedBatch::default(),
            fresh: false,
            version: 0,
            turns_until: 0,
            last_shown: Instant::now(),
            last_shared: Instant::now(),
            last_swept: Instant::now(),
        }
    }

    /// Works until it is told to stop.
    pub(super) fn run(mut self, queue: &Receiver<Job>) {
        loop {
            match queue.recv_timeout(SHOWN) {
                Ok(Job::Stop) | Err(RecvTimeoutError::Disconnected) => break,
                Ok(job) => self.take(job),
                Err(RecvTimeoutError::Timeout) => {}
            }
            if self.last_shown.elapsed() >= SHOWN || self.waiting() >= BATCH {
                self.write();
                self.show();
            }
            if self.last_shared.elapsed() >= SHARED {
                self.share();
            }
        }
        self.write();
        self.share();
    }

    fn take(&mut self, job: Job) {
        match job {
            Job::Came(came) => self.came(&came),
            Job::Routed(request) => self.batch.requests.push(request),
            Job::Turned(id, turn) => self.batch.turns.extend(turn.stored(id)),
            Job::Decided(told, most) => self.record(*told, most),
            Job::Shadowed(request, shadowed) => self.shadowed(&request, &shadowed),
            Job::Remember(memory) => {
                if let Err(error) = self.store.remember(&memory) {
                    tracing::error!(%error, "what a user said could not be remembered");
                }
            }
            Job::Judge(judgement, tell) => {
                let verdict = self.judge(&judgement);
                // Nobody may be waiting any more.
                let _ = tell.map(|tell| tell.send(verdict));
            }
            Job::Prefer(preference, tell) => {
                let verdict = self.prefer(&preference);
                self.show();
                let _ = tell.send(verdict);
            }
            Job::Under(config) => {
                self.learner = self.learner.clone().under(config);
                self.fresh = true;
            }
            Job::Stop => {}
        }
    }

    fn waiting(&self) -> usize {
        self.batch.requests.len() + self.batch.turns.len() + self.batch.decisions.len()
    }

    fn record(&mut self, mut told: Told, most: u32) {
        match serde_json::to_string(&told) {
            Ok(record) => {
                told.row.record = record;
                self.batch.decisions.push((told.row, most));
            }
            Err(error) => tracing::warn!(%error, "a decision could not be recorded"),
        }
    }

    /// Notes with a decision what came of the copy of its request.
    fn shadowed(&mut self, request: &str, shadowed: &Shadowed) {
        // The decision may still be on its way.
        self.write();
        let noted = serde_json::to_value(shadowed)
            .map_err(StoreError::from)
            .and_then(|shadowed| self.store.note_shadow(request, &shadowed));
        if let Err(error) = noted {
            tracing::error!(%error, "what came of the copy of a request could not be noted");
        }
    }

    fn came(&mut self, came: &Came) {
        let outcome = Outcome {
            scope: &came.scope,
            model: &came.model,
            domain: came.domain.as_deref(),
            reward: None,
            cost: came.cost,
            latency_ms: came.latency_ms,
            failed: came.failed,
            at: seconds(),
        };
        let learned = self.learner.record(&outcome);
        self.note(learned);
    }

    fn note(&mut self, learned: Result<(), LearnerError>) {
        match learned {
            Ok(()) => self.fresh = true,
            Err(LearnerError::Frozen) => {}
            Err(error) => tracing::debug!(%error, "an outcome is not learned"),
        }
    }

    fn judge(&mut self, judgement: &Judgement) -> Verdict {
        if self.learner.is_frozen() {
            return Verdict::Refused(LearnerError::Frozen.to_string());
        }
        // The request may still be on its way.
        self.write();
        match self.store.judge(&judgement.tenant, &judgement.request) {
            Ok(Judged::First(request)) => {
                self.learn(&request, judgement.reward);
                self.show();
                Verdict::Learned {
                    scope: request.scope,
                    model: request.model,
                }
            }
            Ok(Judged::Again) => Verdict::Again,
            Ok(Judged::Unknown) => Verdict::Unknown,
            Err(error) => {
                tracing::error!(%error, "a judgement could not be noted");
                Verdict::Refused("the database cannot be asked".to_owned())
            }
        }
    }

    /// An answer that was liked won against what the decision's other models would have said, by their share.
    fn learn(&mut self, request: &RoutedRequest, reward: f64) {
        let domain = request.domain.as_deref();
        let (scope, model, at) = (request.scope.as_str(), request.model.as_str(), seconds());
        let outcome = Outcome {
            scope,
            model,
            domain,
            reward: Some(reward),
            at,
            ..Outcome::default()
        };
        let learned = self.learner.record(&outcome);
        self.note(learned);
        let share = (2.0 * reward - 1.0) / request.others.len().max(1) as f64;
        for other in &request.others {
            let (winner, loser) = match share > 0.0 {
                true => (model, other.as_str()),
                false => (other.as_str(), model),
            };
            let comparison = Comparison {
                scope,
                domain,
                winner,
                loser,
                at,
            };
            let learned = self.learner.prefer(&comparison, share.abs());
            self.note(learned);
        }
    }

    fn prefer(&mut self, preference: &Preference) -> Verdict {
        if self.learner.is_frozen() {
            return Verdict::Refused(LearnerError::Frozen.to_string());
        }
        let (domain, at) = (preference.domain.as_deref(), seconds());
        for scope in &preference.scopes {
            for (model, reward) in [(&preference.winner, 1.0), (&preference.loser, 0.0)] {
                let Some(model) = model else { continue };
                let outcome = Outcome {
                    scope,
                    model,
                    domain,
                    reward: Some(if preference.tie { 0.5 } else { reward }),
                    at,
                    ..Outcome::default()
                };
                let learned = self.learner.record(&outcome);
                self.note(learned);
            }
            let (Some(winner), Some(loser)) = (&preference.winner, &preference.loser) else {
                continue;
            };
            let comparison = Comparison {
                scope,
                domain,
                winner,
                loser,
                at,
            };
            let weight = if preference.tie { 0.5 } else { 1.0 } * preference.weight;
            let learned = self.learner.prefer(&comparison, weight);
            self.note(learned);
            if preference.tie {
                let other = Comparison {
                    winner: loser,
                    loser: winner,
                    ..comparison
                };
                let learned = self.learner.prefer(&other, weight);
                self.note(learned);
            }
        }
        let named = preference.winner.as_ref().or(preference.loser.as_ref());
        Verdict::Learned {
            scope: preference.scopes.join(", "),
            model: named.cloned().unwrap_or_default(),
        }
    }

    fn write(&mut self) {
        let batch = std::mem::take(&mut self.batch);
        if let Err(error) = self.store.keep_routed(&batch) {
            tracing::error!(%error, "what decisions leave behind could not be written");
        }
    }

    fn show(&mut self) {
        self.last_shown = Instant::now();
        if std::mem::take(&mut self.fresh) {
            self.shown.store(Arc::new(self.learner.clone()));
        }
    }

    fn share(&mut self) {
        self.last_shared = Instant::now();
        if self.last_swept.elapsed() >= SWEPT {
            self.last_swept = Instant::now();
            if let Err(error) = self.store.sweep_memories(now()) {
                tracing::error!(%error, "memories whose time is over could not be deleted");
            }
        }
        if let Some(learned) = self.learner.unshared() {
            match self.add(&learned) {
                Ok((version, all)) => {
                    self.version = version;
                    self.learner.shared(all);
                    self.fresh = true;
                }
                // It stays here, and is tried again.
                Err(error) => tracing::error!(%error, "what was learned could not be shared"),
            }
        } else if self.active.load(Ordering::Relaxed) {
            self.refresh();
        }
        if self.active.load(Ordering::Relaxed) {
            self.follow();
        }
        self.show();
    }

    /// Adds what was learned here to what all share.
    fn add(&self, learned: &Contribution) -> Result<(i64, Contribution), StoreError> {
        let config = self.learner.config();
        self.store.change_learned(|known| {
            let known = known.map(|bytes| Contribution::stored(&bytes)).transpose();
            let known = known.map_err(|error| StoreError::Invalid(error.to_string()))?;
            let all = known.unwrap_or_default();
            all.with(learned, config.half_life_seconds, config.most)
                .map_err(|error| StoreError::Invalid(error.to_string()))
        })
    }

    fn refresh(&mut self) {
        let read = self.store.learned_after(self.version);
        let newer = read.map(|found| found.map(|(version, bytes)| (version, Contribution::stored(&bytes))));
        match newer {
            Ok(None) => {}
            Ok(Some((version, Ok(all)))) => {
                self.version = version;
                self.learner.refreshed(all);
                self.fresh = true;
            }
            Ok(Some((version, Err(error)))) => {
                self.version = version;
                tracing::error!(%error, "what was learned cannot be read; this process begins anew");
            }
            Err(error) => tracing::error!(%error, "what was learned cannot be read"),
        }
    }

    /// Turns that other replicas have answered.
    fn follow(&mut self) {
        let before = now();
        match self.store.turns_since(self.turns_until - APART, SESSIONS) {
            Ok(turns) => {
                for stored in turns {
                    if let Ok(turn) = serde_json::from_str::<Turn>(&stored.turn) {
                        self.sessions.put(&stored.id, turn);
                    }
                }
                self.turns_until = before;
            }
            Err(error) => tracing::error!(%error, "sessions cannot be read"),
        }
    }

    /// Reads what is known at the start.
    pub(super) fn take_in(&mut self) {
        self.refresh();
        self.follow();
        self.show();
    }
}

/// Unix seconds.
fn seconds() -> u64 {
    u64::try_from(now() / 1_000).unwrap_or(0)
}
