//! The trained judge: how likely two prompts that no rule keeps apart are the same question.

use serde::Deserialize;

use super::compare::FEATURES;
use crate::classify::OperatingPoint;
use crate::container::Container;
use crate::error::LoadError;

/// A line through two scores: the judge's own and the encoder's.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Joined {
    own: f32,
    encoder: f32,
    bias: f32,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    features: Vec<String>,
    hidden: usize,
    bias: f32,
    points: Vec<OperatingPoint>,
    joined: Option<Joined>,
    #[serde(default)]
    joined_points: Vec<OperatingPoint>,
}

/// A small network over what a comparison found.
#[derive(Debug, Clone)]
pub struct Judge {
    mean: Vec<f32>,
    scale: Vec<f32>,
    hidden: Vec<f32>,
    hidden_bias: Vec<f32>,
    out: Vec<f32>,
    bias: f32,
    points: Vec<OperatingPoint>,
    joined: Option<(Joined, Vec<OperatingPoint>)>,
}

impl Judge {
    /// Reads a file of weights.
    ///
    /// # Errors
    ///
    /// If it is damaged, or knows other features than [`FEATURES`].
    pub fn read(file: &str, bytes: &[u8]) -> Result<Self, LoadError> {
        let container = Container::read(file, bytes)?;
        let settings: Settings = container.settings()?;
        if !settings.features.iter().eq(FEATURES.iter()) {
            let problem = "settings: `features` are not those that comparing finds; fit the judge again";
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
            joined: settings.joined.map(|joined| (joined, settings.joined_points)),
        })
    }

    /// The score: the logarithm of the odds that both are the same question.
    #[must_use]
    pub fn score(&self, features: &[f32; FEATURES.len()]) -> f32 {
        let mut seen = [0.0_f32; FEATURES.len()];
        let scaled = self.mean.iter().zip(&self.scale).zip(features);
        for (place, ((mean, scale), value)) in seen.iter_mut().zip(scaled) {
            *place = (value - mean) * scale;
        }
        let mut score = self.bias;
        for ((row, bias), out) in self
            .hidden
            .chunks_exact(FEATURES.len())
            .zip(&self.hidden_bias)
            .zip(&self.out)
        {
            let sum: f32 = row.iter().zip(&seen).map(|(weight, value)| weight * value).sum();
            score += out * (sum + bias).max(0.0);
        }
        score
    }

    /// The score with what the encoder says of both texts read together, as the logarithm of its odds. None if the judge was
    /// fitted without.
    #[must_use]
    pub fn joined(&self, score: f32, encoder: f32) -> Option<f32> {
        let (line, _) = self.joined.as_ref()?;
        Some(line.own * score + line.encoder * encoder + line.bias)
    }

    /// The least probability of an operating point by name; `joined` for scores with the encoder.
    #[must_use]
    pub fn threshold(&self, name: &str, joined: bool) -> Option<f32> {
        let points = match joined {
            true => &self.joined.as_ref()?.1,
            false => &self.points,
        };
        points
            .iter()
            .find(|point| point.name == name)
            .map(|point| point.threshold)
    }
}

/// The probability of a score.
#[must_use]
pub fn probability(score: f32) -> f32 {
    1.0 / (1.0 + (-score).exp())
}
