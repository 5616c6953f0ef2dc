//! The block `prompts.transformers`: models that rewrite what users say, or what is answered.

use std::collections::BTreeSet;
use std::time::Duration;

use pointsman_upstream::HumanDuration;
use schemars::JsonSchema;
use serde::Deserialize;

/// Longest instruction, in bytes.
const LONGEST_INSTRUCTION: usize = 16 * 1024;
/// Longest text that may be rewritten, in bytes.
const LONGEST_TEXT: usize = 256 * 1024;
/// Longest that it may take.
const LONGEST_WAIT: Duration = Duration::from_secs(120);
/// Most tokens that may be written.
const MOST_TOKENS: u64 = 65_536;

/// A model that rewrites texts.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TransformerConfig {
    /// What it is called, in errors and in the log.
    pub name: String,
    /// Which text it rewrites.
    pub on: TransformOn,
    /// Names of models it is for, as clients write them; all when empty.
    #[serde(default)]
    pub models: Vec<String>,
    /// The gateway's model that rewrites.
    pub model: String,
    /// How, in words.
    pub instruction: String,
    /// How long it may take.
    #[serde(default = "timeout")]
    pub timeout: HumanDuration,
    /// Most tokens of what it writes, thinking included. What is cut off there counts as not rewritten.
    #[serde(default = "max_tokens")]
    pub max_tokens: u64,
    /// Bytes of a text; a longer one is not rewritten, and `on_error` holds.
    #[serde(default = "max_bytes")]
    pub max_bytes: usize,
    /// What becomes of a text that could not be rewritten.
    #[serde(default)]
    pub on_error: OnTransformError,
}

/// Which text is rewritten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TransformOn {
    /// What the user says last, before it is decided who answers.
    Request,
    /// The answer, before the client sees it.
    Response,
}

/// What becomes of a text that could not be rewritten.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnTransformError {
    /// The request fails (503).
    #[default]
    Block,
    /// It goes on as it is.
    Allow,
}

fn timeout() -> HumanDuration {
    HumanDuration::from_secs(10)
}

fn max_tokens() -> u64 {
    2_048
}

fn max_bytes() -> usize {
    16 * 1024
}

impl TransformerConfig {
    /// Whether it is for requests that ask for this model.
    #[must_use]
    pub fn is_for(&self, model: &str) -> bool {
        self.models.is_empty() || self.models.iter().any(|named| named == model)
    }
}

/// What is wrong, and where.
pub(crate) fn problems(all: &[TransformerConfig]) -> Vec<(String, String)> {
    let mut problems = Vec::new();
    let mut names = BTreeSet::new();
    for (index, one) in all.iter().enumerate() {
        let mut wrong = |field: &str, why: String| {
            problems.push((format!("transformers[{index}].{field}"), why));
        };
        if one.name.trim().is_empty() || !names.insert(&one.name) {
            wrong("name", "is a name that no other transformer has".to_owned());
        }
        if one.instruction.trim().is_empty() || one.instruction.len() > LONGEST_INSTRUCTION {
            let why =
                format!("says in words how texts are rewritten, in at most {LONGEST_INSTRUCTION} bytes");
            wrong("instruction", why);
        }
        if one.timeout.get().is_zero() || one.timeout.get() > LONGEST_WAIT {
            wrong("timeout", "is more than nothing and at most 2m".to_owned());
        }
        if !(1..=MOST_TOKENS).contains(&one.max_tokens) {
            wrong("max_tokens", format!("is a number from 1 to {MOST_TOKENS}"));
        }
        if !(1..=LONGEST_TEXT).contains(&one.max_bytes) {
            wrong("max_bytes", format!("is a number from 1 to {LONGEST_TEXT}"));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn transformers(all: &Value) -> Vec<TransformerConfig> {
        serde_json::from_value(all.clone()).unwrap()
    }

    #[test]
    fn what_is_not_said_is_as_documented() {
        let all = transformers(&json!([
            {"name": "a", "on": "request", "model": "m", "instruction": "Tidy."},
            {"name": "b", "on": "response", "models": ["fast"], "model": "m", "instruction": "Translate.", "on_error": "allow"},
        ]));
        assert!(problems(&all).is_empty());
        assert!(all[0].is_for("slow") && all[1].is_for("fast") && !all[1].is_for("slow"));
        assert_eq!(
            (all[0].on_error, all[1].on_error),
            (OnTransformError::Block, OnTransformError::Allow)
        );
        assert_eq!(
            (all[0].timeout.get(), all[0].max_tokens, all[0].max_bytes),
            (Duration::from_secs(10), 2_048, 16_384)
        );
    }

    #[test]
    fn what_makes_no_sense_is_told_where_it_stands() {
        let all = transformers(&json!([
            {"name": "a", "on": "request", "model": "m", "instruction": "Tidy."},
            {"name": "a", "on": "request", "model": "m", "instruction": " ", "timeout": "0s", "max_tokens": 0, "max_bytes": 0},
            {"name": "", "on": "request", "model": "m", "instruction": "x".repeat(20_000), "timeout": "3m",
             "max_tokens": 65_537, "max_bytes": 300_000},
        ]));
        let told: Vec<String> = problems(&all).into_iter().map(|(path, _)| path).collect();
        let fields = ["name", "instruction", "timeout", "max_tokens", "max_bytes"];
        let both = [1, 2].map(|index| fields.map(|field| format!("transformers[{index}].{field}")));
        assert_eq!(told, both.concat());
    }
}
