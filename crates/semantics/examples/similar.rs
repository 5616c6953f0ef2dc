//! Measures the verifier on files of pairs, or writes what it finds for fitting its judge.
//!
//! `similar features FILE…` writes one JSON line a pair: conflict and features. `similar table FILE… [--weights WEIGHTS]` prints
//! which kinds of pairs are taken for the same. A file has one JSON object a line: `a`, `b`, `label` (1 or 0), `kind`, `lang`.

#![allow(clippy::print_stdout, reason = "a measurement is printed")]

use std::collections::BTreeMap;
use std::error::Error;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use pointsman_semantics::engine::{Engine, EngineRoom};
use pointsman_semantics::similar::{Conflict, Point, Prompt, Verifier};
use serde::Deserialize;

#[derive(Debug, Deserialize)]
struct Row {
    a: String,
    b: String,
    label: u8,
    kind: String,
    lang: String,
}

/// Rows of a file of JSON lines, plain or as `gzip -c` would unpack it.
fn rows(path: &Path) -> Result<Vec<Row>, Box<dyn Error>> {
    let text = if path.extension().is_some_and(|end| end == "gz") {
        let unpacked = std::process::Command::new("gzip").arg("-dc").arg(path).output()?;
        String::from_utf8(unpacked.stdout)?
    } else {
        std::fs::read_to_string(path)?
    };
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    Ok(lines.map(serde_json::from_str).collect::<Result<_, _>>()?)
}

fn features(verifier: &Verifier, files: &[PathBuf]) -> Result<(), Box<dyn Error>> {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for row in files
        .iter()
        .map(|file| rows(file))
        .collect::<Result<Vec<_>, _>>()?
        .iter()
        .flatten()
    {
        let found = verifier.compare(&verifier.read(&row.a), &verifier.read(&row.b));
        let line = serde_json::json!({"conflict": found.conflict.map(Conflict::name), "features": found.features.to_vec()});
        writeln!(out, "{line}")?;
    }
    Ok(())
}

/// What the encoder says of each pair, where the file has a head for that.
fn together(path: &Path, rows: &[Row]) -> Result<Option<Vec<f32>>, Box<dyn Error>> {
    let engine = Engine::from_file(&path.display().to_string(), &std::fs::read(path)?)?;
    let pairs: Vec<(&str, &str)> = rows.iter().map(|row| (row.a.as_str(), row.b.as_str())).collect();
    Ok(engine.read_pairs(&pairs, &mut EngineRoom::default()))
}

#[derive(Default)]
struct Tally {
    rows: usize,
    precise: usize,
    balanced: usize,
}

fn table(verifier: &Verifier, files: &[PathBuf], weights: Option<&Path>) -> Result<(), Box<dyn Error>> {
    for file in files {
        let rows = rows(file)?;
        let encoder = weights.map(|path| together(path, &rows)).transpose()?.flatten();
        let mut tallies: BTreeMap<(u8, String), Tally> = BTreeMap::new();
        let start = Instant::now();
        let read: Vec<(Prompt, Prompt)> = rows
            .iter()
            .map(|row| (verifier.read(&row.a), verifier.read(&row.b)))
            .collect();
        let reading = start.elapsed() / u32::try_from(2 * rows.len().max(1))?;
        let start = Instant::now();
        for (place, (row, (a, b))) in rows.iter().zip(&read).enumerate() {
            let pair = encoder.as_ref().map(|scores| scores[place]);
            let precise = verifier.verify(a, b, pair, Point::Precise).is_same();
            let balanced = verifier.verify(a, b, pair, Point::Balanced).is_same();
            let kind = row.kind.split(':').next().unwrap_or_default().to_owned();
            let all = "all".to_owned();
            let tongue = if row.lang == "en" { "(English)" } else { "(others)" };
            for name in [kind, all, tongue.to_owned()] {
                let tally = tallies.entry((row.label, name)).or_default();
                tally.rows += 1;
                tally.precise += usize::from(precise);
                tally.balanced += usize::from(balanced);
            }
        }
        let each = start.elapsed() / u32::try_from(2 * rows.len().max(1))?;
        println!(
            "{}, {} rows; {reading:?} to read a prompt, {each:?} to compare two\n",
            file.display(),
            rows.len()
        );
        println!("| same? | kind | rows | precise | balanced |\n| --- | --- | --- | --- | --- |");
        for ((label, kind), tally) in tallies.iter().rev() {
            let share = |count: usize| format!("{:.1} %", 100.0 * count as f64 / tally.rows as f64);
            let same = if *label == 1 { "yes" } else { "no" };
            println!(
                "| {same} | {kind} | {} | {} | {} |",
                tally.rows,
                share(tally.precise),
                share(tally.balanced)
            );
        }
        println!();
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut given: Vec<String> = std::env::args().skip(1).collect();
    let weights = given.iter().position(|word| word == "--weights").map(|place| {
        let path = given.get(place + 1).map(PathBuf::from);
        given.drain(place..(place + 2).min(given.len()));
        path.ok_or("--weights wants a file")
    });
    let weights = weights.transpose()?;
    let verifier = Verifier::shipped()?;
    let files: Vec<PathBuf> = given.iter().skip(1).map(PathBuf::from).collect();
    match given.first().map(String::as_str) {
        Some("features") => features(&verifier, &files),
        Some("table") => table(&verifier, &files, weights.as_deref()),
        _ => Err("similar features FILE… or similar table FILE… [--weights WEIGHTS]".into()),
    }
}
