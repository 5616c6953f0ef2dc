//! A fast estimate of how many tokens a text has, for reservations.
//!
//! Not a tokenizer: one pass over the bytes, no vocabulary. Runs of letters cost by their length as byte-pair
//! vocabularies split them (most English words are one token, long and rare ones more), digits go in threes,
//! punctuation singly, other scripts by their characters. It leans to the high side, because what is reserved too
//! much comes back at settlement and what is reserved too little is an overrun.

use crate::form::{ChatRequest, PartKind, Source, ToolKind};
use crate::text;

/// Tokens that a message costs beyond its text: role and separators.
const PER_MESSAGE: u64 = 4;
/// An image of ordinary size, as providers bill it.
const PER_IMAGE: u64 = 800;
/// Base64 bytes of a document for one token.
const DOCUMENT_BYTES_PER_TOKEN: usize = 12;
/// Base64 bytes of audio for one token.
const AUDIO_BYTES_PER_TOKEN: usize = 100;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Letter,
    Digit,
    Space,
    Mark,
    Other,
}

const fn class(byte: u8) -> Class {
    match byte {
        b'a'..=b'z' | b'A'..=b'Z' => Class::Letter,
        b'0'..=b'9' => Class::Digit,
        b' ' | b'\t' | b'\r' | b'\n' => Class::Space,
        0x80.. => Class::Other,
        _ => Class::Mark,
    }
}

/// The class of every byte: a lookup is cheaper than the comparisons.
static CLASSES: [Class; 256] = {
    let mut classes = [Class::Other; 256];
    let mut byte = 0;
    while byte < 256 {
        classes[byte] = class(byte as u8);
        byte += 1;
    }
    classes
};

/// About how many tokens `text` has.
#[must_use]
pub fn estimate(text: &str) -> u64 {
    let bytes = text.as_bytes();
    let mut tokens = 0_u64;
    let mut at = 0;
    loop {
        let (words, length) = short_words(&bytes[at..]);
        tokens += words;
        at += length;
        let Some(first) = bytes.get(at) else {
            return tokens;
        };
        let kind = CLASSES[usize::from(*first)];
        let run = run_of(kind, &bytes[at..]);
        tokens += match kind {
            Class::Letter => run.div_ceil(7) as u64,
            Class::Digit => run.div_ceil(3) as u64,
            // A single space belongs to the word after it.
            Class::Space if run == 1 => u64::from(*first == b'\n'),
            Class::Space => 1,
            Class::Mark => (run as u64 * 2).div_ceil(3),
            Class::Other => other(&text[at..at + run]),
        };
        at += run;
    }
}

/// Words of one token each, with single blanks between them, at the beginning of `bytes`, and how long they are
/// together: a few steps for each, since they are most of a text.
fn short_words(bytes: &[u8]) -> (u64, usize) {
    let (mut words, mut at) = (0, 0);
    while let Some(chunk) = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        let word = letters(*chunk);
        if word == 0 || word == chunk.len() {
            break;
        }
        words += 1;
        at += word;
        let is_space = |byte: &u8| CLASSES[usize::from(*byte)] == Class::Space;
        if bytes[at] == b' ' && !bytes.get(at + 1).is_some_and(is_space) {
            at += 1;
        }
    }
    (words, at)
}

/// How many bytes at the beginning are of a class.
fn run_of(kind: Class, bytes: &[u8]) -> usize {
    bytes
        .iter()
        .position(|byte| CLASSES[usize::from(*byte)] != kind)
        .unwrap_or(bytes.len())
}

/// How many bytes at the beginning are letters of ASCII.
fn letters(bytes: [u8; 8]) -> usize {
    const EACH: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x80 * EACH;
    let word = u64::from_le_bytes(bytes);
    // Small letters without their high bits: what is added reaches those from `a` on, and from behind `z` on.
    let small = (word | (0x20 * EACH)) & !HIGH;
    let from_a = small + (0x80 - b'a' as u64) * EACH;
    let past_z = small + (0x7f - b'z' as u64) * EACH;
    let others = !(from_a & !past_z & !word) & HIGH;
    others.trailing_zeros() as usize / 8
}

/// Letters of other scripts: accented Latin, Greek and Cyrillic share tokens, Chinese, Japanese and others hardly do.
fn other(text: &str) -> u64 {
    let mut halves = 0_u64;
    for letter in text.chars() {
        halves += match letter as u32 {
            0x80..=0x52f => 1,
            0x1f000.. => 4,
            _ => 2,
        };
    }
    halves.div_ceil(2)
}

/// About how many prompt tokens a request has: its texts, tools, images, documents and sound.
#[must_use]
pub fn estimate_request(request: &ChatRequest) -> u64 {
    let mut total = PER_MESSAGE * request.messages.len() as u64;
    text::request_texts(request, |_, text| total += estimate(text));
    for tool in &request.tools {
        total += match &tool.kind {
            ToolKind::Function {
                name,
                description,
                parameters,
                ..
            } => {
                8 + estimate(name)
                    + description.as_deref().map_or(0, estimate)
                    + parameters.as_ref().map_or(0, |schema| estimate(schema.as_str()))
            }
            ToolKind::Opaque { json, .. } => estimate(json.as_str()),
        };
    }
    for message in &request.messages {
        for part in &message.parts {
            total += media(&part.kind);
        }
    }
    total
}

fn media(part: &PartKind) -> u64 {
    match part {
        PartKind::Image(_) => PER_IMAGE,
        PartKind::Document(document) => match &document.source {
            Source::Base64 { data, .. } => (data.len() / DOCUMENT_BYTES_PER_TOKEN) as u64,
            _ => PER_IMAGE,
        },
        PartKind::Audio(audio) => (audio.data.len() / AUDIO_BYTES_PER_TOKEN) as u64,
        PartKind::ToolResult(result) => result.content.iter().map(|part| media(&part.kind)).sum(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_texts_are_close() {
        // Counts of o200k_base.
        for (text, counted) in [
            ("The quick brown fox jumps over the lazy dog.", 10),
            ("solve this algebra problem", 4),
            (
                "Bonjour, je voudrais réserver une table pour deux personnes demain soir.",
                14,
            ),
            ("def add(a: int, b: int) -> int:\n    return a + b\n", 19),
            ("12345678901234567890", 7),
            ("", 0),
        ] {
            let estimated = estimate(text);
            assert!(
                estimated * 100 >= counted * 90 && estimated * 100 <= counted * 175,
                "{text:?}: {estimated} for {counted}"
            );
        }
    }

    #[test]
    fn letters_are_found_together_as_one_by_one() {
        for byte in 0..=u8::MAX {
            for at in 0..8 {
                let mut bytes = *b"quickFOX";
                bytes[at] = byte;
                assert_eq!(letters(bytes), run_of(Class::Letter, &bytes), "{byte} at {at}");
            }
        }
        assert_eq!(letters(*b"azAZquiz"), 8);
    }

    #[test]
    fn short_words_cost_what_they_cost_one_by_one() {
        // Behind digits no word is short: the slow way.
        let slow = |text: &str| {
            let runs = text.as_bytes().chunk_by(|a, b| class(*a) == class(*b));
            runs.map(|run| estimate(std::str::from_utf8(run).unwrap()))
                .sum::<u64>()
        };
        for text in [
            "a train leaves the station at noon",
            "two  spaces, a\ttab and a line\nor two \n",
            "abcdefg abcdefgh abcdefghijklmno x",
            "x1 y2 (z) end ",
            " lead and trail ",
        ] {
            assert_eq!(estimate(text), slow(text), "{text:?}");
        }
    }

    #[test]
    fn any_text_has_at_most_a_token_a_byte() {
        for text in ["\u{10ffff}\u{0}a", "........", "日本語", "a b c d", "\n\n\n"] {
            assert!(estimate(text) <= text.len() as u64, "{text:?}");
        }
    }
}
