//! Strings as JSON writes them: passed over, freed of their quotes and escapes, written with them.

use std::borrow::Cow;

/// Bytes looked at together: a word of the machine.
const WORD: usize = size_of::<u64>();
/// Strings that go on behind so many bytes are long: more is looked at together.
const LONG: usize = 2 * WORD;
/// Bytes looked at together in a long string.
const BLOCK: usize = 16;

/// How many bytes at the beginning of `bytes` stand for themselves: neither quotes nor backslashes nor control
/// characters.
pub(crate) fn plain(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some(word) = bytes.get(at..).and_then(|rest| rest.first_chunk()) {
        let special = special_in(*word);
        if special != 0 {
            return at + first_of(special);
        }
        at += WORD;
        if at == LONG {
            at += plain_blocks(&bytes[at..]);
        }
    }
    let tail = &bytes[at..];
    at + tail
        .iter()
        .position(|byte| is_special(*byte))
        .unwrap_or(tail.len())
}

/// How many bytes at the beginning are plain blocks.
fn plain_blocks(bytes: &[u8]) -> usize {
    let mut passed = 0;
    for block in bytes.as_chunks::<BLOCK>().0 {
        // Without a branch for each byte the compiler compares all of them at once.
        if block.iter().fold(false, |any, byte| any | is_special(*byte)) {
            break;
        }
        passed += BLOCK;
    }
    passed
}

const fn is_special(byte: u8) -> bool {
    (byte == b'"') | (byte == b'\\') | (byte < 0x20)
}

/// The highest bit of every special byte; bits behind the first one mean nothing.
const fn special_in(word: [u8; WORD]) -> u64 {
    const ONES: u64 = u64::MAX / 0xff;
    const HIGH: u64 = ONES << 7;
    let word = u64::from_le_bytes(word);
    let quote = word ^ (ONES * b'"' as u64);
    let backslash = word ^ (ONES * b'\\' as u64);
    let below = (quote.wrapping_sub(ONES) & !quote)
        | (backslash.wrapping_sub(ONES) & !backslash)
        | (word.wrapping_sub(ONES * 0x20) & !word);
    below & HIGH
}

const fn first_of(special: u64) -> usize {
    special.trailing_zeros() as usize / 8
}

/// A string without its quotes and escapes. `quoted` must be a string of a text whose outline was found.
pub(crate) fn unquoted(quoted: &str) -> Result<Cow<'_, str>, serde_json::Error> {
    let inner = inner(quoted);
    let Some(first) = memchr::memchr(b'\\', inner.as_bytes()) else {
        return Ok(Cow::Borrowed(inner));
    };
    match unescaped(inner, first) {
        Some(text) => Ok(Cow::Owned(text)),
        // What is wrong with it is told there.
        None => serde_json::from_str(quoted).map(Cow::Owned),
    }
}

/// What stands between the quotes of a string.
pub(crate) fn inner(quoted: &str) -> &str {
    quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default()
}

/// The text that `inner` stands for, whose first backslash is at `first`; none when an escape means nothing.
fn unescaped(inner: &str, first: usize) -> Option<String> {
    // No escape is shorter than what it stands for.
    let mut text = String::with_capacity(inner.len());
    let (before, mut rest) = inner.split_at_checked(first)?;
    text.push_str(before);
    while let Some(escape) = rest.as_bytes().get(1) {
        let (letter, length) = match escape {
            b'n' => ('\n', 2),
            b't' => ('\t', 2),
            b'r' => ('\r', 2),
            b'b' => ('\u{8}', 2),
            b'f' => ('\u{c}', 2),
            b'"' | b'\\' | b'/' => (char::from(*escape), 2),
            b'u' => numbered(rest)?,
            _ => return None,
        };
        text.push(letter);
        rest = rest.get(length..)?;
        let (plain, next) = rest.split_at_checked(plain(rest.as_bytes()))?;
        text.push_str(plain);
        rest = next;
    }
    rest.is_empty().then_some(text)
}

/// The letter that `\uXXXX`, or a pair of them, stands for, and how many bytes do.
fn numbered(escape: &str) -> Option<(char, usize)> {
    let unit = |from: usize| u32::from_str_radix(escape.get(from..from + 4)?, 16).ok();
    let high = unit(2)?;
    if !(0xd800..0xdc00).contains(&high) {
        return Some((char::from_u32(high)?, 6));
    }
    let low = unit(8).filter(|low| escape.get(6..8) == Some("\\u") && (0xdc00..0xe000).contains(low))?;
    let letter = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
    Some((char::from_u32(letter)?, 12))
}

/// Writes a string with its quotes and escapes.
pub(crate) fn string_into(out: &mut Vec<u8>, text: &str) {
    out.reserve(text.len() + 2);
    out.push(b'"');
    let mut rest = text.as_bytes();
    loop {
        let (plain, next) = rest.split_at(plain(rest));
        out.extend_from_slice(plain);
        let Some((special, next)) = next.split_first() else {
            break;
        };
        escape_into(out, *special);
        rest = next;
    }
    out.push(b'"');
}

fn escape_into(out: &mut Vec<u8>, special: u8) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let letter = match special {
        b'"' | b'\\' => special,
        b'\n' => b'n',
        b'\t' => b't',
        b'\r' => b'r',
        0x8 => b'b',
        0xc => b'f',
        _ => {
            let digits = [special >> 4, special & 0xf].map(|digit| DIGITS[usize::from(digit)]);
            out.extend_from_slice(b"\\u00");
            out.extend_from_slice(&digits);
            return;
        }
    };
    out.extend_from_slice(&[b'\\', letter]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(text: &str) -> String {
        let mut out = Vec::new();
        string_into(&mut out, text);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn escapes_of_every_sort_are_read() {
        for (quoted, text) in [
            (r#""""#, ""),
            (r#""\"\\\/\b\f\n\r\t""#, "\"\\/\u{8}\u{c}\n\r\t"),
            (r#""a\u00e9\u20AC\ud83d\ude00b""#, "aé€😀b"),
            (
                r#""a long text without any, and one: \u0000""#,
                "a long text without any, and one: \0",
            ),
        ] {
            assert_eq!(unquoted(quoted).unwrap(), text, "{quoted}");
        }
        for half in [r#""\ud83d""#, r#""\ud83d\n""#, r#""\ude00""#, r#""\ud83d\u0041""#] {
            assert!(unquoted(half).is_err(), "{half}");
        }
    }

    proptest! {
        #[test]
        fn strings_are_written_and_read_as_serde_json_has_them(
            text in "([\\x00-\\x7f]|\"|\\\\|\\PC|[a-z ]{0,20}){0,40}",
        ) {
            let json = serde_json::to_string(&text).unwrap();
            prop_assert_eq!(&written(&text), &json);
            prop_assert_eq!(unquoted(&json).unwrap(), text.as_str());
            let mut ascii = String::from("\"");
            text.encode_utf16().for_each(|unit| ascii.push_str(&format!("\\u{unit:04X}")));
            ascii.push('"');
            prop_assert_eq!(unquoted(&ascii).unwrap(), text.as_str());
        }

        #[test]
        fn nothing_special_is_passed_over(bytes in proptest::collection::vec(any::<u8>(), 0..70), at in 0_usize..70) {
            let mut bytes: Vec<u8> = bytes.into_iter().map(|byte| if is_special(byte) { b'x' } else { byte }).collect();
            prop_assert_eq!(plain(&bytes), bytes.len());
            for special in [b'"', b'\\', 0, 0x1f] {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = special;
                    prop_assert_eq!(plain(&bytes), at);
                }
            }
        }
    }
}
