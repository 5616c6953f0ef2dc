//! Letters that are not what they look like, stand apart, or are digits.

use unicode_normalization::UnicodeNormalization;

/// Accents on one letter that are more than any language writes.
const ACCENTS: usize = 2;
/// Letters apart that are a word.
const APART: usize = 4;
/// Words of which digits may leave no letter.
const SHORT: [&str; 18] = [
    "a", "i", "as", "at", "is", "it", "its", "so", "to", "too", "see", "set", "sit", "eat", "test", "state",
    "site", "best",
];
/// What stands in and behind words, and apart like their letters.
const MARKS: [char; 12] = ['\'', '’', '"', '“', '”', '.', ',', '!', '?', ';', ':', ')'];
/// Words with digits for letters that make a text suspicious.
const SPELLED: usize = 3;

/// Letters of other scripts that look like Latin ones.
const ALIKE: &[(&str, char)] = &[
    ("аɑα", 'a'),
    ("Ьƅ", 'b'),
    ("сϲᴄ", 'c'),
    ("ԁɗ", 'd'),
    ("еєҽε", 'e'),
    ("ɡ", 'g'),
    ("һհ", 'h'),
    ("іıɩι", 'i'),
    ("јϳ", 'j'),
    ("кκ", 'k'),
    ("ӏⅼ", 'l'),
    ("м", 'm'),
    ("пո", 'n'),
    ("оοօσ", 'o'),
    ("рρ", 'p'),
    ("ԛգ", 'q'),
    ("гɾ", 'r'),
    ("ѕ", 's'),
    ("тτ", 't'),
    ("սυ", 'u'),
    ("ѵν", 'v'),
    ("ԝωш", 'w'),
    ("хχ", 'x'),
    ("уүγ", 'y'),
    ("ᴢ", 'z'),
    ("АΑ", 'A'),
    ("ВΒ", 'B'),
    ("СϹ", 'C'),
    ("ЕΕ", 'E'),
    ("НΗ", 'H'),
    ("ІΙӀ", 'I'),
    ("Ј", 'J'),
    ("КΚ", 'K'),
    ("МΜ", 'M'),
    ("Ν", 'N'),
    ("ОΟ", 'O'),
    ("РΡ", 'P'),
    ("Ѕ", 'S'),
    ("ТΤ", 'T'),
    ("Ѵ", 'V'),
    ("ХΧ", 'X'),
    ("УΥҮ", 'Y'),
    ("Ζ", 'Z'),
];

fn alike(letter: char) -> Option<char> {
    let found = ALIKE.iter().find(|(others, _)| others.contains(letter));
    found.map(|(_, latin)| *latin)
}

/// Letters that nobody sees.
fn is_invisible(letter: char) -> bool {
    matches!(letter,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180e}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}' | '\u{ffa0}' | '\u{e0000}'..='\u{e0fff}')
}

/// Accents that stand by themselves. Marks of scripts that can't do without are none of them.
fn is_mark(letter: char) -> bool {
    matches!(letter, '\u{300}'..='\u{36f}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}' | '\u{20d0}'..='\u{20ff}')
}

/// Without invisible letters between others, ornaments and look-alikes; none where that is the same.
pub(super) fn bare(text: &str) -> Option<String> {
    if text.is_ascii() {
        return None;
    }
    let mut out = String::with_capacity(text.len());
    let mut marks = 0;
    for letter in text.chars().filter(|letter| !is_invisible(*letter)).nfkc() {
        marks = if is_mark(letter) { marks + 1 } else { 0 };
        if marks == 0 {
            out.push(letter);
        }
        // One letter may be written as twenty.
        if out.len() > 2 * text.len() + 64 {
            break;
        }
    }
    let mut changed = String::with_capacity(out.len());
    for word in out.split_inclusive(|letter: char| !letter.is_alphanumeric()) {
        let is_mixed = word.chars().any(|letter| letter.is_ascii_alphabetic());
        let folds = word
            .chars()
            .filter(|letter| letter.is_alphabetic())
            .all(|letter| letter.is_ascii() || alike(letter).is_some());
        // A word of another script alone may be one of its language.
        if folds && (is_mixed || is_latin(&out)) {
            changed.extend(word.chars().map(|letter| alike(letter).unwrap_or(letter)));
        } else {
            changed.push_str(word);
        }
    }
    is_other(text, &changed).then_some(changed)
}

/// Whether most of it is written in Latin letters.
fn is_latin(text: &str) -> bool {
    let letters = text.chars().filter(|letter| letter.is_alphabetic());
    let (latin, all) = letters.fold((0, 0), |(latin, all), letter| {
        (latin + usize::from(letter.is_ascii()), all + 1)
    });
    latin * 2 > all
}

/// Whether two texts differ in more than what every language writes: composed accents, joiners of emoji, wide signs alone.
fn is_other(text: &str, bare: &str) -> bool {
    let words = |text: &str| -> String {
        let mut marks = 0;
        let plain = text
            .nfc()
            .filter(|letter| !matches!(letter, '\u{200d}' | '\u{fe0f}' | '\u{fe0e}'));
        let kept = plain.filter(move |letter| {
            marks = if is_mark(*letter) { marks + 1 } else { 0 };
            letter.is_alphanumeric() || is_invisible(*letter) || marks == ACCENTS
        });
        kept.collect()
    };
    words(text) != words(bare)
}

/// Letters apart, joined; none where no word stands apart.
pub(super) fn joined(text: &str) -> Option<String> {
    let letters: Vec<char> = text.chars().collect();
    // Where one word stands apart, shorter ones do, too.
    join(&letters, APART).and_then(|_| join(&letters, 2))
}

/// With words joined of which at least so many letters stand apart; none where there is no such word.
fn join(letters: &[char], least: usize) -> Option<String> {
    let mut out = String::with_capacity(letters.len());
    let (mut at, mut found) = (0, false);
    while at < letters.len() {
        let (length, spelled) = apart(&letters[at..], at.checked_sub(1).map(|before| letters[before]));
        if spelled >= least {
            found = true;
            out.extend(letters[at..].iter().step_by(2).take(length));
            at += length * 2 - 1;
            // Words are told apart by more than what stands between letters.
            continue;
        }
        out.push(letters[at]);
        at += 1;
    }
    found.then(|| out.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// How many letters and marks stand apart here, with the same sign between each two, and how many of them are letters.
fn apart(letters: &[char], before: Option<char>) -> (usize, usize) {
    let sign = match letters {
        [first, sign, ..] if first.is_alphanumeric() && is_between(*sign) => *sign,
        _ => return (0, 0),
    };
    if before.is_some_and(char::is_alphanumeric) {
        return (0, 0);
    }
    let (mut count, mut spelled) = (1, 1);
    for (at, pair) in letters[1..].chunks_exact(2).enumerate() {
        // A point behind the last letter, where points stand between them.
        let ends = || letters.get(2 * at + 3).is_none_or(|next| next.is_whitespace());
        let is_mark = MARKS.contains(&pair[1]) && (pair[1] != sign || ends());
        if pair[0] != sign || !(pair[1].is_alphanumeric() || is_mark) {
            break;
        }
        count += 1;
        spelled += usize::from(pair[1].is_alphanumeric());
    }
    // The last letter must not begin a word.
    match letters.get(count * 2 - 1) {
        Some(next) if next.is_alphanumeric() && letters[count * 2 - 2].is_alphanumeric() => {
            (count - 1, spelled - 1)
        }
        _ => (count, spelled),
    }
}

fn is_between(sign: char) -> bool {
    matches!(
        sign,
        ' ' | '.' | '-' | '_' | '*' | '/' | '|' | '\u{a0}' | '·' | ',' | '~'
    )
}

/// Digits and signs for letters put back; none where few words have them.
pub(super) fn spelled(text: &str) -> Option<String> {
    let words = text.split_whitespace();
    let (all, odd) = words.fold((0, 0), |(all, odd), word| {
        (all + 1, odd + usize::from(is_spelled(word)))
    });
    if odd < SPELLED.min(all) || odd == 0 || odd * 5 < all {
        return None;
    }
    let mut out = String::with_capacity(text.len());
    for word in text.split_inclusive(char::is_whitespace) {
        // An exclamation at the end is one.
        let body = word.trim_end_matches(|letter: char| letter.is_whitespace() || letter == '!');
        let read: String = body
            .chars()
            .map(|letter| meant(letter).unwrap_or(letter))
            .collect();
        let has_letter = body.chars().any(char::is_alphabetic);
        let bare = read.trim_matches(|letter: char| letter.is_ascii_punctuation());
        out.push_str(if has_letter || SHORT.contains(&bare) {
            &read
        } else {
            body
        });
        out.push_str(&word[body.len()..]);
    }
    Some(out)
}

fn meant(letter: char) -> Option<char> {
    Some(match letter {
        '0' => 'o',
        '1' | '!' | '|' => 'i',
        '3' | '€' => 'e',
        '4' | '@' => 'a',
        '5' | '$' => 's',
        '7' | '+' => 't',
        '8' => 'b',
        _ => return None,
    })
}

/// Whether digits stand in a word where letters would.
fn is_spelled(word: &str) -> bool {
    let word =
        word.trim_matches(|letter: char| letter.is_ascii_punctuation() && !matches!(letter, '@' | '$'));
    let letters = word.chars().filter(|letter| letter.is_alphabetic()).count();
    let digits = word.chars().filter(|letter| meant(*letter).is_some()).count();
    let others = word.chars().count() - letters - digits;
    // A number behind a name is one: sha256, utf8.
    let inner = word.trim_end_matches(|letter: char| letter.is_ascii_digit());
    let within = inner.chars().any(|letter| meant(letter).is_some());
    letters >= 1
        && digits >= 1
        && others == 0
        && letters + digits >= 2
        && (within || letters + digits <= 4 && letters >= 2)
}
