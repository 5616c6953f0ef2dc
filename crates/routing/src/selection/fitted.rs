//! Models of which model answers what well, fitted to recorded outcomes by `pointsman train`.

mod calibrate;
mod contrast;
mod features;
mod file;
mod fit;
mod kmeans;
mod knn;
mod mlp;
mod rows;
mod svm;

pub use features::{Embedder, HashedNgrams, Sparse};
pub use fit::{FitError, FitOptions, fit};
pub use rows::{Questions, Row};

use calibrate::Curve;
use contrast::Contrast;
use kmeans::KMeans;
use knn::Knn;
use mlp::Mlp;
use serde::{Deserialize, Serialize};
use svm::Svm;

/// How it was fitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Algorithm {
    /// What became of the nearest questions.
    Knn,
    /// What became of the questions of the nearest group.
    Kmeans,
    /// A line between right and wrong, for each model.
    Svm,
    /// A small network.
    Mlp,
    /// Places of questions and models in one space.
    RouterDc,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Knn, Self::Kmeans, Self::Svm, Self::Mlp, Self::RouterDc];

    /// Its name, as the configuration has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Knn => "knn",
            Self::Kmeans => "kmeans",
            Self::Svm => "svm",
            Self::Mlp => "mlp",
            Self::RouterDc => "router_dc",
        }
    }
}

/// What reads a prompt for a fitted model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Reading {
    /// Hashed n-grams of the text.
    HashedNgrams {
        /// Columns.
        width: usize,
    },
    /// The prompt's embedding, by the encoder of this name.
    Embedding {
        /// The encoder.
        encoder: String,
        /// Columns.
        width: usize,
    },
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Weights {
    Knn(Knn),
    Kmeans(KMeans),
    Svm(Svm),
    Mlp(Mlp),
    Contrast(Contrast),
}

impl Reading {
    pub(crate) fn width(&self) -> usize {
        match self {
            Self::HashedNgrams { width } | Self::Embedding { width, .. } => *width,
        }
    }
}

impl Weights {
    /// What says for each model how well it would answer, in whatever measure.
    pub(crate) fn scores(&self, features: &Sparse) -> Vec<f32> {
        match self {
            Self::Knn(knn) => knn.scores(features),
            Self::Kmeans(kmeans) => kmeans.scores(features),
            Self::Svm(svm) => svm.scores(features),
            Self::Mlp(mlp) => mlp.scores(features),
            Self::Contrast(contrast) => contrast.scores(features),
        }
    }
}

/// A fitted model.
#[derive(Debug, Clone, PartialEq)]
pub struct Fitted {
    pub(crate) reading: Reading,
    pub(crate) models: Vec<String>,
    pub(crate) weights: Weights,
    /// From scores to chances, for each model.
    pub(crate) curves: Vec<Curve>,
}

impl Fitted {
    /// How it was fitted.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        match self.weights {
            Weights::Knn(_) => Algorithm::Knn,
            Weights::Kmeans(_) => Algorithm::Kmeans,
            Weights::Svm(_) => Algorithm::Svm,
            Weights::Mlp(_) => Algorithm::Mlp,
            Weights::Contrast(_) => Algorithm::RouterDc,
        }
    }

    /// The models that it knows.
    #[must_use]
    pub fn models(&self) -> &[String] {
        &self.models
    }

    /// The encoder whose embeddings it was fitted to; none where it reads the text itself.
    #[must_use]
    pub fn encoder(&self) -> Option<&str> {
        match &self.reading {
            Reading::HashedNgrams { .. } => None,
            Reading::Embedding { encoder, .. } => Some(encoder),
        }
    }

    /// The chance of a good answer, for each model.
    ///
    /// # Errors
    /// If it was fitted to embeddings, and there is none, or one of another width.
    pub fn predict(&self, text: &str, embedding: Option<&[f32]>) -> Result<Vec<f64>, &'static str> {
        let features = match &self.reading {
            Reading::HashedNgrams { width } => HashedNgrams::new(*width).read(text),
            Reading::Embedding { width, .. } => {
                let embedding = embedding.ok_or("nothing has read the prompt: as declared")?;
                if embedding.len() != *width {
                    return Err("the prompt's embedding is of another width than was fitted: as declared");
                }
                Sparse::dense(embedding)
            }
        };
        Ok(self.chances(&features))
    }

    /// The chances for a vector that the embedder has read already.
    #[must_use]
    pub fn chances(&self, features: &Sparse) -> Vec<f64> {
        let scores = self.weights.scores(features);
        scores
            .iter()
            .zip(&self.curves)
            .map(|(score, curve)| curve.chance(*score))
            .collect()
    }

    /// A model's chance among those predicted.
    #[must_use]
    pub fn of(&self, model: &str, chances: &[f64]) -> Option<f64> {
        let at = self.models.iter().position(|known| known == model)?;
        chances.get(at).copied()
    }
}
