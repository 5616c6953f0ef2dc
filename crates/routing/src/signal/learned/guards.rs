//! Signals of what should not pass: attacks on the model's instructions, harm, personal data.

use std::sync::Arc;

use super::super::Reading;
use super::super::need::{About, Need};
use super::bank::dot;
use super::classes::of;
use super::{Answers, near, reading};
use crate::config::{JailbreakConfig, PiiConfig, SafetyConfig};

pub(super) const JAILBREAK: &str = "jailbreak";
pub(super) const HARMFUL: &str = "harmful";

/// Where a configuration names no threshold, one benign text in a hundred may be taken for an attack.
const POINT: &str = "fpr_1pct";
/// How much liker to attacks than to harmless texts, where nothing is said.
const LEAD: f64 = 0.1;
/// Least probability of personal data, where nothing is said.
const SURE_OF_PII: f64 = 0.5;
/// The label that says yes.
const HARM: &str = "harmful";

/// Kinds of harm that the head tells apart.
const HAZARDS: [&str; 12] = [
    "violence",
    "criminal_activity",
    "sexual_content",
    "child_exploitation",
    "hate",
    "harassment_abuse",
    "regulated_substances",
    "weapons",
    "self_harm",
    "privacy",
    "specialized_advice",
    "misinformation",
];

/// The probability at a threshold, or at the operating point where there is none.
fn at(head: &str, label: &str, least: Option<f64>, answers: &dyn Answers) -> Option<Reading> {
    let probability = of(answers.labels(head)?, label);
    let point = || answers.point(head, POINT).map(|(_, least)| f64::from(least));
    Some(reading(probability, least.or_else(point).unwrap_or(0.5)))
}

/// Attempts to talk the model out of its instructions.
pub(super) struct Attack {
    /// Whether the head is asked.
    head: bool,
    about: About,
    least: Option<f64>,
    attacks: Vec<String>,
    harmless: Vec<String>,
}

impl Attack {
    pub(super) fn compile(config: &JailbreakConfig) -> Result<Self, String> {
        if config
            .direction
            .as_deref()
            .is_some_and(|direction| direction != "request")
        {
            return Err(
                "direction: response is not supported in this version; only requests are looked at"
                    .to_owned(),
            );
        }
        let (head, examples) = match config.method.as_deref() {
            None | Some("" | "classifier") => (true, false),
            Some("contrastive") => (false, true),
            Some("hybrid") => (true, true),
            Some(other) => {
                return Err(format!(
                    "method {other:?} is not supported; use classifier, contrastive or hybrid"
                ));
            }
        };
        if examples && config.jailbreak_patterns.is_empty() {
            return Err("jailbreak_patterns is empty: there is nothing to be like".to_owned());
        }
        Ok(Self {
            head,
            about: if config.include_history {
                About::Conversation
            } else {
                About::User
            },
            least: config.threshold.filter(|least| *least > 0.0),
            attacks: if examples {
                config.jailbreak_patterns.clone()
            } else {
                Vec::new()
            },
            harmless: if examples {
                config.benign_patterns.clone()
            } else {
                Vec::new()
            },
        })
    }

    pub(super) fn need(&self) -> Need {
        match self.attacks.is_empty() {
            true => Need::Heads(self.about),
            false => Need::Embedding(self.about),
        }
    }

    pub(super) fn asks_head(&self) -> bool {
        self.head
    }

    pub(super) fn examples(&self) -> Vec<&str> {
        self.attacks
            .iter()
            .chain(&self.harmless)
            .map(String::as_str)
            .collect()
    }

    pub(super) fn judge(&self, texts: &[Arc<str>], answers: &dyn Answers) -> Option<Reading> {
        let by_head = match (self.head, self.attacks.is_empty()) {
            (true, true) => return at(JAILBREAK, "attack", self.least, answers),
            // The threshold of examples is one of likeness.
            (true, false) => Some(at(JAILBREAK, "attack", None, answers)?),
            (false, _) => None,
        };
        let by_examples = self.likest(texts, answers)?;
        Some(match by_head {
            Some(head) if head.matched || !by_examples.matched => head,
            _ => by_examples,
        })
    }

    /// The lead of attacks over harmless texts, in the turn where it is greatest.
    fn likest(&self, texts: &[Arc<str>], answers: &dyn Answers) -> Option<Reading> {
        let mut most = f64::NEG_INFINITY;
        for text in texts {
            let vector = answers.vector(text)?;
            let like = |examples: &[String]| -> Option<f64> {
                let mut best = -1.0_f64;
                for example in examples {
                    best = best.max(dot(vector, answers.vector(example)?));
                }
                Some(best)
            };
            let harmless = match self.harmless.is_empty() {
                true => 0.0,
                false => like(&self.harmless)?,
            };
            most = most.max(like(&self.attacks)? - harmless);
        }
        Some(reading(most, self.least.unwrap_or(LEAD)))
    }
}

/// Harm in the prompt.
pub(super) struct Harm {
    least: Option<f64>,
    /// Kinds that count; any where there are none.
    hazards: Vec<&'static str>,
    least_hazard: f64,
}

impl Harm {
    pub(super) fn compile(config: &SafetyConfig) -> Result<Self, String> {
        let models = [
            &config.model,
            &config.hazard.as_ref().and_then(|hazard| hazard.model.clone()),
        ];
        if models
            .iter()
            .any(|model| model.as_ref().is_some_and(|model| !model.is_empty()))
        {
            return Err(
                "model: other models than the one that ships are named in understanding.models, \
                        with `head: harmful`; leave it out here"
                    .to_owned(),
            );
        }
        let mut hazards = Vec::new();
        for name in config.hazard.iter().flat_map(|hazard| &hazard.categories) {
            let known = HAZARDS.iter().find(|known| known.eq_ignore_ascii_case(name));
            let Some(known) = known else {
                return Err(format!(
                    "there is no hazard {name:?}{}",
                    near(name, HAZARDS.iter().copied())
                ));
            };
            hazards.push(*known);
        }
        Ok(Self {
            least: config.threshold.filter(|least| *least > 0.0),
            least_hazard: config
                .hazard
                .as_ref()
                .and_then(|hazard| hazard.threshold)
                .unwrap_or(0.5),
            hazards,
        })
    }

    pub(super) fn judge(&self, answers: &dyn Answers) -> Option<Reading> {
        let harm = at(HARMFUL, HARM, self.least, answers)?;
        if self.hazards.is_empty() || !harm.matched {
            return Some(harm);
        }
        let labels = answers.labels(HARMFUL)?;
        let kinds = self.hazards.iter().map(|hazard| of(labels, hazard));
        let likeliest = kinds.fold(0.0, f64::max);
        Some(reading(
            likeliest.min(harm.confidence),
            self.least_hazard.min(harm.confidence),
        ))
    }
}

/// Personal data of a kind that may not be there.
pub(super) struct Pii {
    least: f64,
    allowed: Vec<String>,
}

impl Pii {
    pub(super) fn new(config: &PiiConfig) -> Self {
        Self {
            least: config
                .threshold
                .filter(|least| *least > 0.0)
                .unwrap_or(SURE_OF_PII),
            allowed: config
                .pii_types_allowed
                .iter()
                .map(|kind| kind.to_ascii_uppercase())
                .collect(),
        }
    }

    /// The least probability.
    pub(super) fn threshold(&self) -> f64 {
        self.least
    }

    pub(super) fn judge(&self, answers: &dyn Answers) -> Reading {
        let found = answers.entities();
        let forbidden = found
            .iter()
            .filter(|(kind, _)| !self.allowed.iter().any(|allowed| allowed == kind));
        let surest = forbidden
            .map(|(_, probability)| f64::from(*probability))
            .fold(0.0, f64::max);
        reading(surest, self.least)
    }
}
