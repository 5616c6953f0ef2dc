//! A head on an encoder's rows that says something of a whole text, however many windows it has.

use serde::{Deserialize, Serialize};

use super::Answer;
use super::calibrate::{Calibration, OperatingPoint};
use crate::kernels::{self, Codes, Machine};
use crate::linear::Linear;

/// Which rows of a window a head reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reads {
    /// The first.
    First,
    /// The mean of all but the frame.
    Mean,
    /// The mean of all, frame included, as sentence-transformers have it.
    MeanOfAll,
    /// Both, beside each other.
    FirstAndMean,
}

/// How what is said of windows becomes what is said of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Across {
    /// The highest logit of each label: one window is enough, as for attacks.
    Any,
    /// The mean of logits, by tokens, as for what a text is about.
    Weighted,
}

/// A linear layer, or two with a GELU between them.
#[derive(Debug, Clone)]
pub struct Head {
    /// Its name.
    pub name: String,
    /// What its classes are called.
    pub labels: Vec<String>,
    /// Behind how many blocks it reads.
    pub exit: usize,
    /// Which rows of a window it reads.
    pub reads: Reads,
    /// How windows are put together.
    pub across: Across,
    /// In order, with a GELU between two.
    pub layers: Vec<Linear>,
    /// Logits into probabilities.
    pub calibration: Calibration,
    /// Thresholds with names.
    pub points: Vec<OperatingPoint>,
}

/// What does not fit together in a head.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("head `{head}`: {problem}")]
pub struct HeadError {
    /// Which head.
    pub head: String,
    /// What is wrong.
    pub problem: String,
}

impl Head {
    /// Checks that layers, labels and thresholds fit together for rows of `width` columns.
    ///
    /// # Errors
    ///
    /// If they don't.
    pub fn check(&self, width: usize, blocks: usize) -> Result<(), HeadError> {
        let fail = |problem: String| {
            Err(HeadError {
                head: self.name.clone(),
                problem,
            })
        };
        if self.exit == 0 || self.exit > blocks {
            return fail(format!("reads behind block {} of {blocks}", self.exit));
        }
        let mut wide = if self.reads == Reads::FirstAndMean {
            2 * width
        } else {
            width
        };
        for layer in &self.layers {
            if layer.inputs() != wide {
                return fail(format!(
                    "a layer takes {} columns and gets {wide}",
                    layer.inputs()
                ));
            }
            wide = layer.outputs();
        }
        if self.layers.is_empty() || wide != self.labels.len() {
            return fail(format!("gives {wide} numbers for {} labels", self.labels.len()));
        }
        if let Some(problem) = self.calibration.problem(self.labels.len()) {
            return fail(problem);
        }
        match self
            .points
            .iter()
            .find(|point| !self.labels.contains(&point.label))
        {
            Some(point) => fail(format!(
                "point `{}` is of label `{}`, which it lacks",
                point.name, point.label
            )),
            None => Ok(()),
        }
    }

    /// The threshold of this name for this label.
    #[must_use]
    pub fn threshold(&self, point: &str, label: &str) -> Option<f32> {
        let found = self
            .points
            .iter()
            .find(|known| known.name == point && known.label == label);
        found.map(|known| known.threshold)
    }

    /// Logits for what was read from one window.
    #[must_use]
    pub fn logits(&self, machine: Machine, read: &[f32], codes: &mut Codes) -> Vec<f32> {
        let mut values = read.to_vec();
        for (index, layer) in self.layers.iter().enumerate() {
            if index > 0 {
                kernels::gelu(machine, &mut values);
            }
            let mut output = vec![0.0; layer.outputs()];
            layer.apply(machine, &values, &mut output, false, codes);
            values = output;
        }
        values
    }

    /// What it says of the text whose windows were tallied.
    #[must_use]
    pub fn answer(&self, tally: &Tally) -> Answer {
        let logits = tally.logits(self.across);
        Answer {
            probabilities: self.calibration.apply(&logits),
            logits,
        }
    }
}

impl Reads {
    /// What a head reads from a window's rows, of which `before` and `after` are the frame's.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "windows are short")]
    pub fn read(self, rows: &[f32], width: usize, (before, after): (usize, usize)) -> Vec<f32> {
        let count = rows.len() / width.max(1);
        let first = rows
            .get(..width)
            .map_or_else(|| vec![0.0; width], <[f32]>::to_vec);
        if self == Self::First {
            return first;
        }
        // A window without content has only its frame to be read.
        let range = if before + after < count && self != Self::MeanOfAll {
            before..count - after
        } else {
            0..count
        };
        let mut mean = vec![0.0; width];
        for row in rows[range.start * width..range.end * width].chunks_exact(width.max(1)) {
            mean.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
        }
        let share = 1.0 / range.len().max(1) as f32;
        mean.iter_mut().for_each(|value| *value *= share);
        if self == Self::Mean || self == Self::MeanOfAll {
            return mean;
        }
        let mut both = first;
        both.extend(mean);
        both
    }
}

/// Logits of the windows seen so far.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tally {
    highest: Vec<f32>,
    sum: Vec<f32>,
    tokens: f32,
}

impl Tally {
    /// A window of so many tokens has these logits.
    #[allow(clippy::cast_precision_loss, reason = "windows are short")]
    pub fn add(&mut self, logits: &[f32], tokens: usize) {
        if self.sum.is_empty() {
            self.highest = vec![f32::NEG_INFINITY; logits.len()];
            self.sum = vec![0.0; logits.len()];
        }
        let weight = tokens.max(1) as f32;
        self.tokens += weight;
        for ((highest, sum), logit) in self.highest.iter_mut().zip(&mut self.sum).zip(logits) {
            *highest = highest.max(*logit);
            *sum += weight * logit;
        }
    }

    /// Logits of the text.
    #[must_use]
    pub fn logits(&self, across: Across) -> Vec<f32> {
        match across {
            Across::Any => self.highest.clone(),
            Across::Weighted => self.sum.iter().map(|sum| sum / self.tokens.max(1.0)).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linear::Precision;

    fn head(across: Across) -> Head {
        Head {
            name: "guard".into(),
            labels: vec!["benign".into(), "attack".into()],
            exit: 1,
            reads: Reads::FirstAndMean,
            across,
            layers: vec![
                Linear::new(
                    &[1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 2.0],
                    &[0.0, 0.5],
                    4,
                    Precision::Float,
                )
                .unwrap(),
            ],
            calibration: Calibration::Temperature(1.0),
            points: vec![OperatingPoint {
                name: "fpr_1pct".into(),
                label: "attack".into(),
                threshold: 0.7,
            }],
        }
    }

    #[test]
    fn rows_of_the_frame_are_not_in_the_mean() {
        let rows = [9.0, 9.0, 1.0, 2.0, 3.0, 4.0, 8.0, 8.0];
        assert_eq!(Reads::First.read(&rows, 2, (1, 1)), [9.0, 9.0]);
        assert_eq!(Reads::Mean.read(&rows, 2, (1, 1)), [2.0, 3.0]);
        assert_eq!(Reads::FirstAndMean.read(&rows, 2, (1, 1)), [9.0, 9.0, 2.0, 3.0]);
        assert_eq!(Reads::MeanOfAll.read(&rows, 2, (1, 1)), [5.25, 5.75]);
        assert_eq!(Reads::Mean.read(&rows[..4], 2, (1, 1)), [5.0, 5.5]);
        assert_eq!(Reads::Mean.read(&[], 2, (1, 1)), [0.0, 0.0]);
    }

    #[test]
    fn one_window_is_enough_for_any_and_not_for_weighted() {
        let mut tally = Tally::default();
        tally.add(&[2.0, -1.0], 100);
        tally.add(&[0.0, 3.0], 20);
        let any = head(Across::Any).answer(&tally);
        assert_eq!(any.logits, [2.0, 3.0]);
        assert_eq!(any.best().unwrap().0, 1);
        let weighted = head(Across::Weighted).answer(&tally);
        assert!((weighted.logits[0] - 200.0 / 120.0).abs() < 1e-6);
        assert_eq!(weighted.best().unwrap().0, 0);
    }

    #[test]
    fn logits_are_those_of_the_layers() {
        let logits =
            head(Across::Any).logits(Machine::portable(), &[1.0, 2.0, 3.0, 4.0], &mut Codes::default());
        assert_eq!(logits, [1.0, 10.5]);
    }

    #[test]
    fn what_does_not_fit_together_is_told() {
        let good = head(Across::Any);
        assert!(good.check(2, 3).is_ok());
        assert_eq!(good.threshold("fpr_1pct", "attack"), Some(0.7));
        assert_eq!(
            good.check(3, 3).unwrap_err().to_string(),
            "head `guard`: a layer takes 4 columns and gets 6"
        );
        assert!(
            good.check(2, 0)
                .unwrap_err()
                .to_string()
                .contains("behind block 1 of 0")
        );
        let mut short = good.clone();
        short.labels.push("more".into());
        assert!(
            short
                .check(2, 3)
                .unwrap_err()
                .to_string()
                .contains("2 numbers for 3 labels")
        );
        let mut astray = good;
        astray.points[0].label = "nothing".into();
        assert!(
            astray
                .check(2, 3)
                .unwrap_err()
                .to_string()
                .contains("which it lacks")
        );
    }
}
