//! Shares that are reserved for a priority: there in any race, and no more than that is kept from anybody.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use pointsman_catalog::Money;
use pointsman_governance::{
    Actual, DenialKind, Estimate, KeyRing, Limits, LimitsConfig, ModelLimits, Principal, Tokens,
};
use pointsman_store::{Actor, HolderKind, HolderSpec, NewKey, Shares, Store, StoreError, Terms};
use secrecy::ExposeSecret;

struct Site {
    store: Arc<Store>,
    ring: KeyRing,
}

impl Site {
    /// An organization, a team and a user of it.
    fn new(team: Terms) -> Self {
        let store = Arc::new(Store::open("sqlite::memory:").unwrap());
        let make = |kind, id: &str, organization: Option<&str>, terms| {
            let spec = HolderSpec {
                organization: organization.map(Into::into),
                terms,
                ..HolderSpec::default()
            };
            store
                .create_holder(&Actor::local(), kind, Some(id.to_owned()), spec)
                .unwrap();
        };
        make(HolderKind::Organization, "o", None, Terms::default());
        make(HolderKind::Team, "t", Some("o"), team);
        make(HolderKind::User, "u", Some("o"), Terms::default());
        make(HolderKind::Plan, "p", None, Terms::default());
        let ring = KeyRing::load(Arc::clone(&store), Limits::default()).unwrap();
        Self { store, ring }
    }

    fn key(&self, priority: Option<&str>) -> String {
        let grant = NewKey {
            team: Some("t".into()),
            user: Some("u".into()),
            plan: Some("p".into()),
            priority: priority.map(str::to_owned),
            ..NewKey::default()
        };
        let (_, secret) = self.store.create_key(grant).unwrap();
        self.ring.refresh().unwrap();
        secret.expose_secret().to_owned()
    }

    fn who(&self, priority: Option<&str>) -> Arc<Principal> {
        self.ring.identify(&self.key(priority)).unwrap()
    }

    fn change(&self, kind: HolderKind, id: &str, change: impl FnOnce(&mut Terms)) {
        let changed = self
            .store
            .update_holder(&Actor::local(), (kind, id), None, |spec| {
                change(&mut spec.terms);
                Ok::<_, StoreError>(())
            });
        changed.unwrap();
        self.ring.refresh().unwrap();
    }
}

fn shares(shares: &[(&str, u8)]) -> Shares {
    let shares = shares
        .iter()
        .map(|(name, percent)| ((*name).to_owned(), *percent));
    shares.collect()
}

fn estimate(tokens: u64) -> Estimate {
    Estimate {
        tokens: Tokens::prompt(tokens),
        cost: Money::ZERO,
    }
}

fn used(tokens: u64) -> Actual {
    Actual {
        tokens: Tokens::prompt(tokens),
        cost: Money::ZERO,
    }
}

/// Sixty-four threads of others take all that they get, and give some of it back; meanwhile those that something is
/// reserved for must find it at any moment.
#[test]
fn a_crowd_of_others_never_takes_what_is_reserved() {
    let site = Site::new(Terms {
        tokens_per_minute: Some(10_000),
        concurrency: Some(20),
        shares: shares(&[("interactive", 40), ("batch", 10)]),
        ..Terms::default()
    });
    let [interactive, batch, other] = [Some("interactive"), Some("batch"), None].map(|name| site.who(name));
    // What all but the first, and what all but the first two have used and reserved.
    let (both, alone) = (AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for thread in 0..64_u64 {
            let (batch, other, both, alone) = (&batch, &other, &both, &alone);
            scope.spawn(move || {
                for round in 0..100_u64 {
                    let is_batch = thread % 4 == 0;
                    let who = if is_batch { batch } else { other };
                    let size = 1 + (thread * 7 + round * 13) % 90;
                    let Ok(held) = who.admit(estimate(size), Instant::now()) else {
                        continue;
                    };
                    assert!(both.fetch_add(size, Ordering::SeqCst) + size <= 6_000);
                    if !is_batch {
                        assert!(alone.fetch_add(size, Ordering::SeqCst) + size <= 5_000);
                    }
                    std::thread::yield_now();
                    let keeps = if (thread + round) % 3 == 0 { 0 } else { size };
                    both.fetch_sub(size - keeps, Ordering::SeqCst);
                    if !is_batch {
                        alone.fetch_sub(size - keeps, Ordering::SeqCst);
                    }
                    held.settle(used(keeps));
                }
            });
        }
        // Ten at once, of which eight places are its own; its tokens are there whenever it comes.
        for _ in 0..40 {
            let held: Vec<_> = (0..8)
                .map(|_| interactive.admit(estimate(10), Instant::now()).unwrap())
                .collect();
            held.into_iter().for_each(|held| held.settle(used(10)));
        }
    });
    let taken = both.into_inner();
    assert!(taken > 5_900, "only {taken} of 6000 could be used");
    // 3200 of 4000 are used of its own share; what is left is there to the last token, and no more.
    let left = 10_000 - 3_200 - taken;
    assert!(interactive.admit(estimate(left + 1), Instant::now()).is_err());
    interactive
        .admit(estimate(left), Instant::now())
        .unwrap()
        .settle(used(left));
    let denied = interactive.admit(estimate(1), Instant::now()).unwrap_err();
    assert_eq!(denied.kind, DenialKind::TokensPerMinute);
}

#[test]
fn what_nobody_reserves_is_anybodys() {
    let site = Site::new(Terms {
        requests_per_minute: Some(10),
        shares: shares(&[("interactive", 40)]),
        ..Terms::default()
    });
    let [interactive, other] = [Some("interactive"), Some("nightly")].map(|name| site.who(name));
    let ask = |who: &Principal| who.admit(estimate(0), Instant::now()).map(drop);
    // It takes of what is everybody's once its own is used up.
    for _ in 0..7 {
        ask(&interactive).unwrap();
    }
    for _ in 0..3 {
        ask(&other).unwrap();
    }
    let denied = ask(&other).unwrap_err();
    assert_eq!(denied.kind, DenialKind::RequestsPerMinute);
    assert!(ask(&interactive).is_err());
    assert!(denied.message.contains("team \"t\""), "{}", denied.message);
    // Where nothing is reserved any more, it is as if nothing ever was.
    site.change(HolderKind::Team, "t", |terms| {
        terms.requests_per_minute = Some(11);
        terms.shares.clear();
    });
    let other = site.who(None);
    ask(&other).unwrap();
    assert!(ask(&other).is_err());
}

#[test]
fn a_key_has_the_priority_of_whoever_is_nearest_to_it() {
    let site = Site::new(Terms::default());
    let secret = site.key(None);
    let priority = || site.ring.identify(&secret).unwrap().priority.clone();
    assert_eq!(priority(), None);
    for (kind, id, name) in [
        (HolderKind::Organization, "o", "slow"),
        (HolderKind::Team, "t", "fair"),
        (HolderKind::User, "u", "fast"),
        (HolderKind::Plan, "p", "first"),
    ] {
        site.change(kind, id, |terms| terms.priority = Some(name.to_owned()));
        assert_eq!(priority().as_deref(), Some(name), "{kind:?}");
    }
    assert_eq!(site.who(Some("own")).priority.as_deref(), Some("own"));
}

#[test]
fn models_are_limited_for_all_together_with_a_share_for_each_priority() {
    let site = Site::new(Terms::default());
    let [interactive, other] = [Some("interactive"), None].map(|name| site.who(name));
    let per_minute = |requests| Limits {
        requests_per_minute: Some(requests),
        ..Limits::default()
    };
    let config = LimitsConfig {
        models: BTreeMap::from([
            ("gpt-*".to_owned(), per_minute(10)),
            ("o1".to_owned(), per_minute(3)),
        ]),
        shares: shares(&[("interactive", 50)]),
        ..LimitsConfig::default()
    };
    let mut limits = ModelLimits::default();
    limits.set(&config, None);
    let ask = |who: &Principal, model: &str, limits: &ModelLimits| {
        let who = who.asking(model, limits).unwrap();
        who.admit(estimate(0), Instant::now()).map(drop)
    };
    for model in ["gpt-5", "gpt-5-mini", "gpt-6", "gpt-5", "gpt-5"] {
        ask(&other, model, &limits).unwrap();
    }
    let denied = ask(&other, "gpt-7", &limits).unwrap_err();
    assert!(
        denied
            .message
            .contains("whoever asks for \"gpt-*\" (beside what is reserved for interactive)"),
        "{}",
        denied.message
    );
    for _ in 0..5 {
        ask(&interactive, "gpt-7", &limits).unwrap();
    }
    assert!(ask(&interactive, "gpt-7", &limits).is_err());
    // Who asked for one model and now asks for another is counted there alone.
    let first = other.asking("gpt-5", &limits).unwrap();
    for _ in 0..2 {
        ask(&first, "o1", &limits).unwrap();
    }
    assert!(ask(&first, "o1", &limits).is_err(), "half of three is one");
    assert!(other.asking("claude", &limits).is_none(), "of no limit");
    assert!(
        first
            .asking("claude", &limits)
            .unwrap()
            .admit(estimate(0), Instant::now())
            .is_ok()
    );
    // A configuration that changes goes on counting.
    let config = LimitsConfig {
        models: BTreeMap::from([("gpt-*".to_owned(), per_minute(12))]),
        ..LimitsConfig::default()
    };
    limits.set(&config, None);
    for _ in 0..2 {
        ask(&other, "gpt-5", &limits).unwrap();
    }
    assert!(ask(&other, "gpt-5", &limits).is_err());
}
