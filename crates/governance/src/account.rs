//! What one holder has used and reserved: a key, a user, a project, a team, an organization.

mod shared;

use std::sync::LazyLock;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parking_lot::{Mutex, MutexGuard};
use pointsman_catalog::Money;
use pointsman_store::Budget;

use crate::budget::Purse;
use crate::config::Limits;
use crate::denial::Refused;
use crate::rate::{Left, RateStatus};
use crate::reservation::{Actual, Estimate, Standing};
use crate::sharing::Clock;
use crate::window::Window;

use shared::Shares;
pub(crate) use shared::{Link, Pending, Place};

/// Seconds are counted from here.
static EPOCH: LazyLock<Instant> = LazyLock::new(Instant::now);
/// The second of a reservation whose tokens were not counted.
const UNCOUNTED: u32 = u32::MAX;

/// A point in time, by both clocks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    second: u64,
    unix_ms: i64,
    /// Milliseconds of this process.
    pub(crate) running: u64,
}

impl Moment {
    /// A point in time, by the clock of this machine.
    pub(crate) fn here(now: Instant) -> Self {
        Self::at(now, None)
    }

    /// `clock` is that of whoever counts, where that is not this process alone.
    fn at(now: Instant, clock: Option<&Clock>) -> Self {
        let running = now.saturating_duration_since(*EPOCH);
        let milliseconds = running.as_millis() as u64;
        Self {
            second: running.as_secs(),
            unix_ms: clock.map_or_else(unix_ms, |clock| clock.unix_ms(milliseconds)),
            running: milliseconds,
        }
    }
}

/// How long this process runs, milliseconds.
pub(crate) fn running_ms() -> u64 {
    EPOCH.elapsed().as_millis() as u64
}

/// Unix milliseconds.
pub(crate) fn unix_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |time| time.as_millis() as i64)
}

/// Where an account stands with one reservation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark {
    /// When its tokens were counted.
    second: u32,
    /// Purses up to this one hold money for it.
    purses: u32,
}

impl Default for Mark {
    fn default() -> Self {
        Self {
            second: UNCOUNTED,
            purses: 0,
        }
    }
}

/// Counters of one holder. They outlive its settings: a reload changes limits, not what was used.
#[derive(Debug)]
pub(crate) struct Account {
    /// For denials: `this key`, `team "research"`.
    name: Box<str>,
    // Shared only by requests of this holder, and held for a few additions.
    counters: Mutex<Counters>,
    /// With whom it is counted, where this process is not alone.
    place: Option<Place>,
    /// Whether it is told of in every round.
    is_told: AtomicBool,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    limits: Limits,
    /// Made when there is a limit, because most holders have none.
    requests: Option<Box<Window>>,
    tokens: Option<Box<Window>>,
    in_flight: u64,
    purses: Vec<Purse>,
    /// The number of the newest purse.
    newest: u32,
    /// What of them this replica may use, where this process is not alone.
    shares: Option<Box<Shares>>,
}

impl Account {
    pub(crate) fn new(name: &str, limits: Limits, place: Option<Place>) -> Self {
        // Nothing is counted before this.
        LazyLock::force(&EPOCH);
        let counters = Counters {
            limits,
            shares: place.as_ref().map(|_| Box::default()),
            ..Counters::default()
        };
        Self {
            name: name.into(),
            counters: Mutex::new(counters),
            place,
            is_told: AtomicBool::new(false),
        }
    }

    /// A point in time, by the clock that this account goes by.
    pub(crate) fn moment(&self, now: Instant) -> Moment {
        Moment::at(now, self.place.as_ref().map(Place::clock))
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Those of `budgets` of which it does not know what was spent.
    pub(crate) fn unknown<'a>(&self, budgets: &'a [Budget]) -> Vec<&'a Budget> {
        let counters = self.counters.lock();
        let known = |budget: &Budget| counters.purses.iter().any(|purse| purse.counts(budget));
        budgets.iter().filter(|budget| !known(budget)).collect()
    }

    /// Changes the settings and keeps what was used. `spent` says what was spent of budgets that are new: by this
    /// replica, and by others.
    pub(crate) fn configure(&self, limits: Limits, budgets: &[Budget], spent: &[(&Budget, [Money; 2])]) {
        let now = self.moment(Instant::now()).unix_ms;
        let mut counters = self.counters.lock();
        counters.limits = limits;
        let mut old = std::mem::take(&mut counters.purses);
        for budget in budgets {
            // The ledger lags by what is in the journal: what was counted here is newer.
            let known = old.iter().position(|purse| purse.counts(budget));
            let purse = if let Some(at) = known {
                old.swap_remove(at).become_of(budget)
            } else {
                let spent = spent.iter().find(|(other, _)| *other == budget);
                counters.newest = counters.newest.saturating_add(1);
                let [own, others] = spent.map_or([Money::ZERO; 2], |(_, spent)| *spent);
                Purse::new(budget, [own, others], counters.newest, now)
            };
            counters.purses.push(purse);
        }
    }

    /// Its counters as they are now, if there is room for what is asked for.
    pub(crate) fn with_room(
        &self,
        estimate: Estimate,
        standing: Standing,
        now: Moment,
    ) -> Result<MutexGuard<'_, Counters>, Refused> {
        let mut counters = self.counters.lock();
        counters.advance(now);
        match &self.place {
            None => counters.check(estimate, standing == Standing::Apart, now)?,
            Some(place) => {
                let places = u64::from(standing == Standing::Apart);
                counters.check_shares([places, 1], estimate, now, place.link())?;
            }
        }
        Ok(counters)
    }

    /// Its counters as they are now, if there is room for more of a reservation.
    pub(crate) fn with_room_for_more(
        &self,
        more: Estimate,
        now: Moment,
    ) -> Result<MutexGuard<'_, Counters>, Refused> {
        let mut counters = self.counters.lock();
        counters.advance(now);
        match &self.place {
            None => counters.check_amounts(more, now)?,
            Some(place) => counters.check_shares([0, 0], more, now, place.link())?,
        }
        Ok(counters)
    }

    /// Begins to owe: nothing is reserved, and what is charged counts as of now.
    pub(crate) fn owe(&self, now: Moment) -> Mark {
        let mut counters = self.counters.lock();
        counters.advance(now);
        counters.mark(Estimate::default())
    }

    /// Sets money aside, whether or not there is room; only where the reservation of `mark` had.
    pub(crate) fn set_aside(&self, mark: Mark, cost: Money) {
        let now = self.moment(Instant::now());
        let mut counters = self.counters.lock();
        counters.touch(now);
        counters.add_reserved(mark, cost);
    }

    /// Charges what was used, and gives back the rest.
    pub(crate) fn settle(&self, mark: Mark, standing: Standing, estimate: Estimate, actual: Actual) {
        let now = self.moment(Instant::now());
        let mut counters = self.counters.lock();
        counters.advance(now);
        if standing != Standing::Elsewhere {
            counters.correct(mark, estimate.tokens, actual.tokens);
        }
        counters.touch(now);
        if standing == Standing::Apart {
            counters.in_flight = counters.in_flight.saturating_sub(1);
        }
        counters.add_reserved(mark, -estimate.cost);
        let mut passed = None;
        for purse in &mut counters.purses {
            passed = passed.or(purse.charge(actual.cost));
        }
        drop(counters);
        if let Some((soft, spent)) = passed {
            tracing::warn!(holder = %self.name, %soft, %spent, "a soft budget is passed");
        }
    }

    /// Whether more is spent than a soft budget says.
    pub(crate) fn is_past_soft(&self) -> bool {
        self.counters.lock().purses.iter().any(Purse::is_past_soft)
    }

    pub(crate) fn status(&self, now: Moment) -> RateStatus {
        let mut counters = self.counters.lock();
        if counters.limits.requests_per_minute.is_none() && counters.limits.tokens_per_minute.is_none() {
            return RateStatus::default();
        }
        counters.advance(now);
        if let Some(status) = counters.shared_status() {
            return status;
        }
        let stand = |window: &Option<Box<Window>>, limit: Option<u64>| -> Option<Left> {
            let (window, limit) = (window.as_deref()?, limit?);
            let wait = window.wait(1, limit).unwrap_or(Duration::from_secs(60));
            Some((limit, limit.saturating_sub(window.sum()), wait))
        };
        RateStatus {
            requests: stand(&counters.requests, counters.limits.requests_per_minute),
            tokens: stand(&counters.tokens, counters.limits.tokens_per_minute),
        }
    }

    /// Its budgets, as they stand.
    pub(crate) fn purses(&self) -> Vec<Purse> {
        let mut counters = self.counters.lock();
        counters.advance(self.moment(Instant::now()));
        counters.purses.clone()
    }
}

impl Counters {
    fn advance(&mut self, now: Moment) {
        let limits = self.limits;
        for (window, limit) in [
            (&mut self.requests, limits.requests_per_minute),
            (&mut self.tokens, limits.tokens_per_minute),
        ] {
            if limit.is_some() {
                let window = window.get_or_insert_with(|| Box::new(Window::new()));
                window.advance(now.second);
            }
        }
        for purse in &mut self.purses {
            purse.advance(now.unix_ms);
        }
    }

    /// Reserves what there is room for.
    pub(crate) fn reserve(&mut self, estimate: Estimate, standing: Standing) -> Mark {
        if self.limits.requests_per_minute.is_some()
            && let Some(requests) = &mut self.requests
        {
            requests.add(1);
        }
        if let (Some(shares), Some(_)) = (&mut self.shares, self.limits.requests_per_minute) {
            shares.requested += 1;
        }
        self.in_flight += u64::from(standing == Standing::Apart);
        self.mark(estimate)
    }

    fn mark(&mut self, estimate: Estimate) -> Mark {
        let mark = Mark {
            second: self.count(estimate.tokens),
            purses: self.newest,
        };
        self.add_reserved(mark, estimate.cost);
        mark
    }

    /// Turns what is reserved from one estimate into another.
    pub(crate) fn change(&mut self, mark: &mut Mark, from: Estimate, to: Estimate) {
        self.correct(*mark, from.tokens, 0);
        self.add_reserved(*mark, to.cost - from.cost);
        mark.second = self.count(to.tokens);
    }

    fn count(&mut self, tokens: u64) -> u32 {
        let limited = self.limits.tokens_per_minute.is_some();
        if let (Some(shares), true) = (&mut self.shares, limited) {
            shares.tokens_used = shares.tokens_used.saturating_add(amount(tokens));
        }
        match self.tokens.as_mut().filter(|_| limited) {
            Some(window) => u32::try_from(window.add(tokens)).unwrap_or(UNCOUNTED),
            None => UNCOUNTED,
        }
    }

    fn correct(&mut self, mark: Mark, reserved: u64, actual: u64) {
        if mark.second != UNCOUNTED
            && let Some(window) = &mut self.tokens
        {
            window.correct(u64::from(mark.second), reserved, actual);
            if let Some(shares) = &mut self.shares {
                shares.correct(mark.second, amount(actual).saturating_sub(amount(reserved)));
            }
        }
    }

    fn add_reserved(&mut self, mark: Mark, cost: Money) {
        for purse in self.purses.iter_mut().filter(|purse| purse.number <= mark.purses) {
            purse.reserved = (purse.reserved + cost).max(Money::ZERO);
        }
    }

    fn check(&self, estimate: Estimate, takes_place: bool, now: Moment) -> Result<(), Refused> {
        if let Some(limit) = self.limits.concurrency.filter(|_| takes_place)
            && self.in_flight >= limit
        {
            return Err(Refused::Concurrency { limit });
        }
        if let (Some(limit), Some(requests)) = (self.limits.requests_per_minute, &self.requests)
            && requests.sum() >= limit
        {
            let wait = requests.wait(1, limit);
            return Err(Refused::Requests { limit, wait });
        }
        self.check_amounts(estimate, now)
    }

    fn check_amounts(&self, estimate: Estimate, now: Moment) -> Result<(), Refused> {
        if let (Some(limit), Some(window)) = (self.limits.tokens_per_minute, &self.tokens) {
            if estimate.tokens > limit {
                return Err(Refused::TooLarge { limit });
            }
            let used = window.sum();
            if used.saturating_add(estimate.tokens) > limit {
                let wait = window.wait(estimate.tokens, limit);
                return Err(Refused::Tokens { limit, used, wait });
            }
        }
        self.purses
            .iter()
            .try_for_each(|purse| purse.check(estimate.cost, now.unix_ms))
    }
}

/// A number of tokens or requests as shared counters have it.
fn amount(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
