//! A small model of random weights, as a file: two heads, a tagger, an embedding, n-grams.

use pointsman_semantics::container::Writer;
use serde_json::{Value, json};

/// Columns of its rows.
pub const WIDTH: usize = 32;
const INNER: usize = 48;
/// How the guard listens to itself, to the topic, and to its first stage: labels by inputs.
pub const JOINT: [f32; 14] = [
    1.0, 0.0, 0.5, -0.5, 0.0, 2.0, 0.0, 0.0, -1.0, 0.0, 0.25, 1.0, 0.0, 3.0,
];
/// Of the n-grams that may be read beside both stages.
pub const BESIDE_SCALES: [f32; 4] = [0.03, 0.04, 0.01, 0.01];
/// Likewise.
pub const BESIDE_BIAS: [f32; 4] = [0.0, -0.5, 0.25, -0.25];
const LABELS: [&str; 3] = ["O", "B-NAME", "I-NAME"];

struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn codes(&mut self, count: usize) -> Vec<i8> {
        (0..count).map(|_| (self.next() >> 33) as i8).collect()
    }

    fn floats(&mut self, count: usize, scale: f32) -> Vec<f32> {
        (0..count)
            .map(|_| ((self.next() >> 40) as f32 / (1 << 23) as f32 - 1.0) * scale)
            .collect()
    }
}

fn linear(writer: &mut Writer, numbers: &mut Numbers, name: &str, inputs: usize, outputs: usize) {
    writer.signed(name, &[outputs, inputs], &numbers.codes(inputs * outputs));
    writer.floats(&format!("{name}.scale"), &[outputs], &vec![0.004; outputs]);
    writer.floats(&format!("{name}.bias"), &[outputs], &numbers.floats(outputs, 0.1));
}

fn norm(writer: &mut Writer, name: &str) {
    writer.floats(&format!("{name}.weight"), &[WIDTH], &[1.0; WIDTH]);
    writer.floats(&format!("{name}.bias"), &[WIDTH], &[0.0; WIDTH]);
}

/// Weights of the n-grams that may be read beside both stages.
pub fn beside_codes() -> Vec<i8> {
    Numbers(7).codes(1_024)
}

/// Its settings.
pub fn settings() -> Value {
    json!({
        "encoder": {"vocabulary": 40, "width": WIDTH, "heads": 4, "inner": INNER, "blocks": 3, "positions": 32,
            "epsilon": 1e-12, "lowercase": true, "strip_accents": true},
        "window": 16, "overlap": 4,
        "heads": [
            {"name": "guard", "labels": ["benign", "attack"], "exit": 2, "reads": "first_and_mean", "across": "any",
                "layers": [["guard.0", 8], ["guard.1", 2]], "calibration": {"temperature": 1.5},
                "points": [{"name": "fpr_1pct", "label": "attack", "threshold": 0.9}],
                "first": "guard", "sure": {"outside": {"class": 1, "low": 0.2, "high": 0.8}}, "share": 0.5},
            {"name": "topic", "labels": ["a", "b", "c"], "exit": 3, "reads": "mean", "across": "weighted",
                "layers": [["topic.0", 3]], "calibration": {"platt": [[1.0, 0.0], [2.0, 0.1], [1.0, -1.0]]}},
        ],
        "taggers": [{"name": "pii", "labels": LABELS, "exit": 2, "layer": "pii.0", "calibration": {"temperature": 1.0},
            "threshold": 0.5}],
        "embedding": {"exit": 3, "reads": "mean"},
        "ngrams": {"bits": 10, "runs": [3], "columns": 2, "heads": [{"name": "guard", "labels": ["benign", "attack"],
            "first_column": 0, "across": "any", "calibration": {"temperature": 1.0}}]},
    })
}

/// The file of a small model of random weights, which are always the same, with these settings.
pub fn file(settings: Value) -> Vec<u8> {
    let mut writer = Writer::default();
    let mut numbers = Numbers(99);
    let mut words: Vec<String> = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "."]
        .map(str::to_owned)
        .to_vec();
    words.extend(('a'..='q').flat_map(|letter| [letter.to_string(), format!("##{letter}")]));
    writer.text("vocabulary", &words.join("\n"));
    writer.signed("words", &[40, WIDTH], &numbers.codes(40 * WIDTH));
    writer.floats("words.scale", &[40], &[0.01; 40]);
    writer.floats("positions", &[32, WIDTH], &numbers.floats(32 * WIDTH, 0.3));
    norm(&mut writer, "words.norm");
    for block in 0..3 {
        for (name, inputs, outputs) in [
            ("mix", WIDTH, 3 * WIDTH),
            ("out", WIDTH, WIDTH),
            ("up", WIDTH, INNER),
            ("down", INNER, WIDTH),
        ] {
            linear(
                &mut writer,
                &mut numbers,
                &format!("block.{block}.{name}"),
                inputs,
                outputs,
            );
        }
        norm(&mut writer, &format!("block.{block}.norm1"));
        norm(&mut writer, &format!("block.{block}.norm2"));
    }
    linear(&mut writer, &mut numbers, "guard.0", 2 * WIDTH, 8);
    linear(&mut writer, &mut numbers, "guard.1", 8, 2);
    linear(&mut writer, &mut numbers, "topic.0", WIDTH, 3);
    linear(&mut writer, &mut numbers, "pii.0", WIDTH, 3);
    writer.signed("ngrams", &[1_024, 2], &numbers.codes(2_048));
    writer.floats("ngrams.scale", &[2], &[0.02; 2]);
    writer.floats("ngrams.bias", &[2], &[0.1, -0.1]);
    // For settings that join heads.
    writer.floats("guard.joint", &[2, 7], &JOINT);
    writer.floats("guard.joint.bias", &[2], &[0.25, -0.5]);
    // For settings that have n-grams beside both stages.
    writer.signed("beside", &[256, 4], &beside_codes());
    writer.floats("beside.scale", &[4], &BESIDE_SCALES);
    writer.floats("beside.bias", &[4], &BESIDE_BIAS);
    writer.finish(settings).unwrap()
}
