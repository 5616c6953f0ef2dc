//! Windows that slide, in one process: refused with when there is room again, told in headers, found again in the ledger.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use pointsman_catalog::Money;
use pointsman_governance::{
    Actual, DenialKind, Estimate, KeyRing, Limits, ModelLimits, Principal, RateValue, Tokens,
};
use pointsman_store::{Budget, BudgetWindow, Counted, LedgerEntry, NewKey, Outcome, Quota, Store};
use pointsman_wire::form::Usage;
use secrecy::ExposeSecret;

const HOUR: u64 = 3_600;

fn principal(store: &Arc<Store>, secret: &str) -> (KeyRing, Arc<Principal>) {
    let ring = KeyRing::load(Arc::clone(store), Limits::default()).unwrap();
    let principal = ring.identify(secret).unwrap();
    (ring, principal)
}

fn made(grant: NewKey) -> (Arc<Store>, String, String) {
    let store = Arc::new(Store::open("sqlite::memory:").unwrap());
    let (key, secret) = store.create_key(grant).unwrap();
    (
        store,
        key.id.as_str().to_owned(),
        secret.expose_secret().to_owned(),
    )
}

fn tokens(input: u64, output: u64) -> Tokens {
    Tokens { input, output }
}

fn estimate(tokens: Tokens) -> Estimate {
    Estimate {
        tokens,
        cost: Money::from_nanodollars(tokens.total().cast_signed()),
    }
}

fn actual(tokens: Tokens) -> Actual {
    Actual {
        tokens,
        cost: Money::from_nanodollars(tokens.total().cast_signed()),
    }
}

/// What a request of a key used, so many milliseconds ago.
fn entry(key: &str, number: u32, ago: u64, (model, used): (&str, Tokens)) -> LedgerEntry {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let at = now - Duration::from_millis(ago);
    LedgerEntry {
        id: format!("req_{number}").into(),
        at: i64::try_from(at.as_millis()).unwrap(),
        key: Some(key.to_owned().into()),
        team: None,
        user: None,
        surface: "/v1/chat/completions".to_owned(),
        model_requested: model.to_owned(),
        provider: None,
        model: None,
        decision: None,
        outcome: Outcome::Complete,
        usage: Usage {
            input: used.input,
            output: used.output,
            ..Usage::default()
        },
        usage_estimated: false,
        cost: Money::from_nanodollars(used.total().cast_signed()),
        attempts: 1,
        streamed: false,
        status: 200,
        latency_us: 1,
        ttft_us: None,
        cache: "bypass".to_owned(),
        organization: None,
        project: None,
        saved: Money::ZERO,
        customer: None,
        agent: None,
        tags: Vec::new(),
    }
}

#[test]
fn what_was_used_is_free_again_when_it_leaves_the_window() {
    let (store, _, secret) = made(NewKey {
        quotas: vec![Quota::of(Counted::Tokens, 100, BudgetWindow::Sliding(1))],
        budgets: vec![Budget::of(
            Money::from_nanodollars(1_000),
            BudgetWindow::Sliding(HOUR),
        )],
        ..NewKey::default()
    });
    let (_ring, principal) = principal(&store, &secret);
    let held = principal.admit(estimate(tokens(60, 20)), Instant::now()).unwrap();
    let denied = principal
        .admit(estimate(tokens(30, 0)), Instant::now())
        .unwrap_err();
    assert_eq!(denied.kind, DenialKind::Quota);
    assert_eq!(
        denied.retry_after,
        Some(Duration::from_secs(1)),
        "80 are only reserved"
    );
    let settled = Instant::now();
    held.settle(actual(tokens(60, 20)));
    let denied = principal
        .admit(estimate(tokens(30, 0)), Instant::now())
        .unwrap_err();
    assert!(
        denied
            .message
            .contains("100 tokens in any 1s, of which 80 are used and 0 reserved: 20 are left"),
        "{}",
        denied.message
    );
    assert!(
        denied.message.contains("enough is free again at"),
        "{}",
        denied.message
    );
    let wait = denied.retry_after.unwrap();
    assert!(
        wait > Duration::from_millis(500) && wait <= Duration::from_millis(1_010),
        "{wait:?}"
    );
    while principal.admit(estimate(tokens(30, 0)), Instant::now()).is_err() {
        assert!(settled.elapsed() < Duration::from_secs(5), "it never comes free");
        std::thread::sleep(Duration::from_millis(2));
    }
    assert!(
        settled.elapsed() >= Duration::from_secs(1),
        "{:?}",
        settled.elapsed()
    );
    // What never fits is told so.
    let denied = principal
        .admit(estimate(tokens(101, 0)), Instant::now())
        .unwrap_err();
    assert_eq!(denied.retry_after, None);
}

#[test]
fn headers_tell_what_is_left_of_a_window_that_slides_and_when_there_is_more() {
    let (store, _, secret) = made(NewKey {
        quotas: vec![
            Quota::of(Counted::Requests, 2, BudgetWindow::Sliding(5 * HOUR)),
            Quota::of(Counted::Tokens, 100, BudgetWindow::Sliding(5 * HOUR)),
        ],
        requests_per_minute: Some(100),
        ..NewKey::default()
    });
    let (_ring, principal) = principal(&store, &secret);
    let headers = || {
        principal
            .rate_status(Instant::now())
            .headers()
            .collect::<Vec<_>>()
    };
    let says = |name: &'static str, value: u64| {
        let count = headers().contains(&(name, RateValue::Count(value)));
        assert!(count, "{name}: {:?}", headers());
    };
    let held = principal.admit(estimate(tokens(30, 10)), Instant::now()).unwrap();
    says("x-ratelimit-limit-requests", 2);
    says("x-ratelimit-remaining-requests", 1);
    says("x-ratelimit-limit-tokens", 100);
    says("x-ratelimit-remaining-tokens", 60);
    assert!(headers().contains(&("x-ratelimit-reset-requests", RateValue::Seconds(0))));
    held.settle(actual(tokens(30, 0)));
    says("x-ratelimit-remaining-tokens", 70);
    principal
        .admit(estimate(tokens(1, 0)), Instant::now())
        .unwrap()
        .settle(actual(tokens(1, 0)));
    says("x-ratelimit-remaining-requests", 0);
    let reset = headers().into_iter().find_map(|(name, value)| match value {
        RateValue::Seconds(seconds) if name == "x-ratelimit-reset-requests" => Some(seconds),
        _ => None,
    });
    // Five hours, and three minutes at most.
    assert!((17_990..=18_180).contains(&reset.unwrap()), "{reset:?}");
}

#[test]
fn a_window_that_slides_is_read_from_the_ledger_again() {
    let custom = Quota {
        cel: Some("input_tokens + output_tokens * 10".to_owned()),
        unit: Some("credits".to_owned()),
        ..Quota::of(Counted::Custom, 10_000, BudgetWindow::Sliding(HOUR))
    };
    let (store, key, secret) = made(NewKey {
        quotas: vec![
            Quota::of(Counted::Requests, 100, BudgetWindow::Sliding(HOUR)),
            Quota {
                models: vec!["gpt-*".to_owned()],
                ..Quota::of(Counted::OutputTokens, 100, BudgetWindow::Sliding(HOUR))
            },
            custom,
        ],
        budgets: vec![Budget::of(
            Money::from_nanodollars(1_000),
            BudgetWindow::Sliding(2 * HOUR),
        )],
        ..NewKey::default()
    });
    let minutes = |minutes: u64| minutes * 60_000;
    let rows = [
        entry(&key, 1, minutes(125), ("gpt-5", tokens(1_000, 0))),
        entry(&key, 2, minutes(90), ("gpt-5", tokens(200, 50))),
        entry(&key, 3, minutes(59), ("gpt-5", tokens(100, 30))),
        entry(&key, 4, minutes(5), ("o1", tokens(50, 20))),
        entry(&key, 5, 0, ("gpt-5", tokens(7, 3))),
    ];
    store.insert_ledger(&rows).unwrap();
    let (ring, principal) = principal(&store, &secret);
    let stood = ring.stood(None, &key);
    let used: Vec<_> = stood.iter().map(|stood| stood.used).collect();
    assert_eq!(used, [3, 33, 157 + 530]);
    assert!(stood.iter().all(|stood| stood.ends.is_none()));
    // The first of it goes in a minute, and 36 seconds at most.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
    let frees = stood[0].frees.unwrap() - now;
    assert!((50_000..=96_000).contains(&frees), "{frees}");
    let budget = &ring.standings(None, &key)[0];
    assert_eq!(budget.spent.nanodollars(), 460);
    assert_eq!(
        principal
            .admit(estimate(tokens(541, 0)), Instant::now())
            .unwrap_err()
            .kind,
        DenialKind::Budget
    );
    let gpt = principal.asking("gpt-5-mini", &ModelLimits::default()).unwrap();
    assert!(gpt.admit(estimate(tokens(0, 68)), Instant::now()).is_err());
    drop(gpt.admit(estimate(tokens(0, 67)), Instant::now()).unwrap());
}
