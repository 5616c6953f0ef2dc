//! Expected and found stretches of personal data, counted by kind.

use std::collections::BTreeMap;

use pointsman_understanding::Entity;
use serde::Serialize;

use super::Latency;
use super::classes::share;
use super::rows::Labelled;

/// What was counted.
#[derive(Default)]
pub(super) struct Spans {
    kinds: BTreeMap<String, Counts>,
    prompts: usize,
    free: usize,
    alarms: usize,
}

#[derive(Default, Clone, Copy)]
struct Counts {
    expected: usize,
    found: usize,
    /// Found exactly.
    exact: usize,
    /// Expected ones that something of the same kind overlaps.
    touched: usize,
}

/// What came out.
#[derive(Serialize)]
pub(super) struct MeasuredSpans {
    pub(super) prompts: usize,
    /// All kinds together.
    pub(super) all: Kind,
    pub(super) kinds: BTreeMap<String, Kind>,
    /// Share of prompts without personal data in which some was found.
    pub(super) false_alarms: f64,
    pub(super) latency: Latency,
}

/// Precision and recall of exact stretches of the right kind.
#[derive(Serialize)]
pub(super) struct Kind {
    pub(super) expected: usize,
    pub(super) found: usize,
    pub(super) precision: f64,
    pub(super) recall: f64,
    pub(super) f1: f64,
    /// Recall counts twice as much.
    pub(super) f2: f64,
    /// Share of the expected that something of the same kind overlaps.
    pub(super) touched: f64,
}

impl Counts {
    fn told(self) -> Kind {
        let (precision, recall) = (share(self.exact, self.found), share(self.exact, self.expected));
        let f = |weight: f64| {
            let below = weight * precision + recall;
            if below > 0.0 {
                (1.0 + weight) * precision * recall / below
            } else {
                0.0
            }
        };
        Kind {
            expected: self.expected,
            found: self.found,
            precision,
            recall,
            f1: f(1.0),
            f2: f(4.0),
            touched: share(self.touched, self.expected),
        }
    }
}

impl Spans {
    /// Counts what was found in a prompt.
    pub(super) fn add(&mut self, expected: &[Labelled], found: &[Entity]) {
        self.prompts += 1;
        if expected.is_empty() {
            self.free += 1;
            self.alarms += usize::from(!found.is_empty());
        }
        for span in expected {
            let same = |entity: &&Entity| entity.kind == span.kind;
            let exact = found
                .iter()
                .filter(same)
                .any(|entity| (entity.start, entity.end) == (span.start, span.end));
            let touched = found
                .iter()
                .filter(same)
                .any(|entity| entity.start < span.end && span.start < entity.end);
            let counts = self.kinds.entry(span.kind.clone()).or_default();
            counts.expected += 1;
            counts.exact += usize::from(exact);
            counts.touched += usize::from(touched);
        }
        for entity in found {
            self.kinds.entry(entity.kind.clone()).or_default().found += 1;
        }
    }

    /// The figures.
    pub(super) fn measured(self, latency: Latency) -> MeasuredSpans {
        let mut all = Counts::default();
        for counts in self.kinds.values() {
            all.expected += counts.expected;
            all.found += counts.found;
            all.exact += counts.exact;
            all.touched += counts.touched;
        }
        MeasuredSpans {
            prompts: self.prompts,
            all: all.told(),
            kinds: self
                .kinds
                .into_iter()
                .map(|(kind, counts)| (kind, counts.told()))
                .collect(),
            false_alarms: share(self.alarms, self.free),
            latency,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_and_touched_are_told_apart() {
        let labelled = |start, end| Labelled {
            start,
            end,
            kind: "PERSON".to_owned(),
        };
        let entity = |start, end| Entity {
            kind: "PERSON".to_owned(),
            start,
            end,
            probability: 0.9,
            recognised: false,
        };
        let mut spans = Spans::default();
        spans.add(
            &[labelled(0, 4), labelled(9, 12)],
            &[entity(0, 4), entity(10, 12)],
        );
        spans.add(&[], &[entity(1, 2)]);
        spans.add(&[], &[]);
        let told = spans.measured(super::super::Times::default().told());
        assert!((told.all.recall - 0.5).abs() < 1e-9 && (told.all.touched - 1.0).abs() < 1e-9);
        assert!((told.all.precision - 1.0 / 3.0).abs() < 1e-9);
        assert!((told.false_alarms - 0.5).abs() < 1e-9);
    }
}
