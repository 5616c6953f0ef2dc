//! Microsoft Presidio's analyzer (`POST /analyze`). Places are counted in Unicode code points.

use serde::Deserialize;
use serde_json::{Value, json};

use super::config::PresidioConfig;
use super::entity::{ours, presidios};
use super::finding::{Finding, Span, Unreadable, bytes_of};
use super::service::{Question, Service, Shown, only, parsed_list};

#[derive(Debug)]
pub(crate) struct Presidio {
    language: String,
    threshold: Option<f64>,
    /// What is asked for, in Presidio's words; everything when empty.
    entities: Vec<String>,
}

#[derive(Deserialize)]
struct Found {
    entity_type: String,
    start: usize,
    end: usize,
}

impl Presidio {
    pub(crate) fn new(config: &PresidioConfig) -> Self {
        let mut entities = Vec::new();
        for theirs in config.entities.iter().flat_map(|entity| presidios(entity)) {
            if !entities.iter().any(|known| known == theirs) {
                entities.push(theirs.to_owned());
            }
        }
        Self {
            language: config.language.clone().unwrap_or_else(|| "en".to_owned()),
            threshold: config.score_threshold.map(|percent| f64::from(percent) / 100.0),
            entities,
        }
    }
}

impl Service for Presidio {
    fn redacts(&self) -> bool {
        true
    }

    fn ask(&self, _number: usize, shown: &[Shown<'_>]) -> Question {
        let mut body = json!({ "text": only(shown).text, "language": self.language });
        if let Some(threshold) = self.threshold {
            body["score_threshold"] = json!(threshold);
        }
        if !self.entities.is_empty() {
            body["entities"] = Value::from(self.entities.clone());
        }
        Question {
            path: "/analyze".to_owned(),
            body,
        }
    }

    fn read(&self, _number: usize, shown: &[Shown<'_>], answer: &[u8]) -> Result<Vec<Finding>, Unreadable> {
        let text = only(shown).text;
        let found: Vec<Found> = parsed_list(answer)?;
        let mut spans = Vec::with_capacity(found.len());
        for one in found {
            let at =
                bytes_of(text, one.start..one.end).ok_or(Unreadable("a find lies outside of the text"))?;
            spans.push(Span {
                kind: ours(&one.entity_type),
                start: at.start,
                end: at.end,
            });
        }
        spans.retain(|span| span.start < span.end);
        Ok(vec![Finding::of_spans(spans)])
    }
}
