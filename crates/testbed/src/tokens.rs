//! Tokens: how many a text has, what a request costs, and what of a prompt is cached.
//!
//! A token is a piece of up to four letters of a word, with the space before it.

use crate::media::Kind;
use crate::script::{Answer, Question};
use crate::sim::State;

/// A prompt is cached by itself from this many tokens of its first text on.
const CACHED_FROM: u64 = 64;

/// Tokens of a text.
pub(crate) fn pieces(text: &str) -> Vec<String> {
    let mut pieces = Vec::new();
    for word in text.split_inclusive(' ') {
        let letters: Vec<char> = word.chars().collect();
        pieces.extend(letters.chunks(4).map(|piece| piece.iter().collect::<String>()));
    }
    pieces
}

/// How many tokens a text has.
pub(crate) fn count(text: &str) -> u64 {
    pieces(text).len() as u64
}

/// How a prompt is cached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Caching {
    /// Never.
    #[default]
    Off,
    /// Where the client marked it.
    Marked,
    /// Where it is long enough.
    Automatic,
}

/// What a request costs.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Usage {
    /// Of the prompt, cached ones included.
    pub(crate) input: u64,
    pub(crate) cache_read: u64,
    pub(crate) cache_write: u64,
    pub(crate) image_input: u64,
    pub(crate) audio_input: u64,
    /// Generated, reasoning included.
    pub(crate) output: u64,
    pub(crate) reasoning: u64,
}

impl Usage {
    /// Of the prompt, without what came from the cache or went into it.
    pub(crate) fn fresh(&self) -> u64 {
        self.input - self.cache_read - self.cache_write
    }
}

/// How many tokens a prompt has.
pub(crate) fn prompt_tokens(question: &Question) -> u64 {
    let texts: u64 = question.texts.iter().map(|text| count(text) + 3).sum();
    let media: u64 = question.media.iter().map(crate::media::Media::tokens).sum();
    texts + media + 3 + 5 * question.tools.offered.len() as u64
}

/// What a question and its answer cost. Changes the cache.
pub(crate) fn usage(state: &State, question: &Question, answer: &Answer) -> Usage {
    let of = |kind: Kind| {
        let media = question.media.iter().filter(|media| media.kind == kind);
        media.map(crate::media::Media::tokens).sum()
    };
    let (cache_read, cache_write) = cached(state, question);
    Usage {
        input: prompt_tokens(question),
        cache_read,
        cache_write,
        image_input: of(Kind::Image),
        audio_input: of(Kind::Audio),
        output: answer.output * question.choices.max(1),
        reasoning: answer.thinking.as_deref().map_or(0, count) * question.choices.max(1),
    }
}

/// Tokens read from and written to the cache: a first text is written the first time, read after that.
fn cached(state: &State, question: &Question) -> (u64, u64) {
    let Some(first) = question.texts.first() else {
        return (0, 0);
    };
    let tokens = count(first);
    match question.caching {
        Caching::Off => return (0, 0),
        Caching::Automatic if tokens < CACHED_FROM => return (0, 0),
        Caching::Automatic | Caching::Marked => {}
    }
    if state
        .cached
        .lock()
        .insert((question.format, question.model.clone(), first.clone()))
    {
        (0, tokens)
    } else {
        (tokens, 0)
    }
}
