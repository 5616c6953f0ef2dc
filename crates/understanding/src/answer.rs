//! Answers, by name.

use std::time::Duration;

use pointsman_semantics::classify::{Answer, Calibration, Head};
use pointsman_semantics::engine::Stage;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::model::Classes;

/// Where an answer is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// N-grams, which were sure.
    First,
    /// The encoder.
    Encoder,
    /// A further model.
    Model,
}

impl Source {
    /// As it is told.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Encoder => "encoder",
            Self::Model => "model",
        }
    }
}

/// A threshold with a name, and whether the answer reaches it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Point {
    /// Its name, such as `fpr_1pct`.
    pub name: String,
    /// Of which label.
    pub label: String,
    /// The least probability that counts.
    pub threshold: f32,
    /// Whether it is reached.
    pub holds: bool,
}

/// What one head says of a text.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HeadAnswer {
    /// Which head.
    pub head: String,
    /// The most probable label.
    pub label: String,
    /// Its probability.
    pub probability: f32,
    /// Where the answer is from.
    pub stage: Source,
    /// Any number of labels may hold at once.
    pub independent: bool,
    /// For each label.
    #[serde(serialize_with = "as_map")]
    pub probabilities: Vec<(String, f32)>,
    /// Thresholds with names.
    pub points: Vec<Point>,
}

fn as_map<S: Serializer>(pairs: &[(String, f32)], serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(pairs.len()))?;
    for (name, value) in pairs {
        map.serialize_entry(name, value)?;
    }
    map.end()
}

/// A stretch of a text that is personal data.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Entity {
    /// Of which kind, such as `EMAIL_ADDRESS`.
    pub kind: String,
    /// First byte.
    pub start: usize,
    /// First byte behind.
    pub end: usize,
    /// How surely.
    pub probability: f32,
    /// Told by its shape and its check digits, not by the model.
    pub recognised: bool,
}

/// What was understood of a text.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Understood {
    /// In the order in which heads were asked.
    pub heads: Vec<HeadAnswer>,
    /// In the order of the text.
    pub entities: Vec<Entity>,
    /// Of length 1.
    pub embedding: Option<Vec<f32>>,
    /// Tokens that the encoder read; 0 if it wasn't asked.
    pub tokens: usize,
    /// The text is longer than is read.
    pub cut: bool,
    /// From question to answer, waiting included.
    pub took: Duration,
}

impl Understood {
    /// What a head says.
    #[must_use]
    pub fn head(&self, name: &str) -> Option<&HeadAnswer> {
        self.heads.iter().find(|answer| answer.head == name)
    }
}

impl HeadAnswer {
    /// From a head of the main model.
    pub(crate) fn of_head(head: &Head, answer: &Answer, stage: Stage) -> Self {
        let labels = head.labels.iter().cloned();
        let points = head.points.iter();
        Self::new(
            &head.name,
            labels.zip(answer.probabilities.iter().copied()).collect(),
            matches!(head.calibration, Calibration::Platt(_)),
            match stage {
                Stage::First => Source::First,
                Stage::Encoder => Source::Encoder,
            },
        )
        .with_points(points.map(|point| (point.name.as_str(), point.label.as_str(), point.threshold)))
    }

    /// From a further model that answers for a head.
    pub(crate) fn of_model(head: &str, classes: Classes, point: Option<(&str, f32)>) -> Self {
        Self::new(head, classes.labels, classes.independent, Source::Model).with_points(
            point
                .into_iter()
                .map(|(label, threshold)| ("balanced", label, threshold)),
        )
    }

    fn new(head: &str, probabilities: Vec<(String, f32)>, independent: bool, stage: Source) -> Self {
        let best = probabilities
            .iter()
            .max_by(|left, right| left.1.total_cmp(&right.1));
        let (label, probability) = best.cloned().unwrap_or_default();
        Self {
            head: head.to_owned(),
            label,
            probability,
            stage,
            independent,
            probabilities,
            points: Vec::new(),
        }
    }

    fn with_points<'p>(mut self, points: impl Iterator<Item = (&'p str, &'p str, f32)>) -> Self {
        self.points = points
            .map(|(name, label, threshold)| Point {
                name: name.to_owned(),
                label: label.to_owned(),
                threshold,
                holds: self.of(label) >= threshold,
            })
            .collect();
        self
    }

    /// The probability of a label; 0 for one that is not there.
    #[must_use]
    pub fn of(&self, label: &str) -> f32 {
        let known = self.probabilities.iter().find(|(name, _)| name == label);
        known.map_or(0.0, |(_, probability)| *probability)
    }

    /// The operating point of this name; where the head has none, `balanced`; of several labels, that of the one that has
    /// most points: the label that says yes.
    #[must_use]
    pub fn point(&self, name: &str) -> Option<&Point> {
        let named = |name: &str| {
            let points = self.points.iter().filter(move |point| point.name == name);
            points.max_by_key(|point| {
                let same = self.points.iter().filter(|other| other.label == point.label);
                same.count()
            })
        };
        named(name).or_else(|| named("balanced"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_label_that_says_yes_is_the_one_with_most_points() {
        let answer = HeadAnswer::new(
            "fact_check",
            vec![("no".to_owned(), 0.4), ("yes".to_owned(), 0.6)],
            false,
            Source::Encoder,
        )
        .with_points(
            [
                ("balanced", "no", 0.5),
                ("fpr_1pct", "yes", 0.7),
                ("balanced", "yes", 0.5),
            ]
            .into_iter(),
        );
        assert_eq!((answer.label.as_str(), answer.probability), ("yes", 0.6));
        let strict = answer.point("fpr_1pct").unwrap();
        assert!(!strict.holds && strict.label == "yes");
        let usual = answer.point("fpr_3pct").unwrap();
        assert!(usual.holds && usual.label == "yes");
        let told = serde_json::to_value(&answer).unwrap();
        assert_eq!(told["stage"], "encoder");
        assert!(told["probabilities"]["yes"].as_f64().unwrap() > 0.59);
    }
}
