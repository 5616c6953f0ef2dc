//! Money that stays set aside for what others answer later, such as the lines of a batch that a provider runs: at the
//! holders of a key, and at whatever single lines name beside them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use pointsman_catalog::Money;

use crate::account::{Account, Mark};
use crate::principal::Principal;
use crate::reservation::{Accounts, Actual, Estimate, Marks, Reservation, Standing, moment};
use crate::unit::Used;

/// Money that stays set aside for what others answer later: it takes no place and no tokens of a minute. What is left
/// of it when it is dropped comes back.
#[derive(Debug)]
pub struct SetAside {
    accounts: Accounts,
    marks: Marks,
    cost: Money,
    /// What of it is set aside at whom that single requests name, by the address of their counters.
    named: HashMap<usize, Named>,
}

/// Somebody whom single requests name.
#[derive(Debug)]
struct Named {
    account: Arc<Account>,
    mark: Mark,
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
            named: HashMap::new(),
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
    /// counted in their minute. Says whether it named anybody who has counters of their own.
    pub fn add(&mut self, admitted: Reservation) -> bool {
        let Estimate { tokens, cost } = admitted.estimate();
        // First ours, then theirs: in between nobody finds room that is not there.
        self.reserve(cost);
        let others = self.others(admitted.accounts());
        for account in &others {
            self.hold(account, cost);
        }
        admitted.settle(Actual {
            tokens,
            cost: Money::ZERO,
        });
        !others.is_empty()
    }

    /// Sets money aside at whatever `who` names beside the holders of its key, for what was added before this process
    /// began.
    pub fn hold_for(&mut self, who: &Principal, cost: Money) {
        for account in self.others(who.accounts()) {
            self.hold(&account, cost);
        }
    }

    /// A part of it, to be settled on its own.
    pub fn part(&mut self, cost: Money) -> Reservation {
        let cost = cost.min(self.cost);
        self.cost = self.cost - cost;
        Reservation::elsewhere(self.accounts.clone(), self.marks.clone(), cost)
    }

    /// A part of it, to be settled by `who`: also at what it names beside the holders of its key.
    pub fn part_of(&mut self, cost: Money, who: &Principal) -> Reservation {
        let others = self.others(who.accounts());
        if others.is_empty() {
            return self.part(cost);
        }
        let cost = cost.min(self.cost);
        self.cost = self.cost - cost;
        let mut marks = self.marks.clone();
        for account in &others {
            let named = self.known(account);
            // What was not held here is now, so that what is given back is no one else's.
            if named.cost < cost {
                account.set_aside(named.mark, cost - named.cost, None);
                named.cost = cost;
            }
            named.cost = named.cost - cost;
            marks.push(named.mark);
        }
        let all = self.accounts.iter().chain(&others).map(Arc::clone);
        Reservation::elsewhere(Accounts::new(all.collect()), marks, cost)
    }

    fn hold(&mut self, account: &Arc<Account>, cost: Money) {
        let named = self.known(account);
        named.cost += cost;
        account.set_aside(named.mark, cost, None);
    }

    /// Somebody whom requests name, from when they were first named.
    fn known(&mut self, account: &Arc<Account>) -> &mut Named {
        let address = Arc::as_ptr(account).addr();
        self.named.entry(address).or_insert_with(|| {
            let mark = account.owe(account.moment(Instant::now()));
            Account::noted(account);
            Named {
                account: Arc::clone(account),
                mark,
                cost: Money::ZERO,
            }
        })
    }

    /// Who of these is none of the holders.
    fn others(&self, accounts: &Accounts) -> Vec<Arc<Account>> {
        let is_own = |account: &&Arc<Account>| self.accounts.iter().any(|own| Arc::ptr_eq(own, account));
        let others = accounts.own().iter().filter(|account| !is_own(account));
        others.map(Arc::clone).collect()
    }
}

impl Drop for SetAside {
    fn drop(&mut self) {
        // A part that nobody settles comes back.
        drop(self.part(self.cost));
        for named in self.named.values().filter(|named| named.cost > Money::ZERO) {
            let rest = Estimate {
                cost: named.cost,
                ..Estimate::default()
            };
            let nothing = (rest, Used::default());
            named
                .account
                .settle(named.mark, Standing::Elsewhere, nothing, [None, None]);
            Account::noted(&named.account);
        }
    }
}
