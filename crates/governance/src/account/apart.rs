//! What of a holder is counted at some providers alone: in accounts of their own, because only who is asked in the end
//! says whether a request counts there.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use smallvec::SmallVec;

use super::Account;
use crate::budget::{Before, Purse, Rule};
use crate::config::Limits;
use crate::pattern::fits;

/// Lists of providers that one holder has had, at most: what was counted at those that it has no more is kept, because
/// they may come back while it is still told to others.
const MAX_KEPT: usize = 64;

/// What is counted at some providers.
#[derive(Debug)]
pub(super) struct AtProvider {
    providers: Vec<String>,
    account: Arc<Account>,
    /// Whether there is anything that counts at the moment.
    is_used: bool,
}

/// Accounts of a holder that are apart from its own.
pub(crate) type Apart = SmallVec<[Arc<Account>; 2]>;

impl Account {
    /// Gives what is counted at some providers its settings; says whether it matters there for which model something is
    /// asked.
    pub(super) fn configure_apart(&self, rules: &[Rule], used: &[(&Rule, Before)]) -> bool {
        let mut at = self.at.write();
        at.iter_mut().for_each(|one| one.is_used = false);
        for rule in rules {
            let providers = rule.providers();
            if providers.is_empty() {
                continue;
            }
            match at.iter_mut().find(|one| one.providers == providers) {
                Some(one) => one.is_used = true,
                None => at.push(AtProvider {
                    providers: providers.to_vec(),
                    account: Arc::new(Self::new(&self.name, Limits::default(), self.place.clone())),
                    is_used: true,
                }),
            }
        }
        while at.len() > MAX_KEPT
            && let Some(oldest) = at.iter().position(|one| !one.is_used)
        {
            at.remove(oldest);
        }
        for one in at.iter() {
            let own = rules.iter().filter(|rule| rule.providers() == one.providers);
            let own: Vec<Rule> = own.cloned().collect();
            one.account.configure_own(Limits::default(), &own, used);
        }
        let is_apart = at.iter().any(|one| one.is_used);
        self.is_apart.store(is_apart, Ordering::Relaxed);
        let mut used = at.iter().filter(|one| one.is_used);
        used.any(|one| one.account.counts_by_model())
    }

    /// All of them.
    pub(super) fn apart(&self) -> Apart {
        self.apart_where(|_| true)
    }

    /// Those that count what is asked at a provider.
    pub(crate) fn at(&self, provider: &str) -> Apart {
        self.apart_where(|one| one.providers.iter().any(|pattern| fits(pattern, provider)))
    }

    fn apart_where(&self, counts: impl Fn(&AtProvider) -> bool) -> Apart {
        if !self.is_apart.load(Ordering::Relaxed) {
            return Apart::new();
        }
        let at = self.at.read();
        let counted = at.iter().filter(|one| one.is_used && counts(one));
        counted.map(|one| Arc::clone(&one.account)).collect()
    }

    /// What it counts, at providers and anywhere.
    pub(super) fn rules(&self) -> Vec<Rule> {
        let of = |purses: &[Purse]| purses.iter().map(|purse| purse.rule.clone()).collect::<Vec<_>>();
        let mut rules = of(&self.counters.lock().purses);
        for account in self.apart() {
            rules.extend(of(&account.counters.lock().purses));
        }
        rules
    }
}
