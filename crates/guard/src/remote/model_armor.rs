//! Google Cloud Model Armor (`sanitizeUserPrompt`, `sanitizeModelResponse`).

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::config::ModelArmorConfig;
use super::entity::ours;
use super::finding::{Finding, Span, Unreadable, bytes_of, names};
use super::service::{Question, Service, Shown, only, parsed};
use crate::config::Stage;

/// What stays as it is in a segment of a path.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');
/// Letters of one question. The filters read 10,000 tokens; a letter may be one of its own in some languages.
const LONGEST: usize = 10_000;

#[derive(Debug)]
pub(crate) struct ModelArmor {
    location: String,
    template: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    sanitization_result: Sanitized,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sanitized {
    filter_match_state: String,
    #[serde(default)]
    invocation_result: String,
    #[serde(default)]
    filter_results: serde_json::Map<String, Value>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Data {
    inspect_result: Option<Inspected>,
    deidentify_result: Option<Deidentified>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Inspected {
    match_state: String,
    findings: Vec<Found>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Deidentified {
    match_state: String,
    data: Option<Text>,
}

#[derive(Deserialize)]
struct Text {
    text: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Found {
    info_type: String,
    #[serde(default)]
    location: Option<Location>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Location {
    codepoint_range: Option<Range>,
}

/// Numbers of 64 bits are texts in Google's JSON.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Range {
    start: Value,
    end: Value,
}

impl Range {
    fn letters(&self) -> Option<std::ops::Range<usize>> {
        let number = |value: &Value| match value {
            Value::String(text) => text.parse().ok(),
            // What is zero is left out.
            Value::Null => Some(0),
            other => usize::try_from(other.as_u64()?).ok(),
        };
        Some(number(&self.start)?..number(&self.end)?)
    }
}

const MATCHED: &str = "MATCH_FOUND";

impl ModelArmor {
    pub(crate) fn new(config: &ModelArmorConfig) -> Self {
        let encoded = |text: &str| utf8_percent_encode(text, SEGMENT).to_string();
        Self {
            location: config.location.clone(),
            template: format!(
                "/v1/projects/{}/locations/{}/templates/{}",
                encoded(&config.project),
                encoded(&config.location),
                encoded(&config.template)
            ),
        }
    }
}

impl Service for ModelArmor {
    fn url(&self) -> Option<String> {
        let location = &self.location;
        (!location.is_empty()).then(|| format!("https://modelarmor.{location}.rep.googleapis.com"))
    }

    fn longest(&self) -> Option<usize> {
        Some(LONGEST)
    }

    fn redacts(&self) -> bool {
        true
    }

    fn ask(&self, _number: usize, shown: &[Shown<'_>]) -> Question {
        let data = json!({ "text": only(shown).text });
        let (verb, body) = match only(shown).stage {
            Stage::Output => ("sanitizeModelResponse", json!({ "modelResponseData": data })),
            Stage::Input | Stage::ToolResult => ("sanitizeUserPrompt", json!({ "userPromptData": data })),
        };
        Question {
            path: format!("{}:{verb}", self.template),
            body,
        }
    }

    fn read(&self, _number: usize, shown: &[Shown<'_>], answer: &[u8]) -> Result<Vec<Finding>, Unreadable> {
        let Answer {
            sanitization_result: result,
        } = parsed(answer)?;
        let matched = match result.filter_match_state.as_str() {
            MATCHED => true,
            "NO_MATCH_FOUND" => false,
            _ => return Err(Unreadable("it does not say whether a filter matched")),
        };
        if !matched {
            // Filters that did not run have found nothing.
            return match result.invocation_result.as_str() {
                "" | "SUCCESS" => Ok(vec![Finding::default()]),
                _ => Err(Unreadable("not all of its filters could run")),
            };
        }
        let text = only(shown).text;
        let mut finding = Finding::default();
        let mut others = Vec::new();
        for (name, found) in result.filter_results.iter().filter(|(_, found)| has_match(found)) {
            match found.get("sdpFilterResult") {
                Some(data) => {
                    let data: Data = parsed(data.to_string().as_bytes())?;
                    // What is matched and stands nowhere cannot be replaced.
                    if !sensitive(&data, text, &mut finding)? {
                        others.push(name.as_str());
                    }
                }
                None => others.push(name),
            }
        }
        if !others.is_empty() {
            finding.whole = Some(names(others));
        } else if finding.is_clean() {
            finding.whole = Some("a filter matched".to_owned());
        }
        Ok(vec![finding])
    }
}

/// Whether a filter, or one of those within it, has matched.
fn has_match(found: &Value) -> bool {
    match found {
        Value::Object(fields) => fields.iter().any(|(name, value)| {
            (name == "matchState" && value == MATCHED) || (value.is_object() && has_match(value))
        }),
        _ => false,
    }
}

/// Takes over what would have to be replaced; false where that is not said.
fn sensitive(data: &Data, text: &str, finding: &mut Finding) -> Result<bool, Unreadable> {
    if let Some(inspected) = data
        .inspect_result
        .as_ref()
        .filter(|one| one.match_state == MATCHED)
    {
        let mut spans = Vec::new();
        for found in &inspected.findings {
            let range = found.location.as_ref().and_then(|at| at.codepoint_range.as_ref());
            let Some(letters) = range.and_then(Range::letters) else {
                return Ok(false);
            };
            let at = bytes_of(text, letters).ok_or(Unreadable("a find lies outside of the text"))?;
            spans.push(Span {
                kind: ours(&found.info_type),
                start: at.start,
                end: at.end,
            });
        }
        spans.retain(|span| span.start < span.end);
        if !spans.is_empty() {
            finding.spans = Finding::of_spans(spans).spans;
            return Ok(true);
        }
    }
    let changed = data
        .deidentify_result
        .as_ref()
        .filter(|one| one.match_state == MATCHED);
    match changed.and_then(|one| one.data.as_ref()) {
        Some(changed) if changed.text != text => {
            finding.rewritten = Some(changed.text.clone());
            Ok(true)
        }
        _ => Ok(false),
    }
}
