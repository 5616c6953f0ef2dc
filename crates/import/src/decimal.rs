//! Exact decimal numbers: a price that is written `1.5e-07` a token is `0.15` a million, to the last digit.

/// Digits and where the point is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Decimal {
    digits: u128,
    /// The number is `digits` times ten to the power of this.
    exponent: i32,
}

impl Decimal {
    /// Reads a number that is not negative, such as `12`, `0.25` or `1.5e-07`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (mantissa, power) = match text.split_once(['e', 'E']) {
            Some((mantissa, power)) => (mantissa, power.parse::<i32>().ok()?),
            None => (text, 0),
        };
        let mantissa = mantissa.strip_prefix('+').unwrap_or(mantissa);
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = [whole, fraction].concat();
        if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) || power.abs() > 100 {
            return None;
        }
        let digits = digits.trim_start_matches('0');
        let mut number = Self {
            digits: if digits.is_empty() {
                0
            } else {
                digits.parse().ok()?
            },
            exponent: power.checked_sub(i32::try_from(fraction.len()).ok()?)?,
        };
        while number.digits != 0 && number.digits.is_multiple_of(10) {
            number.digits /= 10;
            number.exponent += 1;
        }
        Some(number)
    }

    /// The number with its point `places` to the right.
    pub(crate) fn shifted(self, places: i32) -> Self {
        Self {
            exponent: self.exponent + places,
            ..self
        }
    }

    /// The number, if it is whole and not too large.
    pub(crate) fn whole(self) -> Option<u64> {
        if self.digits == 0 {
            return Some(0);
        }
        let power = u32::try_from(self.exponent).ok()?;
        let number = self.digits.checked_mul(10u128.checked_pow(power)?)?;
        u64::try_from(number).ok()
    }

    /// How many digits stand behind the point.
    pub(crate) fn places(self) -> i32 {
        (-self.exponent).max(0)
    }

    /// The number in full, without an exponent.
    pub(crate) fn text(self) -> String {
        if self.digits == 0 {
            return "0".to_owned();
        }
        let digits = self.digits.to_string();
        if self.exponent >= 0 {
            return digits + &"0".repeat(usize::try_from(self.exponent).unwrap_or(0));
        }
        let places = usize::try_from(-self.exponent).unwrap_or(0);
        let padded = format!("{digits:0>width$}", width = places + 1);
        let (whole, fraction) = padded.split_at(padded.len() - places);
        format!("{whole}.{fraction}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_exact() {
        for (text, million) in [
            ("1.5e-07", "0.15"),
            ("0.000001", "1"),
            ("0.00000015", "0.15"),
            ("3e-6", "3"),
            ("2.5E-05", "25"),
            ("0", "0"),
            ("0.0", "0"),
            ("1", "1000000"),
            ("1.00000000000001e-06", "1.00000000000001"),
        ] {
            assert_eq!(Decimal::parse(text).unwrap().shifted(6).text(), million, "{text}");
        }
        for wrong in ["", "-1", "1,5", "x", "1e", "1e999", ".", "0x10"] {
            assert_eq!(Decimal::parse(wrong), None, "{wrong}");
        }
        assert_eq!(Decimal::parse("600.0").unwrap().whole(), Some(600));
        assert_eq!(Decimal::parse("0.5").unwrap().shifted(3).whole(), Some(500));
        assert_eq!(Decimal::parse("0.5").unwrap().whole(), None);
    }
}
