//! Fitted models: what they find out, that they do so again, and their files.

use std::sync::Arc;

use pointsman_routing::selection::{
    Algorithm, Chance, Embedder, FitError, FitOptions, Fitted, HashedNgrams, Questions, Row,
    SelectionRequest, Sparse, fit,
};
use serde_json::json;

use crate::{candidate, first, request, try_build};

const SUMS: [&str; 6] = [
    "derivative",
    "integral",
    "matrix",
    "prime",
    "equation",
    "triangle",
];
const TALES: [&str; 6] = ["dragon", "castle", "river", "winter", "sailor", "garden"];

/// Questions of two kinds: `solver` is good at sums, `teller` at tales, `weak` at neither.
fn rows(count: usize, seed: u64) -> Vec<Row> {
    let mut chance = Chance::new(seed);
    (0..count)
        .map(|_| {
            let sums = chance.unit() < 0.5;
            let words = if sums { SUMS } else { TALES };
            let mut pick = || words[chance.below(6)];
            let text = format!(
                "please tell me about the {} and the {} of this {}",
                pick(),
                pick(),
                pick()
            );
            let mut right = |good: f64| f64::from(u8::from(chance.unit() < good));
            let worth = [
                ("solver", right(if sums { 0.95 } else { 0.2 })),
                ("teller", right(if sums { 0.2 } else { 0.9 })),
                ("weak", right(0.3)),
            ];
            Row {
                text,
                options: Vec::new(),
                correct: worth
                    .map(|(name, worth)| (name.to_owned(), worth))
                    .into_iter()
                    .collect(),
            }
        })
        .collect()
}

fn models() -> Vec<String> {
    ["solver", "teller", "weak"].map(str::to_owned).to_vec()
}

fn fitted(algorithm: Algorithm) -> Fitted {
    let embedder = HashedNgrams::new(512);
    let questions = Questions::new(&rows(600, 1), &models(), &embedder).unwrap();
    let options = FitOptions {
        clusters: 24,
        neighbours: 15,
        ..FitOptions::new(algorithm)
    };
    fit(&questions, &embedder, &options).unwrap()
}

#[test]
fn each_finds_out_who_is_good_at_what() {
    for algorithm in Algorithm::ALL {
        let fitted = Arc::new(fitted(algorithm));
        let name = algorithm.name();
        let config = json!({"type": name, name: {"pretrained_path": "f"}});
        let selection = try_build(config, &["solver", "teller", "weak"], Some(&fitted)).unwrap();
        let candidates = ["weak", "teller", "solver"].map(|model| candidate(model, 1, 0.5));
        let mut right = 0;
        for row in rows(200, 99) {
            let request = SelectionRequest {
                text: &row.text,
                ..request()
            };
            let best = if SUMS.iter().any(|word| row.text.contains(word)) {
                "solver"
            } else {
                "teller"
            };
            right += usize::from(first(&selection.rank(&request, &candidates)) == best);
        }
        assert!(right >= 185, "{name}: {right} of 200");
    }
}

#[test]
fn chances_are_chances() {
    for algorithm in [Algorithm::Knn, Algorithm::Kmeans, Algorithm::Svm, Algorithm::Mlp] {
        let fitted = fitted(algorithm);
        let chances = fitted
            .predict(
                "please tell me about the matrix and the prime of this equation",
                None,
            )
            .unwrap();
        let of = |model| fitted.of(model, &chances).unwrap();
        assert!((of("solver") - 0.95).abs() < 0.12, "{algorithm:?}: {chances:?}");
        assert!(
            (of("teller") - 0.2).abs() < 0.15 && (of("weak") - 0.3).abs() < 0.15,
            "{algorithm:?}: {chances:?}"
        );
    }
}

#[test]
fn a_dear_models_advantage_has_its_price() {
    let fitted = Arc::new(fitted(Algorithm::Svm));
    let candidates = [candidate("solver", 10, 0.5), candidate("teller", 1, 0.5)];
    let choose = |weight| {
        let config = json!({"type": "svm", "svm": {"pretrained_path": "f", "efficiency_weight": weight}});
        let selection = try_build(config, &["solver", "teller"], Some(&fitted)).unwrap();
        let request = SelectionRequest {
            text: "the integral of this equation",
            ..request()
        };
        first(&selection.rank(&request, &candidates)).to_owned()
    };
    assert_eq!((choose(0.0).as_str(), choose(1.0).as_str()), ("solver", "teller"));
}

#[test]
fn the_same_seed_is_the_same_file_and_the_file_is_the_model() {
    for algorithm in Algorithm::ALL {
        let one = fitted(algorithm);
        let bytes = one.write().unwrap();
        assert!(bytes == fitted(algorithm).write().unwrap(), "{algorithm:?}");
        let read = Fitted::read("f.weights", &bytes).unwrap();
        assert_eq!(
            (read.algorithm(), read.models(), read.encoder()),
            (algorithm, one.models(), None)
        );
        for text in ["the dragon", "prime", "", "Ünïcode 😀"] {
            assert_eq!(read.predict(text, None), one.predict(text, None));
        }
        for place in [30, bytes.len() / 2, bytes.len() - 1] {
            let mut spoilt = bytes.clone();
            spoilt[place] ^= 1;
            let same = Fitted::read("f.weights", &spoilt).is_ok_and(|read| read == one);
            assert!(
                !Fitted::read("f.weights", &spoilt).is_ok_and(|read| read != one),
                "{algorithm:?}, byte {place}"
            );
            // Only zeros between parts may change without a word.
            assert!(!same || bytes[place] == 0);
        }
        assert!(Fitted::read("f.weights", &bytes[..bytes.len() / 2]).is_err());
    }
}

struct Encoder;

impl Embedder for Encoder {
    fn name(&self) -> &str {
        "minilm"
    }

    fn width(&self) -> usize {
        2
    }

    fn read(&self, text: &str) -> Sparse {
        let sums = SUMS.iter().filter(|word| text.contains(**word)).count();
        Sparse::dense(&[sums as f32, 1.0])
    }
}

#[test]
fn what_was_fitted_to_embeddings_needs_them() {
    let questions = Questions::new(&rows(300, 1), &models(), &Encoder).unwrap();
    let fitted = fit(&questions, &Encoder, &FitOptions::new(Algorithm::Svm)).unwrap();
    let fitted = Fitted::read("f", &fitted.write().unwrap()).unwrap();
    assert_eq!(fitted.encoder(), Some("minilm"));
    assert!(fitted.predict("prime", None).is_err());
    assert!(fitted.predict("prime", Some(&[1.0])).is_err());
    let best = |embedding: &[f32]| {
        let chances = fitted.predict("", Some(embedding)).unwrap();
        if chances[0] > chances[1] {
            "solver"
        } else {
            "teller"
        }
    };
    assert_eq!((best(&[0.95, 0.3]), best(&[0.0, 1.0])), ("solver", "teller"));
}

#[test]
fn too_little_to_fit_to_is_said() {
    let embedder = HashedNgrams::new(64);
    let few = Questions::new(&rows(10, 1), &models(), &embedder).unwrap();
    assert!(matches!(
        fit(&few, &embedder, &FitOptions::new(Algorithm::Knn)),
        Err(FitError::Rows(_))
    ));
    let strange = Questions::new(&rows(100, 1), &["solver".to_owned(), "who".to_owned()], &embedder);
    assert!(matches!(strange, Err(FitError::Rows(problem)) if problem.contains("who")));
    let alone = Questions::new(&rows(100, 1), &["solver".to_owned()], &embedder);
    assert!(matches!(alone, Err(FitError::Rows(_))));
    let questions = Questions::new(&rows(100, 1), &models(), &embedder).unwrap();
    let options = FitOptions {
        clusters: 0,
        ..FitOptions::new(Algorithm::Kmeans)
    };
    assert!(matches!(
        fit(&questions, &embedder, &options),
        Err(FitError::Option(_))
    ));
}
