//! The nearest recorded questions, and what became of them.

use super::features::Sparse;
use super::rows::Questions;
use crate::selection::chance::Chance;

/// Questions that are kept at most: each is compared with every prompt.
pub(crate) const MAX_KEPT: usize = 20_000;

/// Neighbours' worth that a model's mean over all questions counts for.
const HELD: f32 = 2.0;

/// Recorded questions.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Knn {
    pub(crate) width: usize,
    pub(crate) models: usize,
    pub(crate) neighbours: usize,
    /// `[questions][width]`.
    pub(crate) codes: Vec<i8>,
    /// What a question's codes are multiplied with.
    pub(crate) scales: Vec<f32>,
    /// `[questions][models]`: below 0 where a model was not asked.
    pub(crate) worth: Vec<f32>,
    /// Over all questions.
    pub(crate) means: Vec<f32>,
}

impl Knn {
    pub(crate) fn fit(questions: &Questions, neighbours: usize, chance: &mut Chance) -> Self {
        let mut kept: Vec<usize> = (0..questions.len()).collect();
        if kept.len() > MAX_KEPT {
            chance.shuffle(&mut kept);
            kept.truncate(MAX_KEPT);
            kept.sort_unstable();
        }
        let mut knn = Self {
            width: questions.width,
            models: questions.models.len(),
            neighbours: neighbours.max(1),
            codes: vec![0; kept.len() * questions.width],
            scales: Vec::with_capacity(kept.len()),
            worth: Vec::with_capacity(kept.len() * questions.models.len()),
            means: questions.means().into_iter().map(|mean| mean as f32).collect(),
        };
        for (row, at) in knn.codes.chunks_exact_mut(knn.width).zip(&kept) {
            let entries = &questions.features[*at].entries;
            let most = entries.iter().map(|(_, value)| value.abs()).fold(0.0, f32::max);
            let scale = if most > 0.0 { most / 127.0 } else { 1.0 };
            for (column, value) in entries {
                row[*column as usize] = (value / scale).round() as i8;
            }
            knn.scales.push(scale);
            let outcomes = questions.outcomes[*at].iter();
            knn.worth
                .extend(outcomes.map(|worth| if worth.is_nan() { -1.0 } else { *worth }));
        }
        knn
    }

    pub(crate) fn scores(&self, features: &Sparse) -> Vec<f32> {
        let rows = self.codes.chunks_exact(self.width).zip(&self.scales);
        let mut near: Vec<(f32, usize)> = rows
            .map(|(row, scale)| {
                let products = features
                    .entries
                    .iter()
                    .map(|(column, value)| f32::from(row[*column as usize]) * value);
                products.sum::<f32>() * scale
            })
            .zip(0..)
            .collect();
        let nearest = self.neighbours.min(near.len());
        let closer =
            |left: &(f32, usize), right: &(f32, usize)| right.0.total_cmp(&left.0).then(left.1.cmp(&right.1));
        if nearest < near.len() {
            near.select_nth_unstable_by(nearest, closer);
            near.truncate(nearest);
        }
        near.sort_by(closer);
        let mut sums: Vec<(f32, f32)> = self.means.iter().map(|mean| (HELD * mean, HELD)).collect();
        for (cosine, at) in near {
            let weight = cosine.max(0.0);
            let worths = &self.worth[at * self.models..][..self.models];
            for (sum, worth) in sums.iter_mut().zip(worths).filter(|(_, worth)| **worth >= 0.0) {
                sum.0 += weight * worth;
                sum.1 += weight;
            }
        }
        sums.into_iter().map(|(sum, weight)| sum / weight).collect()
    }
}
