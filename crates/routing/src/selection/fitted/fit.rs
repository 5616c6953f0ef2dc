//! Fits a model to recorded outcomes. The same rows, options and seed give the same model, bit for bit, on one machine.

use super::calibrate::Curve;
use super::contrast::Contrast;
use super::features::{Embedder, HashedNgrams};
use super::kmeans::KMeans;
use super::knn::Knn;
use super::mlp::Mlp;
use super::rows::Questions;
use super::svm::Svm;
use super::{Algorithm, Fitted, Reading, Weights};
use crate::selection::chance::Chance;

/// Why nothing could be fitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FitError {
    /// Too much.
    Size(String),
    /// Too little.
    Rows(String),
    /// An option that can't be.
    Option(&'static str),
}

impl std::fmt::Display for FitError {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Size(problem) | Self::Rows(problem) => out.write_str(problem),
            Self::Option(problem) => out.write_str(problem),
        }
    }
}

impl std::error::Error for FitError {}

/// How to fit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FitOptions {
    /// What.
    pub algorithm: Algorithm,
    /// The only source of chance.
    pub seed: u64,
    /// Of `knn`: how many of the nearest questions are looked at.
    pub neighbours: usize,
    /// Of `kmeans`: how many groups.
    pub clusters: usize,
    /// Of `mlp`: units of the hidden layer.
    pub hidden: usize,
    /// Of all but `knn`: how often all questions are gone through.
    pub rounds: usize,
    /// Of `svm`: what a question on the wrong side costs.
    pub c: f64,
}

impl FitOptions {
    /// The usual ones.
    #[must_use]
    pub fn new(algorithm: Algorithm) -> Self {
        let rounds = match algorithm {
            Algorithm::Svm | Algorithm::Kmeans => 20,
            _ => 8,
        };
        Self {
            algorithm,
            seed: 1,
            neighbours: 40,
            clusters: 48,
            hidden: 32,
            rounds,
            c: 0.1,
        }
    }

    fn check(&self) -> Result<(), FitError> {
        let fine = |value: usize, most: usize| (1..=most).contains(&value);
        if !fine(self.neighbours, 1_000) {
            return Err(FitError::Option("neighbours: 1 to 1000 can be looked at"));
        }
        if !fine(self.clusters, 1_024) {
            return Err(FitError::Option("clusters: 1 to 1024 can be made"));
        }
        if !fine(self.hidden, 512) {
            return Err(FitError::Option("hidden: a layer has 1 to 512 units"));
        }
        if !fine(self.rounds, 1_000) {
            return Err(FitError::Option(
                "rounds: questions are gone through 1 to 1000 times",
            ));
        }
        if !(self.c.is_finite() && self.c > 0.0) {
            return Err(FitError::Option("c: the cost of a wrong side is above 0"));
        }
        Ok(())
    }
}

/// One question in so many is held back: to turn scores into chances, and to stop in time.
const HELD_BACK: usize = 6;

/// Questions that are needed for it.
const LEAST: usize = 24;

/// Fits.
///
/// # Errors
/// If an option can't be, or there are fewer than 24 questions.
pub fn fit(questions: &Questions, embedder: &dyn Embedder, options: &FitOptions) -> Result<Fitted, FitError> {
    options.check()?;
    if questions.len() < LEAST {
        return Err(FitError::Rows(format!(
            "{} questions with outcomes: at least {LEAST} are needed",
            questions.len()
        )));
    }
    let mut chance = Chance::new(options.seed);
    let mut order: Vec<usize> = (0..questions.len()).collect();
    chance.shuffle(&mut order);
    let (held, rest) = order.split_at(questions.len() / HELD_BACK);
    let (held, rest) = (questions.at(held), questions.at(rest));
    let weights = |on: &Questions, chance: &mut Chance| match options.algorithm {
        Algorithm::Knn => Weights::Knn(Knn::fit(on, options.neighbours, chance)),
        Algorithm::Kmeans => Weights::Kmeans(KMeans::fit(on, options.clusters, options.rounds, chance)),
        Algorithm::Svm => Weights::Svm(Svm::fit(on, options.c, options.rounds, chance)),
        Algorithm::Mlp => Weights::Mlp(Mlp::fit(on, &held, options.hidden, options.rounds, chance)),
        Algorithm::RouterDc => Weights::Contrast(Contrast::fit(on, &held, options.rounds, chance)),
    };
    let reading = if embedder.name() == HashedNgrams::NAME {
        Reading::HashedNgrams {
            width: embedder.width(),
        }
    } else {
        Reading::Embedding {
            encoder: embedder.name().to_owned(),
            width: embedder.width(),
        }
    };
    let mut fitted = Fitted {
        reading,
        models: questions.models.clone(),
        weights: weights(&rest, &mut chance),
        curves: Vec::new(),
    };
    fitted.curves = curves(&fitted.weights, &held);
    Ok(fitted)
}

fn curves(weights: &Weights, held: &Questions) -> Vec<Curve> {
    let scores: Vec<Vec<f32>> = held
        .features
        .iter()
        .map(|features| weights.scores(features))
        .collect();
    (0..held.models.len())
        .map(|model| {
            let points: Vec<(f32, f32)> = scores
                .iter()
                .zip(&held.outcomes)
                .map(|(scores, outcomes)| (scores[model], outcomes[model]))
                .filter(|(_, worth)| !worth.is_nan())
                .collect();
            Curve::fit(&points)
        })
        .collect()
}
