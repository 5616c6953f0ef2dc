//! Money for one unit of something, and for what there are rates.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer};

use crate::money::{Money, MoneyError};
use crate::named::named;

/// Money for a million units, in whole nano-dollars: a unit is priced to the millionth of a nano-dollar.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rate(Money);

impl Rate {
    /// Reads dollars for a million units, exactly.
    ///
    /// # Errors
    /// When the text is not an amount of dollars, or has more than nine digits after the point.
    pub fn parse(text: &str) -> Result<Self, MoneyError> {
        Money::parse(text).map(Self)
    }

    /// Reads dollars for one unit, exactly.
    ///
    /// # Errors
    /// When the text is not an amount of dollars, or has more than fifteen digits after the point.
    pub fn parse_each(text: &str) -> Result<Self, MoneyError> {
        let wrong = || MoneyError(text.to_owned());
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        // The point, six places to the right.
        let mut moved = format!(
            "{whole}{:0<6}",
            fraction.get(..fraction.len().min(6)).ok_or_else(wrong)?
        );
        if let Some(rest) = fraction.get(6..) {
            moved.push('.');
            moved.push_str(rest);
        }
        if whole.is_empty() {
            return Err(wrong());
        }
        Money::parse(&moved).map(Self).map_err(|_| wrong())
    }

    /// Money for a million units.
    #[must_use]
    pub const fn per_million(self) -> Money {
        self.0
    }

    /// So many percent of it, rounded up to a nano-dollar for a million.
    #[must_use]
    pub fn percent(self, percent: u8) -> Self {
        let part = i128::from(self.0.nanodollars()) * i128::from(percent);
        let rounded = (part + 99).div_euclid(100);
        Self(Money::from_nanodollars(
            i64::try_from(rounded).unwrap_or(i64::MAX),
        ))
    }

    /// Dollars for one unit, as exact decimal text.
    #[must_use]
    pub fn each_decimal(self) -> String {
        let all = self.0.nanodollars();
        let text = format!(
            "{}.{:015}",
            all / 1_000_000_000_000_000,
            all % 1_000_000_000_000_000
        );
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    }
}

named! {
    /// What a rate is for. Those called `per_…` are dollars for one; the others, tokens, are dollars for a million.
    RateKind: "rate" {
        /// Prompt tokens.
        Input = "input",
        /// Generated tokens.
        Output = "output",
        /// Generated tokens of reasoning.
        Reasoning = "reasoning",
        /// Prompt tokens read from the provider's cache.
        CacheRead = "cache_read",
        /// Of those, audio.
        CacheReadAudio = "cache_read_audio",
        /// Of those, images.
        CacheReadImage = "cache_read_image",
        /// Prompt tokens written to the cache for its usual time.
        CacheWrite = "cache_write",
        /// Prompt tokens written to it for an hour.
        CacheWrite1h = "cache_write_1h",
        /// Audio in the prompt.
        AudioInput = "audio_input",
        /// Audio in the answer.
        AudioOutput = "audio_output",
        /// Images in the prompt.
        ImageInput = "image_input",
        /// Images in the answer.
        ImageOutput = "image_output",
        /// Films in the prompt.
        VideoInput = "video_input",
        /// A request.
        PerRequest = "per_request",
        /// A query of a reranker or search engine.
        PerQuery = "per_query",
        /// A page that was read.
        PerPage = "per_page",
        /// An image that was given.
        PerImageInput = "per_image_input",
        /// An image that was made.
        PerImageOutput = "per_image_output",
        /// A pixel of the images that were given.
        PerPixelInput = "per_pixel_input",
        /// A pixel of the images that were made.
        PerPixelOutput = "per_pixel_output",
        /// A second of sound or film that was given.
        PerSecondInput = "per_second_input",
        /// A second of sound or film that was made.
        PerSecondOutput = "per_second_output",
        /// A character that was given.
        PerCharacterInput = "per_character_input",
        /// A character that was made.
        PerCharacterOutput = "per_character_output",
        /// A search of the web with an ordinary amount of context.
        PerSearch = "per_search",
        /// The same with little context.
        PerSearchLow = "per_search_low",
        /// The same with much.
        PerSearchHigh = "per_search_high",
    }
}

impl RateKind {
    /// Whether the rate is written as dollars for one, not for a million.
    #[must_use]
    pub const fn is_each(self) -> bool {
        self as u8 >= Self::PerRequest as u8
    }

    /// What this is a part of: its rate stands in where there is none of its own.
    #[must_use]
    pub const fn whole(self) -> Option<Self> {
        match self {
            Self::CacheRead | Self::CacheWrite | Self::AudioInput | Self::ImageInput | Self::VideoInput => {
                Some(Self::Input)
            }
            Self::CacheReadAudio | Self::CacheReadImage => Some(Self::CacheRead),
            Self::CacheWrite1h => Some(Self::CacheWrite),
            Self::Reasoning | Self::AudioOutput | Self::ImageOutput => Some(Self::Output),
            Self::PerSearchLow | Self::PerSearchHigh => Some(Self::PerSearch),
            _ => None,
        }
    }
}

/// Reads a rate, from a number or from a text. Numbers are taken at their shortest decimal form, so that what a
/// person wrote is what is charged.
pub(crate) struct RateSeed {
    pub(crate) kind: RateKind,
}

impl RateSeed {
    fn read<E: de::Error>(&self, text: &str) -> Result<Rate, E> {
        let read = if self.kind.is_each() {
            Rate::parse_each(text)
        } else {
            Rate::parse(text)
        };
        read.map_err(|error| E::custom(format!("{}: {error}", self.kind)))
    }
}

impl<'de> de::DeserializeSeed<'de> for RateSeed {
    type Value = Rate;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Rate, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Visitor<'_> for RateSeed {
    type Value = Rate;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an amount of dollars")
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Rate, E> {
        self.read(&number.to_string())
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Rate, E> {
        self.read(&number.to_string())
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Rate, E> {
        self.read(&number.to_string())
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Rate, E> {
        self.read(text)
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        de::DeserializeSeed::deserialize(
            RateSeed {
                kind: RateKind::Input,
            },
            deserializer,
        )
    }
}

impl JsonSchema for Rate {
    fn schema_name() -> Cow<'static, str> {
        "CatalogRate".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Dollars: a number, or a text where more digits are needed than a number holds.",
            "type": ["number", "string"],
            "minimum": 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dollars_for_one_are_exact_to_the_fifteenth_digit() {
        for (text, nano) in [
            ("0.04", 40_000_000_000_000),
            ("0.000000159263611", 159_263_611),
            ("0.000015", 15_000_000_000),
            ("2", 2_000_000_000_000_000),
            ("0.000000000000001", 1),
        ] {
            let rate = Rate::parse_each(text).unwrap();
            assert_eq!(rate.per_million().nanodollars(), nano, "{text}");
            assert_eq!(rate.each_decimal(), text);
        }
        for wrong in [
            "",
            "-1",
            "1e3",
            ".5",
            "0.0000000000000001",
            "0.x",
            "0.12345x",
            "99999",
        ] {
            assert!(Rate::parse_each(wrong).is_err(), "{wrong}");
        }
    }
}
