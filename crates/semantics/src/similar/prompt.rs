//! A prompt read for comparing: its words, with what the lists of its language say of each.

use super::lexicon::{self, LANGUAGES, Lexicon, role};
use super::text::{self, Look, Raw};

/// The most words of a prompt that are compared.
pub const LONGEST: usize = 2_048;

/// A word or a phrase.
#[derive(Debug, Clone)]
pub(crate) struct Word {
    /// As a range of the folded text.
    pub start: usize,
    /// First byte behind it.
    pub end: usize,
    /// Bytes of its stem, from the start.
    pub stem: usize,
    /// How it was written.
    pub look: Look,
    /// Bits of [`role`].
    pub roles: u8,
    /// Its value, if it is a number.
    pub number: Option<f64>,
    /// Class and member; as a range of [`Prompt::classes`].
    pub classes: (u32, u32),
    /// Bits of relations that it makes with what follows.
    pub relation: u16,
    /// Bits of relations that its own suffix tells.
    pub suffix: u16,
    /// A word that many texts have, or one of the lists.
    pub known: bool,
}

impl Word {
    /// Whether it is a small word.
    pub(crate) fn small(&self) -> bool {
        self.roles & role::SMALL != 0 && self.number.is_none()
    }

    /// Whether it denies.
    pub(crate) fn denies(&self) -> bool {
        self.roles & role::NOT != 0
    }
}

/// A prompt, ready to be compared with others.
#[derive(Debug, Clone)]
pub struct Prompt {
    pub(crate) folded: String,
    pub(crate) words: Vec<Word>,
    pub(crate) classes: Vec<(u16, u8)>,
    /// One bit for each language that it may be in.
    pub(crate) languages: u16,
    /// How many words told the language.
    pub(crate) votes: u32,
    /// It has more than [`LONGEST`] words.
    pub(crate) more: bool,
}

impl Prompt {
    /// The word, folded.
    pub(crate) fn text(&self, word: &Word) -> &str {
        &self.folded[word.start..word.end]
    }

    /// The word without its ending.
    pub(crate) fn stem(&self, word: &Word) -> &str {
        &self.folded[word.start..word.start + word.stem]
    }

    /// Classes and members of a word.
    pub(crate) fn classes(&self, word: &Word) -> &[(u16, u8)] {
        &self.classes[word.classes.0 as usize..word.classes.1 as usize]
    }

    /// Bytes in memory, about.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.folded.capacity() + self.words.capacity() * size_of::<Word>() + self.classes.capacity() * 4
    }

    pub(crate) fn read(lexicon: &Lexicon, text: &str) -> Self {
        let (folded, raws, more) = text::cut(text, LONGEST);
        let (languages, votes) = languages(lexicon, &folded, &raws);
        // In a text of capitals they say nothing.
        let shouted = 2 * raws.iter().filter(|raw| raw.look.upper).count() > raws.len();
        let mut prompt = Self {
            folded,
            words: Vec::with_capacity(raws.len()),
            classes: Vec::new(),
            languages,
            votes,
            more,
        };
        prompt.merge(lexicon, &raws, true);
        if !shouted {
            // `IN` and `ME` are names of states, `US` one of a country.
            for word in prompt.words.iter_mut().filter(|word| word.look.upper) {
                word.roles &= !role::SMALL;
            }
        }
        if prompt.words.is_empty() {
            // All of it is what usually stands around a question.
            prompt.merge(lexicon, &raws, false);
        }
        prompt.join_numbers();
        prompt
    }

    fn merge(&mut self, lexicon: &Lexicon, raws: &[Raw], drop: bool) {
        let mut place = 0;
        while place < raws.len() {
            let raw = &raws[place];
            let first = &self.folded[raw.start..raw.end];
            let longest = lexicon.longest(first).min(raws.len() - place);
            let mut taken = 0;
            let mut word = self.plain(raw);
            for count in (1..=longest).rev() {
                let mut key = String::new();
                let entries = if count == 1 {
                    lexicon.word(first)
                } else {
                    for part in &raws[place..place + count] {
                        lexicon::push(&mut key, &self.folded[part.start..part.end]);
                    }
                    lexicon.word(&key)
                };
                let start = self.classes.len();
                let mut any = false;
                for entry in entries
                    .iter()
                    .filter(|entry| entry.languages & self.languages != 0)
                {
                    any = true;
                    word.roles |= entry.roles;
                    word.number = word.number.or(entry.number);
                    word.relation |= entry.relation;
                    self.classes.extend_from_slice(&entry.classes);
                }
                if any {
                    #[allow(clippy::cast_possible_truncation, reason = "a prompt has few thousand words")]
                    {
                        word.classes = (start as u32, self.classes.len() as u32);
                    }
                    word.end = raws[place + count - 1].end;
                    word.known = true;
                    taken = count;
                    break;
                }
            }
            if taken <= 1 {
                word.known |= lexicon.known(&self.folded[word.start..word.end]);
                self.endings(&mut word);
            } else {
                word.stem = word.end - word.start;
            }
            if taken == 0 {
                self.inflected(lexicon, &mut word);
            }
            place += taken.max(1);
            // A small word that is also a filler stays where a list of relations or classes needs it.
            if !drop || word.roles & role::DROP == 0 {
                self.words.push(word);
            }
        }
    }

    /// What the lists say of a word without its ending.
    fn inflected(&mut self, lexicon: &Lexicon, word: &mut Word) {
        let text = &self.folded[word.start..word.end];
        let stem = &self.folded[word.start..word.start + word.stem];
        let mut entries = lexicon.word(if word.look.kana { text } else { stem });
        if entries.is_empty() && self.languages & TURKISH != 0 {
            let roots = TURKISH_ENDINGS
                .iter()
                .filter_map(|ending| text.strip_suffix(ending));
            let found = roots.filter(|root| root.len() >= 3).map(|root| {
                let plain = lexicon.word(root);
                match root.strip_suffix('g') {
                    // `mutfağın` is of `mutfak`.
                    Some(short) if plain.is_empty() => lexicon.word(&format!("{short}k")),
                    _ => plain,
                }
            });
            entries = found
                .into_iter()
                .find(|found| !found.is_empty())
                .unwrap_or_default();
        }
        let start = self.classes.len();
        for entry in entries
            .iter()
            .filter(|entry| entry.languages & self.languages != 0)
        {
            self.classes.extend_from_slice(&entry.classes);
            word.number = word.number.or(entry.number);
            word.known = true;
            if word.look.kana {
                word.roles |= entry.roles;
            }
        }
        #[allow(clippy::cast_possible_truncation, reason = "a prompt has few thousand words")]
        {
            word.classes = (start as u32, self.classes.len() as u32);
        }
    }

    fn plain(&self, raw: &Raw) -> Word {
        let text = &self.folded[raw.start..raw.end];
        Word {
            start: raw.start,
            end: raw.end,
            stem: raw.end - raw.start,
            look: raw.look,
            roles: 0,
            number: if raw.look.digits { value(text) } else { None },
            classes: (0, 0),
            relation: 0,
            suffix: 0,
            known: false,
        }
    }

    /// What a word's own ending tells: its stem, and in Turkish, Korean and Japanese where it stands in the sentence.
    fn endings(&self, word: &mut Word) {
        let text = &self.folded[word.start..word.end];
        let last = text.chars().next_back().unwrap_or(' ');
        if matches!(last, '\u{ac00}'..='\u{d7a3}') {
            for (ending, relation) in KOREAN {
                if let Some(stem) = text.strip_suffix(ending)
                    && stem.chars().count() >= 1
                    && (ending.len() > 3 || stem.chars().count() >= 2)
                {
                    word.stem = stem.len();
                    word.suffix = *relation;
                    break;
                }
            }
            if word.denies() || text.contains("않") || text.contains("말고") || text.contains("지마") {
                word.roles |= role::NOT;
            }
        } else if word.look.kana {
            if ["ない", "ません", "なく", "ずに", "なかった"]
                .iter()
                .any(|ending| text.contains(ending))
            {
                word.roles |= role::NOT;
            }
            if let Some(rest) = ["を", "が", "は", "に", "で", "の", "と", "も", "へ"]
                .iter()
                .find_map(|particle| text.strip_prefix(particle))
                && !rest.is_empty()
            {
                word.start = word.end - rest.len();
                word.stem = rest.len();
            }
            // Runs of kana are mostly endings.
            if text.chars().count() <= 3 {
                word.roles |= role::SMALL;
            }
        } else if self.languages & TURKISH != 0 && self.votes > 0 {
            for ending in ["mayin", "meyin", "miyor", "muyor", "maz", "mez", "madan", "meden"] {
                if text.len() > ending.len() + 2 && text.contains(ending) {
                    word.roles |= role::NOT;
                }
            }
            // `alkolsüz`: without alcohol.
            if text.len() > 6 && ["siz", "suz"].iter().any(|ending| text.ends_with(ending)) {
                word.roles |= role::NOT;
            }
        } else if word.number.is_none() {
            word.stem = stem(text);
        }
    }

    /// `two hundred and five` is one number, `5 pm` a time.
    fn join_numbers(&mut self) {
        let mut kept: Vec<Word> = Vec::with_capacity(self.words.len());
        for word in std::mem::take(&mut self.words) {
            let spelled = word.number.filter(|_| !word.look.digits);
            if let (Some(own), Some(before)) = (spelled, kept.last_mut())
                && let Some(earlier) = before.number
                && let Some(sum) = joined(earlier, own, before.look.digits)
            {
                before.number = Some(sum);
                before.end = word.end;
                before.stem = before.end - before.start;
                continue;
            }
            kept.push(word);
        }
        self.words = kept;
    }
}

const TURKISH: u16 = 1 << 6;

/// Endings of Turkish nouns, folded, the longer ones first.
const TURKISH_ENDINGS: &[&str] = &[
    "larini", "lerini", "lardan", "lerden", "larin", "lerin", "lari", "leri", "lar", "ler", "sinin", "sini",
    "sina", "sine", "sinda", "sinde", "dan", "den", "tan", "ten", "nin", "nun", "yla", "yle", "da", "de",
    "ta", "te", "in", "un", "im", "um", "yi", "yu", "ya", "ye", "si", "su", "la", "le", "ne", "na", "me",
    "ma", "i", "u", "a", "e",
];
const FROM: u16 = 1;
const TO: u16 = 2;

/// Endings of Korean words, the longer ones first, with the relations that they tell.
const KOREAN: &[(&str, u16)] = &[
    ("에서부터", FROM),
    ("에서는", FROM),
    ("으로부터", FROM),
    ("까지는", TO),
    ("이라는", 0),
    ("에서", FROM),
    ("부터", FROM),
    ("까지", TO),
    ("으로", TO),
    ("에게", TO),
    ("한테", TO),
    ("이랑", 0),
    ("하고", 0),
    ("에는", 0),
    ("은", 0),
    ("는", 0),
    ("이", 0),
    ("가", 0),
    ("을", 0),
    ("를", 0),
    ("에", 0),
    ("의", 0),
    ("도", 0),
    ("로", TO),
    ("와", 0),
    ("과", 0),
    ("만", 0),
    ("랑", 0),
];

/// `twenty` and `five`, `two` and `hundred`: what they are together.
fn joined(earlier: f64, own: f64, digits: bool) -> Option<f64> {
    if own >= 100.0 && earlier < own {
        return Some(earlier * own);
    }
    let tens = (20.0..100.0).contains(&earlier) && earlier % 10.0 == 0.0 && own < 10.0 && own > 0.0;
    let hundreds = earlier >= 100.0 && own < 100.0 && earlier % 100.0 == 0.0;
    (!digits && (tens || hundreds)).then_some(earlier + own)
}

/// The value of digits with points, commas and colons. Versions and the like have none, and are words.
fn value(text: &str) -> Option<f64> {
    let digits = text.trim_end_matches(|character: char| character.is_alphabetic());
    if digits.contains(':') {
        // Hours and minutes, as no other number is written.
        let joined: String = digits.chars().filter(char::is_ascii_digit).collect();
        return joined.parse::<f64>().ok().map(|time| time + 0.015_625);
    }
    let marks = digits.matches(['.', ',']).count();
    let groups = digits.split(['.', ',']).skip(1).all(|part| part.len() == 3);
    if marks > 0 && groups && !digits.starts_with('0') {
        let joined: String = digits.chars().filter(char::is_ascii_digit).collect();
        return joined.parse().ok();
    }
    let decimal = digits.rfind(['.', ',']);
    match (marks, decimal) {
        (0, _) => digits.parse().ok(),
        (1, _) => digits.replace(',', ".").parse().ok(),
        (_, Some(place)) => {
            let (whole, part) = digits.split_at(place);
            let grouped = whole.split(['.', ',']).skip(1).all(|part| part.len() == 3);
            let whole: String = whole.chars().filter(char::is_ascii_digit).collect();
            let text = format!("{whole}.{}", &part[1..]);
            grouped.then(|| text.parse().ok()).flatten()
        }
        _ => None,
    }
}

/// Bytes of a word without the endings of plural and past, for words in plain letters.
pub(crate) fn stem(text: &str) -> usize {
    let bytes = text.as_bytes();
    if text.len() < 4 || !bytes.iter().all(u8::is_ascii_lowercase) {
        return text.len();
    }
    let mut end = text.len();
    for (ending, least) in [
        ("ing", 6),
        ("ies", 5),
        ("ied", 5),
        ("es", 5),
        ("ed", 5),
        ("s", 4),
        ("ly", 6),
    ] {
        if text.len() >= least && text.ends_with(ending) && !text.ends_with("ss") {
            end -= ending.len();
            break;
        }
    }
    let stem = &bytes[..end];
    let doubled = || end < text.len() && stem[end - 1] == stem[end - 2] && stem[end - 1] != b's';
    if end > 3 && (matches!(stem[end - 1], b'e' | b'y' | b'i') || doubled()) {
        return end - 1;
    }
    end
}

/// The languages whose small words a text has most of; all of them if it has none.
fn languages(lexicon: &Lexicon, folded: &str, raws: &[Raw]) -> (u16, u32) {
    let mut votes = [0_u32; LANGUAGES.len()];
    // The first words tell; a long text has enough of them.
    for raw in raws.iter().take(256) {
        let text = &folded[raw.start..raw.end];
        let first = text.chars().next().unwrap_or(' ');
        if matches!(first, '\u{ac00}'..='\u{d7a3}') {
            votes[8] += 3;
        } else if raw.look.kana {
            votes[7] += 3;
        }
        let entries = lexicon.word(text);
        for entry in entries {
            if entry.roles & (role::SMALL | role::NOT | role::DROP) != 0 {
                let place = entry.languages.trailing_zeros() as usize;
                votes[place] += 2;
            } else if entry.number.is_some() || !entry.classes.is_empty() {
                votes[entry.languages.trailing_zeros() as usize] += 1;
            }
        }
    }
    let most = votes.iter().copied().max().unwrap_or(0);
    if most == 0 {
        let all = if folded.is_ascii() {
            1
        } else {
            (1 << LANGUAGES.len()) - 1
        };
        return (all, 0);
    }
    // Short texts share words with neighbours: those that come near stay.
    let bits = (0..).zip(votes).filter(|(_, count)| *count * 5 >= most * 4);
    (bits.fold(0, |bits, (place, _)| bits | 1 << place), most)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Prompt {
        Prompt::read(&Lexicon::shipped().unwrap(), text)
    }

    fn words(text: &str) -> Vec<String> {
        let prompt = read(text);
        prompt
            .words
            .iter()
            .map(|word| prompt.text(word).to_owned())
            .collect()
    }

    #[test]
    fn what_is_around_a_question_goes() {
        assert_eq!(
            words("Hi, can you tell me who wrote Hamlet, please?"),
            ["who", "wrote", "hamlet"]
        );
        assert_eq!(
            words("My question is: who wrote Hamlet"),
            ["who", "wrote", "hamlet"]
        );
        assert_eq!(words("thanks"), ["thanks"]);
    }

    #[test]
    fn numbers_have_their_value() {
        for (text, wanted) in [
            ("twenty five", 25.0),
            ("two hundred five", 205.0),
            ("3 million", 3e6),
            ("1,000", 1_000.0),
            ("1.000,5", 1_000.5),
            ("3.5", 3.5),
            ("21st", 21.0),
            ("fünfundzwanzig Tage für das", 25.0),
        ] {
            let prompt = read(text);
            assert_eq!(prompt.words[0].number, Some(wanted), "{text}");
        }
        assert_eq!(read("version 3.11.2").words[1].number, None);
    }

    #[test]
    fn languages_are_known_by_their_small_words() {
        for (text, language) in [
            ("Where is the station?", 0),
            ("¿Dónde está la estación?", 1),
            ("Où est la gare ?", 2),
            ("Wo ist der Bahnhof?", 3),
            ("Dove si trova la stazione?", 4),
            ("Onde fica a estação?", 5),
            ("İstasyon nerede ve nasıl giderim?", 6),
            ("駅はどこですか", 7),
            ("역은 어디에 있어?", 8),
        ] {
            assert_eq!(read(text).languages, 1 << language, "{text}");
        }
    }

    #[test]
    fn stems_leave_endings_out() {
        let same = |a: &str, b: &str| a[..stem(a)] == b[..stem(b)];
        assert!(same("convert", "converted") && same("cities", "city") && same("stopped", "stop"));
        assert!(same("make", "making") && !same("glass", "gla"));
    }
}
