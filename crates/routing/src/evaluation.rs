//! One request on its way through signals, projections and rules; each signal is read at most once.

use std::cell::Cell;
use std::time::Instant;

use crate::decision::Rule;
use crate::facts::Facts;
use crate::projection::ValueSource;
use crate::router::Router;
use crate::signal::Reading;

/// What is known of a request so far.
pub(crate) struct Evaluation<'a> {
    pub(crate) router: &'a Router,
    pub(crate) facts: &'a Facts<'a>,
    readings: Vec<Cell<Option<Reading>>>,
    scores: Vec<Cell<Option<f64>>>,
    /// Time each signal took, in microseconds; kept only when explaining.
    times: Option<Vec<Cell<f64>>>,
}

impl<'a> Evaluation<'a> {
    pub(crate) fn new(router: &'a Router, facts: &'a Facts<'a>, timed: bool) -> Self {
        Self {
            router,
            facts,
            readings: vec![Cell::new(None); router.signals.len()],
            scores: vec![Cell::new(None); router.scores.len()],
            times: timed.then(|| vec![Cell::new(0.0); router.signals.len()]),
        }
    }

    /// What signal number `index` says.
    pub(crate) fn reading(&self, index: usize) -> Reading {
        if let Some(reading) = self.readings[index].get() {
            return reading;
        }
        let started = self.times.as_ref().map(|_| Instant::now());
        let reading = self.router.signals[index].read(self.facts);
        self.readings[index].set(Some(reading));
        if let (Some(times), Some(started)) = (&self.times, started) {
            times[index].set(started.elapsed().as_nanos() as f64 / 1_000.0);
        }
        reading
    }

    /// How long signal number `index` took, in microseconds.
    pub(crate) fn time(&self, index: usize) -> f64 {
        self.times.as_ref().map_or(0.0, |times| times[index].get())
    }

    /// Score number `index`.
    pub(crate) fn score(&self, index: usize) -> f64 {
        if let Some(score) = self.scores[index].get() {
            return score;
        }
        let value = |input: &crate::projection::Input| {
            let reading = self.reading(input.signal);
            let value = match input.source {
                ValueSource::Binary { matched, missed } => {
                    if reading.matched {
                        matched
                    } else {
                        missed
                    }
                }
                ValueSource::Confidence => reading.confidence,
                ValueSource::Raw => reading.value,
            };
            input.weight * value
        };
        let score = self.router.scores[index].inputs.iter().map(value).sum();
        self.scores[index].set(Some(score));
        score
    }

    /// Whether output number `index` of the mappings is the one that holds.
    pub(crate) fn output(&self, index: usize) -> bool {
        let output = &self.router.outputs[index];
        let score = self.score(output.score);
        output.range.holds(score) && !output.before.iter().any(|range| range.holds(score))
    }

    /// Whether a rule holds; looks no further than it must.
    pub(crate) fn holds(&self, rule: &Rule) -> bool {
        match rule {
            Rule::Always => true,
            Rule::Signal(index) => self.reading(*index).matched,
            Rule::Projection(index) => self.output(*index),
            Rule::All(rules) => rules.iter().all(|rule| self.holds(rule)),
            Rule::Any(rules) => rules.iter().any(|rule| self.holds(rule)),
            Rule::Not(rule) => !self.holds(rule),
        }
    }

    /// How surely a rule holds: that of its signal or range; of `AND` the mean, of `OR` the most, of `NOT` 1.
    pub(crate) fn confidence(&self, rule: &Rule) -> f64 {
        if !self.holds(rule) {
            return 0.0;
        }
        match rule {
            Rule::Always => 0.0,
            Rule::Signal(index) => self.reading(*index).confidence,
            Rule::Projection(index) => {
                let output = &self.router.outputs[*index];
                output.sureness(self.score(output.score))
            }
            Rule::Not(_) => 1.0,
            Rule::All(rules) => {
                rules.iter().map(|rule| self.confidence(rule)).sum::<f64>() / (rules.len().max(1)) as f64
            }
            Rule::Any(rules) => rules.iter().map(|rule| self.confidence(rule)).fold(0.0, f64::max),
        }
    }
}
