//! Reservation before, settlement after: at all holders of a request at once, or at none.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Instant;

use pointsman_catalog::Money;
use smallvec::SmallVec;

use crate::account::{Account, Mark, Moment};
use crate::denial::{Denial, Refused};
use crate::sharing;
use crate::unit::{Details, Used};
use crate::wanted::{Tokens, Wanted};

/// Holders of a request that needs no memory of its own: key, user, project, team, organization, and one that it names.
/// What names more than that has more.
const FEW: usize = 6;

/// Where the holders of a request stand with it, in their order.
pub(crate) type Marks = SmallVec<[Mark; FEW]>;

/// The holders of a request, in the order in which their counters are taken: the lower before the higher, everywhere,
/// so that two requests never wait for each other, and so that the counters most requests share are held the shortest.
#[derive(Debug, Clone)]
pub(crate) struct Accounts {
    all: Arc<[Arc<Account>]>,
    /// So many of them are the caller's; those of the model that is asked for come after.
    own: usize,
    /// The model that is asked for, where it matters to any of them.
    model: Option<Arc<str>>,
}

impl Accounts {
    pub(crate) fn new(all: Arc<[Arc<Account>]>) -> Self {
        let own = all.len();
        Self {
            all,
            own,
            model: None,
        }
    }

    /// The same, to be asked for a model with these counters; nothing where that does not matter.
    pub(crate) fn asking(&self, model: &str, of_model: &[Arc<Account>]) -> Option<Self> {
        if self.model.as_deref() == Some(model) {
            return None;
        }
        let own = self.own();
        let is_another = self.all.len() > own.len() || !of_model.is_empty();
        if !is_another && !own.iter().any(|account| account.counts_by_model()) {
            return None;
        }
        let all = if is_another {
            own.iter().chain(of_model).map(Arc::clone).collect()
        } else {
            Arc::clone(&self.all)
        };
        Some(Self {
            all,
            own: self.own,
            model: Some(model.into()),
        })
    }

    /// The same, asked for a model.
    pub(crate) fn for_model(self, model: Option<&str>) -> Self {
        Self {
            model: model.map(Into::into),
            ..self
        }
    }

    /// The caller's, whatever is asked for.
    pub(crate) fn own(&self) -> &[Arc<Account>] {
        self.all.get(..self.own).unwrap_or_default()
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

impl Estimate {
    /// Nothing at all.
    pub(crate) const NOTHING: Self = Self {
        tokens: Tokens { input: 0, output: 0 },
        cost: Money::ZERO,
    };
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
    /// The same request once more: it takes its place again, and is no other request.
    Again,
    /// A part of a request that has its place already.
    Within,
    /// That part once more: no other request either.
    WithinAgain,
    /// Money for what others answer later: no place, and no tokens of a minute.
    Elsewhere,
    /// What is sent to a provider for one request: so many requests, and so many of them at once.
    Sent {
        /// All of them.
        requests: u32,
        /// At once.
        places: u32,
    },
}

impl Standing {
    /// Places that it takes among the requests at once.
    pub(crate) fn places(self) -> u64 {
        match self {
            Self::Apart | Self::Again => 1,
            Self::Sent { places, .. } => u64::from(places),
            Self::Within | Self::WithinAgain | Self::Elsewhere => 0,
        }
    }

    /// Requests that it counts as.
    pub(crate) fn requests(self) -> u64 {
        match self {
            Self::Apart | Self::Within => 1,
            Self::Sent { requests, .. } => u64::from(requests),
            Self::Again | Self::WithinAgain | Self::Elsewhere => 0,
        }
    }
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
pub(crate) fn moment(accounts: &Accounts, now: Instant) -> Moment {
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
        .map_err(|(refused, account)| account.denial(refused, estimate.cost))
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
        Err((refused, account)) => Err(account.denial(refused, estimate.cost)),
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
        .map(|mut counters| counters.reserve((estimate, standing), &wanted))
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
            return Err(account.denial(refused, estimate.cost));
        }
        for (mark, mut counters) in self.marks.iter_mut().zip(held) {
            let change = [self.estimate, estimate];
            counters.change(mark, change, self.standing, self.accounts.model());
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
        self.close(Used {
            actual,
            details: Details::default(),
        });
    }

    /// The same, and tells what kinds its tokens were of.
    pub fn settle_in_detail(mut self, actual: Actual, details: Details) {
        self.close(Used { actual, details });
    }

    /// A part of what was set aside for what others answer later.
    pub(crate) fn elsewhere(accounts: Accounts, marks: Marks, cost: Money) -> Self {
        Self {
            accounts,
            marks,
            estimate: Estimate {
                cost,
                ..Estimate::default()
            },
            standing: Standing::Elsewhere,
            charged: None,
            open: true,
        }
    }

    /// At whom it is reserved.
    pub(crate) fn accounts(&self) -> &Accounts {
        &self.accounts
    }

    fn close(&mut self, used: Used) {
        if std::mem::replace(&mut self.open, false) {
            for (mark, account) in self.marks.iter().zip(self.accounts.iter()) {
                let settled = (self.estimate, used);
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
        self.close(Used::default());
    }
}
