//! Money: integer nano-dollars, never floats.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Neg, Sub};

use serde::{Deserialize, Serialize};

/// An amount of US dollars in billionths. Sums saturate: nine billion dollars is more than any budget.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Money(i64);

/// A text that is no amount of dollars.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not an amount of dollars: write it like 12 or 0.25, with at most nine digits after the point"
)]
pub struct MoneyError(pub String);

impl Money {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// More than anything costs.
    pub const MAX: Self = Self(i64::MAX);

    /// An amount in billionths of a dollar.
    #[must_use]
    pub const fn from_nanodollars(nanodollars: i64) -> Self {
        Self(nanodollars)
    }

    /// The amount in billionths of a dollar.
    #[must_use]
    pub const fn nanodollars(self) -> i64 {
        self.0
    }

    /// Reads decimal text such as `0.025`, exactly.
    ///
    /// # Errors
    /// When the text is not a decimal number, has more than nine digits after the point, or is too large.
    pub fn parse(text: &str) -> Result<Self, MoneyError> {
        let wrong = || MoneyError(text.to_owned());
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !digits(whole) || !digits(fraction) || fraction.trim_end_matches('0').len() > 9
        {
            return Err(wrong());
        }
        let whole: i64 = whole.parse().map_err(|_| wrong())?;
        let padded = format!("{:0<9}", fraction.trim_end_matches('0'));
        let fraction: i64 = padded.parse().map_err(|_| wrong())?;
        whole
            .checked_mul(1_000_000_000)
            .and_then(|whole| whole.checked_add(fraction))
            .map(Self)
            .ok_or_else(wrong)
    }

    /// Exact decimal dollars, such as `0.000123`.
    #[must_use]
    pub fn usd_decimal(self) -> String {
        let sign = if self.0 < 0 { "-" } else { "" };
        let all = self.0.unsigned_abs();
        let text = format!("{sign}{}.{:09}", all / 1_000_000_000, all % 1_000_000_000);
        let trimmed = text.trim_end_matches('0').trim_end_matches('.');
        trimmed.to_owned()
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "${}", self.usd_decimal())
    }
}

impl Add for Money {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl AddAssign for Money {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sub for Money {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Neg for Money {
    type Output = Self;
    fn neg(self) -> Self {
        Self(self.0.saturating_neg())
    }
}

impl Sum for Money {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Add::add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_amount_agree() {
        for (text, nano, shown) in [
            ("0.025", 25_000_000, "0.025"),
            ("2.00", 2_000_000_000, "2"),
            ("0.000000001", 1, "0.000000001"),
            ("12", 12_000_000_000, "12"),
            ("0", 0, "0"),
        ] {
            assert_eq!(Money::parse(text), Ok(Money(nano)));
            assert_eq!(Money(nano).usd_decimal(), shown);
        }
        for wrong in ["", ".5", "1e3", "-1", "0.0000000001", "99999999999", "1.2.3"] {
            assert!(Money::parse(wrong).is_err(), "{wrong}");
        }
    }
}
