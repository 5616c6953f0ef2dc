//! Examples by their meaning: near ones stand for one another, and a text is as like to all as to the best and the next.

use std::sync::OnceLock;

use super::Answers;
use crate::config::{Aggregation, PrototypeScoring};

/// Examples at least as alike as this become one.
const ALIKE: f64 = 0.9;
/// Most examples that are compared.
const MOST: usize = 8;
/// What the best counts beside the mean of the next.
const BEST: f64 = 0.75;
/// How many count.
const TOP: usize = 2;

/// The cosine of two vectors of length 1.
pub(super) fn dot(left: &[f32], right: &[f32]) -> f64 {
    let products = left.iter().zip(right).map(|(left, right)| left * right);
    f64::from(products.sum::<f32>())
}

/// Examples, and how likenesses to them become one.
pub(super) struct Bank {
    examples: Vec<String>,
    /// Those that stand for the others; worked out when all vectors are there.
    prototypes: OnceLock<Vec<usize>>,
    alike: Option<f64>,
    most: usize,
    best: f64,
    top: usize,
}

impl Bank {
    pub(super) fn new(examples: &[String], scoring: Option<&PrototypeScoring>) -> Self {
        let scoring = scoring.cloned().unwrap_or_default();
        let mut own: Vec<String> = Vec::new();
        for example in examples.iter().filter(|example| !example.trim().is_empty()) {
            if !own.contains(example) {
                own.push(example.clone());
            }
        }
        let count = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        Self {
            examples: own,
            prototypes: OnceLock::new(),
            alike: scoring
                .enabled
                .unwrap_or(true)
                .then_some(scoring.cluster_similarity_threshold.unwrap_or(ALIKE)),
            most: scoring
                .max_prototypes
                .filter(|most| *most > 0)
                .map_or(MOST, count),
            best: scoring.best_weight.unwrap_or(BEST).clamp(0.0, 1.0),
            top: scoring.top_m.map_or(TOP, count),
        }
    }

    /// With another way to make many likenesses one.
    pub(super) fn aggregated(mut self, aggregation: Option<Aggregation>) -> Self {
        match aggregation {
            Some(Aggregation::Mean) => (self.best, self.top) = (0.0, 0),
            Some(Aggregation::Max | Aggregation::Any) | None => {}
        }
        self
    }

    pub(super) fn is_empty(&self) -> bool {
        self.examples.is_empty()
    }

    pub(super) fn examples(&self) -> impl Iterator<Item = &str> {
        self.examples.iter().map(String::as_str)
    }

    /// How like a text is; none where the vector of an example is missing, or there are none.
    pub(super) fn score(&self, text: &[f32], answers: &dyn Answers) -> Option<f64> {
        let prototypes = match self.prototypes.get() {
            Some(known) => known,
            None => {
                let found = self.find(answers)?;
                self.prototypes.get_or_init(|| found)
            }
        };
        let mut likenesses = Vec::with_capacity(prototypes.len());
        for prototype in prototypes {
            likenesses.push(dot(text, answers.vector(&self.examples[*prototype])?));
        }
        likenesses.sort_by(|left, right| right.total_cmp(left));
        let best = *likenesses.first()?;
        let top = match self.top {
            0 => likenesses.len(),
            top => top.min(likenesses.len()),
        };
        let next = likenesses[..top].iter().sum::<f64>() / top as f64;
        Some(self.best * best + (1.0 - self.best) * next)
    }

    /// The examples that stand for the others: of each group of like ones that which is likest to the others, the
    /// greatest groups first.
    fn find(&self, answers: &dyn Answers) -> Option<Vec<usize>> {
        let vectors: Vec<&[f32]> = self
            .examples
            .iter()
            .map(|example| answers.vector(example))
            .collect::<Option<_>>()?;
        let Some(alike) = self.alike else {
            return Some((0..vectors.len()).collect());
        };
        let mut groups: Vec<(usize, f64, usize)> = groups(&vectors, alike)
            .into_iter()
            .map(|group| {
                let mean = |at: usize| {
                    let others = group.iter().map(|other| dot(vectors[at], vectors[*other]));
                    others.sum::<f64>() / group.len() as f64
                };
                let middle =
                    group
                        .iter()
                        .map(|at| (mean(*at), *at))
                        .fold(
                            (f64::NEG_INFINITY, 0),
                            |best, next| if next.0 > best.0 { next } else { best },
                        );
                (group.len(), middle.0, middle.1)
            })
            .collect();
        groups.sort_by(|left, right| {
            right
                .0
                .cmp(&left.0)
                .then(right.1.total_cmp(&left.1))
                .then_with(|| self.examples[left.2].cmp(&self.examples[right.2]))
        });
        Some(
            groups
                .into_iter()
                .take(self.most)
                .map(|(.., middle)| middle)
                .collect(),
        )
    }
}

/// Groups of vectors that hang together by likeness.
fn groups(vectors: &[&[f32]], alike: f64) -> Vec<Vec<usize>> {
    let mut groups = Vec::new();
    let mut taken = vec![false; vectors.len()];
    for first in 0..vectors.len() {
        if std::mem::replace(&mut taken[first], true) {
            continue;
        }
        let mut group = vec![first];
        let mut next = 0;
        while let Some(at) = group.get(next).copied() {
            next += 1;
            for other in 0..vectors.len() {
                if !taken[other] && dot(vectors[at], vectors[other]) >= alike {
                    taken[other] = true;
                    group.push(other);
                }
            }
        }
        groups.push(group);
    }
    groups
}
