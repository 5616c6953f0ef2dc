//! What a decision costs, once signals are known: 100 decisions of 5 conditions each. `cargo bench -p pointsman-routing`.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench prints, and says what it expects by failing"
)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use pointsman_routing::{
    About, AskedSignal, Facts, Need, Outcome, Reading, Router, RoutingConfig, Step, Want,
};
use serde_json::{Value, json};

const DECISIONS: usize = 100;
const CONDITIONS: usize = 5;
const SIGNALS: usize = 60;
const ROUNDS: usize = 2_001;

/// Decisions of which only the last holds: all are looked at. Of equal `rank`, all have to be compared besides.
fn router(operator: &str, equal_rank: bool) -> Router {
    let conditions = |decision: usize| -> Vec<Value> {
        (0..CONDITIONS)
            .map(|place| {
                let last = decision + 1 == DECISIONS;
                let number = if last {
                    SIGNALS - 1
                } else {
                    (decision * 7 + place * 13) % (SIGNALS - 1)
                };
                let leaf = json!({"type": "domain", "name": format!("s{number}")});
                // Every fifth condition holds, so that AND is not done with its first.
                match operator == "AND" && place + 1 < CONDITIONS && !last {
                    true => json!({"operator": "NOT", "conditions": [leaf]}),
                    false => leaf,
                }
            })
            .collect()
    };
    let decisions: Vec<Value> = (0..DECISIONS)
        .map(|number| {
            json!({"name": format!("d{number}"), "priority": if equal_rank { 0 } else { DECISIONS - number },
                "rules": {"operator": operator, "conditions": conditions(number)}, "modelRefs": [{"model": "m"}]})
        })
        .collect();
    let config: RoutingConfig = serde_json::from_value(json!({"decisions": decisions})).unwrap();
    let asked: Vec<AskedSignal> = (0..SIGNALS)
        .map(|number| AskedSignal {
            kind: "domain",
            name: format!("s{number}"),
            need: Need::Heads(About::User),
        })
        .collect();
    Router::compile_with(&config, &asked).unwrap_or_else(|errors| unreachable!("{errors:?}"))
}

fn decide(router: &Router, readings: pointsman_routing::Readings) -> (Duration, f64) {
    let facts = Facts::default();
    let start = Instant::now();
    let deciding = router.resume(facts, Want::Confidence, readings);
    let step = deciding.step();
    let outcome = deciding.outcome(0.5);
    let took = start.elapsed();
    assert_eq!(step, Step::Settled);
    match outcome {
        Some(Outcome::Matched(decided)) => (took, decided.confidence),
        _ => (took, -1.0),
    }
}

fn main() {
    for (operator, equal_rank) in [("AND", false), ("OR", false), ("AND", true), ("OR", true)] {
        let router = router(operator, equal_rank);
        let mut deciding = router.deciding(Facts::default(), Want::Confidence);
        for signal in 0..SIGNALS {
            let last = signal + 1 == SIGNALS;
            let reading = Reading {
                matched: last,
                confidence: if last { 0.9 } else { 0.0 },
                value: 0.0,
            };
            deciding.answer(signal, reading, Duration::ZERO);
        }
        let readings = deciding.pause();
        let mut times: Vec<Duration> = (0..ROUNDS)
            .map(|_| black_box(decide(&router, readings.clone())).0)
            .collect();
        times.sort_unstable();
        let rank = if equal_rank {
            "one rank"
        } else {
            "ranks of their own"
        };
        println!(
            "{DECISIONS} decisions, {CONDITIONS} conditions joined by {operator}, {rank}: median {:.1} us, 99 of 100 below {:.1} us",
            times[ROUNDS / 2].as_secs_f64() * 1e6,
            times[ROUNDS * 99 / 100].as_secs_f64() * 1e6
        );
    }
}
