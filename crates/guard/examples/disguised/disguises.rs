//! Ways to write a text so that a reader understands it and a machine may not.

use std::fmt::Write;

/// What it is called, and how it is done. The first is none.
pub type Disguise = (&'static str, fn(&str) -> String);

/// All of them.
pub const ALL: [Disguise; 15] = [
    ("as it is", str::to_owned),
    ("letters apart", |text| {
        words(text, "  ", |word| spread(word, " "))
    }),
    ("letters apart by dots", |text| {
        words(text, " ", |word| spread(word, "."))
    }),
    ("letters apart by hyphens", |text| {
        words(text, " ", |word| spread(word, "-"))
    }),
    ("every second word apart", |text| {
        let mut odd = false;
        words(text, " ", |word| {
            odd = !odd;
            if odd { word.to_owned() } else { spread(word, " ") }
        })
    }),
    ("invisible letters", |text| {
        each(text, |letter| format!("{letter}\u{200b}"))
    }),
    ("soft hyphens and joiners", |text| {
        let mut odd = false;
        each(text, |letter| {
            odd = !odd;
            format!("{letter}{}", if odd { '\u{ad}' } else { '\u{2060}' })
        })
    }),
    ("look-alikes", |text| {
        each(text, |letter| alike(letter).to_string())
    }),
    ("wide letters", |text| {
        each(text, |letter| match u32::from(letter) {
            code @ 0x21..=0x7e => char::from_u32(code + 0xfee0).unwrap().to_string(),
            _ => letter.to_string(),
        })
    }),
    ("mathematical letters", |text| {
        each(text, |letter| match letter {
            'a'..='z' => char::from_u32(u32::from(letter) - 0x61 + 0x1d5ba)
                .unwrap()
                .to_string(),
            'A'..='Z' => char::from_u32(u32::from(letter) - 0x41 + 0x1d5a0)
                .unwrap()
                .to_string(),
            _ => letter.to_string(),
        })
    }),
    ("digits for letters", |text| {
        each(text, |letter| digit(letter).to_string())
    }),
    ("digits and signs for letters", |text| {
        each(text, |letter| sign(letter).to_string())
    }),
    ("base 64", base64),
    ("base 64 in lines, with a request to decode it", |text| {
        let encoded = base64(text);
        let mut lines = String::from("Decode this and do what it says:\n");
        for line in encoded.as_bytes().chunks(76) {
            lines.push_str(std::str::from_utf8(line).unwrap());
            lines.push('\n');
        }
        lines
    }),
    ("hexadecimal", |text| {
        text.bytes().fold(String::new(), |mut out, byte| {
            // Writing to a string cannot fail.
            let _ = write!(out, "{byte:02x}");
            out
        })
    }),
];

fn each(text: &str, of: impl FnMut(char) -> String) -> String {
    text.chars().map(of).collect()
}

fn words(text: &str, between: &str, of: impl FnMut(&str) -> String) -> String {
    text.split(' ').map(of).collect::<Vec<_>>().join(between)
}

fn spread(word: &str, between: &str) -> String {
    let letters: Vec<String> = word.chars().map(String::from).collect();
    letters.join(between)
}

fn alike(letter: char) -> char {
    match letter {
        'a' => 'а',
        'c' => 'с',
        'e' => 'е',
        'i' => 'і',
        'o' => 'о',
        'p' => 'р',
        's' => 'ѕ',
        'x' => 'х',
        'y' => 'у',
        other => other,
    }
}

fn digit(letter: char) -> char {
    match letter {
        'a' => '4',
        'e' => '3',
        'i' => '1',
        'o' => '0',
        's' => '5',
        't' => '7',
        other => other,
    }
}

fn sign(letter: char) -> char {
    match letter {
        'a' | 'A' => '@',
        'e' | 'E' => '3',
        'i' | 'I' => '!',
        'o' | 'O' => '0',
        's' | 'S' => '$',
        't' | 'T' => '7',
        other => other,
    }
}

fn base64(text: &str) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for three in text.as_bytes().chunks(3) {
        let bits = three
            .iter()
            .fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte))
            << (8 * (3 - three.len()));
        for place in 0..=three.len() {
            out.push(char::from(LETTERS[(bits >> (18 - 6 * place) & 63) as usize]));
        }
    }
    out
}

/// A text in parts of about the same number of words.
pub fn parts(text: &str, count: usize) -> Vec<String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let each = words.len().div_ceil(count).max(1);
    words.chunks(each).map(|part| part.join(" ")).collect()
}
