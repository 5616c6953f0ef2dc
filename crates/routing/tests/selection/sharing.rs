//! Replicas that learn into one store: what each has seen is counted once, whoever shares first.

use pointsman_routing::learning::{Comparison, Contribution, Learner, LearnerConfig, Outcome};

fn learner() -> Learner {
    Learner::new(LearnerConfig {
        half_life_seconds: Some(1_000.0),
        ..LearnerConfig::default()
    })
}

fn record(learner: &mut Learner, model: &str, reward: f64, at: u64) {
    let outcome = Outcome {
        scope: "d",
        model,
        domain: Some("math"),
        reward: Some(reward),
        at,
        ..Outcome::default()
    };
    learner.record(&outcome).unwrap();
}

/// One store, as the gateway has it: bytes that are changed by one at a time.
#[derive(Default)]
struct Shelf(Vec<u8>);

impl Shelf {
    fn known(&self) -> Contribution {
        match self.0.is_empty() {
            true => Contribution::default(),
            false => Contribution::stored(&self.0).unwrap(),
        }
    }

    fn share(&mut self, learner: &mut Learner) {
        match learner.unshared() {
            None => learner.refreshed(self.known()),
            Some(learned) => {
                let (all, bytes) = self.known().with(&learned, Some(1_000.0), 64).unwrap();
                self.0 = bytes;
                learner.shared(all);
            }
        }
    }
}

#[test]
fn two_replicas_and_a_third_that_starts_later_know_the_same_as_one_that_saw_all() {
    let (mut left, mut right, mut alone) = (learner(), learner(), learner());
    let mut shelf = Shelf::default();
    for at in 0..200 {
        let (model, reward) = (["a", "b"][at as usize % 2], f64::from(u8::from(at % 3 == 0)));
        record(if at % 5 < 3 { &mut left } else { &mut right }, model, reward, at);
        record(&mut alone, model, reward, at);
        if at % 7 == 0 {
            shelf.share(&mut left);
        }
        if at % 11 == 0 {
            shelf.share(&mut right);
        }
    }
    for _ in 0..2 {
        shelf.share(&mut left);
        shelf.share(&mut right);
    }
    let mut third = learner();
    shelf.share(&mut third);
    for domain in [None, Some("math")] {
        for model in ["a", "b"] {
            let expected = alone.arm("d", domain, model).unwrap();
            for learner in [&left, &right, &third] {
                let known = learner.arm("d", domain, model).unwrap();
                assert!(
                    (known.rewarded - expected.rewarded).abs() < 1e-6,
                    "{known:?} {expected:?}"
                );
                assert!((known.reward - expected.reward).abs() < 1e-6);
            }
        }
    }
}

#[test]
fn what_is_handed_over_counts_until_it_is_shared_and_is_handed_over_again_if_it_was_not() {
    let mut learner = learner();
    record(&mut learner, "a", 1.0, 1);
    let first = learner.unshared().unwrap();
    assert_eq!(learner.arm("d", None, "a").unwrap().rewarded, 1.0);
    // It could not be shared; more is learned, and what others shared comes in meanwhile.
    record(&mut learner, "a", 0.0, 1);
    learner.refreshed(Contribution::default());
    assert_eq!(learner.arm("d", None, "a").unwrap().rewarded, 2.0);
    let again = learner.unshared().unwrap();
    assert_eq!(
        (first.arms[0].arm.rewarded, again.arms[0].arm.rewarded),
        (1.0, 2.0)
    );
    let (all, _) = Contribution::default().with(&again, Some(1_000.0), 64).unwrap();
    learner.shared(all);
    assert_eq!(learner.arm("d", None, "a").unwrap().rewarded, 2.0);
    assert!(learner.unshared().is_none());
}

#[test]
fn what_is_shared_is_bounded_and_the_oldest_goes() {
    let mut learner = learner();
    for at in 0..10 {
        record(&mut learner, &format!("m{at}"), 1.0, at);
        let comparison = Comparison {
            scope: "d",
            domain: None,
            winner: &format!("m{at}"),
            loser: "x",
            at,
        };
        learner.prefer(&comparison, 0.5).unwrap();
    }
    let learned = learner.unshared().unwrap();
    let (all, bytes) = Contribution::default().with(&learned, Some(1_000.0), 4).unwrap();
    assert_eq!((all.arms.len(), all.duels.len()), (4, 4));
    assert!(all.arms.iter().all(|entry| entry.arm.as_of >= 8));
    assert_eq!(Contribution::stored(&bytes).unwrap(), all);
    assert!(Contribution::stored(b"{}").is_err());
}
