//! Counting together with other replicas: asking where there is no room, telling in rounds, and what happens while
//! nobody can be asked.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use pointsman_store::{Answers, Ask, SharedCounters, SharedError, Store, StoreError, Verdict};
use tokio::sync::watch;

use crate::account::{Account, Link, Pending, running_ms, unix_ms};
use crate::denial::{Denial, Refused};
use crate::ledger::used;
use crate::reservation::{self, Accounts, Estimate, Reservation, Standing};
use crate::wanted::Wanted;

/// How long a request waits for an answer.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long a round does.
const ROUND_PATIENCE: Duration = Duration::from_secs(2);
/// From one round to the next.
const ROUND: Duration = Duration::from_millis(200);
/// Accounts that are told of in one call.
const TOGETHER: usize = 64;
/// So many failures in a row, and nobody asks any more until a round succeeds.
const FAILURES: u32 = 2;
/// How often a request asks again where others were faster, before it is told to come again.
const TRIES: usize = 16;
/// How long giving everything back may take at the end.
const FAREWELL: Duration = Duration::from_secs(2);

/// What happens to requests that find no room here while nobody can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenDown {
    /// They are refused.
    Closed,
    /// Each replica admits within so many hundredths of each limit, and of what was left of each budget.
    Local {
        /// The hundredths.
        percent: u8,
    },
}

/// The time of the server that counts, carried on by this process's own steady clock: clocks of replicas that differ
/// do not matter.
#[derive(Debug)]
pub(crate) struct Clock {
    /// Unix milliseconds at the beginning of this process.
    begun: AtomicI64,
}

impl Clock {
    fn new() -> Self {
        Self {
            begun: AtomicI64::new(unix_ms().saturating_sub_unsigned(running_ms())),
        }
    }

    pub(crate) fn unix_ms(&self, running: u64) -> i64 {
        self.begun
            .load(Ordering::Relaxed)
            .saturating_add_unsigned(running)
    }

    fn set(&self, server: i64, running: u64) {
        self.begun
            .store(server.saturating_sub_unsigned(running), Ordering::Relaxed);
    }
}

/// What was asked and told, for metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SharingCounts {
    /// Whether others can be asked.
    pub is_up: bool,
    /// Exchanges that a request waited for.
    pub asked: u64,
    /// Exchanges of rounds, that nobody waited for.
    pub told: u64,
    /// Exchanges that came to nothing.
    pub failed: u64,
    /// Accounts that are told of at the moment.
    pub accounts: u64,
}

/// Counting together with other replicas.
pub struct Sharing {
    counters: Arc<dyn SharedCounters>,
    store: Arc<Store>,
    replica: String,
    when_down: WhenDown,
    life: Duration,
    clock: Clock,
    is_up: AtomicBool,
    failures: AtomicU32,
    /// Accounts that are to be told of from the next round on.
    new: Mutex<Vec<Arc<Account>>>,
    asked: AtomicU64,
    told: AtomicU64,
    failed: AtomicU64,
    accounts: AtomicU64,
}

impl fmt::Debug for Sharing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sharing")
            .field("replica", &self.replica)
            .finish_non_exhaustive()
    }
}

/// Asks with those who wait for them.
#[derive(Default)]
struct Round {
    pending: Vec<Pending>,
    asks: Vec<Ask>,
}

impl Sharing {
    /// Counts together with whoever counts on `counters`, as the replica of this name. The ledger in `store` says what
    /// was spent of budgets that the counters do not know. `life` is how long a replica that is silent is taken for
    /// alive.
    #[must_use]
    pub fn new(
        counters: Arc<dyn SharedCounters>,
        store: Arc<Store>,
        replica: &str,
        (when_down, life): (WhenDown, Duration),
    ) -> Arc<Self> {
        Arc::new(Self {
            counters,
            store,
            replica: replica.to_owned(),
            when_down,
            life,
            clock: Clock::new(),
            is_up: AtomicBool::new(true),
            failures: AtomicU32::new(0),
            new: Mutex::default(),
            asked: AtomicU64::new(0),
            told: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            accounts: AtomicU64::new(0),
        })
    }

    /// The name of this replica.
    #[must_use]
    pub fn replica(&self) -> &str {
        &self.replica
    }

    /// What was asked and told so far.
    #[must_use]
    pub fn counts(&self) -> SharingCounts {
        SharingCounts {
            is_up: self.is_up.load(Ordering::Relaxed),
            asked: self.asked.load(Ordering::Relaxed),
            told: self.told.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            accounts: self.accounts.load(Ordering::Relaxed),
        }
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    pub(crate) fn link(&self) -> Link {
        Link {
            is_up: self.is_up.load(Ordering::Relaxed),
            when_down: self.when_down,
            life: self.life.as_millis() as u64,
        }
    }

    pub(crate) fn tell_of(&self, account: &Arc<Account>) {
        self.new.lock().push(Arc::clone(account));
    }

    /// Tells in rounds how accounts stand, until `stop`; then gives back what is not used.
    pub async fn run(&self, mut stop: watch::Receiver<bool>) {
        let mut accounts: Vec<Arc<Account>> = Vec::new();
        loop {
            let stops = tokio::select! {
                () = tokio::time::sleep(ROUND) => false,
                // Whoever would say so is gone: the same.
                _ = stop.wait_for(|stop| *stop) => true,
            };
            accounts.append(&mut self.new.lock());
            self.accounts.store(accounts.len() as u64, Ordering::Relaxed);
            if stops {
                let farewell = self.tell_all(&mut accounts, true);
                if tokio::time::timeout(FAREWELL, farewell).await.is_err() {
                    tracing::warn!(
                        "what this replica holds of shared counters could not be given back in time"
                    );
                }
                return;
            }
            self.tell_all(&mut accounts, false).await;
        }
    }

    /// One round.
    async fn tell_all(&self, accounts: &mut Vec<Arc<Account>>, gives_all: bool) {
        let mut at = 0;
        let mut has_told = false;
        while at < accounts.len() {
            let mut round = Round::default();
            let end = (at + TOGETHER).min(accounts.len());
            let mut kept = at;
            for index in at..end {
                if Account::tell(&accounts[index], gives_all, &mut round.pending, &mut round.asks) {
                    accounts.swap(kept, index);
                    kept += 1;
                }
            }
            accounts.drain(kept..end);
            at = kept;
            if !round.asks.is_empty() {
                has_told = true;
                // What it comes to is in the accounts. Where nobody answers, the rest is told in the next round.
                let carried = self.carry(round, ROUND_PATIENCE).await;
                if carried.is_err() && !self.is_up.load(Ordering::Relaxed) {
                    return;
                }
            }
        }
        // Nobody asks while nobody can be asked: somebody has to find out when that is over.
        if !has_told && !self.is_up.load(Ordering::Relaxed) {
            let _ = self.exchange(&[], ROUND_PATIENCE).await;
        }
    }

    async fn exchange(&self, asks: &[Ask], within: Duration) -> Result<Answers, SharedError> {
        let begun = Instant::now();
        let answered = self.counters.exchange(asks, within).await;
        match &answered {
            Ok(answers) => {
                if answers.now > 0 {
                    // Halfway between is when the server looked.
                    let half = begun.elapsed().as_millis() as u64 / 2;
                    self.clock.set(answers.now, running_ms().saturating_sub(half));
                }
                self.failures.store(0, Ordering::Relaxed);
                if !self.is_up.swap(true, Ordering::Relaxed) {
                    tracing::info!("the shared counters answer again");
                }
            }
            Err(error) => {
                self.failed.fetch_add(1, Ordering::Relaxed);
                let failures = self.failures.fetch_add(1, Ordering::Relaxed);
                if failures + 1 >= FAILURES && self.is_up.swap(false, Ordering::Relaxed) {
                    tracing::warn!(%error, when_down = ?self.when_down, "the shared counters do not answer");
                }
            }
        }
        answered
    }

    /// Exchanges, and hands on what was told; says which account refuses, if one does.
    async fn carry(
        &self,
        mut round: Round,
        within: Duration,
    ) -> Result<Option<(Refused, Arc<Account>)>, Refused> {
        let counted = if within == PATIENCE {
            &self.asked
        } else {
            &self.told
        };
        counted.fetch_add(1, Ordering::Relaxed);
        let mut answers = self.exchange(&round.asks, within).await;
        if let Ok(first) = &answers
            && first.told.iter().any(|told| told.verdict == Verdict::Unknown)
        {
            self.look_up(&mut round, first).await.map_err(|error| {
                tracing::warn!(%error, "what was spent of a budget cannot be read");
                Refused::Unreachable
            })?;
            answers = self.exchange(&round.asks, within).await;
        }
        let answers = answers.map_err(|_| Refused::Unreachable)?;
        let mut refusal = None;
        let mut is_settling = false;
        for ((pending, ask), told) in round.pending.iter().zip(&round.asks).zip(&answers.told) {
            is_settling |= matches!(told.verdict, Verdict::Settling | Verdict::Unknown);
            if let Some(refused) = pending.heed(told, ask) {
                refusal.get_or_insert((refused, Arc::clone(&pending.account)));
            }
        }
        if is_settling {
            return Err(Refused::Unreachable);
        }
        Ok(refusal)
    }

    /// Adds what the ledger knows of budgets that the counters do not know.
    async fn look_up(&self, round: &mut Round, answers: &Answers) -> Result<(), StoreError> {
        let mut unknown = Vec::new();
        for (index, told) in answers.told.iter().enumerate() {
            if told.verdict == Verdict::Unknown {
                let pending = round.pending.get(index);
                let question = pending.and_then(|pending| pending.question(told));
                unknown.extend(question.map(|question| (index, question)));
            } else if let Some(ask) = round.asks.get_mut(index) {
                ask.version = told.version;
                ask.hold = ask.hold.max(told.ceiling);
                if matches!(told.verdict, Verdict::Granted | Verdict::Refused) {
                    ask.acknowledged = ask.acknowledged.max(ask.used);
                }
            }
        }
        let store = Arc::clone(&self.store);
        let looked = tokio::task::spawn_blocking(move || {
            let known = unknown
                .into_iter()
                .map(|(index, question)| Ok((index, used(&store, &question)?)));
            known.collect::<Result<Vec<_>, StoreError>>()
        });
        // A thread that panicked has read nothing.
        for (index, spent) in looked.await.unwrap_or_else(|_| Ok(Vec::new()))? {
            if let Some(ask) = round.asks.get_mut(index) {
                ask.ledger = Some(spent);
            }
        }
        Ok(())
    }

    /// Asks for what is wanted at `accounts` and does not find here.
    async fn ask_for(
        &self,
        accounts: &Accounts,
        wanted: &Wanted<'_>,
    ) -> Result<Option<(Refused, Arc<Account>)>, Refused> {
        let mut round = Round::default();
        for account in accounts.iter() {
            Account::asks(account, wanted, &mut round.pending, &mut round.asks);
        }
        if round.asks.is_empty() {
            return Ok(None);
        }
        self.carry(round, PATIENCE).await
    }
}

/// Reserves `estimate` at every holder, or at none; asks where there is no room here.
pub(crate) async fn reserve(
    accounts: &Accounts,
    estimate: Estimate,
    standing: Standing,
) -> Result<Reservation, Denial> {
    let mut failures = 0;
    for _ in 0..TRIES {
        let (refused, account) = match reservation::attempt(accounts, estimate, standing, Instant::now()) {
            Ok(reservation) => return Ok(reservation),
            Err(refused) => refused,
        };
        let Some(sharing) = account.sharing().filter(|_| matches!(refused, Refused::Share)) else {
            return Err(account.denial(refused, estimate.cost));
        };
        let wanted = Wanted::new(estimate, standing, accounts.model());
        match sharing.ask_for(accounts, &wanted).await {
            Ok(None) => {}
            Ok(Some((refused, account))) => return Err(account.denial(refused, estimate.cost)),
            // Failed so often, the next attempt goes by what is done while nobody can be asked.
            Err(_) if failures < FAILURES => failures += 1,
            Err(refused) => return Err(account.denial(refused, estimate.cost)),
        }
    }
    Err(accounts.first().map_or_else(
        || Refused::Share.denial("this key", estimate.cost),
        |account| account.denial(Refused::Share, estimate.cost),
    ))
}

/// Gets what is wanted, so that reserving it after finds room here; whether it does is seen then.
pub(crate) async fn prepare(accounts: &Accounts, wanted: &Wanted<'_>) {
    let Some(sharing) = accounts.first().and_then(|account| account.sharing()) else {
        return;
    };
    if sharing.link().is_up {
        // What is refused now is refused again, and told, when it is reserved.
        let _ = sharing.ask_for(accounts, wanted).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_of_replicas_that_differ_do_not_matter() {
        let [one, two] = [Clock::new(), Clock::new()];
        // Asked when one had run for 500 ms and the other for 90 s: what their machines think does not come into it.
        one.set(1_000_000, 500);
        two.set(1_000_000, 90_000);
        assert_eq!(one.unix_ms(700), 1_000_200);
        assert_eq!(two.unix_ms(90_200), 1_000_200);
    }
}
