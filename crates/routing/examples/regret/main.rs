//! Draws up how selections that learn come to the best model, as tables: `cargo run --example regret -p pointsman-routing`.

mod play;

use std::io::Write;

use play::{Feed, Played, Problem, ROUNDS, play, selection};
use serde_json::{Value, json};

/// Plays of each.
const PLAYS: u64 = 20;
/// Rounds that are told.
const TOLD: [usize; 5] = [200, 500, 1_500, 2_000, 3_000];
/// Seconds after which what was learned counts half, in these plays.
const HALF_LIFE: f64 = 200.0;

fn main() {
    let learners: [(&str, Option<Value>, Feed); 7] = [
        ("by chance", None, Feed::Thumbs),
        (
            "`thompson`, exploring freely",
            Some(json!({"type": "thompson", "thompson": {"max_exploration": 1.0}})),
            Feed::Thumbs,
        ),
        (
            "`thompson`, 20 % at most",
            Some(json!({"type": "thompson"})),
            Feed::Thumbs,
        ),
        (
            "`thompson`, gaussian",
            Some(json!({"type": "thompson", "thompson": {"posterior": "gaussian", "max_exploration": 1.0}})),
            Feed::Thumbs,
        ),
        ("`elo`, of pairs", Some(json!({"type": "elo"})), Feed::Pairs),
        ("`hybrid`, of pairs", Some(json!({"type": "hybrid"})), Feed::Pairs),
        (
            "`latency_aware`",
            Some(json!({"type": "latency_aware", "latency_aware": {"ttft_percentile": 50}})),
            Feed::Times,
        ),
    ];
    let mut out = std::io::stdout().lock();
    for (problem, name) in [
        (Problem::Steady, "The second model is best"),
        (Problem::Turn, "The first is best, from round 1,500 on the second"),
        (Problem::Return, "The second is bad, from round 1,500 on the best"),
    ] {
        // A closed output is nobody to tell.
        let _ = writeln!(out, "{name}:\n");
        let rounds: Vec<String> = TOLD.iter().map(|round| format!("{round}")).collect();
        let _ = writeln!(
            out,
            "| regret after round | {} | best among the last 500 |",
            rounds.join(" | ")
        );
        let _ = writeln!(out, "| --- |{} --- |", " --- |".repeat(TOLD.len()));
        for (name, config, feed) in &learners {
            let built = config.as_ref().map(selection);
            let all: Vec<Played> = (0..PLAYS)
                .map(|seed| play(built.as_ref(), (problem, *feed), Some(HALF_LIFE), seed))
                .collect();
            let mean = |of: &dyn Fn(&Played) -> f64| all.iter().map(of).sum::<f64>() / PLAYS as f64;
            let regret: Vec<String> = TOLD
                .iter()
                .map(|round| format!("{:.0}", mean(&|played| played.regret[round - 1])))
                .collect();
            let share = mean(&|played| played.share(ROUNDS as usize, 500));
            let _ = writeln!(
                out,
                "| {name} | {} | {:.0} % |",
                regret.join(" | "),
                100.0 * share
            );
        }
        let _ = writeln!(out);
    }
}
