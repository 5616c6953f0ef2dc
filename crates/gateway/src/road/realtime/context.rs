//! How large a conversation is, and what its next answer may cost at most.

use pointsman_catalog::{Catalog, Money, Price, RateKind, ServiceTier};
use pointsman_governance::Estimate;
use pointsman_wire::form::{Units, Usage};
use pointsman_wire::realtime::{Ceiling, Output, Said, Session, Spoken};

use crate::snapshot::Target;

/// Milliseconds of heard sound for a token.
const HEARD_MS_PER_TOKEN: u64 = 100;
/// Bytes of sound for a second, unless the session says otherwise (16 bits, 24,000 times a second).
const BYTES_PER_SECOND: u64 = 48_000;
/// Bytes of spoken sound for a token: twenty of them are a second.
const SPOKEN_BYTES_PER_TOKEN: u64 = BYTES_PER_SECOND / 20;

/// Tokens, by what they cost.
#[derive(Debug, Clone, Copy, Default)]
struct Size {
    text: u64,
    audio: u64,
}

/// A conversation, as far as it costs something. What it holds is what the last answer said it had read, and what was
/// added since: known, or counted here to the high side.
pub struct Context {
    price: Option<Price>,
    max_output: Option<u64>,
    window: Option<u64>,
    default_output: u64,
    held: Size,
    /// Of these: added since the last answer began.
    since: Size,
    session: Session,
    transcriber: Option<Price>,
    /// Sound that was heard and not yet written down.
    unwritten_ms: u64,
    /// Sound that was heard and not yet paid by its time.
    unpaid_ms: u64,
}

impl Context {
    /// An empty conversation with `target`.
    pub fn new(catalog: &Catalog, target: &Target, default_output: u64) -> Self {
        let facts = target.provider.facts(catalog, &target.model);
        Self {
            price: target.price.clone(),
            max_output: target.max_output,
            window: facts.and_then(|facts| facts.context_window),
            default_output,
            held: Size::default(),
            since: Size::default(),
            session: Session::default(),
            transcriber: None,
            unwritten_ms: 0,
            unpaid_ms: 0,
        }
    }

    /// What is known of the session.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// The session has changed. With the price of the model that writes down what is heard.
    pub fn is(&mut self, session: Session, transcriber: impl FnOnce(&str) -> Option<Price>) {
        self.session.update(session);
        if let Some((name, _)) = &self.session.transcriber {
            self.transcriber = transcriber(name);
        }
    }

    /// The client has said something.
    pub fn hears(&mut self, said: Said) {
        let ms = self.milliseconds(said.audio);
        let audio = ms.div_ceil(HEARD_MS_PER_TOKEN);
        for size in [&mut self.held, &mut self.since] {
            size.text = size.text.saturating_add(said.tokens);
            size.audio = size.audio.saturating_add(audio);
        }
        self.unpaid_ms = self.unpaid_ms.saturating_add(ms);
        if self.transcriber.is_some() {
            self.unwritten_ms = self.unwritten_ms.saturating_add(ms);
        }
    }

    /// An answer has begun.
    pub fn answers(&mut self) {
        self.since = Size::default();
    }

    /// An answer that is part of the conversation has ended.
    pub fn answered(&mut self, usage: &Usage) {
        let audio = usage.audio_input.saturating_add(usage.audio_output);
        self.held = Size {
            text: usage
                .total()
                .saturating_sub(audio)
                .saturating_add(self.since.text),
            audio: audio.saturating_add(self.since.audio),
        };
    }

    /// What was heard is written down.
    pub fn written(&mut self) {
        self.unwritten_ms = 0;
    }

    /// The milliseconds of sound that are to be paid by their time, once.
    pub fn take_unpaid(&mut self) -> u64 {
        let ms = std::mem::take(&mut self.unpaid_ms);
        if self.is_paid_by_time() { ms } else { 0 }
    }

    /// Tokens that the next answer reads.
    pub fn prompt(&self) -> u64 {
        let held = self.bounded();
        held.text + held.audio
    }

    /// What was used by an answer that broke off.
    pub fn broken_off(&self, spoken: Spoken) -> Usage {
        let held = self.bounded();
        let audio = spoken.audio.div_ceil(SPOKEN_BYTES_PER_TOKEN);
        Usage {
            input: held.text + held.audio,
            output: spoken.tokens + audio,
            audio_input: held.audio,
            audio_output: audio,
            ..Usage::default()
        }
    }

    /// What the next answer may use and cost at most, with `more` milliseconds of sound before it.
    pub fn estimate(&self, output: Output, more: u64) -> Estimate {
        let answer = if self.session.only_transcribes == Some(true) {
            Estimate::default()
        } else {
            self.answer(output, more)
        };
        let written = self.writing(more);
        Estimate {
            tokens: answer.tokens.saturating_add(written.tokens),
            cost: answer.cost + written.cost,
        }
    }

    fn answer(&self, output: Output, more: u64) -> Estimate {
        let output = output.or(self.session.output);
        let longest = match output.ceiling {
            Some(Ceiling::Tokens(tokens)) => tokens,
            Some(Ceiling::Model) | None => self.max_output.unwrap_or(self.default_output),
        };
        let held = self.bounded();
        let audio = held.audio.saturating_add(more.div_ceil(HEARD_MS_PER_TOKEN));
        let by_time = if self.is_paid_by_time() {
            self.unpaid_ms.saturating_add(more)
        } else {
            0
        };
        let usage = Usage {
            input: held.text.saturating_add(audio),
            output: longest,
            audio_input: audio,
            // Sound, unless it is said that there is none.
            audio_output: if output.audio == Some(false) { 0 } else { longest },
            units: Units {
                milliseconds_in: by_time,
                ..Units::default()
            },
            ..Usage::default()
        };
        estimate(self.price.as_ref(), &usage)
    }

    fn writing(&self, more: u64) -> Estimate {
        let Some(price) = &self.transcriber else {
            return Estimate::default();
        };
        let ms = self.unwritten_ms.saturating_add(more);
        let tokens = ms.div_ceil(HEARD_MS_PER_TOKEN);
        let usage = Usage {
            input: tokens,
            output: tokens,
            audio_input: tokens,
            units: Units {
                milliseconds_in: ms,
                ..Units::default()
            },
            ..Usage::default()
        };
        estimate(Some(price), &usage)
    }

    /// What is held, as far as the model can read it.
    fn bounded(&self) -> Size {
        let window = self.window.unwrap_or(u64::MAX);
        let audio = self.held.audio.min(window);
        Size {
            text: self.held.text.min(window - audio),
            audio,
        }
    }

    fn is_paid_by_time(&self) -> bool {
        let rate = |price: &Price| price.rate(RateKind::PerSecondInput, ServiceTier::Standard, 0);
        self.price.as_ref().and_then(rate).is_some()
    }

    fn milliseconds(&self, bytes: u64) -> u64 {
        let each = self.session.bytes_per_second.unwrap_or(BYTES_PER_SECOND).max(1);
        bytes.saturating_mul(1_000).div_ceil(each)
    }
}

fn estimate(price: Option<&Price>, usage: &Usage) -> Estimate {
    Estimate {
        tokens: usage.total(),
        cost: price.map_or(Money::ZERO, |price| price.cost(usage, ServiceTier::Standard)),
    }
}
