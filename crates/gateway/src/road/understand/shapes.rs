//! The shapes of the semantic router's API, as its clients send and read them. Fields that its clients send and that mean
//! nothing here are left unread, as it does.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// What is asked of one text.
#[derive(Debug, Deserialize)]
pub struct Asked<O> {
    /// The text.
    #[serde(default)]
    pub text: String,
    /// A conversation in its place, as in chat completions.
    #[serde(default)]
    pub messages: Option<Box<RawValue>>,
    /// How it is to be answered.
    #[serde(default = "Option::default")]
    pub options: Option<O>,
}

/// How intents are told.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct IntentOptions {
    /// With the probability of each category.
    pub return_probabilities: bool,
    /// What counts as sure.
    pub confidence_threshold: Option<f32>,
}

/// How personal data is told.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct PiiOptions {
    /// Only these kinds.
    pub entity_types: Vec<String>,
    /// The least probability, where that is above the model's own threshold.
    pub confidence_threshold: Option<f32>,
    /// With where they stand, in characters.
    pub return_positions: bool,
    /// With a text in which they are masked.
    pub mask_entities: bool,
    /// With what they say.
    pub reveal_entity_text: bool,
}

/// How attacks are told.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct SecurityOptions {
    /// `low`, `medium` or `high`.
    pub sensitivity: Option<String>,
    /// With a sentence that says why.
    pub include_reasoning: bool,
}

/// What counts as sure.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct ThresholdOptions {
    /// The least probability.
    pub confidence_threshold: Option<f32>,
}

/// Several things of one text, as older and newer clients write it.
#[derive(Debug, Deserialize)]
#[serde(default)]
pub struct CombinedAsked {
    /// The text.
    pub text: String,
    /// Which: `intent`, `pii`, `security`, `fact_check`, `user_feedback`.
    pub tasks: Vec<String>,
    /// How, by task (older clients).
    pub options: CombinedOptions,
    /// How intents are told.
    pub intent_options: Option<IntentOptions>,
    /// How personal data is told.
    pub pii_options: Option<PiiOptions>,
    /// How attacks are told.
    pub security_options: Option<SecurityOptions>,
}

impl Default for CombinedAsked {
    fn default() -> Self {
        Self {
            text: String::new(),
            tasks: ["intent", "pii", "security"].map(str::to_owned).to_vec(),
            options: CombinedOptions::default(),
            intent_options: None,
            pii_options: None,
            security_options: None,
        }
    }
}

/// How, by task.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct CombinedOptions {
    /// Intents.
    pub intent: Option<IntentOptions>,
    /// Personal data.
    pub pii: Option<PiiOptions>,
    /// Attacks.
    pub security: Option<SecurityOptions>,
}

/// One thing of several texts.
#[derive(Debug, Deserialize)]
pub struct BatchAsked {
    /// The texts.
    pub texts: Vec<String>,
    /// Which thing.
    #[serde(default)]
    pub task_type: Option<String>,
    /// How.
    #[serde(default)]
    pub options: IntentOptions,
}

/// A category.
#[derive(Debug, Serialize)]
pub struct Classification {
    /// Its name.
    pub category: String,
    /// How surely.
    pub confidence: f32,
    /// Milliseconds.
    pub processing_time_ms: u64,
}

/// What a text is about.
#[derive(Debug, Serialize)]
pub struct Intent {
    /// The category.
    pub classification: Classification,
    /// Of each category, where that was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probabilities: Option<BTreeMap<String, f32>>,
    /// The model that routing would choose.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recommended_model: Option<String>,
    /// The decision that routing would take; without routing, whether the category is sure.
    pub routing_decision: String,
    /// Signals that match, by type.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub matched_signals: BTreeMap<&'static str, Vec<String>>,
    /// `first`, `encoder` or `model`.
    pub stage: &'static str,
}

/// Personal data.
#[derive(Debug, Serialize)]
pub struct Pii {
    /// Whether there is any.
    pub has_pii: bool,
    /// What.
    pub entities: Vec<PiiEntity>,
    /// The text with it masked, where that was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub masked_text: Option<String>,
    /// `block` or `allow`.
    pub security_recommendation: &'static str,
    /// Milliseconds.
    pub processing_time_ms: u64,
}

/// A piece of personal data.
#[derive(Debug, Serialize)]
pub struct PiiEntity {
    /// Its kind.
    #[serde(rename = "type")]
    pub kind: String,
    /// What it says, where that was asked.
    pub value: String,
    /// How surely.
    pub confidence: f32,
    /// First character, where that was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_position: Option<usize>,
    /// First character behind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_position: Option<usize>,
    /// What stands for it in the masked text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub masked_value: Option<String>,
}

/// Whether a text is an attack.
#[derive(Debug, Serialize)]
pub struct Security {
    /// Whether it is, at the operating point of the sensitivity.
    pub is_jailbreak: bool,
    /// The probability that it is.
    pub risk_score: f32,
    /// Of which kinds.
    pub detection_types: Vec<String>,
    /// How sure the answer is.
    pub confidence: f32,
    /// `block` or `allow`.
    pub recommendation: &'static str,
    /// Why, where that was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<String>,
    /// As `detection_types`.
    pub patterns_detected: Vec<String>,
    /// The operating point.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operating_point: Option<String>,
    /// Its threshold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f32>,
    /// Milliseconds.
    pub processing_time_ms: u64,
}

/// Whether an answer to a text needs to be checked.
#[derive(Debug, Serialize)]
pub struct FactCheck {
    /// Whether it does.
    pub needs_fact_check: bool,
    /// The same as a label.
    pub label: String,
    /// How surely.
    pub confidence: f32,
    /// Milliseconds.
    pub processing_time_ms: u64,
}

/// What a user thinks of the answer before.
#[derive(Debug, Serialize)]
pub struct Feedback {
    /// Nothing can be said.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub abstained: bool,
    /// What.
    pub feedback_type: String,
    /// The same.
    pub label: String,
    /// How surely.
    pub confidence: f32,
    /// Milliseconds.
    pub processing_time_ms: u64,
}

/// Several things of one text.
#[derive(Debug, Default, Serialize)]
pub struct Combined {
    /// What it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub intent: Option<Intent>,
    /// Personal data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pii: Option<Pii>,
    /// Whether it is an attack.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub security: Option<Security>,
    /// Whether its answer needs to be checked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fact_check: Option<FactCheck>,
    /// What its user thinks of the answer before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_feedback: Option<Feedback>,
    /// Milliseconds.
    pub processing_time_ms: u64,
    /// The same, as older clients read it.
    pub total_processing_time_ms: u64,
}

/// One thing of several texts.
#[derive(Debug, Serialize)]
pub struct Batch {
    /// In the order of the texts.
    pub results: Vec<BatchResult>,
    /// How many.
    pub total_count: usize,
    /// Milliseconds.
    pub processing_time_ms: u64,
    /// Counts.
    pub statistics: Statistics,
}

/// Of one text.
#[derive(Debug, Serialize)]
pub struct BatchResult {
    /// What it is.
    pub category: String,
    /// How surely.
    pub confidence: f32,
    /// Milliseconds.
    pub processing_time_ms: u64,
    /// Of each category, where that was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probabilities: Option<BTreeMap<String, f32>>,
}

/// Counts of a batch.
#[derive(Debug, Serialize)]
pub struct Statistics {
    /// Texts of each category.
    pub category_distribution: BTreeMap<String, usize>,
    /// The mean.
    pub avg_confidence: f32,
    /// Texts of which the category is not sure.
    pub low_confidence_count: usize,
}
