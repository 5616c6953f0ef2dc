//! Expected and given classes, counted: accuracy, precision and recall, confusion, AUC, calibration.

use std::collections::{BTreeMap, BTreeSet};

use pointsman_understanding::HeadAnswer;
use serde::Serialize;

use super::Latency;
use super::rows::is_nothing;

/// Bins of the calibration error.
const BINS: usize = 10;
/// What a head that says yes or no is expected to say of what it is not about.
const NO: &str = "benign";

/// What was counted.
#[derive(Default)]
pub(super) struct Classes {
    /// Expected, then given.
    confusion: BTreeMap<String, BTreeMap<String, usize>>,
    /// Probability that what was given is so, and whether it is.
    sure: Vec<(f32, bool)>,
    /// Of heads that say yes or no: probability of yes, and whether it is so.
    yes: Vec<(f32, bool)>,
    point: Option<(String, f32)>,
}

/// What came out for a head.
#[derive(Serialize)]
pub(super) struct Measured {
    pub(super) prompts: usize,
    pub(super) accuracy: f64,
    /// For each class.
    pub(super) classes: BTreeMap<String, Class>,
    /// Expected, then given.
    pub(super) confusion: BTreeMap<String, BTreeMap<String, usize>>,
    /// Of heads that say yes or no.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) binary: Option<Binary>,
    /// Mean distance of probabilities from what is so, over ten bins; none where there are no probabilities.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) calibration_error: Option<f64>,
    pub(super) latency: Latency,
}

#[derive(Serialize)]
pub(super) struct Class {
    pub(super) expected: usize,
    pub(super) given: usize,
    pub(super) precision: f64,
    pub(super) recall: f64,
}

#[derive(Serialize)]
pub(super) struct Binary {
    /// None where only one of the two is expected.
    pub(super) auc: Option<f64>,
    /// The operating point of the other figures.
    pub(super) point: String,
    pub(super) threshold: f32,
    /// Share of yes that is found at the point.
    pub(super) recall: f64,
    /// Share of no that is taken for yes at the point.
    pub(super) false_positives: f64,
}

impl Classes {
    /// Counts an answer to a prompt with this label.
    pub(super) fn add(&mut self, label: &str, answer: &HeadAnswer, point: &str) {
        match yes_of(answer, point) {
            Some((yes, threshold, name)) => {
                let expected = !is_nothing(label) && !is_no(answer, yes, label);
                let probability = answer.of(yes);
                let holds = probability >= threshold;
                let class = |holds: bool| if holds { yes.to_owned() } else { NO.to_owned() };
                self.decided(&class(expected), &class(holds));
                self.yes.push((probability, expected));
                self.sure.push((probability, expected));
                self.point = Some((name.to_owned(), threshold));
            }
            None => {
                self.decided(label, &answer.label);
                self.sure.push((answer.probability, answer.label == label));
            }
        }
    }

    /// Counts a class without probabilities.
    pub(super) fn decided(&mut self, expected: &str, given: &str) {
        let row = self.confusion.entry(expected.to_owned()).or_default();
        *row.entry(given.to_owned()).or_default() += 1;
    }

    /// The figures.
    #[allow(clippy::cast_precision_loss, reason = "shares for reading")]
    pub(super) fn measured(self, latency: Latency) -> Measured {
        let count = |expected: &str, given: &str| {
            let row = self.confusion.get(expected);
            row.and_then(|row| row.get(given)).copied().unwrap_or(0)
        };
        let mut names: BTreeSet<&String> = self.confusion.keys().collect();
        names.extend(self.confusion.values().flat_map(BTreeMap::keys));
        let all: usize = self.confusion.values().flat_map(BTreeMap::values).sum();
        let right: usize = names.iter().map(|name| count(name, name)).sum();
        let classes = names.iter().map(|name| {
            let expected: usize = self.confusion.get(*name).map_or(0, |row| row.values().sum());
            let given: usize = self.confusion.keys().map(|other| count(other, name)).sum();
            let right = count(name, name);
            let class = Class {
                expected,
                given,
                precision: share(right, given),
                recall: share(right, expected),
            };
            ((*name).clone(), class)
        });
        Measured {
            prompts: all,
            accuracy: share(right, all),
            classes: classes.collect(),
            binary: self.point.as_ref().map(|(point, threshold)| {
                let of = |wanted: bool| self.yes.iter().filter(move |(_, expected)| *expected == wanted);
                let above = |wanted: bool| of(wanted).filter(|(yes, _)| yes >= threshold).count();
                Binary {
                    auc: auc(&self.yes),
                    point: point.clone(),
                    threshold: *threshold,
                    recall: share(above(true), of(true).count()),
                    false_positives: share(above(false), of(false).count()),
                }
            }),
            calibration_error: (!self.sure.is_empty()).then(|| calibration_error(&self.sure)),
            confusion: self.confusion,
            latency,
        }
    }
}

/// The label that says yes, with its threshold at a point and the point's name; none for heads that tell several apart.
fn yes_of<'a>(answer: &'a HeadAnswer, point: &str) -> Option<(&'a str, f32, &'a str)> {
    let is_binary = answer.independent || answer.probabilities.len() == 2;
    let point = answer.point(point).filter(|_| is_binary)?;
    Some((&point.label, point.threshold, &point.name))
}

/// Whether a label is the other one of a head with two.
fn is_no(answer: &HeadAnswer, yes: &str, label: &str) -> bool {
    !answer.independent && label != yes && answer.probabilities.iter().any(|(name, _)| name == label)
}

#[allow(clippy::cast_precision_loss, reason = "shares for reading")]
pub(super) fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 {
        0.0
    } else {
        part as f64 / whole as f64
    }
}

/// How often a yes is more probable than a no; ties count half.
#[allow(clippy::cast_precision_loss, reason = "counts of prompts")]
fn auc(all: &[(f32, bool)]) -> Option<f64> {
    let mut sorted: Vec<(f32, bool)> = all.to_vec();
    sorted.sort_by(|left, right| left.0.total_cmp(&right.0));
    let positives = sorted.iter().filter(|(_, yes)| *yes).count();
    let negatives = sorted.len() - positives;
    if positives == 0 || negatives == 0 {
        return None;
    }
    let (mut ranks, mut place) = (0.0, 0);
    while place < sorted.len() {
        let same = sorted[place..]
            .iter()
            .take_while(|(value, _)| *value == sorted[place].0)
            .count();
        let rank = place as f64 + (same as f64 + 1.0) / 2.0;
        let yes = sorted[place..place + same].iter().filter(|(_, yes)| *yes).count();
        ranks += rank * yes as f64;
        place += same;
    }
    let least = positives as f64 * (positives as f64 + 1.0) / 2.0;
    Some((ranks - least) / (positives as f64 * negatives as f64))
}

#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "probabilities into bins"
)]
fn calibration_error(all: &[(f32, bool)]) -> f64 {
    let mut bins = [(0_usize, 0.0_f64, 0_usize); BINS];
    for (probability, so) in all {
        let place = ((probability * BINS as f32) as usize).min(BINS - 1);
        let (count, sum, right) = &mut bins[place];
        *count += 1;
        *sum += f64::from(*probability);
        *right += usize::from(*so);
    }
    let apart = bins.iter().map(|(_, sum, right)| (sum - *right as f64).abs());
    apart.sum::<f64>() / all.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auc_is_the_share_of_pairs_in_order() {
        let pairs = [(0.9, true), (0.8, false), (0.7, true), (0.1, false)];
        assert!((auc(&pairs).unwrap() - 0.75).abs() < 1e-9);
        assert!((auc(&[(0.5, true), (0.5, false)]).unwrap() - 0.5).abs() < 1e-9);
        assert!(auc(&[(0.5, true)]).is_none());
    }

    #[test]
    fn calibrated_probabilities_have_no_error() {
        let all: Vec<(f32, bool)> = (0..100).map(|number| (0.25, number % 4 == 0)).collect();
        assert!(calibration_error(&all) < 1e-6);
        assert!((calibration_error(&[(1.0, false); 5]) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn confusion_becomes_precision_and_recall() {
        let mut classes = Classes::default();
        for (expected, given) in [("a", "a"), ("a", "b"), ("b", "b"), ("b", "b")] {
            classes.decided(expected, given);
        }
        let measured = classes.measured(super::super::Times::default().told());
        assert!((measured.accuracy - 0.75).abs() < 1e-9);
        let b = &measured.classes["b"];
        assert!((b.precision - 2.0 / 3.0).abs() < 1e-9 && (b.recall - 1.0).abs() < 1e-9);
        assert_eq!(measured.confusion["a"]["b"], 1);
    }
}
