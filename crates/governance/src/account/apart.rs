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
        let mut by_model = false;
        for one in at.iter() {
            let own = rules.iter().filter(|rule| rule.providers() == one.providers);
            let own: Vec<Rule> = own.cloned().collect();
            one.account.may_count_by_model(&own);
            let looks = one.account.configure_own(Limits::default(), &own, used);
            one.account.by_model.store(looks, Ordering::Relaxed);
            by_model |= looks;
        }
        let is_apart = at.iter().any(|one| one.is_used);
        self.is_apart.store(is_apart, Ordering::Relaxed);
        by_model
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use pointsman_catalog::Money;
    use pointsman_store::{Budget, BudgetWindow};

    use super::*;

    #[test]
    fn while_settings_change_it_goes_on_to_matter_for_which_model_something_is_asked() {
        let account = Account::new("this key", Limits::default(), None);
        let rules = [Rule::Budget(Budget {
            models: vec!["m".to_owned()],
            providers: vec!["p".to_owned()],
            ..Budget::of(Money::ZERO, BudgetWindow::Total)
        })];
        account.configure(Limits::default(), &rules, &[]);
        let is_over = AtomicBool::new(false);
        let always = std::thread::scope(|scope| {
            let looks = scope.spawn(|| {
                let mut always = true;
                while !is_over.load(Ordering::Relaxed) {
                    always &= account.counts_by_model();
                }
                always
            });
            for _ in 0..10_000 {
                account.configure(Limits::default(), &rules, &[]);
            }
            is_over.store(true, Ordering::Relaxed);
            looks.join().unwrap()
        });
        assert!(always);
        account.configure(Limits::default(), &[], &[]);
        assert!(!account.counts_by_model());
    }
}
