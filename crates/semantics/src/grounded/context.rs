//! What an answer may go by, indexed: which words, numbers and classes occur, and where.

use std::collections::{HashMap, HashSet};
use std::hash::BuildHasher;

use super::words::{Text, Word};
use crate::similar::Lexicon;

/// Words of a context that are read.
const MOST_WORDS: usize = 65_536;
/// Places of one word that are looked at, the first.
pub(crate) const MOST_PLACES: usize = 32;
/// Letters by which words of one root are known.
const ROOT: usize = 5;

type Hasher = foldhash::fast::FixedState;

/// Texts that an answer may go by.
#[derive(Debug, Clone, Default)]
pub struct Context {
    pub(crate) text: Text,
    stems: HashMap<u64, Vec<u32>, Hasher>,
    classes: HashMap<u16, Vec<(u8, u32)>, Hasher>,
    /// By value.
    numbers: Vec<(f64, u32)>,
    grams: HashSet<u64, Hasher>,
    roots: HashSet<u64, Hasher>,
    /// One bit for each month of a date in digits.
    months: u16,
}

/// Whether a number is among those of the context.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counted {
    /// It is.
    Same,
    /// One is that becomes it by rounding.
    Rounded,
    /// It is not.
    Missing,
}

fn hash(text: &str) -> u64 {
    Hasher::default().hash_one(text)
}

impl Context {
    /// Reads texts, at most 65,536 words of them together.
    pub(crate) fn read<'t>(lexicon: &Lexicon, texts: impl IntoIterator<Item = &'t str>) -> Self {
        let mut context = Self::default();
        for text in texts {
            context.text.add(lexicon, text, MOST_WORDS);
        }
        context.index();
        context
    }

    /// Whether there is nothing to go by.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.text.words.is_empty()
    }

    /// Whether there was more than is read.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.text.cut
    }

    /// How many words it has.
    #[must_use]
    pub fn words(&self) -> usize {
        self.text.words.len()
    }

    #[allow(
        clippy::cast_possible_truncation,
        reason = "a context has a few ten thousand words"
    )]
    fn index(&mut self) {
        let text = std::mem::take(&mut self.text);
        for (place, word) in text.words.iter().enumerate() {
            let place = place as u32;
            let places = self.stems.entry(hash(text.stem(word))).or_default();
            if places.len() < MOST_PLACES {
                places.push(place);
            }
            for (class, member) in text.classes(word) {
                let members = self.classes.entry(*class).or_default();
                if members.len() < MOST_PLACES {
                    members.push((*member, place));
                }
            }
            for number in [word.number, word.bare].into_iter().flatten() {
                self.numbers.push((number, place));
            }
            each_gram(text.text(word), |gram| {
                self.grams.insert(hash(gram));
            });
            if let Some(root) = root(text.text(word)) {
                self.roots.insert(hash(root));
            }
        }
        for three in text.words.windows(3) {
            let [year, month, day] = three else { continue };
            let digits = |word: &Word, least: usize| word.look.digits && word.at.len() == least;
            let joined = year.at.end + 1 == month.at.start && month.at.end + 1 == day.at.start;
            if joined
                && digits(year, 4)
                && digits(month, 2)
                && let Some(number @ 1.0..=12.0) = month.number
            {
                #[allow(clippy::cast_sign_loss, reason = "between 1 and 12")]
                {
                    self.months |= 1 << number as u16;
                }
            }
        }
        self.numbers.sort_by(|a, b| a.0.total_cmp(&b.0));
        self.text = text;
    }

    /// Where words of a stem stand.
    pub(crate) fn places(&self, stem: &str) -> &[u32] {
        self.stems.get(&hash(stem)).map_or(&[], Vec::as_slice)
    }

    /// Where members of a class stand.
    pub(crate) fn members(&self, class: u16) -> &[(u8, u32)] {
        self.classes.get(&class).map_or(&[], Vec::as_slice)
    }

    /// Whether a word of the same root occurs.
    pub(crate) fn has_root(&self, word: &str) -> bool {
        root(word).is_some_and(|root| self.roots.contains(&hash(root)))
    }

    /// Whether a month of this number stands in a date in digits.
    pub(crate) fn has_month(&self, month: u16) -> bool {
        self.months & (1 << month) != 0
    }

    /// The share of a word's groups of letters that occur in some word.
    #[allow(clippy::cast_precision_loss, reason = "a word is short")]
    pub(crate) fn coverage(&self, word: &str) -> f32 {
        let (mut all, mut known) = (0_usize, 0_usize);
        each_gram(word, |gram| {
            all += 1;
            known += usize::from(self.grams.contains(&hash(gram)));
        });
        if all == 0 { 0.0 } else { known as f32 / all as f32 }
    }

    /// Whether a number occurs that may be a time of day, but is not told as one.
    pub(crate) fn has_bare(&self, value: f64) -> bool {
        let start = self.numbers.partition_point(|(known, _)| *known < value);
        self.numbers[start..]
            .iter()
            .take_while(|(known, _)| *known <= value)
            .any(|(_, place)| {
                let word = self.text.words.get(*place as usize);
                word.is_some_and(|word| word.bare.is_none())
            })
    }

    /// Whether a number that is told with this grain occurs, and where the first place is.
    pub(crate) fn counted(&self, value: f64, grain: f64) -> (Counted, Option<u32>) {
        let within = |width: f64| {
            let start = self.numbers.partition_point(|(known, _)| *known < value - width);
            let near = self.numbers[start..].iter();
            near.take_while(move |(known, _)| *known <= value + width)
                .map(|(_, place)| *place)
        };
        if let Some(place) = within(value.abs() * 1e-9 + 1e-9).next() {
            return (Counted::Same, Some(place));
        }
        // Only what is told more coarsely than it was given is rounded.
        let finer = |place: &u32| {
            let word = self.text.words.get(*place as usize);
            word.is_some_and(|word| word.grain > 0.0 && word.grain < grain)
        };
        match within(0.5 * grain + 1e-9).take(MOST_PLACES).find(finer) {
            Some(place) => (Counted::Rounded, Some(place)),
            None => (Counted::Missing, None),
        }
    }
}

/// The first letters of a word that is long enough to have a root.
fn root(word: &str) -> Option<&str> {
    let mut places = word.char_indices();
    let (end, _) = places.nth(ROOT)?;
    word.chars().all(char::is_alphabetic).then(|| &word[..end])
}

/// Groups of three letters; of two in scripts whose letters say more.
fn each_gram(word: &str, mut each: impl FnMut(&str)) {
    let size = if word.starts_with(|first: char| first >= '\u{2e80}') {
        2
    } else {
        3
    };
    let places: Vec<usize> = word
        .char_indices()
        .map(|(place, _)| place)
        .chain([word.len()])
        .collect();
    if places.len() <= size {
        each(word);
        return;
    }
    for window in places.windows(size + 1) {
        if let (Some(start), Some(end)) = (window.first(), window.last()) {
            each(&word[*start..*end]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_occurs_is_found() {
        let lexicon = Lexicon::shipped().unwrap();
        let texts = [
            "The towers were finished on 2019-03-04.",
            "They cost 18.26 million.",
        ];
        let context = Context::read(&lexicon, texts);
        assert_eq!(context.places("tower"), [1]);
        assert!(context.has_root("finishing") && !context.has_root("beginning"));
        assert!(context.has_month(3) && !context.has_month(4));
        assert_eq!(context.counted(18.26e6, 1e4).0, Counted::Same);
        assert_eq!(context.counted(18e6, 1e6).0, Counted::Rounded);
        assert_eq!(context.counted(19e6, 1e6).0, Counted::Missing);
        assert_eq!(context.counted(2019.0, 1.0).0, Counted::Same);
        assert!(context.coverage("towers") > 0.99 && context.coverage("zyx") < 0.01);
        assert_eq!(context.text.sentences, 2);
    }

    #[test]
    fn what_is_told_more_coarsely_is_rounded() {
        let lexicon = Lexicon::shipped().unwrap();
        let context = Context::read(&lexicon, ["{\"temperature\": 18.26}"]);
        assert_eq!(context.counted(18.0, 1.0).0, Counted::Rounded);
        assert_eq!(context.counted(18.3, 0.1).0, Counted::Rounded);
        assert_eq!(context.counted(18.4, 0.1).0, Counted::Missing);
        let whole = Context::read(&lexicon, ["18 apples"]);
        assert_eq!(whole.counted(18.3, 0.1).0, Counted::Missing);
    }
}
