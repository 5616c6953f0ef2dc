//! What training computes for itself, the engine computes alike: `training/fixtures/text.json`, written by
//! `pointsman_training.fixtures`.

#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]

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
