//! A file of weights to measure with: random ones of the shape that ships, and settings changed in one that exists.

use pointsman_semantics::container::Writer;
use serde_json::{Value, json};

const WIDTH: usize = 384;
const INNER: usize = 1_536;
const BLOCKS: usize = 3;
const POSITIONS: usize = 128;
const MIDDLE: usize = 192;
const NGRAM_BITS: u32 = 18;

/// Names of heads and how many labels they have.
const HEADS: [(&str, usize); 7] = [
    ("domain", 14),
    ("jailbreak", 3),
    ("harmful", 13),
    ("difficulty", 3),
    ("fact_check", 2),
    ("feedback", 5),
    ("modality", 3),
];

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

fn linear(writer: &mut Writer, numbers: &mut Numbers, name: &str, (inputs, outputs): (usize, usize)) {
    writer.signed(name, &[outputs, inputs], &numbers.codes(inputs * outputs));
    writer.floats(&format!("{name}.scale"), &[outputs], &vec![6e-4; outputs]);
    writer.floats(&format!("{name}.bias"), &[outputs], &numbers.floats(outputs, 0.1));
}

fn norm(writer: &mut Writer, name: &str) {
    writer.floats(&format!("{name}.weight"), &[WIDTH], &[1.0; WIDTH]);
    writer.floats(&format!("{name}.bias"), &[WIDTH], &[0.0; WIDTH]);
}

/// Words of three letters, each followed by its inner form.
fn vocabulary() -> Vec<String> {
    let mut words: Vec<String> = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"].map(str::to_owned).to_vec();
    let letters = || 'a'..='z';
    for first in letters() {
        words.extend([first.to_string(), format!("##{first}")]);
        for second in letters() {
            for third in letters() {
                words.push(format!("{first}{second}{third}"));
            }
        }
    }
    words
}

fn labels(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("label-{number}")).collect()
}

/// Outside, and beginning and inside of 23 kinds.
fn tags() -> Vec<String> {
    std::iter::once("O".to_owned())
        .chain((0..23).flat_map(|kind| [format!("B-KIND{kind}"), format!("I-KIND{kind}")]))
        .collect()
}

/// The first layers of an encoder, and its blocks.
fn encoder(writer: &mut Writer, numbers: &mut Numbers, words: &[String]) {
    writer.text("vocabulary", &words.join("\n"));
    writer.signed(
        "words",
        &[words.len(), WIDTH],
        &numbers.codes(words.len() * WIDTH),
    );
    writer.floats("words.scale", &[words.len()], &vec![0.001; words.len()]);
    writer.floats(
        "positions",
        &[POSITIONS, WIDTH],
        &numbers.floats(POSITIONS * WIDTH, 0.1),
    );
    norm(writer, "words.norm");
    for block in 0..BLOCKS {
        for (part, sides) in [
            ("mix", (WIDTH, 3 * WIDTH)),
            ("out", (WIDTH, WIDTH)),
            ("up", (WIDTH, INNER)),
            ("down", (INNER, WIDTH)),
        ] {
            linear(writer, numbers, &format!("block.{block}.{part}"), sides);
        }
        norm(writer, &format!("block.{block}.norm1"));
        norm(writer, &format!("block.{block}.norm2"));
    }
}

/// A file of the shape that ships, with random weights.
pub fn random() -> Vec<u8> {
    let (mut writer, mut numbers) = (Writer::default(), Numbers(42));
    let words = vocabulary();
    encoder(&mut writer, &mut numbers, &words);
    let tags = tags();
    linear(&mut writer, &mut numbers, "pii", (WIDTH, tags.len()));
    let (mut heads, mut first, mut column) = (Vec::new(), Vec::new(), 0);
    for (name, count) in HEADS {
        let layers = [
            (format!("{name}.0"), (2 * WIDTH, MIDDLE)),
            (format!("{name}.1"), (MIDDLE, count)),
        ];
        for (layer, sides) in &layers {
            linear(&mut writer, &mut numbers, layer, *sides);
        }
        let layers: Vec<Value> = layers
            .iter()
            .map(|(layer, sides)| json!([layer, sides.1]))
            .collect();
        heads.push(json!({"name": name, "labels": labels(count), "exit": BLOCKS, "reads": "first_and_mean",
            "across": "any", "layers": layers, "calibration": {"temperature": 1.0}, "first": name, "share": 0.5}));
        first.push(
            json!({"name": name, "labels": labels(count), "first_column": column, "across": "any",
            "calibration": {"temperature": 1.0}}),
        );
        column += count;
    }
    writer.signed(
        "ngrams",
        &[1 << NGRAM_BITS, column],
        &numbers.codes(column << NGRAM_BITS),
    );
    writer.floats("ngrams.scale", &[column], &vec![0.01; column]);
    writer.floats("ngrams.bias", &[column], &vec![0.0; column]);
    let settings = json!({
        "encoder": {"vocabulary": words.len(), "width": WIDTH, "heads": 12, "inner": INNER, "blocks": BLOCKS,
            "positions": POSITIONS, "epsilon": 1e-12, "lowercase": true, "strip_accents": true},
        "window": 128, "overlap": 16, "heads": heads,
        "taggers": [{"name": "pii", "labels": tags, "exit": BLOCKS, "layer": "pii",
            "calibration": {"temperature": 1.0}, "threshold": 0.9}],
        "embedding": {"exit": BLOCKS, "reads": "mean"},
        "ngrams": {"bits": NGRAM_BITS, "runs": [3, 4], "columns": column, "heads": first},
    });
    writer.finish(settings).unwrap()
}

/// The same file, but the first stage is always sure of itself.
pub fn always_sure(file: &[u8]) -> Vec<u8> {
    const PREFIX: usize = 20;
    let length = |bytes: &[u8]| u32::from_le_bytes(bytes[12..16].try_into().unwrap()) as usize;
    let end = PREFIX + length(file);
    let mut header: Value = serde_json::from_slice(&file[PREFIX..end]).unwrap();
    for head in header["settings"]["heads"].as_array_mut().unwrap() {
        if head["first"].is_string() {
            head["sure"] = json!({"best": -1.0});
        }
    }
    let text = serde_json::to_vec(&header).unwrap();
    let mut changed = file[..12].to_vec();
    changed.extend(u32::try_from(text.len()).unwrap().to_le_bytes());
    changed.extend(crc32fast::hash(&text).to_le_bytes());
    changed.extend(&text);
    changed.resize(changed.len().next_multiple_of(64), 0);
    changed.extend(&file[end.next_multiple_of(64)..]);
    changed
}
