//! What training computes for itself, the engine computes alike: `training/fixtures/text.json`, written by
//! `pointsman_training.fixtures`, and `training/fixtures/beside.json`, written by `pointsman_training.languages`.

#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]

use pointsman_semantics::engine::{Engine, EngineRoom};
use pointsman_semantics::tokenize::windows;
use serde::Deserialize;

#[derive(Deserialize)]
struct Case {
    text: String,
    starts: Vec<usize>,
    windows: Vec<(usize, usize)>,
}

#[test]
fn windows_are_cut_alike() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../training/fixtures/text.json");
    let cases: Vec<Case> = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let mut several = 0;
    for case in cases {
        let found: Vec<(usize, usize)> = windows(case.starts.len(), 126, 16)
            .map(|range| (range.start, range.end))
            .collect();
        several += usize::from(found.len() > 1);
        assert_eq!(found, case.windows, "{}", case.text);
    }
    assert!(several > 0);
}

#[derive(Deserialize)]
struct Said {
    text: String,
    logits: Vec<f32>,
}

#[test]
fn what_is_said_beside_both_stages_is_what_training_says() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let cases = std::fs::read_to_string(format!("{root}/training/fixtures/beside.json")).unwrap();
    let cases: Vec<Said> = serde_json::from_str(&cases).unwrap();
    let weights = std::fs::read(format!("{root}/crates/models/understand.weights")).unwrap();
    let engine = Engine::from_file("understand.weights", &weights).unwrap();
    let (mut room, mut attacks) = (EngineRoom::default(), 0);
    for case in &cases {
        let heads = engine.beside_answers(&case.text, &mut room);
        let said: Vec<f32> = heads.into_iter().flat_map(|(_, answer)| answer.logits).collect();
        attacks += usize::from(case.logits[0] > 0.0);
        assert_eq!(said.len(), case.logits.len());
        for (mine, theirs) in said.iter().zip(&case.logits) {
            assert!((mine - theirs).abs() < 2e-3, "{}: {mine} and {theirs}", case.text);
        }
    }
    assert!(
        attacks > 5 && attacks < cases.len(),
        "{attacks} of {}",
        cases.len()
    );
}
