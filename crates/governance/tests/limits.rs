//! Limits under concurrency: never exceeded, always usable.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use pointsman_catalog::Money;
use pointsman_governance::{
    Actual, DenialKind, Estimate, IdentifyError, KeyRing, Limits, ModelLimits, Principal, RateValue, Tokens,
};
use pointsman_store::{Budget, BudgetWindow, Counted, NewKey, Quota, Store};
use secrecy::ExposeSecret;

fn principal(grant: NewKey) -> (Arc<Store>, KeyRing, Arc<Principal>, String) {
    let store = Arc::new(Store::open("sqlite::memory:").unwrap());
    let (_, secret) = store.create_key(grant).unwrap();
    let ring = KeyRing::load(Arc::clone(&store), Limits::default()).unwrap();
    let secret = secret.expose_secret().to_owned();
    let principal = ring.identify(&secret).unwrap();
    (store, ring, principal, secret)
}

fn estimate(tokens: u64) -> Estimate {
    Estimate {
        tokens: Tokens::prompt(tokens),
        cost: Money::from_nanodollars(tokens as i64),
    }
}

#[test]
fn two_hundred_and_fifty_six_threads_never_pass_the_limit_and_can_use_all_of_it() {
    let grant = NewKey {
        tokens_per_minute: Some(100_000),
        budgets: vec![Budget::of(Money::from_nanodollars(60_000), BudgetWindow::Total)],
        ..NewKey::default()
    };
    let (_store, _ring, principal, _) = principal(grant);
    let (used, most) = (AtomicU64::new(0), AtomicU64::new(0));
    let reserved = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for thread in 0..256_u64 {
            let (principal, used, most, reserved) = (&principal, &used, &most, &reserved);
            scope.spawn(move || {
                for round in 0..40_u64 {
                    let Ok(reservation) = principal.admit(estimate(500), Instant::now()) else {
                        continue;
                    };
                    let now = reserved.fetch_add(500, Ordering::SeqCst) + 500 + used.load(Ordering::SeqCst);
                    most.fetch_max(now, Ordering::SeqCst);
                    std::thread::yield_now();
                    match (thread + round) % 3 {
                        // Failed and cancelled requests give everything back.
                        0 => {
                            reserved.fetch_sub(500, Ordering::SeqCst);
                            drop(reservation);
                        }
                        _ => {
                            used.fetch_add(100, Ordering::SeqCst);
                            reserved.fetch_sub(500, Ordering::SeqCst);
                            reservation.settle(Actual {
                                tokens: Tokens::prompt(100),
                                cost: Money::from_nanodollars(100),
                            });
                        }
                    }
                }
            });
        }
    });
    assert!(used.load(Ordering::SeqCst) <= 60_000, "the budget was passed");
    // What is left is usable to the last nano-dollar.
    let left = 60_000 - used.load(Ordering::SeqCst);
    assert!(principal.admit(estimate(left + 1), Instant::now()).is_err());
    let reservation = principal.admit(estimate(left), Instant::now()).unwrap();
    reservation.settle(Actual {
        tokens: Tokens::prompt(left),
        cost: Money::from_nanodollars(left as i64),
    });
    assert_eq!(
        principal.admit(estimate(1), Instant::now()).unwrap_err().kind,
        DenialKind::Budget
    );
}

#[test]
fn each_limit_denies_by_its_name() {
    let (_store, _ring, principal, _) = principal(NewKey {
        requests_per_minute: Some(2),
        tokens_per_minute: Some(100),
        concurrency: Some(1),
        ..NewKey::default()
    });
    let now = Instant::now();
    let deny = |tokens, now| principal.admit(estimate(tokens), now).unwrap_err();
    assert_eq!(deny(101, now).kind, DenialKind::TooLarge);
    assert_eq!(deny(101, now).retry_after, None);
    let first = principal.admit(estimate(60), now).unwrap();
    assert_eq!(deny(1, now).kind, DenialKind::Concurrency);
    first.settle(Actual {
        tokens: Tokens::prompt(60),
        cost: Money::ZERO,
    });
    let denied = deny(50, now);
    assert_eq!(denied.kind, DenialKind::TokensPerMinute);
    assert!(denied.retry_after.unwrap() <= Duration::from_secs(61));
    drop(principal.admit(estimate(40), now).unwrap());
    assert_eq!(deny(1, now).kind, DenialKind::RequestsPerMinute);
    let status: Vec<_> = principal.rate_status(now).headers().collect();
    assert!(
        status.contains(&("x-ratelimit-remaining-tokens", RateValue::Count(40))),
        "{status:?}"
    );
    assert!(
        principal
            .admit(estimate(100), now + Duration::from_secs(62))
            .is_ok()
    );
}

#[test]
fn counters_survive_a_change_of_the_key_and_the_key_its_changes() {
    let (store, ring, principal, secret) = principal(NewKey {
        tokens_per_minute: Some(100),
        ..NewKey::default()
    });
    principal
        .admit(estimate(80), Instant::now())
        .unwrap()
        .settle(Actual {
            tokens: Tokens::prompt(80),
            cost: Money::ZERO,
        });
    let id = principal.key.clone().unwrap();
    let rotated = store.rotate_key(&id).unwrap();
    ring.refresh().unwrap();
    assert_eq!(ring.identify(&secret).unwrap_err(), IdentifyError::Unknown);
    let again = ring.identify(rotated.expose_secret()).unwrap();
    assert_eq!(
        again.admit(estimate(30), Instant::now()).unwrap_err().kind,
        DenialKind::TokensPerMinute
    );
    store.revoke_key(&id).unwrap();
    ring.refresh().unwrap();
    assert_eq!(
        ring.identify(rotated.expose_secret()).unwrap_err(),
        IdentifyError::Revoked
    );
}

#[test]
fn an_expired_key_is_refused() {
    let store = Arc::new(Store::open("sqlite::memory:").unwrap());
    let (_, secret) = store
        .create_key(NewKey {
            expires_at: Some(1),
            ..NewKey::default()
        })
        .unwrap();
    let ring = KeyRing::load(store, Limits::default()).unwrap();
    assert_eq!(
        ring.identify(secret.expose_secret()).unwrap_err(),
        IdentifyError::Expired
    );
}

#[test]
fn an_overrun_is_charged_in_full() {
    let (_store, _ring, principal, _) = principal(NewKey {
        budgets: vec![Budget::of(Money::from_nanodollars(100), BudgetWindow::Day)],
        ..NewKey::default()
    });
    let reservation = principal.admit(estimate(10), Instant::now()).unwrap();
    reservation.settle(Actual {
        tokens: Tokens::prompt(500),
        cost: Money::from_nanodollars(500),
    });
    let denied = principal.admit(estimate(0), Instant::now()).unwrap_err();
    assert_eq!(denied.kind, DenialKind::Budget);
    assert!(denied.retry_after.is_some(), "a daily budget begins anew");
}

#[test]
fn what_is_set_aside_takes_money_and_no_place_until_it_is_settled_or_dropped() {
    let money = Money::from_nanodollars;
    let grant = NewKey {
        concurrency: Some(1),
        tokens_per_minute: Some(1_000),
        budgets: vec![Budget::of(money(1_000), BudgetWindow::Total)],
        ..NewKey::default()
    };
    let (store, ring, principal, _) = principal(grant);
    let mut aside = principal.set_aside(Money::ZERO);
    for _ in 0..2 {
        // One at once, and yet two are under way elsewhere.
        aside.add(principal.admit(estimate(400), Instant::now()).unwrap());
    }
    assert_eq!(aside.cost(), money(800));
    let spend = |cost| {
        let estimate = Estimate {
            tokens: Tokens::prompt(0),
            cost: money(cost),
        };
        principal.admit(estimate, Instant::now()).map(drop)
    };
    assert_eq!(spend(201).unwrap_err().kind, DenialKind::Budget);
    spend(200).unwrap();
    // Their tokens stay counted in their minute.
    let more = principal.admit(estimate(201), Instant::now()).unwrap_err();
    assert_eq!(more.kind, DenialKind::TokensPerMinute);
    aside.part(money(400)).settle(Actual {
        tokens: Tokens::prompt(90),
        cost: money(100),
    });
    assert_eq!((aside.cost(), spend(501).is_err()), (money(400), true));
    spend(500).unwrap();
    drop(aside);
    spend(900).unwrap();
    assert!(spend(901).is_err());
    // What is under way elsewhere already is set aside whether or not there is room.
    let again = principal.set_aside(money(2_000));
    assert!(spend(1).is_err());
    drop(again);
    spend(900).unwrap();
    let id = principal.key.clone().unwrap();
    store.revoke_key(&id).unwrap();
    ring.refresh().unwrap();
    assert!(ring.claimed(id.as_str()).is_err());
    assert_eq!(ring.whoever(&id).unwrap().key, Some(id));
}

fn nano(dollars: i64) -> Money {
    Money::from_nanodollars(dollars)
}

#[test]
fn a_part_takes_no_place_and_all_else() {
    let grant = NewKey {
        concurrency: Some(1),
        requests_per_minute: Some(3),
        budgets: vec![Budget::of(nano(100), BudgetWindow::Total)],
        ..NewKey::default()
    };
    let (_, _, principal, _) = principal(grant);
    let now = Instant::now();
    let whole = principal.admit(estimate(0), now).unwrap();
    let denied = principal.admit(estimate(0), now).unwrap_err();
    assert_eq!(denied.kind, DenialKind::Concurrency);
    let part = principal.admit_part(estimate(60), now).unwrap();
    let denied = principal.admit_part(estimate(60), now).unwrap_err();
    assert_eq!(denied.kind, DenialKind::Budget);
    // What a part gives back is no place.
    part.settle(Actual {
        tokens: Tokens::prompt(10),
        cost: nano(10),
    });
    let denied = principal.admit(estimate(0), now).unwrap_err();
    assert_eq!(denied.kind, DenialKind::Concurrency);
    let part = principal.admit_part(estimate(90), now).unwrap();
    let denied = principal.admit_part(estimate(0), now).unwrap_err();
    assert_eq!(denied.kind, DenialKind::RequestsPerMinute);
    drop((whole, part));
}

#[test]
fn a_reservation_is_changed_all_or_nothing() {
    let grant = NewKey {
        tokens_per_minute: Some(100),
        budgets: vec![Budget::of(nano(1_000), BudgetWindow::Total)],
        ..NewKey::default()
    };
    let (_, _, principal, _) = principal(grant);
    let now = Instant::now();
    let mut held = principal.admit_part(estimate(40), now).unwrap();
    held.change(estimate(90), now).unwrap();
    assert_eq!(held.estimate(), estimate(90));
    assert!(principal.admit_part(estimate(20), now).is_err());
    let denied = held.change(estimate(101), now).unwrap_err();
    assert_eq!(denied.kind, DenialKind::TokensPerMinute);
    assert_eq!(held.estimate(), estimate(90), "nothing has changed");
    // Smaller again: what it gives back can be used.
    held.change(estimate(10), now).unwrap();
    let other = principal.admit_part(estimate(90), now).unwrap();
    assert!(principal.admit_part(estimate(1), now).is_err());
    drop((held, other));
    principal.admit_part(estimate(100), now).unwrap();
}

#[test]
fn what_is_owed_is_charged_past_every_limit() {
    let grant = NewKey {
        tokens_per_minute: Some(10),
        requests_per_minute: Some(1),
        budgets: vec![Budget::of(nano(10), BudgetWindow::Total)],
        ..NewKey::default()
    };
    let (_, _, principal, _) = principal(grant);
    let now = Instant::now();
    let spent = Actual {
        tokens: Tokens::prompt(50),
        cost: nano(50),
    };
    principal.owe(now).settle(spent);
    let denied = principal.admit(estimate(0), now).unwrap_err();
    assert!(
        matches!(denied.kind, DenialKind::TokensPerMinute | DenialKind::Budget),
        "{denied:?}"
    );
}

#[test]
fn threads_that_change_their_reservations_never_pass_the_budget() {
    let amount = 10_000;
    let grant = NewKey {
        budgets: vec![Budget::of(nano(amount), BudgetWindow::Total)],
        ..NewKey::default()
    };
    let (_, _, principal, _) = principal(grant);
    let spent = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for thread in 0..32_u64 {
            let (principal, spent) = (&principal, &spent);
            scope.spawn(move || {
                for turn in 0..200_u64 {
                    let size = (thread * 7 + turn * 13) % 97;
                    let now = Instant::now();
                    let Ok(mut held) = principal.admit_part(estimate(size), now) else {
                        continue;
                    };
                    let used = if held.change(estimate(size * 2), now).is_ok() {
                        size * 2
                    } else {
                        size
                    };
                    held.settle(Actual {
                        tokens: Tokens::prompt(used),
                        cost: nano(used as i64),
                    });
                    spent.fetch_add(used, Ordering::SeqCst);
                }
            });
        }
    });
    let spent = spent.into_inner();
    assert!(spent <= amount as u64, "{spent}");
    assert!(spent > amount as u64 - 200, "only {spent} could be used");
}

fn quota(of: Counted, amount: u64, seconds: u64, models: &[&str]) -> Quota {
    Quota {
        of,
        amount,
        window: BudgetWindow::Seconds(seconds),
        zone: None,
        models: models.iter().map(|model| (*model).to_owned()).collect(),
        providers: Vec::new(),
        cel: None,
        unit: None,
    }
}

fn tokens(input: u64, output: u64) -> Estimate {
    Estimate {
        tokens: Tokens { input, output },
        cost: nano((input + output) as i64),
    }
}

#[test]
fn tokens_of_prompts_and_of_answers_are_limited_apart() {
    let (.., principal, _) = principal(NewKey {
        input_tokens_per_minute: Some(100),
        output_tokens_per_minute: Some(50),
        tokens_per_minute: Some(148),
        ..NewKey::default()
    });
    let now = Instant::now();
    let denied = principal.admit(tokens(0, 51), now).unwrap_err();
    assert_eq!(denied.kind, DenialKind::TooLarge);
    assert!(
        denied.message.contains("51 output tokens, more than"),
        "{}",
        denied.message
    );
    let held = principal.admit(tokens(80, 40), now).unwrap();
    for (asked, what) in [
        (tokens(21, 0), "21 input tokens"),
        (tokens(0, 11), "11 output tokens"),
        (tokens(20, 9), "29 tokens"),
    ] {
        let denied = principal.admit(asked, now).unwrap_err();
        assert!(denied.message.contains(what), "{}", denied.message);
    }
    // What was not used of either side comes back to that side.
    held.settle(Actual {
        tokens: Tokens { input: 80, output: 5 },
        cost: nano(85),
    });
    assert!(principal.admit(tokens(21, 0), now).is_err());
    drop(principal.admit(tokens(20, 35), now).unwrap());
    assert!(principal.admit(tokens(0, 46), now).is_err());
}

#[test]
fn quotas_count_requests_and_tokens_in_windows_of_any_length() {
    let (store, _ring, principal, secret) = principal(NewKey {
        quotas: vec![
            quota(Counted::Requests, 3, 3_600_000, &[]),
            quota(Counted::OutputTokens, 100, 86_400_000, &[]),
        ],
        ..NewKey::default()
    });
    let now = Instant::now();
    let first = principal.admit(tokens(1_000, 60), now).unwrap();
    let denied = principal.admit(tokens(0, 41), now).unwrap_err();
    assert_eq!(denied.kind, DenialKind::Quota);
    assert!(
        denied.message.contains("100 output tokens in 86400000 seconds")
            && denied.message.contains("60 reserved"),
        "{}",
        denied.message
    );
    assert_eq!(
        denied.retry_after,
        Some(Duration::from_secs(1)),
        "what is reserved may come back"
    );
    first.settle(Actual {
        tokens: Tokens {
            input: 1_000,
            output: 10,
        },
        cost: nano(0),
    });
    // A request that comes to nothing was one all the same; a part of one is another.
    drop(principal.admit(tokens(0, 90), now).unwrap());
    principal
        .admit_part(tokens(0, 90), now)
        .unwrap()
        .settle(Actual::default());
    let denied = principal.admit(tokens(0, 0), now).unwrap_err();
    assert!(denied.message.contains("3 requests"), "{}", denied.message);
    assert!(denied.retry_after.unwrap() > Duration::from_secs(1));
    // The ledger knows what was used: of this key nothing, because nothing was written there.
    let again = KeyRing::load(store, Limits::default()).unwrap();
    drop(
        again
            .identify(&secret)
            .unwrap()
            .admit(tokens(0, 100), now)
            .unwrap(),
    );
}

#[test]
fn budgets_and_quotas_of_some_models_leave_others_alone() {
    let (_store, _ring, principal, _) = principal(NewKey {
        budgets: vec![
            Budget {
                models: vec!["gpt-*".to_owned(), "o1".to_owned()],
                ..Budget::of(nano(100), BudgetWindow::Total)
            },
            Budget::of(nano(1_000), BudgetWindow::Total),
        ],
        quotas: vec![quota(Counted::Requests, 1, 3_600_000, &["slow"])],
        ..NewKey::default()
    });
    let now = Instant::now();
    let asking = |model: &str| principal.asking(model, &ModelLimits::default()).unwrap();
    let spent = |cost: u64| Actual {
        tokens: Tokens::prompt(cost),
        cost: nano(cost as i64),
    };
    asking("gpt-5")
        .admit(tokens(60, 0), now)
        .unwrap()
        .settle(spent(50));
    let denied = asking("o1").admit(tokens(51, 0), now).unwrap_err();
    assert!(
        denied.message.contains("this key for the models gpt-*, o1"),
        "{}",
        denied.message
    );
    asking("claude")
        .admit(tokens(800, 0), now)
        .unwrap()
        .settle(spent(800));
    drop(asking("o1").admit(tokens(50, 0), now).unwrap());
    assert!(
        asking("claude").admit(tokens(151, 0), now).is_err(),
        "all models together"
    );
    asking("slow").admit(tokens(1, 0), now).unwrap().settle(spent(1));
    assert_eq!(
        asking("slow").admit(tokens(1, 0), now).unwrap_err().kind,
        DenialKind::Quota
    );
    // What is set aside before the model is known is charged at the model's budget when it is.
    let mut aside = principal.set_aside(nano(40));
    aside.part(nano(40)).charging("gpt-6").settle(spent(40));
    assert!(asking("gpt-5").admit(tokens(11, 0), now).is_err());
    drop(asking("gpt-5").admit(tokens(10, 0), now).unwrap());
    assert!(
        asking("gpt-5").asking("gpt-5", &ModelLimits::default()).is_none(),
        "nothing is made anew"
    );
}

#[tokio::test]
async fn another_attempt_takes_its_place_and_its_tokens_and_is_no_other_request() {
    let (.., principal, _) = principal(NewKey {
        requests_per_minute: Some(2),
        concurrency: Some(1),
        tokens_per_minute: Some(100),
        quotas: vec![quota(Counted::Requests, 2, 3_600_000, &[])],
        ..NewKey::default()
    });
    let now = Instant::now();
    let used = |count| Actual {
        tokens: Tokens::prompt(count),
        cost: Money::ZERO,
    };
    principal.admit(estimate(10), now).unwrap().settle(used(10));
    for _ in 0..3 {
        let again = principal.admit_again(estimate(20), now).await.unwrap();
        assert_eq!(
            principal.admit(estimate(0), now).unwrap_err().kind,
            DenialKind::Concurrency
        );
        again.settle(used(20));
    }
    let denied = principal.admit_again(estimate(31), now).await.unwrap_err();
    assert_eq!(denied.kind, DenialKind::TokensPerMinute);
    principal.admit(estimate(0), now).unwrap().settle(used(0));
    assert!(
        principal.admit(estimate(0), now).is_err(),
        "the second was the last"
    );
    drop(principal.admit_again(estimate(1), now).await.unwrap());
}
