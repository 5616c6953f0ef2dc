//! Recorded outcomes to fit to.

use serde::Deserialize;

use super::features::{Embedder, Sparse};
use super::fit::FitError;

/// Most questions that are fitted to.
pub(crate) const MAX_ROWS: usize = 200_000;

/// Most models.
pub(crate) const MAX_MODELS: usize = 64;

/// A question, and which models answered it well.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Row {
    /// What was asked.
    pub text: String,
    /// Choices that were given with it.
    #[serde(default)]
    pub options: Vec<String>,
    /// How good each model's answer was, 0 to 1; models that were not asked are absent.
    pub correct: indexmap::IndexMap<String, f64>,
}

impl Row {
    /// The question as a model is asked it: with its choices.
    #[must_use]
    pub fn prompt(&self) -> String {
        let mut prompt = self.text.clone();
        for (letter, option) in ('A'..='Z').zip(&self.options) {
            prompt.push_str(&format!("\n{letter}) {option}"));
        }
        prompt
    }
}

/// Questions as fits see them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Questions {
    /// The models.
    pub models: Vec<String>,
    /// Vectors.
    pub features: Vec<Sparse>,
    /// How good each model's answer was; NaN where it was not asked.
    pub outcomes: Vec<Vec<f32>>,
    /// Columns of vectors.
    pub width: usize,
}

impl Questions {
    /// Reads rows with an embedder, for these models. Rows of which no model is known are left out.
    ///
    /// # Errors
    /// If there are too many rows or models, or no row has an outcome of two of the models.
    pub fn new(rows: &[Row], models: &[String], embedder: &dyn Embedder) -> Result<Self, FitError> {
        if rows.len() > MAX_ROWS || models.len() > MAX_MODELS {
            return Err(FitError::Size(format!(
                "{} questions and {} models: at most {MAX_ROWS} and {MAX_MODELS} are fitted to",
                rows.len(),
                models.len()
            )));
        }
        let mut questions = Self {
            models: models.to_vec(),
            width: embedder.width(),
            ..Self::default()
        };
        for row in rows {
            let of = |model: &String| {
                row.correct
                    .get(model)
                    .map_or(f32::NAN, |worth| worth.clamp(0.0, 1.0) as f32)
            };
            let outcomes: Vec<f32> = models.iter().map(of).collect();
            if outcomes.iter().all(|worth| worth.is_nan()) {
                continue;
            }
            questions.features.push(embedder.read(&row.prompt()));
            questions.outcomes.push(outcomes);
        }
        for (at, model) in models.iter().enumerate() {
            if !questions.outcomes.iter().any(|outcomes| !outcomes[at].is_nan()) {
                return Err(FitError::Rows(format!("no question has an outcome of {model:?}")));
            }
        }
        if models.len() < 2 {
            return Err(FitError::Rows(
                "there is nothing to select from: outcomes of two models are needed".to_owned(),
            ));
        }
        Ok(questions)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.features.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.features.is_empty()
    }

    /// Those at some places.
    #[must_use]
    pub fn at(&self, places: &[usize]) -> Self {
        Self {
            models: self.models.clone(),
            features: places.iter().map(|at| self.features[*at].clone()).collect(),
            outcomes: places.iter().map(|at| self.outcomes[*at].clone()).collect(),
            width: self.width,
        }
    }

    /// How good each model is over all, for where nothing else is known.
    pub(crate) fn means(&self) -> Vec<f64> {
        (0..self.models.len())
            .map(|at| {
                let known = self
                    .outcomes
                    .iter()
                    .map(|outcomes| outcomes[at])
                    .filter(|worth| !worth.is_nan());
                let (sum, count) = known.fold((1.0, 2.0), |(sum, count), worth| {
                    (sum + f64::from(worth), count + 1.0)
                });
                sum / count
            })
            .collect()
    }
}
