//! A service of the operator's own, by our contract: texts go there, and for each of them a finding comes back. Places are
//! counted in Unicode code points.

use serde::Deserialize;
use serde_json::json;

use super::entity::ours;
use super::finding::{Finding, Span, Unreadable, bytes_of, names};
use super::service::{Question, Service, Shown, only, parsed};
use crate::config::Stage;

#[derive(Debug)]
pub(crate) struct Http;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    findings: Vec<Found>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Found {
    #[serde(default)]
    block: bool,
    #[serde(default)]
    reason: Option<String>,
    #[serde(default)]
    spans: Vec<Place>,
    #[serde(default)]
    text: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Place {
    start: usize,
    end: usize,
    kind: String,
}

/// A stage, as it is told.
pub(crate) fn stage_name(stage: Stage) -> &'static str {
    match stage {
        Stage::Input => "input",
        Stage::ToolResult => "tool_result",
        Stage::Output => "output",
    }
}

impl Service for Http {
    fn most(&self) -> usize {
        64
    }

    fn redacts(&self) -> bool {
        true
    }

    fn ask(&self, _number: usize, shown: &[Shown<'_>]) -> Question {
        let texts: Vec<&str> = shown.iter().map(|one| one.text).collect();
        let body = json!({
            "stage": stage_name(only(shown).stage),
            "source": only(shown).sort.name(),
            "texts": texts,
        });
        Question {
            path: String::new(),
            body,
        }
    }

    fn read(&self, _number: usize, shown: &[Shown<'_>], answer: &[u8]) -> Result<Vec<Finding>, Unreadable> {
        let answer: Answer = parsed(answer)?;
        if answer.findings.len() != shown.len() {
            return Err(Unreadable("there is not one finding for each text"));
        }
        let each = answer.findings.into_iter().zip(shown);
        each.map(|(found, shown)| finding(found, shown.text)).collect()
    }
}

fn finding(found: Found, text: &str) -> Result<Finding, Unreadable> {
    let mut spans = Vec::with_capacity(found.spans.len());
    for place in found.spans {
        let at =
            bytes_of(text, place.start..place.end).ok_or(Unreadable("a find lies outside of the text"))?;
        if !at.is_empty() {
            spans.push(Span {
                kind: ours(&place.kind),
                start: at.start,
                end: at.end,
            });
        }
    }
    let mut finding = Finding::of_spans(spans);
    if found.block {
        let reason = names(found.reason.as_deref());
        finding.whole = Some(if reason.is_empty() {
            "the service refuses it".to_owned()
        } else {
            reason
        });
    }
    // Where there are places, they are what is replaced.
    if finding.spans.is_empty() {
        finding.rewritten = found.text.filter(|rewritten| rewritten != text);
    }
    Ok(finding)
}
