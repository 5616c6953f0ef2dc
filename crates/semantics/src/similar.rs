//! Is a new prompt the same question as an old one? Nearness of vectors finds who could be; this says who is.
//!
//! Stages: lists and rules over the words of both texts find what surely makes
//! another question (numbers, negation, opposites, days, places, people, order, code, quotes, language); and a small trained
//! judge for what the rules let through, whose score is a probability. Where the encoder has read both texts together, its
//! answer is joined to the judge's. Vectors are not asked again: next to the words, their cosine told nothing more.
//!
//! Time is linear in the texts, and bounded: prompts of more than [`LONGEST`] words are another question unless they are equal
//! byte for byte, which is not asked here.

mod align;
mod compare;
mod judge;
mod lexicon;
mod prompt;
mod relation;
mod text;

pub use compare::{Compared, Conflict, FEATURES};
pub use judge::{Judge, probability};
pub use prompt::{LONGEST, Prompt};

pub(crate) use lexicon::{Kind, Lexicon, role};
pub(crate) use prompt::stem;
pub(crate) use text::fold;

use crate::error::LoadError;

/// How sure one wants to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Point {
    /// At most about one in two hundred near misses passes.
    Precise,
    /// At most about one in a hundred near misses passes.
    Balanced,
}

impl Point {
    /// Its name, as in the file of weights.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Precise => "precise",
            Self::Balanced => "balanced",
        }
    }
}

/// Why two prompts are not taken for one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Verdict {
    /// They are the same question, with this probability.
    Same(f32),
    /// A rule tells them apart.
    Conflict(Conflict),
    /// The probability is too low.
    Unsure(f32),
}

impl Verdict {
    /// Whether an answer to one answers the other.
    #[must_use]
    pub const fn is_same(self) -> bool {
        matches!(self, Self::Same(_))
    }
}

/// Lists and judge, ready to compare.
#[derive(Debug)]
pub struct Verifier {
    lexicon: Lexicon,
    judge: Judge,
}

impl Verifier {
    /// With the lists and the judge that ship.
    ///
    /// # Errors
    ///
    /// If what ships is damaged.
    pub fn shipped() -> Result<Self, LoadError> {
        Self::with(Judge::read(
            "judge.weights",
            include_bytes!("similar/data/judge.weights"),
        )?)
    }

    /// With another judge.
    ///
    /// # Errors
    ///
    /// If the lists that ship are damaged.
    pub fn with(judge: Judge) -> Result<Self, LoadError> {
        Ok(Self {
            lexicon: Lexicon::shipped()?,
            judge,
        })
    }

    /// The judge.
    #[must_use]
    pub const fn judge(&self) -> &Judge {
        &self.judge
    }

    /// Reads a prompt; worth keeping by whoever compares it again.
    #[must_use]
    pub fn read(&self, text: &str) -> Prompt {
        Prompt::read(&self.lexicon, text)
    }

    /// What rules and lists find.
    #[must_use]
    pub fn compare(&self, a: &Prompt, b: &Prompt) -> Compared {
        compare::compare(&self.lexicon, a, b)
    }

    /// Whether they are the same question.
    ///
    /// `encoder` is the logarithm of the odds that the encoder gives when it reads both together
    /// ([`crate::engine::Engine::read_pairs`]); what has a conflict need not be asked about.
    #[must_use]
    pub fn verify(&self, a: &Prompt, b: &Prompt, encoder: Option<f32>, point: Point) -> Verdict {
        let found = self.compare(a, b);
        if let Some(conflict) = found.conflict {
            return Verdict::Conflict(conflict);
        }
        let own = self.judge.score(&found.features);
        let joined = encoder.and_then(|encoder| self.judge.joined(own, encoder));
        let chance = probability(joined.unwrap_or(own));
        // A judge without this point takes nothing for the same.
        let least = self
            .judge
            .threshold(point.name(), joined.is_some())
            .unwrap_or(f32::INFINITY);
        if chance >= least {
            Verdict::Same(chance)
        } else {
            Verdict::Unsure(chance)
        }
    }
}
