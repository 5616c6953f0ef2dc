//! Logits into probabilities, and thresholds with names.

use serde::{Deserialize, Serialize};

/// How logits become probabilities. Fitted on texts that no weight was trained on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Calibration {
    /// One of several classes holds: softmax of logits divided by a temperature.
    Temperature(f32),
    /// Each class holds or not by itself: the logistic of `slope · logit + shift`, with a pair for each class.
    Platt(Vec<(f32, f32)>),
}

impl Calibration {
    /// Probabilities for `logits`.
    #[must_use]
    pub fn apply(&self, logits: &[f32]) -> Vec<f32> {
        match self {
            Self::Temperature(temperature) => softmax(logits, *temperature),
            Self::Platt(pairs) => {
                let each = logits.iter().zip(pairs);
                each.map(|(logit, (slope, shift))| logistic(slope * logit + shift))
                    .collect()
            }
        }
    }

    /// What makes it unusable for `labels` classes, if anything.
    #[must_use]
    pub fn problem(&self, labels: usize) -> Option<String> {
        match self {
            Self::Temperature(temperature) if !(*temperature > 0.0 && temperature.is_finite()) => {
                Some(format!("a temperature of {temperature}: it must be above 0"))
            }
            Self::Platt(pairs) if pairs.len() != labels => {
                Some(format!("{} slopes for {labels} labels", pairs.len()))
            }
            Self::Platt(pairs)
                if !pairs
                    .iter()
                    .all(|(slope, shift)| slope.is_finite() && shift.is_finite()) =>
            {
                Some("a slope or shift that is no number".to_owned())
            }
            _ => None,
        }
    }
}

/// `1 / (1 + e^-x)`.
#[must_use]
pub fn logistic(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

fn softmax(logits: &[f32], temperature: f32) -> Vec<f32> {
    let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut values: Vec<f32> = logits
        .iter()
        .map(|logit| ((logit - highest) / temperature).exp())
        .collect();
    let sum: f32 = values.iter().sum();
    values.iter_mut().for_each(|value| *value /= sum);
    values
}

/// A threshold with a name, such as `fpr_1pct`: one false alarm in a hundred benign texts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OperatingPoint {
    /// Its name.
    pub name: String,
    /// Of which label.
    pub label: String,
    /// The least probability that counts.
    pub threshold: f32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_are_probabilities() {
        let all = Calibration::Temperature(2.0).apply(&[1_000.0, 998.0, -50.0]);
        assert!((all.iter().sum::<f32>() - 1.0).abs() < 1e-6);
        assert!((all[0] / all[1] - 1.0_f32.exp()).abs() < 1e-4);
        let each = Calibration::Platt(vec![(2.0, -1.0), (1.0, 0.0)]).apply(&[0.5, -200.0]);
        assert!((each[0] - 0.5).abs() < 1e-6 && each[1] < 1e-6);
    }

    #[test]
    fn what_does_not_fit_is_told() {
        assert!(Calibration::Temperature(0.0).problem(3).is_some());
        assert!(Calibration::Temperature(f32::NAN).problem(3).is_some());
        assert!(Calibration::Platt(vec![(1.0, 0.0)]).problem(2).is_some());
        assert!(
            Calibration::Platt(vec![(f32::INFINITY, 0.0)])
                .problem(1)
                .is_some()
        );
        assert!(Calibration::Platt(vec![(1.0, 0.0)]).problem(1).is_none());
    }
}
