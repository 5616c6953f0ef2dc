//! Ratings out of comparisons.
//!
//! Elo's own rule moves two ratings after each game, so that the order of games matters and replicas can't be added up.
//! The same model of strengths (Bradley and Terry) fitted to all games at once has neither fault: counts of wins add up.

use std::collections::{BTreeMap, BTreeSet};

/// Rounds of fitting; ratings of a few dozen models stand still long before.
const ROUNDS: usize = 200;

/// Points on Elo's scale that make the stronger ten times as likely to win.
const SCALE: f64 = 400.0;

/// Fits ratings to wins (`winner → loser → times`), around `initial`. A model that has neither won nor lost is not there.
/// Every model has `held` drawn games against one of the initial rating, so that few games do not say much.
#[must_use]
pub fn ratings(
    wins: &BTreeMap<String, BTreeMap<String, f64>>,
    initial: f64,
    held: f64,
) -> BTreeMap<String, f64> {
    let names: Vec<&str> = {
        let losers = wins.values().flat_map(BTreeMap::keys);
        let all: BTreeSet<&str> = wins.keys().chain(losers).map(String::as_str).collect();
        all.into_iter().collect()
    };
    let count = |winner: &str, loser: &str| {
        wins.get(winner)
            .and_then(|losers| losers.get(loser))
            .copied()
            .unwrap_or(0.0)
    };
    let won: Vec<f64> = names
        .iter()
        .map(|name| names.iter().map(|other| count(name, other)).sum::<f64>() + held / 2.0)
        .collect();
    let games: Vec<Vec<f64>> = names
        .iter()
        .map(|one| {
            let against = |other: &&str| count(one, other) + count(other, one);
            names.iter().map(against).collect()
        })
        .collect();
    let mut strengths = vec![1.0_f64; names.len()];
    for _ in 0..ROUNDS {
        let before = strengths.clone();
        for (index, strength) in strengths.iter_mut().enumerate() {
            let expected: f64 = games[index]
                .iter()
                .zip(&before)
                .map(|(games, other)| games / (before[index] + other))
                .sum();
            *strength = won[index] / (expected + held / (before[index] + 1.0)).max(f64::MIN_POSITIVE);
        }
    }
    let rating = |strength: f64| initial + SCALE * strength.max(1e-9).log10();
    let rated = names.iter().zip(&strengths);
    rated
        .map(|(name, strength)| ((*name).to_owned(), rating(*strength)))
        .collect()
}

/// The chance that one rating wins against another.
pub(crate) fn expected(rating: f64, other: f64) -> f64 {
    1.0 / (1.0 + 10_f64.powf((other - rating) / SCALE))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wins(games: &[(&str, &str, f64)]) -> BTreeMap<String, BTreeMap<String, f64>> {
        let mut wins: BTreeMap<String, BTreeMap<String, f64>> = BTreeMap::new();
        for (winner, loser, times) in games {
            *wins
                .entry((*winner).to_owned())
                .or_default()
                .entry((*loser).to_owned())
                .or_default() += times;
        }
        wins
    }

    #[test]
    fn ten_to_one_is_four_hundred_points() {
        let rated = ratings(&wins(&[("a", "b", 1_000.0), ("b", "a", 100.0)]), 1_500.0, 0.01);
        assert!((rated["a"] - rated["b"] - 400.0).abs() < 2.0, "{rated:?}");
        assert!((expected(rated["a"], rated["b"]) - 10.0 / 11.0).abs() < 0.01);
    }

    #[test]
    fn strengths_pass_through_third_models_and_few_games_say_little() {
        let rated = ratings(
            &wins(&[
                ("a", "b", 30.0),
                ("b", "c", 30.0),
                ("b", "a", 10.0),
                ("c", "b", 10.0),
            ]),
            1_500.0,
            2.0,
        );
        assert!(rated["a"] > rated["b"] && rated["b"] > rated["c"]);
        let one = ratings(&wins(&[("a", "b", 1.0)]), 1_500.0, 2.0);
        let many = ratings(&wins(&[("a", "b", 50.0)]), 1_500.0, 2.0);
        assert!(
            one["a"] - one["b"] < 250.0 && many["a"] - many["b"] > 400.0,
            "{one:?} {many:?}"
        );
        assert!(many.values().all(|rating| rating.is_finite()));
    }
}
