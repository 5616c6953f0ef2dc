//! Lakera Guard (`POST /v2/guard`). Its policy says what is looked for.

use serde::Deserialize;
use serde_json::{Value, json};

use super::config::LakeraConfig;
use super::entity::ours;
use super::finding::{Finding, Span, Unreadable, bytes_of, names, places};
use super::service::{Question, Service, Shown, only, parsed};
use crate::config::Stage;
use crate::texts::Sort;

#[derive(Debug)]
pub(crate) struct Lakera {
    project: Option<String>,
}

#[derive(Deserialize)]
struct Answer {
    flagged: bool,
    #[serde(default)]
    payload: Option<Vec<Found>>,
    #[serde(default)]
    breakdown: Option<Vec<Detector>>,
}

#[derive(Deserialize)]
struct Found {
    start: usize,
    end: usize,
    #[serde(default)]
    text: Option<String>,
    detector_type: String,
}

#[derive(Deserialize)]
struct Detector {
    detector_type: String,
    detected: bool,
}

impl Lakera {
    pub(crate) fn new(config: &LakeraConfig) -> Self {
        Self {
            project: config.project.clone(),
        }
    }
}

/// Personal data has places; attacks and content have none.
fn has_places(detector: &str) -> bool {
    detector.starts_with("pii")
}

impl Service for Lakera {
    fn url(&self) -> Option<String> {
        Some("https://api.lakera.ai".to_owned())
    }

    fn redacts(&self) -> bool {
        true
    }

    fn ask(&self, _number: usize, shown: &[Shown<'_>]) -> Question {
        let shown = only(shown);
        let role = match (shown.stage, shown.sort) {
            (Stage::Output, _) | (_, Sort::Model | Sort::Arguments) => "assistant",
            (_, Sort::Instruction) => "system",
            (_, Sort::Foreign | Sort::Thought | Sort::Definition) => "user",
        };
        let mut body = json!({
            "messages": [ { "role": role, "content": shown.text } ],
            "payload": true,
            "breakdown": true,
        });
        if let Some(project) = &self.project {
            body["project_id"] = Value::from(project.as_str());
        }
        Question {
            path: "/v2/guard".to_owned(),
            body,
        }
    }

    fn read(&self, _number: usize, shown: &[Shown<'_>], answer: &[u8]) -> Result<Vec<Finding>, Unreadable> {
        let answer: Answer = parsed(answer)?;
        if !answer.flagged {
            return Ok(vec![Finding::default()]);
        }
        let text = only(shown).text;
        let mut spans = Vec::new();
        for found in answer.payload.unwrap_or_default() {
            let kind = ours(&found.detector_type);
            let at = bytes_of(text, found.start..found.end);
            let at = at.filter(|at| {
                found
                    .text
                    .as_deref()
                    .is_none_or(|value| value == &text[at.clone()])
            });
            match (at, &found.text) {
                (Some(at), _) if !at.is_empty() => spans.push(Span {
                    kind,
                    start: at.start,
                    end: at.end,
                }),
                // It counts in another way than we do: the value says where it stands.
                (_, Some(value)) => places(text, value, &kind, &mut spans),
                _ => return Err(Unreadable("a find lies outside of the text")),
            }
        }
        let detectors = answer.breakdown.unwrap_or_default();
        let detected = detectors.iter().filter(|detector| detector.detected);
        let whole: Vec<&str> = detected
            .map(|detector| detector.detector_type.as_str())
            .filter(|detector| spans.is_empty() || !has_places(detector))
            .collect();
        let mut finding = Finding::of_spans(spans);
        if !whole.is_empty() {
            finding.whole = Some(names(whole));
        } else if finding.spans.is_empty() {
            finding.whole = Some("the service flags it".to_owned());
        }
        Ok(vec![finding])
    }
}
