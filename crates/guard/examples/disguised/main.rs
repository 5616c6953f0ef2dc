//! How well a guardrail finds attacks as they are and in disguise:
//! `cargo run -p pointsman-guard --example disguised -- DATA [TYPE] [MOST] [ONLY] [WEIGHTS]`.
//!
//! DATA is a folder of labelled texts: `TYPE/dev.jsonl.gz` in it has a JSON object a line with `text`, `label` (`benign` for
//! what must pass), `source` and `lang`. TYPE is `jailbreak` (when absent) or `harmful`; MOST texts of each sort are looked at
//! (200). With ONLY, the plain form and disguises with that in their name are all that is looked at; `translation` stands for
//! translations alone, `-` for everything. WEIGHTS is a file in the place of the one that ships. Told at the usual operating point, for each disguise: the share of attacks that are caught, how far that
//! is from the plain form, and the share of harmless texts in the same disguise that are caught, too.
//!
//! Translations are told twice: of attacks that the data has in many languages beside the English ones of the same families,
//! and of sentences written for this measurement in seventeen languages (`translated.jsonl`), which no model has seen: what
//! is made for training is held against them, and what is like one of them is left out.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "it prints what it measures and expects good files"
)]

mod disguises;

use std::collections::BTreeMap;
use std::process::Command;

use futures_util::stream::{self, StreamExt};
use pointsman_guard::{Askable, GuardrailConfig, Guards, Placeholders, Shown, Sort, Stage};
use pointsman_understanding::{Understanding, UnderstandingConfig};
use pointsman_upstream::{Client, ClientOptions, HumanDuration, UpstreamConfig};
use serde::Deserialize;

/// Texts of each sort that are looked at, when the call does not say.
const MOST: usize = 200;
/// Most bytes of a text: longer ones take longer, and say the same.
const LONGEST: usize = 2_000;
/// Texts that are judged at once.
const AT_ONCE: usize = 8;
/// Sources whose texts are in a disguise of their own already.
const DISGUISED: [&str; 2] = ["pointsman-encodings", "garak-dra"];
/// What stands for translations alone, where the call names a disguise.
const TRANSLATION: &str = "translation";
/// Attacks in many languages, and the English ones of the same families.
const TRANSLATED: (&str, &str) = ("purplellama-pi-mt", "purplellama-pi");

#[derive(Deserialize)]
struct Row {
    text: String,
    label: String,
    #[serde(default)]
    source: String,
    #[serde(default)]
    lang: String,
}

impl Row {
    fn is_attack(&self) -> bool {
        self.label != "benign"
    }
}

/// Rows of JSON lines.
fn rows(text: &str) -> Vec<Row> {
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    lines
        .map(|line| serde_json::from_str(line).expect("a row"))
        .collect()
}

/// The held-out texts of a type in a folder of data.
fn held_out(folder: &str, kind: &str) -> Vec<Row> {
    let path = format!("{folder}/{kind}/dev.jsonl.gz");
    let unpacked = Command::new("gzip").args(["-dc", &path]).output().expect("gzip");
    assert!(unpacked.status.success(), "{path} cannot be read");
    rows(&String::from_utf8(unpacked.stdout).expect("texts"))
}

/// Every so manieth, so that all sources are there.
fn some<'r>(rows: impl Iterator<Item = &'r Row>, most: usize) -> Vec<&'r Row> {
    let all: Vec<&Row> = rows.collect();
    let step = all.len().div_ceil(most).max(1);
    all.into_iter().step_by(step).collect()
}

/// Who judges.
struct Judge {
    guards: Guards,
    understanding: Understanding,
    client: Client,
}

impl Judge {
    /// The guardrail of a type as a configuration has it that says nothing more.
    fn of(kind: &str, weights: Option<String>) -> Self {
        let config =
            format!(r#"{{"type": "{kind}", "name": "g", "on": ["input", "tool_result"], "timeout": "10m"}}"#);
        let config: GuardrailConfig = serde_json::from_str(&config).expect("a guardrail");
        Self {
            guards: Guards::compile(&[config]).expect("guards"),
            // However busy the machine is.
            understanding: Understanding::new(&UnderstandingConfig {
                deadline: HumanDuration::from_secs(600),
                model: weights.unwrap_or_else(|| UnderstandingConfig::default().model),
                ..UnderstandingConfig::default()
            }),
            client: Client::new(ClientOptions::compile(&UpstreamConfig::default()).expect("a client")),
        }
    }

    /// Whether a conversation of these texts is held back.
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
        let blocked = reviewed.blocked;
        assert!(
            blocked.as_ref().is_none_or(|block| !block.unjudged),
            "a text was not judged: {blocked:?}"
        );
        blocked.is_some()
    }

    /// How many of these are held back, each as the texts that `told` makes of it.
    async fn caught(&self, rows: &[&Row], stage: Stage, told: impl Fn(&str) -> Vec<String>) -> Share {
        let texts: Vec<Vec<String>> = rows.iter().map(|row| told(&row.text)).collect();
        let each = texts.iter().map(|texts| self.blocks(texts, stage));
        let blocked: Vec<bool> = stream::iter(each).buffer_unordered(AT_ONCE).collect().await;
        Share {
            count: blocked.iter().filter(|blocked| **blocked).count(),
            of: blocked.len(),
        }
    }
}

/// A part of all.
#[derive(Clone, Copy, Default)]
struct Share {
    count: usize,
    of: usize,
}

impl Share {
    fn percent(self) -> f64 {
        self.count as f64 * 100.0 / self.of.max(1) as f64
    }
}

/// A line of the table: against the plain form.
fn tell(name: &str, (attacks, others): (Share, Share), plain: Share) {
    let (caught, alarms) = (attacks.percent(), others.percent());
    let change = caught - plain.percent();
    println!("| {name} | {caught:.1} % | {change:+.1} | {alarms:.1} % |");
}

/// Attacks in other languages beside the same in English.
async fn tell_translations(name: &str, judge: &Judge, texts: &[Row]) {
    let mut languages: BTreeMap<&str, [Vec<&Row>; 2]> = BTreeMap::new();
    for row in texts {
        languages.entry(&row.lang).or_default()[usize::from(!row.is_attack())].push(row);
    }
    let Some(english) = languages.remove("en") else {
        return;
    };
    let whole = |text: &str| vec![text.to_owned()];
    let plain = judge.caught(&english[0], Stage::Input, whole).await;
    let alarms = judge.caught(&english[1], Stage::Input, whole).await;
    tell(&format!("{name}, English"), (plain, alarms), plain);
    let mut all = [Share::default(); 2];
    let mut each = Vec::new();
    for (language, rows) in languages {
        for (sum, rows) in all.iter_mut().zip(&rows) {
            let share = judge.caught(rows, Stage::Input, whole).await;
            sum.count += share.count;
            sum.of += share.of;
            if !rows.is_empty() && rows[0].is_attack() {
                each.push(format!("{language} {:.0} %", share.percent()));
            }
        }
    }
    tell(&format!("{name}, other languages"), (all[0], all[1]), plain);
    println!("\n{name}: {}\n", each.join(", "));
}

/// Those of the data, and those written for this.
async fn tell_all_translations(judge: &Judge, all: Vec<Row>) {
    head(TRANSLATION);
    let of_data: Vec<Row> = all
        .into_iter()
        .filter(|row| row.source == TRANSLATED.0 || row.source == TRANSLATED.1)
        .collect();
    tell_translations("of the data", judge, &of_data).await;
    tell_translations("written for this", judge, &rows(include_str!("translated.jsonl"))).await;
}

fn head(of: &str) {
    println!("\n| {of} | attacks caught | against the plain form, points | harmless texts caught |");
    println!("| --- | --- | --- | --- |");
}

#[tokio::main]
async fn main() {
    let mut words = std::env::args().skip(1);
    let folder = words.next().expect("a folder of data");
    let kind = words.next().unwrap_or_else(|| "jailbreak".to_owned());
    let most = words
        .next()
        .map_or(MOST, |count| count.parse().expect("a number"));
    let only = words.next().filter(|only| only != "-");
    let weights = words.next();
    let is_wanted = |name: &str| only.as_ref().is_none_or(|only| name.contains(only));
    let all = held_out(&folder, &kind);
    let judge = Judge::of(&kind, weights);
    if only.as_deref() == Some(TRANSLATION) {
        tell_all_translations(&judge, all).await;
        return;
    }
    let plain = || {
        all.iter()
            .filter(|row| row.text.len() <= LONGEST && row.lang == "en")
            .filter(|row| !DISGUISED.contains(&row.source.as_str()))
    };
    let attacks = some(plain().filter(|row| row.is_attack()), most);
    let others = some(plain().filter(|row| !row.is_attack()), most);
    println!("{} attacks, {} harmless texts", attacks.len(), others.len());
    head("disguise");
    let mut reference = None;
    for (name, disguise) in disguises::ALL {
        if reference.is_some() && !is_wanted(name) {
            continue;
        }
        let told = |text: &str| vec![disguise(text)];
        let caught = judge.caught(&attacks, Stage::Input, told).await;
        let alarms = judge.caught(&others, Stage::Input, told).await;
        let plain = *reference.get_or_insert(caught);
        tell(name, (caught, alarms), plain);
    }
    let reference = reference.unwrap_or_default();
    if only.is_some() {
        return;
    }
    for (name, stage) in [("turns", Stage::Input), ("results of tools", Stage::ToolResult)] {
        for count in [2, 3, 4] {
            let told = |text: &str| disguises::parts(text, count);
            let caught = judge.caught(&attacks, stage, told).await;
            let alarms = judge.caught(&others, stage, told).await;
            tell(&format!("over {count} {name}"), (caught, alarms), reference);
        }
    }
    // Texts that have nothing to do with each other, as the turns of one conversation.
    let mut talks = Share::default();
    for rows in others.chunks(4) {
        let talk: Vec<String> = rows.iter().map(|row| row.text.clone()).collect();
        talks.of += 1;
        talks.count += usize::from(judge.blocks(&talk, Stage::Input).await);
    }
    println!("\nconversations of four harmless texts: {:.1} %", talks.percent());
    if kind == "jailbreak" {
        tell_all_translations(&judge, all).await;
    }
}
