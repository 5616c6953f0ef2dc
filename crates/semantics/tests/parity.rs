//! Published architectures against what the `transformers` library computes: `parity/make.py` wrote models and results.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

use std::path::{Path, PathBuf};

use pointsman_semantics::classify::Across;
use pointsman_semantics::encoder::{Asked, Scratch, States};
use pointsman_semantics::kernels::{Codes, Machine};
use pointsman_semantics::linear::Precision;
use pointsman_semantics::load::{AskError, AskRoom, Model, Options, Task, load};
use serde::Deserialize;

/// No number may be further from that of the library.
const TOLERANCE: f32 = 1e-3;

#[derive(Deserialize)]
struct Expected {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    ids: Vec<u32>,
    states: Vec<f32>,
    logits: Option<Vec<f32>>,
    vector: Option<Vec<f32>>,
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/parity")
        .join(name)
}

fn expected(folder: &Path) -> Vec<Case> {
    let text = std::fs::read_to_string(folder.join("expected.json")).unwrap();
    serde_json::from_str::<Expected>(&text).unwrap().cases
}

fn loaded(name: &str, precision: Precision, adapters: Vec<PathBuf>) -> Model {
    let options = Options {
        precision,
        adapters,
        ..Options::default()
    };
    load(&folder(name), &options).unwrap()
}

fn furthest(expected: &[f32], found: &[f32]) -> f32 {
    assert_eq!(expected.len(), found.len());
    expected
        .iter()
        .zip(found)
        .fold(0.0, |most, (a, b)| most.max((a - b).abs()))
}

fn check(model: &Model, cases: &[Case], name: &str) {
    for machine in Machine::available() {
        let asked = Asked {
            machine,
            ..Asked::default()
        };
        let (mut scratch, mut states) = (Scratch::default(), States::default());
        // All cases at once: lengths differ, and nothing may leak from one into another.
        let sequences: Vec<&[u32]> = cases.iter().map(|case| case.ids.as_slice()).collect();
        model.encoder.encode(&sequences, asked, &mut scratch, &mut states);
        for (index, case) in cases.iter().enumerate() {
            let distance = furthest(&case.states, states.rows(index));
            assert!(
                distance < TOLERANCE,
                "{name} on {}, case {index}: {distance}",
                machine.name()
            );
            let width = model.encoder.width;
            let output = model
                .purpose
                .apply(machine, states.rows(index), width, &mut Codes::default());
            if let Some(wanted) = case.logits.as_ref().or(case.vector.as_ref()) {
                let distance = furthest(wanted, &output);
                assert!(
                    distance < TOLERANCE,
                    "{name} on {}, case {index}: logits {distance}",
                    machine.name()
                );
            }
        }
    }
}

macro_rules! parity {
    ($($test:ident: $name:literal,)*) => {
        $(#[test]
        fn $test() {
            check(&loaded($name, Precision::Float, Vec::new()), &expected(&folder($name)), $name);
        })*
    };
}

parity! {
    bert_is_that_of_transformers: "bert",
    bert_for_tokens_is_that_of_transformers: "bert-tokens",
    bert_without_a_head_is_that_of_transformers: "bert-plain",
    roberta_is_that_of_transformers: "roberta",
    xlm_roberta_is_that_of_transformers: "xlm-roberta",
    distilbert_is_that_of_transformers: "distilbert",
    modernbert_is_that_of_transformers: "modernbert",
    mmbert_for_tokens_is_that_of_transformers: "mmbert-tokens",
    deberta_v3_is_that_of_transformers: "deberta-v3",
    deberta_v2_for_pairs_is_that_of_transformers: "deberta-v2-pairs",
    deberta_v2_for_tokens_is_that_of_transformers: "deberta-v2-tokens",
    qwen3_is_that_of_transformers: "qwen3",
    embedding_gemma_is_that_of_transformers: "embedding-gemma",
}

#[test]
fn an_adapter_merged_at_load_is_that_of_transformers() {
    let adapter = folder("bert").join("adapter");
    let model = loaded("bert", Precision::Float, vec![adapter.clone()]);
    check(&model, &expected(&adapter), "bert with an adapter");
}

#[derive(Deserialize)]
struct Pair {
    texts: (String, String),
    probabilities: Vec<f32>,
}

/// Pairs of texts: the frame between them and the types of their tokens are those of the library.
#[test]
fn pairs_are_those_of_transformers() {
    for name in ["bert", "deberta-v3", "deberta-v2-pairs"] {
        let model = loaded(name, Precision::Float, Vec::new());
        let text = std::fs::read_to_string(folder(name).join("pairs.json")).unwrap();
        let expected: Vec<Pair> = serde_json::from_str(&text).unwrap();
        let pairs: Vec<(&str, &str)> = expected
            .iter()
            .map(|pair| (pair.texts.0.as_str(), pair.texts.1.as_str()))
            .collect();
        let found = model.classify_pairs(&pairs, &mut AskRoom::default()).unwrap();
        for (pair, found) in expected.iter().zip(&found) {
            let distance = furthest(&pair.probabilities, found);
            assert!(distance < TOLERANCE, "{name}, {:?}: {distance}", pair.texts);
        }
        // The types of tokens are no small matter: without them, or with those of the other text, it is another answer.
        let mut plain = loaded(name, Precision::Float, Vec::new());
        if plain.encoder.embeddings.second.take().is_some() {
            let without = plain.classify_pairs(&pairs, &mut AskRoom::default()).unwrap();
            assert!(
                found.iter().zip(&without).any(|(a, b)| furthest(a, b) > 0.01),
                "{name}"
            );
        }
    }
}

/// A tokenizer whose pairs have no second type, as XLM-RoBERTa's, leaves the model's second type alone.
#[test]
fn types_of_tokens_are_those_of_the_tokenizer() {
    let target = tempfile::tempdir().unwrap();
    for file in ["config.json", "model.safetensors"] {
        std::fs::copy(folder("bert").join(file), target.path().join(file)).unwrap();
    }
    let text = std::fs::read_to_string(folder("bert").join("tokenizer.json")).unwrap();
    let mut described: serde_json::Value = serde_json::from_str(&text).unwrap();
    let part = |kind: &str, id: &str, number: u32| serde_json::json!({kind: {"id": id, "type_id": number}});
    let pairs = [("abc", "de f")];
    let mut found = Vec::new();
    for number in [0, 1] {
        let special = |name: &str, id: u32| serde_json::json!({"id": name, "ids": [id], "tokens": [name]});
        described["post_processor"] = serde_json::json!({"type": "TemplateProcessing",
            "single": [part("SpecialToken", "[CLS]", 0), part("Sequence", "A", 0), part("SpecialToken", "[SEP]", 0)],
            "pair": [part("SpecialToken", "[CLS]", 0), part("Sequence", "A", 0), part("SpecialToken", "[SEP]", 0),
                part("Sequence", "B", number), part("SpecialToken", "[SEP]", number)],
            "special_tokens": {"[CLS]": special("[CLS]", 2), "[SEP]": special("[SEP]", 3)}});
        // By our own hand, and by the library: a normaliser of another name is none of ours.
        for library in [false, true] {
            let mut described = described.clone();
            if library {
                described["normalizer"] = serde_json::json!({"type": "Lowercase"});
            }
            std::fs::write(target.path().join("tokenizer.json"), described.to_string()).unwrap();
            let options = Options {
                precision: Precision::Float,
                ..Options::default()
            };
            let model = load(target.path(), &options).unwrap();
            assert_eq!(model.tokenizer.frame().marks_second, number == 1);
            found.push(model.classify_pairs(&pairs, &mut AskRoom::default()).unwrap());
        }
    }
    assert_eq!((&found[0], &found[2]), (&found[1], &found[3]));
    assert!(furthest(&found[0][0], &found[2][0]) > 1e-3);
}

#[test]
fn labels_come_from_the_settings() {
    let model = loaded("bert", Precision::Float, Vec::new());
    let Task::Sequence { labels, independent } = &model.purpose.task else {
        panic!("{:?}", model.purpose.task);
    };
    assert_eq!(labels, &["class-0", "class-1", "class-2"]);
    assert!(!independent);
}

/// What bytes cost: states stay near those of floats, in direction and in size.
#[test]
fn bytes_stay_near_floats() {
    for name in [
        "bert",
        "modernbert",
        "deberta-v3",
        "qwen3",
        "embedding-gemma",
        "distilbert",
    ] {
        let model = loaded(name, Precision::Int8, Vec::new());
        let cases = expected(&folder(name));
        let sequences: Vec<&[u32]> = cases.iter().map(|case| case.ids.as_slice()).collect();
        let (mut scratch, mut states) = (Scratch::default(), States::default());
        model
            .encoder
            .encode(&sequences, Asked::default(), &mut scratch, &mut states);
        for (index, case) in cases.iter().enumerate() {
            let found = states.rows(index);
            let dot: f32 = case.states.iter().zip(found).map(|(a, b)| a * b).sum();
            let length = |values: &[f32]| values.iter().map(|x| x * x).sum::<f32>().sqrt();
            let cosine = dot / (length(&case.states) * length(found));
            assert!(cosine > 0.995, "{name}, case {index}: {cosine}");
        }
    }
}

/// A text comes out the same, bit for bit, whatever stands beside it in the batch and however often it is asked.
#[test]
fn company_changes_nothing() {
    for (name, precision) in [
        ("bert", Precision::Int8),
        ("bert", Precision::Float),
        ("modernbert", Precision::Int8),
        ("deberta-v3", Precision::Float),
        ("embedding-gemma", Precision::Float),
    ] {
        let model = loaded(name, precision, Vec::new());
        let texts: Vec<Vec<u32>> = [1_usize, 3, 33, 7, 64, 2]
            .iter()
            .map(|length| {
                (0..*length)
                    .map(|index| 5 + (index * 7 + length) as u32 % 90)
                    .collect()
            })
            .collect();
        for machine in Machine::available() {
            let asked = Asked {
                machine,
                ..Asked::default()
            };
            let (mut scratch, mut together) = (Scratch::default(), States::default());
            let all: Vec<&[u32]> = texts.iter().map(Vec::as_slice).collect();
            model.encoder.encode(&all, asked, &mut scratch, &mut together);
            let mut alone = States::default();
            for (index, text) in texts.iter().enumerate() {
                model.encoder.encode(&[text], asked, &mut scratch, &mut alone);
                assert_eq!(
                    alone.rows(0),
                    together.rows(index),
                    "{name} on {}",
                    machine.name()
                );
            }
        }
    }
}

#[test]
fn ids_and_lengths_out_of_range_do_no_harm() {
    let model = loaded("bert", Precision::Int8, Vec::new());
    let long: Vec<u32> = (0..500).map(|index| index * 1_000_003).collect();
    let (mut scratch, mut states) = (Scratch::default(), States::default());
    model.encoder.encode(
        &[&long, &[], &[u32::MAX]],
        Asked::default(),
        &mut scratch,
        &mut states,
    );
    assert_eq!(states.rows(0).len(), model.encoder.longest * model.encoder.width);
    assert!(states.rows(1).is_empty());
    assert!(states.rows(2).iter().all(|value| value.is_finite()));
    assert!(states.rows(3).is_empty());
}

#[test]
fn an_early_exit_is_the_encoder_without_its_last_blocks() {
    let mut model = loaded("bert", Precision::Float, Vec::new());
    let (mut scratch, mut early, mut short) = (Scratch::default(), States::default(), States::default());
    let asked = Asked {
        blocks: 1,
        ..Asked::default()
    };
    model
        .encoder
        .encode(&[&[2, 9, 3]], asked, &mut scratch, &mut early);
    model.encoder.blocks.truncate(1);
    model
        .encoder
        .encode(&[&[2, 9, 3]], Asked::default(), &mut scratch, &mut short);
    assert_eq!(early, short);
}

/// Texts, not numbers: short ones are one window, long ones are read whole, and what a model is not for is refused.
#[test]
fn models_are_asked_with_texts() {
    let mut room = AskRoom::default();
    let long = "a quick brown fox ".repeat(40);
    let texts = ["abc", "", long.as_str()];
    let embedder = loaded("embedding-gemma", Precision::Float, Vec::new());
    let vectors = embedder.embed(&texts, (None, None), &mut room).unwrap();
    let short = embedder.embed(&texts, (Some(8), None), &mut room).unwrap();
    for (vector, short) in vectors.iter().zip(&short) {
        let length = |values: &[f32]| values.iter().map(|x| x * x).sum::<f32>().sqrt();
        assert!((length(vector) - 1.0).abs() < 1e-4 && (length(short) - 1.0).abs() < 1e-4);
        let share = length(&vector[..8]);
        assert!(furthest(short, &vector[..8].iter().map(|x| x / share).collect::<Vec<_>>()) < 1e-4);
    }
    let early = embedder.embed(&texts, (None, Some(1)), &mut room).unwrap();
    assert!(furthest(&early[0], &vectors[0]) > 1e-3);
    let error = embedder.embed(&texts, (Some(33), None), &mut room).unwrap_err();
    assert_eq!(
        error.to_string(),
        "33 dimensions were asked for, and the model has 32"
    );
    let error = embedder.classify(&texts, Across::Any, &mut room).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the model is for vectors, and a class was asked of it"
    );

    let classifier = loaded("modernbert", Precision::Int8, Vec::new());
    for across in [Across::Any, Across::Weighted] {
        for probabilities in classifier.classify(&texts, across, &mut room).unwrap() {
            assert!((probabilities.iter().sum::<f32>() - 1.0).abs() < 1e-4);
        }
    }
    let pair = [("abc d", "e f"), (long.as_str(), long.as_str())];
    let entailed = loaded("deberta-v3", Precision::Float, Vec::new());
    for probabilities in entailed.classify_pairs(&pair, &mut room).unwrap() {
        assert!((probabilities.iter().sum::<f32>() - 1.0).abs() < 1e-4);
    }
    let turned = entailed.classify_pairs(&[("e f", "abc d")], &mut room).unwrap();
    let straight = entailed.classify_pairs(&pair[..1], &mut room).unwrap();
    assert!(furthest(&turned[0], &straight[0]) > 1e-4);
    let tagger = loaded("bert-tokens", Precision::Float, Vec::new());
    assert_eq!(tagger.spans("abc", 0.5, &mut room).unwrap_err(), AskError::Labels);
}
