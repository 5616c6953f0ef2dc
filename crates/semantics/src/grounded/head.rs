//! The trained network over what is known of a word, and the thresholds by name.

use serde::Deserialize;

use super::features::{FEATURES, Row};
use crate::container::Container;
use crate::error::LoadError;

/// A named pair of thresholds: what a span has to reach somewhere, and what its other words have to.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Threshold {
    name: String,
    peak: f32,
    edge: f32,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    features: Vec<String>,
    hidden: usize,
    bias: f32,
    points: Vec<Threshold>,
}

/// A layer with a ramp, and a line.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    mean: Vec<f32>,
    scale: Vec<f32>,
    hidden: Vec<f32>,
    hidden_bias: Vec<f32>,
    out: Vec<f32>,
    bias: f32,
    points: Vec<Threshold>,
}

impl Head {
    /// Reads a file of weights.
    ///
    /// # Errors
    ///
    /// If it is damaged, or knows other features than [`FEATURES`].
    pub(crate) fn read(file: &str, bytes: &[u8]) -> Result<Self, LoadError> {
        let container = Container::read(file, bytes)?;
        let settings: Settings = container.settings()?;
        if !settings.features.iter().eq(FEATURES.iter()) {
            let problem = "settings: `features` are not those that are looked at; fit the head again";
            return Err(LoadError::malformed(file, problem));
        }
        let (hidden, count) = (settings.hidden, FEATURES.len());
        Ok(Self {
            mean: container.floats("mean", &[count])?,
            scale: container.floats("scale", &[count])?,
            hidden: container.floats("hidden", &[hidden, count])?,
            hidden_bias: container.floats("hidden.bias", &[hidden])?,
            out: container.floats("out", &[hidden])?,
            bias: settings.bias,
            points: settings.points,
        })
    }

    /// How likely it is that nothing supports the word.
    pub(crate) fn probability(&self, row: &Row) -> f32 {
        let mut seen = [0.0_f32; FEATURES.len()];
        let scaled = self.mean.iter().zip(&self.scale).zip(row);
        for (place, ((mean, scale), value)) in seen.iter_mut().zip(scaled) {
            *place = (value - mean) * scale;
        }
        let mut score = self.bias;
        let rows = self.hidden.chunks_exact(FEATURES.len());
        for ((row, bias), out) in rows.zip(&self.hidden_bias).zip(&self.out) {
            let sum: f32 = row.iter().zip(&seen).map(|(weight, value)| weight * value).sum();
            score += out * (sum + bias).max(0.0);
        }
        1.0 / (1.0 + (-score).exp())
    }

    /// What a span has to reach at its highest, and its other words, at a point.
    pub(crate) fn thresholds(&self, name: &str) -> Option<(f32, f32)> {
        let point = self.points.iter().find(|point| point.name == name)?;
        Some((point.peak, point.edge))
    }
}
