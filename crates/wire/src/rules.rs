//! What becomes of what a format cannot express: the rules by which the writers act, and from which the table in the
//! documentation is made. Nothing is left out in silence: every loss names its rule.

use std::borrow::Cow;
use std::fmt;

use crate::format::{EncodeError, Format, Loss};
use crate::{anthropic, bedrock, cohere, gemini, hosted, openai, responses, seal};

/// What becomes of a thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Written as the nearest thing the format has.
    Nearest,
    /// Left out; the answer may differ a little.
    LeftOut,
    /// The request is refused: without it, it would mean something else.
    Refused,
}

/// One thing that a format cannot express exactly.
#[derive(Debug, PartialEq, Eq)]
pub struct Rule {
    /// The field, as clients of other formats know it (OpenAI's name where it has one).
    pub field: &'static str,
    /// What becomes of it.
    pub fate: Fate,
    /// How, or why.
    pub note: &'static str,
}

impl Rule {
    /// `field` is written as the nearest thing.
    #[must_use]
    pub const fn nearest(field: &'static str, note: &'static str) -> Self {
        Self {
            field,
            fate: Fate::Nearest,
            note,
        }
    }

    /// `field` is left out.
    #[must_use]
    pub const fn left_out(field: &'static str, note: &'static str) -> Self {
        Self {
            field,
            fate: Fate::LeftOut,
            note,
        }
    }

    /// `field` is refused.
    #[must_use]
    pub const fn refused(field: &'static str, note: &'static str) -> Self {
        Self {
            field,
            fate: Fate::Refused,
            note,
        }
    }

    /// The refusal, at the rule's own field.
    #[must_use]
    pub fn refuse(&'static self) -> EncodeError {
        EncodeError::at(self.field, self.note)
    }

    /// The refusal, at a place in the request such as `messages[2].content[0]`.
    #[must_use]
    pub fn refuse_at(&'static self, place: impl fmt::Display) -> EncodeError {
        EncodeError::at(place.to_string(), self.note)
    }
}

/// A field that only the client's format knows.
pub static UNKNOWN: Rule = Rule::left_out(
    "fields that only the client's format knows",
    "has no counterpart in the target's format",
);

/// Losses while a request is written.
#[derive(Debug, Default)]
pub struct Losses(Vec<Loss>);

impl Losses {
    /// The rule was applied.
    pub fn by(&mut self, rule: &'static Rule) {
        self.add(Cow::Borrowed(rule.field), rule);
    }

    /// The rule was applied to the field of this name.
    pub fn at(&mut self, field: impl Into<String>, rule: &'static Rule) {
        self.add(Cow::Owned(field.into()), rule);
    }

    fn add(&mut self, field: Cow<'static, str>, rule: &'static Rule) {
        let loss = Loss {
            field,
            note: rule.note,
        };
        // One of a kind tells it all.
        if !self.0.contains(&loss) {
            self.0.push(loss);
        }
    }

    /// All of them.
    #[must_use]
    pub fn into_vec(self) -> Vec<Loss> {
        self.0
    }
}

/// The rules of every target, for requests that came in another format.
pub static EVERYWHERE: [&Rule; 6] = [
    &UNKNOWN,
    &seal::FOREIGN,
    &hosted::SEARCH,
    &hosted::HINT,
    &hosted::OFFLINE,
    &responses::NAMESPACE,
];

/// The rules of a target's format.
#[must_use]
pub fn of(target: Format) -> &'static [&'static Rule] {
    match target {
        Format::OpenAiChat => &openai::rules::ALL,
        Format::OpenAiCompletions => &[],
        Format::OpenAiResponses => &responses::rules::ALL,
        Format::AnthropicMessages => &anthropic::rules::ALL,
        Format::GeminiGenerate => &gemini::rules::ALL,
        Format::BedrockConverse => &bedrock::rules::ALL,
        Format::BedrockInvoke => &anthropic::rules::ALL,
        Format::CohereChat => &cohere::rules::ALL,
    }
}
