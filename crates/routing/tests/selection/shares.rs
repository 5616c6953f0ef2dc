//! Learners on problems with a known best answer: how much of what they ask is the best, after so many rounds.

#[path = "../../examples/regret/play.rs"]
mod play;

use play::{Feed, Played, Problem, play, selection};
use serde_json::{Value, json};

const SEEDS: u64 = 12;
const HALF_LIFE: f64 = 200.0;

/// The mean share of the best among the last 300 rounds before one.
fn share(config: &Value, how: (Problem, Feed), before: usize) -> f64 {
    let built = selection(config);
    let all: Vec<Played> = (0..SEEDS)
        .map(|seed| play(Some(&built), how, Some(HALF_LIFE), seed))
        .collect();
    all.iter().map(|played| played.share(before, 300)).sum::<f64>() / SEEDS as f64
}

#[test]
fn each_learner_comes_to_the_best_and_to_the_next_best_after_a_turn() {
    let thompson = json!({"type": "thompson", "thompson": {"max_exploration": 1.0}});
    let bounded = json!({"type": "thompson"});
    let elo = json!({"type": "elo"});
    let fast = json!({"type": "latency_aware", "latency_aware": {"ttft_percentile": 50}});
    let hybrid = json!({"type": "hybrid"});
    for (config, feed, least) in [
        (&thompson, Feed::Thumbs, 0.6),
        (&bounded, Feed::Thumbs, 0.6),
        (&elo, Feed::Pairs, 0.8),
        (&hybrid, Feed::Pairs, 0.8),
        (&fast, Feed::Times, 0.9),
    ] {
        let turned = (Problem::Turn, feed);
        let (before, at, after) = (
            share(config, turned, 1_500),
            share(config, turned, 1_800),
            share(config, turned, 3_000),
        );
        assert!(before > least && after > least, "{config}: {before} {at} {after}");
        assert!(at < after, "{config} was never wrong: {before} {at} {after}");
    }
}

#[test]
fn what_nobody_asked_is_found_when_it_has_become_the_best() {
    let thompson = json!({"type": "thompson", "thompson": {"max_exploration": 1.0}});
    let fast = json!({"type": "latency_aware", "latency_aware": {"ttft_percentile": 50}});
    for (config, feed) in [(&thompson, Feed::Thumbs), (&fast, Feed::Times)] {
        let after = share(config, (Problem::Return, feed), 3_000);
        assert!(after > 0.7, "{config}: {after}");
    }
}

#[test]
fn a_play_is_the_same_for_the_same_seed() {
    for config in [
        json!({"type": "thompson"}),
        json!({"type": "latency_aware", "latency_aware": {"ttft_percentile": 90}}),
    ] {
        let built = selection(&config);
        let feed = match config["type"] == "thompson" {
            true => Feed::Thumbs,
            false => Feed::Times,
        };
        for problem in [Problem::Steady, Problem::Turn] {
            let once = |seed| play(Some(&built), (problem, feed), None, seed).regret;
            assert_eq!(once(3), once(3));
            assert_ne!(once(3), once(4));
        }
    }
}
