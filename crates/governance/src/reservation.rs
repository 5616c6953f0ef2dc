//! Reservation before, settlement after: at all holders of a request at once, or at none.

use std::sync::Arc;
use std::time::Instant;

use pointsman_catalog::Money;
use smallvec::SmallVec;

use crate::account::{Account, Mark, Moment};
use crate::denial::{Denial, Refused};
use crate::sharing;

/// Holders of a request that needs no memory of its own: key, user, project, team, organization, and one that it names.
/// What names more than that has more.
const FEW: usize = 6;

/// Where the holders of a request stand with it, in their order.
type Marks = SmallVec<[Mark; FEW]>;

/// The holders of a request, in the order in which their counters are taken: the lower before the higher, everywhere,
/// so that two requests never wait for each other, and so that the counters most requests share are held the shortest.
pub(crate) type Accounts = Arc<[Arc<Account>]>;

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

/// An estimate that is set aside. Dropped without being settled, it gives everything back but the request itself.
#[derive(Debug)]
pub struct Reservation {
    accounts: Accounts,
    marks: Marks,
    estimate: Estimate,
    standing: Standing,
    open: bool,
}

/// A point in time, by the clock that these accounts go by.
fn moment(accounts: &Accounts, now: Instant) -> Moment {
    // There is always a first one: whoever asks.
    accounts
        .first()
        .map_or_else(|| Moment::here(now), |account| account.moment(now))
}

/// Reserves `estimate` at every holder, or at none.
pub(crate) fn reserve(
    accounts: &Accounts,
    estimate: Estimate,
    standing: Standing,
    now: Instant,
) -> Result<Reservation, Denial> {
    attempt(accounts, estimate, standing, now)
        .map_err(|(refused, account)| refused.denial(account.name(), estimate))
}

/// As [`reserve`], and asks other replicas where there is no room here.
pub(crate) async fn reserve_shared(
    accounts: &Accounts,
    estimate: Estimate,
    standing: Standing,
    now: Instant,
) -> Result<Reservation, Denial> {
    match attempt(accounts, estimate, standing, now) {
        Ok(reservation) => Ok(reservation),
        // Boxed: hardly any request comes here, and none has to carry it along.
        Err((Refused::Share, _)) => Box::pin(sharing::reserve(accounts, estimate, standing)).await,
        Err((refused, account)) => Err(refused.denial(account.name(), estimate)),
    }
}

/// As [`reserve`]; says which account has no room.
pub(crate) fn attempt(
    accounts: &Accounts,
    estimate: Estimate,
    standing: Standing,
    now: Instant,
) -> Result<Reservation, (Refused, &Arc<Account>)> {
    let now = moment(accounts, now);
    let mut held = SmallVec::<[_; FEW]>::new();
    let mut denied = None;
    for account in accounts.iter() {
        match account.with_room(estimate, standing, now) {
            Ok(counters) => held.push(counters),
            Err(refused) => {
                denied = Some((refused, account));
                break;
            }
        }
    }
    if let Some(denied) = denied {
        drop(held);
        return Err(denied);
    }
    let marks = held.into_iter();
    let marks = marks
        .map(|mut counters| counters.reserve(estimate, standing))
        .collect();
    accounts.iter().for_each(Account::noted);
    Ok(Reservation {
        accounts: Arc::clone(accounts),
        marks,
        estimate,
        standing,
        open: true,
    })
}

/// A reservation of nothing, for what was used already.
pub(crate) fn owe(accounts: &Accounts, now: Instant) -> Reservation {
    let now = moment(accounts, now);
    let marks = accounts.iter().map(|account| account.owe(now)).collect();
    accounts.iter().for_each(Account::noted);
    Reservation {
        accounts: Arc::clone(accounts),
        marks,
        estimate: Estimate::default(),
        standing: Standing::Within,
        open: true,
    }
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
    /// When a limit or a budget has no room for what is added: then nothing has changed.
    pub fn change(&mut self, estimate: Estimate, now: Instant) -> Result<(), Denial> {
        let now = moment(&self.accounts, now);
        let more = Estimate {
            tokens: estimate.tokens.saturating_sub(self.estimate.tokens),
            cost: (estimate.cost - self.estimate.cost).max(Money::ZERO),
        };
        let mut held = SmallVec::<[_; FEW]>::new();
        let mut denied = None;
        for account in self.accounts.iter() {
            match account.with_room_for_more(more, now) {
                Ok(counters) => held.push(counters),
                Err(refused) => {
                    denied = Some((refused, account));
                    break;
                }
            }
        }
        if let Some((refused, account)) = denied {
            drop(held);
            return Err(refused.denial(account.name(), estimate));
        }
        for (mark, mut counters) in self.marks.iter_mut().zip(held) {
            counters.change(mark, self.estimate, estimate);
        }
        self.estimate = estimate;
        Ok(())
    }

    /// Gets from other replicas what [`change`](Self::change) to `estimate` needs, where it is not here.
    pub async fn prepare(&self, estimate: Estimate) {
        let more = Estimate {
            tokens: estimate.tokens.saturating_sub(self.estimate.tokens),
            cost: (estimate.cost - self.estimate.cost).max(Money::ZERO),
        };
        sharing::prepare(&self.accounts, more, None).await;
    }

    /// Charges what was used; the rest comes back.
    pub fn settle(mut self, actual: Actual) {
        self.close(actual);
    }

    fn close(&mut self, actual: Actual) {
        if std::mem::replace(&mut self.open, false) {
            for (mark, account) in self.marks.iter().zip(self.accounts.iter()) {
                account.settle(*mark, self.standing, self.estimate, actual);
                Account::noted(account);
            }
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.close(Actual::default());
    }
}

/// Money that stays set aside for what others answer later: it takes no place and no tokens of a minute. What is left
/// of it when it is dropped comes back.
#[derive(Debug)]
pub struct SetAside {
    accounts: Accounts,
    marks: Marks,
    cost: Money,
}

impl SetAside {
    pub(crate) fn new(accounts: &Accounts, cost: Money) -> Self {
        let now = moment(accounts, Instant::now());
        let marks = accounts.iter().map(|account| account.owe(now)).collect();
        let mut aside = Self {
            accounts: Arc::clone(accounts),
            marks,
            cost: Money::ZERO,
        };
        accounts.iter().for_each(Account::noted);
        aside.reserve(cost);
        aside
    }

    fn reserve(&mut self, cost: Money) {
        self.cost += cost;
        for (mark, account) in self.marks.iter().zip(self.accounts.iter()) {
            account.set_aside(*mark, cost);
        }
    }

    /// How much it is.
    #[must_use]
    pub fn cost(&self) -> Money {
        self.cost
    }

    /// Takes over the money of a request that was admitted; its place is free again, and the tokens it may use stay
    /// counted in their minute.
    pub fn add(&mut self, admitted: Reservation) {
        let Estimate { tokens, cost } = admitted.estimate;
        // First ours, then theirs: in between nobody finds room that is not there.
        self.reserve(cost);
        admitted.settle(Actual {
            tokens,
            cost: Money::ZERO,
        });
    }

    /// A part of it, to be settled on its own.
    pub fn part(&mut self, cost: Money) -> Reservation {
        let cost = cost.min(self.cost);
        self.cost = self.cost - cost;
        Reservation {
            accounts: Arc::clone(&self.accounts),
            marks: self.marks.clone(),
            estimate: Estimate { tokens: 0, cost },
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
