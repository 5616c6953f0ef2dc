//! Amazon Bedrock Guardrails (`ApplyGuardrail`). Parts that it would mask are found again in the text, so that what stands in
//! their place is ours.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::json;

use super::config::BedrockConfig;
use super::entity::ours;
use super::finding::{Finding, Unreadable, names, places};
use super::service::{Question, Service, Shown, only, parsed};
use crate::config::Stage;

/// What stays as it is in a segment of a path.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');
/// Letters of one question: 25 of the units that are charged.
const LONGEST: usize = 25_000;

#[derive(Debug)]
pub(crate) struct Bedrock {
    path: String,
    region: Option<String>,
}

#[derive(Deserialize)]
struct Answer {
    action: Done,
    #[serde(default)]
    assessments: Vec<Assessment>,
}

#[derive(Deserialize, PartialEq, Eq)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum Done {
    None,
    GuardrailIntervened,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Assessment {
    topic_policy: Option<Topics>,
    content_policy: Option<Filters>,
    word_policy: Option<Words>,
    sensitive_information_policy: Option<Sensitive>,
    contextual_grounding_policy: Option<Filters>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Topics {
    topics: Vec<Found>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Filters {
    filters: Vec<Found>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Words {
    custom_words: Vec<Found>,
    managed_word_lists: Vec<Found>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Sensitive {
    pii_entities: Vec<Found>,
    regexes: Vec<Found>,
}

#[derive(Deserialize)]
struct Found {
    #[serde(default)]
    name: Option<String>,
    #[serde(rename = "type", default)]
    kind: Option<String>,
    #[serde(rename = "match", default)]
    value: Option<String>,
    action: String,
}

impl Found {
    fn is_blocked(&self) -> bool {
        self.action == "BLOCKED"
    }

    /// What it is called. Words and values that occur in the text are not told.
    fn called(&self) -> &str {
        self.name.as_deref().or(self.kind.as_deref()).unwrap_or("word")
    }
}

impl Bedrock {
    pub(crate) fn new(config: &BedrockConfig) -> Self {
        let encoded = |text: &str| utf8_percent_encode(text, SEGMENT).to_string();
        Self {
            path: format!(
                "/guardrail/{}/version/{}/apply",
                encoded(&config.guardrail),
                encoded(&config.version)
            ),
            region: config.region.clone(),
        }
    }
}

impl Service for Bedrock {
    fn url(&self) -> Option<String> {
        let region = self.region.as_deref()?;
        Some(format!("https://bedrock-runtime.{region}.amazonaws.com"))
    }

    fn longest(&self) -> Option<usize> {
        Some(LONGEST)
    }

    fn redacts(&self) -> bool {
        true
    }

    fn ask(&self, _number: usize, shown: &[Shown<'_>]) -> Question {
        let source = match only(shown).stage {
            Stage::Output => "OUTPUT",
            Stage::Input | Stage::ToolResult => "INPUT",
        };
        let body = json!({ "source": source, "content": [ { "text": { "text": only(shown).text } } ] });
        Question {
            path: self.path.clone(),
            body,
        }
    }

    fn read(&self, _number: usize, shown: &[Shown<'_>], answer: &[u8]) -> Result<Vec<Finding>, Unreadable> {
        let answer: Answer = parsed(answer)?;
        if answer.action == Done::None {
            return Ok(vec![Finding::default()]);
        }
        let text = only(shown).text;
        let (mut spans, mut blocked) = (Vec::new(), Vec::new());
        for assessment in &answer.assessments {
            let sensitive = assessment.sensitive_information_policy.iter();
            for found in sensitive.flat_map(|policy| policy.pii_entities.iter().chain(&policy.regexes)) {
                let before = spans.len();
                if found.action == "ANONYMIZED" {
                    places(
                        text,
                        found.value.as_deref().unwrap_or_default(),
                        &ours(found.called()),
                        &mut spans,
                    );
                }
                // What would be masked and is not there as it is told cannot be replaced.
                let is_lost = found.action == "ANONYMIZED" && spans.len() == before;
                if found.is_blocked() || is_lost {
                    blocked.push(found.called());
                }
            }
            let topics = assessment.topic_policy.iter().flat_map(|policy| &policy.topics);
            let filters = [
                &assessment.content_policy,
                &assessment.contextual_grounding_policy,
            ];
            let filters = filters.into_iter().flatten().flat_map(|policy| &policy.filters);
            let words = assessment.word_policy.iter();
            let words = words.flat_map(|policy| policy.custom_words.iter().chain(&policy.managed_word_lists));
            let all = topics.chain(filters).chain(words);
            blocked.extend(all.filter(|found| found.is_blocked()).map(Found::called));
        }
        let mut finding = Finding::of_spans(spans);
        if !blocked.is_empty() {
            finding.whole = Some(names(blocked));
        } else if finding.spans.is_empty() {
            finding.whole = Some("the guardrail intervened".to_owned());
        }
        Ok(vec![finding])
    }
}
