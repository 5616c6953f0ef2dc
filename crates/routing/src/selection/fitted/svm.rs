//! Lines between right and wrong answers, one for each model (L2-loss SVM, dual coordinate descent by Hsieh et al.).

use super::features::Sparse;
use super::rows::Questions;
use crate::selection::chance::Chance;

/// A line for each model.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Svm {
    pub(crate) width: usize,
    pub(crate) models: usize,
    /// `[width + 1][models]`: the last row is what every text has.
    pub(crate) lines: Vec<f32>,
}

impl Svm {
    pub(crate) fn fit(questions: &Questions, cost: f64, epochs: usize, chance: &mut Chance) -> Self {
        let (width, models) = (questions.width, questions.models.len());
        let mut lines = vec![0.0; (width + 1) * models];
        for model in 0..models {
            let line = line(questions, model, cost, epochs, chance);
            for (column, weight) in line.into_iter().enumerate() {
                lines[column * models + model] = weight;
            }
        }
        Self { width, models, lines }
    }

    pub(crate) fn scores(&self, features: &Sparse) -> Vec<f32> {
        let mut scores = features.through(&self.lines, self.models);
        let bias = &self.lines[self.width * self.models..];
        scores
            .iter_mut()
            .zip(bias)
            .for_each(|(score, bias)| *score += bias);
        scores
    }
}

fn line(questions: &Questions, model: usize, cost: f64, epochs: usize, chance: &mut Chance) -> Vec<f32> {
    let mut known: Vec<usize> = (0..questions.len())
        .filter(|at| !questions.outcomes[*at][model].is_nan())
        .collect();
    let mut line = vec![0.0_f32; questions.width + 1];
    let mut alphas = vec![0.0_f64; questions.len()];
    let slack = 0.5 / cost;
    for _ in 0..epochs {
        chance.shuffle(&mut known);
        for at in &known {
            let features = &questions.features[*at];
            let side = if questions.outcomes[*at][model] >= 0.5 {
                1.0
            } else {
                -1.0
            };
            let score = features.dot(&line) + line[questions.width];
            let gradient = side * f64::from(score) - 1.0 + slack * alphas[*at];
            // Vectors have length 1, and 1 more for what every text has.
            let moved = (alphas[*at] - gradient / (2.0 + slack)).max(0.0);
            let step = ((moved - alphas[*at]) * side) as f32;
            alphas[*at] = moved;
            features.add_to(&mut line, step);
            line[questions.width] += step;
        }
    }
    line
}
