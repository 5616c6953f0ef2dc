//! Groups of like questions, and how good each model is in each.

use super::features::Sparse;
use super::rows::Questions;
use crate::selection::chance::Chance;

/// Questions that a model's mean over all groups counts for in one.
const HELD: f64 = 8.0;

/// Groups.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct KMeans {
    pub(crate) width: usize,
    /// `[groups][width]`, each of length 1.
    pub(crate) centres: Vec<f32>,
    /// `[groups][models]`.
    pub(crate) worth: Vec<f32>,
    pub(crate) models: usize,
}

impl KMeans {
    pub(crate) fn fit(questions: &Questions, groups: usize, rounds: usize, chance: &mut Chance) -> Self {
        let groups = groups.min(questions.len()).max(1);
        let mut fitted = Self {
            width: questions.width,
            centres: seeds(questions, groups, chance),
            worth: Vec::new(),
            models: questions.models.len(),
        };
        for _ in 0..rounds {
            let mut sums = vec![0.0_f32; fitted.centres.len()];
            for features in &questions.features {
                let at = fitted.nearest(features);
                features.add_to(&mut sums[at * fitted.width..][..fitted.width], 1.0);
            }
            for (centre, sum) in fitted
                .centres
                .chunks_exact_mut(fitted.width)
                .zip(sums.chunks_exact(fitted.width))
            {
                let length = sum.iter().map(|value| value * value).sum::<f32>().sqrt();
                // A group that nobody belongs to stays where it is.
                if length > 0.0 {
                    centre
                        .iter_mut()
                        .zip(sum)
                        .for_each(|(centre, sum)| *centre = sum / length);
                }
            }
        }
        fitted.worth = fitted.means(questions, groups);
        fitted
    }

    fn means(&self, questions: &Questions, groups: usize) -> Vec<f32> {
        let overall = questions.means();
        let mut sums: Vec<(f64, f64)> = (0..groups)
            .flat_map(|_| overall.iter().map(|mean| (HELD * mean, HELD)))
            .collect();
        for (features, outcomes) in questions.features.iter().zip(&questions.outcomes) {
            let row = &mut sums[self.nearest(features) * self.models..][..self.models];
            for (sum, worth) in row.iter_mut().zip(outcomes).filter(|(_, worth)| !worth.is_nan()) {
                sum.0 += f64::from(*worth);
                sum.1 += 1.0;
            }
        }
        sums.into_iter()
            .map(|(sum, count)| (sum / count) as f32)
            .collect()
    }

    fn nearest(&self, features: &Sparse) -> usize {
        let mut best = (0, f32::NEG_INFINITY);
        for (at, centre) in self.centres.chunks_exact(self.width).enumerate() {
            let near = features.dot(centre);
            if near > best.1 {
                best = (at, near);
            }
        }
        best.0
    }

    pub(crate) fn scores(&self, features: &Sparse) -> Vec<f32> {
        self.worth[self.nearest(features) * self.models..][..self.models].to_vec()
    }
}

/// Questions that lie apart (k-means++).
fn seeds(questions: &Questions, groups: usize, chance: &mut Chance) -> Vec<f32> {
    let width = questions.width;
    let mut centres = vec![0.0; groups * width];
    let mut far = vec![1.0_f64; questions.len()];
    for group in 0..groups {
        let total: f64 = far.iter().sum();
        let mut left = chance.unit() * total;
        let chosen = far.iter().position(|far| {
            left -= far;
            left < 0.0
        });
        let chosen = chosen.unwrap_or_else(|| chance.below(questions.len()));
        let centre = &mut centres[group * width..][..width];
        questions.features[chosen].add_to(centre, 1.0);
        for (far, features) in far.iter_mut().zip(&questions.features) {
            *far = far.min(f64::from(1.0 - features.dot(centre)).max(0.0));
        }
    }
    centres
}
