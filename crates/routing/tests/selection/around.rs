//! What is done around every algorithm: fitness, targets, sessions.

use pointsman_routing::learning::{Learner, LearnerConfig, Outcome};
use pointsman_routing::selection::{
    CandidateFacts, Chance, Latency, Percentiles, Previous, SelectionRequest,
};
use serde_json::{Value, json};

use crate::{build, candidate, first, order, request};

#[test]
fn what_is_excluded_or_too_small_is_told_and_never_taken() {
    let selection = build(json!({"type": "multi_factor", "multi_factor": {"on_no_candidates": "first"}}));
    let candidates = [
        CandidateFacts {
            excluded: Some("not allowed"),
            ..candidate("a", 1, 1.0)
        },
        CandidateFacts {
            context_window: Some(900),
            ..candidate("b", 1, 1.0)
        },
        CandidateFacts {
            context_window: Some(1_000),
            ..candidate("c", 1, 0.1)
        },
    ];
    let ranking = selection.rank(&request(), &candidates);
    assert_eq!(order(&ranking), ["c"]);
    let reasons: Vec<&str> = ranking.unfit.iter().map(|unfit| unfit.reason).collect();
    assert_eq!(
        reasons,
        ["not allowed", "the request is longer than its context window"]
    );
    let none = selection.rank(&request(), &candidates[..2]);
    assert_eq!((none.ranked.len(), none.notes), (0, vec!["no candidate fits"]));
    let json = serde_json::to_value(&ranking).unwrap();
    assert_eq!(json["ranked"][0]["model"], "c");
    assert!(json["ranked"][0]["parts"]["quality"].is_number(), "{json}");
}

/// Streams requests of two kinds through a target: on hard ones only the large model is right. Mean cost (dollars for a
/// thousand), and the share of right answers.
fn stream(target: Value, count: u64, seed: u64) -> (f64, f64, f64) {
    let mut learner = Learner::new(LearnerConfig {
        half_life_seconds: Some(5_000.0),
        ..LearnerConfig::default()
    });
    let selection = build(json!({"type": "multi_factor", "target": target,
                                 "multi_factor": {"weights": {"quality": 1.0}}}));
    let mut chance = Chance::new(seed);
    let (mut cost, mut right, mut highest) = (0.0, 0.0, 0.0_f64);
    let small = [("easy".to_owned(), 0.9), ("hard".to_owned(), 0.2)];
    let large = [("easy".to_owned(), 0.95), ("hard".to_owned(), 0.9)];
    for at in 0..count {
        let hard = chance.unit() < 0.4;
        let domains = [(if hard { "hard" } else { "easy" }.to_owned(), 1.0)];
        let request = SelectionRequest {
            domains: &domains,
            learned: Some(&learner),
            seed: at,
            ..request()
        };
        let candidates = [
            CandidateFacts {
                quality: None,
                quality_by_domain: &small,
                ..candidate("small", 1, 0.0)
            },
            CandidateFacts {
                quality: None,
                quality_by_domain: &large,
                ..candidate("large", 10, 0.0)
            },
        ];
        let ranking = selection.rank(&request, &candidates);
        let chosen = ranking.first().unwrap();
        let reward = f64::from(u8::from(chance.unit() < chosen.quality.unwrap()));
        let spent = chosen.cost.unwrap();
        (cost, right) = (cost + spent as f64 / 1e9, right + reward);
        if at > 500 {
            highest = highest.max(1_000.0 * cost / (at + 1) as f64);
        }
        let model = chosen.model.clone();
        learner
            .record(&Outcome {
                scope: "d",
                model: &model,
                reward: Some(reward),
                cost: Some(spent),
                at,
                ..Outcome::default()
            })
            .unwrap();
    }
    (1_000.0 * cost / count as f64, right / count as f64, highest)
}

#[test]
fn at_most_so_many_dollars_holds_over_a_stream_and_buys_what_it_can() {
    // 1,000 tokens: the small one costs 1 dollar for a thousand requests, the large one 10.
    for (limit, right) in [(3.0, 0.70), (4.6, 0.87), (7.0, 0.89)] {
        let (cost, quality, highest) = stream(json!({"max_dollars_per_thousand": limit}), 6_000, 3);
        assert!(cost <= limit * 1.02, "{limit}: {cost}");
        assert!(highest <= limit * 1.25, "{limit}: at some time {highest}");
        assert!(cost > limit.min(4.6) * 0.9, "{limit}: only {cost} was spent");
        assert!(quality > right, "{limit}: {quality}");
    }
    // A limit below the cheapest can't be kept: the cheapest is all there is.
    let (cost, ..) = stream(json!({"max_dollars_per_thousand": 0.5}), 1_000, 3);
    assert!((cost - 1.0).abs() < 0.6, "{cost}");
}

#[test]
fn at_least_so_much_quality_holds_over_a_stream_for_little_money() {
    for (least, most_dollars) in [(0.7, 3.4), (0.8, 4.2), (0.88, 5.0)] {
        let (cost, quality, _) = stream(json!({"min_quality": least}), 6_000, 5);
        assert!(quality > least - 0.015, "{least}: {quality}");
        assert!(cost < most_dollars, "{least}: {cost}");
    }
}

#[test]
fn a_target_without_prices_says_so() {
    let selection = build(json!({"type": "thompson", "target": {"max_dollars_per_thousand": 1.0}}));
    let bare = [CandidateFacts {
        model: "a",
        ..CandidateFacts::default()
    }];
    let ranking = selection.rank(&request(), &bare);
    assert_eq!(
        ranking.notes,
        ["the target is not steered by: a candidate's price is not known"]
    );
}

#[test]
#[expect(
    clippy::too_many_lines,
    reason = "a table: one row for each reason to stay or leave"
)]
fn sessions_stay_where_leaving_costs_more_than_it_gains() {
    let quick = Latency {
        ttft_ms: Percentiles(vec![(50, 2_000.0)]),
        ..Latency::default()
    };
    let ask = |session: Value, gain: f64, previous: Previous<'static>| {
        let selection = build(json!({"type": "automix", "session": session,
                                     "automix": {"max_escalations": 0, "cost_quality_tradeoff": 0.0}}));
        let candidates = [
            CandidateFacts {
                latency: Some(&quick),
                ..candidate("old", 4, 0.5)
            },
            CandidateFacts {
                latency: Some(&quick),
                ..candidate("new", 4, 0.5 + gain)
            },
        ];
        let request = SelectionRequest {
            prompt_tokens: 20_000,
            previous: Some(previous),
            ..request()
        };
        first(&selection.rank(&request, &candidates)).to_owned()
    };
    let cold = Previous {
        model: "old",
        warm_tokens: 0,
        turns: 3,
        idle_seconds: 5,
        in_tool_loop: false,
    };
    let warm = Previous {
        warm_tokens: 19_000,
        ..cold
    };
    // Nothing is warm: the margin alone counts. Then money and two seconds of reading again: 0.05 + 0.2 + 0.095.
    assert_eq!(ask(json!({}), 0.04, cold), "old");
    assert_eq!(ask(json!({}), 0.06, cold), "new");
    assert_eq!(ask(json!({}), 0.30, warm), "old");
    assert_eq!(ask(json!({}), 0.36, warm), "new");
    assert_eq!(
        ask(json!({"latency_weight": 0.0}), 0.30, warm),
        "new",
        "only money counts"
    );
    assert_eq!(
        ask(json!({"prefix_cache_weight": 0.0}), 0.16, warm),
        "new",
        "only time counts"
    );
    assert_eq!(
        ask(
            json!({}),
            0.06,
            Previous {
                idle_seconds: 301,
                ..warm
            }
        ),
        "new",
        "nothing is warm any more"
    );
    assert_eq!(
        ask(
            json!({}),
            0.5,
            Previous {
                in_tool_loop: true,
                ..cold
            }
        ),
        "old"
    );
    assert_eq!(
        ask(
            json!({"tool_loop_hard_lock": false}),
            0.4,
            Previous {
                in_tool_loop: true,
                ..cold
            }
        ),
        "new"
    );
    assert_eq!(ask(json!({"min_turns_before_switch": 4}), 0.4, cold), "old");
    assert_eq!(
        ask(
            json!({}),
            0.04,
            Previous {
                model: "gone",
                ..cold
            }
        ),
        "new"
    );
}

#[test]
fn a_drawn_model_keeps_its_session() {
    let selection = build(json!({"type": "weighted", "session": {}}));
    let candidates = [candidate("a", 1, 0.5), candidate("b", 1, 0.5)];
    let previous = Previous {
        model: "b",
        warm_tokens: 0,
        turns: 9,
        idle_seconds: 1,
        in_tool_loop: false,
    };
    for seed in 0..50 {
        let request = SelectionRequest {
            seed,
            previous: Some(previous),
            ..request()
        };
        assert_eq!(order(&selection.rank(&request, &candidates)), ["b", "a"]);
    }
}
