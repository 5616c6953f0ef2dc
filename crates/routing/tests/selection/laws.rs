//! What holds for every algorithm, whatever candidates, requests and seeds.

use pointsman_routing::learning::{Learner, LearnerConfig, Outcome};
use pointsman_routing::selection::{CandidateFacts, Latency, Percentiles, Previous, SelectionRequest};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::{build, candidate, order, request};

const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];

fn algorithms() -> Vec<Value> {
    let target = json!({"max_dollars_per_thousand": 2.0});
    vec![
        json!({"type": "static"}),
        json!({"type": "weighted", "session": {}}),
        json!({"type": "router_dc"}),
        json!({"type": "latency_aware", "latency_aware": {"ttft_percentile": 90}}),
        json!({"type": "multi_factor", "multi_factor": {"slo": {"max_cost_per_1m": 4.0}}}),
        json!({"type": "hybrid", "session": {"min_turns_before_switch": 0}, "hybrid": {"quality_gap_threshold": 0.1}}),
        json!({"type": "automix", "target": target}),
        json!({"type": "elo", "target": {"min_quality": 0.6}}),
        json!({"type": "thompson", "target": target, "session": {}}),
        json!({"type": "thompson", "thompson": {"posterior": "gaussian", "max_exploration": 1.0}}),
        json!({"type": "prompt", "prompt": {"model": "h", "instructions": "i"}}),
    ]
}

#[derive(Debug, Clone)]
struct Known {
    price: Option<u64>,
    quality: Option<f64>,
    window: Option<u64>,
    ttft: Option<f64>,
    load: Option<u32>,
    weight: f64,
    excluded: bool,
    place: Option<[f32; 2]>,
}

fn known() -> impl Strategy<Value = Known> {
    let number = |from: f64, to: f64| proptest::option::of(prop_oneof![from..to, Just(f64::NAN), Just(0.0)]);
    (
        proptest::option::of(0_u64..1_000_000_000_000),
        number(0.0, 1.0),
        proptest::option::of(0_u64..3_000),
        number(0.0, 9_000.0),
        proptest::option::of(any::<u32>()),
        prop_oneof![0.0..5.0, Just(0.0)],
        any::<bool>(),
        proptest::option::of([-1.0_f32..1.0, -1.0_f32..1.0]),
    )
        .prop_map(
            |(price, quality, window, ttft, load, weight, excluded, place)| Known {
                price,
                quality,
                window,
                ttft,
                load,
                weight,
                excluded,
                place,
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn rankings_are_whole_repeatable_and_never_take_what_must_not_be(
        each in proptest::collection::vec(known(), 1..5),
        seed in any::<u64>(),
        tokens in 0_u64..2_000,
        outcomes in proptest::collection::vec((0_usize..5, 0.0_f64..1.0, 0_u64..2_000_000), 0..40),
        previous in proptest::option::of(0_usize..5),
        which in 0_usize..11,
    ) {
        let selection = build(algorithms().swap_remove(which));
        let mut learner = Learner::new(LearnerConfig::default());
        for (at, (model, reward, cost)) in outcomes.iter().enumerate() {
            let outcome = Outcome { scope: "d", model: NAMES[*model], reward: Some(*reward), cost: Some(*cost), at: at as u64, ..Outcome::default() };
            learner.record(&outcome).unwrap();
        }
        let latencies: Vec<Option<Latency>> = each
            .iter()
            .map(|known| known.ttft.map(|ttft| Latency { ttft_ms: Percentiles(vec![(50, ttft)]), ..Latency::default() }))
            .collect();
        let candidates: Vec<CandidateFacts<'_>> = each
            .iter()
            .zip(NAMES)
            .zip(&latencies)
            .map(|((known, model), latency)| CandidateFacts {
                quality: known.quality,
                weight: known.weight,
                price: candidate(model, 1, 0.5).price.filter(|_| known.price.is_some()).map(|mut price| {
                    price.input = known.price.unwrap();
                    price
                }),
                context_window: known.window,
                latency: latency.as_ref(),
                in_flight: known.load,
                excluded: known.excluded.then_some("excluded"),
                description: known.place.as_ref().map(|place| &place[..]),
                ..CandidateFacts { model, ..CandidateFacts::default() }
            })
            .collect();
        let previous = previous.map(|at| Previous { model: NAMES[at], warm_tokens: 500, turns: 2, idle_seconds: 3, in_tool_loop: seed % 2 == 0 });
        let request = SelectionRequest {
            prompt_tokens: tokens,
            embedding: Some(&[0.4, 0.2]),
            learned: Some(&learner),
            helper_answer: (seed % 3 == 0).then_some("b"),
            previous,
            seed,
            ..request()
        };
        let ranking = selection.rank(&request, &candidates);
        prop_assert_eq!(&ranking, &selection.rank(&request, &candidates), "the same again");
        for ranked in &ranking.ranked {
            let known = &each[ranked.index];
            prop_assert!(!known.excluded);
            prop_assert!(known.window.is_none_or(|window| tokens + 500 <= window));
            prop_assert!(ranked.score.is_none_or(f64::is_finite));
        }
        let mut places: Vec<usize> = ranking.ranked.iter().map(|ranked| ranked.index).chain(ranking.unfit.iter().map(|unfit| unfit.index)).collect();
        places.sort_unstable();
        places.dedup();
        let rescued = ranking.ranked.iter().filter(|ranked| ranking.unfit.iter().any(|unfit| unfit.index == ranked.index)).count();
        prop_assert_eq!(places.len(), candidates.len(), "everyone has a place");
        prop_assert_eq!(ranking.ranked.len() + ranking.unfit.len() - rescued, candidates.len(), "and one place only");
        prop_assert!(rescued <= 1);
        // But for one that its session holds, and unless nothing tells them apart, a total order.
        let from = usize::from(previous.is_some());
        let scores: Vec<f64> = ranking.ranked.iter().skip(from).map(|ranked| ranked.score.unwrap_or(f64::NEG_INFINITY)).collect();
        prop_assert!(scores.is_sorted_by(|left, right| left >= right), "{:?}", scores);
    }

    #[test]
    fn the_order_of_candidates_does_not_matter_to_those_that_draw(seed in any::<u64>()) {
        let selection = build(json!({"type": "thompson", "thompson": {"max_exploration": 1.0}}));
        let learner = Learner::new(LearnerConfig::default());
        let request = SelectionRequest { learned: Some(&learner), seed, ..request() };
        let forth = NAMES.map(|model| candidate(model, 1, 0.5));
        let mut back = forth.clone();
        back.reverse();
        let (forth, back) = (selection.rank(&request, &forth), selection.rank(&request, &back));
        prop_assert_eq!(order(&forth), order(&back));
    }
}
