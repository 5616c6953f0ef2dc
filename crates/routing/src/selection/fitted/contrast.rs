//! Questions and models in one space: a question lies near the models that answer it well and far from the others.

use super::features::Sparse;
use super::rows::Questions;
use crate::selection::chance::Chance;

/// Columns of the space.
const SPACE: usize = 32;

const RATE: f32 = 0.05;

/// The way into the space, and the models' places in it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Contrast {
    pub(crate) space: usize,
    /// `[width][space]`.
    pub(crate) way: Vec<f32>,
    /// `[models][space]`.
    pub(crate) places: Vec<f32>,
    /// What a model has over all questions.
    pub(crate) bias: Vec<f32>,
}

fn step(weight: &mut f32, slowness: &mut f32, gradient: f32) {
    *slowness += gradient * gradient;
    *weight -= RATE * gradient / (slowness.sqrt() + 1e-6);
}

impl Contrast {
    pub(crate) fn fit(questions: &Questions, held: &Questions, rounds: usize, chance: &mut Chance) -> Self {
        let models = questions.models.len();
        let mut draw = |count: usize, spread: f64| -> Vec<f32> {
            (0..count).map(|_| (spread * chance.normal()) as f32).collect()
        };
        let mut contrast = Self {
            space: SPACE,
            way: draw(questions.width * SPACE, 0.3),
            places: draw(models * SPACE, 0.3),
            bias: vec![0.0; models],
        };
        let mut slowness = Self {
            space: SPACE,
            way: vec![1e-3; contrast.way.len()],
            places: vec![1e-3; contrast.places.len()],
            bias: vec![1e-3; models],
        };
        let mut best = (contrast.loss(held), contrast.clone());
        let mut order: Vec<usize> = (0..questions.len()).collect();
        for _ in 0..rounds {
            chance.shuffle(&mut order);
            for at in &order {
                contrast.learn(&questions.features[*at], &questions.outcomes[*at], &mut slowness);
            }
            let loss = contrast.loss(held);
            if loss < best.0 {
                best = (loss, contrast.clone());
            }
        }
        best.1
    }

    pub(crate) fn scores(&self, features: &Sparse) -> Vec<f32> {
        let place = features.through(&self.way, self.space);
        let products = self.places.chunks_exact(self.space).map(|model| {
            model
                .iter()
                .zip(&place)
                .map(|(left, right)| left * right)
                .sum::<f32>()
        });
        products
            .zip(&self.bias)
            .map(|(product, bias)| product + bias)
            .collect()
    }

    /// How far from right each score is, and the loss; none where all models or none answered well.
    fn off(scores: &[f32], outcomes: &[f32]) -> Option<(Vec<f32>, f64)> {
        let asked = |at: &usize| !outcomes[*at].is_nan();
        let most = (0..scores.len())
            .filter(asked)
            .map(|at| scores[at])
            .fold(f32::NEG_INFINITY, f32::max);
        let powers: Vec<f32> = (0..scores.len())
            .map(|at| {
                if asked(&at) {
                    (scores[at] - most).exp()
                } else {
                    0.0
                }
            })
            .collect();
        let total: f32 = powers.iter().sum();
        let well: f32 = powers
            .iter()
            .zip(outcomes)
            .filter(|(_, worth)| **worth >= 0.5)
            .map(|(power, _)| power)
            .sum();
        let wrong = outcomes.iter().any(|worth| *worth < 0.5);
        if well <= 0.0 || !wrong {
            return None;
        }
        let off = powers
            .iter()
            .zip(outcomes)
            .map(|(power, worth)| power / total - if *worth >= 0.5 { power / well } else { 0.0 })
            .collect();
        Some((off, -f64::from(well / total).max(1e-9).ln()))
    }

    fn loss(&self, held: &Questions) -> f64 {
        let each = held.features.iter().zip(&held.outcomes);
        each.filter_map(|(features, outcomes)| Self::off(&self.scores(features), outcomes))
            .map(|(_, loss)| loss)
            .sum()
    }

    fn learn(&mut self, features: &Sparse, outcomes: &[f32], slowness: &mut Self) {
        let place = features.through(&self.way, self.space);
        let Some((off, _)) = Self::off(&self.scores(features), outcomes) else {
            return;
        };
        let mut back = vec![0.0; self.space];
        for (model, off) in off.iter().enumerate().filter(|(_, off)| **off != 0.0) {
            step(&mut self.bias[model], &mut slowness.bias[model], *off);
            let places = self.places.chunks_exact_mut(self.space).nth(model);
            let slow = slowness.places.chunks_exact_mut(self.space).nth(model);
            for (((weight, slow), back), place) in places
                .into_iter()
                .flatten()
                .zip(slow.into_iter().flatten())
                .zip(&mut back)
                .zip(&place)
            {
                *back += off * *weight;
                step(weight, slow, off * place);
            }
        }
        for (column, value) in &features.entries {
            let row = *column as usize * self.space;
            for (at, back) in back.iter().enumerate() {
                step(&mut self.way[row + at], &mut slowness.way[row + at], back * value);
            }
        }
    }
}
