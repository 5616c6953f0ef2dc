//! What is retried, how long to wait, how much in all.

use std::time::{Instant, SystemTime};

use http::HeaderMap;
use rand::SeedableRng;
use rand::rngs::SmallRng;

use super::*;
use crate::Phase;
use crate::config::{BackoffConfig, HumanDuration, RetryBudgetConfig};

fn policy(on: &[&str]) -> RetryPolicy {
    let on = on.iter().map(|token| (*token).to_owned()).collect();
    RetryPolicy::compile(&RetryConfig {
        on,
        ..RetryConfig::default()
    })
    .unwrap()
}

fn status(code: u16) -> Failure {
    Failure::Status(StatusCode::from_u16(code).unwrap())
}

#[test]
fn tokens_name_failures() {
    for (token, yes, no) in [
        (
            "connect",
            vec![Failure::Connect, Failure::Timeout(Phase::Connect)],
            vec![Failure::Reset, status(503)],
        ),
        (
            "timeout",
            vec![
                Failure::Timeout(Phase::FirstByte),
                Failure::Timeout(Phase::BetweenChunks),
                Failure::SlowFirstToken,
            ],
            vec![Failure::Connect, status(504)],
        ),
        (
            "reset",
            vec![Failure::Reset, Failure::Cut, Failure::Protocol],
            vec![Failure::Connect],
        ),
        ("429", vec![status(429)], vec![status(503), Failure::Connect]),
        (
            "5xx",
            vec![status(500), status(503), status(529), status(599)],
            vec![status(429), status(404)],
        ),
        (
            "4xx",
            vec![status(408), status(409), status(425), status(429)],
            vec![status(500)],
        ),
    ] {
        let policy = policy(&[token]);
        for failure in yes {
            assert!(policy.may_retry(&failure), "{token} {failure:?}");
        }
        for failure in no {
            assert!(!policy.may_retry(&failure), "{token} {failure:?}");
        }
    }
}

#[test]
fn what_would_fail_again_is_never_retried() {
    let everything = policy(&["connect", "timeout", "reset", "4xx", "5xx"]);
    for code in [400, 401, 403, 404, 413, 422] {
        assert!(!everything.may_retry(&status(code)), "{code}");
    }
    assert!(!everything.may_retry(&Failure::ContentFilter));
    assert!(!everything.may_retry(&Failure::InvalidRequest));
}

#[test]
fn the_default_covers_the_contract() {
    let policy = RetryPolicy::compile(&RetryConfig::default()).unwrap();
    assert_eq!(policy.attempts(), 3);
    for failure in [
        Failure::Connect,
        Failure::Timeout(Phase::FirstByte),
        Failure::Reset,
        status(429),
        status(500),
    ] {
        assert!(policy.may_retry(&failure), "{failure:?}");
    }
}

#[test]
fn refuses_what_makes_no_sense() {
    let on = |token: &str| RetryConfig {
        on: vec!["429".to_owned(), token.to_owned()],
        ..RetryConfig::default()
    };
    for token in [
        "", "x", "200", "3xx", "6xx", "0xx", "600", "Connect", "+5xx", "400", "401", "403", "404", "413",
        "422",
    ] {
        assert_eq!(
            RetryPolicy::compile(&on(token)).unwrap_err().field,
            "retry.on[1]",
            "{token}"
        );
    }
    let none = RetryConfig {
        attempts: 0,
        ..RetryConfig::default()
    };
    assert_eq!(RetryPolicy::compile(&none).unwrap_err().field, "retry.attempts");
    let backoff = BackoffConfig {
        base: HumanDuration::from_secs(9),
        max: HumanDuration::from_secs(1),
    };
    let inverted = RetryConfig {
        backoff,
        ..RetryConfig::default()
    };
    assert_eq!(
        RetryPolicy::compile(&inverted).unwrap_err().field,
        "retry.backoff.base"
    );
    let budget = RetryBudgetConfig {
        ratio: f64::NAN,
        min_per_second: 1,
    };
    let unbounded = RetryConfig {
        budget,
        ..RetryConfig::default()
    };
    assert_eq!(
        RetryPolicy::compile(&unbounded).unwrap_err().field,
        "retry.budget.ratio"
    );
}

#[test]
fn backoff_grows_to_its_limit_with_full_jitter() {
    let policy = policy(&["429"]);
    let mut rng = SmallRng::seed_from_u64(5);
    for (attempt, ceiling) in [
        (1, 100),
        (2, 200),
        (3, 400),
        (7, 5_000),
        (40, 5_000),
        (u32::MAX, 5_000),
    ] {
        let waits: Vec<u128> = (0..500)
            .map(|_| match policy.backoff(attempt, None, &mut rng) {
                Backoff::Wait(wait) => wait.as_millis(),
                Backoff::NextTarget => unreachable!(),
            })
            .collect();
        assert!(waits.iter().all(|wait| *wait <= ceiling), "{attempt}");
        assert!(
            *waits.iter().max().unwrap() > ceiling * 9 / 10 && *waits.iter().min().unwrap() < ceiling / 10
        );
    }
}

#[test]
fn retry_after_is_obeyed_or_left_to_the_next_target() {
    let policy = policy(&["429"]);
    let mut rng = SmallRng::seed_from_u64(5);
    for _ in 0..100 {
        let Backoff::Wait(wait) = policy.backoff(1, Some(Duration::from_secs(2)), &mut rng) else {
            panic!()
        };
        assert!((2_000..=2_400).contains(&wait.as_millis()), "{wait:?}");
        let at_the_limit = policy.backoff(1, Some(Duration::from_secs(5)), &mut rng);
        assert_eq!(at_the_limit, Backoff::Wait(Duration::from_secs(5)));
    }
    assert_eq!(
        policy.backoff(1, Some(Duration::from_millis(5_001)), &mut rng),
        Backoff::NextTarget
    );
}

#[test]
fn the_budget_is_a_share_and_a_minimum() {
    let budget = RetryBudget::compile(&RetryBudgetConfig {
        ratio: 0.2,
        min_per_second: 3,
    })
    .unwrap();
    let start = Instant::now() + Duration::from_secs(1);
    let take = |now| (0..1_000).filter(|_| budget.withdraw(now)).count();
    assert_eq!(take(start), 30, "without traffic: 3 a second for 10 seconds");
    for _ in 0..500 {
        budget.deposit(start);
    }
    assert_eq!(take(start), 100, "a fifth of 500 more");
    assert_eq!(take(start + Duration::from_secs(5)), 0);
    assert_eq!(take(start + Duration::from_secs(11)), 30, "all forgotten");
}

#[test]
fn a_budget_of_nothing_allows_nothing() {
    let budget = RetryBudget::compile(&RetryBudgetConfig {
        ratio: 0.0,
        min_per_second: 0,
    })
    .unwrap();
    budget.deposit(Instant::now());
    assert!(!budget.withdraw(Instant::now()));
}

#[test]
fn reads_every_form_of_retry_after() {
    // Sun, 06 Nov 1994 08:49:37 GMT
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
    for (name, value, wait) in [
        ("retry-after", "120", Some(120_000)),
        ("retry-after", " 7 ", Some(7_000)),
        ("retry-after", "0", Some(0)),
        ("retry-after", "1.5", Some(1_500)),
        ("retry-after-ms", "250", Some(250)),
        ("retry-after-ms", "12.5", Some(12)),
        ("retry-after", "Sun, 06 Nov 1994 08:50:37 GMT", Some(60_000)),
        ("retry-after", "Sun, 06 Nov 1994 08:49:00 GMT", Some(0)),
        (
            "retry-after",
            "Tue, 31 Dec 2999 23:59:59 GMT",
            Some(30 * 86_400_000),
        ),
        ("retry-after", "99999999999999999999999999", Some(30 * 86_400_000)),
        ("retry-after", "-5", None),
        ("retry-after", "soon", None),
        ("retry-after", "inf", None),
        ("retry-after", "NaN", None),
        ("retry-after", "1e5", None),
        ("retry-after", "", None),
        ("retry-after", ".", None),
    ] {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().unwrap());
        let parsed = parse_retry_after(&headers, now).map(|wait| wait.as_millis());
        assert_eq!(parsed, wait, "{name}: {value}");
    }
    assert_eq!(parse_retry_after(&HeaderMap::new(), now), None);
}

proptest::proptest! {
    #[test]
    fn any_header_is_read_or_ignored(value in "[ -~]{0,40}") {
        let mut headers = HeaderMap::new();
        headers.insert("retry-after", value.parse().unwrap());
        let wait = parse_retry_after(&headers, SystemTime::now());
        proptest::prop_assert!(wait.is_none_or(|wait| wait <= Duration::from_secs(30 * 86_400)));
    }
}

#[test]
fn milliseconds_go_before_seconds_unless_they_make_no_sense() {
    let mut headers = HeaderMap::new();
    headers.insert("retry-after", "9".parse().unwrap());
    headers.insert("retry-after-ms", "300".parse().unwrap());
    let now = SystemTime::now();
    assert_eq!(parse_retry_after(&headers, now), Some(Duration::from_millis(300)));
    headers.insert("retry-after-ms", "abc".parse().unwrap());
    assert_eq!(parse_retry_after(&headers, now), Some(Duration::from_secs(9)));
}
