//! Values that look like others and belong to nobody: of the same kind, in the same form, and the same for the same number.
//!
//! What has a form keeps it: letters stay letters, digits digits, and what stands between them stays. Where a form has check
//! digits, they are right; addresses are of ranges that are kept for examples. Names are of lists.

/// Given names and surnames, and names of places and of companies: made up, or so common that they name nobody.
const GIVEN: [&str; 16] = [
    "Alex", "Robin", "Kim", "Sam", "Jordan", "Taylor", "Morgan", "Casey", "Jamie", "Charlie", "Riley",
    "Quinn", "Avery", "Rowan", "Sasha", "Noel",
];
const SURNAMES: [&str; 16] = [
    "Marlow",
    "Fenwick",
    "Ashdown",
    "Holloway",
    "Brandt",
    "Okafor",
    "Lindqvist",
    "Castell",
    "Novak",
    "Varga",
    "Thorne",
    "Beaumont",
    "Sorel",
    "Hartog",
    "Kestrel",
    "Whitlock",
];
const JAPANESE: [&str; 8] = [
    "青木 翼",
    "白石 薫",
    "黒川 光",
    "赤羽 望",
    "緑川 歩",
    "水野 遥",
    "星野 晶",
    "月島 司",
];
const KOREAN: [&str; 8] = [
    "한가람",
    "윤슬기",
    "노은새",
    "마루한",
    "서다온",
    "남아라",
    "구하람",
    "문새봄",
];
const PLACES: [&str; 16] = [
    "Northbridge",
    "Eastvale",
    "Westhaven",
    "Southmere",
    "Millbrook",
    "Stonecliff",
    "Fairharbour",
    "Greenfell",
    "Oakhollow",
    "Redmoor",
    "Silverlake",
    "Thornbury",
    "Whitesands",
    "Amberford",
    "Larkspur",
    "Windermoor",
];
const COMPANIES: [&str; 16] = [
    "Larkfield",
    "Bluestone",
    "Cedarline",
    "Dovetail",
    "Elmgate",
    "Foxglove",
    "Goldcrest",
    "Hazelton",
    "Ironbark",
    "Juniper",
    "Kingfisher",
    "Limewood",
    "Marigold",
    "Nightjar",
    "Oakwell",
    "Primrose",
];

/// A value in the place of `original`, the `number`th of its kind.
pub(crate) fn value(kind: &str, original: &str, number: usize) -> String {
    match kind {
        "PERSON" => person(original, number),
        "GPE" | "LOCATION" => numbered(PLACES[number % PLACES.len()], number / PLACES.len()),
        "ORGANIZATION" => numbered(COMPANIES[number % COMPANIES.len()], number / COMPANIES.len()),
        "STREET_ADDRESS" => {
            let street = PLACES[number % PLACES.len()];
            format!("{} {street} Street", 100 + number)
        }
        "EMAIL_ADDRESS" => format!("user{number}@mail{number}.example"),
        "DOMAIN_NAME" | "URL" => domain(original, number),
        "IP_ADDRESS" => address(original, number),
        "CREDIT_CARD" => with_last_digit(&shaped(original, kind, number), luhn),
        "IBAN_CODE" => iban(&shaped(original, kind, number)),
        "AGE" => (30 + number % 40).to_string(),
        _ => shaped(original, kind, number),
    }
}

fn numbered(name: &str, round: usize) -> String {
    if round == 0 {
        name.to_owned()
    } else {
        format!("{name} {}", round + 1)
    }
}

fn person(original: &str, number: usize) -> String {
    let has = |range: std::ops::RangeInclusive<char>| original.chars().any(|letter| range.contains(&letter));
    if has('가'..='힣') {
        return numbered(KOREAN[number % KOREAN.len()], number / KOREAN.len());
    }
    if has('\u{3040}'..='\u{30ff}') || has('\u{4e00}'..='\u{9fff}') {
        return numbered(JAPANESE[number % JAPANESE.len()], number / JAPANESE.len());
    }
    let (given, surname) = (GIVEN[number % 16], SURNAMES[(number / 16 + number) % 16]);
    let round = number / 256;
    if original.trim().contains(' ') {
        numbered(&format!("{given} {surname}"), round)
    } else {
        numbered(given, number / 16)
    }
}

fn domain(original: &str, number: usize) -> String {
    let (scheme, rest) = match original.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), original),
    };
    let path = if rest.contains('/') { "/page" } else { "" };
    format!("{scheme}site{number}.example{path}")
}

fn address(original: &str, number: usize) -> String {
    if original.contains(':') {
        return format!("2001:db8::{:x}", number + 1);
    }
    // Three ranges that no machine has.
    let range = ["192.0.2", "198.51.100", "203.0.113"][number / 254 % 3];
    format!("{range}.{}", number % 254 + 1)
}

/// The same form: digits for digits, letters for letters of the same case.
fn shaped(original: &str, kind: &str, number: usize) -> String {
    let mut chance = Chance::of(kind, number);
    let each = original.chars().map(|letter| match letter {
        '0'..='9' => char::from(b'0' + chance.below(10)),
        'a'..='z' => char::from(b'a' + chance.below(26)),
        'A'..='Z' => char::from(b'A' + chance.below(26)),
        other if other.is_alphanumeric() => char::from(b'a' + chance.below(26)),
        other => other,
    });
    each.collect()
}

/// Numbers that look like chance and are always the same.
struct Chance(u64);

impl Chance {
    fn of(kind: &str, number: usize) -> Self {
        let seed = kind
            .bytes()
            .fold(number as u64 ^ 0x9e37_79b9_7f4a_7c15, |seed, byte| {
                (seed ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
            });
        Self(seed)
    }

    fn below(&mut self, most: u8) -> u8 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        u8::try_from((mixed ^ (mixed >> 31)) % u64::from(most)).unwrap_or(0)
    }
}

/// With the last digit that makes a number right.
fn with_last_digit(text: &str, is_right: fn(&[u32]) -> bool) -> String {
    let Some(at) = text.rfind(|letter: char| letter.is_ascii_digit()) else {
        return text.to_owned();
    };
    for digit in '0'..='9' {
        let mut right = text.to_owned();
        right.replace_range(at..=at, digit.encode_utf8(&mut [0; 4]));
        let digits: Vec<u32> = right.chars().filter_map(|letter| letter.to_digit(10)).collect();
        if is_right(&digits) {
            return right;
        }
    }
    text.to_owned()
}

fn luhn(digits: &[u32]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(at, digit)| match at % 2 {
            0 => *digit,
            _ if *digit > 4 => digit * 2 - 9,
            _ => digit * 2,
        })
        .sum();
    sum.is_multiple_of(10)
}

/// An account of a country that there is none of (`XX`), with check digits that are right.
fn iban(text: &str) -> String {
    let letters: Vec<(usize, char)> = text
        .char_indices()
        .filter(|(_, letter)| letter.is_ascii_alphanumeric())
        .collect();
    let Some([first, second, check, last, rest @ ..]) = letters.get(..) else {
        return text.to_owned();
    };
    let behind = rest.iter().map(|(_, letter)| *letter).chain("XX00".chars());
    let remainder = behind
        .filter_map(|letter| letter.to_digit(36))
        .fold(0_u32, |sum, value| match value {
            0..=9 => (sum * 10 + value) % 97,
            _ => (sum * 100 + value) % 97,
        });
    let mut right = text.to_owned();
    let digits = format!("{:02}", 98 - remainder);
    for ((at, _), with) in
        [first, second, check, last]
            .into_iter()
            .zip(["X", "X", &digits[..1], &digits[1..]])
    {
        right.replace_range(*at..=*at, with);
    }
    right
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_kept_and_check_digits_are_right() {
        let card = value("CREDIT_CARD", "4111 1111 1111 1111", 3);
        let digits: Vec<u32> = card.chars().filter_map(|letter| letter.to_digit(10)).collect();
        assert!(
            luhn(&digits) && digits.len() == 16 && card.matches(' ').count() == 3,
            "{card}"
        );
        let account = value("IBAN_CODE", "DE89 3704 0044 0532 0130 00", 1);
        assert!(account.starts_with("XX") && account.len() == 27, "{account}");
        let moved: String = account.replace(' ', "");
        let moved = format!("{}{}", &moved[4..], &moved[..4]);
        let remainder = moved
            .chars()
            .fold(0_u64, |sum, letter| match letter.to_digit(36) {
                Some(value @ 0..=9) => (sum * 10 + u64::from(value)) % 97,
                value => (sum * 100 + u64::from(value.unwrap_or(0))) % 97,
            });
        assert_eq!(remainder, 1, "{account}");
        let phone = value("PHONE_NUMBER", "+49 (30) 1234-567", 0);
        let shape = |text: &str| text.replace(|letter: char| letter.is_ascii_digit(), "0");
        assert_eq!(shape(&phone), "+00 (00) 0000-000");
        let token = value("CREDENTIAL", "sk-Abc123", 7);
        assert!(
            token.as_bytes()[2] == b'-' && token.as_bytes()[3].is_ascii_uppercase(),
            "{token}"
        );
        assert_eq!(value("IP_ADDRESS", "10.0.0.1", 0), "192.0.2.1");
        assert_eq!(value("IP_ADDRESS", "fe80::1", 9), "2001:db8::a");
        assert_eq!(
            value("DOMAIN_NAME", "https://a.com/x?y", 2),
            "https://site2.example/page"
        );
        assert!(KOREAN.contains(&value("PERSON", "김철수", 0).as_str()));
        assert!(JAPANESE.contains(&value("PERSON", "山田太郎", 0).as_str()));
    }

    #[test]
    fn the_same_number_is_the_same_value_and_another_another() {
        for (kind, original) in [
            ("PERSON", "Ann Lee"),
            ("PERSON", "Ann"),
            ("EMAIL_ADDRESS", "a@b.com"),
            ("ORGANIZATION", "ACME"),
            ("GPE", "Rome"),
            ("IP_ADDRESS", "10.0.0.1"),
            ("PHONE_NUMBER", "+49 30 123456789"),
            ("STREET_ADDRESS", "Hauptstr. 1"),
        ] {
            let all: std::collections::HashSet<String> =
                (0..300).map(|number| value(kind, original, number)).collect();
            assert_eq!(all.len(), 300, "{kind}");
            assert_eq!(value(kind, original, 5), value(kind, original, 5));
        }
    }
}
