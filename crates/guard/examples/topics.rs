//! How well example sentences tell topics apart: `cargo run -p pointsman-guard --example topics -- DATA [MOST]`.
//!
//! DATA is a folder of labelled texts: `domain/train.jsonl.gz` and `domain/dev.jsonl.gz` in it have a JSON object a line with
//! `text`, `label`, `source` and `kind`. Of each subject, a source or a label, twelve sentences of the training part are the examples; MOST held-out texts of
//! the subject, and as many of all others, are judged (40). Told for each threshold: with `allow`, the share of the subject
//! that passes and of the others that are held back; with `deny`, the share of the subject that is held back and of the others
//! that pass.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "it prints what it measures and expects good files"
)]

use std::process::Command;

use futures_util::stream::{self, StreamExt};
use pointsman_guard::{Askable, GuardrailConfig, Guards, Placeholders, Shown, Sort, Stage};
use pointsman_understanding::{Understanding, UnderstandingConfig};
use pointsman_upstream::{Client, ClientOptions, HumanDuration, UpstreamConfig};
use serde::Deserialize;
use serde_json::json;

/// What somebody may want to allow or deny: customers of a bank, questions about diseases, about programs, and three subjects.
const SUBJECTS: [&str; 6] = [
    "banking77",
    "medquad",
    "stackoverflow-titles",
    "law",
    "economics",
    "psychology",
];
/// Kinds of texts as users write them.
const KINDS: [&str; 3] = ["conversational", "question", "utterance"];
/// Example sentences of a subject.
const EXAMPLES: usize = 12;
const THRESHOLDS: [u8; 6] = [30, 35, 40, 45, 50, 60];
/// Texts that are judged at once.
const AT_ONCE: usize = 8;

#[derive(Deserialize)]
struct Row {
    text: String,
    label: String,
    source: String,
    kind: String,
}

fn rows(path: &str) -> Vec<Row> {
    let unpacked = Command::new("gzip").args(["-dc", path]).output().expect("gzip");
    assert!(unpacked.status.success(), "{path} cannot be read");
    let text = String::from_utf8(unpacked.stdout).expect("texts");
    let rows = text
        .lines()
        .map(|line| serde_json::from_str::<Row>(line).expect("a row"));
    rows.filter(|row| KINDS.contains(&row.kind.as_str()) && row.text.len() < 1_000)
        .collect()
}

/// Every so manieth, so that all sources are there.
fn some<'r>(rows: impl Iterator<Item = &'r Row>, most: usize) -> Vec<&'r str> {
    let all: Vec<&str> = rows.map(|row| row.text.as_str()).collect();
    let step = all.len().div_ceil(most).max(1);
    all.into_iter().step_by(step).take(most).collect()
}

/// Who is asked.
struct Asked {
    understanding: Understanding,
    client: Client,
}

impl Asked {
    /// How many of these are held back by examples of a sort at a threshold.
    async fn held(&self, sort: &str, examples: &[&str], threshold: u8, texts: &[&str]) -> usize {
        let config = json!({
            "type": "topics", "name": "t", "on": ["input"], "timeout": "10m", "threshold": threshold, sort: examples,
        });
        let config: GuardrailConfig = serde_json::from_value(config).expect("a guardrail");
        let guards = Guards::compile(&[config]).expect("guards");
        let each = texts.iter().map(|text| {
            let shown = Shown {
                text: (*text).into(),
                sort: Sort::Foreign,
                stage: Stage::Input,
            };
            let askable = Askable {
                understanding: &self.understanding,
                client: &self.client,
                grounds: None,
            };
            let guards = &guards;
            async move {
                let placeholders = Placeholders::default();
                let reviewed = guards.review(vec![shown], askable, &placeholders).await;
                assert!(reviewed.blocked.as_ref().is_none_or(|block| !block.unjudged));
                reviewed.blocked.is_some()
            }
        });
        let held: Vec<bool> = stream::iter(each).buffer_unordered(AT_ONCE).collect().await;
        held.into_iter().filter(|held| *held).count()
    }
}

#[tokio::main]
async fn main() {
    let mut words = std::env::args().skip(1);
    let folder = words.next().expect("a folder of data");
    let most = words.next().map_or(40, |count| count.parse().expect("a number"));
    let train = rows(&format!("{folder}/domain/train.jsonl.gz"));
    let dev = rows(&format!("{folder}/domain/dev.jsonl.gz"));
    let asked = Asked {
        understanding: Understanding::new(&UnderstandingConfig {
            deadline: HumanDuration::from_secs(600),
            ..UnderstandingConfig::default()
        }),
        client: Client::new(ClientOptions::compile(&UpstreamConfig::default()).expect("a client")),
    };
    println!(
        "| threshold | allow: own pass | allow: others held back | deny: own held back | deny: others pass |"
    );
    println!("| --- | --- | --- | --- | --- |");
    for threshold in THRESHOLDS {
        // Own and others: all, held back by `allow`, held back by `deny`.
        let mut counts = [[0_usize; 3]; 2];
        let mut each = Vec::new();
        for subject in SUBJECTS {
            let of = |row: &&Row| row.label == subject || row.source == subject;
            let examples = some(train.iter().filter(of), EXAMPLES);
            let own = some(dev.iter().filter(of), most);
            let others = some(dev.iter().filter(|row| !of(row)), most);
            for (count, texts) in counts.iter_mut().zip([&own, &others]) {
                let allow = asked.held("allow", &examples, threshold, texts).await;
                let deny = asked.held("deny", &examples, threshold, texts).await;
                for (sum, more) in count.iter_mut().zip([texts.len(), allow, deny]) {
                    *sum += more;
                }
                each.push(format!("{deny}/{}", texts.len()));
            }
        }
        let [own, others] = counts;
        let share = |part: usize, of: usize| 100.0 * part as f64 / of.max(1) as f64;
        println!(
            "| {threshold} | {:.0} % | {:.0} % | {:.0} % | {:.0} % |",
            share(own[0] - own[1], own[0]),
            share(others[1], others[0]),
            share(own[2], own[0]),
            share(others[0] - others[2], others[0]),
        );
        eprintln!(
            "{threshold}: held back by deny, own and others, by subject: {}",
            each.join(" ")
        );
    }
}
