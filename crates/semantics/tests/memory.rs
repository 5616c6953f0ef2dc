//! What reading and loading take of memory, counted as it is allocated: the bounds of docs/understanding.md.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test says what it expects by failing"
)]

#[path = "engine/small.rs"]
mod small;

use std::path::{Path, PathBuf};

use allocation_counter::measure;
use pointsman_semantics::engine::{Engine, EngineRoom, LONGEST_TEXT, Question};
use pointsman_semantics::load::{AskRoom, Options, load};
use pointsman_semantics::tokenize::{Tokenizer, WordPiece, WordPieceOptions};
use serde_json::{Value, json};

/// The most bytes that `run` holds at once.
fn peak(run: impl FnOnce()) -> usize {
    usize::try_from(measure(run).bytes_max).unwrap()
}

const UNITS: [&str; 9] = [
    "abc ", "a", "\u{300}", "中", "!", "\u{0}", " ", "\u{378}", "q\u{301}",
];

/// Room of a thread, what a group of windows takes, and lists beside.
const BESIDES: usize = 2 << 20;

#[test]
fn reading_takes_so_much_for_each_token_and_no_more_beyond_the_longest_text() {
    let engine = Engine::from_file("model.pm", &small::file(small::settings())).unwrap();
    let everything = engine.everything();
    let labels = 3;
    // A token with its place, its row of logits and their weight, and what a span of it alone would be; lists may have
    // grown to twice of that.
    let each = 2 * (12 + 4 * labels + 4 + 2 * 48);
    for unit in UNITS {
        for bytes in [10_000, 400_000] {
            let text = unit.repeat(bytes / unit.len());
            let mut tokens = 0;
            let taken = peak(|| {
                let mut room = EngineRoom::default();
                tokens = engine.read(&[(&text, &everything)], &mut room)[0].tokens;
            });
            assert!(tokens <= LONGEST_TEXT);
            assert!(
                taken <= BESIDES + each * tokens,
                "{unit:?}, {bytes}: {taken} for {tokens} tokens"
            );
        }
    }
    // The first stage alone keeps nothing of a text.
    let first = Question {
        heads: Vec::new(),
        spans: false,
        embedding: false,
        thorough: false,
    };
    let text = "abc ".repeat(1 << 20);
    let taken = peak(|| drop(engine.read(&[(&text, &first)], &mut EngineRoom::default())));
    assert!(taken <= BESIDES, "{taken}");
}

#[test]
fn tokenizing_takes_so_much_for_each_piece() {
    let words: Vec<String> = ["[UNK]", "[CLS]", "[SEP]"]
        .map(str::to_owned)
        .into_iter()
        .chain(('a'..='z').flat_map(|letter| [letter.to_string(), format!("##{letter}")]))
        .collect();
    let own =
        WordPiece::from_vocabulary("vocab.txt", &words.join("\n"), WordPieceOptions::default()).unwrap();
    for unit in UNITS {
        let text = unit.repeat((2 << 20) / unit.len());
        let taken = peak(|| drop(own.pieces(&text, 1_000)));
        assert!(taken <= 64 << 10, "{unit:?}: {taken}");
        let taken = peak(|| drop(own.pieces(&text, 100_000)));
        assert!(taken <= (64 << 10) + 3 * 12 * 100_100, "{unit:?}: {taken}");
    }
    // One word of ten megabytes.
    let word = "x".repeat(10 << 20);
    let taken = peak(|| assert_eq!(own.pieces(&word, 1_000).tokens.len(), 1));
    assert!(taken <= 64 << 10, "{taken}");
}

#[test]
fn a_published_tokenizer_sees_no_more_than_a_stretch() {
    let bytes = serde_json::to_vec(
        &json!({"version": "1.0", "added_tokens": [], "normalizer": {"type": "NFKC"},
        "pre_tokenizer": {"type": "Whitespace"}, "post_processor": null, "decoder": null,
        "model": {"type": "WordLevel", "vocab": {"[UNK]": 0, "a": 1}, "unk_token": "[UNK]"}}),
    )
    .unwrap();
    let own = Tokenizer::from_json("tokenizer.json", &bytes).unwrap();
    // U+FDFA becomes eighteen letters: the worst that NFKC does.
    for unit in UNITS.into_iter().chain(["\u{fdfa}"]) {
        let [small, large] = [200_000, 800_000].map(|bytes| {
            let text = unit.repeat(bytes / unit.len());
            peak(|| drop(own.pieces(&text, 1_000)))
        });
        assert!(large <= 64 << 20, "{unit:?}: {large}");
        assert!(
            large <= small + small / 2 + (1 << 20),
            "{unit:?}: {small}, then {large}"
        );
    }
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/parity")
        .join(name)
}

fn size(folder: &Path) -> usize {
    std::fs::metadata(folder.join("model.safetensors")).unwrap().len() as usize
}

#[test]
fn loading_takes_the_file_its_weights_and_one_matrix_besides() {
    for name in ["bert", "modernbert", "deberta-v3", "qwen3", "embedding-gemma"] {
        let folder = folder(name);
        let taken = peak(|| drop(load(&folder, &Options::default()).unwrap()));
        // The files are small, so that the tokenizer and lists of names weigh more.
        assert!(
            taken <= 4 * size(&folder) + (2 << 20),
            "{name}: {taken} for {}",
            size(&folder)
        );
    }
    let model = load(&folder("modernbert"), &Options::default()).unwrap();
    let text = "abc def ".repeat(50_000);
    let taken = peak(|| {
        drop(model.classify(
            &[&text],
            pointsman_semantics::classify::Across::Any,
            &mut AskRoom::default(),
        ));
    });
    assert!(taken <= BESIDES + 3 * 12 * LONGEST_TEXT, "{taken}");
}

/// Keys of settings that tell a size, by model.
const SIZES: [(&str, &[&str]); 6] = [
    (
        "bert",
        &[
            "hidden_size",
            "intermediate_size",
            "vocab_size",
            "max_position_embeddings",
            "type_vocab_size",
        ],
    ),
    ("bert-tokens", &["num_hidden_layers", "num_attention_heads"]),
    (
        "modernbert",
        &[
            "hidden_size",
            "intermediate_size",
            "vocab_size",
            "num_hidden_layers",
            "max_position_embeddings",
        ],
    ),
    (
        "deberta-v3",
        &[
            "hidden_size",
            "vocab_size",
            "max_position_embeddings",
            "position_buckets",
            "embedding_size",
        ],
    ),
    (
        "qwen3",
        &[
            "head_dim",
            "hidden_size",
            "num_attention_heads",
            "num_key_value_heads",
            "num_hidden_layers",
        ],
    ),
    (
        "embedding-gemma",
        &["head_dim", "hidden_size", "sliding_window", "num_hidden_layers"],
    ),
];

/// A copy of a folder whose settings say 2^24 for a key.
fn lying(name: &str, key: &str) -> tempfile::TempDir {
    let target = tempfile::tempdir().unwrap();
    for file in ["config.json", "tokenizer.json", "model.safetensors"] {
        std::fs::copy(folder(name).join(file), target.path().join(file)).unwrap();
    }
    let path = target.path().join("config.json");
    let mut config: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    config[key] = json!(1 << 24);
    if key == "num_labels" {
        config["id2label"] = Value::Null;
    }
    std::fs::write(&path, config.to_string()).unwrap();
    target
}

/// Settings that speak of far more than the weights hold are refused before anything of that size is made.
#[test]
fn settings_that_lie_about_sizes_take_no_memory() {
    for (name, keys) in SIZES {
        for key in keys {
            let target = lying(name, key);
            let taken = peak(|| drop(load(target.path(), &Options::default())));
            assert!(taken <= 64 << 20, "{name}, {key}: {taken}");
        }
    }
    let target = lying("bert", "num_labels");
    let mut told = String::new();
    let taken = peak(|| told = load(target.path(), &Options::default()).unwrap_err().to_string());
    assert!(
        taken <= 64 << 20 && told.contains("`num_labels` is"),
        "{taken}: {told}"
    );
}
