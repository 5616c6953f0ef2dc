//! Knowledge bases: examples under labels, and labels in groups.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::PrototypeScoring;

/// A knowledge base.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct KnowledgeBase {
    /// By which signals and scores refer to it.
    pub name: String,
    /// Where its labels and examples are.
    pub source: KnowledgeSource,
    /// Least likeness for a label to count, 0 to 1.
    pub threshold: Option<f64>,
    /// The same for some labels.
    pub label_thresholds: BTreeMap<String, f64>,
    /// Labels that belong together.
    pub groups: BTreeMap<String, Vec<String>>,
    /// Numbers that scores may take, beside `best_score` and `best_matched_score`.
    pub metrics: Vec<KnowledgeMetric>,
    /// How examples are summed up.
    pub prototype_scoring: Option<PrototypeScoring>,
}

/// Where labels and examples are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct KnowledgeSource {
    /// The folder.
    pub path: String,
    /// The file in it; `labels.json` when absent.
    pub manifest: Option<String>,
}

/// A number that a knowledge base gives.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct KnowledgeMetric {
    /// By which scores refer to it.
    pub name: String,
    /// `group_margin`: the likeness to one group less that to another.
    #[serde(rename = "type")]
    pub kind: String,
    /// The one.
    pub positive_group: Option<String>,
    /// The other.
    pub negative_group: Option<String>,
}
