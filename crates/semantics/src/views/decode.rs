//! Encodings that hide a text: base 64, hexadecimal, percent signs, escapes, and letters of the block of tags.

/// Letters of a stretch of base 64 or hexadecimal that may hold a text.
const LEAST: usize = 20;
/// Letters of a line from which on the next line may go on with the same stretch.
const LINE: usize = 40;
/// Escapes in a text that are more than a stray one.
const ESCAPES: usize = 4;

/// The text with what is encoded in it, decoded; none where nothing is.
pub(super) fn decoded(text: &str) -> Option<String> {
    let escaped = escapes(text);
    let seen = escaped.as_deref().unwrap_or(text);
    stretches(seen).or(escaped)
}

/// What is written in the block of tags, which nobody sees.
pub(super) fn tags(text: &str) -> Option<String> {
    let hidden: String = text
        .chars()
        .filter_map(|letter| u32::from(letter).checked_sub(0xe0000))
        .filter(|code| (0x20..0x7f).contains(code))
        .filter_map(char::from_u32)
        .collect();
    (!hidden.is_empty()).then_some(hidden)
}

/// Stretches of base 64 and hexadecimal, decoded.
fn stretches(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let (mut from, mut found) = (0, false);
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        if !is_part(bytes[at]) {
            at += 1;
            continue;
        }
        let length = run(&bytes[at..]);
        let whole = over_lines(&bytes[at..]);
        let said = (whole > length)
            .then(|| encoded(&text[at..at + whole].replace(['\r', '\n'], "")))
            .flatten()
            .map(|said| (said, whole))
            .or_else(|| Some((encoded(&text[at..at + length])?, length)));
        match said {
            Some((said, length)) => {
                out.push_str(&text[from..at]);
                out.push_str(&said);
                at += length;
                (from, found) = (at, true);
            }
            None => at += length,
        }
    }
    out.push_str(&text[from..]);
    found.then_some(out)
}

fn is_part(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_' | b'=')
}

/// Bytes from here that may be one encoded text.
fn run(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|byte| is_part(**byte)).count()
}

/// The same over lines that are broken as mail and editors break them: all but the last of one length.
fn over_lines(bytes: &[u8]) -> usize {
    let line = run(bytes);
    let mut end = line;
    if line < LINE {
        return end;
    }
    loop {
        let rest = &bytes[end..];
        let breaks = rest.iter().take(2);
        let gap = breaks.take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        let next = run(&rest[gap..]);
        if gap == 0 || next == 0 || next > line {
            return end;
        }
        end += gap + next;
        if next < line {
            return end;
        }
    }
}

fn encoded(stretch: &str) -> Option<String> {
    (stretch.len() >= LEAST)
        .then(|| hexadecimal(stretch).or_else(|| base64(stretch)))
        .flatten()
}

fn hexadecimal(stretch: &str) -> Option<String> {
    let pairs = stretch.as_bytes().chunks(2);
    let bytes: Option<Vec<u8>> = pairs
        .map(|pair| match pair {
            [high, low] => byte_of(*high, *low),
            _ => None,
        })
        .collect();
    readable(bytes?)
}

fn byte_of(high: u8, low: u8) -> Option<u8> {
    let value = |digit: u8| {
        char::from(digit)
            .to_digit(16)
            .and_then(|value| u8::try_from(value).ok())
    };
    Some(value(high)? * 16 + value(low)?)
}

fn base64(stretch: &str) -> Option<String> {
    let body = stretch.trim_end_matches('=');
    let (mut bytes, mut bits, mut held) = (Vec::with_capacity(body.len()), 0_u32, 0);
    for byte in body.bytes() {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        bits = (bits << 6 | u32::from(value)) & 0xffff;
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push(u8::try_from(bits >> held & 0xff).ok()?);
        }
    }
    readable(bytes)
}

/// The bytes as a text that somebody wrote; none where they are anything else.
fn readable(bytes: Vec<u8>) -> Option<String> {
    let text = String::from_utf8(bytes).ok()?;
    // Random bytes that are UTF-8 hold signs that nobody writes, or few letters.
    let is_written = |letter: char| {
        !letter.is_control()
            && !matches!(letter, '\u{e000}'..='\u{f8ff}' | '\u{fff0}'..='\u{ffff}' | '\u{f0000}'..)
            || letter.is_whitespace()
    };
    let (mut all, mut letters) = (0, 0);
    for letter in text.chars() {
        if !is_written(letter) {
            return None;
        }
        all += 1;
        letters += usize::from(letter.is_alphabetic());
    }
    (letters * 2 > all).then_some(text)
}

/// Percent signs, escapes of programs and of HTML, decoded.
fn escapes(text: &str) -> Option<String> {
    let mut bytes: Vec<u8> = Vec::with_capacity(text.len());
    let (mut rest, mut count) = (text, 0);
    while let Some(at) = rest.find(['%', '\\', '&']) {
        bytes.extend_from_slice(&rest.as_bytes()[..at]);
        rest = &rest[at..];
        if let Some((byte, length)) = percent(rest) {
            bytes.push(byte);
            rest = &rest[length..];
            count += 1;
        } else if let Some((letter, length)) = escape(rest) {
            let mut room = [0; 4];
            bytes.extend_from_slice(letter.encode_utf8(&mut room).as_bytes());
            rest = &rest[length..];
            count += 1;
        } else {
            bytes.push(rest.as_bytes()[0]);
            rest = &rest[1..];
        }
    }
    bytes.extend_from_slice(rest.as_bytes());
    if count < ESCAPES {
        return None;
    }
    String::from_utf8(bytes).ok()
}

fn percent(text: &str) -> Option<(u8, usize)> {
    match text.as_bytes() {
        [b'%', high, low, ..] => Some((byte_of(*high, *low)?, 3)),
        [b'\\', b'x', high, low, ..] => Some((byte_of(*high, *low)?, 4)),
        _ => None,
    }
}

fn escape(text: &str) -> Option<(char, usize)> {
    if let Some(digits) = text.strip_prefix("\\u") {
        let code = u32::from_str_radix(digits.get(..4)?, 16).ok()?;
        return Some((char::from_u32(code)?, 6));
    }
    let number = text.strip_prefix("&#")?;
    let end = number.bytes().take(8).position(|byte| byte == b';')?;
    let said = &number[..end];
    let code = match said.strip_prefix(['x', 'X']) {
        Some(hex) => u32::from_str_radix(hex, 16).ok()?,
        None => said.parse().ok()?,
    };
    Some((char::from_u32(code)?, end + 3))
}
