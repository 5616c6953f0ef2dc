//! Whether a rule holds, and how surely, by what is known: exactly, or within bounds that no answer can leave.

use std::ops::Not;

use super::Evaluation;
use crate::decision::Rule;
use crate::projection::{Input, Output, Summand, ValueSource};
use crate::signal::Reading;

/// Whether a rule holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Truth {
    /// Whatever else may come.
    Yes,
    /// Whatever else may come, not.
    No,
    /// It depends.
    Open,
}

impl From<bool> for Truth {
    fn from(holds: bool) -> Self {
        if holds { Self::Yes } else { Self::No }
    }
}

impl Not for Truth {
    type Output = Self;

    fn not(self) -> Self {
        match self {
            Self::Yes => Self::No,
            Self::No => Self::Yes,
            Self::Open => Self::Open,
        }
    }
}

/// A number that is known to lie within. Sums and means of bounds are rounded as those of the numbers are, so that what
/// is known exactly comes out bit for bit as if nothing had ever been open.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Bounds {
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Bounds {
    pub(crate) const fn exactly(value: f64) -> Self {
        Self {
            low: value,
            high: value,
        }
    }

    const ANY_CONFIDENCE: Self = Self { low: 0.0, high: 1.0 };

    pub(crate) fn is_exact(self) -> bool {
        self.low == self.high
    }

    fn sum(all: impl Iterator<Item = Self>) -> Self {
        all.fold(Self::exactly(0.0), |sum, each| Self {
            low: sum.low + each.low,
            high: sum.high + each.high,
        })
    }
}

impl Evaluation<'_, '_> {
    /// Whether a rule holds; looks no further than it must, at what is cheap first.
    pub(crate) fn truth(&self, rule: &Rule) -> Truth {
        match rule {
            Rule::Always => Truth::Yes,
            Rule::Signal(index) => self
                .reading(*index)
                .map_or(Truth::Open, |reading| reading.matched.into()),
            Rule::Projection(index) => self.within(&self.router.outputs[*index]),
            Rule::Not(rule) => !self.truth(rule),
            Rule::All(joined) => self.joined(joined.cheap_first(), Truth::No),
            Rule::Any(joined) => self.joined(joined.cheap_first(), Truth::Yes),
        }
    }

    /// One rule that is `enough` settles it.
    fn joined<'r>(&self, rules: impl Iterator<Item = &'r Rule>, enough: Truth) -> Truth {
        let mut open = false;
        for rule in rules {
            match self.truth(rule) {
                Truth::Open => open = true,
                truth if truth == enough => return enough,
                _ => {}
            }
        }
        if open { Truth::Open } else { !enough }
    }

    /// Score number `index`.
    pub(crate) fn score(&self, index: usize) -> Bounds {
        if let Some(exact) = self.scores[index].get() {
            return Bounds::exactly(exact);
        }
        let inputs = &self.router.scores[index].inputs;
        let mut all_known = true;
        let bounds = Bounds::sum(inputs.iter().map(|input| {
            let (bounds, known) = match input.of {
                Summand::Signal(signal) => {
                    let reading = self.input(input, signal);
                    (input.bounds(reading), reading.is_some())
                }
                Summand::Score(other) => {
                    let bounds = self.score(other);
                    (input.weighed(bounds), self.is_known(other))
                }
                Summand::Range(range) => {
                    let (bounds, known) = self.lies(range);
                    (input.weighed(bounds), known)
                }
            };
            all_known &= known;
            bounds
        }));
        if all_known {
            self.scores[index].set(Some(bounds.low));
            return Bounds::exactly(bounds.low);
        }
        // Infinities of both signs may have met: then it can be anything.
        match bounds.low <= bounds.high {
            true => bounds,
            false => Bounds {
                low: f64::NEG_INFINITY,
                high: f64::INFINITY,
            },
        }
    }

    /// Whether a score is known to the last bit.
    pub(crate) fn is_known(&self, score: usize) -> bool {
        self.scores[score].get().is_some() || self.score(score).is_exact()
    }

    /// How surely a score lies within the range of an output, 0 where it does not; and whether that is known.
    pub(crate) fn lies(&self, output: usize) -> (Bounds, bool) {
        let output = &self.router.outputs[output];
        let sure = self.surely_within(output);
        match self.within(output) {
            Truth::No => (Bounds::exactly(0.0), true),
            Truth::Yes => (sure, self.is_known(output.score)),
            Truth::Open => (Bounds { low: 0.0, ..sure }, false),
        }
    }

    /// What a summand's signal says, where the rule that it needs holds; none where that is not known.
    pub(crate) fn input(&self, input: &Input, signal: usize) -> Option<Reading> {
        let own = self.reading(signal);
        let Some(gate) = &input.gate else { return own };
        let raw = matches!(input.source, ValueSource::Raw);
        let shut = |value: f64| Reading {
            value,
            ..Reading::default()
        };
        match self.truth(gate) {
            Truth::Yes => own,
            Truth::No if raw => own.map(|own| shut(own.value)),
            Truth::No => Some(shut(0.0)),
            // The number behind it does not depend on the rule, and what does not match anyway neither.
            Truth::Open => {
                own.filter(|own| raw || (!own.matched && matches!(input.source, ValueSource::Binary { .. })))
            }
        }
    }

    /// Whether an output of the mappings is one that holds.
    pub(crate) fn within(&self, output: &Output) -> Truth {
        let score = self.score(output.score);
        let mut open = false;
        for range in &output.before {
            match range_holds(range, score) {
                Truth::Yes => return Truth::No,
                Truth::Open => open = true,
                Truth::No => {}
            }
        }
        match range_holds(&output.range, score) {
            Truth::Yes if open => Truth::Open,
            truth => truth,
        }
    }

    /// How sure it is that a score within the range of an output lies there.
    fn surely_within(&self, output: &Output) -> Bounds {
        let score = self.score(output.score);
        match score.is_exact() {
            true => Bounds::exactly(output.sureness(score.low)),
            // A half on a bound of the range, more within.
            false => Bounds { low: 0.5, high: 1.0 },
        }
    }

    /// How surely a rule holds, if it does: that of its signal or range; of `AND` the mean, of `OR` the most, of `NOT` 1.
    pub(crate) fn sureness(&self, rule: &Rule) -> Bounds {
        match rule {
            Rule::Always => Bounds::exactly(0.0),
            Rule::Signal(index) => self.reading(*index).map_or(Bounds::ANY_CONFIDENCE, |reading| {
                Bounds::exactly(reading.confidence)
            }),
            Rule::Projection(index) => self.surely_within(&self.router.outputs[*index]),
            Rule::Not(_) => Bounds::exactly(1.0),
            Rule::All(joined) => {
                let sum = Bounds::sum(joined.rules.iter().map(|rule| self.sureness(rule)));
                let count = joined.rules.len().max(1) as f64;
                Bounds {
                    low: sum.low / count,
                    high: sum.high / count,
                }
            }
            Rule::Any(joined) => self.surest(joined.cheap_first()),
        }
    }

    /// The surest of rules of which one holds at least.
    fn surest<'r>(&self, rules: impl Iterator<Item = &'r Rule>) -> Bounds {
        let mut high = 0.0_f64;
        let mut certain: Option<f64> = None;
        let mut possible = f64::INFINITY;
        for rule in rules {
            let truth = self.truth(rule);
            if truth == Truth::No {
                continue;
            }
            let bounds = self.sureness(rule);
            high = high.max(bounds.high);
            if truth == Truth::Yes {
                let low = certain.map_or(bounds.low, |low| low.max(bounds.low));
                if low >= 1.0 {
                    return Bounds::exactly(1.0);
                }
                certain = Some(low);
            } else {
                possible = possible.min(bounds.low);
            }
        }
        Bounds {
            low: certain.unwrap_or(possible).min(high),
            high,
        }
    }
}

/// Whether a number that lies within `score` lies in the range. A range has no holes: if it holds both ends, it holds all.
fn range_holds(range: &crate::config::Predicate, score: Bounds) -> Truth {
    if score.is_exact() || score.low.is_nan() {
        return range.holds(score.low).into();
    }
    if range.holds(score.low) && range.holds(score.high) {
        return Truth::Yes;
    }
    let above =
        range.gt.is_none_or(|bound| score.high > bound) && range.gte.is_none_or(|bound| score.high >= bound);
    let below =
        range.lt.is_none_or(|bound| score.low < bound) && range.lte.is_none_or(|bound| score.low <= bound);
    if above && below { Truth::Open } else { Truth::No }
}

impl Input {
    /// What a number adds to its score that lies within bounds.
    fn weighed(&self, bounds: Bounds) -> Bounds {
        if self.weight == 0.0 && bounds.low < bounds.high {
            return Bounds::exactly(0.0);
        }
        let (one, other) = (self.weight * bounds.low, self.weight * bounds.high);
        Bounds {
            low: one.min(other),
            high: one.max(other),
        }
    }

    /// What it adds to its score.
    fn bounds(&self, reading: Option<Reading>) -> Bounds {
        let weighted = |value: f64| self.weight * value;
        if let Some(reading) = reading {
            return Bounds::exactly(weighted(match self.source {
                ValueSource::Binary { matched, .. } if reading.matched => matched,
                ValueSource::Binary { missed, .. } => missed,
                ValueSource::Confidence => reading.confidence,
                ValueSource::Raw => reading.value,
            }));
        }
        let (one, other) = match self.source {
            ValueSource::Binary { matched, missed } => (weighted(matched), weighted(missed)),
            ValueSource::Confidence => (weighted(0.0), weighted(1.0)),
            ValueSource::Raw if self.weight == 0.0 => (0.0, 0.0),
            ValueSource::Raw => (f64::NEG_INFINITY, f64::INFINITY),
        };
        Bounds {
            low: one.min(other),
            high: one.max(other),
        }
    }
}
