//! What one holder has used and reserved: a key, a user, a project, a team, an organization.

mod apart;
mod shared;

use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parking_lot::{Mutex, MutexGuard, RwLock};
use pointsman_catalog::Money;

use crate::budget::{Before, Purse, Rule};
use crate::config::Limits;
use crate::denial::{Denial, Refused};
use crate::rate::{Left, RateStatus};
use crate::reservation::{Estimate, Standing};
use crate::sharing::Clock;
use crate::unit::Used;
use crate::wanted::{Side, Sides, Wanted, sides};
use crate::window::Window;

pub(crate) use apart::Apart;
use apart::AtProvider;
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
    /// When its tokens of each side were counted.
    seconds: [u32; 3],
    /// Purses up to this one hold money for it.
    purses: u32,
}

impl Default for Mark {
    fn default() -> Self {
        Self {
            seconds: [UNCOUNTED; 3],
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
    /// Whether any of its purses is about some models alone.
    by_model: AtomicBool,
    /// What is counted at some providers alone; only where there is such.
    at: RwLock<Vec<AtProvider>>,
    is_apart: AtomicBool,
    /// It is what all callers together have at a provider.
    is_of_provider: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    limits: Limits,
    /// Made when there is a limit, because most holders have none.
    requests: Option<Box<Window>>,
    /// Of each side.
    tokens: [Option<Box<Window>>; 3],
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
            by_model: AtomicBool::new(false),
            at: RwLock::default(),
            is_apart: AtomicBool::new(false),
            is_of_provider: false,
        }
    }

    /// The same, of what all callers together have at a provider.
    pub(crate) fn of_provider(name: &str, place: Option<Place>) -> Self {
        Self {
            is_of_provider: true,
            ..Self::new(name, Limits::default(), place)
        }
    }

    /// A point in time, by the clock that this account goes by.
    pub(crate) fn moment(&self, now: Instant) -> Moment {
        Moment::at(now, self.place.as_ref().map(Place::clock))
    }

    /// Why a request that may cost so much is refused here.
    pub(crate) fn denial(&self, refused: Refused, cost: Money) -> Denial {
        Denial {
            is_of_provider: self.is_of_provider,
            ..refused.denial(&self.name, cost)
        }
    }

    /// Whether it matters for which model something is asked.
    pub(crate) fn counts_by_model(&self) -> bool {
        self.by_model.load(Ordering::Relaxed)
    }

    /// Those of `rules` of which it does not know what was used.
    pub(crate) fn unknown<'a>(&self, rules: &'a [Rule]) -> Vec<&'a Rule> {
        let known = self.rules();
        let is_known = |rule: &Rule| known.iter().any(|known| known.counts(rule));
        rules.iter().filter(|rule| !is_known(rule)).collect()
    }

    /// Changes the settings and keeps what was used. `used` says what was used of rules that are new.
    pub(crate) fn configure(&self, limits: Limits, rules: &[Rule], used: &[(&Rule, Before)]) {
        self.may_count_by_model(rules);
        let apart = self.configure_apart(rules, used);
        let anywhere = rules.iter().filter(|rule| rule.providers().is_empty());
        let anywhere: Vec<Rule> = anywhere.cloned().collect();
        let own = self.configure_own(limits, &anywhere, used);
        self.by_model.store(own || apart, Ordering::Relaxed);
    }

    /// Rules are about to come. Meanwhile it matters for which model something is asked wherever it may: what is asked for
    /// none counts nowhere where only some do.
    fn may_count_by_model(&self, rules: &[Rule]) {
        let may = |rule: &Rule| !rule.models().is_empty() || rule.cel().is_some();
        if rules.iter().any(may) {
            self.by_model.store(true, Ordering::Relaxed);
        }
    }

    /// The same of what is counted in this account itself; says whether it matters there for which model something is
    /// asked.
    fn configure_own(&self, limits: Limits, rules: &[Rule], used: &[(&Rule, Before)]) -> bool {
        let now = self.moment(Instant::now()).unix_ms;
        let mut counters = self.counters.lock();
        counters.limits = limits;
        let mut old = std::mem::take(&mut counters.purses);
        for rule in rules {
            // The ledger lags by what is in the journal: what was counted here is newer.
            let known = old.iter().position(|purse| purse.rule.counts(rule));
            let purse = if let Some(at) = known {
                old.swap_remove(at).become_of(rule)
            } else {
                let used = used.iter().find(|(other, _)| *other == rule);
                counters.newest = counters.newest.saturating_add(1);
                let nothing = Before::default();
                let before = used.map_or(&nothing, |(_, before)| before);
                Purse::new(rule, before, counters.newest, now)
            };
            counters.purses.push(purse);
        }
        counters.purses.iter().any(Purse::looks_at_models)
    }

    /// Its counters as they are now, if there is room for what is wanted.
    pub(crate) fn with_room(
        &self,
        wanted: &Wanted<'_>,
        now: Moment,
    ) -> Result<MutexGuard<'_, Counters>, Refused> {
        let mut counters = self.counters.lock();
        counters.advance(now);
        match &self.place {
            None => counters.check(wanted, now)?,
            Some(place) => counters.check_shares(wanted, now, place.link())?,
        }
        Ok(counters)
    }

    /// Begins to owe: nothing is reserved, and what is charged counts as of now.
    pub(crate) fn owe(&self, now: Moment) -> Mark {
        let mut counters = self.counters.lock();
        counters.advance(now);
        counters.mark(Estimate::NOTHING, Standing::Within, None)
    }

    /// Sets money aside, whether or not there is room; only where the reservation of `mark` had.
    pub(crate) fn set_aside(&self, mark: Mark, cost: Money, model: Option<&str>) {
        let now = self.moment(Instant::now());
        let mut counters = self.counters.lock();
        counters.touch(now);
        let aside = Estimate {
            cost,
            ..Estimate::default()
        };
        counters.reserve_more(mark, [Estimate::NOTHING, aside], Standing::Elsewhere, model);
    }

    /// Charges what was used, and gives back the rest; it was reserved and is charged for these models.
    pub(crate) fn settle(
        &self,
        mark: Mark,
        standing: Standing,
        (estimate, used): (Estimate, Used),
        [reserved, charged]: [Option<&str>; 2],
    ) {
        let now = self.moment(Instant::now());
        let mut counters = self.counters.lock();
        counters.advance(now);
        if standing != Standing::Elsewhere {
            counters.correct(mark, sides(estimate.tokens), sides(used.actual.tokens));
        }
        counters.touch(now);
        counters.in_flight = counters.in_flight.saturating_sub(standing.places());
        counters.reserve_more(mark, [estimate, Estimate::NOTHING], standing, reserved);
        let mut passed = None;
        for purse in &mut counters.purses {
            passed = passed.or(purse.charge((&used, estimate), standing, charged));
        }
        drop(counters);
        if let Some((soft, spent)) = passed {
            tracing::warn!(holder = %self.name, %soft, %spent, "a soft budget is passed");
        }
    }

    /// Whether more is spent than a soft budget says.
    pub(crate) fn is_past_soft(&self) -> bool {
        if self.apart().iter().any(|account| account.is_past_soft()) {
            return true;
        }
        let mut counters = self.counters.lock();
        let soft = |purse: &Purse| purse.budget().is_some_and(|budget| budget.soft.is_some());
        if !counters.purses.iter().any(soft) {
            return false;
        }
        // What has left its window does not count.
        counters.advance(self.moment(Instant::now()));
        counters.purses.iter().any(Purse::is_past_soft)
    }

    pub(crate) fn status(&self, now: Moment) -> RateStatus {
        let mut counters = self.counters.lock();
        let has_minutes =
            counters.limits.requests_per_minute.is_some() || counters.limits.tokens_per_minute.is_some();
        if !has_minutes && !counters.purses.iter().any(Purse::slides) {
            return RateStatus::default();
        }
        counters.advance(now);
        let mut status = counters.minute_status();
        for purse in &counters.purses {
            status.tighten(purse.rate(now.unix_ms));
        }
        status
    }

    /// Its budgets, as they stand.
    pub(crate) fn purses(&self) -> Vec<Purse> {
        let mut counters = self.counters.lock();
        counters.advance(self.moment(Instant::now()));
        let mut purses = counters.purses.clone();
        drop(counters);
        purses.extend(self.apart().iter().flat_map(|account| account.purses()));
        purses
    }
}

impl Counters {
    /// How much of a minute is left.
    fn minute_status(&self) -> RateStatus {
        if let Some(status) = self.shared_status() {
            return status;
        }
        let stand = |window: &Option<Box<Window>>, limit: Option<u64>| -> Option<Left> {
            let (window, limit) = (window.as_deref()?, limit?);
            let wait = window.wait(1, limit).unwrap_or(Duration::from_secs(60));
            Some((limit, limit.saturating_sub(window.sum()), wait))
        };
        RateStatus {
            requests: stand(&self.requests, self.limits.requests_per_minute),
            tokens: stand(&self.tokens[0], self.limits.tokens_per_minute),
        }
    }

    fn advance(&mut self, now: Moment) {
        let limits = self.limits;
        let tokens = Side::ALL.map(|side| side.limit(&limits));
        let windows = [(&mut self.requests, limits.requests_per_minute)];
        for (window, limit) in windows.into_iter().chain(self.tokens.iter_mut().zip(tokens)) {
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
    pub(crate) fn reserve(
        &mut self,
        (estimate, standing): (Estimate, Standing),
        wanted: &Wanted<'_>,
    ) -> Mark {
        if self.limits.requests_per_minute.is_some()
            && let Some(requests) = &mut self.requests
        {
            requests.add(wanted.requests);
        }
        if let (Some(shares), Some(_)) = (&mut self.shares, self.limits.requests_per_minute) {
            shares.requested = shares.requested.saturating_add(amount(wanted.requests));
        }
        self.in_flight += wanted.places;
        for purse in &mut self.purses {
            purse.begin(wanted);
        }
        self.mark(estimate, standing, wanted.model)
    }

    fn mark(&mut self, estimate: Estimate, standing: Standing, model: Option<&str>) -> Mark {
        let mark = Mark {
            seconds: self.count(sides(estimate.tokens)),
            purses: self.newest,
        };
        self.reserve_more(mark, [Estimate::NOTHING, estimate], standing, model);
        mark
    }

    /// Turns what is reserved from one estimate into another.
    pub(crate) fn change(
        &mut self,
        mark: &mut Mark,
        [from, to]: [Estimate; 2],
        standing: Standing,
        model: Option<&str>,
    ) {
        self.correct(*mark, sides(from.tokens), [0; 3]);
        self.reserve_more(*mark, [from, to], standing, model);
        mark.seconds = self.count(sides(to.tokens));
    }

    fn count(&mut self, tokens: Sides) -> [u32; 3] {
        let mut seconds = [UNCOUNTED; 3];
        for (at, side) in Side::ALL.into_iter().enumerate() {
            if side.limit(&self.limits).is_none() {
                continue;
            }
            if let Some(shares) = &mut self.shares {
                shares.tokens[at].used = shares.tokens[at].used.saturating_add(amount(tokens[at]));
            }
            if let Some(window) = &mut self.tokens[at] {
                seconds[at] = u32::try_from(window.add(tokens[at])).unwrap_or(UNCOUNTED);
            }
        }
        seconds
    }

    fn correct(&mut self, mark: Mark, reserved: Sides, actual: Sides) {
        for (at, second) in mark.seconds.into_iter().enumerate() {
            if second == UNCOUNTED {
                continue;
            }
            if let Some(window) = &mut self.tokens[at] {
                window.correct(u64::from(second), reserved[at], actual[at]);
                if let Some(shares) = &mut self.shares {
                    let more = amount(actual[at]).saturating_sub(amount(reserved[at]));
                    shares.correct(at, second, more);
                }
            }
        }
    }

    fn reserve_more(&mut self, mark: Mark, change: [Estimate; 2], standing: Standing, model: Option<&str>) {
        for purse in self.purses.iter_mut().filter(|purse| purse.number <= mark.purses) {
            purse.reserve(change, standing, model);
        }
    }

    fn check(&self, wanted: &Wanted<'_>, now: Moment) -> Result<(), Refused> {
        if let Some(limit) = self.limits.concurrency.filter(|_| wanted.places > 0)
            && self.in_flight.saturating_add(wanted.places) > limit
        {
            return Err(Refused::Concurrency { limit });
        }
        if let (Some(limit), Some(requests)) = (self.limits.requests_per_minute, &self.requests)
            && wanted.requests > 0
            && requests.sum().saturating_add(wanted.requests) > limit
        {
            let wait = requests.wait(wanted.requests, limit);
            return Err(Refused::Requests { limit, wait });
        }
        for (at, side) in Side::ALL.into_iter().enumerate() {
            self.check_tokens(side, (at, wanted.tokens[at]))?;
        }
        self.purses
            .iter()
            .try_for_each(|purse| purse.check(wanted, now.unix_ms))
    }

    fn check_tokens(&self, side: Side, (at, tokens): (usize, u64)) -> Result<(), Refused> {
        let (Some(limit), Some(window)) = (side.limit(&self.limits), &self.tokens[at]) else {
            return Ok(());
        };
        if tokens > limit {
            return Err(Refused::TooLarge { side, tokens, limit });
        }
        let used = window.sum();
        if used.saturating_add(tokens) > limit {
            let wait = window.wait(tokens, limit);
            return Err(Refused::Tokens {
                side,
                tokens,
                limit,
                used,
                wait,
            });
        }
        Ok(())
    }
}

/// A number of tokens or requests as shared counters have it.
pub(crate) fn amount(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
