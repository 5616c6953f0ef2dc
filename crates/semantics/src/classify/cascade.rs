//! When the first stage answers and when the encoder is asked, and how both are joined.

use serde::{Deserialize, Serialize};

use super::Answer;

/// When a first answer is sure enough to stand.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Sure {
    /// Never: the encoder is always asked.
    Never,
    /// The most probable class has at least this probability.
    Best(f32),
    /// One class's probability lies outside these bounds.
    Outside {
        /// Which class.
        class: usize,
        /// At most this: it does not hold.
        low: f32,
        /// At least this: it holds.
        high: f32,
    },
}

impl Sure {
    /// Whether `answer` may stand.
    #[must_use]
    pub fn stands(self, answer: &Answer) -> bool {
        match self {
            Self::Never => false,
            Self::Best(least) => answer.best().is_some_and(|(_, probability)| probability >= least),
            Self::Outside { class, low, high } => answer
                .probabilities
                .get(class)
                .is_some_and(|probability| *probability <= low || *probability >= high),
        }
    }
}

/// The encoder's logits with a share of the first stage's added: both fail on different texts.
#[must_use]
pub fn joined(encoder: &[f32], first: &[f32], share: f32) -> Vec<f32> {
    encoder
        .iter()
        .zip(first)
        .map(|(encoder, first)| encoder + share * first)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(probabilities: &[f32]) -> Answer {
        Answer {
            probabilities: probabilities.to_vec(),
            logits: Vec::new(),
        }
    }

    #[test]
    fn what_is_sure_stands() {
        let outside = Sure::Outside {
            class: 1,
            low: 0.02,
            high: 0.98,
        };
        for (rule, probabilities, stands) in [
            (Sure::Never, [0.0, 1.0], false),
            (Sure::Best(0.9), [0.1, 0.9], true),
            (Sure::Best(0.9), [0.2, 0.8], false),
            (outside, [0.99, 0.01], true),
            (outside, [0.5, 0.5], false),
            (outside, [0.01, 0.99], true),
            (outside, [0.0, f32::NAN], false),
        ] {
            assert_eq!(
                rule.stands(&answer(&probabilities)),
                stands,
                "{rule:?} {probabilities:?}"
            );
        }
    }

    #[test]
    fn joining_adds_a_share() {
        assert_eq!(joined(&[1.0, 2.0], &[4.0, -4.0], 0.5), [3.0, 0.0]);
    }
}
