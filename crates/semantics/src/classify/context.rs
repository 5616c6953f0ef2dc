//! A second look at the classes of tokens: what those around one were taken for, and how its word is written, which a
//! vocabulary of lower-case pieces does not see.
//!
//! For each token and each of the `radius` before and behind it, in the order of the text, whoever trains must make:
//!
//! - the probabilities of all classes, as the tagger's calibration gives them;
//! - fourteen signs, 1 where they hold: (0) nothing or white space in front of the token; of its word (the run of alphanumeric
//!   characters that its first character is in): (1) the first letter is a capital, (2) there are two letters or more, all
//!   capitals, (3) a capital behind the first letter, but not all, (4) a digit, (5) digits alone, (6) no word: a sign; (7) the
//!   last character in front that is no blank is a line feed, or there is none; (8) it is one of `.!?:`, a line feed, or there
//!   is none; (9) the first character is of a script without blanks (from U+2E80 on); (10) its word goes on behind the token;
//!   (11) its word has at most two characters; (12) the character in front is an opening bracket or a quotation mark;
//!   (13) a full stop behind its word.
//!
//! Beyond the text all of them are 0. A blank is a space or a tab. A word is looked at up to 64 characters.

use super::calibrate::Calibration;
use crate::kernels::{self, Codes, Machine};
use crate::linear::Linear;
use crate::tokenize::Token;
use crate::work;

/// Signs of a token.
pub const SIGNS: usize = 14;
/// Tokens that are looked at together.
const CHUNK: usize = 128;
/// Characters of a word that are looked at.
const LONGEST_WORD: usize = 64;
/// Scripts from here on do without blanks.
const UNPARTED: char = '\u{2e80}';

/// One or two layers whose answer is added to the logits of each token.
#[derive(Debug, Clone)]
pub struct Context {
    radius: usize,
    layers: Vec<Linear>,
}

impl Context {
    /// None if the layers do not fit a tagger of so many classes, or the radius is above 8.
    #[must_use]
    pub fn new(radius: usize, layers: Vec<Linear>, classes: usize) -> Option<Self> {
        let mut wide = Self::inputs(radius, classes);
        for layer in &layers {
            if layer.inputs() != wide {
                return None;
            }
            wide = layer.outputs();
        }
        (radius <= 8 && !layers.is_empty() && wide == classes).then_some(Self { radius, layers })
    }

    /// Columns that the first layer reads.
    #[must_use]
    pub fn inputs(radius: usize, classes: usize) -> usize {
        (2 * radius + 1) * (classes + SIGNS)
    }

    /// Adds what it says to the logits, a row for each token.
    pub fn refine(
        &self,
        machine: Machine,
        (text, tokens): (&str, &[Token]),
        (logits, calibration): (&mut [f32], &Calibration),
        codes: &mut Codes,
    ) {
        let Some(classes) = self.layers.last().map(Linear::outputs) else {
            return;
        };
        let wide = classes + SIGNS;
        let mut reader = Reader::new(text);
        // What is known of the tokens from `first - radius` on, those in front of the text as zeros.
        let mut known = vec![0.0; self.radius * wide];
        for first in (0..tokens.len()).step_by(CHUNK) {
            let last = (first + CHUNK).min(tokens.len());
            let seen = first + known.len() / wide - self.radius;
            for place in seen..(last + self.radius).min(tokens.len()) {
                known.extend(calibration.apply(&logits[place * classes..][..classes]));
                known.extend(reader.signs(&tokens[place]));
            }
            let end = (last - first + 2 * self.radius) * wide;
            known.resize(end.max(known.len()), 0.0);
            let said = self.apply(machine, &known[..end], wide, codes);
            let mine = &mut logits[first * classes..last * classes];
            mine.iter_mut()
                .zip(&said)
                .for_each(|(logit, more)| *logit += more);
            known.drain(..(last - first) * wide);
        }
    }

    fn apply(&self, machine: Machine, known: &[f32], wide: usize, codes: &mut Codes) -> Vec<f32> {
        let window = (2 * self.radius + 1) * wide;
        let mut values: Vec<f32> = Vec::new();
        for start in (0..=known.len() - window).step_by(wide) {
            values.extend_from_slice(&known[start..start + window]);
        }
        let rows = values.len() / window;
        work::note(values.len());
        for (index, layer) in self.layers.iter().enumerate() {
            if index > 0 {
                kernels::gelu(machine, &mut values);
            }
            let mut output = vec![0.0; rows * layer.outputs()];
            layer.apply(machine, &values, &mut output, false, codes);
            values = output;
        }
        values
    }
}

/// Reads how tokens are written; they come in the order of the text.
struct Reader<'a> {
    text: &'a str,
    word: std::ops::Range<usize>,
    signs: [f32; 7],
}

impl<'a> Reader<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            text,
            word: 0..0,
            signs: [0.0; 7],
        }
    }

    fn signs(&mut self, token: &Token) -> [f32; SIGNS] {
        let (start, end) = (token.start as usize, token.end as usize);
        let (front, rest) = self.text.split_at(start);
        if !self.word.contains(&start) {
            self.look(start);
        }
        let flag = |holds: bool| f32::from(u8::from(holds));
        let previous = front.chars().next_back();
        let before = front
            .chars()
            .rev()
            .take(LONGEST_WORD)
            .find(|letter| !matches!(letter, ' ' | '\t'));
        let quoted = |letter: char| "([{<\"'«“‘「『（".contains(letter);
        let mut all = [0.0; SIGNS];
        all[0] = flag(previous.is_none_or(char::is_whitespace));
        all[1..7].copy_from_slice(&self.signs[..6]);
        all[7] = flag(before.is_none_or(|letter| letter == '\n'));
        all[8] = flag(before.is_none_or(|letter| ".!?:\n".contains(letter)));
        all[9] = flag(rest.chars().next().is_some_and(|letter| letter >= UNPARTED));
        all[10] = flag(end < self.word.end);
        all[11] = self.signs[6];
        all[12] = flag(previous.is_some_and(quoted));
        all[13] = flag(self.text[self.word.end..].starts_with('.'));
        all
    }

    /// Finds the word that begins at `start`, or that it is in, and how it is written.
    fn look(&mut self, start: usize) {
        let letters = |part: &'a str| {
            part.chars()
                .take(LONGEST_WORD)
                .take_while(|c| c.is_alphanumeric())
        };
        let inside = self.text[start..]
            .chars()
            .next()
            .is_some_and(char::is_alphanumeric);
        let back: usize = if inside {
            let before = self.text[..start].chars().rev().take(LONGEST_WORD);
            before
                .take_while(|c| c.is_alphanumeric())
                .map(char::len_utf8)
                .sum()
        } else {
            0
        };
        let from = start - back;
        let ahead: usize = letters(&self.text[from..]).map(char::len_utf8).sum();
        self.word =
            from..(from + ahead).max(start + self.text[start..].chars().next().map_or(0, char::len_utf8));
        let word = || letters(&self.text[from..]);
        work::note(ahead + back);
        let (count, capitals) = (word().count(), word().filter(|c| c.is_uppercase()).count());
        let alphabetic = word().filter(|c| c.is_alphabetic()).count();
        let digits = word().filter(char::is_ascii_digit).count();
        let all = capitals >= 2 && capitals == alphabetic;
        let first = word().next().is_some_and(char::is_uppercase);
        let flag = |holds: bool| f32::from(u8::from(holds));
        self.signs = [
            flag(first),
            flag(all),
            flag(!all && capitals > usize::from(first)),
            flag(digits > 0),
            flag(digits > 0 && digits == count),
            flag(count == 0),
            flag(count <= 2),
        ];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linear::Precision;

    fn tokens(text: &str, parts: &[&str]) -> Vec<Token> {
        let mut from = 0;
        let each = parts.iter().map(|part| {
            let start = from + text[from..].find(part).unwrap();
            from = start + part.len();
            Token {
                id: 0,
                start: start as u32,
                end: from as u32,
            }
        });
        each.collect()
    }

    fn signs(text: &str, parts: &[&str]) -> Vec<Vec<usize>> {
        let mut reader = Reader::new(text);
        let holding = |signs: [f32; SIGNS]| (0..SIGNS).filter(|sign| signs[*sign] == 1.0).collect();
        tokens(text, parts)
            .iter()
            .map(|token| holding(reader.signs(token)))
            .collect()
    }

    #[test]
    fn how_a_word_is_written_is_seen() {
        let text = "Dr. McKay met (ANN) in 中国\nB2 42";
        let parts = [
            "Dr", ".", "Mc", "Kay", "met", "(", "ANN", ")", "in", "中", "国", "B2", "42",
        ];
        let expected: [&[usize]; 13] = [
            &[0, 1, 7, 8, 11, 13],
            &[6, 11],
            &[0, 1, 3, 8, 10],
            &[1, 3],
            &[0],
            &[0, 6, 11],
            &[1, 2, 12],
            &[6, 11],
            &[0, 11],
            &[0, 9, 10, 11],
            &[9, 11],
            &[0, 1, 4, 7, 8, 11],
            &[0, 4, 5, 11],
        ];
        for ((part, found), expected) in parts.iter().zip(signs(text, &parts)).zip(expected) {
            assert_eq!(found, expected, "{part}");
        }
    }

    /// Two classes, a radius of 1, and a layer that adds to class 1 what the second class of the next token is worth.
    fn listens() -> Context {
        let wide = 2 + SIGNS;
        let mut weights = vec![0.0; 2 * 3 * wide];
        weights[3 * wide + 2 * wide + 1] = 10.0;
        let layer = Linear::new(&weights, &[0.0, 0.0], 3 * wide, Precision::Float).unwrap();
        Context::new(1, vec![layer], 2).unwrap()
    }

    #[test]
    fn tokens_hear_of_those_around_them_over_every_boundary() {
        for count in [0, 1, 2, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 5] {
            let text = "a ".repeat(count);
            let all: Vec<Token> = (0..count as u32)
                .map(|at| Token {
                    id: 0,
                    start: 2 * at,
                    end: 2 * at + 1,
                })
                .collect();
            // Every third token is surely of class 1.
            let row = |at: usize| {
                if at.is_multiple_of(3) {
                    [0.0, 40.0]
                } else {
                    [40.0, 0.0]
                }
            };
            let mut logits: Vec<f32> = (0..count).flat_map(row).collect();
            let calibration = Calibration::Temperature(1.0);
            listens().refine(
                Machine::portable(),
                (&text, &all),
                (&mut logits, &calibration),
                &mut Codes::default(),
            );
            for (at, found) in logits.chunks_exact(2).enumerate() {
                let more = if at + 1 < count && (at + 1).is_multiple_of(3) {
                    10.0
                } else {
                    0.0
                };
                assert_eq!(found, [row(at)[0], row(at)[1] + more], "{at} of {count}");
            }
        }
    }

    #[test]
    fn layers_that_do_not_fit_are_refused() {
        let layer = |inputs: usize, outputs: usize| {
            Linear::new(&vec![0.0; inputs * outputs], &[], inputs, Precision::Float).unwrap()
        };
        assert!(Context::new(1, vec![layer(3 * 16, 2)], 2).is_some());
        assert!(Context::new(1, vec![layer(3 * 16, 4), layer(4, 2)], 2).is_some());
        assert!(Context::new(2, vec![layer(3 * 16, 2)], 2).is_none());
        assert!(Context::new(1, vec![layer(3 * 16, 3)], 2).is_none());
        assert!(Context::new(9, vec![layer(19 * 16, 2)], 2).is_none());
        assert!(Context::new(1, Vec::new(), 2).is_none());
    }
}
