//! Shares of limits that stay reserved for a priority: of limits that many callers share.
//!
//! What is reserved for a priority and not used by it stays free for it, minute by minute and place by place; everything
//! else may be used by anybody. Said in numbers: over all priorities, the sum of what is used or reserved, whichever is
//! more, never passes the limit. That is so exactly where it is so for each set of priorities alone: what those in it
//! use, and what is reserved for the others, is within the limit. So each set has counters of its own, a *lane*: an
//! account as any other, whose limit is what the others leave. A request is counted in the lanes of the sets that its
//! priority is in, all of them or none, together with its other holders: whatever holds for accounts in a race, and for
//! those that replicas count together, holds for what is reserved.

use std::sync::Arc;

use pointsman_store::Shares;

use crate::account::Account;
use crate::config::Limits;

/// The lanes of one holder, or of a model.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lanes {
    shares: Shares,
    /// In one order for all who use them.
    lanes: Vec<Lane>,
}

/// What some priorities use together, and what has none.
#[derive(Debug, Clone)]
struct Lane {
    /// The priorities in it.
    within: Vec<String>,
    account: Arc<Account>,
}

impl Lanes {
    /// Takes over what is reserved of these limits. What was counted stays so where a set of priorities is the same.
    /// `make` makes an account: of what is added to the holder's id, and to its name.
    pub(crate) fn set(&mut self, shares: &Shares, limits: Limits, make: impl Fn(&str, &str) -> Arc<Account>) {
        let shares = if limits == Limits::default() {
            Shares::new()
        } else {
            shares.clone()
        };
        let known = std::mem::take(&mut self.lanes);
        let names: Vec<&String> = shares.keys().collect();
        // The set of all of them is the holder's own account.
        let sets = (1_usize << names.len()) - 1;
        for set in 0..sets {
            let is_within = |at: usize| set & (1 << at) != 0;
            let (mut within, mut outside) = (Vec::new(), Vec::new());
            for (at, name) in names.iter().enumerate() {
                let side = if is_within(at) { &mut within } else { &mut outside };
                side.push(String::clone(name));
            }
            let found = known.iter().find(|lane| lane.within == within);
            let account = found.map_or_else(
                || {
                    let beside = format!(" (beside what is reserved for {})", outside.join(", "));
                    make(&format!("~{}", within.join("+")), &beside)
                },
                |lane| Arc::clone(&lane.account),
            );
            let others = outside.iter().filter_map(|name| shares.get(name).copied());
            account.configure(limits.beside(others), &[], &[]);
            self.lanes.push(Lane { within, account });
        }
        self.shares = shares;
    }

    /// Where a request of this priority is counted beside the holder itself.
    pub(crate) fn of<'a>(&'a self, priority: Option<&'a str>) -> impl Iterator<Item = &'a Arc<Account>> {
        // For a priority that nothing is reserved for, all lanes are somebody else's.
        let own = priority.filter(|priority| self.shares.contains_key(*priority));
        let lanes = self.lanes.iter();
        let lanes =
            lanes.filter(move |lane| own.is_none_or(|own| lane.within.iter().any(|name| name == own)));
        lanes.map(|lane| &lane.account)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use proptest::prelude::*;

    use super::*;
    use crate::reservation::{self, Accounts, Actual, Estimate, Reservation, Standing};
    use crate::wanted::Tokens;

    const NAMES: [Option<&str>; 4] = [Some("a"), Some("b"), Some("c"), None];

    fn accounts(own: &Arc<Account>, lanes: &Lanes, priority: Option<&str>) -> Accounts {
        let all = std::iter::once(own).chain(lanes.of(priority)).map(Arc::clone);
        Accounts::new(all.collect())
    }

    fn lanes(limits: Limits, percents: &[u8]) -> (Arc<Account>, Lanes) {
        let own = Arc::new(Account::new("all", limits, None));
        let names = NAMES.iter().flatten().map(|name| (*name).to_owned());
        let shares: Shares = names.zip(percents.iter().copied()).collect();
        let mut lanes = Lanes::default();
        let make = |_: &str, name: &str| Arc::new(Account::new(name, Limits::default(), None));
        lanes.set(&shares, limits, make);
        (own, lanes)
    }

    proptest! {
        /// Whatever comes in whatever order, it is admitted exactly where what is used or reserved leaves room.
        #[test]
        fn what_is_admitted_is_what_leaves_the_reserved_shares_alone(
            percents in (0_u8..40, 0_u8..30, 0_u8..30),
            limit in 1_u64..60,
            asked in proptest::collection::vec((0_usize..4, 1_u64..8, any::<bool>()), 1..120),
        ) {
            let percents = [percents.0.max(1), percents.1.max(1), percents.2.max(1)];
            let limits = Limits { tokens_per_minute: Some(limit), concurrency: Some(9), ..Limits::default() };
            let (own, lanes) = lanes(limits, &percents);
            let share = |limit: u64, at: usize| percents.get(at).map_or(0, |percent| limit * u64::from(*percent) / 100);
            let fits = |used: [u64; 4], limit: u64| {
                (0..4).map(|at| used[at].max(share(limit, at))).sum::<u64>() <= limit
            };
            let now = Instant::now();
            let (mut tokens, mut places) = ([0_u64; 4], [0_u64; 4]);
            let mut open: Vec<(usize, Reservation)> = Vec::new();
            for (of, amount, ends) in asked {
                let (mut more, mut one) = (tokens, places);
                more[of] += amount;
                one[of] += 1;
                let estimate = Estimate { tokens: Tokens::prompt(amount), ..Estimate::default() };
                let accounts = accounts(&own, &lanes, NAMES[of]);
                let admitted = reservation::reserve(&accounts, estimate, Standing::Apart, now);
                prop_assert_eq!(admitted.is_ok(), fits(more, limit) && fits(one, 9));
                if let Ok(reservation) = admitted {
                    (tokens, places) = (more, one);
                    open.push((of, reservation));
                }
                if ends && !open.is_empty() {
                    let (of, reservation) = open.swap_remove(0);
                    let used = reservation.estimate().tokens;
                    places[of] -= 1;
                    reservation.settle(Actual {
                        tokens: used,
                        ..Actual::default()
                    });
                }
            }
        }
    }

    #[test]
    fn shares_that_are_changed_keep_what_was_counted() {
        let limits = Limits {
            requests_per_minute: Some(10),
            ..Limits::default()
        };
        let (own, mut lanes) = lanes(limits, &[50]);
        let ask = |lanes: &Lanes, priority| {
            let accounts = accounts(&own, lanes, priority);
            reservation::reserve(&accounts, Estimate::default(), Standing::Apart, Instant::now()).map(drop)
        };
        for _ in 0..5 {
            ask(&lanes, None).unwrap();
        }
        let denied = ask(&lanes, Some("b")).unwrap_err();
        assert!(
            denied
                .message
                .contains("(beside what is reserved for a) may make 5 requests"),
            "{}",
            denied.message
        );
        let make = |_: &str, name: &str| Arc::new(Account::new(name, Limits::default(), None));
        lanes.set(&Shares::from([("a".to_owned(), 40)]), limits, make);
        ask(&lanes, None).unwrap();
        assert!(ask(&lanes, None).is_err());
        for _ in 0..4 {
            ask(&lanes, Some("a")).unwrap();
        }
        assert!(ask(&lanes, Some("a")).is_err(), "no more than all");
        lanes.set(&Shares::new(), limits, make);
        assert_eq!(lanes.of(None).count(), 0);
        lanes.set(&Shares::from([("a".to_owned(), 40)]), Limits::default(), make);
        assert_eq!(lanes.of(None).count(), 0, "of no limit nothing is reserved");
    }
}
