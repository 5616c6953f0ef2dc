//! How well personal data is told, by language and kind: `cargo run --release -p pointsman-understanding --example personal FILE`.
//!
//! The file has one JSON object a line: `text`, `lang`, and `spans` of `start` and `end` in letters and `type`. A find counts
//! when kind and both ends are right; F2 weighs recall twice. With `LANG KIND` behind the file, what was missed of that kind
//! and what was told wrongly is printed, too; `LANG alarms` prints finds in texts that have nothing.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "it prints what it measures and expects a good file"
)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pointsman_understanding::{Ask, Entity, Nobody, Understanding, UnderstandingConfig};
use serde::Deserialize;

/// Kinds that only lists, grammar and the model tell.
const NAMES: [&str; 6] = ["PERSON", "GPE", "ORGANIZATION", "STREET_ADDRESS", "NRP", "TITLE"];

#[derive(Deserialize)]
struct Row {
    text: String,
    #[serde(default)]
    lang: String,
    #[serde(default)]
    spans: Vec<Labelled>,
}

#[derive(Deserialize)]
struct Labelled {
    start: usize,
    end: usize,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Default, Clone, Copy)]
struct Count {
    expected: usize,
    found: usize,
    exact: usize,
}

impl Count {
    fn add(&mut self, other: Self) {
        self.expected += other.expected;
        self.found += other.found;
        self.exact += other.exact;
    }

    fn f2(self) -> f64 {
        let below = 4 * self.expected + self.found;
        5.0 * self.exact as f64 / below.max(1) as f64
    }
}

/// What is printed beside the tables.
struct Shown {
    lang: String,
    kind: String,
}

impl Shown {
    fn is(&self, lang: &str, kind: &str) -> bool {
        (self.lang == lang || self.lang == "all") && (self.kind == kind || self.kind == "all")
    }
}

#[derive(Default)]
struct Counts {
    each: BTreeMap<(String, String), Count>,
    /// Texts without personal data, and those in which some was found.
    free: BTreeMap<String, (usize, usize)>,
}

impl Counts {
    fn add(&mut self, row: &Row, found: &[Entity], shown: &Shown) {
        let places: Vec<usize> = row
            .text
            .char_indices()
            .map(|(at, _)| at)
            .chain([row.text.len()])
            .collect();
        let spans = row
            .spans
            .iter()
            .map(|one| (places[one.start], places[one.end], one.kind.as_str()));
        let spans: Vec<(usize, usize, &str)> = spans.collect();
        if spans.is_empty() {
            let (free, alarmed) = self.free.entry(row.lang.clone()).or_default();
            *free += 1;
            *alarmed += usize::from(!found.is_empty());
        }
        for (start, end, kind) in &spans {
            let exact = found
                .iter()
                .any(|one| (one.start, one.end, one.kind.as_str()) == (*start, *end, *kind));
            let count = self.of(&row.lang, kind);
            count.expected += 1;
            count.exact += usize::from(exact);
            if !exact && shown.is(&row.lang, kind) {
                let told: Vec<(&str, &str)> = found
                    .iter()
                    .filter(|one| one.start < *end && *start < one.end)
                    .map(|one| (one.kind.as_str(), &row.text[one.start..one.end]))
                    .collect();
                println!(
                    "missed {kind} {:?} told {told:?} in {:?}",
                    &row.text[*start..*end],
                    row.text
                );
            }
        }
        for one in found {
            self.of(&row.lang, &one.kind).found += 1;
            let right = spans
                .iter()
                .any(|(start, end, kind)| (one.start, one.end, one.kind.as_str()) == (*start, *end, *kind));
            let wanted =
                shown.is(&row.lang, &one.kind) || (spans.is_empty() && shown.is(&row.lang, "alarms"));
            if !right && wanted {
                println!(
                    "wrong {} {:?} in {:?}",
                    one.kind,
                    &row.text[one.start..one.end],
                    row.text
                );
            }
        }
    }

    fn of(&mut self, lang: &str, kind: &str) -> &mut Count {
        self.each.entry((lang.to_owned(), kind.to_owned())).or_default()
    }

    fn sum(&self, wanted: impl Fn(&str, &str) -> bool) -> Count {
        let mut sum = Count::default();
        for ((lang, kind), count) in &self.each {
            if wanted(lang, kind) {
                sum.add(*count);
            }
        }
        sum
    }

    fn print(&self) {
        let langs: std::collections::BTreeSet<&str> =
            self.each.keys().map(|(lang, _)| lang.as_str()).collect();
        let kinds: std::collections::BTreeSet<&str> =
            self.each.keys().map(|(_, kind)| kind.as_str()).collect();
        print!("{:20}", "F2 (exact/expected)");
        langs.iter().for_each(|lang| print!("{lang:>18}"));
        println!("{:>20}", "all");
        let line = |name: &str, of: &dyn Fn(&str) -> bool| {
            print!("{name:20}");
            for lang in &langs {
                cell(self.sum(|one, kind| one == *lang && of(kind)), 18);
            }
            cell(self.sum(|_, kind| of(kind)), 20);
            println!();
        };
        for kind in kinds {
            line(kind, &|one| one == kind);
        }
        line("= structured", &|kind| !NAMES.contains(&kind));
        line("= names", &|kind| NAMES.contains(&kind));
        line("= all", &|_| true);
        let free = self
            .free
            .iter()
            .map(|(lang, (free, alarmed))| format!("{lang} {alarmed}/{free}"));
        println!("false alarms: {}", free.collect::<Vec<_>>().join(", "));
    }
}

fn cell(count: Count, width: usize) {
    let cell = match count {
        Count {
            expected: 0,
            found: 0,
            ..
        } => String::new(),
        Count {
            expected,
            exact,
            found,
        } => {
            format!(
                "{:.3} {exact}/{expected}+{}",
                count.f2(),
                found - exact.min(found)
            )
        }
    };
    print!("{cell:>width$}");
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().expect("a file");
    let shown = Shown {
        lang: arguments.next().unwrap_or_default(),
        kind: arguments.next().unwrap_or_default(),
    };
    let file = std::fs::read_to_string(path).expect("the file");
    let understanding = Understanding::new(&UnderstandingConfig::default());
    let mut counts = Counts::default();
    let (mut lists, mut bytes) = (Duration::ZERO, 0);
    for line in file.lines() {
        let row: Row = serde_json::from_str(line).expect("a row");
        let text: Arc<str> = row.text.as_str().into();
        let read = loop {
            match understanding.read(&text, &Ask::entities(), &Nobody).await {
                Ok(read) => break read,
                // However busy the machine is.
                Err(error) => println!("again: {error}"),
            }
        };
        let begun = Instant::now();
        std::hint::black_box(pointsman_semantics::names::find(&row.text));
        lists += begun.elapsed();
        bytes += row.text.len();
        counts.add(&row, &read.entities, &shown);
    }
    counts.print();
    println!("lists and grammar: {bytes} bytes in {lists:?}");
}
