//! Signals, compiled: each looks at the facts of a request and says whether and how surely it matches.

mod authz;
mod context;
mod conversation;
mod event;
mod keyword;
mod language;
mod metadata;
mod plain;
mod print;
mod structure;
mod words;

mod input;
mod learned;
mod need;

use std::sync::Arc;

use crate::config::{AuthzConfig, SignalsConfig};
use crate::facts::Facts;

pub use learned::{Answers, Asks, Classifier, ClassifierBy};
pub(crate) use learned::{ClassRule, KbMetric, Shelf};
pub(crate) use learned::{DOMAIN, domain_names, is_unknown_domain, texts, unknown_classes};
pub use need::{About, AskedSignal, Need};
pub(crate) use print::hash;

/// The type of signals that are numbers of knowledge bases: scores take them, and rules do not name them.
pub(crate) const KB_METRIC: &str = "kb_metric";

/// The type of rules about classifiers.
pub(crate) const CLASSIFIER: &str = "classifier";

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
    /// Of its configuration.
    pub(crate) print: Print,
}

/// A print of a signal's configuration: the same configuration has the same, in every process and version.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Print {
    /// Of all of it.
    pub(crate) whole: u32,
    /// Of all but its threshold.
    pub(crate) loose: u32,
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
    Input(input::Input),
    /// A model.
    Learned(learned::Learned),
    /// Whoever is asked.
    Answered,
}

/// What is wrong with a signal: its collection, its number, the field, the message.
pub(crate) struct SignalError {
    pub(crate) path: String,
    pub(crate) message: String,
}

impl Signal {
    /// A signal that is answered from outside.
    pub(crate) fn asked(signal: &AskedSignal) -> Self {
        Self {
            kind: signal.kind,
            name: signal.name.clone(),
            judge: Judge::Answered,
            need: signal.need.clone(),
            print: Print::default(),
        }
    }

    /// A number of a knowledge base: the signal that scores take it of.
    pub(crate) fn metric(name: String, metric: KbMetric) -> Self {
        Self::made(KB_METRIC, name, learned::Learned::metric(metric))
    }

    /// A rule about a classifier.
    pub(crate) fn class_rule(rule: ClassRule) -> Self {
        Self::made(CLASSIFIER, rule.name(), learned::Learned::rule(rule))
    }

    /// One that no collection declares by this name.
    fn made(kind: &'static str, name: String, learned: learned::Learned) -> Self {
        let mut signal = Self {
            kind,
            name,
            need: learned.need().clone(),
            print: Print::default(),
            judge: Judge::Learned(learned),
        };
        signal.print_beside();
        signal
    }

    /// What it goes by beside its own settings counts in its print, too.
    fn print_beside(&mut self) {
        let Judge::Learned(learned) = &self.judge else {
            return;
        };
        if let Some(beside) = learned.beside() {
            let mixed = |own: u32| hash(&serde_json::json!([self.kind, self.name, own, beside]));
            self.print = Print {
                whole: mixed(self.print.whole),
                loose: mixed(self.print.loose),
            };
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
            | Judge::Input(_)
            | Judge::Authz(_) => 0,
            Judge::Keyword(keyword) if keyword.is_quick() => 1,
            Judge::Structure(_) => 1,
            Judge::Keyword(_) | Judge::Language(_) => 2,
            Judge::Learned(_) | Judge::Answered => 3 + self.need.cost(),
        }
    }

    /// Looks at the facts; none if it has to be asked.
    pub(crate) fn read(&self, facts: &Facts<'_>) -> Option<Reading> {
        Some(match &self.judge {
            Judge::Learned(_) | Judge::Answered => return None,
            Judge::Input(input) => input.read(facts),
            Judge::Keyword(keyword) => keyword.read(facts.user_text),
            Judge::Context(context) => context.read(facts.estimated_tokens),
            Judge::Structure(structure) => structure.read(facts.user_text),
            Judge::Conversation(conversation) => conversation.read(facts),
            Judge::Metadata(metadata) => metadata.read(facts.metadata),
            Judge::Event(event) => event.read(facts.user_text),
            Judge::Authz(authz) => authz.read(&facts.caller),
            Judge::Language(language) => language.read(facts.user_text),
        })
    }
}

impl Signal {
    /// Adds what it wants to know of whoever reads texts.
    pub(crate) fn ask(&self, asks: &mut Asks) {
        if let Judge::Learned(learned) = &self.judge {
            learned.ask(asks);
        }
    }

    /// The same number, judged by this signal's threshold; none where more than the number is looked at.
    pub(crate) fn judged_again(&self, reading: Reading) -> Option<Reading> {
        match &self.judge {
            Judge::Learned(learned) => learned.judged_again(reading),
            Judge::Structure(structure) => Some(structure.judge(reading.value)),
            Judge::Language(language) => Some(language.judge(reading.value)),
            _ => None,
        }
    }

    /// Keywords that it looks for, by their prints, and whether they are there.
    pub(crate) fn looked_for(&self, text: &str) -> Vec<(u32, bool)> {
        match &self.judge {
            Judge::Keyword(keyword) => keyword.looked_for(text),
            _ => Vec::new(),
        }
    }

    /// What it says where it is known of all its keywords whether they were there.
    pub(crate) fn of_words(&self, had: &dyn Fn(u32) -> Option<bool>) -> Option<Reading> {
        match &self.judge {
            Judge::Keyword(keyword) => keyword.of_words(had),
            _ => None,
        }
    }

    /// Examples whose vectors it wants.
    pub(crate) fn examples(&self) -> Vec<&str> {
        match &self.judge {
            Judge::Learned(learned) => learned.examples(),
            _ => Vec::new(),
        }
    }

    /// Examples that it compares with what is no text.
    pub(crate) fn media_examples(&self, about: About) -> Vec<&str> {
        match &self.judge {
            Judge::Learned(learned) => learned.media_examples(about),
            _ => Vec::new(),
        }
    }

    /// What the answers say; none where what it needs is not among them.
    pub(crate) fn judge(&self, facts: &Facts<'_>, answers: &dyn Answers) -> Option<Reading> {
        match &self.judge {
            Judge::Learned(learned) => learned.judge(facts, answers),
            _ => None,
        }
    }
}

/// Compiles all signals; of those that a model answers, also those that somebody else is said to answer are left out.
pub(crate) fn compile(
    config: &SignalsConfig,
    shelves: &[Arc<Shelf>],
    asked: &[AskedSignal],
    errors: &mut Vec<SignalError>,
) -> Vec<Signal> {
    let mut all = Vec::new();
    compile_read(config, &mut |kind, collection, index, name, judge| match judge {
        Ok(judge) => all.push(Signal {
            kind,
            name: name.to_owned(),
            judge,
            need: Need::Text,
            print: Print::default(),
        }),
        Err(message) => errors.push(learned::wrong(collection, index, message)),
    });
    learned::compile(config, shelves, &mut |kind, collection, index, name, learned| {
        let elsewhere = |signal: &AskedSignal| signal.kind == kind && signal.name == name;
        match learned {
            _ if asked.iter().any(elsewhere) => {}
            Ok(learned) => all.push(Signal {
                kind,
                name: name.to_owned(),
                need: learned.need().clone(),
                judge: Judge::Learned(learned),
                print: Print::default(),
            }),
            Err(message) => errors.push(learned::wrong(collection, index, message)),
        }
    });
    all.extend(asked.iter().map(Signal::asked));
    print::of(config, &mut all);
    all.iter_mut().for_each(Signal::print_beside);
    all
}

/// Adds a signal, or what is wrong with it: its type, its collection, its number, its name.
type Add<'a> = dyn FnMut(&'static str, &'static str, usize, &str, Result<Judge, String>) + 'a;

/// Signals that only need the request.
fn compile_read(config: &SignalsConfig, add: &mut Add<'_>) {
    macro_rules! collections {
        ($($kind:literal $collection:literal $field:ident $compile:expr => $judge:ident;)*) => {
            $(for (index, config) in config.$field.iter().enumerate() {
                add($kind, $collection, index, &config.name, $compile(config).map(Judge::$judge));
            })*
        };
    }
    collections! {
        "keyword" "keywords" keywords keyword::Keyword::compile => Keyword;
        "context" "context" context |config| Ok(context::Context::new(config)) => Context;
        "structure" "structure" structure structure::Structure::compile => Structure;
        "conversation" "conversation" conversation conversation::Conversation::compile => Conversation;
        "metadata" "metadata" metadata |config| Ok(metadata::Metadata::new(config)) => Metadata;
        "event" "events" events event::Event::compile => Event;
        "language" "language" language |config| Ok(language::Language::new(config)) => Language;
        "input_modality" "input_modality" input_modality input::Input::compile => Input;
    }
    for (index, name, config) in roles(&config.role_bindings) {
        let judge = authz::Authz::compile(&config).map(Judge::Authz);
        add("authz", "role_bindings", index, &name, judge);
    }
}

/// Bindings by their roles, which rules refer to: who is bound to a role in several is bound once.
fn roles(bindings: &[AuthzConfig]) -> Vec<(usize, String, AuthzConfig)> {
    let mut roles: Vec<(usize, String, AuthzConfig)> = Vec::new();
    for (index, binding) in bindings.iter().enumerate() {
        let name = binding.signal();
        match roles.iter_mut().find(|(_, known, _)| known == name) {
            Some((.., role)) => role.subjects.extend(binding.subjects.iter().cloned()),
            None => roles.push((index, name.to_owned(), binding.clone())),
        }
    }
    roles
}
