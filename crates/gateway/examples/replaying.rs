//! Makes many recorded decisions and takes them again: `cargo run --release -p pointsman-gateway --example replaying [FOLDER [COUNT]]`.
//!
//! With a folder, the database and the configuration stay there, for `pointsman replay --config FOLDER/new.yaml`.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "what can't be made shall not be timed"
)]

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use pointsman_config::{Config, Environment};
use pointsman_gateway::again::{Change, Retaker};
use pointsman_gateway::experience::Told;
use pointsman_gateway::snapshot::{self, Lasting};
use pointsman_routing::selection::Chance;
use pointsman_routing::{Facts, MessageFacts, Outcome, Replay, Router, Want};
use pointsman_store::{DecisionFilter, DecisionRow, RoutedBatch, Store};
use pointsman_wire::form::Usage;

/// Recorded decisions, where nobody says how many.
const MANY: usize = 100_000;
/// Decisions of the configuration, each of five conditions.
const DECISIONS: usize = 40;
/// Words that prompts are made of.
const WORDS: usize = 120;

fn main() {
    let kept = std::env::args().nth(1).map(PathBuf::from);
    let temporary = tempfile::tempdir().unwrap();
    let folder = kept.as_deref().unwrap_or(temporary.path());
    std::fs::create_dir_all(folder).unwrap();
    let old = configuration(folder, "old.yaml", Changed::default());
    let store = Store::open(&old.stores.database).unwrap();
    let many = std::env::args()
        .nth(2)
        .map_or(MANY, |count| count.parse().unwrap());
    let begun = Instant::now();
    record(
        many,
        &store,
        &Router::compile(old.routing.as_ref().unwrap()).unwrap(),
    );
    let mut out = std::io::stdout().lock();
    // A closed output is nobody to tell.
    let _ = writeln!(
        out,
        "{many} decisions recorded in {:.1} s, one in ten with its text",
        begun.elapsed().as_secs_f64()
    );
    let rules = Changed {
        rules: true,
        ..Changed::default()
    };
    let moved = Changed {
        words: Words::Moved,
        ..rules
    };
    let fresh = Changed {
        words: Words::New,
        ..rules
    };
    for (name, what, changed) in [
        ("rules.yaml", "other rules and priorities", rules),
        ("new.yaml", "and signals that look for other of the words", moved),
        (
            "words.yaml",
            "and signals that look for words that none looked for",
            fresh,
        ),
    ] {
        let [same, changed, unknown, took] = retaken(&store, &old, &configuration(folder, name, changed));
        let _ = writeln!(
            out,
            "{what}: taken again in {:.1} s, one thread: {same} the same, {changed} changed and told why, {unknown} unknown",
            f64::from(u32::try_from(took).unwrap_or(u32::MAX)) / 1_000.0
        );
    }
}

/// How many are the same, changed and unknown, and how long it took, in milliseconds.
fn retaken(store: &Store, old: &Config, new: &Config) -> [usize; 4] {
    let begun = Instant::now();
    let snapshot = |config: &Config| {
        snapshot::compile(config, &Lasting::default()).unwrap_or_else(|wrong| panic!("{wrong:?}"))
    };
    let retaker = Retaker::new(snapshot(new), Some(snapshot(old)));
    let mut counts = [0_usize; 4];
    let mut filter = DecisionFilter {
        oldest_first: true,
        limit: 1_000,
        ..DecisionFilter::default()
    };
    loop {
        let page = store.decisions(&filter).unwrap();
        for row in &page.items {
            let retaken = retaker.retake(row).unwrap();
            counts[match retaken.change {
                Change::Same => 0,
                Change::Changed => 1,
                Change::Unknown => 2,
            }] += 1;
        }
        filter.after = page.items.last().map(|row| row.number);
        if !page.more {
            break;
        }
    }
    counts[3] = usize::try_from(begun.elapsed().as_millis()).unwrap_or(usize::MAX);
    counts
}

/// What a configuration has otherwise than the one that recorded.
#[derive(Debug, Clone, Copy, Default)]
struct Changed {
    /// Half of the decisions have changed places.
    rules: bool,
    words: Words,
}

/// Which words some of the signals look for.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
enum Words {
    /// As they did.
    #[default]
    Same,
    /// Those of other signals.
    Moved,
    /// Words that no signal looked for.
    New,
}

/// A configuration.
fn configuration(folder: &Path, name: &str, changed: Changed) -> Config {
    let root = folder.display();
    let mut text = format!(
        "stores: {{ database: \"sqlite://{root}/replay.db\", blobs: \"file://{root}\" }}\n\
         providers: {{ fleet: {{ kind: openai-compatible, base_url: \"http://127.0.0.1:9/v1\", auth: {{ api_key: sk-none }} }} }}\n\
         models:\n  large: {{ targets: [ {{ provider: fleet, model: large }} ], price: {{ input: 10, output: 20 }} }}\n  \
         small: {{ targets: [ {{ provider: fleet, model: small }} ], price: {{ input: 1, output: 2 }} }}\n\
         routing:\n  default_model: large\n  signals:\n    context: [ {{ name: short, min_tokens: \"0\", max_tokens: \"40\" }} ]\n    keywords:\n"
    );
    for signal in 0..DECISIONS {
        // Some signals look for other words.
        let (moved, stem) = match changed.words {
            Words::Moved if signal % 10 == 0 => (3, "word"),
            Words::New if signal % 10 == 0 => (0, "term"),
            _ => (0, "word"),
        };
        let words = (0..3).map(|at| format!("{stem}{:03}", (signal * 3 + at + moved) % WORDS));
        let words: Vec<String> = words.collect();
        let _ = writeln!(
            text,
            "      - {{ name: k{signal}, operator: OR, keywords: [{}] }}",
            words.join(", ")
        );
    }
    text.push_str("  decisions:\n");
    for decision in 0..DECISIONS {
        let condition =
            |at: usize| format!("{{ type: keyword, name: k{} }}", (decision + at * 7) % DECISIONS);
        let model = if decision % 2 == 0 { "large" } else { "small" };
        // Half of them have changed places.
        let priority = if changed.rules && decision % 2 == 0 {
            DECISIONS - decision
        } else {
            decision + 1
        };
        let _ = writeln!(
            text,
            "    - name: d{decision}\n      priority: {priority}\n      rules: {{ operator: AND, conditions: [ {}, {{ operator: OR, conditions: [ {}, {}, {}, \
             {{ type: context, name: short }} ] }} ] }}\n      modelRefs: [ {{ model: {model} }} ]",
            condition(0),
            condition(1),
            condition(2),
            condition(3)
        );
    }
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    pointsman_config::load(&path, &Environment::process())
        .unwrap_or_else(|wrong| panic!("{wrong:?}"))
        .config
}

fn record(many: usize, store: &Store, router: &Router) {
    let mut chance = Chance::new(7);
    let mut batch = RoutedBatch::default();
    for number in 0..many {
        let length = 5 + chance.below(60);
        let words: Vec<String> = (0..length)
            .map(|_| format!("word{:03}", chance.below(WORDS)))
            .collect();
        let text = words.join(" ");
        let messages = [MessageFacts {
            role: "user",
            text: &text,
            ..MessageFacts::default()
        }];
        let facts = Facts {
            user_text: &text,
            messages: &messages,
            estimated_tokens: length as u64,
            completion_tokens: 500,
            ..Facts::default()
        };
        let deciding = router.deciding(facts, Want::Decision);
        let roll = chance.unit();
        let Some(Outcome::Matched(decided)) = deciding.outcome(roll) else {
            panic!("nothing was decided");
        };
        // Every tenth with its text.
        let replay = Replay {
            request_bytes: (number % 10 == 0).then_some(4_096),
            ..Replay::default()
        };
        let recorded = deciding.recorded(&replay).taken("auto", &decided, roll);
        let told = Told {
            usage: Usage {
                input: length as u64,
                output: 200,
                ..Usage::default()
            },
            cost: 4_000_000,
            ..Told::default()
        };
        let row = DecisionRow {
            at: number as i64,
            request: format!("req_{number:08}"),
            decision: recorded.decision.clone(),
            model: recorded.model.clone(),
            outcome: "complete".to_owned(),
            record: serde_json::to_string(&Told { recorded, ..told }).unwrap(),
            ..DecisionRow::default()
        };
        batch.decisions.push((row, 1_000_000));
        if batch.decisions.len() == 1_000 {
            store.keep_routed(&batch).unwrap();
            batch = RoutedBatch::default();
        }
    }
    store.keep_routed(&batch).unwrap();
}
