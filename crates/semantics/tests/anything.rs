//! Any text, and any damage to a file: answers are answers, places are places, and nothing falls.

#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]

#[path = "engine/small.rs"]
mod small;

use std::path::Path;
use std::sync::LazyLock;

use pointsman_semantics::engine::{Engine, EngineRoom, Question};
use pointsman_semantics::load::{AskRoom, Model, Options, load};
use pointsman_semantics::vectors::{Limits, VectorIndex};
use proptest::prelude::*;

static FILE: LazyLock<Vec<u8>> = LazyLock::new(|| small::file(small::settings()));
static ENGINE: LazyLock<Engine> = LazyLock::new(|| Engine::from_file("model.pm", &FILE).unwrap());
static PUBLISHED: LazyLock<Vec<Model>> = LazyLock::new(|| {
    let folder = |name: &str| {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/parity")
            .join(name)
    };
    let each =
        ["bert", "deberta-v3", "modernbert"].map(|name| load(&folder(name), &Options::default()).unwrap());
    each.into()
});

/// Any characters, those that nobody assigned among them; and a few of them again and again.
fn text() -> impl Strategy<Value = String> {
    let odd = prop::sample::select(vec![
        "\u{300}",
        "\u{301}\u{316}",
        "\u{378}",
        "\u{10ffff}",
        "\u{fdfa}",
        "\u{0}",
        "\u{200d}",
        "İ",
        "中",
        "abc ",
        "[SEP]",
        " ",
        "\n",
    ]);
    prop_oneof![
        prop::collection::vec(any::<char>(), 0..80).prop_map(|letters| letters.into_iter().collect()),
        "[a-q .!?@0-9]{0,200}",
        (odd.clone(), 0..2_000_usize).prop_map(|(unit, times)| unit.repeat(times)),
        prop::collection::vec(odd, 0..40).prop_map(|parts| parts.concat()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_read(text in text(), other in text()) {
        let question = ENGINE.everything();
        let quick = Question { spans: false, embedding: false, ..question.clone() };
        let mut room = EngineRoom::default();
        let alone = ENGINE.read(&[(&text, &question)], &mut room).pop().unwrap();
        let together = ENGINE.read(&[(&other, &quick), (&text, &question), (&other, &question)], &mut room);
        prop_assert_eq!(&together[1], &alone, "what a text says depends on its company");
        for (_, answer, _) in &alone.answers {
            prop_assert!(answer.probabilities.iter().all(|value| (0.0..=1.0).contains(value)), "{:?}", answer);
        }
        let mut before = 0;
        for found in &alone.spans {
            prop_assert!(found.span.start >= before && text.get(found.span.start..found.span.end).is_some_and(|part| !part.is_empty()));
            before = found.span.start;
        }
        let length: f32 = alone.embedding.unwrap().iter().map(|value| value * value).sum();
        prop_assert!((length - 1.0).abs() < 1e-3, "{}", length);
    }

    #[test]
    fn published_models_classify_any_text_and_any_pair(first in text(), second in text()) {
        let mut room = AskRoom::default();
        for model in PUBLISHED.iter() {
            let alone = model.classify(&[&first], pointsman_semantics::classify::Across::Any, &mut room).unwrap();
            let pair = model.classify_pairs(&[(&first, &second)], &mut room).unwrap();
            for probabilities in alone.iter().chain(&pair) {
                prop_assert!((probabilities.iter().sum::<f32>() - 1.0).abs() < 1e-3, "{:?}", probabilities);
            }
        }
    }

    #[test]
    fn a_file_of_weights_with_other_bytes_is_refused_or_reads(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in prop::option::of(any::<prop::sample::Index>()),
        sealed in any::<bool>(),
    ) {
        let mut bytes = FILE.clone();
        for (place, value) in edits {
            // The header is where damage is not seen by a checksum once it is sealed anew.
            let place = if sealed { 20 + place.index(4_000) } else { place.index(bytes.len()) };
            bytes[place] ^= value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        if sealed && bytes.len() > 20 {
            let length = u32::from_le_bytes(bytes[12..16].try_into().unwrap()) as usize;
            let end = (20 + length).min(bytes.len());
            let checksum = crc32fast::hash(&bytes[20..end]).to_le_bytes();
            bytes[16..20].copy_from_slice(&checksum);
        }
        if let Ok(engine) = Engine::from_file("model.pm", &bytes) {
            let _ = engine.read(&[("abc def", &engine.everything())], &mut EngineRoom::default());
        }
        let vectors = (Path::new("vectors"), &bytes[..], bytes.len() as u64);
        prop_assert!(VectorIndex::read_from(vectors, 4, Limits::default()).is_err());
    }
}
