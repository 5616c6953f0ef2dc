//! Signals, compiled: each looks at the facts of a request and says whether and how surely it matches.

mod authz;
mod context;
mod conversation;
mod event;
mod keyword;
mod language;
mod metadata;
mod structure;
mod words;

mod need;

use crate::config::SignalsConfig;
use crate::facts::Facts;

pub use need::{About, AskedSignal, Need};

/// What a signal says.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Reading {
    /// Whether it matches.
    pub matched: bool,
    /// How surely, 0 to 1; 1 for signals that only know yes and no.
    pub confidence: f64,
    /// The number behind it: a count, a length, a score.
    pub value: f64,
}

impl Reading {
    /// Yes or no.
    pub(crate) fn of(matched: bool) -> Self {
        let sure = if matched { 1.0 } else { 0.0 };
        Self {
            matched,
            confidence: sure,
            value: sure,
        }
    }

    /// As bounds of decisions rely on it: a confidence within 0 to 1, a value that is a number.
    pub(crate) fn within_bounds(self) -> Self {
        let number = |value: f64| if value.is_finite() { value } else { 0.0 };
        Self {
            matched: self.matched,
            confidence: number(self.confidence).clamp(0.0, 1.0),
            value: number(self.value),
        }
    }

    /// A number, and whether it is in range.
    pub(crate) fn number(value: f64, matched: bool) -> Self {
        Self {
            matched,
            confidence: if matched { 1.0 } else { 0.0 },
            value,
        }
    }
}

/// A compiled signal.
pub(crate) struct Signal {
    /// The type under which rules name it.
    pub(crate) kind: &'static str,
    /// Its name.
    pub(crate) name: String,
    judge: Judge,
    need: Need,
}

enum Judge {
    Keyword(keyword::Keyword),
    Context(context::Context),
    Structure(structure::Structure),
    Conversation(conversation::Conversation),
    Metadata(metadata::Metadata),
    Event(event::Event),
    Authz(authz::Authz),
    Language(language::Language),
    /// Whoever is asked.
    Answered,
}

/// What is wrong with a signal: its collection, its number, the field, the message.
pub(crate) struct SignalError {
    pub(crate) path: String,
    pub(crate) message: String,
}

/// Types of signals that the language has and this version does not, with their collections.
pub(crate) const UNSUPPORTED: [(&str, &str); 15] = [
    ("embedding", "embeddings"),
    ("domain", "domains"),
    ("fact_check", "fact_check"),
    ("user_feedback", "user_feedbacks"),
    ("reask", "reasks"),
    ("preference", "preferences"),
    ("complexity", "complexity"),
    ("modality", "modality"),
    ("jailbreak", "jailbreak"),
    ("safety", "safety"),
    ("hallucination", "hallucination"),
    ("pii", "pii"),
    ("kb", "kb"),
    ("classifier", "classifiers"),
    ("input_modality", "input_modality"),
];

impl Signal {
    /// A signal that is answered from outside.
    pub(crate) fn asked(signal: &AskedSignal) -> Self {
        Self {
            kind: signal.kind,
            name: signal.name.clone(),
            judge: Judge::Answered,
            need: signal.need.clone(),
        }
    }

    /// What has to be asked to know it.
    pub(crate) fn need(&self) -> &Need {
        &self.need
    }

    /// What it costs to know it, next to others: a look at numbers, at the text, at each word of it, and then what has to
    /// be asked.
    pub(crate) fn cost(&self) -> u8 {
        match &self.judge {
            Judge::Context(_)
            | Judge::Conversation(_)
            | Judge::Metadata(_)
            | Judge::Event(_)
            | Judge::Authz(_) => 0,
            Judge::Keyword(keyword) if keyword.is_quick() => 1,
            Judge::Structure(_) => 1,
            Judge::Keyword(_) | Judge::Language(_) => 2,
            Judge::Answered => 3 + self.need.cost(),
        }
    }

    /// Looks at the facts; none if it has to be asked.
    pub(crate) fn read(&self, facts: &Facts<'_>) -> Option<Reading> {
        Some(match &self.judge {
            Judge::Answered => return None,
            Judge::Keyword(keyword) => keyword.read(facts.user_text),
            Judge::Context(context) => context.read(facts.estimated_tokens),
            Judge::Structure(structure) => structure.read(facts.user_text),
            Judge::Conversation(conversation) => conversation.read(facts),
            Judge::Metadata(metadata) => metadata.read(facts.metadata),
            Judge::Event(event) => event.read(facts.metadata),
            Judge::Authz(authz) => authz.read(&facts.caller),
            Judge::Language(language) => language.read(facts.user_text),
        })
    }
}

/// Compiles all signals.
#[expect(clippy::too_many_lines, reason = "one line for each kind of signal")]
pub(crate) fn compile(config: &SignalsConfig, errors: &mut Vec<SignalError>) -> Vec<Signal> {
    let mut all = Vec::new();
    for (kind, collection) in UNSUPPORTED {
        if unsupported(config, collection) {
            let message = format!("signals of type {kind:?} are not supported in this version");
            errors.push(SignalError {
                path: format!("signals.{collection}"),
                message,
            });
        }
    }
    let mut add = |kind, collection: &str, index: usize, name: &str, judge: Result<Judge, String>| match judge
    {
        Ok(judge) => all.push(Signal {
            kind,
            name: name.to_owned(),
            judge,
            need: Need::Text,
        }),
        Err(message) => errors.push(SignalError {
            path: format!("signals.{collection}[{index}]"),
            message,
        }),
    };
    for (index, config) in config.keywords.iter().enumerate() {
        add(
            "keyword",
            "keywords",
            index,
            &config.name,
            keyword::Keyword::compile(config).map(Judge::Keyword),
        );
    }
    for (index, config) in config.context.iter().enumerate() {
        add(
            "context",
            "context",
            index,
            &config.name,
            Ok(Judge::Context(context::Context::new(config))),
        );
    }
    for (index, config) in config.structure.iter().enumerate() {
        add(
            "structure",
            "structure",
            index,
            &config.name,
            structure::Structure::compile(config).map(Judge::Structure),
        );
    }
    for (index, config) in config.conversation.iter().enumerate() {
        let judge = conversation::Conversation::compile(config).map(Judge::Conversation);
        add("conversation", "conversation", index, &config.name, judge);
    }
    for (index, config) in config.metadata.iter().enumerate() {
        add(
            "metadata",
            "metadata",
            index,
            &config.name,
            Ok(Judge::Metadata(metadata::Metadata::new(config))),
        );
    }
    for (index, config) in config.events.iter().enumerate() {
        add(
            "event",
            "events",
            index,
            &config.name,
            event::Event::compile(config).map(Judge::Event),
        );
    }
    for (index, config) in config.role_bindings.iter().enumerate() {
        let name = if config.name.is_empty() {
            &config.role
        } else {
            &config.name
        };
        add(
            "authz",
            "role_bindings",
            index,
            name,
            authz::Authz::compile(config).map(Judge::Authz),
        );
    }
    for (index, config) in config.language.iter().enumerate() {
        add(
            "language",
            "language",
            index,
            &config.name,
            Ok(Judge::Language(language::Language::new(config))),
        );
    }
    all
}

fn unsupported(config: &SignalsConfig, collection: &str) -> bool {
    let there = match collection {
        "embeddings" => &config.embeddings,
        "domains" => &config.domains,
        "fact_check" => &config.fact_check,
        "user_feedbacks" => &config.user_feedbacks,
        "reasks" => &config.reasks,
        "preferences" => &config.preferences,
        "complexity" => &config.complexity,
        "modality" => &config.modality,
        "jailbreak" => &config.jailbreak,
        "safety" => &config.safety,
        "hallucination" => &config.hallucination,
        "pii" => &config.pii,
        "kb" => &config.kb,
        "classifiers" => &config.classifiers,
        _ => &config.input_modality,
    };
    !there.is_empty()
}
