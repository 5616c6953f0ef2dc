//! What tokens cost.

use pointsman_wire::form::Usage;
use serde::{Deserialize, Deserializer};

use crate::money::{Money, MoneyError};

/// Money for a million tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rate(Money);

impl Rate {
    /// Reads dollars for a million tokens, exactly.
    ///
    /// # Errors
    /// When the text is not an amount of dollars.
    pub fn parse(text: &str) -> Result<Self, MoneyError> {
        Money::parse(text).map(Self)
    }

    /// Money for a million tokens.
    #[must_use]
    pub fn per_million(self) -> Money {
        self.0
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// Rates of a model. A rate that is absent is that of what it is a part of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Price {
    /// Prompt tokens.
    pub input: Rate,
    /// Generated tokens.
    pub output: Rate,
    /// Prompt tokens read from the provider's cache.
    pub cache_read: Option<Rate>,
    /// Prompt tokens written to it.
    pub cache_write: Option<Rate>,
    /// Prompt tokens written to it for an hour.
    pub cache_write_1h: Option<Rate>,
    /// Audio in the prompt.
    pub audio_input: Option<Rate>,
    /// Audio in the answer.
    pub audio_output: Option<Rate>,
}

impl Price {
    /// What `usage` costs: exact, rounded once, half up, to a billionth of a dollar.
    #[must_use]
    pub fn cost(&self, usage: &Usage) -> Money {
        let audio_input = usage.audio_input.min(usage.uncached_input());
        let audio_output = usage.audio_output.min(usage.output);
        let cache_write = self.cache_write.unwrap_or(self.input);
        let kinds = [
            (usage.uncached_input() - audio_input, self.input),
            (audio_input, self.audio_input.unwrap_or(self.input)),
            (usage.cache_read, self.cache_read.unwrap_or(self.input)),
            (usage.cache_write, cache_write),
            (usage.cache_write_1h, self.cache_write_1h.unwrap_or(cache_write)),
            (usage.output - audio_output, self.output),
            (audio_output, self.audio_output.unwrap_or(self.output)),
        ];
        let total: i128 = kinds
            .iter()
            .map(|(tokens, rate)| i128::from(*tokens) * i128::from(rate.per_million().nanodollars()))
            .sum();
        let rounded = (total + 500_000) / 1_000_000;
        Money::from_nanodollars(i64::try_from(rounded).unwrap_or(i64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn price() -> Price {
        serde_json::from_str(
            r#"{"input":"0.25","output":"2.00","cache_read":"0.025","cache_write":"0.3125","cache_write_1h":"0.5","audio_input":"10"}"#,
        )
        .unwrap()
    }

    #[test]
    fn each_token_is_charged_once() {
        let usage = |change: fn(&mut Usage)| {
            let mut usage = Usage::default();
            change(&mut usage);
            price().cost(&usage).nanodollars()
        };
        assert_eq!(usage(|usage| usage.input = 1_000), 250_000);
        assert_eq!(usage(|usage| usage.output = 10), 20_000);
        assert_eq!(
            usage(|usage| (usage.input, usage.cache_read) = (1_000, 900)),
            25_000 + 22_500
        );
        assert_eq!(
            usage(|usage| (usage.input, usage.cache_write) = (100, 100)),
            31_250
        );
        assert_eq!(
            usage(|usage| (usage.input, usage.cache_write_1h) = (100, 100)),
            50_000
        );
        assert_eq!(
            usage(|usage| (usage.input, usage.audio_input) = (100, 40)),
            15_000 + 400_000
        );
        assert_eq!(
            usage(|usage| (usage.output, usage.reasoning) = (100, 80)),
            200_000
        );
    }

    #[test]
    fn a_cost_is_rounded_once_and_half_up() {
        // 37.5 nano-dollars a token.
        let price: Price = serde_json::from_str(r#"{"input":"0.0375"}"#).unwrap();
        assert_eq!(
            price
                .cost(&Usage {
                    input: 1,
                    ..Usage::default()
                })
                .nanodollars(),
            38
        );
        assert_eq!(
            price
                .cost(&Usage {
                    input: 2,
                    ..Usage::default()
                })
                .nanodollars(),
            75
        );
        assert_eq!(
            price.cost(&Usage {
                input: u64::MAX,
                ..Usage::default()
            }),
            Money::MAX
        );
    }
}
