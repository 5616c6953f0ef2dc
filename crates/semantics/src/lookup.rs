//! Passages of documents, looked up by what they mean and by their words: both tell how well a passage answers, from 0 to 1,
//! and what both say is added up. Meaning finds what is said in other words, words find names and numbers that no vector
//! tells apart.
//!
//! Words count by BM25 (Robertson and Zaragoza, 2009), as a share of what a passage of usual length would have in which each
//! word of the question stands once. Every passage is compared: this is for some ten thousand of them, not for millions.

use std::collections::HashMap;

use foldhash::fast::RandomState;

/// Saturation of repeated words and weight of length.
const K1: f32 = 1.2;
const B: f32 = 0.75;
/// Most bytes of a piece that is not cut again.
const PIECE: usize = 320;
/// Most words of a question that count.
const QUESTION: usize = 64;

/// By what passages are looked up.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum By {
    /// By what they mean.
    Meaning,
    /// By their words.
    Words,
    /// By both; so much, from 0 to 1, counts what words say.
    Both(f32),
}

/// A passage that was found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hit {
    /// Which.
    pub index: usize,
    /// How well it answers, from 0 to 1.
    pub score: f32,
}

/// Passages, to be looked up in.
#[derive(Debug, Default)]
pub struct Lookup {
    /// Numbers of a vector.
    width: usize,
    vectors: Vec<f32>,
    /// In which passages a word stands, and how often.
    places: HashMap<Box<str>, Vec<(u32, u32)>, RandomState>,
    lengths: Vec<u32>,
}

impl Lookup {
    /// Takes a passage in; the first gets the number 0. A vector of another length than the first is none.
    pub fn push(&mut self, text: &str, vector: &[f32]) {
        let index = u32::try_from(self.lengths.len()).unwrap_or(u32::MAX);
        let mut length = 0;
        each_word(text, |word| {
            length += 1;
            let places = match self.places.get_mut(word.as_str()) {
                Some(places) => places,
                None => self.places.entry(word.into_boxed_str()).or_default(),
            };
            match places.last_mut() {
                Some((last, times)) if *last == index => *times += 1,
                _ => places.push((index, 1)),
            }
        });
        self.lengths.push(length);
        if self.lengths.len() == 1 {
            self.width = vector.len();
        }
        let known = vector.len() == self.width;
        self.vectors.extend_from_slice(if known { vector } else { &[] });
        self.vectors.resize(self.lengths.len() * self.width, 0.0);
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lengths.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lengths.is_empty()
    }

    /// Bytes that it takes, about.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let words = self
            .places
            .iter()
            .map(|(word, places)| word.len() + 48 + places.len() * 8);
        self.vectors.len() * 4 + self.lengths.len() * 4 + words.sum::<usize>()
    }

    /// The `most` passages that answer best, of those that `may` be seen, the best first; none that says nothing.
    #[must_use]
    pub fn find(
        &self,
        (question, vector): (&str, Option<&[f32]>),
        by: By,
        most: usize,
        may: impl Fn(usize) -> bool,
    ) -> Vec<Hit> {
        let share = match by {
            By::Meaning => 0.0,
            By::Words => 1.0,
            By::Both(words) => words.clamp(0.0, 1.0),
        };
        let words = if share > 0.0 {
            self.by_words(question)
        } else {
            Vec::new()
        };
        let vector = vector.filter(|vector| vector.len() == self.width && self.width > 0 && share < 1.0);
        let score = |index: usize| {
            let said = words.get(index).copied().unwrap_or(0.0);
            let meant = vector.map_or(0.0, |vector| self.likeness(index, vector));
            share * said + (1.0 - share) * meant
        };
        let seen = (0..self.len()).filter(|index| may(*index));
        let mut hits: Vec<Hit> = seen
            .map(|index| Hit {
                index,
                score: score(index),
            })
            .filter(|hit| hit.score > 0.0)
            .collect();
        hits.sort_by(|left, right| {
            right
                .score
                .total_cmp(&left.score)
                .then(left.index.cmp(&right.index))
        });
        hits.truncate(most);
        hits
    }

    /// The cosine, of vectors of length 1; what points elsewhere is as unlike as can be.
    fn likeness(&self, index: usize, vector: &[f32]) -> f32 {
        let own = &self.vectors[index * self.width..(index + 1) * self.width];
        let products = own.iter().zip(vector).map(|(left, right)| left * right);
        products.sum::<f32>().clamp(0.0, 1.0)
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "counts of words and passages are small"
    )]
    fn by_words(&self, question: &str) -> Vec<f32> {
        let mut wanted = Vec::new();
        each_word(question, |word| {
            if wanted.len() < QUESTION && !wanted.contains(&word) {
                wanted.push(word);
            }
        });
        let all = self.len() as f32;
        let mean = (self.lengths.iter().sum::<u32>() as f32 / all.max(1.0)).max(1.0);
        let mut scores = vec![0.0; self.len()];
        let mut attainable = 0.0;
        for word in &wanted {
            let places = self.places.get(word.as_str()).map_or(&[][..], Vec::as_slice);
            let with = places.len() as f32;
            let rarity = (1.0 + (all - with + 0.5) / (with + 0.5)).ln();
            attainable += rarity;
            for (index, times) in places {
                let (index, times) = (*index as usize, *times as f32);
                let length = self.lengths[index] as f32 / mean;
                scores[index] += rarity * times * (K1 + 1.0) / (times + K1 * (1.0 - B + B * length));
            }
        }
        if attainable > 0.0 {
            scores
                .iter_mut()
                .for_each(|score| *score = (*score / attainable).min(1.0));
        }
        scores
    }
}

/// Words in small letters; of scripts without spaces, each sign.
fn each_word(text: &str, mut see: impl FnMut(String)) {
    let mut word = String::new();
    for letter in text.chars() {
        if is_sign(letter) {
            if !word.is_empty() {
                see(std::mem::take(&mut word));
            }
            see(letter.to_string());
        } else if letter.is_alphanumeric() {
            word.extend(letter.to_lowercase());
        } else if !word.is_empty() {
            see(std::mem::take(&mut word));
        }
    }
    if !word.is_empty() {
        see(word);
    }
}

fn is_sign(letter: char) -> bool {
    matches!(letter, '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}')
}

/// Cuts a text into passages of about `size` tokens, as `count` counts them, at the ends of lines and sentences; each begins
/// with the last `overlap` tokens of the one before, about.
#[must_use]
pub fn cut<'a>(text: &'a str, (size, overlap): (u64, u64), count: &dyn Fn(&str) -> u64) -> Vec<&'a str> {
    let ends = ends(text);
    let start_of = |piece: usize| piece.checked_sub(1).map_or(0, |before| ends[before]);
    let sizes: Vec<u64> = (0..ends.len())
        .map(|piece| count(&text[start_of(piece)..ends[piece]]))
        .collect();
    let mut passages = Vec::new();
    let mut first = 0;
    while first < ends.len() {
        let (mut next, mut held) = (first, 0);
        while next < ends.len() && (next == first || held + sizes[next] <= size) {
            held += sizes[next];
            next += 1;
        }
        let passage = text[start_of(first)..ends[next - 1]].trim();
        if !passage.is_empty() {
            passages.push(passage);
        }
        if next == ends.len() {
            break;
        }
        // What is told twice never takes all of a passage: each begins behind the one before.
        let (mut again, mut twice) = (next, 0);
        while again > first + 1 && twice + sizes[again - 1] <= overlap {
            twice += sizes[again - 1];
            again -= 1;
        }
        first = again;
    }
    passages
}

/// Where the pieces of a text end: at ends of lines and sentences, and of what has neither at spaces, if there are any.
fn ends(text: &str) -> Vec<usize> {
    let mut ends = Vec::new();
    let (mut start, mut space) = (0, None);
    for (at, letter) in text.char_indices() {
        let end = at + letter.len_utf8();
        let stops = matches!(letter, '.' | '!' | '?' | ';')
            && text[end..].chars().next().is_none_or(char::is_whitespace);
        if letter == '\n' || stops || matches!(letter, '。' | '！' | '？' | '；') {
            ends.push(end);
            (start, space) = (end, None);
            continue;
        }
        if letter.is_whitespace() {
            space = Some(end);
        }
        if end - start >= PIECE {
            let cut = space.filter(|cut| *cut > start).unwrap_or(end);
            ends.push(cut);
            (start, space) = (cut, None);
        }
    }
    if start < text.len() {
        ends.push(text.len());
    }
    ends
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn count(text: &str) -> u64 {
        text.split_whitespace().count() as u64
    }

    fn three() -> Lookup {
        let mut lookup = Lookup::default();
        lookup.push("The warranty of the drill XR-471 is two years.", &[1.0, 0.0]);
        lookup.push("Returned goods are paid back within a week.", &[0.0, 1.0]);
        lookup.push("The drill XR-472 has a warranty, too, of one year.", &[0.8, 0.6]);
        lookup
    }

    #[test]
    fn meaning_and_words_are_added_up() {
        let lookup = three();
        let found = |by, vector: &[f32]| -> Vec<usize> {
            let hits = lookup.find(("warranty of XR-472", Some(vector)), by, 9, |_| true);
            hits.into_iter().map(|hit| hit.index).collect()
        };
        assert_eq!(found(By::Meaning, &[1.0, 0.0]), [0, 2]);
        assert_eq!(found(By::Words, &[0.0, 1.0])[0], 2);
        // By meaning alone the first is nearer; its number is the other's.
        assert_eq!(found(By::Both(0.5), &[1.0, 0.0])[0], 2);
        assert!(lookup.find(("???", None), By::Both(0.5), 9, |_| true).is_empty());
    }

    #[test]
    fn what_may_not_be_seen_is_not_found_and_takes_no_place() {
        let hits = three().find(("warranty", Some(&[1.0, 0.0])), By::Both(0.4), 1, |index| {
            index != 0
        });
        assert_eq!(hits.iter().map(|hit| hit.index).collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn a_vector_of_another_model_finds_nothing() {
        assert!(
            three()
                .find(("warranty", Some(&[1.0])), By::Meaning, 9, |_| true)
                .is_empty()
        );
        let mut lookup = three();
        lookup.push("of another model", &[1.0, 0.0, 0.0]);
        let hits = lookup.find(("x", Some(&[1.0, 0.0])), By::Meaning, 9, |_| true);
        assert!(hits.iter().all(|hit| hit.index != 3));
    }

    #[test]
    fn passages_end_with_sentences_and_share_what_they_shall() {
        let text = "One two three. Four five six. Seven eight nine. Ten eleven twelve.";
        assert_eq!(
            cut(text, (6, 0), &count),
            [
                "One two three. Four five six.",
                "Seven eight nine. Ten eleven twelve."
            ]
        );
        assert_eq!(
            cut(text, (6, 3), &count),
            [
                "One two three. Four five six.",
                "Four five six. Seven eight nine.",
                "Seven eight nine. Ten eleven twelve."
            ]
        );
        assert!(cut(" \n \n", (6, 3), &count).is_empty());
        // What has no ends at all is cut nevertheless.
        let long = "x".repeat(2_000);
        assert!(
            cut(&long, (1, 0), &count)
                .iter()
                .all(|passage| passage.len() <= PIECE)
        );
    }

    proptest! {
        #[test]
        fn nothing_but_space_is_lost_and_every_score_is_a_share(
            text in "([a-zäß.。\n ]{0,40}){0,12}", size in 1_u64..30, overlap in 0_u64..40, question in "[a-zäß ]{0,30}"
        ) {
            let passages = cut(&text, (size, overlap), &count);
            let mut at = 0;
            for passage in &passages {
                let start = passage.as_ptr() as usize - text.as_ptr() as usize;
                prop_assert!(start >= at || !text[start..at].is_empty());
                prop_assert!(text[at.min(start)..start].trim().is_empty());
                at = at.max(start + passage.len());
            }
            prop_assert!(text[at..].trim().is_empty());
            let mut lookup = Lookup::default();
            for passage in &passages {
                lookup.push(passage, &[0.6, 0.8]);
            }
            for hit in lookup.find((&question, Some(&[0.6, 0.8])), By::Both(0.4), 100, |_| true) {
                prop_assert!((0.0..=1.0001).contains(&hit.score));
            }
        }
    }
}
