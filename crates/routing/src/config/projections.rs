//! Projections: what to make of signals.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Predicate;

/// All projections.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ProjectionsConfig {
    /// Groups of signals of which one wins.
    pub partitions: Vec<PartitionConfig>,
    /// Numbers made of signals.
    pub scores: Vec<ScoreConfig>,
    /// Names for ranges of a number.
    pub mappings: Vec<MappingConfig>,
}

/// A group of `domain` signals, or of `embedding` signals, of which one wins.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PartitionConfig {
    /// Its name.
    pub name: String,
    /// `exclusive`: the surest wins; `softmax_exclusive`: the same, and its confidence is its share.
    pub semantics: String,
    /// How much a lead counts, with `softmax_exclusive`.
    pub temperature: Option<f64>,
    /// The signals.
    pub members: Vec<String>,
    /// The signal that wins when none matches.
    pub default: Option<String>,
}

/// A weighted sum of signals.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ScoreConfig {
    /// By which mappings refer to it.
    pub name: String,
    /// `weighted_sum`, the only method there is.
    pub method: Option<String>,
    /// What is summed up.
    pub inputs: Vec<ScoreInput>,
}

/// A summand.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ScoreInput {
    /// Type of the signal; `projection` for another score, `kb_metric` for a number of a knowledge base.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its name.
    pub name: String,
    /// The knowledge base, of a `kb_metric`.
    pub kb: Option<String>,
    /// The number, of a `kb_metric`.
    pub metric: Option<String>,
    /// Its weight.
    pub weight: f64,
    /// `binary` (the default), `confidence`, `raw` or `score`.
    pub value_source: Option<String>,
    /// Its value when it matches, with `binary`; 1 when absent.
    #[serde(rename = "match")]
    pub on_match: Option<f64>,
    /// Its value when it does not; 0 when absent.
    pub miss: Option<f64>,
}

/// Names for ranges of a score.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MappingConfig {
    /// Its name.
    pub name: String,
    /// The score.
    pub source: String,
    /// `threshold_bands` (the default): the first range that holds counts; `multi_emit`: all that hold.
    pub method: Option<String>,
    /// How sure a range is.
    pub calibration: Option<CalibrationConfig>,
    /// The ranges.
    pub outputs: Vec<Band>,
}

/// How sure a range is: the surer, the farther the score is from its bounds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CalibrationConfig {
    /// `sigmoid_distance`, the only method there is.
    pub method: Option<String>,
    /// How steeply; 12 when absent.
    pub slope: Option<f64>,
}

/// A range with a name that decisions refer to as type `projection`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Band {
    /// The name.
    pub name: String,
    /// Greater than.
    pub gt: Option<f64>,
    /// At least.
    pub gte: Option<f64>,
    /// Less than.
    pub lt: Option<f64>,
    /// At most.
    pub lte: Option<f64>,
}

impl Band {
    /// The range itself.
    #[must_use]
    pub fn predicate(&self) -> Predicate {
        Predicate {
            gt: self.gt,
            gte: self.gte,
            lt: self.lt,
            lte: self.lte,
        }
    }
}
