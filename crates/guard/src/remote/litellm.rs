//! LiteLLM's generic guardrail API (`POST /beta/litellm_basic_guardrail_api`), which other vendors serve.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::config::LiteLlmConfig;
use super::finding::{Finding, Unreadable, names};
use super::service::{Question, Service, Shown, only, parsed};
use crate::config::Stage;

const PATH: &str = "/beta/litellm_basic_guardrail_api";

#[derive(Debug)]
pub(crate) struct LiteLlm {
    params: BTreeMap<String, Value>,
    /// The configured URL has the path already.
    whole_url: bool,
}

#[derive(Deserialize)]
struct Answer {
    action: Action,
    #[serde(default)]
    blocked_reason: Option<String>,
    #[serde(default)]
    texts: Option<Vec<String>>,
}

#[derive(Deserialize, PartialEq, Eq)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum Action {
    None,
    Blocked,
    GuardrailIntervened,
}

impl LiteLlm {
    pub(crate) fn new(config: &LiteLlmConfig) -> Self {
        let url = config.url.as_deref().unwrap_or_default();
        Self {
            params: config.params.clone(),
            whole_url: url.trim_end_matches('/').ends_with(PATH),
        }
    }
}

impl Service for LiteLlm {
    fn most(&self) -> usize {
        64
    }

    fn redacts(&self) -> bool {
        true
    }

    fn ask(&self, _number: usize, shown: &[Shown<'_>]) -> Question {
        let texts: Vec<&str> = shown.iter().map(|one| one.text).collect();
        let direction = match only(shown).stage {
            Stage::Output => "response",
            Stage::Input | Stage::ToolResult => "request",
        };
        let body = json!({
            "texts": texts,
            "input_type": direction,
            "request_data": {},
            "additional_provider_specific_params": self.params,
        });
        let path = if self.whole_url { "" } else { PATH };
        Question {
            path: path.to_owned(),
            body,
        }
    }

    fn read(&self, _number: usize, shown: &[Shown<'_>], answer: &[u8]) -> Result<Vec<Finding>, Unreadable> {
        let answer: Answer = parsed(answer)?;
        let mut findings = vec![Finding::default(); shown.len()];
        match answer.action {
            Action::None => {}
            Action::Blocked => {
                let reason = names(answer.blocked_reason.as_deref());
                let reason = Some(reason).filter(|reason| !reason.is_empty());
                let reason = reason.unwrap_or_else(|| "the service refuses it".to_owned());
                // Which of the texts it is nobody says.
                for finding in &mut findings {
                    finding.whole = Some(reason.clone());
                }
            }
            Action::GuardrailIntervened => {
                let texts = answer.texts.filter(|texts| texts.len() == shown.len());
                let texts = texts.ok_or(Unreadable("there is not one text for each text"))?;
                for ((finding, text), shown) in findings.iter_mut().zip(texts).zip(shown) {
                    finding.rewritten = Some(text).filter(|text| text != shown.text);
                }
            }
        }
        Ok(findings)
    }
}
