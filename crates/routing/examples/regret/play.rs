//! Problems with a known best answer, and how learners play them: round by round, the same for the same seed.

use std::collections::VecDeque;

use pointsman_routing::learning::{Comparison, Learner, LearnerConfig, Outcome};
use pointsman_routing::selection::{
    AlgorithmConfig, CandidateFacts, Chance, Latency, Percentiles, Selection, SelectionRequest, Surroundings,
};
use serde_json::Value;

/// Models.
pub const MODELS: [&str; 3] = ["a", "b", "c"];
/// Rounds of a play; one a second.
pub const ROUNDS: u64 = 3_000;
/// The round from which on it is another model that is best, where there is drift.
pub const DRIFT: u64 = 1_500;

/// What a learner is told after a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feed {
    /// Whether the answer was good.
    Thumbs,
    /// Which of two answers is better: of two models by chance, whoever was asked.
    Pairs,
    /// How long it took, in thousandths of what the problem says is bad.
    Times,
}

/// The chance of a good answer of each model in a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Problem {
    /// The second is best, and stays so.
    Steady,
    /// The first is best, and then the second.
    Turn,
    /// The second is bad, and then the best of all; nobody asks it meanwhile.
    Return,
}

impl Problem {
    /// The chance of a good answer.
    pub fn chance(self, round: u64, model: usize) -> f64 {
        match (self, round < DRIFT, model) {
            (Self::Steady, _, 0) => 0.5,
            (Self::Steady, _, 1) => 0.75,
            (Self::Steady, ..) => 0.6,
            (Self::Turn, true, 0) | (Self::Turn, false, 1) => 0.8,
            (Self::Turn, _, 2) => 0.5,
            (Self::Turn, ..) => 0.4,
            (Self::Return, _, 0) => 0.6,
            (Self::Return, true, 1) => 0.1,
            (Self::Return, false, 1) => 0.95,
            (Self::Return, ..) => 0.3,
        }
    }

    fn best(self, round: u64) -> f64 {
        (0..MODELS.len())
            .map(|model| self.chance(round, model))
            .fold(0.0, f64::max)
    }
}

/// How a play went.
pub struct Played {
    /// The regret until each round.
    pub regret: Vec<f64>,
    /// Whether the best was asked, round by round.
    pub best: Vec<bool>,
}

impl Played {
    /// The share of the best among the last rounds before one.
    pub fn share(&self, before: usize, rounds: usize) -> f64 {
        let last = &self.best[before - rounds..before];
        last.iter().filter(|best| **best).count() as f64 / rounds as f64
    }
}

/// A selection out of its `algorithm` block.
///
/// # Panics
/// When the block is wrong.
#[allow(clippy::panic, reason = "a play of a wrong block says nothing")]
pub fn selection(config: &Value) -> Selection {
    let config: AlgorithmConfig =
        serde_json::from_value(config.clone()).unwrap_or_else(|error| panic!("{error}"));
    let candidates = MODELS.map(|name| (name, true));
    let surroundings = Surroundings {
        candidates: &candidates,
        fitted: &|path| Err(path.to_owned()),
    };
    Selection::build(&config, &surroundings).unwrap_or_else(|wrong| panic!("{wrong:?}"))
}

/// Plays all rounds. Without a selection a model is asked by chance.
pub fn play(
    selection: Option<&Selection>,
    (problem, feed): (Problem, Feed),
    half_life: Option<f64>,
    seed: u64,
) -> Played {
    let mut learner = Learner::new(LearnerConfig {
        half_life_seconds: half_life,
        ..LearnerConfig::default()
    });
    let mut chance = Chance::new(seed);
    let mut times: [VecDeque<(u64, f64)>; 3] = Default::default();
    let mut played = Played {
        regret: Vec::new(),
        best: Vec::new(),
    };
    let mut regret = 0.0;
    for round in 0..ROUNDS {
        let seed = seed.wrapping_mul(1_000_003).wrapping_add(round);
        let model = match selection {
            Some(selection) => chosen(selection, &learner, &times, (round, seed)),
            None => Chance::new(seed).below(MODELS.len()),
        };
        let lost = problem.best(round) - problem.chance(round, model);
        regret += lost;
        played.regret.push(regret);
        played.best.push(lost < 1e-9);
        tell(
            &mut learner,
            &mut times,
            (problem, feed),
            (round, model),
            &mut chance,
        );
    }
    played
}

fn chosen(
    selection: &Selection,
    learner: &Learner,
    times: &[VecDeque<(u64, f64)>; 3],
    (round, seed): (u64, u64),
) -> usize {
    let latencies: Vec<Latency> = times.iter().map(|times| latency(times, round)).collect();
    let candidates: Vec<CandidateFacts<'_>> = MODELS
        .iter()
        .zip(&latencies)
        .map(|(model, latency)| CandidateFacts {
            model,
            weight: 1.0,
            latency: Some(latency).filter(|latency| !latency.ttft_ms.0.is_empty()),
            ..CandidateFacts::default()
        })
        .collect();
    let request = SelectionRequest {
        scope: "d",
        prompt_tokens: 500,
        completion_tokens: 500,
        learned: Some(learner),
        seed,
        ..SelectionRequest::default()
    };
    let ranking = selection.rank(&request, &candidates);
    ranking.first().map_or(0, |first| first.index)
}

/// Of the latest 128 times those of the last 300 seconds, as the gateway has them.
fn latency(times: &VecDeque<(u64, f64)>, round: u64) -> Latency {
    let mut known: Vec<f64> = times
        .iter()
        .filter(|(at, _)| round - at <= 300)
        .map(|(_, time)| *time)
        .collect();
    known.sort_by(f64::total_cmp);
    let at = |percentile: u8| {
        let rank = (usize::from(percentile) * known.len()).div_ceil(100).max(1);
        Some((percentile, *known.get(rank - 1)?))
    };
    let read = Percentiles([50, 90].into_iter().filter_map(at).collect());
    Latency {
        ttft_ms: read.clone(),
        tpot_ms: read,
    }
}

fn tell(
    learner: &mut Learner,
    times: &mut [VecDeque<(u64, f64)>; 3],
    (problem, feed): (Problem, Feed),
    (round, model): (u64, usize),
    chance: &mut Chance,
) {
    let good = |model: usize, chance: &mut Chance| chance.unit() < problem.chance(round, model);
    match feed {
        Feed::Thumbs => {
            let reward = f64::from(u8::from(good(model, chance)));
            let outcome = Outcome {
                scope: "d",
                model: MODELS[model],
                reward: Some(reward),
                at: round,
                ..Outcome::default()
            };
            // There is room for three models.
            let _ = learner.record(&outcome);
        }
        Feed::Pairs => {
            let one = chance.below(MODELS.len());
            let other = (one + 1 + chance.below(MODELS.len() - 1)) % MODELS.len();
            let (first, second) = (good(one, chance), good(other, chance));
            if first != second {
                let (winner, loser) = if first { (one, other) } else { (other, one) };
                let comparison = Comparison {
                    scope: "d",
                    domain: None,
                    winner: MODELS[winner],
                    loser: MODELS[loser],
                    at: round,
                };
                let _ = learner.compare(&comparison);
            }
        }
        Feed::Times => {
            // The better, the faster; each time up to a third more or less.
            let mean = 1_000.0 * (1.1 - problem.chance(round, model));
            let spread = 2.0 / 3.0 * (chance.unit() - 0.5);
            if times[model].len() == 128 {
                times[model].pop_front();
            }
            times[model].push_back((round, mean * (1.0 + spread)));
        }
    }
}
