//! Projections: what to make of signals.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Predicate;

/// All projections.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ProjectionsConfig {
    /// Groups of learned signals of which one wins. Not supported in this version.
    pub partitions: Vec<serde_json::Value>,
    /// Numbers made of signals.
    pub scores: Vec<ScoreConfig>,
    /// Names for ranges of a number.
    pub mappings: Vec<MappingConfig>,
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
    /// Type of the signal.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its name.
    pub name: String,
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
    /// `threshold_bands`, the only method there is.
    pub method: Option<String>,
    /// The ranges; the first that holds counts.
    pub outputs: Vec<Band>,
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
