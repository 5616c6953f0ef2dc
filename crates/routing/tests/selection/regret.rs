//! Those that learn: how much they lose against always asking the best.

use pointsman_routing::learning::{Learner, LearnerConfig, Outcome};
use pointsman_routing::selection::{Chance, SelectionRequest};
use serde_json::{Value, json};

use crate::{build, candidate, first, request};

/// Plays rounds; `truth` says each model's chance in a round. The regret so far after each round.
fn play(
    config: Value,
    learner: LearnerConfig,
    rounds: u64,
    seed: u64,
    truth: impl Fn(u64, &str) -> f64,
) -> Vec<f64> {
    let selection = build(config);
    let mut learner = Learner::new(learner);
    let mut chance = Chance::new(seed);
    let models = ["a", "b", "c"];
    let candidates = models.map(|model| candidate(model, 1, 0.5));
    let mut regret = 0.0;
    (0..rounds)
        .map(|at| {
            let seed = seed.wrapping_mul(1_000_003).wrapping_add(at);
            let request = SelectionRequest {
                learned: Some(&learner),
                seed,
                ..request()
            };
            let model = first(&selection.rank(&request, &candidates)).to_owned();
            let best = models
                .map(|model| truth(at, model))
                .into_iter()
                .fold(0.0, f64::max);
            regret += best - truth(at, &model);
            let reward = f64::from(u8::from(chance.unit() < truth(at, &model)));
            let outcome = Outcome {
                scope: "d",
                model: &model,
                reward: Some(reward),
                at,
                ..Outcome::default()
            };
            // A frozen learner says so.
            let _ = learner.record(&outcome);
            regret
        })
        .collect()
}

fn steady(_: u64, model: &str) -> f64 {
    match model {
        "a" => 0.5,
        "b" => 0.75,
        _ => 0.6,
    }
}

/// The mean of several plays, at some rounds.
fn mean(at: &[usize], plays: impl Fn(u64) -> Vec<f64>) -> Vec<f64> {
    let all: Vec<Vec<f64>> = (0..12).map(plays).collect();
    at.iter()
        .map(|at| all.iter().map(|play| play[at - 1]).sum::<f64>() / all.len() as f64)
        .collect()
}

#[test]
fn regret_flattens() {
    for posterior in ["beta", "gaussian"] {
        let config =
            json!({"type": "thompson", "thompson": {"posterior": posterior, "max_exploration": 1.0}});
        let curve = mean(&[500, 1_000, 2_000], |seed| {
            play(config.clone(), LearnerConfig::default(), 2_000, seed, steady)
        });
        // Asking any of the three by chance would lose 0.133 a round: 267 by the end.
        assert!(curve[2] < 60.0, "{posterior}: {curve:?}");
        assert!(curve[2] - curve[1] < 0.7 * curve[1], "{posterior}: {curve:?}");
    }
}

#[test]
fn bounded_exploration_is_bounded_and_still_finds_the_best() {
    let config = json!({"type": "thompson", "thompson": {"max_exploration": 0.2}});
    let curve = mean(&[1_000, 2_000], |seed| {
        play(config.clone(), LearnerConfig::default(), 2_000, seed, steady)
    });
    assert!(curve[1] < 110.0, "{curve:?}");
    // Of how many requests another than the best by the mean is asked.
    let selection = build(config);
    let mut learner = Learner::new(LearnerConfig::default());
    for (model, reward) in [("a", 0.4), ("b", 0.6), ("c", 0.5)] {
        for at in 0..3 {
            let outcome = Outcome {
                scope: "d",
                model,
                reward: Some(reward),
                at,
                ..Outcome::default()
            };
            learner.record(&outcome).unwrap();
        }
    }
    let candidates = ["a", "b", "c"].map(|model| candidate(model, 1, 0.5));
    let others = |learner: &Learner| {
        (0..5_000)
            .filter(|seed| {
                let request = SelectionRequest {
                    learned: Some(learner),
                    seed: *seed,
                    ..request()
                };
                first(&selection.rank(&request, &candidates)) != "b"
            })
            .count()
    };
    let tried = others(&learner);
    assert!((200..=1_000).contains(&tried), "{tried} of 5,000");
    learner.freeze(true);
    assert_eq!(others(&learner), 0, "what is frozen tries nothing");
}

#[test]
fn what_changes_is_noticed_where_the_past_fades() {
    let drift = |at: u64, model: &str| match (at < 1_500, model) {
        (true, "a") | (false, "b") => 0.8,
        (_, "c") => 0.5,
        _ => 0.4,
    };
    let config = json!({"type": "thompson", "thompson": {"max_exploration": 1.0}});
    let lost_after = |half_life_seconds| {
        let learner = LearnerConfig {
            half_life_seconds,
            ..LearnerConfig::default()
        };
        let curve = mean(&[1_500, 3_000], |seed| {
            play(config.clone(), learner.clone(), 3_000, seed, drift)
        });
        curve[1] - curve[0]
    };
    let (fading, keeping) = (lost_after(Some(200.0)), lost_after(None));
    assert!(fading < 0.5 * keeping, "fading lost {fading}, keeping {keeping}");
    assert!(fading < 130.0, "{fading}, where never changing would lose 600");
}

#[test]
fn one_that_became_better_while_nobody_asked_it_is_found() {
    let drift = |at: u64, model: &str| match (at < 1_500, model) {
        (_, "a") => 0.6,
        (true, "b") => 0.1,
        (false, "b") => 0.95,
        _ => 0.3,
    };
    let config = json!({"type": "thompson", "thompson": {"max_exploration": 1.0}});
    let learner = LearnerConfig {
        half_life_seconds: Some(200.0),
        ..LearnerConfig::default()
    };
    let curve = mean(&[1_500, 3_000], |seed| {
        play(config.clone(), learner.clone(), 3_000, seed, drift)
    });
    // Never finding it would lose 525.
    assert!(curve[1] - curve[0] < 160.0, "{curve:?}");
}

#[test]
fn domains_are_learned_apart() {
    let selection = build(json!({"type": "thompson", "thompson": {"max_exploration": 1.0}}));
    let mut learner = Learner::new(LearnerConfig::default());
    let mut chance = Chance::new(9);
    let candidates = ["coder", "writer"].map(|model| candidate(model, 1, 0.5));
    let mut right = 0;
    for at in 0..2_000 {
        let domain = if at % 2 == 0 { "code" } else { "prose" };
        let domains = [(domain.to_owned(), 0.8), ("other".to_owned(), 0.2)];
        let request = SelectionRequest {
            domains: &domains,
            learned: Some(&learner),
            seed: at,
            ..request()
        };
        let model = first(&selection.rank(&request, &candidates)).to_owned();
        let fits = (model == "coder") == (domain == "code");
        right += u32::from(fits && at >= 1_000);
        let reward = f64::from(u8::from(chance.unit() < if fits { 0.8 } else { 0.5 }));
        let outcome = Outcome {
            scope: "d",
            model: &model,
            domain: Some(domain),
            reward: Some(reward),
            at,
            ..Outcome::default()
        };
        learner.record(&outcome).unwrap();
    }
    assert!(right > 900, "{right} of 1,000");
}

#[test]
fn the_same_seed_is_the_same_play() {
    let config = json!({"type": "thompson", "thompson": {"max_exploration": 1.0}});
    let once = |seed| play(config.clone(), LearnerConfig::default(), 500, seed, steady);
    assert_eq!(once(4), once(4));
    assert_ne!(once(4), once(5));
}
