//! Projections, compiled: scores over signals, and named ranges of scores.

use crate::config::Predicate;
use crate::decision::Rule;
use crate::signal::Reading;

/// Signals of which one wins; of the others rules see that they do not match.
#[derive(Debug)]
pub(crate) struct Partition {
    /// Numbers of the signals.
    pub(crate) members: Vec<usize>,
    /// The one that wins when none matches, with its own confidence.
    pub(crate) default: Option<usize>,
    /// Where the winner's confidence is its share among those that match: how little a lead counts.
    pub(crate) temperature: Option<f64>,
}

impl Partition {
    /// What the member `index` says once the others were heard; none where that depends on what is not known.
    pub(crate) fn reading(&self, index: usize, own: impl Fn(usize) -> Option<Reading>) -> Option<Reading> {
        let mine = own(index)?;
        let lost = Reading {
            matched: false,
            confidence: 0.0,
            value: mine.value,
        };
        if !mine.matched && self.default != Some(index) {
            return Some(lost);
        }
        let mut open = false;
        let (mut any, mut sum) = (false, 0.0);
        let mut before = true;
        for member in &self.members {
            if *member == index {
                before = false;
            }
            let Some(reading) = own(*member) else {
                open = true;
                continue;
            };
            if !reading.matched {
                continue;
            }
            any = true;
            // The surest wins; of equals, the first.
            let ahead =
                reading.confidence > mine.confidence || (before && reading.confidence == mine.confidence);
            if !mine.matched || ahead {
                return Some(lost);
            }
            if let Some(temperature) = self.temperature {
                sum += ((reading.confidence - mine.confidence) / temperature).exp();
            }
        }
        if open {
            return None;
        }
        let confidence = if any && self.temperature.is_some() {
            1.0 / sum
        } else {
            mine.confidence
        };
        Some(Reading {
            matched: true,
            confidence: confidence.clamp(0.0, 1.0),
            value: mine.value,
        })
    }
}

/// A weighted sum.
pub(crate) struct Score {
    pub(crate) name: String,
    pub(crate) inputs: Vec<Input>,
}

/// A summand.
pub(crate) struct Input {
    /// Of what.
    pub(crate) of: Summand,
    /// The rule without which the signal does not hold.
    pub(crate) gate: Option<Rule>,
    pub(crate) weight: f64,
    pub(crate) source: ValueSource,
}

/// What a summand is taken of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Summand {
    /// The signal of this number.
    Signal(usize),
    /// Another score: its value.
    Score(usize),
    /// A range of another score: how surely that lies within, and 0 where it does not.
    Range(usize),
}

/// What is taken of a signal.
pub(crate) enum ValueSource {
    /// Whether it matches, as one of two values.
    Binary { matched: f64, missed: f64 },
    /// How surely.
    Confidence,
    /// The number behind it.
    Raw,
}

/// A named range: `projection` conditions refer to it.
pub(crate) struct Output {
    pub(crate) name: String,
    /// Number of the score.
    pub(crate) score: usize,
    pub(crate) range: Predicate,
    /// Ranges of the same mapping that come before: the first that holds counts.
    pub(crate) before: Vec<Predicate>,
    /// How steeply it grows surer with the distance from its bounds.
    pub(crate) slope: f64,
}

impl Output {
    /// How sure it is that a score within lies within: a half on a bound, more the farther from it.
    pub(crate) fn sureness(&self, score: f64) -> f64 {
        let bounds = [self.range.gt, self.range.gte, self.range.lt, self.range.lte];
        let nearest = bounds.into_iter().flatten().map(|bound| (score - bound).abs());
        let distance = nearest.reduce(f64::min).unwrap_or(1.0);
        1.0 / (1.0 + (-self.slope * distance).exp())
    }
}
