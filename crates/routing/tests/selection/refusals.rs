//! What is not there, or can't be, is refused by name and place; what the semantic router prints is taken.

use std::sync::Arc;

use pointsman_routing::selection::AlgorithmConfig;
use serde_json::{Value, json};

use crate::try_build;

fn wrong(config: Value) -> Vec<(String, String)> {
    try_build(config, &["a", "b"], None).err().unwrap_or_default()
}

/// The blocks that the semantic router's own examples have, fragments and reference alike.
#[test]
fn printed_blocks_of_selectors_are_taken() {
    for block in [
        json!({"type": "static"}),
        json!({"type": "automix", "automix": {"verification_threshold": 0.78, "max_escalations": 2, "cost_aware_routing": true}}),
        json!({"type": "automix", "automix": {"verification_threshold": 0.78, "max_escalations": 2, "cost_aware_routing": true,
               "cost_quality_tradeoff": 0.35, "discount_factor": 0.9, "use_logprob_verification": true}}),
        json!({"type": "hybrid", "hybrid": {"experience_weight": 0.4, "router_dc_weight": 0.4, "automix_weight": 0.2, "cost_weight": 0.1}}),
        json!({"type": "hybrid", "hybrid": {"experience_weight": 0.4, "router_dc_weight": 0.3, "automix_weight": 0.2, "cost_weight": 0.1,
               "quality_gap_threshold": 0.08, "normalize_scores": true}}),
        json!({"type": "latency_aware", "latency_aware": {"tpot_percentile": 90, "ttft_percentile": 95, "description": "fast"}}),
        json!({"type": "multi_factor", "multi_factor": {"weights": {"quality": 0.4, "latency": 0.2, "cost": 0.2, "load": 0.2},
               "slo": {"max_tpot_ms": 200, "max_ttft_ms": 800, "max_cost_per_1m": 5.0, "max_inflight": 50},
               "latency_percentile": 95, "on_no_candidates": "cheapest"}}),
        json!({"type": "prompt", "on_error": "fallback", "prompt": {"model": "qwen3-8b", "instructions": "Choose.", "timeout_seconds": 5}}),
        json!({"type": "router_dc", "router_dc": {"temperature": 0.2, "dimension_size": 384, "min_similarity": 0.7,
               "use_query_contrastive": true, "use_model_contrastive": true, "require_descriptions": true, "use_capabilities": true}}),
    ] {
        let built = try_build(block.clone(), &["a", "b"], None);
        assert!(built.is_ok(), "{block}: {:?}", built.err());
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table: one row for each mistake")]
fn what_is_not_there_is_refused_by_name() {
    for (config, place, part) in [
        (
            json!({"type": "mlp", "mlp": {"pretrained_path": "gone"}}),
            "mlp.pretrained_path",
            "gone: not there",
        ),
        (
            json!({"type": "confidence", "confidence": {"threshold": 0.7}}),
            "type",
            "asks several models",
        ),
        (json!({"type": "rl_driven"}), "type", "use thompson"),
        (json!({"type": "best"}), "type", "unknown type"),
        (
            json!({"type": "static", "automix": {}}),
            "automix",
            "is not read by type",
        ),
        (json!({"type": "static", "colour": 1}), "colour", "unknown field"),
        (
            json!({"type": "static", "on_error": "fail"}),
            "on_error",
            "fallback or skip",
        ),
        (
            json!({"type": "latency_aware"}),
            "latency_aware",
            "needs ttft_percentile",
        ),
        (
            json!({"type": "latency_aware", "latency_aware": {"ttft_percentile": 101}}),
            "latency_aware.ttft_percentile",
            "1 to 100",
        ),
        (
            json!({"type": "router_dc", "router_dc": {"temperature": 0.0}}),
            "router_dc.temperature",
            "from 0.001 to 100",
        ),
        (
            json!({"type": "hybrid", "hybrid": {"experience_weight": 0.0, "router_dc_weight": 0.0, "automix_weight": 0.0}}),
            "hybrid",
            "zero",
        ),
        (
            json!({"type": "prompt", "prompt": {"model": "h"}}),
            "prompt",
            "instructions",
        ),
        (
            json!({"type": "multi_factor", "multi_factor": {"slo": {"max_ttft_ms": -1}}}),
            "multi_factor.slo.max_ttft_ms",
            "from 0",
        ),
        (
            json!({"type": "static", "target": {"min_quality": 0.5}}),
            "target",
            "does not estimate",
        ),
        (json!({"type": "elo", "target": {}}), "target", "needs one of"),
        (
            json!({"type": "elo", "target": {"min_quality": 1.5}}),
            "target.min_quality",
            "from 0 to 1",
        ),
        (
            json!({"type": "elo", "session": {"switch_margin": -0.1}}),
            "session.switch_margin",
            "from 0",
        ),
    ] {
        let wrong = wrong(config.clone());
        assert!(
            wrong
                .iter()
                .any(|(at, message)| at == place && message.contains(part)),
            "{config}: {wrong:?}"
        );
    }
    // All at once.
    let all = json!({"type": "elo", "target": {}, "session": {"switch_margin": -0.1}, "elo": {"initial_rating": -1}});
    assert_eq!(wrong(all).len(), 3);
}

#[test]
fn fields_that_are_misspelt_are_no_blocks() {
    for config in [
        json!({"type": "automix", "automix": {"tradeoff": 1}}),
        json!({"type": "elo", "elo": {"k_factor": 32}}),
        json!({"type": "thompson", "thompson": {"posterior": "normal"}}),
    ] {
        assert!(
            serde_json::from_value::<AlgorithmConfig>(config.clone()).is_err(),
            "{config}"
        );
    }
}

#[test]
fn a_file_of_another_kind_or_of_other_models_is_refused() {
    use pointsman_routing::selection::{Algorithm, FitOptions, HashedNgrams, Questions, Row, fit};
    let rows: Vec<Row> = (0..30)
        .map(|at| Row {
            text: format!("question {at}"),
            options: Vec::new(),
            correct: [("a".to_owned(), f64::from(at % 2)), ("b".to_owned(), 1.0)]
                .into_iter()
                .collect(),
        })
        .collect();
    let embedder = HashedNgrams::new(32);
    let questions = Questions::new(&rows, &["a".to_owned(), "b".to_owned()], &embedder).unwrap();
    let fitted = Arc::new(fit(&questions, &embedder, &FitOptions::new(Algorithm::Svm)).unwrap());
    let build = |kind: &str, candidates: &[&str]| {
        try_build(
            json!({"type": kind, kind: {"pretrained_path": "f"}}),
            candidates,
            Some(&fitted),
        )
        .err()
        .unwrap_or_default()
    };
    assert!(build("svm", &["a", "b"]).is_empty());
    assert!(build("mlp", &["a", "b"])[0].1.contains("was fitted as svm"));
    assert!(build("svm", &["a", "c"])[0].1.contains("and not to c"));
}
