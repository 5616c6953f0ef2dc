//! From an encoder's rows, or from n-grams, to answers: probabilities that mean what they say, with named thresholds.

mod calibrate;
mod cascade;
mod head;
mod ngrams;
mod spans;

pub use calibrate::{Calibration, OperatingPoint};
pub use cascade::{Sure, joined};
pub use head::{Across, Head, HeadError, Reads, Tally};
pub use ngrams::{NgramHead, NgramModel, NgramRoom};
pub use spans::{Span, SpanClasses, SpanTally, Tagger};

/// What one head says of one text.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// Calibrated, one for each label.
    pub probabilities: Vec<f32>,
    /// Before calibration.
    pub logits: Vec<f32>,
}

impl Answer {
    /// The most probable label and its probability; none where there are no labels.
    #[must_use]
    pub fn best(&self) -> Option<(usize, f32)> {
        let values = self.probabilities.iter().copied().enumerate();
        values.max_by(|left, right| left.1.total_cmp(&right.1).then(right.0.cmp(&left.0)))
    }
}
