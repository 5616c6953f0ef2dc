//! Judges answers against their contexts, or writes what is known of their words for fitting the head.
//!
//! `grounded features FILE…` writes one JSON line a row: for each word its bytes, whether it is small, and its features.
//! `grounded judge POINT FILE…` writes the spans of each answer, and to standard error how long that took. A file has one JSON
//! object a line: `context`, `question`, `answer`.
//! `grounded measure FOLDER` (or files) says how well the spans are found that stand under `spans` in each row, in characters:
//! span F1, false alarms, and both by `source` and `lang`. It judges as the gateway does.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::cast_precision_loss,
    reason = "a measurement is printed"
)]

mod measure;

use std::error::Error;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use pointsman_semantics::grounded::{Detector, Point, features};
use serde::Deserialize;

#[derive(Debug, Deserialize)]
struct Row {
    context: String,
    #[serde(default)]
    question: String,
    answer: String,
    /// What nothing supports, in characters; for `measure`.
    #[serde(default)]
    spans: Vec<(usize, usize)>,
    #[serde(default)]
    source: String,
    #[serde(default)]
    lang: String,
}

fn rows(path: &str) -> Result<Vec<Row>, Box<dyn Error>> {
    let lines = BufReader::new(std::fs::File::open(Path::new(path))?).lines();
    lines
        .filter(|line| line.as_ref().map_or(true, |line| !line.trim().is_empty()))
        .map(|line| Ok(serde_json::from_str(&line?)?))
        .collect()
}

fn write_features(files: &[String], out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    for file in files {
        for row in rows(file)? {
            let words = features(&[&row.context], &row.question, &row.answer)?;
            let words: Vec<_> = words
                .into_iter()
                .map(|(at, small, row)| (at.start, at.end, small, row))
                .collect();
            writeln!(out, "{}", serde_json::to_string(&words)?)?;
        }
    }
    Ok(())
}

fn judge(point: &str, files: &[String], out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    let point = Point::named(point).ok_or("there are fpr_1pct, fpr_3pct and fpr_10pct")?;
    let detector = Detector::shipped()?;
    let (mut reading, mut judging, mut words, mut count) = (Duration::ZERO, Duration::ZERO, 0, 0);
    for file in files {
        for row in rows(file)? {
            let begun = Instant::now();
            let context = detector.read([row.context.as_str()]);
            let question = detector.read([row.question.as_str()]);
            reading += begun.elapsed();
            words += context.words();
            let begun = Instant::now();
            let judged = detector.judge(&context, &question, &row.answer, point);
            judging += begun.elapsed();
            count += 1;
            let spans: Vec<_> = judged
                .spans
                .iter()
                .map(|span| (span.at.start, span.at.end, span.confidence, span.standing.name()))
                .collect();
            writeln!(out, "{}", serde_json::to_string(&spans)?)?;
        }
    }
    let each = |time: Duration| time / u32::try_from(count.max(1)).unwrap_or(1);
    eprintln!(
        "{count} answers; contexts of {} words read in {:?}, answers judged in {:?}, each on average",
        words / count.max(1),
        each(reading),
        each(judging)
    );
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let given: Vec<String> = std::env::args().skip(1).collect();
    let mut out = BufWriter::new(std::io::stdout().lock());
    match given.split_first() {
        Some((word, files)) if word == "features" => write_features(files, &mut out),
        Some((word, rest)) if word == "judge" => {
            let (point, files) = rest.split_first().ok_or("judge POINT FILE…")?;
            judge(point, files, &mut out)
        }
        Some((word, files)) if word == "measure" => measure::measure(files),
        _ => Err("grounded features FILE…, grounded judge POINT FILE… or grounded measure FOLDER".into()),
    }
}
