//! The gates of providers: what all callers together may send to one, whoever asks and whatever name led there.
//!
//! A provider is known only once a target is picked, so that what is sent is set aside try by try, apart from what its
//! request has set aside at its holders, and never while theirs are held: neither waits for the other.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use pointsman_catalog::Money;

use crate::account::{Account, Place};
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
}

impl Sent {
    /// One request that may take so many tokens.
    #[must_use]
    pub fn one(tokens: Tokens) -> Self {
        Self {
            requests: 1,
            places: 1,
            tokens,
        }
    }
}

impl Gates {
    /// The gate of a provider, with these limits from now on; counted together with other replicas, where there are some.
    pub fn of(&mut self, provider: &str, config: &ProviderLimits, sharing: Option<&Arc<Sharing>>) -> Gate {
        let known = self.known.entry(provider.to_owned()).or_default();
        let all = (None, config.of_all());
        let some = config
            .models
            .iter()
            .map(|(pattern, limits)| (Some(pattern), *limits));
        let limited = std::iter::once(all)
            .chain(some)
            .filter(|(_, limits)| *limits != Limits::default())
            .map(|(pattern, limits)| {
                let account = Self::account(known, (provider, pattern), sharing);
                account.configure(limits, &[], &[]);
                Limited {
                    pattern: pattern.cloned(),
                    account,
                }
            });
        Gate {
            limited: limited.collect(),
        }
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
            cost: Money::ZERO,
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
