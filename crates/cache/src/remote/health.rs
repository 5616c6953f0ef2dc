//! How a back end does: its breaker, and what came of asking it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use pointsman_upstream::breaker::{Admission, Breaker, BreakerPolicy, BreakerState};
use pointsman_upstream::{ConfigError, HealthConfig, HumanDuration};

use crate::backend::{Backend, Doing};

/// Failures one after another that open the breaker.
const FAILURES: u32 = 5;
/// How long it is left alone the first time; doubled each time that the trial fails.
const REST: HumanDuration = HumanDuration::from_millis(500);
/// The longest that it is left alone.
const LONGEST_REST: HumanDuration = HumanDuration::from_secs(15);
/// A trial that has not come back by then is given up.
const TRIAL: HumanDuration = HumanDuration::from_secs(5);

/// What a back end is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// To give an entry.
    Get,
    /// To keep one.
    Put,
    /// To keep a note.
    Tell,
    /// To give notes.
    Hear,
    /// To keep a question.
    Learn,
    /// To find questions by nearness.
    Near,
    /// To let go what is over.
    Tend,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Came {
    /// It had it, or has taken it.
    Done,
    /// It has none.
    Missed,
    /// It said no, or could not be reached.
    Failed,
    /// It took too long.
    Late,
    /// It was not asked: it has failed before.
    Open,
    /// There was no room left to wait in.
    Full,
}

impl Operation {
    const ALL: [Self; 7] = [
        Self::Get,
        Self::Put,
        Self::Tell,
        Self::Hear,
        Self::Learn,
        Self::Near,
        Self::Tend,
    ];

    /// As metrics tell it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Put => "put",
            Self::Tell => "tell",
            Self::Hear => "hear",
            Self::Learn => "learn",
            Self::Near => "near",
            Self::Tend => "tend",
        }
    }
}

impl Came {
    const ALL: [Self; 6] = [
        Self::Done,
        Self::Missed,
        Self::Failed,
        Self::Late,
        Self::Open,
        Self::Full,
    ];

    /// As metrics tell it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Missed => "missed",
            Self::Failed => "failed",
            Self::Late => "late",
            Self::Open => "open",
            Self::Full => "full",
        }
    }
}

/// How a back end does.
#[derive(Debug)]
pub struct Health {
    name: &'static str,
    breaker: Breaker,
    policy: BreakerPolicy,
    /// From when the breaker's time counts.
    epoch: Instant,
    counts: [[AtomicU64; Came::ALL.len()]; Operation::ALL.len()],
}

/// Somebody was let through; given up without a verdict, it makes room for the next.
struct Pass<'a> {
    health: &'a Health,
    admission: Option<Admission>,
}

impl Health {
    pub fn new(name: &'static str) -> Result<Self, ConfigError> {
        let rules = HealthConfig {
            consecutive_failures: FAILURES,
            failure_ratio: 0.5,
            min_requests: 20,
            open_for: REST,
            max_open_for: LONGEST_REST,
            trial_timeout: TRIAL,
            ..HealthConfig::default()
        };
        Ok(Self {
            name,
            breaker: Breaker::default(),
            policy: BreakerPolicy::compile(&rules)?,
            epoch: Instant::now(),
            counts: Default::default(),
        })
    }

    pub fn breaker(&self) -> BreakerState {
        self.breaker.state(self.now())
    }

    pub fn count(&self, operation: Operation, came: Came) {
        self.counts[operation as usize][came as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub fn counts(&self) -> impl Iterator<Item = (Operation, Came, u64)> {
        let every = Operation::ALL
            .iter()
            .flat_map(|operation| Came::ALL.iter().map(move |came| (*operation, *came)));
        every.map(|(operation, came)| {
            let count = self.counts[operation as usize][came as usize].load(Ordering::Relaxed);
            (operation, came, count)
        })
    }

    /// Does it within a time, unless the breaker is open. What fails is counted here; what does not, by whoever knows
    /// what it means.
    pub async fn ask<T>(
        &self,
        backend: &dyn Backend,
        operation: Operation,
        within: Duration,
        doing: Doing<'_, T>,
    ) -> Option<T> {
        let Some(admission) = self.breaker.admit(&self.policy, self.now()) else {
            self.count(operation, Came::Open);
            return None;
        };
        let pass = Pass {
            health: self,
            admission: Some(admission),
        };
        match tokio::time::timeout(within, doing).await {
            Ok(Ok(done)) => {
                pass.good();
                Some(done)
            }
            Ok(Err(error)) => {
                self.count(operation, Came::Failed);
                pass.bad(&error.0);
                None
            }
            Err(_) => {
                backend.reconnect();
                self.count(operation, Came::Late);
                pass.bad("no answer in time");
                None
            }
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

impl Pass<'_> {
    fn good(mut self) {
        let Some(admission) = self.admission.take() else {
            return;
        };
        let health = self.health;
        health.breaker.on_success(&health.policy, admission, health.now());
        if matches!(admission, Admission::Trial(_)) {
            tracing::info!(backend = health.name, "the cache's back end answers again");
        }
    }

    fn bad(mut self, why: &str) {
        let Some(admission) = self.admission.take() else {
            return;
        };
        let health = self.health;
        let was_closed = health.breaker() == BreakerState::Closed;
        let now = health.now();
        health
            .breaker
            .on_failure(&health.policy, (admission, false), now, &mut rand::rng());
        if was_closed && health.breaker() == BreakerState::Open {
            tracing::warn!(
                backend = health.name,
                why,
                "the cache's back end fails; requests go on without it"
            );
        }
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if let Some(admission) = self.admission.take() {
            self.health.breaker.release(admission, self.health.now());
        }
    }
}
