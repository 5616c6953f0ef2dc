//! A network of one hidden layer that says for each model how likely it is to be right.

use super::calibrate::sigmoid;
use super::features::Sparse;
use super::rows::Questions;
use crate::selection::chance::Chance;

/// How fast it learns at first; each weight slows down by itself (Adagrad).
const RATE: f32 = 0.05;

/// The network.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Mlp {
    pub(crate) hidden: usize,
    pub(crate) models: usize,
    /// `[width][hidden]`.
    pub(crate) first: Vec<f32>,
    pub(crate) first_bias: Vec<f32>,
    /// `[hidden][models]`.
    pub(crate) second: Vec<f32>,
    pub(crate) second_bias: Vec<f32>,
}

/// Squares of steps, for each weight.
struct Slowness {
    first: Vec<f32>,
    first_bias: Vec<f32>,
    second: Vec<f32>,
    second_bias: Vec<f32>,
}

fn step(weight: &mut f32, slowness: &mut f32, gradient: f32) {
    *slowness += gradient * gradient;
    *weight -= RATE * gradient / (slowness.sqrt() + 1e-6);
}

impl Mlp {
    fn new(width: usize, hidden: usize, means: &[f64], chance: &mut Chance) -> Self {
        // Vectors have length 1: so every hidden unit starts with a spread of about 1.
        let mut draw = |spread: f64| (spread * chance.normal()) as f32;
        let first = (0..width * hidden).map(|_| draw(1.0)).collect();
        let second = (0..hidden * means.len())
            .map(|_| draw((1.0 / hidden as f64).sqrt() * 0.1))
            .collect();
        Self {
            hidden,
            models: means.len(),
            first,
            first_bias: vec![0.0; hidden],
            second,
            second_bias: means
                .iter()
                .map(|mean| (mean / (1.0 - mean)).ln() as f32)
                .collect(),
        }
    }

    /// Learns round by round, and keeps the state that did best on the questions held back.
    pub(crate) fn fit(
        questions: &Questions,
        held: &Questions,
        hidden: usize,
        rounds: usize,
        chance: &mut Chance,
    ) -> Self {
        let mut network = Self::new(questions.width, hidden, &questions.means(), chance);
        let mut slowness = Slowness {
            first: vec![1e-3; network.first.len()],
            first_bias: vec![1e-3; network.first_bias.len()],
            second: vec![1e-3; network.second.len()],
            second_bias: vec![1e-3; network.second_bias.len()],
        };
        let mut best = (network.loss(held), network.clone());
        let mut order: Vec<usize> = (0..questions.len()).collect();
        for _ in 0..rounds {
            chance.shuffle(&mut order);
            for at in &order {
                network.learn(&questions.features[*at], &questions.outcomes[*at], &mut slowness);
            }
            let loss = network.loss(held);
            if loss < best.0 {
                best = (loss, network.clone());
            }
        }
        best.1
    }

    fn inner(&self, features: &Sparse) -> Vec<f32> {
        let mut inner = features.through(&self.first, self.hidden);
        inner
            .iter_mut()
            .zip(&self.first_bias)
            .for_each(|(inner, bias)| *inner = (*inner + bias).max(0.0));
        inner
    }

    fn outer(&self, inner: &[f32]) -> Vec<f32> {
        let mut scores = self.second_bias.clone();
        for (value, row) in inner.iter().zip(self.second.chunks_exact(self.models)) {
            if *value > 0.0 {
                scores
                    .iter_mut()
                    .zip(row)
                    .for_each(|(score, weight)| *score += value * weight);
            }
        }
        scores
    }

    pub(crate) fn scores(&self, features: &Sparse) -> Vec<f32> {
        self.outer(&self.inner(features))
    }

    fn loss(&self, held: &Questions) -> f64 {
        let mut loss = 0.0;
        for (features, outcomes) in held.features.iter().zip(&held.outcomes) {
            for (score, worth) in self.scores(features).iter().zip(outcomes) {
                if !worth.is_nan() {
                    let chance = sigmoid(f64::from(*score)).clamp(1e-6, 1.0 - 1e-6);
                    let worth = f64::from(*worth);
                    loss -= worth * chance.ln() + (1.0 - worth) * (1.0 - chance).ln();
                }
            }
        }
        loss
    }

    fn learn(&mut self, features: &Sparse, outcomes: &[f32], slowness: &mut Slowness) {
        let inner = self.inner(features);
        let scores = self.outer(&inner);
        let off: Vec<f32> = scores
            .iter()
            .zip(outcomes)
            .map(|(score, worth)| match worth.is_nan() {
                true => 0.0,
                false => sigmoid(f64::from(*score)) as f32 - worth,
            })
            .collect();
        let mut back = vec![0.0; self.hidden];
        for (unit, value) in inner.iter().enumerate().filter(|(_, value)| **value > 0.0) {
            for (model, off) in off.iter().enumerate() {
                let at = unit * self.models + model;
                back[unit] += off * self.second[at];
                step(&mut self.second[at], &mut slowness.second[at], off * value);
            }
        }
        for (model, off) in off.iter().enumerate() {
            step(
                &mut self.second_bias[model],
                &mut slowness.second_bias[model],
                *off,
            );
        }
        let moved: Vec<(usize, f32)> = back
            .iter()
            .copied()
            .enumerate()
            .filter(|(_, back)| *back != 0.0)
            .collect();
        for (unit, back) in &moved {
            step(
                &mut self.first_bias[*unit],
                &mut slowness.first_bias[*unit],
                *back,
            );
        }
        for (column, value) in &features.entries {
            let row = *column as usize * self.hidden;
            for (unit, back) in &moved {
                step(
                    &mut self.first[row + unit],
                    &mut slowness.first[row + unit],
                    back * value,
                );
            }
        }
    }
}
