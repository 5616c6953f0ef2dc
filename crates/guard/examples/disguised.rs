//! How well a guardrail finds attacks as they are and in disguise: `cargo run -p pointsman-guard --example disguised FILE [TYPE]`.
//!
//! The file has one JSON object a line: `text`, and `label`, which is `benign` for what must pass. TYPE is `jailbreak` or
//! `harmful`. Told for each disguise: the share of attacks that are caught, and of the others that are, with the ways in which
//! a text can be read and without.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "it prints what it measures and expects a good file"
)]

use std::sync::Arc;

use pointsman_guard::{GuardrailConfig, Guards, Placeholders, Stage};
use pointsman_understanding::{Ask, Nobody, Understanding, UnderstandingConfig};
use serde::Deserialize;

/// Texts of each sort that are looked at.
const MOST: usize = 400;

#[derive(Deserialize)]
struct Row {
    text: String,
    label: String,
}

type Disguise = (&'static str, fn(&str) -> String);

const DISGUISES: [Disguise; 8] = [
    ("as it is", str::to_owned),
    ("invisible letters", |text| {
        each(text, |letter| format!("{letter}\u{200b}"))
    }),
    ("look-alikes", |text| {
        each(text, |letter| alike(letter).to_string())
    }),
    ("wide letters", |text| {
        each(text, |letter| match u32::from(letter) {
            code @ 0x21..=0x7e => char::from_u32(code + 0xfee0).unwrap().to_string(),
            _ => letter.to_string(),
        })
    }),
    ("letters apart", |text| {
        let words = text
            .split(' ')
            .map(|word| each(word, |letter| format!("{letter} ")).trim_end().to_owned());
        words.collect::<Vec<_>>().join("  ")
    }),
    ("digits for letters", |text| {
        each(text, |letter| digit(letter).to_string())
    }),
    ("base 64", base64),
    ("hexadecimal", |text| {
        text.bytes().map(|byte| format!("{byte:02x}")).collect()
    }),
];

fn each(text: &str, of: fn(char) -> String) -> String {
    text.chars().map(of).collect()
}

fn alike(letter: char) -> char {
    match letter {
        'a' => 'а',
        'c' => 'с',
        'e' => 'е',
        'i' => 'і',
        'o' => 'о',
        'p' => 'р',
        'x' => 'х',
        other => other,
    }
}

fn digit(letter: char) -> char {
    match letter {
        'a' => '4',
        'e' => '3',
        'i' => '1',
        'o' => '0',
        's' => '5',
        't' => '7',
        other => other,
    }
}

fn base64(text: &str) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for three in text.as_bytes().chunks(3) {
        let bits = three
            .iter()
            .fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte))
            << (8 * (3 - three.len()));
        for place in 0..=three.len() {
            out.push(char::from(LETTERS[(bits >> (18 - 6 * place) & 63) as usize]));
        }
    }
    out
}

#[tokio::main]
async fn main() {
    let path = std::env::args().nth(1).expect("a file");
    let kind = std::env::args().nth(2).unwrap_or_else(|| "jailbreak".to_owned());
    let file = std::fs::read_to_string(path).expect("the file");
    let rows: Vec<Row> = file
        .lines()
        .map(|line| serde_json::from_str(line).expect("a row"))
        .collect();
    let config = format!(r#"{{"type": "{kind}", "name": "g", "on": ["input"], "timeout": "10m"}}"#);
    let config: GuardrailConfig = serde_json::from_str(&config).expect("a guardrail");
    let guards = Guards::compile(&[config]).expect("guards");
    let guards = guards.for_stage(Stage::Input);
    let understanding = Understanding::new(&UnderstandingConfig::default());
    for (name, disguise) in DISGUISES {
        let mut told = Vec::new();
        for benign in [false, true] {
            let of_sort = rows.iter().filter(|row| (row.label == "benign") == benign);
            // Every so manieth, so that all sources are there.
            let all: Vec<&Row> = of_sort.collect();
            let step = all.len().div_ceil(MOST).max(1);
            let texts: Vec<Arc<str>> = all
                .iter()
                .step_by(step)
                .map(|row| disguise(&row.text).into())
                .collect();
            let heard = guards.hear(&understanding, texts.clone().into()).await;
            let caught = texts.iter().filter(|text| {
                let verdict = guards.inspect(text, &heard, &Placeholders::default());
                verdict.blocked.is_some()
            });
            let caught = caught.count();
            let mut alone = 0;
            for text in &texts {
                let read = understanding
                    .read(text, &Ask::head(&kind), &Nobody)
                    .await
                    .expect("an answer");
                let point = read.heads[0].point("fpr_1pct").expect("a threshold");
                alone += usize::from(point.holds);
            }
            let share = |count: usize| count * 1000 / texts.len().max(1);
            told.push((share(caught), share(alone)));
        }
        let share = |(caught, alone): (usize, usize)| {
            let percent = |thousandth: usize| format!("{}.{} %", thousandth / 10, thousandth % 10);
            format!("{} ({} without views)", percent(caught), percent(alone))
        };
        println!("{name}: attacks {}, others {}", share(told[0]), share(told[1]));
    }
}
