//! A text cut into words: folded to small letters without accents, with what the way of writing tells of each.

/// How a word is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Look {
    /// With a capital, not at the start of a sentence.
    pub capital: bool,
    /// In capitals, all of it, and no single letter.
    pub upper: bool,
    /// Between quotation marks.
    pub quoted: bool,
    /// As code: in backticks, with underscores, or with capitals inside.
    pub code: bool,
    /// Begins with a digit.
    pub digits: bool,
    /// Hiragana, of which small words are made.
    pub kana: bool,
}

/// A word of a text, as a range of the folded text.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Raw {
    /// First byte in the folded text.
    pub start: usize,
    /// First byte behind it.
    pub end: usize,
    /// How it was written.
    pub look: Look,
}

/// What script a character is of, as far as cutting asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Script {
    Space,
    Mark,
    Digit,
    Letter,
    Hangul,
    Han,
    Hiragana,
    Katakana,
}

fn script(character: char) -> Script {
    match character {
        '0'..='9' => Script::Digit,
        'a'..='z' | 'A'..='Z' | '_' => Script::Letter,
        '\u{3041}'..='\u{309f}' => Script::Hiragana,
        '\u{30a0}'..='\u{30ff}' | '\u{31f0}'..='\u{31ff}' | '\u{ff66}'..='\u{ff9f}' => Script::Katakana,
        '\u{2e80}'..='\u{2fdf}'
        | '\u{3005}'..='\u{3007}'
        | '\u{3400}'..='\u{9fff}'
        | '\u{f900}'..='\u{faff}'
        | '\u{20000}'..='\u{3ffff}' => Script::Han,
        '\u{1100}'..='\u{11ff}' | '\u{3130}'..='\u{318f}' | '\u{ac00}'..='\u{d7ff}' => Script::Hangul,
        _ if character.is_alphabetic() || is_accent(character) => Script::Letter,
        _ if character.is_numeric() => Script::Letter,
        _ if character.is_whitespace() => Script::Space,
        _ => Script::Mark,
    }
}

fn is_accent(character: char) -> bool {
    matches!(character, '\u{300}'..='\u{36f}')
}

/// Full-width forms are plain ones; apostrophes are all one.
fn plain(character: char) -> char {
    match character {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(character as u32 - 0xfee0).unwrap_or(character),
        '\u{2018}' | '\u{2019}' | '\u{201b}' | '\u{2b9}' | '\u{2bc}' | '\u{60b}' => '\'',
        '\u{2212}' | '\u{2013}' | '\u{2014}' => '-',
        '\u{3000}' => ' ',
        other => other,
    }
}

/// Adds a character in small letters and without its accent. The marks of kana and the parts of Hangul stay.
pub(crate) fn fold(character: char, folded: &mut String) {
    if character.is_ascii() {
        folded.push(character.to_ascii_lowercase());
        return;
    }
    match character {
        'ß' => folded.push_str("ss"),
        'æ' | 'Æ' => folded.push_str("ae"),
        'œ' | 'Œ' => folded.push_str("oe"),
        'ø' | 'Ø' => folded.push('o'),
        'ı' | 'İ' => folded.push('i'),
        'ł' | 'Ł' => folded.push('l'),
        'đ' | 'Đ' => folded.push('d'),
        _ if is_accent(character) => {}
        '\u{c0}'..='\u{24f}' | '\u{1e00}'..='\u{1eff}' => {
            let small = character.to_lowercase().next().unwrap_or(character);
            let mut base = small;
            let mut first = true;
            unicode_normalization::char::decompose_canonical(small, |part| {
                if first {
                    base = part;
                    first = false;
                }
            });
            folded.push(base);
        }
        _ => folded.extend(character.to_lowercase()),
    }
}

/// Marks that say something by themselves.
const TELLING: &[char] = &[
    '%', '$', '€', '£', '¥', '₩', '₺', '₹', '+', '*', '/', '=', '<', '>', '^', '÷', '×', '°', '-', '→', '|',
    '&',
];

/// Reads a text, and hands each word on.
pub(crate) struct Cutter<'a> {
    characters: std::iter::Peekable<std::str::Chars<'a>>,
    folded: String,
    words: Vec<Raw>,
    quote: Option<char>,
    /// The next word is the first of a sentence.
    fresh: bool,
    /// What stood right before.
    before: char,
    most: usize,
}

/// Cuts a text into at most `most` words. Gives the folded text, its words, and whether there are more.
pub(crate) fn cut(text: &str, most: usize) -> (String, Vec<Raw>, bool) {
    let mut cutter = Cutter {
        characters: text.chars().peekable(),
        folded: String::with_capacity(text.len().min(most * 8)),
        words: Vec::with_capacity(most.min(text.len() / 5 + 4)),
        quote: None,
        fresh: true,
        before: ' ',
        most,
    };
    let more = cutter.run();
    (cutter.folded, cutter.words, more)
}

/// The longest word, in bytes; longer ones are cut into several.
const LONGEST_WORD: usize = 64;

impl Cutter<'_> {
    fn run(&mut self) -> bool {
        while let Some(next) = self.characters.peek().copied() {
            if self.words.len() >= self.most {
                return true;
            }
            let next = plain(next);
            match script(next) {
                Script::Space => {
                    self.characters.next();
                    self.before = ' ';
                    if next == '\n' {
                        self.fresh = true;
                    }
                }
                Script::Mark => self.mark(next),
                Script::Digit => self.number(),
                kind => self.word(kind),
            }
        }
        false
    }

    fn push(&mut self, start: usize, look: Look) {
        if start < self.folded.len() {
            let end = self.folded.len();
            let look = Look {
                quoted: self.quote.is_some_and(|mark| mark != '`'),
                code: look.code || self.quote == Some('`'),
                ..look
            };
            self.words.push(Raw { start, end, look });
        }
        self.fresh = false;
    }

    fn mark(&mut self, mark: char) {
        self.characters.next();
        let before = std::mem::replace(&mut self.before, mark);
        match mark {
            '.' | '!' | '?' | ':' | '。' | '？' | '！' | '¿' | '¡' => self.fresh = true,
            '"' | '“' | '„' | '”' | '«' | '»' | '「' | '」' | '『' | '』' | '`' => {
                self.fresh = true;
                self.quote = match (self.quote, mark) {
                    (Some(_), _) | (None, '”' | '」' | '』') => None,
                    (None, open) => Some(open),
                };
            }
            _ if TELLING.contains(&mark) => self.telling(mark, before),
            _ => {}
        }
    }

    fn telling(&mut self, mark: char, before: char) {
        let next = self.characters.peek().copied().map_or(' ', plain);
        let start = self.folded.len();
        match mark {
            // A hyphen joins words; a minus stands before a number; an arrow leads from one to the other.
            '-' if next == '>' => {
                self.characters.next();
                self.folded.push_str("->");
            }
            '-' if next.is_ascii_digit() && !before.is_alphanumeric() => self.folded.push_str("minus"),
            '-' if next == ' ' && before == ' ' && self.after_number() => self.folded.push_str("minus"),
            '-' | '|' | '>' => return,
            '→' => self.folded.push_str("->"),
            '&' => self.folded.push_str("and"),
            '×' => self.folded.push('*'),
            '÷' => self.folded.push('/'),
            other => self.folded.push(other),
        }
        self.push(start, Look::default());
    }

    fn after_number(&self) -> bool {
        self.words.last().is_some_and(|word| word.look.digits)
    }

    /// Digits, with points, commas and colons between them; then what is written against them: `5km`, `1st`.
    fn number(&mut self) {
        let start = self.folded.len();
        while let Some(next) = self.characters.peek().copied().map(plain) {
            if next.is_ascii_digit() && self.folded.len() - start < LONGEST_WORD {
                self.folded.push(next);
            } else if matches!(next, '.' | ',' | ':' | '\'') {
                let mut ahead = self.characters.clone();
                ahead.next();
                if !ahead.peek().is_some_and(|digit| plain(*digit).is_ascii_digit())
                    || self.folded.len() - start >= LONGEST_WORD
                {
                    break;
                }
                self.folded.push(if next == '\'' { ',' } else { next });
            } else {
                break;
            }
            self.characters.next();
        }
        self.before = '0';
        let look = Look {
            digits: true,
            ..Look::default()
        };
        let mut ahead = self.characters.clone();
        let tail: String = ahead
            .by_ref()
            .take_while(|next| next.is_alphabetic())
            .take(3)
            .flat_map(char::to_lowercase)
            .collect();
        if matches!(tail.as_str(), "st" | "nd" | "rd" | "th") {
            self.folded.push_str(&tail);
            for _ in 0..2 {
                self.characters.next();
            }
        }
        self.push(start, look);
    }

    fn word(&mut self, kind: Script) {
        let start = self.folded.len();
        let (mut capital, mut inner, mut under, mut first) = (false, false, false, true);
        let (mut upper, mut letters) = (true, 0);
        while let Some(raw) = self.characters.peek().copied() {
            let next = plain(raw);
            let here = script(next);
            let goes_on = here == kind || (here == Script::Digit && kind == Script::Letter);
            if !goes_on || self.folded.len() - start >= LONGEST_WORD {
                break;
            }
            self.characters.next();
            if next.is_uppercase() {
                capital |= first;
                inner |= !first && self.before.is_lowercase();
            }
            upper &= next.is_uppercase();
            letters += 1;
            under |= next == '_';
            first = false;
            self.before = next;
            fold(next, &mut self.folded);
        }
        self.sharp(start);
        let look = Look {
            capital: capital && !self.fresh,
            upper: upper && letters > 1,
            code: under || inner,
            kana: kind == Script::Hiragana,
            ..Look::default()
        };
        match kind {
            Script::Letter if &self.folded[start..] == "cannot" => {
                self.push(start, look);
                if let Some(word) = self.words.last_mut() {
                    word.end -= 3;
                    let (start, end) = (word.end, word.end + 3);
                    self.words.push(Raw {
                        start,
                        end,
                        look: Look::default(),
                    });
                }
            }
            Script::Letter => self.apostrophe(start, look),
            _ => self.push(start, look),
        }
    }

    /// `C++`, `C#` and `F#` are names.
    fn sharp(&mut self, start: usize) {
        if !matches!(&self.folded[start..], "c" | "f") {
            return;
        }
        while self
            .characters
            .peek()
            .is_some_and(|next| matches!(next, '+' | '#'))
            && self.folded.len() - start < 3
        {
            self.folded.extend(self.characters.next());
        }
    }

    /// What follows an apostrophe: English `n't` becomes `not`, other short endings go, suffixes and elided words stand alone.
    fn apostrophe(&mut self, start: usize, look: Look) {
        let mut ahead = self.characters.clone();
        let joined = ahead.next().is_some_and(|mark| plain(mark) == '\'');
        let tail: String = ahead
            .take_while(|next| next.is_alphabetic())
            .take(5)
            .flat_map(char::to_lowercase)
            .collect();
        if !joined || tail.is_empty() {
            self.push(start, look);
            return;
        }
        match tail.as_str() {
            "t" => {
                let base = match &self.folded[start..] {
                    "can" => "can".to_owned(),
                    "won" => "will".to_owned(),
                    "shan" => "shall".to_owned(),
                    other => other.strip_suffix('n').unwrap_or(other).to_owned(),
                };
                self.folded.truncate(start);
                self.folded.push_str(&base);
                self.push(start, look);
                let start = self.folded.len();
                self.folded.push_str("not");
                self.push(start, Look::default());
                self.skip(2);
            }
            "s" | "re" | "ve" | "ll" | "d" | "m" => {
                self.push(start, look);
                self.skip(1 + tail.len());
            }
            _ => {
                self.push(start, look);
                self.skip(1);
                self.before = '\'';
            }
        }
    }

    fn skip(&mut self, count: usize) {
        for _ in 0..count {
            self.characters.next();
        }
        self.before = 's';
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        let (folded, words, _) = cut(text, 1_000);
        words
            .iter()
            .map(|word| folded[word.start..word.end].to_owned())
            .collect()
    }

    #[test]
    fn words_are_folded_and_cut_where_scripts_change() {
        for (text, wanted) in [
            (
                "What's the Weather in Zürich?",
                vec!["what", "the", "weather", "in", "zurich"],
            ),
            (
                "I can't, won't, don't",
                vec!["i", "can", "not", "will", "not", "do", "not"],
            ),
            ("Ankara'dan İzmir'e", vec!["ankara", "dan", "izmir", "e"]),
            ("l’eau", vec!["l", "eau"]),
            (
                "5km at 1,000.50€ or 21st",
                vec!["5", "km", "at", "1,000.50", "€", "or", "21st"],
            ),
            ("台所の電気をつけて", vec!["台所", "の", "電気", "をつけて"]),
            ("サーバーを再起動", vec!["サーバー", "を", "再起動"]),
            (
                "is -5 less than 3-5, C++ or base64",
                vec![
                    "is", "minus", "5", "less", "than", "3", "5", "c++", "or", "base64",
                ],
            ),
            ("string -> int", vec!["string", "->", "int"]),
            ("ｆｕｌｌ　１２", vec!["full", "12"]),
        ] {
            assert_eq!(words(text), wanted, "{text}");
        }
    }

    #[test]
    fn looks_are_seen() {
        let (folded, words, more) = cut("Does Rome like \"blue sky\" and snake_case or camelCase?", 1_000);
        let named = |name: &str| {
            words
                .iter()
                .find(|word| &folded[word.start..word.end] == name)
                .unwrap()
                .look
        };
        assert!(named("rome").capital && !named("does").capital && !more);
        assert!(named("blue").quoted && named("sky").quoted && !named("and").quoted);
        assert!(named("snake_case").code && named("camelcase").code && !named("or").code);
        assert!(cut("a b c d", 3).2);
    }
}
