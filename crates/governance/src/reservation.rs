//! Reservation before, settlement after: at all holders of a request at once, or at none.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Instant;

use pointsman_catalog::Money;
use smallvec::SmallVec;

use crate::account::{Account, Mark, Moment};
use crate::denial::{Denial, Refused};
use crate::sharing;
use crate::wanted::{Tokens, Wanted};

/// Holders of a request that needs no memory of its own: key, user, project, team, organization, and one that it names.
/// What names more than that has more.
const FEW: usize = 6;

/// Where the holders of a request stand with it, in their order.
type Marks = SmallVec<[Mark; FEW]>;

/// The holders of a request, in the order in which their counters are taken: the lower before the higher, everywhere,
/// so that two requests never wait for each other, and so that the counters most requests share are held the shortest.
#[derive(Debug, Clone)]
pub(crate) struct Accounts {
    all: Arc<[Arc<Account>]>,
    /// The model that is asked for, where it matters to any of them.
    model: Option<Arc<str>>,
}

impl Accounts {
    pub(crate) fn new(all: Arc<[Arc<Account>]>) -> Self {
        Self { all, model: None }
    }

    /// The same, to be asked for a model; nothing where that does not matter.
    pub(crate) fn asking(&self, model: &str) -> Option<Self> {
        let matters = self.all.iter().any(|account| account.counts_by_model());
        let is_same = self.model.as_deref() == Some(model);
        (matters && !is_same).then(|| Self {
            all: Arc::clone(&self.all),
            model: Some(model.into()),
        })
    }

    pub(crate) fn model(&self) -> Option<&str> {
        self.model.as_deref()
    }
}

impl Deref for Accounts {
    type Target = [Arc<Account>];

    fn deref(&self) -> &[Arc<Account>] {
        &self.all
    }
}

/// What a request may use at most.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Estimate {
    /// Of prompt and answer.
    pub tokens: Tokens,
    /// Money.
    pub cost: Money,
}

/// What a request did use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Actual {
    /// Of prompt and answer.
    pub tokens: Tokens,
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
    /// The model that it is charged for, where that was not known when it was set aside.
    charged: Option<Arc<str>>,
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
        .map_err(|(refused, account)| refused.denial(account.name(), estimate.cost))
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
        Err((refused, account)) => Err(refused.denial(account.name(), estimate.cost)),
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
    let wanted = Wanted::new(estimate, standing, accounts.model());
    let mut held = SmallVec::<[_; FEW]>::new();
    let mut denied = None;
    for account in accounts.iter() {
        match account.with_room(&wanted, now) {
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
        .map(|mut counters| counters.reserve(estimate, &wanted))
        .collect();
    accounts.iter().for_each(Account::noted);
    Ok(Reservation {
        accounts: accounts.clone(),
        marks,
        estimate,
        standing,
        charged: None,
        open: true,
    })
}

/// A reservation of nothing, for what was used already.
pub(crate) fn owe(accounts: &Accounts, now: Instant) -> Reservation {
    let now = moment(accounts, now);
    let marks = accounts.iter().map(|account| account.owe(now)).collect();
    accounts.iter().for_each(Account::noted);
    Reservation {
        accounts: accounts.clone(),
        marks,
        estimate: Estimate::default(),
        standing: Standing::Within,
        charged: None,
        open: true,
    }
}

impl Reservation {
    /// To be charged at what counts by model as asked of this one: there nothing was set aside for it.
    #[must_use]
    pub fn charging(mut self, model: &str) -> Self {
        if self.accounts.iter().any(|account| account.counts_by_model()) {
            self.charged = Some(model.into());
        }
        self
    }

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
        let more = Wanted::more(self.estimate, estimate, self.accounts.model());
        let mut held = SmallVec::<[_; FEW]>::new();
        let mut denied = None;
        for account in self.accounts.iter() {
            match account.with_room(&more, now) {
                Ok(counters) => held.push(counters),
                Err(refused) => {
                    denied = Some((refused, account));
                    break;
                }
            }
        }
        if let Some((refused, account)) = denied {
            drop(held);
            return Err(refused.denial(account.name(), estimate.cost));
        }
        for (mark, mut counters) in self.marks.iter_mut().zip(held) {
            counters.change(mark, self.estimate, estimate, self.accounts.model());
        }
        self.estimate = estimate;
        Ok(())
    }

    /// Gets from other replicas what [`change`](Self::change) to `estimate` needs, where it is not here.
    pub async fn prepare(&self, estimate: Estimate) {
        let more = Wanted::more(self.estimate, estimate, self.accounts.model());
        sharing::prepare(&self.accounts, &more).await;
    }

    /// Charges what was used; the rest comes back.
    pub fn settle(mut self, actual: Actual) {
        self.close(actual);
    }

    fn close(&mut self, actual: Actual) {
        if std::mem::replace(&mut self.open, false) {
            for (mark, account) in self.marks.iter().zip(self.accounts.iter()) {
                let settled = (self.estimate, actual);
                let reserved = self.accounts.model();
                let models = [reserved, self.charged.as_deref().or(reserved)];
                account.settle(*mark, self.standing, settled, models);
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
            accounts: accounts.clone(),
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
            account.set_aside(*mark, cost, self.accounts.model());
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
            accounts: self.accounts.clone(),
            marks: self.marks.clone(),
            estimate: Estimate {
                tokens: Tokens::default(),
                cost,
            },
            standing: Standing::Elsewhere,
            charged: None,
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
