//! Signals of likeness to what a knowledge base knows, and the numbers that it gives to scores.

use std::sync::Arc;

use super::super::Reading;
use super::Answers;
use super::bank::Bank;
use crate::config::KbConfig;
use crate::knowledge::{Knowledge, Metric};

/// A knowledge base that texts are compared with.
pub(crate) struct Shelf {
    known: Arc<Knowledge>,
    /// One for each label.
    banks: Vec<Bank>,
}

impl Shelf {
    pub(crate) fn new(known: &Arc<Knowledge>) -> Arc<Self> {
        let scoring = known.config.prototype_scoring.as_ref();
        let banks = known
            .labels
            .iter()
            .map(|label| Bank::new(&label.examples, scoring));
        Arc::new(Self {
            banks: banks.collect(),
            known: Arc::clone(known),
        })
    }

    pub(crate) fn name(&self) -> &str {
        &self.known.config.name
    }

    pub(crate) fn known(&self) -> &Knowledge {
        &self.known
    }

    fn examples(&self) -> Vec<&str> {
        self.banks.iter().flat_map(Bank::examples).collect()
    }

    /// How like a text is to each label.
    fn scores(&self, text: &[f32], answers: &dyn Answers) -> Option<Vec<f64>> {
        self.banks.iter().map(|bank| bank.score(text, answers)).collect()
    }
}

/// What of a knowledge base a signal is about.
enum Target {
    Label(usize),
    Group(Vec<usize>),
}

/// Likeness to a label, or to a group of labels.
pub(super) struct Kb {
    shelf: Arc<Shelf>,
    target: Target,
    /// It must be the likest of all; else like enough is enough.
    best: bool,
}

impl Kb {
    pub(super) fn compile(config: &KbConfig, shelves: &[Arc<Shelf>]) -> Result<Self, String> {
        let Some(shelf) = shelves.iter().find(|shelf| shelf.name() == config.kb) else {
            return Err(format!("there is no knowledge base {:?}", config.kb));
        };
        let known = &shelf.known;
        let value = config.target.value.as_str();
        let target = match config.target.kind.as_str() {
            "label" => known.label(value).map(Target::Label),
            "group" => known.groups.get(value).cloned().map(Target::Group),
            other => return Err(format!("target.kind: unknown kind {other:?}; use label or group")),
        };
        let Some(target) = target else {
            let names: Vec<&str> = match config.target.kind.as_str() {
                "label" => known.labels.iter().map(|label| label.name.as_str()).collect(),
                _ => known.groups.keys().map(String::as_str).collect(),
            };
            return Err(format!(
                "target.value: {:?} has no {} {value:?}; there are {}",
                config.kb,
                config.target.kind,
                names.join(", ")
            ));
        };
        let best = match config.matches.as_deref() {
            None | Some("best") => true,
            Some("threshold") => false,
            Some(other) => return Err(format!("match: unknown value {other:?}; use best or threshold")),
        };
        Ok(Self {
            shelf: Arc::clone(shelf),
            target,
            best,
        })
    }

    pub(super) fn print(&self) -> u32 {
        self.shelf.known.print
    }

    pub(super) fn examples(&self) -> Vec<&str> {
        self.shelf.examples()
    }

    pub(super) fn judge(&self, text: &[f32], answers: &dyn Answers) -> Option<Reading> {
        let scores = self.shelf.scores(text, answers)?;
        let of = |members: &[usize]| most(members.iter().filter_map(|label| scores.get(*label)).copied());
        let enough = |label: &usize| scores[*label] >= self.shelf.known.labels[*label].least;
        let (own, matched) = match &self.target {
            Target::Label(label) => {
                let own = scores[*label];
                // Of labels that are as like the first stands.
                let first = scores
                    .iter()
                    .position(|other| *other == most(scores.iter().copied()));
                (
                    own,
                    if self.best {
                        first == Some(*label)
                    } else {
                        enough(label)
                    },
                )
            }
            Target::Group(members) => {
                let own = of(members);
                let groups = self.shelf.known.groups.values();
                let best = most(groups.map(|group| of(group)));
                (
                    own,
                    if self.best {
                        own >= best
                    } else {
                        members.iter().any(enough)
                    },
                )
            }
        };
        Some(Reading {
            // What is like nothing at all belongs nowhere.
            matched: matched && own > 0.0,
            confidence: own,
            value: own,
        })
    }
}

fn most(values: impl Iterator<Item = f64>) -> f64 {
    values.fold(f64::NEG_INFINITY, f64::max)
}

/// A number of a knowledge base, for scores.
pub(crate) struct KbMetric {
    shelf: Arc<Shelf>,
    metric: Metric,
}

impl KbMetric {
    pub(crate) fn new(shelf: &Arc<Shelf>, metric: Metric) -> Self {
        Self {
            shelf: Arc::clone(shelf),
            metric,
        }
    }

    pub(super) fn print(&self) -> u32 {
        self.shelf.known.print
    }

    pub(super) fn examples(&self) -> Vec<&str> {
        self.shelf.examples()
    }

    pub(super) fn judge(&self, text: &[f32], answers: &dyn Answers) -> Option<Reading> {
        let scores = self.shelf.scores(text, answers)?;
        let of = |members: &[usize]| most(members.iter().filter_map(|label| scores.get(*label)).copied());
        let value = match &self.metric {
            Metric::Best => most(scores.iter().copied()),
            Metric::BestMatched => {
                let labels = scores.iter().zip(&self.shelf.known.labels);
                most(
                    labels
                        .filter(|(score, label)| **score >= label.least)
                        .map(|(score, _)| *score),
                )
                .max(0.0)
            }
            Metric::Margin(positive, negative) => of(positive) - of(negative),
        };
        Some(Reading {
            matched: value > 0.0,
            confidence: value.clamp(0.0, 1.0),
            value,
        })
    }
}
