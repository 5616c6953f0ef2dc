//! A text cut into words that know where they stood: folded, with what the lists say of each, by sentence and clause.

use std::ops::Range;

use super::numbers::time;
use crate::similar::{Lexicon, fold, role, stem};

/// A word of a text.
#[derive(Debug, Clone)]
pub(crate) struct Word {
    /// Its bytes in the text.
    pub at: Range<usize>,
    /// Its bytes in the folded text.
    pub folded: Range<usize>,
    /// First byte behind its stem in the folded text.
    pub stem: usize,
    /// Its value, if it is a number, with what belongs to it (`1.2 million`, `5 pm`).
    pub number: Option<f64>,
    /// What it says by itself, where it tells a time of day together with others: 5 of `5 pm`.
    pub bare: Option<f64>,
    /// How coarsely that is told: 0.1 for `2.5`, 100,000 for `17.8 million`, 1,000 for `25,000`.
    pub grain: f64,
    /// How it is written, and what it is.
    pub look: Look,
    /// Which sentence of the text.
    pub sentence: u32,
    /// Which clause of the text: what stands between commas, colons and brackets.
    pub clause: u32,
    /// Class and member, as a range of [`Text::classes`].
    pub classes: Range<usize>,
}

/// How a word is written, and what it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(crate) struct Look {
    /// With a capital, not at the start of a sentence.
    pub name: bool,
    /// With a capital at the start of a sentence.
    pub first: bool,
    /// All of it in capitals.
    pub upper: bool,
    /// Begins with a digit.
    pub digits: bool,
    /// A word that says little by itself.
    pub small: bool,
    /// Denies.
    pub denies: bool,
    /// A word that many texts have.
    pub known: bool,
}

/// A text in words.
#[derive(Debug, Clone, Default)]
pub(crate) struct Text {
    folded: String,
    /// In order.
    pub words: Vec<Word>,
    classes: Vec<(u16, u8)>,
    /// How many sentences.
    pub sentences: u32,
    clauses: u32,
    /// It has more words than were read.
    pub cut: bool,
}

/// The longest word, in bytes; longer ones are cut into several.
const LONGEST_WORD: usize = 64;

/// What characters a word is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Script {
    Digit,
    Letter,
    Han,
    Kana,
    None,
}

fn script(character: char) -> Script {
    match character {
        '0'..='9' | '\u{ff10}'..='\u{ff19}' => Script::Digit,
        '\u{3041}'..='\u{30ff}' | '\u{31f0}'..='\u{31ff}' => Script::Kana,
        '\u{2e80}'..='\u{2fdf}' | '\u{3005}'..='\u{3007}' | '\u{3400}'..='\u{9fff}' => Script::Han,
        // Marks of scripts whose vowels stand on letters (Hindi, Thai, Arabic) belong to words.
        '\u{300}'..='\u{36f}' | '\u{5b0}'..='\u{5c7}' | '\u{64b}'..='\u{65f}' | '\u{900}'..='\u{dff}' => {
            Script::Letter
        }
        '\u{e31}' | '\u{e34}'..='\u{e3a}' | '\u{e47}'..='\u{e4e}' => Script::Letter,
        _ if character.is_alphabetic() => Script::Letter,
        _ => Script::None,
    }
}

impl Text {
    /// Reads a text, at most `most` words of it.
    pub(crate) fn read(lexicon: &Lexicon, text: &str, most: usize) -> Self {
        let mut read = Self::default();
        read.add(lexicon, text, most);
        read
    }

    /// Reads another text behind what there is; `most` words together.
    pub(crate) fn add(&mut self, lexicon: &Lexicon, text: &str, most: usize) {
        let begun = self.words.len();
        self.end_sentence();
        self.cut_words(text, most);
        let languages = self.languages(lexicon, begun);
        for at in begun..self.words.len() {
            self.describe(lexicon, at, languages);
        }
        self.compose(begun);
    }

    /// The word, folded.
    pub(crate) fn text(&self, word: &Word) -> &str {
        &self.folded[word.folded.clone()]
    }

    /// The word without its ending.
    pub(crate) fn stem(&self, word: &Word) -> &str {
        &self.folded[word.folded.start..word.stem]
    }

    /// Classes and members of a word.
    pub(crate) fn classes(&self, word: &Word) -> &[(u16, u8)] {
        &self.classes[word.classes.clone()]
    }

    fn cut_words(&mut self, text: &str, most: usize) {
        let mut at = 0;
        let mut fresh = true;
        while let Some(next) = text[at..].chars().next() {
            if self.words.len() >= most {
                self.cut = true;
                return;
            }
            match script(next) {
                Script::None => {
                    fresh |= self.mark(text, at, next);
                    at += next.len_utf8();
                }
                Script::Digit => {
                    at = self.digits(text, at);
                    fresh = false;
                }
                kind => {
                    at = self.letters(text, at, kind, fresh);
                    fresh = false;
                }
            }
        }
    }

    /// A character between words; true when a sentence begins behind it.
    fn mark(&mut self, text: &str, at: usize, mark: char) -> bool {
        let rest = &text[at + mark.len_utf8()..];
        match mark {
            '\n' | '。' | '！' | '？' | '।' | '!' | '?' => self.end_sentence(),
            '.' if rest.starts_with(|next: char| next.is_whitespace()) || rest.is_empty() => {
                // One capital before a point is an initial: `J. Smith`.
                let initial = self.words.last().is_some_and(|word| {
                    word.at.end == at && word.at.len() == 1 && (word.look.name || word.look.first)
                });
                !initial && self.end_sentence()
            }
            ',' | ';' | ':' | '(' | ')' | '[' | ']' | '|' | '—' | '–' | '、' | '，' | '；' | '"' | '“'
            | '”' => {
                self.clauses += 1;
                false
            }
            '%' | '$' | '€' | '£' | '¥' | '₩' | '₹' | '°' | '＝' | '=' | '+' => {
                self.push(at..at + mark.len_utf8(), Look::default(), |folded| {
                    folded.push(mark);
                });
                false
            }
            _ => false,
        }
    }

    fn end_sentence(&mut self) -> bool {
        // A sentence without words is none.
        if self
            .words
            .last()
            .is_some_and(|word| word.sentence == self.sentences)
        {
            self.sentences += 1;
            self.clauses += 1;
        }
        true
    }

    fn push(&mut self, at: Range<usize>, look: Look, put: impl FnOnce(&mut String)) {
        let start = self.folded.len();
        put(&mut self.folded);
        let end = self.folded.len();
        if end > start {
            self.words.push(Word {
                at,
                folded: start..end,
                stem: end,
                number: None,
                bare: None,
                grain: 0.0,
                look,
                sentence: self.sentences,
                clause: self.clauses,
                classes: 0..0,
            });
        }
    }

    /// Digits with points, commas and colons between them; gives the byte behind.
    fn digits(&mut self, text: &str, start: usize) -> usize {
        let mut end = start;
        let mut characters = text[start..].char_indices().peekable();
        while let Some((place, next)) = characters.next() {
            if place >= LONGEST_WORD {
                break;
            }
            let goes_on = script(next) == Script::Digit
                || (matches!(next, '.' | ',' | ':')
                    && characters
                        .peek()
                        .is_some_and(|(_, digit)| script(*digit) == Script::Digit));
            if !goes_on {
                break;
            }
            end = start + place + next.len_utf8();
        }
        let written = &text[start..end];
        // `21st`, `2nd`: the ending says nothing.
        let tail = text.get(end..end + 2).unwrap_or_default();
        let ordinal = ["st", "nd", "rd", "th"].contains(&tail)
            && !text[end + 2..].starts_with(|next: char| next.is_alphanumeric());
        let look = Look {
            digits: true,
            ..Look::default()
        };
        self.push(start..end, look, |folded| {
            folded.extend(written.chars().map(|digit| match digit {
                '\u{ff10}'..='\u{ff19}' => char::from_u32(digit as u32 - 0xfee0).unwrap_or(digit),
                other => other,
            }));
        });
        if let Some(word) = self.words.last_mut() {
            (word.number, word.grain) = value(&self.folded[word.folded.clone()]);
        }
        if ordinal { end + 2 } else { end }
    }

    /// A word of letters; gives the byte behind.
    fn letters(&mut self, text: &str, start: usize, kind: Script, fresh: bool) -> usize {
        let mut end = start;
        let (mut upper, mut count) = (true, 0);
        for (place, next) in text[start..].char_indices() {
            let here = script(next);
            let goes_on = here == kind || (kind == Script::Letter && here == Script::Digit);
            if !goes_on || place >= LONGEST_WORD {
                break;
            }
            upper &= !next.is_lowercase();
            count += 1;
            end = start + place + next.len_utf8();
        }
        let written = &text[start..end];
        let capital = written.starts_with(char::is_uppercase);
        let look = Look {
            name: capital && !fresh,
            first: capital && fresh,
            upper: upper && capital && count > 1,
            ..Look::default()
        };
        let (tail, behind) = after_apostrophe(text, end);
        match tail.as_str() {
            "t" if written.ends_with(['n', 'N']) => {
                let base = written.to_lowercase();
                let base = match base.as_str() {
                    "can" => "can",
                    "won" => "will",
                    "shan" => "shall",
                    other => other.strip_suffix('n').unwrap_or(other),
                };
                let middle = end - 1;
                self.push(start..middle, look, |folded| folded.push_str(base));
                self.push(middle..behind, Look::default(), |folded| folded.push_str("not"));
                behind
            }
            "s" | "re" | "ve" | "ll" | "d" | "m" => {
                self.push(start..end, look, |folded| folded_into(written, folded));
                behind
            }
            _ => {
                self.push(start..end, look, |folded| folded_into(written, folded));
                end
            }
        }
    }

    /// One bit for each language whose small words these have most of; all where none has any.
    fn languages(&self, lexicon: &Lexicon, begun: usize) -> u16 {
        let mut votes = [0_u32; 16];
        for word in self.words[begun..].iter().take(256) {
            for entry in lexicon.word(self.text(word)) {
                if entry.roles & (role::SMALL | role::NOT) != 0 {
                    let place = entry.languages.trailing_zeros() as usize;
                    if let Some(vote) = votes.get_mut(place) {
                        *vote += 1;
                    }
                }
            }
        }
        let most = votes.iter().copied().max().unwrap_or(0);
        if most == 0 {
            return u16::MAX;
        }
        (0..)
            .zip(votes)
            .filter(|(_, count)| *count == most)
            .fold(0, |bits, (place, _)| bits | 1 << place)
    }

    fn describe(&mut self, lexicon: &Lexicon, at: usize, languages: u16) {
        let Some(word) = self.words.get(at) else { return };
        let text = &self.folded[word.folded.clone()];
        let start = self.classes.len();
        let (mut roles, mut number) = (0, word.number);
        for entry in lexicon.word(text) {
            if entry.languages & languages != 0 {
                roles |= entry.roles;
                // `one` is a small word before it is a number.
                number = number.or(entry.number.filter(|_| entry.roles & role::SMALL == 0));
                self.classes.extend_from_slice(&entry.classes);
            }
        }
        let known = lexicon.known(text);
        let ending = stem(text);
        if let Some(word) = self.words.get_mut(at) {
            word.classes = start..self.classes.len();
            word.number = number;
            word.stem = word.folded.start + ending;
            word.look.small = roles & role::SMALL != 0 && number.is_none() && !word.look.upper;
            word.look.denies = roles & role::NOT != 0;
            word.look.known = known || roles != 0 || !word.classes.is_empty();
        }
    }
}

fn folded_into(written: &str, folded: &mut String) {
    let start = folded.len();
    written.chars().for_each(|character| fold(character, folded));
    let same = match &folded[start..] {
        "percent" | "percentage" => "%",
        "dollars" | "dollar" | "usd" => "$",
        "euros" | "euro" | "eur" => "€",
        "degrees" | "degree" => "°",
        _ => return,
    };
    folded.truncate(start);
    folded.push_str(same);
}

/// The letters behind an apostrophe, and the byte behind them; empty where there is none.
fn after_apostrophe(text: &str, at: usize) -> (String, usize) {
    let mut characters = text[at..].char_indices();
    match characters.next() {
        Some((_, '\'' | '\u{2019}' | '\u{2bc}')) => {}
        _ => return (String::new(), at),
    }
    let (mut tail, mut end) = (String::new(), at);
    for (place, next) in characters {
        if !next.is_alphabetic() || tail.len() > 4 {
            break;
        }
        tail.extend(next.to_lowercase());
        end = at + place + next.len_utf8();
    }
    (tail, end)
}

/// The value of digits with marks between them, and how coarsely it is told.
fn value(text: &str) -> (Option<f64>, f64) {
    if text.contains(':') {
        let digits: String = text.chars().filter(char::is_ascii_digit).collect();
        return (digits.parse().ok().map(time), 0.0);
    }
    let marks = text.matches(['.', ',']).count();
    let grouped = text.split(['.', ',']).skip(1).all(|part| part.len() == 3);
    match text.rfind(['.', ',']) {
        Some(place) if !grouped || text.starts_with('0') => {
            let whole: String = text[..place].chars().filter(char::is_ascii_digit).collect();
            let part = &text[place + 1..];
            let grain = 0.1_f64.powi(i32::try_from(part.len()).unwrap_or(i32::MAX));
            // Several points are a version, a date or an address, and no number.
            let single = marks == 1
                || text[..place]
                    .split(['.', ','])
                    .skip(1)
                    .all(|part| part.len() == 3);
            let value = format!("{whole}.{part}").parse().ok();
            (value.filter(|_| single), grain)
        }
        _ => {
            let digits: String = text.chars().filter(char::is_ascii_digit).collect();
            let zeros = digits.len() - digits.trim_end_matches('0').len();
            // A year that ends with a zero is no round number; what has five digits may be.
            let grain = match digits.len() {
                0..5 => 1.0,
                _ => 10_f64.powi(i32::try_from(zeros).unwrap_or(0)),
            };
            (digits.parse().ok(), grain)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Text {
        Text::read(&Lexicon::shipped().unwrap(), text, 1_000)
    }

    #[test]
    fn words_know_where_they_stood() {
        let text = "It doesn't cost 1.2 million dollars, Zoë said. The 21st of März: 5 %.";
        let read = read(text);
        let told: Vec<(&str, &str)> = read
            .words
            .iter()
            .map(|word| (&text[word.at.clone()], read.text(word)))
            .collect();
        assert_eq!(
            told,
            [
                ("It", "it"),
                ("does", "does"),
                ("n't", "not"),
                ("cost", "cost"),
                ("1.2", "1.2"),
                ("million", "million"),
                ("dollars", "$"),
                ("Zoë", "zoe"),
                ("said", "said"),
                ("The", "the"),
                ("21", "21"),
                ("of", "of"),
                ("März", "marz"),
                ("5", "5"),
                ("%", "%")
            ]
        );
        let word = |at: usize| &read.words[at];
        assert!(word(2).look.denies && word(7).look.name && word(0).look.first && !word(9).look.name);
        assert_eq!((word(4).number, word(5).number), (Some(1.2e6), Some(1.2e6)));
        assert_eq!((word(3).sentence, word(9).sentence), (0, 1));
        assert!(word(6).clause < word(7).clause && word(12).clause < word(13).clause);
    }

    #[test]
    fn numbers_have_their_value() {
        for (text, wanted) in [
            ("1,234", Some(1_234.0)),
            ("3.5", Some(3.5)),
            ("1.000,5", Some(1_000.5)),
            ("seventeen", Some(17.0)),
            ("10.0.0.1", None),
            ("09:30", Some(930.015_625)),
        ] {
            assert_eq!(read(text).words[0].number, wanted, "{text}");
        }
    }

    #[test]
    fn every_script_has_words() {
        for text in [
            "東京は日本の首都です。",
            "서울은 한국의 수도이다.",
            "Москва — столица России.",
            "กรุงเทพ",
            "दिल्ली भारत",
        ] {
            assert!(!read(text).words.is_empty(), "{text}");
        }
        let bounded = Text::read(&Lexicon::shipped().unwrap(), "a b c d", 3);
        assert!(bounded.cut && bounded.words.len() == 3);
    }
}
