//! Figures, for people to read.

use super::classes::Measured;
use super::spans::MeasuredSpans;
use super::{Latency, Report};
use crate::console;

/// Classes of which the confusion is told as a table, at most.
const WIDE: usize = 16;

pub(super) fn report(report: &Report) {
    console::say(format!("{} prompts", report.prompts));
    for (name, measured) in &report.heads {
        head(name, measured);
    }
    if let Some(measured) = &report.spans {
        spans(measured);
    }
}

fn head(name: &str, measured: &Measured) {
    console::say("");
    let calibration = measured
        .calibration_error
        .map_or_else(String::new, |error| format!("  calibration error {error:.3}"));
    console::say(format!(
        "{name}: {} prompts  accuracy {:.3}{calibration}",
        measured.prompts, measured.accuracy
    ));
    if let Some(binary) = &measured.binary {
        let auc = binary
            .auc
            .map_or_else(|| "none".to_owned(), |auc| format!("{auc:.3}"));
        console::say(format!(
            "  AUC {auc}  at {} (≥ {:.3}): recall {:.3}, false positives {:.3}",
            binary.point, binary.threshold, binary.recall, binary.false_positives
        ));
    }
    latency(&measured.latency);
    let width = measured
        .classes
        .keys()
        .map(|name| name.chars().count())
        .max()
        .unwrap_or(0);
    console::say(format!(
        "  {:width$}  expected  given  precision  recall",
        "class"
    ));
    for (name, class) in &measured.classes {
        console::say(format!(
            "  {name:width$}  {:>8}  {:>5}  {:>9.3}  {:>6.3}",
            class.expected, class.given, class.precision, class.recall
        ));
    }
    if measured.classes.len() > WIDE {
        return;
    }
    console::say("  confusion (rows: expected; columns: given)");
    let names: Vec<&String> = measured.classes.keys().collect();
    let head: Vec<String> = (1..=names.len()).map(|number| format!("{number:>5}")).collect();
    console::say(format!("  {:width$}  {}", "", head.join(" ")));
    for (number, expected) in names.iter().enumerate() {
        let row = measured.confusion.get(*expected);
        let cells: Vec<String> = names
            .iter()
            .map(|given| {
                let count = row.and_then(|row| row.get(*given)).copied().unwrap_or(0);
                format!("{count:>5}")
            })
            .collect();
        console::say(format!(
            "  {expected:width$}  {}  {}",
            cells.join(" "),
            number + 1
        ));
    }
}

fn spans(measured: &MeasuredSpans) {
    console::say("");
    console::say(format!(
        "personal data: {} prompts  false alarms {:.3}",
        measured.prompts, measured.false_alarms
    ));
    latency(&measured.latency);
    let all = ("all".to_owned(), &measured.all);
    let kinds = measured.kinds.iter().map(|(name, kind)| (name.clone(), kind));
    let rows: Vec<_> = kinds.chain([all]).collect();
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    console::say(format!(
        "  {:width$}  expected  found  precision  recall     F1     F2  touched",
        "kind"
    ));
    for (name, kind) in rows {
        console::say(format!(
            "  {name:width$}  {:>8}  {:>5}  {:>9.3}  {:>6.3}  {:>5.3}  {:>5.3}  {:>7.3}",
            kind.expected, kind.found, kind.precision, kind.recall, kind.f1, kind.f2, kind.touched
        ));
    }
}

fn latency(latency: &Latency) {
    let stages: Vec<String> = latency
        .stages
        .iter()
        .map(|(stage, share)| format!("{stage} {:.1} %", share * 100.0))
        .collect();
    console::say(format!(
        "  latency p50 {} µs, p99 {} µs  answered by {}",
        latency.p50_us,
        latency.p99_us,
        stages.join(", ")
    ));
}
