//! Reservation before, settlement after.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use pointsman_catalog::Money;
use pointsman_store::BudgetWindow;

use crate::budget::Purse;
use crate::config::Limits;
use crate::window::Window;

/// What a request may use at most.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Estimate {
    /// Prompt and answer together.
    pub tokens: u64,
    /// Money.
    pub cost: Money,
}

/// What a request did use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Actual {
    /// Prompt and answer together.
    pub tokens: u64,
    /// Money.
    pub cost: Money,
}

/// Why a request was not admitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// Which limit.
    pub kind: DenialKind,
    /// For the client.
    pub message: String,
    /// When it makes sense to try again; absent when it does not.
    pub retry_after: Option<Duration>,
}

/// Limits that can deny.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DenialKind {
    /// Requests in a minute.
    RequestsPerMinute,
    /// Tokens in a minute.
    TokensPerMinute,
    /// Requests at once.
    Concurrency,
    /// Money.
    Budget,
    /// The request alone is larger than a limit: it will never fit.
    TooLarge,
}

/// Where a key stands, for OpenAI's `x-ratelimit-*` headers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RateStatus {
    /// Limit and rest of requests, and when one more fits.
    pub requests: Option<(u64, u64, Duration)>,
    /// The same of tokens.
    pub tokens: Option<(u64, u64, Duration)>,
}

/// What a rate limit's header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RateValue {
    /// Requests or tokens.
    Count(u64),
    /// A time to wait.
    Seconds(u64),
}

/// Counters of one key. They outlive its settings: a reload changes limits, not what was used.
#[derive(Debug)]
pub(crate) struct KeyState {
    epoch: Instant,
    // Shared only by requests of one key, and held for a few additions.
    counters: Mutex<Counters>,
}

#[derive(Debug)]
struct Counters {
    limits: Limits,
    requests: Window,
    tokens: Window,
    in_flight: u64,
    purse: Option<Purse>,
}

impl KeyState {
    pub(crate) fn new(limits: Limits, purse: Option<Purse>, now: Instant) -> Self {
        let counters = Counters {
            limits,
            requests: Window::new(),
            tokens: Window::new(),
            in_flight: 0,
            purse,
        };
        Self {
            epoch: now,
            counters: Mutex::new(counters),
        }
    }

    /// Changes the settings and keeps what was used; a new purse keeps what the old one had spent and reserved.
    pub(crate) fn configure(&self, limits: Limits, purse: Option<Purse>) {
        let mut counters = self.counters.lock();
        counters.limits = limits;
        let old = counters.purse.take();
        counters.purse = purse.map(|mut new| {
            if let Some(old) = old {
                new.reserved = old.reserved;
                // The ledger lags by what is in the journal: what was counted here is newer.
                if old.budget.window == new.budget.window {
                    new.spent = old.spent;
                }
            }
            new
        });
    }

    /// Whether it counts a budget of this window already.
    pub(crate) fn has_purse(&self, window: BudgetWindow) -> bool {
        self.counters
            .lock()
            .purse
            .as_ref()
            .is_some_and(|purse| purse.budget.window == window)
    }

    pub(crate) fn admit(self: &Arc<Self>, estimate: Estimate, now: Instant) -> Result<Reservation, Denial> {
        self.reserve(estimate, Standing::Apart, now)
    }

    pub(crate) fn reserve(
        self: &Arc<Self>,
        estimate: Estimate,
        standing: Standing,
        now: Instant,
    ) -> Result<Reservation, Denial> {
        let second = self.second(now);
        let mut counters = self.counters.lock();
        counters.advance(second);
        counters.check(estimate, standing == Standing::Apart)?;
        let second = counters.tokens.add(estimate.tokens);
        counters.requests.add(1);
        counters.in_flight += u64::from(standing == Standing::Apart);
        if let Some(purse) = &mut counters.purse {
            purse.reserved += estimate.cost;
        }
        drop(counters);
        Ok(Reservation {
            state: Arc::clone(self),
            estimate,
            second,
            standing,
            open: true,
        })
    }

    /// Of nothing, for what was used already.
    pub(crate) fn owe(self: &Arc<Self>, now: Instant) -> Reservation {
        let mut counters = self.counters.lock();
        counters.advance(self.second(now));
        Reservation {
            state: Arc::clone(self),
            estimate: Estimate::default(),
            second: counters.tokens.add(0),
            standing: Standing::Within,
            open: true,
        }
    }

    /// Turns a reservation into another one, all or nothing.
    fn change(&self, from: &Reservation, to: Estimate, now: Instant) -> Result<u64, Denial> {
        let second = self.second(now);
        let mut counters = self.counters.lock();
        counters.advance(second);
        counters.check_amounts(Estimate {
            tokens: to.tokens.saturating_sub(from.estimate.tokens),
            cost: (to.cost - from.estimate.cost).max(Money::ZERO),
        })?;
        counters.tokens.correct(from.second, from.estimate.tokens, 0);
        if let Some(purse) = &mut counters.purse {
            purse.reserved = (purse.reserved + to.cost - from.estimate.cost).max(Money::ZERO);
        }
        Ok(counters.tokens.add(to.tokens))
    }

    fn settle(&self, reservation: &Reservation, actual: Actual) {
        let now = self.second(Instant::now());
        let (estimate, second) = (reservation.estimate, reservation.second);
        let mut counters = self.counters.lock();
        counters.advance(now);
        if reservation.standing != Standing::Elsewhere {
            counters.tokens.correct(second, estimate.tokens, actual.tokens);
        }
        if reservation.standing == Standing::Apart {
            counters.in_flight = counters.in_flight.saturating_sub(1);
        }
        if let Some(purse) = &mut counters.purse {
            purse.reserved = (purse.reserved - estimate.cost).max(Money::ZERO);
            purse.spent += actual.cost;
        }
    }

    pub(crate) fn status(&self, now: Instant) -> RateStatus {
        let second = self.second(now);
        let mut counters = self.counters.lock();
        if counters.limits.requests_per_minute.is_none() && counters.limits.tokens_per_minute.is_none() {
            return RateStatus::default();
        }
        counters.advance(second);
        let stand = |window: &Window, limit: Option<u64>| {
            let limit = limit?;
            let wait = window.wait(1, limit).unwrap_or(Duration::from_secs(60));
            Some((limit, limit.saturating_sub(window.sum()), wait))
        };
        RateStatus {
            requests: stand(&counters.requests, counters.limits.requests_per_minute),
            tokens: stand(&counters.tokens, counters.limits.tokens_per_minute),
        }
    }

    fn second(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.epoch).as_secs()
    }
}

impl Counters {
    fn advance(&mut self, second: u64) {
        self.requests.advance(second);
        self.tokens.advance(second);
        if let Some(purse) = &mut self.purse {
            purse.advance(unix_ms());
        }
    }

    fn check(&self, estimate: Estimate, takes_place: bool) -> Result<(), Denial> {
        if let Some(limit) = self.limits.concurrency.filter(|_| takes_place)
            && self.in_flight >= limit
        {
            let message = format!("{limit} requests of this key are under way, which is its limit");
            return deny(DenialKind::Concurrency, message, Some(Duration::from_secs(1)));
        }
        if let Some(limit) = self.limits.requests_per_minute
            && self.requests.sum() >= limit
        {
            let message = format!("this key may make {limit} requests a minute, and has made them");
            return deny(
                DenialKind::RequestsPerMinute,
                message,
                self.requests.wait(1, limit),
            );
        }
        self.check_amounts(estimate)
    }

    fn check_amounts(&self, estimate: Estimate) -> Result<(), Denial> {
        if let Some(limit) = self.limits.tokens_per_minute {
            self.check_tokens(estimate.tokens, limit)?;
        }
        self.purse
            .as_ref()
            .map_or(Ok(()), |purse| check_purse(purse, estimate.cost))
    }

    fn check_tokens(&self, tokens: u64, limit: u64) -> Result<(), Denial> {
        if tokens > limit {
            let message = format!(
                "this request may take {tokens} tokens, more than the {limit} a minute of its key; set a lower max_tokens"
            );
            return deny(DenialKind::TooLarge, message, None);
        }
        if self.tokens.sum() + tokens > limit {
            let message = format!(
                "this request may take {tokens} tokens, and {} of the {limit} a minute of its key are used or reserved",
                self.tokens.sum()
            );
            return deny(
                DenialKind::TokensPerMinute,
                message,
                self.tokens.wait(tokens, limit),
            );
        }
        Ok(())
    }
}

fn check_purse(purse: &Purse, cost: Money) -> Result<(), Denial> {
    if purse.has_room(cost) {
        return Ok(());
    }
    let message = format!(
        "the budget of this key is {}, of which {} is spent and {} reserved; this request may cost {cost}",
        purse.budget.amount, purse.spent, purse.reserved
    );
    // What is reserved may come back soon; what is spent only with the next window.
    let soon = purse.reserved > Money::ZERO && purse.spent + cost <= purse.budget.amount;
    let wait = if soon {
        Some(Duration::from_secs(1))
    } else {
        purse.ends_in(unix_ms()).map(Duration::from_millis)
    };
    deny(DenialKind::Budget, message, wait)
}

fn deny(kind: DenialKind, message: String, retry_after: Option<Duration>) -> Result<(), Denial> {
    Err(Denial {
        kind,
        message,
        retry_after,
    })
}

/// Unix milliseconds.
pub(crate) fn unix_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |time| time.as_millis() as i64)
}

/// An estimate that is set aside. Dropped without being settled, it gives everything back but the request itself.
#[derive(Debug)]
pub struct Reservation {
    state: Arc<KeyState>,
    estimate: Estimate,
    second: u64,
    standing: Standing,
    open: bool,
}

/// How a reservation stands to what its caller has under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// A request with a place of its own.
    Apart,
    /// A part of a request that has its place already.
    Within,
    /// Money for what others answer later: no place, and no tokens of a minute.
    Elsewhere,
}

impl Reservation {
    /// What is set aside.
    #[must_use]
    pub fn estimate(&self) -> Estimate {
        self.estimate
    }

    /// Sets `estimate` aside instead. Its tokens count as of now.
    ///
    /// # Errors
    /// When a limit or the budget has no room for what is added: then nothing has changed.
    pub fn change(&mut self, estimate: Estimate, now: Instant) -> Result<(), Denial> {
        self.second = self.state.change(self, estimate, now)?;
        self.estimate = estimate;
        Ok(())
    }

    /// Charges what was used; the rest comes back.
    pub fn settle(mut self, actual: Actual) {
        self.open = false;
        self.state.settle(&self, actual);
    }
}

/// Money that stays set aside for what others answer later: it takes no place and no tokens of a minute. What is left
/// of it when it is dropped comes back.
#[derive(Debug)]
pub struct SetAside {
    state: Arc<KeyState>,
    cost: Money,
}

impl SetAside {
    pub(crate) fn new(state: &Arc<KeyState>, cost: Money) -> Self {
        let mut aside = Self {
            state: Arc::clone(state),
            cost: Money::ZERO,
        };
        aside.reserve(cost);
        aside
    }

    fn reserve(&mut self, cost: Money) {
        self.cost += cost;
        if let Some(purse) = &mut self.state.counters.lock().purse {
            purse.reserved += cost;
        }
    }

    /// How much it is.
    #[must_use]
    pub fn cost(&self) -> Money {
        self.cost
    }

    /// Takes over the money of a request that was admitted; its place is free again, and the tokens it may use stay
    /// counted in their minute.
    pub fn add(&mut self, mut admitted: Reservation) {
        let Estimate { tokens, cost } = admitted.estimate;
        // First ours, then theirs: in between nobody finds room that is not there.
        self.reserve(cost);
        admitted.open = false;
        let used = Actual {
            tokens,
            cost: Money::ZERO,
        };
        self.state.settle(&admitted, used);
    }

    /// A part of it, to be settled on its own.
    pub fn part(&mut self, cost: Money) -> Reservation {
        let cost = cost.min(self.cost);
        self.cost = self.cost - cost;
        Reservation {
            state: Arc::clone(&self.state),
            estimate: Estimate { tokens: 0, cost },
            second: 0,
            standing: Standing::Elsewhere,
            open: true,
        }
    }
}

impl Drop for SetAside {
    fn drop(&mut self) {
        // A part that nobody settles comes back.
        drop(self.part(self.cost));
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if self.open {
            self.state.settle(self, Actual::default());
        }
    }
}

impl RateStatus {
    /// Header names with their values.
    pub fn headers(&self) -> impl Iterator<Item = (&'static str, RateValue)> {
        let names = [
            (
                self.requests,
                [
                    "x-ratelimit-limit-requests",
                    "x-ratelimit-remaining-requests",
                    "x-ratelimit-reset-requests",
                ],
            ),
            (
                self.tokens,
                [
                    "x-ratelimit-limit-tokens",
                    "x-ratelimit-remaining-tokens",
                    "x-ratelimit-reset-tokens",
                ],
            ),
        ];
        names
            .into_iter()
            .filter_map(|(status, names)| Some((status?, names)))
            .flat_map(|((limit, rest, wait), names)| {
                let values = [
                    RateValue::Count(limit),
                    RateValue::Count(rest),
                    RateValue::Seconds(wait.as_secs()),
                ];
                names.into_iter().zip(values)
            })
    }
}
