//! What a question is fitted and predicted by: a vector, mostly of zeros.

/// A vector's entries that are not zero, by their column.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sparse {
    /// Columns and values; no column twice.
    pub entries: Vec<(u32, f32)>,
}

impl Sparse {
    /// Of a dense vector, with length 1.
    #[must_use]
    pub fn dense(values: &[f32]) -> Self {
        let entries = (0..)
            .zip(values.iter().copied())
            .filter(|(_, value)| *value != 0.0);
        let mut sparse = Self {
            entries: entries.collect(),
        };
        sparse.normalise();
        sparse
    }

    pub(crate) fn normalise(&mut self) {
        let length = self
            .entries
            .iter()
            .map(|(_, value)| value * value)
            .sum::<f32>()
            .sqrt();
        if length > 0.0 && length.is_finite() {
            self.entries.iter_mut().for_each(|(_, value)| *value /= length);
        }
    }

    /// The product with a dense vector.
    #[must_use]
    pub fn dot(&self, dense: &[f32]) -> f32 {
        let products = self
            .entries
            .iter()
            .map(|(column, value)| dense[*column as usize] * value);
        products.sum()
    }

    /// Adds `share` of it to a dense vector.
    pub fn add_to(&self, dense: &mut [f32], share: f32) {
        for (column, value) in &self.entries {
            dense[*column as usize] += share * value;
        }
    }

    /// The sum of its rows of a matrix (`[columns][width]`), each by its value.
    #[must_use]
    pub(crate) fn through(&self, matrix: &[f32], width: usize) -> Vec<f32> {
        let mut sum = vec![0.0; width];
        for (column, value) in &self.entries {
            let row = &matrix[*column as usize * width..][..width];
            sum.iter_mut()
                .zip(row)
                .for_each(|(sum, weight)| *sum += value * weight);
        }
        sum
    }
}

/// Whatever turns a text into a vector. An encoder of the engine is one; hashed n-grams need none.
pub trait Embedder {
    /// Its name, for the file: what was fitted to one can't be read with another.
    fn name(&self) -> &str;
    /// Columns of its vectors.
    fn width(&self) -> usize;
    /// The vector of a text, with length 1; empty for a text without anything in it.
    fn read(&self, text: &str) -> Sparse;
}

/// Words, pairs of words and runs of three letters, by their hashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HashedNgrams {
    width: usize,
}

/// Bytes of a text that are read: its beginning and its end.
const MOST: usize = 8_192;

impl HashedNgrams {
    /// The name that stands for it in files.
    pub const NAME: &'static str = "hashed_ngrams";

    /// Of this many columns.
    #[must_use]
    pub fn new(width: usize) -> Self {
        Self { width: width.max(1) }
    }
}

impl Embedder for HashedNgrams {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn width(&self) -> usize {
        self.width
    }

    fn read(&self, text: &str) -> Sparse {
        let mut sums = vec![0.0_f32; self.width];
        let mut note = |hash: u64| {
            let column = usize::try_from(hash % self.width as u64).unwrap_or(0);
            // A sign of its own lets features that share a column cancel out rather than add up.
            sums[column] += if hash >> 63 == 0 { 1.0 } else { -1.0 };
        };
        let lower = bounded(text).to_lowercase();
        let mut before: Option<&str> = None;
        for word in words(&lower) {
            note(hash(0, &[word]));
            if let Some(before) = before {
                note(hash(1, &[before, word]));
            }
            runs(word, &mut note);
            before = Some(word);
        }
        let entries = (0..).zip(sums).filter(|(_, sum)| *sum != 0.0);
        // What is there ten times is not ten times as telling.
        let damped = entries.map(|(column, sum)| (column, sum.signum() * (1.0 + sum.abs().ln()).max(0.5)));
        let mut sparse = Sparse {
            entries: damped.collect(),
        };
        sparse.normalise();
        sparse
    }
}

/// Of a long text its beginning and its end.
fn bounded(text: &str) -> std::borrow::Cow<'_, str> {
    if text.len() <= MOST {
        return text.into();
    }
    let (mut head, mut tail) = (MOST / 2, text.len() - MOST / 2);
    while !text.is_char_boundary(head) {
        head -= 1;
    }
    while !text.is_char_boundary(tail) {
        tail += 1;
    }
    format!("{} {}", &text[..head], &text[tail..]).into()
}

/// Runs of letters and digits, and each other character that is no white space.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        rest = rest.trim_start();
        let first = rest.chars().next()?;
        let end = if first.is_alphanumeric() {
            rest.find(|character: char| !character.is_alphanumeric())
                .unwrap_or(rest.len())
        } else {
            first.len_utf8()
        };
        let (word, after) = rest.split_at(end);
        rest = after;
        Some(word)
    })
}

fn runs(word: &str, note: &mut impl FnMut(u64)) {
    let mut window = ['\0', '\0', ' '];
    for character in word.chars().chain(std::iter::once(' ')) {
        window = [window[1], window[2], character];
        if window[0] != '\0' {
            let mut buffer = [0; 12];
            let mut length = 0;
            for letter in window {
                length += letter.encode_utf8(&mut buffer[length..]).len();
            }
            note(hash_bytes(hash(2, &[]), &buffer[..length]));
        }
    }
}

fn hash(kind: u8, words: &[&str]) -> u64 {
    let start = hash_bytes(0xcbf2_9ce4_8422_2325, &[kind]);
    let mixed = words.iter().fold(start, |hash, word| {
        hash_bytes(hash_bytes(hash, word.as_bytes()), b" ")
    });
    mixed ^ (mixed >> 29)
}

fn hash_bytes(start: u64, bytes: &[u8]) -> u64 {
    let mixed = bytes.iter().fold(start, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    // FNV's upper bits hardly move for the last byte; the sign is taken from there.
    mixed ^ (mixed << 23) ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cosine(left: &str, right: &str) -> f32 {
        let ngrams = HashedNgrams::new(1_024);
        let mut dense = vec![0.0; 1_024];
        ngrams.read(left).add_to(&mut dense, 1.0);
        ngrams.read(right).dot(&dense)
    }

    #[test]
    fn like_texts_are_near() {
        let question = "What is the derivative of x squared?";
        assert!((cosine(question, question) - 1.0).abs() < 1e-5);
        assert!(cosine(question, "what is the derivative of x cubed?") > 0.6);
        assert!(cosine(question, "Sing me a song about the sea").abs() < 0.3);
    }

    #[test]
    fn any_text_has_length_one_or_nothing() {
        for text in [
            "",
            "   ",
            "a",
            "é😀",
            &"word ".repeat(100_000),
            "日本語のテキスト",
        ] {
            let read = HashedNgrams::new(64).read(text);
            let length: f32 = read.entries.iter().map(|(_, value)| value * value).sum();
            assert!(read.entries.is_empty() == text.trim().is_empty());
            assert!(
                read.entries.is_empty() || (length - 1.0).abs() < 1e-4,
                "{text:.20}: {length}"
            );
        }
    }
}
