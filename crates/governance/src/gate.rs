//! The gates of providers: what all callers together may send to one, whoever asks and whatever name led there.
//!
//! A provider is known only once a target is picked, so that what is sent is set aside try by try, apart from what its
//! request has set aside at its holders, and never while theirs are held: neither waits for the other. What these holders
//! may use at the provider alone is set aside together with it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use pointsman_catalog::Money;
use pointsman_store::{Store, StoreError};

use crate::account::{Account, Apart as Own, Place, unix_ms};
use crate::budget::Rule;
use crate::config::{Limits, ProviderLimits};
use crate::denial::Denial;
use crate::ledger::{Apart, Question, before};
use crate::pattern::fits;
use crate::principal::Principal;
use crate::reservation::{self, Accounts, Estimate, Reservation, Standing};
use crate::sharing::Sharing;
use crate::wanted::Tokens;

/// The gates of all providers. Counters are kept while the configuration changes.
#[derive(Debug, Default)]
pub struct Gates {
    known: HashMap<String, Vec<Limited>>,
    /// What the configuration that is compiled says, until it is taken over.
    queued: Vec<Queued>,
}

/// What is to hold for an account of a provider.
#[derive(Debug)]
struct Queued {
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
    /// Begins another configuration: what one before it said that was refused is forgotten.
    pub fn begin(&mut self) {
        // What it says nothing of is not limited, and what is spent of it meanwhile only the ledger knows.
        let free = self.known.iter().flat_map(|(provider, known)| {
            known.iter().map(|limited| Queued {
                provider: provider.clone(),
                account: Arc::clone(&limited.account),
                limits: Limits::default(),
                rules: Vec::new(),
            })
        });
        self.queued = free.collect();
    }

    /// The gate of a provider, with these limits once they are [read](Self::read); counted together with other replicas,
    /// where there are some. Until then those hold that are in force: the configuration may yet be refused.
    pub fn of(&mut self, provider: &str, config: &ProviderLimits, sharing: Option<&Arc<Sharing>>) -> Gate {
        let rules = config.rules();
        let mut limited = Vec::new();
        let all = config.of_all();
        if all != Limits::default() || !rules.is_empty() {
            limited.push(self.queue((provider, None), (all, rules), sharing));
        }
        for (pattern, limits) in &config.models {
            limited.push(self.queue((provider, Some(pattern)), (*limits, Vec::new()), sharing));
        }
        Gate {
            limited: limited.into(),
        }
    }

    fn queue(
        &mut self,
        (provider, pattern): (&str, Option<&String>),
        (limits, rules): (Limits, Vec<Rule>),
        sharing: Option<&Arc<Sharing>>,
    ) -> Limited {
        let known = self.known.entry(provider.to_owned()).or_default();
        let account = Self::account(known, (provider, pattern), sharing);
        self.queued
            .retain(|queued| !Arc::ptr_eq(&queued.account, &account));
        self.queued.push(Queued {
            provider: provider.to_owned(),
            account: Arc::clone(&account),
            limits,
            rules,
        });
        Limited {
            pattern: pattern.cloned(),
            account,
        }
    }

    /// Takes over what the configuration says that was compiled last; budgets that are new are given what was spent of
    /// them, as the ledger tells it. Blocks on the database.
    ///
    /// # Errors
    /// When it refuses: then nothing has changed.
    pub fn read(&mut self, store: &Store, sharing: Option<&Arc<Sharing>>) -> Result<(), StoreError> {
        let own = sharing.map(|sharing| sharing.replica());
        let mut spent = Vec::with_capacity(self.queued.len());
        for queued in &self.queued {
            let mut known = Vec::new();
            for rule in queued.account.unknown(&queued.rules) {
                let question = Question {
                    kind: None,
                    is_provider: true,
                    id: queued.provider.clone(),
                    rule: rule.clone(),
                    since: rule.since(unix_ms()),
                    apart: Apart::of(rule),
                };
                known.push((rule, before(store, &question, own)?));
            }
            spent.push(known);
        }
        for (queued, known) in self.queued.iter().zip(&spent) {
            queued.account.configure(queued.limits, &queued.rules, known);
        }
        self.queued.clear();
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
        let account = Arc::new(Account::of_provider(&name, place));
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

    /// The gate as a caller finds it before the provider of this name: with what its holders may use there.
    #[must_use]
    pub fn before<'a>(&'a self, caller: &'a Principal, provider: &str) -> Entrance<'a> {
        let own = caller.accounts();
        let at = own.own().iter().flat_map(|account| account.at(provider));
        Entrance {
            gate: self,
            own: at.collect(),
            asked: own.model(),
        }
    }

    /// As [`Entrance::enter`], for nobody in particular.
    ///
    /// # Errors
    /// When a limit of the provider has no room for it.
    pub async fn enter(&self, model: &str, sent: Sent) -> Result<Option<Reservation>, Denial> {
        self.alone().enter(model, sent).await
    }

    /// As [`Entrance::owe`], for nobody in particular.
    #[must_use]
    pub fn owe(&self, model: &str) -> Option<Reservation> {
        self.alone().owe(model)
    }

    fn alone(&self) -> Entrance<'_> {
        Entrance {
            gate: self,
            own: Own::new(),
            asked: None,
        }
    }
}

/// The gate of a provider, as a caller finds it.
#[derive(Debug)]
pub struct Entrance<'a> {
    gate: &'a Gate,
    /// Where its holders count what is asked at the provider.
    own: Own,
    /// The model that it asks for, where that matters to any of them.
    asked: Option<&'a str>,
}

impl Entrance<'_> {
    /// Whether nothing that is sent to the provider is limited.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.gate.is_open() && self.own.is_empty()
    }

    /// Sets aside what is sent to the provider for one of its models, by its own name: at the caller's holders and at the
    /// provider, all of it or nothing; nothing where nothing of it is limited. Asks other replicas only where there is no
    /// room here.
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
        let of_model = self.gate.limited.iter().filter(|limited| {
            limited
                .pattern
                .as_ref()
                .is_none_or(|pattern| fits(pattern, model))
        });
        // The lower before the higher, as everywhere: what all callers share comes last.
        let of_model = of_model.map(|limited| &limited.account);
        let all: Arc<[_]> = self.own.iter().chain(of_model).map(Arc::clone).collect();
        (!all.is_empty()).then(|| Accounts::new(all).for_model(self.asked))
    }
}
