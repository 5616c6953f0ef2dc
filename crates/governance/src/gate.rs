//! The gates of providers: what all callers together may send to one, whoever asks and whatever name led there.
//!
//! A provider is known only once a target is picked, so that what is sent is set aside try by try, apart from what its
//! request has set aside at its holders, and never while theirs are held: neither waits for the other.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use pointsman_catalog::Money;
use pointsman_store::{Store, StoreError};

use crate::account::{Account, Place, unix_ms};
use crate::budget::Rule;
use crate::config::{Limits, ProviderLimits};
use crate::denial::Denial;
use crate::pattern::fits;
use crate::reservation::{self, Accounts, Estimate, Reservation, Standing};
use crate::sharing::Sharing;
use crate::wanted::Tokens;

/// The gates of all providers. Counters are kept while the configuration changes.
#[derive(Debug, Default)]
pub struct Gates {
    known: HashMap<String, Vec<Limited>>,
    /// Budgets of which is not known yet what was spent.
    fresh: Vec<Fresh>,
}

/// A provider with budgets of which is not known yet what was spent.
#[derive(Debug)]
struct Fresh {
    provider: String,
    account: Arc<Account>,
    limits: Limits,
    rules: Vec<Rule>,
}

/// The gate of one provider.
#[derive(Debug, Clone, Default)]
pub struct Gate {
    /// In one order for all requests.
    limited: Arc<[Limited]>,
}

/// Models of a provider that are limited together.
#[derive(Debug, Clone)]
struct Limited {
    /// All of them, where there is none.
    pattern: Option<String>,
    account: Arc<Account>,
}

/// What is sent for one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// Requests.
    pub requests: u32,
    /// How many of them at once.
    pub places: u32,
    /// Tokens that they may take, all together.
    pub tokens: Tokens,
    /// What they may cost, all together.
    pub cost: Money,
}

impl Sent {
    /// One request that may take so many tokens, for nothing.
    #[must_use]
    pub fn one(tokens: Tokens) -> Self {
        Self {
            requests: 1,
            places: 1,
            tokens,
            cost: Money::ZERO,
        }
    }
}

impl Gates {
    /// The gate of a provider, with these limits from now on; counted together with other replicas, where there are some.
    pub fn of(&mut self, provider: &str, config: &ProviderLimits, sharing: Option<&Arc<Sharing>>) -> Gate {
        let known = self.known.entry(provider.to_owned()).or_default();
        let rules = config.rules();
        // Of a configuration that was refused.
        self.fresh.retain(|fresh| fresh.provider != provider);
        let mut limited = Vec::new();
        let all = config.of_all();
        if all != Limits::default() || !rules.is_empty() {
            let account = Self::account(known, (provider, None), sharing);
            let unknown = account.unknown(&rules).into_iter().cloned().collect::<Vec<_>>();
            let (later, at_once) = rules
                .iter()
                .cloned()
                .partition::<Vec<_>, _>(|rule| unknown.contains(rule));
            account.configure(all, &at_once, &[]);
            if !later.is_empty() {
                self.fresh.push(Fresh {
                    provider: provider.to_owned(),
                    account: Arc::clone(&account),
                    limits: all,
                    rules,
                });
            }
            limited.push(Limited {
                pattern: None,
                account,
            });
        }
        for (pattern, limits) in &config.models {
            let account = Self::account(known, (provider, Some(pattern)), sharing);
            account.configure(*limits, &[], &[]);
            limited.push(Limited {
                pattern: Some(pattern.clone()),
                account,
            });
        }
        Gate {
            limited: limited.into(),
        }
    }

    /// Gives budgets that are new what was spent of them, as the ledger tells it. Blocks on the database.
    ///
    /// # Errors
    /// When it refuses.
    pub fn read(&mut self, store: &Store, sharing: Option<&Arc<Sharing>>) -> Result<(), StoreError> {
        let own = sharing.map(|sharing| sharing.replica());
        for fresh in std::mem::take(&mut self.fresh) {
            let mut known = Vec::new();
            for rule in fresh.account.unknown(&fresh.rules) {
                let mut all = [0_i64; 2];
                for (replica, money) in store.spent_at(&fresh.provider, rule.bounds(unix_ms()).0)? {
                    let place = usize::from(own.is_some_and(|own| own != replica));
                    all[place] = all[place].saturating_add(money.nanodollars());
                }
                known.push((rule, all));
            }
            fresh.account.configure(fresh.limits, &fresh.rules, &known);
        }
        Ok(())
    }

    /// The counters of a provider, or of some of its models: those that there are, or new ones.
    fn account(
        known: &mut Vec<Limited>,
        (provider, pattern): (&str, Option<&String>),
        sharing: Option<&Arc<Sharing>>,
    ) -> Arc<Account> {
        if let Some(limited) = known.iter().find(|limited| limited.pattern.as_ref() == pattern) {
            return Arc::clone(&limited.account);
        }
        let (id, name) = match pattern {
            None => (
                provider.to_owned(),
                format!("whoever asks the provider {provider:?}"),
            ),
            // No name of a provider can be taken for one of its models.
            Some(pattern) => (
                format!("{provider}//{pattern}"),
                format!("whoever asks the provider {provider:?} for {pattern:?}"),
            ),
        };
        let place = sharing.map(|sharing| Place::of_provider(sharing, &id));
        let account = Arc::new(Account::new(&name, Limits::default(), place));
        known.push(Limited {
            pattern: pattern.cloned(),
            account: Arc::clone(&account),
        });
        account
    }
}

impl Gate {
    /// Whether nothing that is sent to the provider is limited.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.limited.is_empty()
    }

    /// Sets aside what is sent to the provider for one of its models, by its own name; nothing where nothing of it is
    /// limited. Asks other replicas only where there is no room here.
    ///
    /// # Errors
    /// When a limit has no room for it.
    pub async fn enter(&self, model: &str, sent: Sent) -> Result<Option<Reservation>, Denial> {
        let Some(accounts) = self.accounts(model) else {
            return Ok(None);
        };
        let estimate = Estimate {
            tokens: sent.tokens,
            cost: sent.cost,
        };
        let standing = Standing::Sent {
            requests: sent.requests,
            places: sent.places,
        };
        reservation::reserve_shared(&accounts, estimate, standing, Instant::now())
            .await
            .map(Some)
    }

    /// A reservation of nothing, for what the provider does by itself: it is counted, and never refused.
    #[must_use]
    pub fn owe(&self, model: &str) -> Option<Reservation> {
        let accounts = self.accounts(model)?;
        Some(reservation::owe(&accounts, Instant::now()))
    }

    /// Where what is sent for a model is counted.
    fn accounts(&self, model: &str) -> Option<Accounts> {
        let of_model = self.limited.iter().filter(|limited| {
            limited
                .pattern
                .as_ref()
                .is_none_or(|pattern| fits(pattern, model))
        });
        let all: Arc<[_]> = of_model.map(|limited| Arc::clone(&limited.account)).collect();
        (!all.is_empty()).then(|| Accounts::new(all))
    }
}
