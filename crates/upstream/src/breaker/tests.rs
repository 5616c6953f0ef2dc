//! Transitions, at instants that are passed in.

use rand::SeedableRng;
use rand::rngs::SmallRng;

use super::*;
use crate::config::HumanDuration;

const SECOND: u64 = 1_000_000;

fn policy() -> BreakerPolicy {
    BreakerPolicy::compile(&HealthConfig {
        consecutive_failures: 3,
        failure_ratio: 0.5,
        min_requests: 10,
        open_for: HumanDuration::from_secs(10),
        max_open_for: HumanDuration::from_secs(35),
        trial_timeout: HumanDuration::from_secs(60),
        ..HealthConfig::default()
    })
    .unwrap()
}

/// A breaker, its policy and chance, driven at instants in seconds.
struct Rig(Breaker, BreakerPolicy, SmallRng);

impl Rig {
    fn new() -> Self {
        Self(Breaker::default(), policy(), SmallRng::seed_from_u64(7))
    }

    fn admit(&self, second: u64) -> Option<Admission> {
        self.0.admit(&self.1, second * SECOND)
    }

    fn fail(&mut self, admission: Admission, second: u64) {
        self.0
            .on_failure(&self.1, (admission, false), second * SECOND, &mut self.2);
    }

    fn succeed(&self, admission: Admission, second: u64) {
        self.0.on_success(&self.1, admission, second * SECOND);
    }

    fn state(&self, second: u64) -> BreakerState {
        self.0.state(second * SECOND)
    }

    fn opened() -> Self {
        let mut rig = Self::new();
        for _ in 0..3 {
            rig.fail(Admission::Regular, 0);
        }
        rig
    }
}

#[test]
fn opens_after_consecutive_failures_and_not_before() {
    let mut rig = Rig::new();
    rig.fail(Admission::Regular, 0);
    rig.fail(Admission::Regular, 0);
    rig.succeed(Admission::Regular, 0);
    rig.fail(Admission::Regular, 0);
    rig.fail(Admission::Regular, 0);
    assert_eq!(rig.state(0), BreakerState::Closed);
    rig.fail(Admission::Regular, 0);
    assert_eq!(rig.state(0), BreakerState::Open);
    assert!(rig.admit(7).is_none());
    assert!(!rig.0.is_ready(7 * SECOND));
}

#[test]
fn opens_on_the_ratio_once_there_are_enough_requests() {
    let mut rig = Rig::new();
    for _ in 0..4 {
        rig.succeed(Admission::Regular, 0);
        rig.fail(Admission::Regular, 0);
    }
    assert_eq!(rig.state(0), BreakerState::Closed, "8 requests are too few");
    rig.succeed(Admission::Regular, 0);
    rig.fail(Admission::Regular, 0);
    assert_eq!(rig.state(0), BreakerState::Open);
}

#[test]
fn forgets_failures_outside_the_window() {
    let mut rig = Rig::new();
    for second in 0..40 {
        rig.succeed(Admission::Regular, second);
        if second % 3 == 0 {
            rig.fail(Admission::Regular, second);
        }
    }
    assert_eq!(rig.state(40), BreakerState::Closed);
}

#[test]
fn a_success_that_ends_badly_counts_once_and_as_a_failure() {
    let mut rig = Rig::new();
    for _ in 0..10 {
        rig.succeed(Admission::Regular, 0);
        rig.0
            .on_failure(&rig.1, (Admission::Regular, true), 0, &mut rig.2);
    }
    assert_eq!(rig.state(0), BreakerState::Open, "ten of ten failed");
}

#[test]
fn exactly_one_trial_gets_through() {
    let rig = Rig::opened();
    assert_eq!(rig.state(13), BreakerState::HalfOpen);
    let trial = rig.admit(13).unwrap();
    assert!(matches!(trial, Admission::Trial(_)));
    assert!(rig.admit(13).is_none());
    assert!(rig.admit(60).is_none());
    rig.succeed(trial, 61);
    assert_eq!(rig.state(61), BreakerState::Closed);
    assert_eq!(rig.admit(61), Some(Admission::Regular));
}

#[test]
fn failing_trials_keep_it_open_for_longer_and_longer_up_to_the_limit() {
    let mut rig = Rig::opened();
    let mut now = 0;
    for expected in [10, 20, 35, 35, 35] {
        assert!(rig.admit(now + expected * 8 / 10 - 1).is_none(), "{expected}");
        now += expected * 12 / 10 + 1;
        let trial = rig.admit(now).unwrap();
        rig.fail(trial, now);
    }
}

#[test]
fn only_the_trial_decides() {
    let mut rig = Rig::opened();
    rig.succeed(Admission::Regular, 1);
    assert_eq!(rig.state(1), BreakerState::Open, "a straggler does not close it");
    let trial = rig.admit(13).unwrap();
    rig.fail(Admission::Regular, 13);
    assert_eq!(rig.state(13), BreakerState::HalfOpen);
    rig.succeed(trial, 14);
    assert_eq!(rig.state(14), BreakerState::Closed);
}

#[test]
fn a_trial_without_a_verdict_makes_room_for_the_next() {
    let mut rig = Rig::opened();
    let lost = rig.admit(13).unwrap();
    rig.0.release(lost, 14 * SECOND);
    let second = rig.admit(14).unwrap();
    assert!(rig.admit(73).is_none());
    let third = rig.admit(75).unwrap();
    rig.fail(second, 76);
    assert!(rig.admit(76).is_none(), "a trial that was given up has no say");
    rig.succeed(third, 76);
    assert_eq!(rig.state(76), BreakerState::Closed);
}

#[test]
fn one_trial_among_threads() {
    let rig = Rig::opened();
    let admitted = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..1_000 {
                    if rig.admit(20).is_some() {
                        admitted.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    assert_eq!(admitted.into_inner(), 1);
}

#[test]
fn refuses_settings_without_meaning() {
    let secs = HumanDuration::from_secs;
    for (field, config) in [
        (
            "health.failure_ratio",
            HealthConfig {
                failure_ratio: 1.5,
                ..HealthConfig::default()
            },
        ),
        (
            "health.failure_ratio",
            HealthConfig {
                failure_ratio: f64::NAN,
                ..HealthConfig::default()
            },
        ),
        (
            "health.window",
            HealthConfig {
                window: secs(0),
                ..HealthConfig::default()
            },
        ),
        (
            "health.open_for",
            HealthConfig {
                open_for: secs(0),
                ..HealthConfig::default()
            },
        ),
        (
            "health.trial_timeout",
            HealthConfig {
                trial_timeout: secs(0),
                ..HealthConfig::default()
            },
        ),
        (
            "health.max_open_for",
            HealthConfig {
                max_open_for: secs(1),
                ..HealthConfig::default()
            },
        ),
    ] {
        assert_eq!(BreakerPolicy::compile(&config).unwrap_err().field, field);
    }
}
