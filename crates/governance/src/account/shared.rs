//! An account that several replicas count together: what it may use without asking, what it asks for, what it is told.

mod room;

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use pointsman_store::{Ask, CounterKind, HolderKind, Told, Verdict};
use sha2::{Digest, Sha256};

use self::room::{in_use_of, is_settled, purse_room, refused, room};
use super::{Account, Counters, Moment, amount, running_ms, unix_ms};
use crate::budget::{Purse, Rule};
use crate::denial::Refused;
use crate::ledger::{Apart, Question};
use crate::rate::RateStatus;
use crate::share::{Allotment, Corrections, InUse, Subject};
use crate::sharing::{Clock, Sharing, WhenDown};
use crate::sliding::Grain;
use crate::wanted::{Side, Wanted};

/// How long the server remembers what has no end of its own after nobody has told of it.
const MINUTES: Duration = Duration::from_secs(180);
const BUDGETS: Duration = Duration::from_secs(7 * 24 * 3_600);
/// How long it may take until what was charged is told, and how much a machine's clock may have been moved meanwhile,
/// milliseconds. Shorter than it takes until an account is idle: of what that has told before it gave back nothing counts
/// twice.
const TELLING: i64 = 9_000;
/// What a place of a provider is.
const PROVIDER: &str = "provider";
/// An account that nobody has used for so long gives back what it holds, milliseconds.
const IDLE: u64 = 10_000;

/// With whom an account is counted, and under which name.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    sharing: Arc<Sharing>,
    /// Which holder; a key where there is no kind.
    kind: Option<HolderKind>,
    /// What it is, in one word.
    word: &'static str,
    id: Box<str>,
}

/// Whether others can be asked, and what is done where they cannot.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Link {
    pub(crate) is_up: bool,
    pub(crate) when_down: WhenDown,
    /// How long a replica is taken for alive, milliseconds.
    pub(crate) life: u64,
}

impl Place {
    pub(crate) fn new(sharing: &Arc<Sharing>, kind: Option<HolderKind>, id: &str) -> Self {
        Self {
            sharing: Arc::clone(sharing),
            kind,
            word: kind.map_or("key", HolderKind::as_str),
            id: id.into(),
        }
    }

    /// Of models, by their pattern.
    pub(crate) fn of_model(sharing: &Arc<Sharing>, pattern: &str) -> Self {
        Self {
            word: "model",
            ..Self::new(sharing, None, pattern)
        }
    }

    /// Of a provider, or of some of its models.
    pub(crate) fn of_provider(sharing: &Arc<Sharing>, id: &str) -> Self {
        Self {
            word: PROVIDER,
            ..Self::new(sharing, None, id)
        }
    }

    fn is_provider(&self) -> bool {
        self.word == PROVIDER
    }

    pub(super) fn clock(&self) -> &Clock {
        self.sharing.clock()
    }

    pub(super) fn link(&self) -> Link {
        self.sharing.link()
    }

    /// The name of a counter. What stands in braces keeps all counters on one server of a cluster: those of one request,
    /// and of one round, are counted in one script, which may touch no others.
    fn key(&self, counter: &str) -> String {
        format!("pointsman:{{limits}}:{}/{}:{counter}", self.word, self.id)
    }

    fn key_of(&self, purse: &Purse) -> String {
        let rule = &purse.rule;
        let window = match rule.grain() {
            // Counted in buckets of this width, and no others.
            Some(grain) => format!("sliding{}/{}", grain.length, grain.width),
            None => rule.window().to_string(),
        };
        let zone = rule.zone().unwrap_or("UTC");
        let of = rule.counted().map_or("budget", |counted| counted.as_str());
        let mut counter = format!("{of}:{window}:{zone}:{}", purse.begun);
        if !rule.models().is_empty() || !rule.providers().is_empty() || rule.cel().is_some() {
            // Patterns and expressions may be long: those of one purse are told from others by their digest.
            let mut told = rule.models().join("\n");
            if let Some(cel) = rule.cel() {
                told.push('\0');
                told.push_str(cel);
            }
            if !rule.providers().is_empty() {
                told.push_str("\0\0");
                told.push_str(&rule.providers().join("\n"));
            }
            let digest = Sha256::digest(told.as_bytes());
            counter.push(':');
            for byte in &digest[..8] {
                // Writing to a string cannot fail.
                let _ = write!(counter, "{byte:02x}");
            }
        }
        self.key(&counter)
    }
}

/// Tokens of one side in a minute.
#[derive(Debug, Default)]
pub(super) struct TokenShare {
    allotment: Allotment,
    /// Counted by this process in all.
    pub(super) used: i64,
    corrections: Corrections,
}

impl TokenShare {
    fn in_use(&self) -> InUse {
        InUse {
            used: self.used,
            all: self.used,
        }
    }
}

/// What this replica may use of the counters of an account.
#[derive(Debug, Default)]
pub(super) struct Shares {
    requests: Allotment,
    /// Of each side.
    pub(super) tokens: [TokenShare; 3],
    places: Allotment,
    /// Counted by this process in all.
    pub(super) requested: i64,
    /// Of corrections: from seconds of this process to Unix seconds of the server.
    offset: i64,
    /// When it was used last, milliseconds.
    touched: u64,
}

impl Shares {
    /// Notes that more (or less) was used of tokens that were counted in a second of this process.
    pub(super) fn correct(&mut self, side: usize, second: u32, more: i64) {
        if more != 0 {
            self.tokens[side]
                .corrections
                .note(i64::from(second).saturating_add(self.offset), more);
        }
    }
}

/// Which counter of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slot {
    Places,
    Requests,
    /// Of one side, by its place.
    Tokens(usize),
    /// By its number and the beginning of its window.
    Purse(u32, i64),
}

/// What was asked of one counter and is not answered yet.
pub(crate) struct Pending {
    pub(crate) account: Arc<Account>,
    slot: Slot,
    amount: i64,
    asked_at: u64,
    number: u64,
    is_answered: Mutex<bool>,
}

impl Drop for Pending {
    fn drop(&mut self) {
        let answered = *self.is_answered.get_mut();
        let mut counters = self.account.counters.lock();
        if let (Some(shares), Slot::Tokens(side)) = (&mut counters.shares, self.slot) {
            shares.tokens[side].corrections.came_back(self.number, answered);
        }
        if let Some(allotment) = counters.allotment(self.slot) {
            allotment.asked(self.amount);
        }
    }
}

impl Counters {
    /// Something has changed that others have to know.
    pub(super) fn touch(&mut self, now: Moment) {
        if let Some(shares) = &mut self.shares {
            shares.touched = now.running;
        }
    }

    fn allotment(&mut self, slot: Slot) -> Option<&mut Allotment> {
        let shares = self.shares.as_mut()?;
        match slot {
            Slot::Places => Some(&mut shares.places),
            Slot::Requests => Some(&mut shares.requests),
            Slot::Tokens(side) => Some(&mut shares.tokens[side].allotment),
            Slot::Purse(number, begun) => self
                .purses
                .iter_mut()
                .find(|purse| purse.number == number && purse.begun == begun)
                .map(|purse| &mut purse.share),
        }
    }

    /// Whether it is a purse whose window slides.
    fn slides(&self, slot: Slot) -> bool {
        let Slot::Purse(number, _) = slot else {
            return false;
        };
        let mut purses = self.purses.iter();
        purses.any(|purse| purse.number == number && purse.slides())
    }

    /// Whether there is room for what is wanted without asking anybody.
    pub(super) fn check_shares(
        &mut self,
        wanted: &Wanted<'_>,
        now: Moment,
        link: Link,
    ) -> Result<(), Refused> {
        self.touch(now);
        let limits = self.limits;
        let minute_requests = sum(self.requests.as_deref());
        let in_flight = amount(self.in_flight);
        let Some(shares) = &mut self.shares else {
            return Ok(());
        };
        shares.offset = (now.unix_ms - amount(now.running)).div_euclid(1_000);
        if let Some(limit) = limits.concurrency.filter(|_| wanted.places > 0) {
            let in_use = InUse {
                used: 0,
                all: in_flight,
            };
            let beside = (in_flight, amount(wanted.places), limit);
            let refused = Refused::Concurrency { limit };
            room(&mut shares.places, in_use, beside, now, link, refused)?;
        }
        if let Some(limit) = limits.requests_per_minute.filter(|_| wanted.requests > 0) {
            let in_use = InUse {
                used: shares.requested,
                all: shares.requested,
            };
            let beside = (minute_requests, amount(wanted.requests), limit);
            let refused = Refused::Requests {
                limit,
                wait: Some(Duration::from_secs(1)),
            };
            room(&mut shares.requests, in_use, beside, now, link, refused)?;
        }
        for (at, side) in Side::ALL.into_iter().enumerate() {
            self.check_token_share((at, side), wanted.tokens[at], now, link)?;
        }
        self.purses
            .iter_mut()
            .try_for_each(|purse| purse_room(purse, wanted, now, link))
    }

    fn check_token_share(
        &mut self,
        (at, side): (usize, Side),
        tokens: u64,
        now: Moment,
        link: Link,
    ) -> Result<(), Refused> {
        let minute = sum(self.tokens[at].as_deref());
        let (Some(limit), Some(shares)) = (side.limit(&self.limits), &mut self.shares) else {
            return Ok(());
        };
        if tokens > limit {
            return Err(Refused::TooLarge { side, tokens, limit });
        }
        let share = &mut shares.tokens[at];
        let in_use = share.in_use();
        let used = share.allotment.total(share.used).max(0).unsigned_abs();
        let refused = Refused::Tokens {
            side,
            tokens,
            limit,
            used,
            wait: Some(Duration::from_secs(1)),
        };
        let beside = (minute, amount(tokens), limit);
        room(&mut share.allotment, in_use, beside, now, link, refused)
    }

    /// Where it stands, of all replicas together.
    pub(super) fn shared_status(&self) -> Option<RateStatus> {
        let shares = self.shares.as_ref()?;
        let stand = |limit: Option<u64>, allotment: &Allotment, used: i64| {
            let limit = limit?;
            let gone = allotment.total(used).saturating_add(allotment.held_by_others());
            let rest = limit.saturating_sub(gone.max(0).unsigned_abs());
            Some((limit, rest, Duration::from_secs(60)))
        };
        Some(RateStatus {
            requests: stand(
                self.limits.requests_per_minute,
                &shares.requests,
                shares.requested,
            ),
            tokens: stand(
                self.limits.tokens_per_minute,
                &shares.tokens[0].allotment,
                shares.tokens[0].used,
            ),
        })
    }

    /// The counters there are: which, how much of each is in use, and how much of each is wanted.
    fn slots(&self, wanted: &Wanted<'_>) -> Vec<(Slot, InUse, i64)> {
        let Some(shares) = &self.shares else {
            return Vec::new();
        };
        let mut slots = Vec::with_capacity(3 + self.purses.len());
        let all = |used: i64| InUse { used, all: used };
        if self.limits.concurrency.is_some() {
            let in_use = InUse {
                used: 0,
                all: amount(self.in_flight),
            };
            slots.push((Slot::Places, in_use, amount(wanted.places)));
        }
        if self.limits.requests_per_minute.is_some() {
            slots.push((Slot::Requests, all(shares.requested), amount(wanted.requests)));
        }
        for (at, side) in Side::ALL.into_iter().enumerate() {
            if side.limit(&self.limits).is_some() {
                let in_use = shares.tokens[at].in_use();
                slots.push((Slot::Tokens(at), in_use, amount(wanted.tokens[at])));
            }
        }
        for purse in &self.purses {
            slots.push((
                Slot::Purse(purse.number, purse.begun),
                in_use_of(purse),
                purse.wanted(wanted),
            ));
        }
        slots
    }

    /// What of a counter does not depend on where it stands.
    fn subject(&mut self, place: &Place, slot: Slot, now: Moment) -> Subject {
        let limit = |limit: Option<u64>| limit.map(amount);
        let minute = |counter: &str, limit: Option<i64>, recent: i64| Subject {
            key: place.key(counter),
            kind: CounterKind::Minute,
            limit,
            lifetime: MINUTES,
            recent,
            corrections: (0, Vec::new()),
        };
        match slot {
            Slot::Places => Subject {
                kind: CounterKind::Places,
                ..minute("places", limit(self.limits.concurrency), 0)
            },
            Slot::Requests => {
                let recent = sum(self.requests.as_deref());
                minute("requests", limit(self.limits.requests_per_minute), recent)
            }
            Slot::Tokens(at) => {
                let recent = sum(self.tokens[at].as_deref());
                let side = Side::ALL[at];
                let mut subject = minute(side.words().1, limit(side.limit(&self.limits)), recent);
                if let Some(shares) = &mut self.shares {
                    let corrections = &mut shares.tokens[at].corrections;
                    subject.corrections = corrections.take(now.unix_ms.div_euclid(1_000));
                }
                subject
            }
            Slot::Purse(number, _) => {
                let purse = self.purses.iter().find(|purse| purse.number == number);
                let amount = purse.and_then(|purse| purse.rule.amount());
                let milliseconds = |number: i64| Duration::from_millis(number.max(0).unsigned_abs());
                let left = purse.and_then(|purse| purse.ends).map(|ends| ends - now.unix_ms);
                let grain = purse.and_then(|purse| purse.rule.grain());
                let (kind, lifetime) = match grain {
                    // What nobody has told of for so long has left the window.
                    Some(Grain { length, width }) => (
                        CounterKind::Sliding { length, width },
                        milliseconds(length + width) + MINUTES,
                    ),
                    None => (
                        CounterKind::Budget,
                        left.map_or(BUDGETS, |left| milliseconds(left) + BUDGETS),
                    ),
                };
                Subject {
                    key: purse.map(|purse| place.key_of(purse)).unwrap_or_default(),
                    kind,
                    limit: amount,
                    lifetime,
                    recent: 0,
                    corrections: (0, Vec::new()),
                }
            }
        }
    }

    /// Why a counter has no room, as the others told.
    fn refusal(&self, slot: Slot, (told, wanted): (&Told, i64), now: Moment) -> Refused {
        let limits = self.limits;
        let wait = u64::try_from(told.wait).ok().filter(|wait| *wait > 0);
        let wait = wait.map(Duration::from_secs);
        match slot {
            Slot::Places => Refused::Concurrency {
                limit: limits.concurrency.unwrap_or_default(),
            },
            Slot::Requests => Refused::Requests {
                limit: limits.requests_per_minute.unwrap_or_default(),
                wait,
            },
            Slot::Tokens(at) => Refused::Tokens {
                side: Side::ALL[at],
                tokens: wanted.max(0).unsigned_abs(),
                limit: Side::ALL[at].limit(&limits).unwrap_or_default(),
                used: told.total.saturating_add(told.held).max(0).unsigned_abs(),
                wait,
            },
            Slot::Purse(number, _) => self
                .purses
                .iter()
                .find(|purse| purse.number == number)
                .map_or(Refused::Share, |purse| {
                    refused(purse, wanted, now, wait.map(|wait| wait.as_secs()))
                }),
        }
    }
}

impl Account {
    /// Has it told of in every round from now on.
    pub(crate) fn noted(account: &Arc<Self>) {
        if let Some(place) = &account.place
            && !account.is_told.load(Ordering::Relaxed)
            && !account.is_told.swap(true, Ordering::AcqRel)
        {
            place.sharing.tell_of(account);
        }
    }

    /// With whom it is counted.
    pub(crate) fn sharing(&self) -> Option<&Arc<Sharing>> {
        self.place.as_ref().map(|place| &place.sharing)
    }

    /// Asks for what a request needs and does not find here.
    pub(crate) fn asks(
        account: &Arc<Self>,
        wanted: &Wanted<'_>,
        pending: &mut Vec<Pending>,
        asks: &mut Vec<Ask>,
    ) {
        let Some(place) = &account.place else {
            return;
        };
        let now = account.moment(Instant::now());
        let mut counters = account.counters.lock();
        counters.advance(now);
        for (slot, in_use, amount) in counters.slots(wanted) {
            let life = place.link().life;
            let Some(allotment) = counters.allotment(slot) else {
                continue;
            };
            allotment.expire(in_use, now.running, life);
            // What is about to be used up is asked for on the same way.
            if allotment.has_room(in_use, amount.saturating_mul(2)) {
                continue;
            }
            let subject = counters.subject(place, slot, now);
            let number = subject.corrections.0;
            if let Some(allotment) = counters.allotment(slot) {
                asks.push(allotment.ask(subject, in_use, amount));
                pending.push(Pending::new(account, slot, amount, now, number));
            }
        }
    }

    /// Tells how it stands; gives everything back when it has not been used for a while, or at the end. Says whether it
    /// is to be told of in the next round, too.
    pub(crate) fn tell(
        account: &Arc<Self>,
        gives_all: bool,
        pending: &mut Vec<Pending>,
        asks: &mut Vec<Ask>,
    ) -> bool {
        let Some(place) = &account.place else {
            return false;
        };
        let now = account.moment(Instant::now());
        let mut counters = account.counters.lock();
        counters.advance(now);
        let slots = counters.slots(&Wanted::NOTHING);
        let is_free = counters.in_flight == 0 && slots.iter().all(|(_, in_use, _)| is_settled(*in_use));
        let Some(shares) = &mut counters.shares else {
            return false;
        };
        let is_idle = now.running.saturating_sub(shares.touched) > IDLE;
        let gives = gives_all || (is_idle && is_free);
        let corrects: [bool; 3] = std::array::from_fn(|at| !shares.tokens[at].corrections.is_empty());
        let mut is_quiet = gives;
        for (slot, in_use, _) in slots {
            let is_parting = gives_all && counters.slides(slot);
            let Some(allotment) = counters.allotment(slot) else {
                continue;
            };
            allotment.expire(in_use, now.running, place.link().life);
            let is_done = allotment.is_told(in_use.used) && !allotment.has_spare(in_use);
            is_quiet &= is_done;
            let is_due = allotment.is_due(in_use, now.running, place.link().life);
            let has_corrections = matches!(slot, Slot::Tokens(at) if corrects[at]);
            // Who ends says so where the next process would else ask for what was used.
            if (gives && is_done && !is_parting) || !(gives || is_due || has_corrections) {
                continue;
            }
            let subject = counters.subject(place, slot, now);
            let number = subject.corrections.0;
            if let Some(allotment) = counters.allotment(slot) {
                asks.push(if gives {
                    allotment.give_back(subject, in_use, gives_all)
                } else {
                    allotment.tell(subject, in_use)
                });
                pending.push(Pending::new(account, slot, 0, now, number));
            }
        }
        if is_quiet && is_free {
            account.is_told.store(false, Ordering::Release);
        }
        !(is_quiet && is_free)
    }

    /// What the ledger is asked of a budget or a quota: which, and since when.
    fn rule(&self, slot: Slot) -> Option<(Rule, i64)> {
        let Slot::Purse(number, begun) = slot else {
            return None;
        };
        let now = self.moment(Instant::now());
        let counters = self.counters.lock();
        let purse = counters.purses.iter().find(|purse| purse.number == number)?;
        let since = match (purse.rule.grain(), purse.ends) {
            (Some(grain), _) => grain.since(now.unix_ms),
            (None, None) => 0,
            (None, Some(_)) => begun,
        };
        Some((purse.rule.clone(), since))
    }
}

impl Pending {
    fn new(account: &Arc<Account>, slot: Slot, amount: i64, now: Moment, number: u64) -> Self {
        Self {
            account: Arc::clone(account),
            slot,
            amount,
            asked_at: now.running,
            number,
            is_answered: Mutex::new(false),
        }
    }

    /// What the ledger is asked, by what was told.
    pub(crate) fn question(&self, told: &Told) -> Option<Question> {
        let place = self.account.place.as_ref()?;
        let (rule, since) = self.account.rule(self.slot)?;
        let (since, apart) = match Apart::of(&rule) {
            // The counter is known; what a process before this one has used of it after it told last is not.
            Apart::Buckets(_) if told.wait > 0 => {
                let own = Apart::Own(place.sharing.replica().to_owned());
                // The server told when, and entries bear the times of this machine.
                let ahead = place.clock().unix_ms(running_ms()).saturating_sub(unix_ms());
                let since = since.max(told.wait.saturating_sub(TELLING));
                (since.saturating_sub(ahead), own)
            }
            apart => (since, apart),
        };
        Some(Question {
            apart,
            kind: place.kind,
            is_provider: place.is_provider(),
            id: place.id.to_string(),
            rule,
            since,
        })
    }

    /// Takes over what was told; says why, where it was refused.
    pub(crate) fn heed(&self, told: &Told, ask: &Ask) -> Option<Refused> {
        let now = self.account.moment(Instant::now());
        let mut counters = self.account.counters.lock();
        *self.is_answered.lock() = true;
        if let Slot::Purse(number, begun) = self.slot {
            let own = |purse: &&mut Purse| purse.number == number && purse.begun == begun;
            if let Some(purse) = counters.purses.iter_mut().find(own) {
                // An earlier process of this replica has told of more than the ledger knew.
                purse.spent = purse.spent.max(told.own);
            }
        }
        let allotment = counters.allotment(self.slot)?;
        let is_newer = allotment.heed(told, ask, self.asked_at);
        if told.verdict == Verdict::Refused {
            allotment.refuse(self.amount, now.running);
        }
        if let Slot::Purse(number, _) = self.slot
            && is_newer
            && let Some(purse) = counters.purses.iter_mut().find(|purse| purse.number == number)
        {
            purse.advance(now.unix_ms);
            purse.heard();
        }
        (told.verdict == Verdict::Refused).then(|| counters.refusal(self.slot, (told, self.amount), now))
    }
}

fn sum(window: Option<&crate::window::Window>) -> i64 {
    window.map_or(0, |window| amount(window.sum()))
}
