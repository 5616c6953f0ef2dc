//! A recorded decision, taken again by another configuration: where it leads now, and why.
//!
//! What was recorded stands for what signals would say, where their configuration is the same; shapes and captured texts
//! are looked at anew; of anything else nothing is known. Rules are worked out in three values, so that an outcome is
//! told only where what is not known cannot change it.

mod why;

use serde::Serialize;

use crate::evaluation::{Evaluation, Settled, Want};
use crate::explain::{DecisionTrace, RuleTrace};
use crate::facts::{Facts, MessageFacts};
use crate::learning::Learner;
use crate::recorded::{Recorded, Said};
use crate::router::{Outcome, Router};
use crate::selection::{KnownModels, Selected};
use crate::signal::{Reading, Signal};

pub use why::why;

/// Where a recorded request leads.
#[derive(Debug, Clone, PartialEq)]
pub enum Route {
    /// This decision, and this model; no model where the decision answers itself.
    Decided {
        /// The decision.
        decision: String,
        /// The model.
        model: Option<Selected>,
    },
    /// This decision; which of its models, depends on what was not recorded.
    Among {
        /// The decision.
        decision: String,
        /// Its models.
        models: Vec<String>,
    },
    /// Nowhere.
    Nowhere,
    /// It depends on signals of which nothing is known.
    Unknown {
        /// These, as `type:name`.
        signals: Vec<String>,
    },
}

/// A recorded decision, taken again.
pub struct Replayed {
    /// Where it leads.
    pub route: Route,
    /// Every decision with its rules.
    pub decisions: Vec<DecisionTrace>,
}

/// Facts that a decision is taken again with, beside what was recorded.
#[derive(Debug, Clone, Copy)]
pub struct Again<'a> {
    /// What models cost.
    pub models: &'a dyn KnownModels,
    /// What was learned of them.
    pub learned: Option<&'a Learner>,
}

impl Router {
    /// Takes a recorded decision again: by the recipe that its model's name enters, or where there is none, this one.
    #[must_use]
    pub fn replay(&self, recorded: &Recorded, again: Again<'_>, traced: bool) -> Replayed {
        let router = self.entered(&recorded.entered).unwrap_or(self);
        let texts = texts(recorded);
        let shapes = recorded.shape.messages();
        let facts = Facts {
            user_text: texts.as_deref().map_or("", user_text),
            messages: texts.as_deref().unwrap_or(&shapes),
            estimated_tokens: recorded.shape.prompt_tokens,
            completion_tokens: recorded.shape.completion_tokens,
            tools_defined: recorded.shape.tools,
            caller: recorded.shape.caller(),
            models: Some(again.models),
            learned: again.learned,
            ..Facts::default()
        };
        let readings = router.recalled(recorded, &facts, texts.is_some());
        let evaluation = Evaluation::recalled(router, facts, readings);
        let decisions = match traced {
            true => evaluation.quietly(|| router.traces(&evaluation)),
            false => Vec::new(),
        };
        Replayed {
            route: evaluation.quietly(|| router.route(&evaluation, recorded, texts.is_some())),
            decisions,
        }
    }

    /// What every signal says, as far as that is known.
    fn recalled(&self, recorded: &Recorded, facts: &Facts<'_>, has_texts: bool) -> Vec<Option<Reading>> {
        let read = |signal: &Signal| {
            let shaped = matches!(
                signal.kind,
                "context" | "conversation" | "authz" | "input_modality"
            ) && !recorded.shape.cut;
            if shaped || (has_texts && signal.kind != "metadata") {
                let reading = signal.read(facts);
                if reading.is_some() {
                    return reading;
                }
            }
            let said = recorded.signals.get(&format!("{}:{}", signal.kind, signal.name));
            let said = said.and_then(|said| again(signal, *said));
            // Other words of those that were looked for then.
            said.or_else(|| signal.of_words(&|print| recorded.words.had(print)))
        };
        self.signals.iter().map(read).collect()
    }

    fn route(&self, evaluation: &Evaluation<'_, '_>, recorded: &Recorded, has_texts: bool) -> Route {
        let winner = match evaluation.settle(Want::Decision) {
            Settled::Open(mut signals, _) => {
                signals.sort_unstable();
                signals.dedup();
                let name = |index: usize| {
                    let signal = self.signals.get(index)?;
                    Some(format!("{}:{}", signal.kind, signal.name))
                };
                return Route::Unknown {
                    signals: signals.into_iter().filter_map(name).collect(),
                };
            }
            Settled::Winner(index) => self.decisions.get(index),
            Settled::Nobody => None,
        };
        if let Some(decision) = winner {
            let same = decision.name == recorded.decision && decision.print == recorded.selection;
            let chosen = |model: &String| {
                let mut all = decision.candidates.iter();
                all.find(|candidate| candidate.selected.model == *model)
            };
            // What the choice went by beside the request is gone; where nothing of it has changed, it stands.
            if let Some(candidate) = recorded.model.as_ref().filter(|_| same).and_then(chosen) {
                return Route::Decided {
                    decision: decision.name.clone(),
                    model: Some(candidate.selected.clone()),
                };
            }
            if decision.candidates.len() > 1 && decision.reads_more(has_texts) {
                let models = decision.candidates.iter();
                return Route::Among {
                    decision: decision.name.clone(),
                    models: models.map(|candidate| candidate.selected.model.clone()).collect(),
                };
            }
        }
        match self.outcome(evaluation, recorded.roll) {
            Some(Outcome::Matched(decided)) => Route::Decided {
                decision: decided.decision.to_owned(),
                model: decided.selected.cloned(),
            },
            Some(Outcome::NoMatch) | None => Route::Nowhere,
        }
    }
}

/// What a signal said, where it is the same, or judges the same number.
fn again(signal: &Signal, Said(matched, confidence, value, whole, loose): Said) -> Option<Reading> {
    let reading = Reading {
        matched,
        confidence,
        value,
    };
    match signal.print {
        print if print.whole == whole => Some(reading),
        print if print.loose == loose => signal.judged_again(reading),
        _ => None,
    }
}

/// Messages with their texts, where all of them were captured.
fn texts(recorded: &Recorded) -> Option<Vec<MessageFacts<'_>>> {
    let captured = recorded.captured.as_ref()?;
    let shapes = recorded.shape.messages();
    let whole = !captured.cut && !recorded.shape.cut && captured.messages.len() == shapes.len();
    let mut messages: Vec<MessageFacts<'_>> = Vec::new();
    for (shape, (_, text)) in shapes.into_iter().zip(&captured.messages) {
        messages.push(MessageFacts { text, ..shape });
    }
    whole.then_some(messages)
}

/// What the user said last.
fn user_text<'a>(messages: &[MessageFacts<'a>]) -> &'a str {
    let mut said = messages.iter().rev().filter(|message| message.role == "user");
    said.next().map_or("", |message| message.text)
}

/// A rule in one line, each part with whether it holds: `AND(✓ keyword:math, ? domain:law)`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Line(pub String);

impl Line {
    /// The line of a rule.
    #[must_use]
    pub fn of(rule: &RuleTrace) -> Self {
        let mark = match (rule.matched, rule.not_needed) {
            (_, true) => '?',
            (true, false) => '✓',
            (false, false) => '✗',
        };
        if rule.conditions.is_empty() {
            return Self(format!("{mark} {}", rule.rule));
        }
        let parts: Vec<String> = rule.conditions.iter().map(|part| Self::of(part).0).collect();
        Self(format!("{mark} {}({})", rule.rule, parts.join(", ")))
    }
}
