//! What a text is about, by sentences that say what may be asked, and what may not.

use std::sync::Arc;
use std::time::Duration;

use pointsman_understanding::{Ask, Nobody, Understanding};
use pointsman_upstream::HumanDuration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::OnceCell;

use crate::config::{Action, OnError, Stage};
use crate::heard::{Heard, PATIENCE};
use crate::stage::Wrong;

/// How alike a text and an example must be, in percent, when the configuration does not say.
const THRESHOLD: u8 = 45;
/// Examples of a guardrail.
const MOST_EXAMPLES: usize = 256;
/// Bytes of an example.
const LONGEST_EXAMPLE: usize = 1_000;
/// Parts of a text that are looked at by themselves.
const MOST_PARTS: usize = 12;
/// Bytes that a part has at least.
const SHORTEST_PART: usize = 12;

/// Topics that may, or may not, be spoken of.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TopicsConfig {
    /// Its name, told when it acts.
    pub name: String,
    /// Which texts it sees: `input`, `tool_result`, `output`.
    pub on: Vec<Stage>,
    /// What it does: `block`, `flag` or `route`.
    pub action: Action,
    /// The model that answers instead, with `action: route`.
    pub to: Option<String>,
    /// Whether it acts on all requests (when absent), or only where a model, a decision, a team or a key names it.
    pub default_on: Option<bool>,
    /// It judges and changes nothing: what it would have done is noted.
    pub dry_run: bool,
    /// The share of requests that it sees, in percent; all when absent.
    #[schemars(range(min = 1, max = 100))]
    pub sample: Option<u8>,
    /// Sentences as they may be said: a text that is like none of them is off topic.
    pub allow: Vec<String>,
    /// Sentences as they may not be said: a text of which a part is like one of them is off topic.
    pub deny: Vec<String>,
    /// How alike a text and an example must be, in percent; 45 when absent.
    #[schemars(range(min = 1, max = 100))]
    pub threshold: Option<u8>,
    /// What happens to a text when the model can't be asked, or does not answer in time.
    pub on_error: OnError,
    /// How long the model may take for all texts of a request; 2 s when absent.
    pub timeout: Option<HumanDuration>,
}

/// A compiled guardrail.
#[derive(Debug)]
pub(crate) struct TopicsGuard {
    pub(crate) on_error: OnError,
    pub(crate) patience: Duration,
    allow: Vec<Arc<str>>,
    deny: Vec<Arc<str>>,
    least: f32,
    vectors: OnceCell<Examples>,
}

/// Vectors of examples.
#[derive(Debug)]
struct Examples {
    allow: Vec<Arc<[f32]>>,
    deny: Vec<Arc<[f32]>>,
}

/// What a guardrail makes of a text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum About {
    /// What it may be about.
    OnTopic,
    /// It acts, and why.
    OffTopic(&'static str),
    /// The model was not heard.
    Unheard,
}

impl TopicsGuard {
    pub(crate) fn compile(config: &TopicsConfig) -> Result<Self, Wrong> {
        if config.action == Action::Redact {
            let message =
                "guardrails of type \"topics\" judge a text as a whole; use action: block, flag or route";
            return Err(("action", message.to_owned()));
        }
        if config.allow.is_empty() && config.deny.is_empty() {
            let message = "give example sentences of what may be said, or deny some of what may not";
            return Err(("allow", message.to_owned()));
        }
        for (field, examples) in [("allow", &config.allow), ("deny", &config.deny)] {
            if examples.len() > MOST_EXAMPLES {
                return Err((field, format!("at most {MOST_EXAMPLES} examples")));
            }
            let wrong = |text: &&String| text.trim().is_empty() || text.len() > LONGEST_EXAMPLE;
            if examples.iter().any(|text| wrong(&text)) {
                let message = format!("an example is a sentence of at most {LONGEST_EXAMPLE} bytes");
                return Err((field, message));
            }
        }
        let threshold = config.threshold.unwrap_or(THRESHOLD);
        if !(1..=100).contains(&threshold) {
            return Err(("threshold", "percent, from 1 to 100".to_owned()));
        }
        let texts = |texts: &[String]| texts.iter().map(|text| text.as_str().into()).collect();
        Ok(Self {
            on_error: config.on_error,
            patience: config.timeout.map_or(PATIENCE, |timeout| timeout.get()),
            allow: texts(&config.allow),
            deny: texts(&config.deny),
            least: f32::from(threshold) / 100.0,
            vectors: OnceCell::new(),
        })
    }

    /// Has the examples read, once.
    pub(crate) async fn prepare(&self, understanding: &Understanding) {
        let read = self
            .vectors
            .get_or_try_init(|| async { self.examples(understanding).await.ok_or(()) });
        // Who judges sees that they are not there; the next request tries again.
        let _ = tokio::time::timeout(self.patience, read).await;
    }

    async fn examples(&self, understanding: &Understanding) -> Option<Examples> {
        Some(Examples {
            allow: vectors(&self.allow, understanding).await?,
            deny: vectors(&self.deny, understanding).await?,
        })
    }

    /// Judges a text by what was heard of it.
    pub(crate) fn judge(&self, text: &str, heard: &Heard) -> About {
        let (Some(examples), Some(said)) = (self.vectors.get(), heard.of(text)) else {
            return About::Unheard;
        };
        let Some((whole, parts)) = said.vectors.split_first() else {
            // Nobody is asked about a text without words.
            return if text.trim().is_empty() {
                About::OnTopic
            } else {
                About::Unheard
            };
        };
        let allowed = nearest(whole, &examples.allow);
        let looked_at = std::iter::once(whole).chain(parts);
        let denied = looked_at
            .map(|vector| (nearest(vector, &examples.deny), nearest(vector, &examples.allow)))
            .any(|(denied, allowed)| denied >= self.least && denied > allowed);
        if denied {
            About::OffTopic("it is about what is denied")
        } else if !examples.allow.is_empty()
            && allowed < self.least
            && !parts
                .iter()
                .any(|part| nearest(part, &examples.allow) >= self.least)
        {
            About::OffTopic("it is about something else than what is allowed")
        } else {
            About::OnTopic
        }
    }
}

async fn vectors(texts: &[Arc<str>], understanding: &Understanding) -> Option<Vec<Arc<[f32]>>> {
    let mut vectors = Vec::with_capacity(texts.len());
    for text in texts {
        let read = understanding.read(text, &Ask::embedding(), &Nobody).await;
        let read = read
            .map_err(|failed| tracing::warn!(%failed, "examples of a guardrail could not be read"))
            .ok()?;
        vectors.push(read.embedding?.into());
    }
    Some(vectors)
}

/// The highest cosine with one of these; vectors are of length 1.
fn nearest(vector: &[f32], examples: &[Arc<[f32]>]) -> f32 {
    let cosine = |example: &Arc<[f32]>| -> f32 { vector.iter().zip(&**example).map(|(a, b)| a * b).sum() };
    examples.iter().map(cosine).fold(-1.0, f32::max)
}

/// Parts of a text that may be about something of their own: its paragraphs, or its sentences where it has only one.
pub(crate) fn parts(text: &str) -> Vec<&str> {
    let long = |part: &&str| part.len() >= SHORTEST_PART;
    let paragraphs: Vec<&str> = text.split("\n\n").map(str::trim).filter(long).collect();
    let mut parts = if paragraphs.len() > 1 {
        paragraphs
    } else {
        text.split_inclusive(['.', '!', '?', '\n', '。'])
            .map(str::trim)
            .filter(long)
            .collect()
    };
    if parts.len() < 2 {
        return Vec::new();
    }
    // The last ones are what is asked now.
    parts.drain(..parts.len().saturating_sub(MOST_PARTS));
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(allow: &[&str], deny: &[&str]) -> TopicsConfig {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        TopicsConfig {
            name: "topics".into(),
            on: vec![Stage::Input],
            allow: texts(allow),
            deny: texts(deny),
            ..TopicsConfig::default()
        }
    }

    #[test]
    fn what_it_cannot_do_is_refused() {
        assert_eq!(TopicsGuard::compile(&config(&[], &[])).unwrap_err().0, "allow");
        assert_eq!(TopicsGuard::compile(&config(&[" "], &[])).unwrap_err().0, "allow");
        let redacts = TopicsConfig {
            action: Action::Redact,
            ..config(&["Where is my order?"], &[])
        };
        assert_eq!(TopicsGuard::compile(&redacts).unwrap_err().0, "action");
        let far = TopicsConfig {
            threshold: Some(101),
            ..config(&["Where is my order?"], &[])
        };
        assert_eq!(TopicsGuard::compile(&far).unwrap_err().0, "threshold");
    }

    #[test]
    fn texts_have_parts() {
        assert!(parts("Only one sentence, and nothing more.").is_empty());
        assert_eq!(
            parts("Where is my order from last week? Also, whom should I vote for this year?").len(),
            2
        );
        assert_eq!(
            parts("The first paragraph has some length.\n\nSo has the second one, too.").len(),
            2
        );
        let long = "A sentence that is long enough. ".repeat(40);
        assert_eq!(parts(&long).len(), MOST_PARTS);
    }
}
