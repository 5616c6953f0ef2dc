//! Measures the semantic cache with the model that ships.
//!
//! `figures DATA`: all that docs/cache.md says of look-ups and of pairs, on the development pairs of a folder of data
//! (`pairs/dev.jsonl.gz` in it) and those written for this project. `lookups N P`: times of a look-up among N entries in P partitions, the vector included. `pairs FILE…`: of pairs of
//! questions (`{"a", "b", "label"}` a line, plain or with `.gz`), how many get each other's answer. `stream N`: bytes, as counted and as the
//! process has them, while N entries stream into both caches of 64 MiB.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a measurement says what it measured, and breaks where it cannot"
)]

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pointsman_cache::{Bounds, CacheKey, ExactCache, KeyBuilder, Lookup, SemanticCache, bound};
use pointsman_semantics::engine::{Engine, EngineRoom, Question};
use pointsman_semantics::similar::Point;
use serde::Deserialize;

const HOUR: Duration = Duration::from_secs(3_600);
/// Pairs written for this project.
const OWN: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../semantics/tests/similar/pairs.jsonl"
);

fn main() {
    let mut arguments = std::env::args().skip(1);
    let engine = Engine::from_file(
        pointsman_models::UNDERSTAND.name,
        pointsman_models::UNDERSTAND.bytes,
    )
    .unwrap();
    let kind = arguments.next();
    if kind.as_deref() == Some("figures") {
        let folder = arguments.next().unwrap_or_else(|| "../shared/data".to_owned());
        pairs(&engine, &format!("{folder}/pairs/dev.jsonl.gz"));
        pairs(&engine, OWN);
        return lookups(&engine, 100_000, 10);
    }
    let mut number = |or: usize| arguments.next().and_then(|many| many.parse().ok()).unwrap_or(or);
    match kind.as_deref() {
        Some("lookups") => lookups(&engine, number(100_000), number(10)),
        Some("stream") => stream(number(1_000_000)),
        Some("pairs") => arguments.for_each(|file| pairs(&engine, &file)),
        _ => println!("figures DATA | lookups N P | pairs FILE… | stream N"),
    }
}

fn key(name: &str) -> CacheKey {
    let mut key = KeyBuilder::new();
    key.field("name", name.as_bytes());
    key.finish()
}

fn vector(engine: &Engine, text: &str, room: &mut EngineRoom) -> Vec<f32> {
    let question = Question {
        heads: Vec::new(),
        spans: false,
        embedding: true,
        thorough: false,
    };
    let read = engine.read(&[(text, &question)], room);
    read.into_iter()
        .next()
        .and_then(|read| read.embedding)
        .unwrap_or_default()
}

fn percentiles(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |share: usize| times[(times.len() * share / 1_000).min(times.len() - 1)];
    println!(
        "{what}: p50 {:?}, p90 {:?}, p99 {:?}, most {:?}",
        at(500),
        at(900),
        at(990),
        at(999)
    );
}

/// A question of about 32 tokens.
fn question(number: usize) -> String {
    const THINGS: [&str; 8] = [
        "bridges", "clocks", "engines", "gardens", "letters", "mills", "violins", "tunnels",
    ];
    const PLACES: [&str; 8] = [
        "Spain", "Norway", "Peru", "Kenya", "Japan", "Egypt", "Canada", "Greece",
    ];
    let (thing, place) = (THINGS[number % 8], PLACES[number / 8 % 8]);
    format!(
        "Which were the most important {thing} that were built in {place} in the year {}, who paid for them, and what of them can still be seen?",
        1_000 + number / 64
    )
}

fn lookups(engine: &Engine, many: usize, partitions: usize) {
    let names: Vec<CacheKey> = (0..partitions.max(1))
        .map(|part| key(&part.to_string()))
        .collect();
    let of = |number: usize| (names[number / 100 % names.len()], key("o"));
    let cache = SemanticCache::<u64>::new(8 << 30);
    cache.prepare().unwrap();
    let mut room = EngineRoom::default();
    let now = Instant::now();
    let (mut vectors, mut puts) = (Vec::new(), Vec::new());
    let width = vector(engine, "a", &mut room).len();
    for number in 0..many {
        // Real vectors for a few, made ones for the rest: reading all would take longer than anybody waits.
        let vector = if number % 100 == 0 {
            vector(engine, &question(number), &mut room)
        } else {
            (0..width).map(|_| rand::random::<f32>() - 0.5).collect()
        };
        let asked = cache.question(of(number), &question(number), vector).unwrap();
        let began = Instant::now();
        cache.put(asked, Arc::new(number as u64), 1_000, HOUR, now);
        puts.push(began.elapsed());
    }
    percentiles("put", puts);
    let lookup = Lookup {
        point: Point::Precise,
        max_age: None,
    };
    let (mut reading, mut finding, mut all, mut hits) = (Vec::new(), Vec::new(), Vec::new(), 0);
    for number in 0..2_000 {
        let text = format!("Please tell me: {}", question(number * 50 % many));
        let began = Instant::now();
        vectors.push(vector(engine, &text, &mut room));
        let read = began.elapsed();
        let asked = cache
            .question(of(number * 50 % many), &text, vectors.pop().unwrap())
            .unwrap();
        let found = cache.find(&asked, lookup, now);
        hits += usize::from(found.is_some());
        all.push(began.elapsed());
        reading.push(read);
        finding.push(began.elapsed().saturating_sub(read));
    }
    let stats = cache.stats();
    println!(
        "{} entries, {} MiB, {hits} of 2000 found",
        stats.entries,
        stats.bytes >> 20
    );
    percentiles("vector", reading);
    percentiles("words, nearest, verified", finding);
    percentiles("all", all);
}

/// Bytes of the process in memory.
fn resident() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = pages.split(' ').nth(1).and_then(|pages| pages.parse().ok());
    pages.unwrap_or(0) * 4_096
}

fn stream(many: usize) {
    const ROOM: usize = 64 << 20;
    let semantic = SemanticCache::<String>::new(ROOM);
    semantic.prepare().unwrap();
    let exact = ExactCache::<String>::new(&Bounds {
        max_bytes: ROOM,
        max_entry_bytes: 1 << 20,
    });
    let (before, began, now) = (resident(), Instant::now(), Instant::now());
    let mut most = (0, 0, 0);
    for number in 0..many {
        let (text, bytes) = (question(number), 200 + number % 2_000);
        let answer = Arc::new("a".repeat(bytes));
        let vector = (0..384).map(|_| rand::random::<f32>() - 0.5).collect();
        let partition = (key(&(number / 40).to_string()), key(&(number % 7).to_string()));
        let asked = semantic.question(partition, &text, vector).unwrap();
        semantic.put(asked, Arc::clone(&answer), bytes, HOUR, now);
        exact.put(key(&text), answer, bytes, HOUR, now);
        if number % 1_000 == 0 {
            let counted = (
                exact.stats().bytes,
                semantic.stats().bytes,
                resident().saturating_sub(before),
            );
            most = (
                most.0.max(counted.0),
                most.1.max(counted.1),
                most.2.max(counted.2),
            );
        }
    }
    let (exact, semantic) = (exact.stats(), semantic.stats());
    println!(
        "{many} entries in {:?}; at most exact {} MiB, semantic {} MiB counted, {} MiB more in the process; left {} and {}",
        began.elapsed(),
        most.0 >> 20,
        most.1 >> 20,
        most.2 >> 20,
        exact.entries,
        semantic.entries
    );
}

#[derive(Deserialize)]
struct Row {
    a: String,
    b: String,
    label: u8,
}

fn pairs(engine: &Engine, file: &str) {
    let text = if file.ends_with(".gz") {
        let unpacked = Command::new("gzip").args(["-dc", file]).output().unwrap();
        String::from_utf8(unpacked.stdout).unwrap()
    } else {
        std::fs::read_to_string(file).unwrap()
    };
    let rows: Vec<Row> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let mut room = EngineRoom::default();
    let cache = SemanticCache::<()>::new(1 << 30);
    cache.prepare().unwrap();
    for point in [Point::Precise, Point::Balanced] {
        let lookup = Lookup { point, max_age: None };
        // For label 0 and 1: rows, those that rules leave, those answered.
        let mut counts = [[0_u32; 3]; 2];
        for (number, row) in rows.iter().enumerate() {
            let partition = key(&format!("{} {number}", point.name()));
            let count = &mut counts[usize::from(row.label == 1)];
            count[0] += 1;
            if bound(&row.a, false).is_some() || bound(&row.b, false).is_some() {
                continue;
            }
            count[1] += 1;
            let mut asked = |text: &str| {
                let vector = vector(engine, text, &mut room);
                cache.question((partition, key("o")), text, vector).unwrap()
            };
            let (first, second) = (asked(&row.a), asked(&row.b));
            cache.put(first, Arc::new(()), 100, HOUR, Instant::now());
            count[2] += u32::from(cache.find(&second, lookup, Instant::now()).is_some());
        }
        for (label, [all, left, found]) in [(1, counts[1]), (0, counts[0])] {
            let share = |part: u32, of: u32| 100.0 * f64::from(part) / f64::from(of.max(1));
            println!(
                "{file}, {}, label {label}: {all} pairs, {left} not bound by rule, {found} answered: {:.1} % of all, {:.1} % of those left",
                point.name(),
                share(found, all),
                share(found, left)
            );
        }
    }
}
