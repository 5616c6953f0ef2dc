//! A NeMo Guardrails server (`POST /v1/checks`): its rails are run over a message, and nothing is generated.

use serde::Deserialize;
use serde_json::{Value, json};

use super::config::NemoConfig;
use super::finding::{Finding, Unreadable, names};
use super::service::{Question, Service, Shown, only, parsed};
use crate::config::Stage;

#[derive(Debug)]
pub(crate) struct Nemo {
    config: Option<String>,
    model: String,
}

#[derive(Deserialize)]
struct Answer {
    status: Status,
    content: String,
    #[serde(default)]
    rail: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    Passed,
    Modified,
    Blocked,
}

impl Nemo {
    pub(crate) fn new(config: &NemoConfig) -> Self {
        Self {
            config: config.config.clone(),
            model: config.model.clone(),
        }
    }
}

impl Service for Nemo {
    fn redacts(&self) -> bool {
        true
    }

    fn ask(&self, _number: usize, shown: &[Shown<'_>]) -> Question {
        let text = only(shown).text;
        let (rails, messages) = match only(shown).stage {
            Stage::Output => ("output", json!([ { "role": "assistant", "content": text } ])),
            Stage::Input | Stage::ToolResult => ("input", json!([ { "role": "user", "content": text } ])),
        };
        let mut guardrails = json!({ "rail_types": [rails] });
        if let Some(config) = &self.config {
            guardrails["config_id"] = Value::from(config.as_str());
        }
        Question {
            path: "/v1/checks".to_owned(),
            body: json!({ "model": self.model, "messages": messages, "guardrails": guardrails }),
        }
    }

    fn read(&self, _number: usize, shown: &[Shown<'_>], answer: &[u8]) -> Result<Vec<Finding>, Unreadable> {
        let answer: Answer = parsed(answer)?;
        let finding = match answer.status {
            Status::Passed => Finding::default(),
            Status::Modified => Finding {
                rewritten: Some(answer.content).filter(|content| content != only(shown).text),
                ..Finding::default()
            },
            Status::Blocked => {
                let rail = names(answer.rail.as_deref());
                Finding {
                    whole: Some(if rail.is_empty() {
                        "a rail".to_owned()
                    } else {
                        rail
                    }),
                    ..Finding::default()
                }
            }
        };
        Ok(vec![finding])
    }
}
