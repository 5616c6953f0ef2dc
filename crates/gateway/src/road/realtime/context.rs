//! How large a conversation is, and what its next answer may cost at most.

use pointsman_catalog::{Catalog, Money, Price, RateKind, ServiceTier};
use pointsman_governance::{Estimate, Tokens};
use pointsman_wire::form::{Units, Usage};
use pointsman_wire::realtime::{Ceiling, Output, Said, Session, Spoken};

use super::super::admit;
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
            tokens: Tokens {
                input: answer.tokens.input.saturating_add(written.tokens.input),
                output: answer.tokens.output.saturating_add(written.tokens.output),
            },
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
        tokens: admit::tokens_of(usage),
        cost: price.map_or(Money::ZERO, |price| price.cost(usage, ServiceTier::Standard)),
    }
}

#[cfg(test)]
mod tests {
    use pointsman_catalog::{Entry, Rate};

    use super::*;

    /// So many nano-dollars for a token of each kind.
    fn price(rates: &[(RateKind, i64)]) -> Price {
        Price::new(rates.iter().map(|(kind, nanodollars)| Entry {
            kind: *kind,
            tier: ServiceTier::Standard,
            above: 0,
            rate: Rate::parse(&format!("0.{:03}", nanodollars)).unwrap(),
        }))
    }

    fn context() -> Context {
        Context {
            price: Some(price(&[
                (RateKind::Input, 1),
                (RateKind::Output, 2),
                (RateKind::AudioInput, 10),
                (RateKind::AudioOutput, 20),
                (RateKind::CacheRead, 1),
            ])),
            max_output: Some(100),
            window: Some(1_000),
            default_output: 50,
            held: Size::default(),
            since: Size::default(),
            session: Session::default(),
            transcriber: None,
            unwritten_ms: 0,
            unpaid_ms: 0,
        }
    }

    fn said(tokens: u64, audio_ms: u64) -> Said {
        Said {
            tokens,
            audio: audio_ms * BYTES_PER_SECOND / 1_000,
        }
    }

    fn text(tokens: u64) -> Output {
        Output {
            ceiling: Some(Ceiling::Tokens(tokens)),
            audio: Some(false),
        }
    }

    #[test]
    fn an_answer_is_sound_of_the_longest_sort_unless_something_else_is_said() {
        let mut context = context();
        let whole = context.estimate(Output::default(), 0);
        assert_eq!((whole.tokens.total(), whole.cost.nanodollars()), (100, 100 * 20));
        let short = context.estimate(text(10), 0);
        assert_eq!((short.tokens.total(), short.cost.nanodollars()), (10, 10 * 2));
        context.is(
            Session {
                output: text(7),
                ..Session::default()
            },
            |_| None,
        );
        assert_eq!(context.estimate(Output::default(), 0).tokens.total(), 7);
        context.max_output = None;
        let unbounded = Output {
            ceiling: Some(Ceiling::Model),
            audio: None,
        };
        assert_eq!(context.estimate(unbounded, 0).tokens.total(), 50);
    }

    #[test]
    fn what_was_said_is_read_by_every_answer_after_it() {
        let mut context = context();
        context.hears(said(30, 1_000));
        let estimate = context.estimate(text(0), 0);
        assert_eq!(
            (estimate.tokens.total(), estimate.cost.nanodollars()),
            (40, 30 + 10 * 10)
        );
        let ahead = context.estimate(text(0), 500);
        assert_eq!(ahead.tokens.total(), 45);
        // What is said while an answer is under way is read by the next.
        context.answers();
        context.hears(said(5, 0));
        context.answered(&Usage {
            input: 38,
            output: 20,
            audio_input: 9,
            audio_output: 15,
            ..Usage::default()
        });
        let estimate = context.estimate(text(0), 0);
        assert_eq!(
            (estimate.tokens.total(), estimate.cost.nanodollars()),
            (63, (34 + 5) + 24 * 10)
        );
    }

    #[test]
    fn no_more_is_read_than_the_window_holds() {
        let mut context = context();
        context.hears(said(5_000, 20_000));
        assert_eq!(context.prompt(), 1_000);
        let estimate = context.estimate(text(0), 0);
        assert_eq!(estimate.cost.nanodollars(), 800 + 200 * 10);
    }

    #[test]
    fn sound_is_written_down_at_the_price_of_who_does_it() {
        let mut context = context();
        let session = Session {
            transcriber: Some(("w".into(), &["session", "model"])),
            only_transcribes: Some(true),
            ..Session::default()
        };
        context.is(session, |name| {
            assert_eq!(name, "w");
            Some(price(&[(RateKind::AudioInput, 3), (RateKind::Output, 5)]))
        });
        context.hears(said(0, 2_000));
        let estimate = context.estimate(Output::default(), 0);
        assert_eq!(
            (estimate.tokens.total(), estimate.cost.nanodollars()),
            (40, 20 * 3 + 20 * 5)
        );
        context.written();
        assert_eq!(context.estimate(Output::default(), 0), Estimate::default());
    }

    #[test]
    fn sound_that_is_paid_by_its_time_is_paid_once() {
        let mut context = context();
        context.hears(said(0, 700));
        assert_eq!(context.take_unpaid(), 0, "this model is paid by tokens");
        context.price = Some(price(&[(RateKind::PerSecondInput, 1)]));
        context.hears(said(0, 700));
        assert_eq!(context.take_unpaid(), 700);
        assert_eq!(context.take_unpaid(), 0);
    }
}
