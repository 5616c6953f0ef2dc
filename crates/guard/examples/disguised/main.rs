//! How well a guardrail finds attacks as they are and in disguise: `cargo run -p pointsman-guard --example disguised FILE [TYPE]`.
//!
//! The file has one JSON object a line: `text`, and `label`, which is `benign` for what must pass. TYPE is `jailbreak` or
//! `harmful`. Told for each disguise: the share of attacks that are caught, and of the others that are, with the ways in which
//! a text can be read and without; then for texts that come in parts, over turns and over results of tools.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "it prints what it measures and expects a good file"
)]

use std::sync::Arc;

use pointsman_guard::{Askable, GuardrailConfig, Guards, Placeholders, Shown, Sort, Stage};
use pointsman_understanding::{Ask, Nobody, Understanding, UnderstandingConfig};
use pointsman_upstream::{Client, ClientOptions, UpstreamConfig};
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

/// A text in parts of about the same number of words.
fn parts(text: &str, count: usize) -> Vec<String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let each = words.len().div_ceil(count).max(1);
    words.chunks(each).map(|part| part.join(" ")).collect()
}

/// What is asked, and of whom.
struct Judge {
    kind: String,
    guards: Guards,
    understanding: Understanding,
    client: Client,
}

impl Judge {
    /// Whether a conversation of these texts is let through.
    async fn blocks(&self, texts: &[String], stage: Stage) -> bool {
        let shown = texts.iter().map(|text| Shown {
            text: text.as_str().into(),
            sort: Sort::Foreign,
            stage,
        });
        let askable = Askable {
            understanding: &self.understanding,
            client: &self.client,
            grounds: None,
        };
        let placeholders = Placeholders::default();
        let reviewed = self.guards.review(shown.collect(), askable, &placeholders).await;
        reviewed.blocked.is_some()
    }

    /// Whether the model alone finds a text, as it is written.
    async fn alone(&self, text: &str) -> bool {
        let text: Arc<str> = text.into();
        let read = self
            .understanding
            .read(&text, &Ask::head(&self.kind), &Nobody)
            .await;
        let point = read.expect("an answer").heads[0].point("fpr_1pct").cloned();
        point.expect("a threshold").holds
    }
}

fn percent(count: usize, of: usize) -> String {
    let thousandth = count * 1000 / of.max(1);
    format!("{}.{} %", thousandth / 10, thousandth % 10)
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
    let config =
        format!(r#"{{"type": "{kind}", "name": "g", "on": ["input", "tool_result"], "timeout": "10m"}}"#);
    let config: GuardrailConfig = serde_json::from_str(&config).expect("a guardrail");
    let judge = Judge {
        kind,
        guards: Guards::compile(&[config]).expect("guards"),
        understanding: Understanding::new(&UnderstandingConfig::default()),
        client: Client::new(ClientOptions::compile(&UpstreamConfig::default()).expect("a client")),
    };
    // Every so manieth, so that all sources are there.
    let of_sort = |benign: bool| -> Vec<&Row> {
        let all: Vec<&Row> = rows
            .iter()
            .filter(|row| (row.label == "benign") == benign)
            .collect();
        let step = all.len().div_ceil(MOST).max(1);
        all.into_iter().step_by(step).collect()
    };
    let (attacks, others) = (of_sort(false), of_sort(true));
    for (name, disguise) in DISGUISES {
        let mut told = Vec::new();
        for rows in [&attacks, &others] {
            let (mut caught, mut alone) = (0, 0);
            for row in rows {
                let text = disguise(&row.text);
                alone += usize::from(judge.alone(&text).await);
                caught += usize::from(judge.blocks(&[text], Stage::Input).await);
            }
            let (caught, alone) = (percent(caught, rows.len()), percent(alone, rows.len()));
            told.push(format!("{caught} ({alone} without views)"));
        }
        println!("{name}: attacks {}, others {}", told[0], told[1]);
    }
    for (name, stage) in [("turns", Stage::Input), ("results of tools", Stage::ToolResult)] {
        for count in [2, 3, 4] {
            let mut told = Vec::new();
            for rows in [&attacks, &others] {
                let mut caught = 0;
                for row in rows {
                    caught += usize::from(judge.blocks(&parts(&row.text, count), stage).await);
                }
                told.push(percent(caught, rows.len()));
            }
            println!("over {count} {name}: attacks {}, others {}", told[0], told[1]);
        }
    }
    // Texts that have nothing to do with each other, as the turns of one conversation.
    let mut caught = 0;
    let talks: Vec<Vec<String>> = others
        .chunks(4)
        .map(|rows| rows.iter().map(|row| row.text.clone()).collect())
        .collect();
    for talk in &talks {
        caught += usize::from(judge.blocks(talk, Stage::Input).await);
    }
    println!(
        "conversations of four other texts: {}",
        percent(caught, talks.len())
    );
}
