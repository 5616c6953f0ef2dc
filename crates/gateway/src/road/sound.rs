//! What sound costs: by tokens or seconds where the provider tells them, else by characters and by the head of the file.

use pointsman_catalog::{Price, RateKind};
use pointsman_wire::form::{Units, Usage};
use pointsman_wire::form_data::Form;
use pointsman_wire::metered;
use pointsman_wire::tokens;

use super::rates;

/// Bytes of a second of sound as it is usually packed, where its head does not say how long it is.
const BYTES_PER_SECOND: u64 = 8_000;
/// Characters that are spoken in a second, about.
const CHARACTERS_PER_SECOND: u64 = 15;
/// Tokens of a second of sound that is heard, and of one that is spoken: about what OpenAI's models take.
const HEARD_PER_SECOND: u64 = 10;
const SPOKEN_PER_SECOND: u64 = 21;

/// Milliseconds of a sound, and whether its head says so exactly.
fn length(sound: &[u8]) -> (u64, bool) {
    let guess = (sound.len() as u64 * 1000 / BYTES_PER_SECOND, false);
    metered::milliseconds(sound).unwrap_or(guess)
}

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
        self.spoken(self.characters.div_ceil(CHARACTERS_PER_SECOND) * 1000, true)
    }

    /// Sound of so many milliseconds; in tokens, too, where those are paid for.
    fn spoken(&self, milliseconds: u64, in_tokens: bool) -> Usage {
        let tokens = if in_tokens {
            (milliseconds * SPOKEN_PER_SECOND).div_ceil(1000)
        } else {
            0
        };
        Usage {
            input: self.tokens,
            output: tokens,
            audio_output: tokens,
            units: Units {
                requests: 1,
                characters_in: self.characters,
                milliseconds_out: milliseconds,
                ..Units::default()
            },
            ..Usage::default()
        }
    }

    /// What the sound that came used, given what is paid for; and whether that had to be guessed.
    pub fn used(&self, sound: &[u8], price: Option<&Price>) -> (Usage, bool) {
        let (milliseconds, exact) = length(sound);
        let timed = rates::has(price, &[RateKind::PerSecondOutput]);
        let in_tokens = rates::has_tokens(price);
        let guessed = in_tokens || (timed && !exact);
        (self.spoken(milliseconds, in_tokens && !timed), guessed)
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
        let (milliseconds, exact) = length(&form.files("file").next().unwrap_or_default());
        Self { milliseconds, exact }
    }

    /// What it may use.
    pub fn estimate(&self) -> Usage {
        let tokens = self.milliseconds.div_ceil(1000) * HEARD_PER_SECOND;
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

    /// What it used, given what the provider told and what is paid for; and whether that had to be guessed.
    pub fn used(&self, told: Option<Usage>, price: Option<&Price>) -> (Usage, bool) {
        let timed = rates::has(price, &[RateKind::PerSecondInput]);
        let in_tokens = rates::has_tokens(price);
        match told {
            Some(mut usage) => {
                usage.units.requests = 1;
                (usage, false)
            }
            None if in_tokens && !timed => (self.estimate(), true),
            None => {
                let usage = Usage {
                    units: self.units(),
                    ..Usage::default()
                };
                (usage, !self.exact || in_tokens)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use pointsman_catalog::{Catalog, ServiceTier};

    use super::*;

    fn price(provider: &str, model: &str) -> Option<Price> {
        let model = Catalog::embedded().model(provider, model)?.price.clone();
        assert!(model.is_some());
        model
    }

    #[test]
    fn speech_is_never_free_where_the_provider_tells_nothing() {
        let text = Text::new(&"x".repeat(30), "");
        let sound = vec![0; 16_000];
        for (provider, model, cost) in [
            ("openai", "tts-1", 30 * 15_000),
            // By the second, beside the text.
            (
                "openai",
                "gpt-4o-mini-tts",
                2 * 250_000 + text.tokens as i64 * 600,
            ),
        ] {
            let price = price(provider, model);
            let (usage, _) = text.used(&sound, price.as_ref());
            let charged = price.unwrap().cost(&usage, ServiceTier::Standard);
            assert_eq!(charged.nanodollars(), cost, "{model}");
        }
    }

    #[test]
    fn what_is_heard_is_guessed_in_the_unit_that_is_paid_for() {
        let file = [
            &b"--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n"[..],
            &[0; 80_000],
            b"\r\n--b--",
        ]
        .concat();
        let form = Form::read("multipart/form-data; boundary=b", &Bytes::from(file)).unwrap();
        let heard = Heard::new(&form);
        // Ten seconds.
        let (usage, estimated) = heard.used(None, price("azure-openai", "gpt-4o-transcribe").as_ref());
        assert_eq!((usage.audio_input, usage.output, estimated), (100, 100, true));
        let (usage, estimated) = heard.used(None, price("openai", "whisper-1").as_ref());
        assert_eq!(
            (usage.total(), usage.units.milliseconds_in, estimated),
            (0, 10_000, true)
        );
    }
}
