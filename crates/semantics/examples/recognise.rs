//! How well recognisers find what a labelled file has: `cargo run -p pointsman-semantics --release --example recognise FILE`.
//!
//! The file has one JSON object a line: `text`, and `spans` of `start` and `end` in letters and `type`. Told for each type: how
//! many were touched by a find of the same type, how many finds touched none of it, and how long a text took.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "it prints what it measures and expects a good file"
)]

use std::collections::BTreeMap;
use std::time::Instant;

use pointsman_semantics::recognise::{Recognisers, shipped};
use serde::Deserialize;

#[derive(Deserialize)]
struct Row {
    text: String,
    spans: Vec<Labelled>,
}

#[derive(Deserialize)]
struct Labelled {
    start: usize,
    end: usize,
    #[serde(rename = "type")]
    entity: String,
}

#[derive(Default)]
struct Count {
    found: usize,
    missed: usize,
    wrong: usize,
}

fn main() {
    let path = std::env::args().nth(1).expect("a file");
    let show = std::env::args().nth(2);
    let file = std::fs::read_to_string(path).expect("the file");
    let recognisers = Recognisers::compile(shipped().expect("shipped")).expect("compiled");
    let mut counts: BTreeMap<String, Count> = BTreeMap::new();
    let (mut clean, mut alarmed, mut bytes) = (0, 0, 0);
    let mut spent = std::time::Duration::ZERO;
    for line in file.lines() {
        let row: Row = serde_json::from_str(line).expect("a row");
        let places: Vec<usize> = row
            .text
            .char_indices()
            .map(|(at, _)| at)
            .chain([row.text.len()])
            .collect();
        let begun = Instant::now();
        let found = recognisers.find(&row.text, 0.5);
        spent += begun.elapsed();
        bytes += row.text.len();
        if row.spans.is_empty() {
            clean += 1;
            alarmed += usize::from(!found.is_empty());
        }
        let mut right = vec![false; found.len()];
        for span in &row.spans {
            let (start, end) = (places[span.start], places[span.end]);
            let hit = found.iter().position(|one| {
                one.start < end && start < one.end && recognisers.definition(one).entity == span.entity
            });
            let count = counts.entry(span.entity.clone()).or_default();
            match hit {
                Some(place) => {
                    right[place] = true;
                    count.found += 1;
                }
                None => {
                    count.missed += 1;
                    if show.as_deref() == Some(&span.entity) {
                        println!("missed {:?} in {:?}", &row.text[start..end], row.text);
                    }
                }
            }
        }
        for (one, right) in found.iter().zip(right) {
            if !right {
                let definition = recognisers.definition(one);
                counts.entry(definition.entity.clone()).or_default().wrong += 1;
                if show.as_deref() == Some("wrong") {
                    println!(
                        "wrong {} {:?} in {:?}",
                        definition.name,
                        &row.text[one.start..one.end],
                        row.text
                    );
                }
            }
        }
    }
    for (entity, count) in &counts {
        println!(
            "{entity}: found {} missed {} wrong {}",
            count.found, count.missed, count.wrong
        );
    }
    println!("texts without spans {clean}, with an alarm {alarmed}; {bytes} bytes in {spent:?}");
}
