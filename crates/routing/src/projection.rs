//! Projections, compiled: scores over signals, and named ranges of scores.

use crate::config::Predicate;

/// A weighted sum.
pub(crate) struct Score {
    pub(crate) name: String,
    pub(crate) inputs: Vec<Input>,
}

/// A summand.
pub(crate) struct Input {
    /// Number of the signal.
    pub(crate) signal: usize,
    pub(crate) weight: f64,
    pub(crate) source: ValueSource,
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
