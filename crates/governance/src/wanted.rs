//! What a request wants of its holders, in the units in which they count.

use std::ops::Add;

use pointsman_catalog::Money;

use crate::config::Limits;
use crate::reservation::{Estimate, Standing};

/// Tokens of a request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tokens {
    /// Of the prompt.
    pub input: u64,
    /// Of the answer.
    pub output: u64,
}

impl Tokens {
    /// Of a prompt alone.
    #[must_use]
    pub fn prompt(input: u64) -> Self {
        Self { input, output: 0 }
    }

    /// Prompt and answer together.
    #[must_use]
    pub fn total(self) -> u64 {
        self.input.saturating_add(self.output)
    }
}

impl Add for Tokens {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            input: self.input.saturating_add(other.input),
            output: self.output.saturating_add(other.output),
        }
    }
}

/// Which tokens are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Both,
    Input,
    Output,
}

impl Side {
    pub(crate) const ALL: [Self; 3] = [Self::Both, Self::Input, Self::Output];

    /// How many there may be in any minute.
    pub(crate) fn limit(self, limits: &Limits) -> Option<u64> {
        match self {
            Self::Both => limits.tokens_per_minute,
            Self::Input => limits.input_tokens_per_minute,
            Self::Output => limits.output_tokens_per_minute,
        }
    }

    /// In words, and as the counters of several replicas call it.
    pub(crate) fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Both => ("tokens", "tokens"),
            Self::Input => ("input tokens", "input_tokens"),
            Self::Output => ("output tokens", "output_tokens"),
        }
    }
}

/// Tokens of each side, in the order of [`Side::ALL`].
pub(crate) type Sides = [u64; 3];

/// Tokens, of each side.
pub(crate) fn sides(tokens: Tokens) -> Sides {
    [tokens.total(), tokens.input, tokens.output]
}

/// What is asked of each holder.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted<'a> {
    /// Places among the requests at once.
    pub(crate) places: u64,
    pub(crate) requests: u64,
    pub(crate) tokens: Sides,
    pub(crate) cost: Money,
    /// What was estimated, and what is now.
    pub(crate) estimates: [Estimate; 2],
    /// The model that is asked for.
    pub(crate) model: Option<&'a str>,
}

impl<'a> Wanted<'a> {
    /// Nothing at all.
    pub(crate) const NOTHING: Self = Self {
        places: 0,
        requests: 0,
        tokens: [0; 3],
        cost: Money::ZERO,
        estimates: [Estimate::NOTHING; 2],
        model: None,
    };

    /// An estimate, of a request or of a part of one.
    pub(crate) fn new(estimate: Estimate, standing: Standing, model: Option<&'a str>) -> Self {
        Self {
            places: standing.places(),
            requests: standing.requests(),
            tokens: sides(estimate.tokens),
            cost: estimate.cost,
            estimates: [Estimate::NOTHING, estimate],
            model,
        }
    }

    /// What is wanted beside what is reserved.
    pub(crate) fn more(from: Estimate, to: Estimate, model: Option<&'a str>) -> Self {
        let (from_tokens, to_tokens) = (sides(from.tokens), sides(to.tokens));
        Self {
            places: 0,
            requests: 0,
            tokens: std::array::from_fn(|side| to_tokens[side].saturating_sub(from_tokens[side])),
            cost: (to.cost - from.cost).max(Money::ZERO),
            estimates: [from, to],
            model,
        }
    }
}
