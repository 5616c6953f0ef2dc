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
}
