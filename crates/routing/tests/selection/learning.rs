//! What was learned is bounded, survives a restart, and adds up over replicas.

use pointsman_routing::learning::{
    Comparison, Learner, LearnerConfig, LearnerError, Outcome, Snapshot, SnapshotError,
};
use pointsman_routing::selection::Chance;
use proptest::prelude::*;

fn learner(replica: &str, half_life_seconds: Option<f64>) -> Learner {
    Learner::new(LearnerConfig {
        replica: replica.to_owned(),
        half_life_seconds,
        ..LearnerConfig::default()
    })
}

const MODELS: [&str; 3] = ["a", "b", "c"];

/// Learns something at chance.
fn live(learner: &mut Learner, chance: &mut Chance, at: u64) {
    let domain = Some(["math", "law"][chance.below(2)]);
    if chance.unit() < 0.3 {
        let (winner, loser) = (MODELS[chance.below(2)], MODELS[2]);
        learner
            .compare(&Comparison {
                scope: "d",
                domain,
                winner,
                loser,
                at,
            })
            .unwrap();
    } else {
        let outcome = Outcome {
            scope: ["d", "e"][chance.below(2)],
            model: MODELS[chance.below(3)],
            domain,
            reward: (chance.unit() < 0.8).then(|| chance.unit()),
            cost: Some(chance.draw() % 1_000_000),
            latency_ms: Some(chance.unit() * 900.0),
            failed: chance.unit() < 0.1,
            at,
        };
        learner.record(&outcome).unwrap();
    }
}

fn assert_alike(one: &Learner, two: &Learner) {
    let near = |one: f64, two: f64| assert!((one - two).abs() <= 1e-9 * one.abs().max(1.0), "{one} {two}");
    for scope in ["d", "e"] {
        for domain in [None, Some("math"), Some("law")] {
            for model in MODELS {
                let (one, two) = (one.arm(scope, domain, model), two.arm(scope, domain, model));
                assert_eq!(one.is_some(), two.is_some());
                if let Some((one, two)) = one.zip(two) {
                    near(one.count, two.count);
                    near(one.failed, two.failed);
                    near(one.cost, two.cost);
                    near(one.mean().unwrap_or(-1.0), two.mean().unwrap_or(-1.0));
                    near(one.variance().unwrap_or(-1.0), two.variance().unwrap_or(-1.0));
                    near(
                        one.mean_latency_ms().unwrap_or(-1.0),
                        two.mean_latency_ms().unwrap_or(-1.0),
                    );
                }
            }
            let (one, two) = (
                one.rated(scope, domain, 1_500.0),
                two.rated(scope, domain, 1_500.0),
            );
            assert_eq!(one.len(), two.len());
            for (model, (rating, games)) in &one {
                near(*rating, two[model].0);
                near(*games, two[model].1);
            }
        }
        near(one.together(scope).cost, two.together(scope).cost);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn two_replicas_that_share_know_what_one_would(seed in any::<u64>(), fades in any::<bool>()) {
        let half_life = fades.then_some(300.0);
        let (mut one, mut left, mut right) = (learner("one", half_life), learner("left", half_life), learner("right", half_life));
        let mut chance = Chance::new(seed);
        for at in 0..400 {
            let mut same = chance.clone();
            live(&mut one, &mut chance, at);
            // A late outcome must not matter: each lags behind by itself.
            live(if seed.rotate_left(u32::try_from(at % 64).unwrap()) % 2 == 0 { &mut left } else { &mut right }, &mut same, at);
            if at % 90 == 0 {
                // Shared through a store, now and then, the same part more than once and by detours.
                let stored = left.snapshot().merged(right.snapshot());
                let stored = Snapshot::read(&stored.write().unwrap()).unwrap();
                left.merge(&stored).unwrap();
                left.merge(&stored).unwrap();
                right.merge(&left.snapshot()).unwrap();
            }
        }
        let stored = right.snapshot().merged(left.snapshot());
        left.merge(&stored).unwrap();
        right.merge(&stored).unwrap();
        assert_alike(&left, &right);
        assert_alike(&one, &left);
        // Merging is commutative and may be repeated.
        prop_assert_eq!(left.snapshot().merged(right.snapshot()), right.snapshot().merged(left.snapshot()));
    }
}

#[test]
fn a_restart_goes_on_where_it_was() {
    let mut chance = Chance::new(3);
    let mut before = learner("r", Some(100.0));
    (0..200).for_each(|at| live(&mut before, &mut chance, at));
    let bytes = before.snapshot().write().unwrap();
    let mut after = learner("r", Some(100.0));
    after.merge(&Snapshot::read(&bytes).unwrap()).unwrap();
    assert_eq!(after.snapshot().write().unwrap(), bytes);
    assert_alike(&before, &after);
    let mut same = chance.clone();
    (200..300).for_each(|at| live(&mut before, &mut chance, at));
    (200..300).for_each(|at| live(&mut after, &mut same, at));
    assert_alike(&before, &after);
    // An old snapshot of one's own is not taken for news.
    after.merge(&Snapshot::read(&bytes).unwrap()).unwrap();
    assert_alike(&before, &after);
    assert!(bytes.len() < 12_000, "{} bytes", bytes.len());
    let json: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    assert!(
        json["replicas"]["r"]["arms"][0]["reward"].is_number(),
        "it is open to inspection: {json}"
    );
}

#[test]
fn what_cannot_be_is_not_taken_in() {
    let good = {
        let mut learner = learner("r", None);
        live(&mut learner, &mut Chance::new(1), 1);
        String::from_utf8(learner.snapshot().write().unwrap()).unwrap()
    };
    assert!(matches!(Snapshot::read(b"{"), Err(SnapshotError::Form(_))));
    assert!(matches!(Snapshot::read(b"{}"), Err(SnapshotError::Form(_))));
    let later = good.replace("\"version\":1", "\"version\":2");
    assert_eq!(Snapshot::read(later.as_bytes()), Err(SnapshotError::Version(2)));
    let odd = good
        .replace("\"count\":1.0", "\"count\":-1.0")
        .replace("\"times\":1.0", "\"times\":-1.0");
    assert_ne!(odd, good);
    assert!(matches!(
        Snapshot::read(odd.as_bytes()),
        Err(SnapshotError::Number(_))
    ));
    let snapshot = Snapshot::read(good.as_bytes()).unwrap();
    assert!(matches!(
        learner("s", Some(9.0)).merge(&snapshot),
        Err(SnapshotError::HalfLife(_))
    ));
    let mut small = Learner::new(LearnerConfig {
        replica: "s".into(),
        most: 0,
        ..LearnerConfig::default()
    });
    assert!(matches!(small.merge(&snapshot), Err(SnapshotError::Full(_))));
    assert_eq!(small.arm("d", None, "a"), None, "nothing of it was taken in");
}

#[test]
fn memory_is_bounded_and_the_known_go_on() {
    let mut learner = Learner::new(LearnerConfig {
        most: 10,
        ..LearnerConfig::default()
    });
    let record = |learner: &mut Learner, model: &str| {
        learner.record(&Outcome {
            scope: "d",
            model,
            reward: Some(1.0),
            ..Outcome::default()
        })
    };
    for model in 0..10 {
        record(&mut learner, &format!("m{model}")).unwrap();
    }
    assert_eq!(record(&mut learner, "m10"), Err(LearnerError::Full));
    record(&mut learner, "m3").unwrap();
    assert_eq!(learner.arm("d", None, "m3").unwrap().count, 2.0);
    assert_eq!(record(&mut learner, ""), Err(LearnerError::Name));
    assert_eq!(record(&mut learner, &"m".repeat(300)), Err(LearnerError::Name));
    learner.freeze(true);
    assert_eq!(record(&mut learner, "m3"), Err(LearnerError::Frozen));
    let comparison = Comparison {
        scope: "d",
        domain: None,
        winner: "a",
        loser: "b",
        at: 0,
    };
    assert_eq!(learner.compare(&comparison), Err(LearnerError::Frozen));
    learner.freeze(false);
    for number in 0..20 {
        let loser = format!("l{number}");
        let done = learner.compare(&Comparison {
            loser: &loser,
            ..comparison
        });
        assert_eq!(done.is_err(), number >= 10, "{number}: {done:?}");
    }
}

#[test]
fn numbers_that_are_none_are_no_rewards() {
    let mut learner = learner("r", None);
    for reward in [f64::NAN, f64::INFINITY, 7.0, -3.0] {
        let outcome = Outcome {
            scope: "d",
            model: "a",
            reward: Some(reward),
            latency_ms: Some(f64::NAN),
            ..Outcome::default()
        };
        learner.record(&outcome).unwrap();
    }
    let arm = learner.arm("d", None, "a").unwrap();
    assert_eq!(
        (arm.rewarded, arm.reward, arm.timed, arm.count),
        (2.0, 1.0, 0.0, 4.0)
    );
}
