//! Signals that a head answers: what it is about, whether facts need checking, what the user thinks, which kind of
//! answer is wanted, how hard it is.

use super::super::Reading;
use super::{Answers, near, reading};
use crate::config::{ClassConfig, ComplexityConfig, DomainConfig, SignalsConfig};

pub(crate) const DOMAIN: &str = "domain";
pub(super) const DIFFICULTY: &str = "difficulty";
const FACT_CHECK: &str = "fact_check";
const FEEDBACK: &str = "feedback";
const MODALITY: &str = "modality";

/// Least probabilities where a configuration names none, as the language has them.
const SURE_OF_DOMAIN: f64 = 0.5;
const SURE_OF_FACT_CHECK: f64 = 0.6;
const SURE_OF_CLASS: f64 = 0.7;

/// The label of a class that the model does not know.
const NONE: &str = "";

/// The domains of MMLU-Pro, which the head tells apart.
pub(super) const DOMAINS: [&str; 14] = [
    "biology",
    "business",
    "chemistry",
    "computer science",
    "economics",
    "engineering",
    "health",
    "history",
    "law",
    "math",
    OTHER,
    "philosophy",
    "physics",
    "psychology",
];
/// What is none of the others, and what nobody is sure of.
const OTHER: &str = "other";

/// The probability of a label; 0 for one that is not there.
pub(super) fn of(labels: &[(String, f32)], label: &str) -> f64 {
    let known = labels.iter().find(|(name, _)| name == label);
    known.map_or(0.0, |(_, probability)| f64::from(*probability))
}

/// A name as the head writes it.
fn plain(name: &str) -> String {
    name.trim().to_ascii_lowercase().replace(['_', '-'], " ")
}

/// Whether a name looks like that of a domain, and is none.
fn is_misspelt(name: &str) -> bool {
    let mut known = DOMAINS.iter();
    known.any(|known| strsim::jaro_winkler(name, known) > 0.9)
}

/// Whether a domain has a name that the model does not know, and names none that it does.
pub(crate) fn is_unknown(config: &DomainConfig) -> bool {
    Domain::compile(config).is_ok_and(|domain| domain.domains.is_empty())
}

/// Classes of which the model knows none, by the collections they stand in: they never match.
pub(crate) fn unknown_classes(config: &SignalsConfig) -> Vec<(&'static str, usize, &str)> {
    type Compile = fn(&ClassConfig) -> Result<Class, String>;
    let all: [(&str, &[ClassConfig], Compile); 3] = [
        ("fact_check", &config.fact_check, Class::fact_check),
        ("user_feedbacks", &config.user_feedbacks, Class::feedback),
        ("modality", &config.modality, Class::modality),
    ];
    let mut found = Vec::new();
    for (collection, classes, compile) in all {
        for (index, class) in classes.iter().enumerate() {
            if compile(class).is_ok_and(|compiled| compiled.is_none()) {
                found.push((collection, index, class.name.as_str()));
            }
        }
    }
    found
}

/// What the prompt is about: the probabilities of all domains that count as this one, together.
pub(super) struct Domain {
    domains: Vec<&'static str>,
    least: f64,
}

impl Domain {
    pub(super) fn compile(config: &DomainConfig) -> Result<Self, String> {
        let named: Vec<&String> = match config.mmlu_categories.is_empty() {
            true => vec![&config.name],
            false => config.mmlu_categories.iter().collect(),
        };
        let mut domains = Vec::new();
        for name in named {
            let wanted = plain(name);
            match DOMAINS.iter().find(|known| **known == wanted) {
                Some(known) => domains.push(*known),
                None if is_misspelt(&wanted) => {
                    let near = near(&wanted, DOMAINS.iter().copied());
                    return Err(format!("there is no domain {name:?}{near}"));
                }
                // The language takes any name; of one that the model does not know nothing is ever probable.
                None => {}
            }
        }
        Ok(Self {
            domains,
            least: config
                .threshold
                .filter(|least| *least > 0.0)
                .unwrap_or(SURE_OF_DOMAIN),
        })
    }

    /// The least probability; none where others count, too.
    pub(super) fn threshold(&self) -> Option<f64> {
        (!self.domains.contains(&OTHER)).then_some(self.least)
    }

    pub(super) fn judge(&self, answers: &dyn Answers) -> Option<Reading> {
        let labels = answers.labels(DOMAIN)?;
        let together: f64 = self.domains.iter().map(|domain| of(labels, domain)).sum();
        let together = together.min(1.0);
        if together < self.least && self.domains.contains(&OTHER) {
            let best = labels.iter().map(|(_, probability)| f64::from(*probability));
            let best = best.fold(0.0, f64::max);
            if best < self.least {
                return Some(Reading {
                    matched: true,
                    confidence: 1.0 - best,
                    value: together,
                });
            }
        }
        Some(reading(together, self.least))
    }
}

/// One class of a head that has few.
pub(super) struct Class {
    head: &'static str,
    label: &'static str,
    least: f64,
}

impl Class {
    pub(super) fn fact_check(config: &ClassConfig) -> Result<Self, String> {
        let labels = [
            ("needs_fact_check", "fact_check_needed"),
            ("fact_check_needed", "fact_check_needed"),
            ("no_fact_check_needed", "no_fact_check_needed"),
        ];
        Self::compile(config, FACT_CHECK, &labels, SURE_OF_FACT_CHECK)
    }

    pub(super) fn feedback(config: &ClassConfig) -> Result<Self, String> {
        let labels = [
            "satisfied",
            "need_clarification",
            "wrong_answer",
            "want_different",
        ];
        Self::compile(
            config,
            FEEDBACK,
            &labels.map(|label| (label, label)),
            SURE_OF_CLASS,
        )
    }

    pub(super) fn modality(config: &ClassConfig) -> Result<Self, String> {
        let labels = [("AR", "text"), ("DIFFUSION", "image"), ("BOTH", "both")];
        Self::compile(config, MODALITY, &labels, SURE_OF_CLASS)
    }

    fn compile(
        config: &ClassConfig,
        head: &'static str,
        labels: &[(&'static str, &'static str)],
        usual: f64,
    ) -> Result<Self, String> {
        let known = labels
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(&config.name));
        let names = || labels.iter().map(|(name, _)| *name);
        let label = match known {
            Some((_, label)) => *label,
            None if names().any(|name| strsim::jaro_winkler(name, &config.name) > 0.9) => {
                let near = near(&config.name, names());
                let names = names().collect::<Vec<_>>().join(", ");
                return Err(format!(
                    "there is no class {:?}; there are {names}{near}",
                    config.name
                ));
            }
            // The language takes any name; of one that the model does not know nothing is ever probable.
            None => NONE,
        };
        Ok(Self {
            head,
            label,
            least: config.threshold.filter(|least| *least > 0.0).unwrap_or(usual),
        })
    }

    /// Whether the model has no such class.
    fn is_none(&self) -> bool {
        self.label == NONE
    }

    pub(super) fn head(&self) -> &'static str {
        self.head
    }

    /// The least probability.
    pub(super) fn threshold(&self) -> f64 {
        self.least
    }

    pub(super) fn judge(&self, answers: &dyn Answers) -> Option<Reading> {
        Some(reading(of(answers.labels(self.head)?, self.label), self.least))
    }
}

/// How hard the prompt is, by the head: easy, hard, or beyond small models, which counts as hard.
pub(super) struct Difficulty {
    level: &'static str,
}

impl Difficulty {
    pub(super) fn compile(config: &ComplexityConfig, level: &'static str) -> Result<Self, String> {
        let bounds = [
            ("threshold", config.threshold),
            ("hard_above", config.hard_above),
            ("easy_below", config.easy_below),
            ("hard_below", config.hard_below),
            ("easy_above", config.easy_above),
        ];
        match bounds.iter().find(|(_, bound)| bound.is_some()) {
            Some((name, _)) => Err(format!(
                "{name} is a bound of likeness to examples, and hard.candidates and easy.candidates are empty; \
                 without examples the head of difficulty decides"
            )),
            None => Ok(Self { level }),
        }
    }

    /// The most probable level. What is hard for small models only is medium.
    pub(super) fn judge(&self, answers: &dyn Answers) -> Option<Reading> {
        let labels = answers.labels(DIFFICULTY)?;
        let levels = [
            ("easy", of(labels, "easy")),
            ("medium", of(labels, "hard")),
            ("hard", of(labels, "beyond")),
        ];
        let best = levels.iter().max_by(|left, right| left.1.total_cmp(&right.1))?;
        let own = levels.iter().find(|(level, _)| *level == self.level)?;
        Some(Reading {
            matched: best.0 == self.level,
            confidence: own.1,
            value: own.1,
        })
    }
}
