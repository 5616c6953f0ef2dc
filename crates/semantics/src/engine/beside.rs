//! What is said beside both stages: n-grams that know attacks in languages which the encoder spells letter by letter.
//!
//! English is left to both stages, as if nothing stood beside them. In another language they hardly read, and are sure of
//! themselves all the same: there a label is as probable as the surer of them and the n-grams says, and where n-grams that
//! read the whole find nothing, both stages have to be surer than usual. English among other words is believed as ever.

use serde::Deserialize;

use super::{Engine, Reading};
use crate::classify::{Answer, NgramRoom};

/// How a head listens to the n-grams beside both stages.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Beside {
    /// The head of the same labels among them, as a place.
    pub head: usize,
    /// The head that tells languages: whether some of the text is in another one, and whether some is English.
    pub tongue: usize,
    /// The most probable that its first label is where nothing is found.
    pub calm: f32,
    /// By how much both stages are believed less where nothing is found, in logits.
    pub doubt: f32,
}

/// How a file names one.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BesideSettings {
    /// The head of the same labels.
    pub head: String,
    /// The head of two labels that tells languages.
    pub tongue: String,
    /// A probability.
    pub calm: f32,
    /// At least 0.
    pub doubt: f32,
}

impl Engine {
    /// Changes the answers of a reading by what the heads beside say of the text.
    pub(super) fn read_beside(&self, text: &str, reading: &mut Reading, room: &mut NgramRoom) {
        let Some(model) = &self.beside else { return };
        let listens = |place: usize| self.heads.get(place)?.1.beside;
        if !reading
            .answers
            .iter()
            .any(|(place, ..)| listens(*place).is_some())
        {
            return;
        }
        let said = model.read(text, room);
        for (place, answer, _) in &mut reading.answers {
            let Some(beside) = listens(*place) else { continue };
            if let (Some(head), Some(tongue)) = (said.get(beside.head), said.get(beside.tongue)) {
                beside.change(answer, head, &tongue.logits);
            }
        }
    }
}

impl Beside {
    /// Logits stay those of the stage that answered; probabilities are what counts.
    fn change(&self, answer: &mut Answer, said: &Answer, tongue: &[f32]) {
        let &[other, english] = tongue else { return };
        if other <= 0.0 {
            return;
        }
        let found = said.probabilities.first().is_some_and(|first| *first > self.calm);
        let doubted = english <= 0.0 && !found;
        for (probability, said) in answer.probabilities.iter_mut().zip(&said.probabilities) {
            if doubted {
                *probability = less(*probability, self.doubt);
            }
            *probability = probability.max(*said);
        }
    }
}

/// A probability whose logit is so much less.
fn less(probability: f32, by: f32) -> f32 {
    let against = (1.0 - probability) * by.exp();
    if probability > 0.0 {
        probability / (probability + against)
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BESIDE: Beside = Beside {
        head: 0,
        tongue: 1,
        calm: 0.3,
        doubt: 1.0,
    };

    fn answer(probabilities: &[f32]) -> Answer {
        Answer {
            probabilities: probabilities.to_vec(),
            logits: vec![0.25; 3],
        }
    }

    fn changed(said: &[f32], tongue: [f32; 2]) -> Vec<f32> {
        let mut both = answer(&[0.9, 0.1, 0.5]);
        BESIDE.change(&mut both, &answer(said), &tongue);
        assert_eq!(both.logits, [0.25; 3]);
        both.probabilities
    }

    #[test]
    fn the_surer_counts_where_another_language_is_spoken() {
        assert_eq!(changed(&[0.95, 0.8, 0.4], [3.0, -3.0]), [0.95, 0.8, 0.5]);
        assert_eq!(changed(&[0.95, 0.8, 0.4], [3.0, 3.0]), [0.95, 0.8, 0.5]);
        assert_eq!(changed(&[0.95, 0.8, 0.4], [-1.0, 3.0]), [0.9, 0.1, 0.5]);
    }

    #[test]
    fn stages_that_hardly_read_a_text_are_believed_less_where_nothing_is_found() {
        let both = changed(&[0.1, 0.1, 0.1], [3.0, -3.0]);
        assert!((both[0] - 0.768).abs() < 1e-3, "{both:?}");
        assert!(
            (both[1] - 0.1).abs() < 1e-6 && (both[2] - 0.269).abs() < 1e-3,
            "{both:?}"
        );
        // Not where some of it is English, nor where something is found.
        assert_eq!(changed(&[0.1, 0.1, 0.1], [3.0, 0.1]), [0.9, 0.1, 0.5]);
        assert_eq!(changed(&[0.31, 0.1, 0.1], [3.0, -3.0]), [0.9, 0.1, 0.5]);
    }

    #[test]
    fn less_is_a_probability() {
        for probability in [0.0, 1e-30, 0.5, 1.0] {
            let one = less(probability, 2.0);
            assert!((0.0..=probability).contains(&one), "{probability}: {one}");
        }
    }
}
