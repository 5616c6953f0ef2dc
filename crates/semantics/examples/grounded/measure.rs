//! How well spans are found, by the engine itself: what it reports of answers, against what is known to be unsupported.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};

use pointsman_semantics::grounded::{Detector, Point};

use super::{Row, rows};

/// What was found, against what is there; in characters, spans and answers.
#[derive(Debug, Clone, Copy, Default)]
struct Score {
    both: usize,
    told: usize,
    there: usize,
    /// Spans that were told, and of them those that touch one that is there.
    spans: usize,
    hits: usize,
    /// Spans that are there, and of them those that one that was told touches.
    wanted: usize,
    hit: usize,
    grounded: usize,
    alarms: usize,
    others: usize,
    caught: usize,
}

type Spans = [(usize, usize)];

impl Score {
    fn add(&mut self, told: &Spans, there: &Spans, length: usize) {
        let holds = |spans: &Spans, at: usize| spans.iter().any(|(from, to)| (*from..*to).contains(&at));
        let touches =
            |one: &(usize, usize), spans: &Spans| spans.iter().any(|(from, to)| one.0 < *to && *from < one.1);
        for at in 0..length {
            let (mine, theirs) = (holds(told, at), holds(there, at));
            self.both += usize::from(mine && theirs);
            self.told += usize::from(mine);
            self.there += usize::from(theirs);
        }
        let hits = told.iter().filter(|one| touches(one, there)).count();
        self.spans += told.len();
        self.hits += hits;
        self.wanted += there.len();
        self.hit += there.iter().filter(|one| touches(one, told)).count();
        if there.is_empty() {
            self.grounded += 1;
            self.alarms += usize::from(!told.is_empty());
        } else {
            self.others += 1;
            self.caught += usize::from(hits > 0);
        }
    }

    fn precision(&self) -> f64 {
        share(self.both, self.told)
    }

    fn recall(&self) -> f64 {
        share(self.both, self.there)
    }

    fn f1(&self) -> f64 {
        harmonic(self.precision(), self.recall())
    }

    fn spans_f1(&self) -> f64 {
        harmonic(share(self.hits, self.spans), share(self.hit, self.wanted))
    }

    fn alarms(&self) -> f64 {
        100.0 * share(self.alarms, self.grounded)
    }

    fn caught(&self) -> f64 {
        100.0 * share(self.caught, self.others)
    }
}

fn share(some: usize, all: usize) -> f64 {
    some as f64 / all.max(1) as f64
}

fn harmonic(one: f64, other: f64) -> f64 {
    if one + other > 0.0 {
        2.0 * one * other / (one + other)
    } else {
        0.0
    }
}

/// What the engine reports of a row, in characters of its answer.
fn told(detector: &Detector, row: &Row, point: Point) -> Vec<(usize, usize)> {
    let (context, question) = (
        detector.read([row.context.as_str()]),
        detector.read([row.question.as_str()]),
    );
    let judged = detector.judge(&context, &question, &row.answer, point);
    let place = |at: usize| row.answer[..at].chars().count();
    let spans = judged.spans.into_iter();
    spans
        .map(|span| (place(span.at.start), place(span.at.end)))
        .collect()
}

/// The files of rows in a folder: of the development side, where there are two.
fn files(given: &str) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let path = Path::new(given);
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let dev = path.join("dev.jsonl");
    if dev.exists() {
        return Ok(vec![dev]);
    }
    let mut all = Vec::new();
    for entry in std::fs::read_dir(path)? {
        let path = entry?.path();
        all.extend(Some(path).filter(|path| path.extension().is_some_and(|end| end == "jsonl")));
    }
    all.sort();
    Ok(all)
}

/// Prints the tables of the card.
pub fn measure(given: &[String]) -> Result<(), Box<dyn Error>> {
    let detector = Detector::shipped()?;
    let mut all = Vec::new();
    for given in given {
        for file in files(given)? {
            all.extend(rows(&file.display().to_string())?);
        }
    }
    if all.is_empty() {
        return Err("measure FOLDER or FILE…: there are no rows".into());
    }
    println!(
        "| point | false alarms | span F1 | precision | recall | F1, whole spans | answers caught |\n| --- | --- | --- | --- | --- | --- | --- |"
    );
    let mut usual: BTreeMap<(&str, &str), Score> = BTreeMap::new();
    for point in Point::ALL {
        let mut score = Score::default();
        for row in &all {
            let (mine, length) = (told(&detector, row, point), row.answer.chars().count());
            score.add(&mine, &row.spans, length);
            if point == Point::default() {
                for (what, name) in [("source", row.source.as_str()), ("lang", row.lang.as_str())] {
                    let part = usual.entry((what, name)).or_default();
                    part.add(&mine, &row.spans, length);
                }
            }
        }
        println!(
            "| `{}` | {:.1} % ({} of {}) | {:.3} | {:.3} | {:.3} | {:.3} | {:.0} % |",
            point.name(),
            score.alarms(),
            score.alarms,
            score.grounded,
            score.f1(),
            score.precision(),
            score.recall(),
            score.spans_f1(),
            score.caught()
        );
    }
    for what in ["source", "lang"] {
        println!(
            "\n| {what} | grounded | false alarms | others | span F1 | answers caught |\n| --- | --- | --- | --- | --- | --- |"
        );
        for ((_, name), score) in usual.iter().filter(|((of, _), _)| *of == what) {
            println!(
                "| {name} | {} | {:.1} % | {} | {:.3} | {:.0} % |",
                score.grounded,
                score.alarms(),
                score.others,
                score.f1(),
                score.caught()
            );
        }
    }
    Ok(())
}
