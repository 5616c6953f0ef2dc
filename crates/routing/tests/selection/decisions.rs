//! Decisions select by their algorithm, and say why.

use pointsman_routing::selection::{
    Algorithm, FitOptions, HashedNgrams, KnownModels, Price, Questions, Row, fit,
};
use pointsman_routing::{Facts, Outcome, Router, RoutingConfig};
use serde_json::{Value, json};

#[derive(Debug)]
struct Prices;

impl KnownModels for Prices {
    fn price(&self, model: &str) -> Option<Price> {
        let dollars = match model {
            "small" => 1,
            "large" => 10,
            _ => return None,
        };
        let each = dollars * 1_000_000_000;
        Some(Price {
            input: each,
            cached_input: each,
            output: each,
        })
    }
}

fn compile(algorithm: Value) -> Result<Router, Vec<(String, String)>> {
    let config: RoutingConfig = serde_json::from_value(json!({
        "modelCards": [{"name": "large", "quality_score": 0.9, "context_window_size": 100_000},
                       {"name": "small", "quality_score": 0.7, "context_window_size": 8_000}],
        "decisions": [{"name": "d", "modelRefs": [{"model": "large"}, {"model": "small"}], "algorithm": algorithm}]
    }))
    .unwrap();
    Router::compile(&config).map_err(|errors| {
        errors
            .into_iter()
            .map(|error| (error.path, error.message))
            .collect()
    })
}

fn decide(router: &Router, text: &str, tokens: u64) -> Vec<String> {
    let facts = Facts {
        user_text: text,
        estimated_tokens: tokens,
        completion_tokens: 500,
        models: Some(&Prices),
        ..Facts::default()
    };
    let Outcome::Matched(decided) = router.decide(&facts, 0.3) else {
        panic!("no match")
    };
    let names = decided.selected.into_iter().chain(decided.fallbacks);
    names.map(|selected| selected.model.clone()).collect()
}

#[test]
fn a_decisions_algorithm_orders_its_models() {
    let of = |algorithm: Value, tokens| decide(&compile(algorithm).unwrap(), "hello", tokens);
    assert_eq!(of(json!("static"), 500), ["large", "small"]);
    assert_eq!(of(json!({"type": "automix"}), 500), ["small", "large"]);
    assert_eq!(
        of(
            json!({"type": "automix", "automix": {"cost_aware_routing": false}}),
            500
        ),
        ["large", "small"]
    );
    let cheap = json!({"type": "multi_factor", "multi_factor": {"weights": {"quality": 0.3, "cost": 0.7}}});
    assert_eq!(of(cheap.clone(), 500), ["small", "large"]);
    assert_eq!(
        of(cheap.clone(), 9_000),
        ["large"],
        "the small one's window is too short"
    );
    assert!(of(cheap, 200_000).is_empty(), "nobody's is long enough");
}

#[test]
fn weights_draw_with_the_chance_that_is_given() {
    let router = compile(json!({"type": "weighted"})).unwrap();
    let large = (0..400)
        .filter(|at| {
            let facts = Facts {
                user_text: "x",
                ..Facts::default()
            };
            let Outcome::Matched(decided) = router.decide(&facts, f64::from(*at) / 400.0) else {
                panic!("no match")
            };
            decided.selected.unwrap().model == "large"
        })
        .count();
    assert!((150..=250).contains(&large), "{large} of 400");
}

#[test]
fn a_fitted_file_selects_and_the_explanation_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("f.weights");
    let rows: Vec<Row> = (0..120)
        .map(|at| {
            let hard = at % 2 == 0;
            let text = if hard {
                format!("prove theorem {at}")
            } else {
                format!("greet person {at}")
            };
            let correct = [
                ("large".to_owned(), 1.0),
                ("small".to_owned(), f64::from(u8::from(!hard))),
            ];
            Row {
                text,
                options: Vec::new(),
                correct: correct.into_iter().collect(),
            }
        })
        .collect();
    let embedder = HashedNgrams::new(256);
    let questions = Questions::new(&rows, &["large".to_owned(), "small".to_owned()], &embedder).unwrap();
    let fitted = fit(&questions, &embedder, &FitOptions::new(Algorithm::Svm)).unwrap();
    std::fs::write(&path, fitted.write().unwrap()).unwrap();
    let block =
        json!({"type": "svm", "svm": {"pretrained_path": path.to_str().unwrap(), "efficiency_weight": 0.2}});
    let router = compile(block).unwrap();
    assert_eq!(decide(&router, "prove theorem 999", 500)[0], "large");
    assert_eq!(decide(&router, "greet person 999", 500)[0], "small");
    let facts = Facts {
        user_text: "greet person 5",
        completion_tokens: 500,
        models: Some(&Prices),
        ..Facts::default()
    };
    let told = serde_json::to_value(router.explain(&facts, 0.3)).unwrap();
    assert_eq!(
        (&told["selection_method"], &told["selected_model"]["model"]),
        (&json!("svm"), &json!("small"))
    );
    let first = &told["selection"]["ranked"][0];
    assert!(
        first["parts"]["quality"].as_f64().unwrap() > 0.7 && first["cost"] == json!(500_000),
        "{told}"
    );
}

#[test]
fn what_nothing_feeds_is_refused_where_it_stands() {
    for (algorithm, place, part) in [
        (json!({"type": "prompt"}), "prompt", "needs model"),
        (
            json!({"type": "svm", "svm": {"pretrained_path": "/nowhere/f.weights"}}),
            "svm.pretrained_path",
            "/nowhere/f.weights",
        ),
        (
            json!({"type": "automix", "automix": {"discount_factor": 2}}),
            "automix.discount_factor",
            "from 0 to 1",
        ),
        (json!({"type": "statik"}), "type", "statik"),
    ] {
        let errors = compile(algorithm.clone()).err().unwrap();
        let dot = if place.is_empty() { "" } else { "." };
        let path = format!("decisions[0].algorithm{dot}{place}");
        assert!(
            errors
                .iter()
                .any(|(at, message)| *at == path && message.contains(part)),
            "{algorithm}: {errors:?}"
        );
    }
}
