//! An LLM Guard API server (`POST /analyze/prompt`, `POST /analyze/output`). Its configuration says which scanners there are.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::json;

use super::config::LlmGuardConfig;
use super::finding::{Finding, Unreadable, names};
use super::service::{Question, Service, Shown, only, parsed};
use crate::config::Stage;

/// Scanners that take out what they find: a text that they have changed is fit to go on.
const MENDING: [&str; 8] = [
    "Anonymize",
    "BanCompetitors",
    "BanSubstrings",
    "Deanonymize",
    "InvisibleText",
    "Regex",
    "Secrets",
    "Sensitive",
];

#[derive(Debug)]
pub(crate) struct LlmGuard {
    suppress: Vec<String>,
}

#[derive(Deserialize)]
struct Answer {
    is_valid: bool,
    scanners: BTreeMap<String, f64>,
    #[serde(alias = "sanitized_output")]
    sanitized_prompt: String,
}

impl LlmGuard {
    pub(crate) fn new(config: &LlmGuardConfig) -> Self {
        Self {
            suppress: config.suppress.clone(),
        }
    }
}

impl Service for LlmGuard {
    fn redacts(&self) -> bool {
        true
    }

    fn ask(&self, _number: usize, shown: &[Shown<'_>]) -> Question {
        let text = only(shown).text;
        let (path, mut body) = match only(shown).stage {
            Stage::Output => ("/analyze/output", json!({ "prompt": "", "output": text })),
            Stage::Input | Stage::ToolResult => ("/analyze/prompt", json!({ "prompt": text })),
        };
        if !self.suppress.is_empty() {
            body["scanners_suppress"] = json!(self.suppress);
        }
        Question {
            path: path.to_owned(),
            body,
        }
    }

    fn read(&self, _number: usize, shown: &[Shown<'_>], answer: &[u8]) -> Result<Vec<Finding>, Unreadable> {
        let answer: Answer = parsed(answer)?;
        let changed = answer.sanitized_prompt != only(shown).text;
        let mut finding = Finding {
            rewritten: changed.then_some(answer.sanitized_prompt),
            ..Finding::default()
        };
        if !answer.is_valid {
            let risky = answer.scanners.iter().filter(|(_, risk)| **risk > 0.0);
            let risky: Vec<&str> = risky.map(|(name, _)| name.as_str()).collect();
            let mended = changed && !risky.is_empty() && risky.iter().all(|name| MENDING.contains(name));
            if !mended {
                let told = names(risky);
                finding.whole = Some(if told.is_empty() {
                    "the service refuses it".to_owned()
                } else {
                    told
                });
            }
        }
        Ok(vec![finding])
    }
}
