//! Units of one's own: how many a request is, by an expression over what it uses.
//!
//! Before a request is sent, only the most of each kind is known. What is set aside is the most that the expression comes
//! to where each kind that it names is nothing or all there may be: for one that is linear in each of them nothing in
//! between is more. What it comes to in the end is charged whatever it is.

use std::ops::Add;

use pointsman_catalog::Money;
use serde_json::Value;

use crate::account::amount;
use crate::expression::Expression;
use crate::reservation::{Actual, Estimate};
use crate::wanted::Tokens;

/// What expressions may name.
const KNOWN: [&str; 8] = [
    "input_tokens",
    "cached_input_tokens",
    "cache_creation_input_tokens",
    "output_tokens",
    "reasoning_tokens",
    "total_tokens",
    "cost_nanodollars",
    "model",
];
/// Of these, those that differ by themselves: all but the sum and the model.
const KINDS: [usize; 6] = [0, 1, 2, 3, 4, 6];
const TOTAL: usize = 5;
const MODEL: usize = 7;

/// Of the tokens of a request: those that may count differently.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Details {
    /// Of the prompt, read from the provider's cache.
    pub cached: u64,
    /// Of the prompt, written to the provider's cache.
    pub cache_creation: u64,
    /// Of the answer, reasoning.
    pub reasoning: u64,
}

impl Add for Details {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            cached: self.cached.saturating_add(other.cached),
            cache_creation: self.cache_creation.saturating_add(other.cache_creation),
            reasoning: self.reasoning.saturating_add(other.reasoning),
        }
    }
}

/// What a request used.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Used {
    pub(crate) actual: Actual,
    pub(crate) details: Details,
}

/// An expression that says how many units a request is.
#[derive(Debug, Clone)]
pub(crate) struct Unit {
    expression: Expression,
    /// What of [`KNOWN`] it names.
    names: [bool; KNOWN.len()],
}

/// An amount of each kind: input, cached, written, output, reasoning, cost.
type Kinds = [u64; KINDS.len()];

impl Unit {
    /// Reads an expression, and tries it.
    ///
    /// # Errors
    /// Why it is none, or what it comes to that is no number of units.
    pub(crate) fn new(cel: &str) -> Result<Self, String> {
        let expression = Expression::new(cel, &KNOWN)?;
        if expression.walks() > 0 {
            return Err("walks through lists, and there are none".to_owned());
        }
        // It is evaluated while nobody else of the holder may, and patterns are read anew each time.
        if expression.calls("matches") {
            return Err(
                "may not call matches; compare names, or use startsWith, endsWith and contains".to_owned(),
            );
        }
        let unit = Self {
            names: KNOWN.map(|name| expression.names(name)),
            expression,
        };
        for kinds in [[1, 0, 0, 1, 0, 1], [1_000, 100, 100, 500, 250, 1_000_000]] {
            if unit.evaluate(kinds, Some("gpt-5")).is_none() {
                let at = KINDS.map(|at| KNOWN[at]).into_iter().zip(kinds);
                let at: Vec<String> = at.map(|(name, number)| format!("{name} is {number}")).collect();
                return Err(format!(
                    "does not come to a number that is 0 or more where {}",
                    at.join(", ")
                ));
            }
        }
        Ok(unit)
    }

    /// Whether it matters for which model something is asked.
    pub(crate) fn names_model(&self) -> bool {
        self.names[MODEL]
    }

    /// The most that what is estimated may come to; nothing where that cannot be told. What uses nothing is nothing.
    pub(crate) fn bound(&self, estimate: Estimate, model: Option<&str>) -> Option<i64> {
        if estimate == Estimate::default() {
            return Some(0);
        }
        let Tokens { input, output } = estimate.tokens;
        let cost = estimate.cost.max(Money::ZERO).nanodollars().unsigned_abs();
        let most = [input, input, input, output, output, cost];
        // Kinds that are not named are the same wherever they are.
        let is_summed =
            |kind: usize| self.names[TOTAL] && matches!(KNOWN[kind], "input_tokens" | "output_tokens");
        let varies = KINDS.map(|kind| self.names[kind] || is_summed(kind));
        let mut bound = None;
        for corner in 0..1_u32 << KINDS.len() {
            let is_all = |at: usize| corner & (1 << at) != 0;
            if (0..KINDS.len()).any(|at| is_all(at) && !(varies[at] && most[at] > 0)) {
                continue;
            }
            let kinds = std::array::from_fn(|at| if is_all(at) { most[at] } else { 0 });
            bound = bound.max(self.evaluate(kinds, model));
        }
        bound
    }

    /// How many units a request was; where that cannot be told, or is less than nothing, the most that it may have been,
    /// and at least what was set aside.
    pub(crate) fn charged(&self, used: &Used, reserved: Estimate, model: Option<&str>) -> i64 {
        let Used { actual, details } = *used;
        if actual == Actual::default() {
            return 0;
        }
        let cost = actual.cost.max(Money::ZERO).nanodollars().unsigned_abs();
        let Tokens { input, output } = actual.tokens;
        let kinds = [
            input,
            details.cached,
            details.cache_creation,
            output,
            details.reasoning,
            cost,
        ];
        self.evaluate(kinds, model).unwrap_or_else(|| {
            let most = Estimate {
                tokens: actual.tokens,
                cost: actual.cost,
            };
            let bound = self.bound(most, model).max(self.bound(reserved, model));
            bound.unwrap_or_default()
        })
    }

    /// A whole number, rounded up, that is not less than nothing.
    fn evaluate(&self, kinds: Kinds, model: Option<&str>) -> Option<i64> {
        let [input, cached, created, output, reasoning, cost] = kinds.map(amount);
        let numbers = [
            input,
            cached,
            created,
            output,
            reasoning,
            input.saturating_add(output),
            cost,
        ];
        let mut values = numbers.map(Value::from).to_vec();
        if self.names_model() {
            values.push(Value::from(model.unwrap_or_default()));
        }
        let named = KNOWN.iter().zip(&values).zip(self.names);
        let variables: Vec<(&str, &Value)> = named
            .filter(|(_, is_named)| *is_named)
            .map(|((name, value), _)| (*name, value))
            .collect();
        match self.expression.evaluate(&variables)? {
            Value::Number(number) => whole(&number),
            _ => None,
        }
    }
}

fn whole(number: &serde_json::Number) -> Option<i64> {
    if let Some(number) = number.as_i64() {
        return (number >= 0).then_some(number);
    }
    if number.is_u64() {
        return Some(i64::MAX);
    }
    let number = number
        .as_f64()
        .filter(|number| number.is_finite() && *number >= 0.0)?;
    // Past the largest it saturates.
    Some(number.ceil() as i64)
}

/// Whether this can be the expression of a quota.
///
/// # Errors
/// Why not.
pub fn check_unit(cel: &str) -> Result<(), String> {
    Unit::new(cel).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn estimate(input: u64, output: u64) -> Estimate {
        Estimate {
            tokens: Tokens { input, output },
            cost: Money::from_nanodollars(7),
        }
    }

    fn used(input: u64, output: u64, cached: u64) -> Used {
        Used {
            actual: Actual {
                tokens: Tokens { input, output },
                cost: Money::from_nanodollars(5),
            },
            details: Details {
                cached,
                ..Details::default()
            },
        }
    }

    #[test]
    fn what_is_set_aside_is_the_most_that_it_may_come_to() {
        for (cel, bound, charged) in [
            ("input_tokens + output_tokens * 4", 10 + 4 * 20, 8 + 4 * 15),
            (
                "input_tokens - cached_input_tokens + output_tokens",
                30,
                8 - 6 + 15,
            ),
            ("total_tokens", 30, 23),
            ("1000 - output_tokens", 1_000, 985),
            ("cost_nanodollars * 2", 14, 10),
            ("1", 1, 1),
            ("double(output_tokens) * 0.25", 5, 4),
            (
                "model.startsWith('gpt') ? output_tokens * 3 : output_tokens",
                60,
                45,
            ),
            ("output_tokens > 10 ? 50 : 2", 50, 50),
        ] {
            let unit = Unit::new(cel).unwrap();
            assert_eq!(unit.bound(estimate(10, 20), Some("gpt-5")), Some(bound), "{cel}");
            let charge = unit.charged(&used(8, 15, 6), estimate(10, 20), Some("gpt-5"));
            assert_eq!(charge, charged, "{cel}");
            assert_eq!(unit.bound(Estimate::default(), None), Some(0), "{cel}");
            assert_eq!(unit.charged(&Used::default(), estimate(10, 20), None), 0, "{cel}");
        }
    }

    #[test]
    fn what_fails_or_is_less_than_nothing_is_as_much_as_was_set_aside() {
        for (cel, charged) in [
            (
                "output_tokens > 14 && output_tokens < 18 ? 0 - 1 : output_tokens",
                20,
            ),
            ("100 / (output_tokens - 15) + 50", 70),
        ] {
            let unit = Unit::new(cel).unwrap();
            assert_eq!(
                unit.charged(&used(8, 15, 0), estimate(10, 20), None),
                charged,
                "{cel}"
            );
        }
    }

    #[test]
    fn what_is_no_number_of_units_is_refused() {
        for (cel, says) in [
            ("input_tokens +", "<input>:1:"),
            ("tokens * 2", "knows no \"tokens\""),
            ("model", "does not come to a number"),
            ("0 - input_tokens", "does not come to a number"),
            ("input_tokens / cached_input_tokens", "does not come to a number"),
            ("[1, 2].map(one, one)[0]", "walks"),
            ("model.matches('gpt.*') ? 1 : 2", "matches"),
        ] {
            let why = Unit::new(cel).unwrap_err();
            assert!(why.contains(says), "{cel}: {why}");
        }
    }
}
