//! What sound costs: by tokens or seconds where the provider tells them, else by characters and by the head of the file.

use pointsman_catalog::RateKind;
use pointsman_wire::form::{Units, Usage};
use pointsman_wire::metered;
use pointsman_wire::multipart::Form;
use pointsman_wire::tokens;

use super::picture::is_by_token;
use crate::snapshot::Target;

/// Bytes of a second of sound as it is usually packed, where its head does not say how long it is.
const BYTES_PER_SECOND: u64 = 8_000;
/// Tokens of a second of sound, about.
const TOKENS_PER_SECOND: u64 = 10;

/// A text to be spoken.
#[derive(Debug)]
pub struct Text {
    characters: u64,
    tokens: u64,
}

impl Text {
    /// What is to be spoken, and how.
    pub fn new(input: &str, instructions: &str) -> Self {
        Self {
            characters: input.chars().count() as u64,
            tokens: tokens::estimate(input) + tokens::estimate(instructions),
        }
    }

    /// What it may use.
    pub fn estimate(&self) -> Usage {
        // Fifteen characters are spoken in a second.
        let seconds = self.characters.div_ceil(15);
        let mut usage = self.counted();
        usage.output = seconds * 2 * TOKENS_PER_SECOND;
        usage.audio_output = usage.output;
        usage.units.milliseconds_out = seconds * 1000;
        usage
    }

    fn counted(&self) -> Usage {
        Usage {
            input: self.tokens,
            units: Units {
                requests: 1,
                characters_in: self.characters,
                ..Units::default()
            },
            ..Usage::default()
        }
    }

    /// What the sound that came used, and whether that had to be guessed.
    pub fn used(&self, sound: &[u8], target: &Target) -> (Usage, bool) {
        let mut usage = self.counted();
        let length = metered::milliseconds(sound);
        usage.units.milliseconds_out =
            length.map_or(sound.len() as u64 * 1000 / BYTES_PER_SECOND, |(time, _)| time);
        let timed = lists(target, RateKind::PerSecondOutput);
        let exact = length.is_some_and(|(_, exact)| exact);
        (usage, is_by_token(target) || (timed && !exact))
    }
}

/// A sound to be heard.
#[derive(Debug)]
pub struct Heard {
    milliseconds: u64,
    exact: bool,
}

impl Heard {
    /// The file of a form.
    pub fn new(form: &Form) -> Self {
        let file = form.files("file").next().unwrap_or_default();
        let guess = || (file.len() as u64 * 1000 / BYTES_PER_SECOND, false);
        let (milliseconds, exact) = metered::milliseconds(&file).unwrap_or_else(guess);
        Self { milliseconds, exact }
    }

    /// What it may use.
    pub fn estimate(&self) -> Usage {
        let tokens = self.milliseconds.div_ceil(1000) * TOKENS_PER_SECOND;
        Usage {
            input: tokens,
            audio_input: tokens,
            output: tokens,
            units: self.units(),
            ..Usage::default()
        }
    }

    fn units(&self) -> Units {
        Units {
            requests: 1,
            milliseconds_in: self.milliseconds,
            ..Units::default()
        }
    }

    /// What it used, given what the provider told; and whether that had to be guessed.
    pub fn used(&self, told: Option<Usage>, target: &Target) -> (Usage, bool) {
        match told {
            Some(mut usage) => {
                usage.units.requests = 1;
                (usage, false)
            }
            None => {
                let usage = Usage {
                    units: self.units(),
                    ..Usage::default()
                };
                (usage, !self.exact || is_by_token(target))
            }
        }
    }
}

fn lists(target: &Target, kind: RateKind) -> bool {
    target
        .price
        .as_ref()
        .is_some_and(|price| price.listed(kind).is_some())
}
