//! What a number must satisfy to be one: check digits and structure.
//!
//! A check sees what a pattern matched, without separators and in capitals. Most national numbers are weighted sums, which
//! the data files describe whole; what is not has a function in `national`.

use serde::Deserialize;

use super::national;
use super::wallet;

/// A check by name, or described.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Check {
    /// ISO/IEC 7812: payment cards and many others.
    Luhn,
    /// ISO 13616, with ISO 7064 MOD 97-10.
    Iban,
    /// The dihedral group of five.
    Verhoeff,
    /// ISO 7064 MOD 11,10.
    #[serde(rename = "iso7064_11_10")]
    Mod11And10,
    /// ISO 7064 MOD 11-2, with `X` for ten.
    #[serde(rename = "iso7064_11_2")]
    Mod11And2,
    /// GS1: weights 1 and 3.
    Ean,
    /// ICAO 9303: weights 7, 3, 1 over letters and digits.
    MrzDigit,
    /// A weighted sum.
    Weighted(Weighted),
    /// How many digits there are at least and at most.
    Digits([usize; 2]),
    /// One digit at least.
    HasDigit,
    /// Digits, small letters and capitals: no word, and no number in hexadecimal.
    Mixed,
    /// Like a password: a digit, or a sign within.
    Password,
    /// Not the same digit throughout.
    NotRepeated,
    /// An address that the standard library reads.
    Ip,
    /// ISO 3779 with North America's check digit.
    Vin,
    /// A wallet in base 58 whose hash is right.
    #[serde(rename = "base58check")]
    Base58,
    /// A wallet of BIP 173 or BIP 350.
    Bech32,
    /// A scheme of one country or authority.
    #[serde(untagged)]
    National(national::Scheme),
}

/// A check digit that is a weighted sum of the digits before it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Weighted {
    /// Of the first digits; the check digit stands behind them, but for [`Digit::Zero`].
    weights: Vec<i64>,
    /// Used instead when the first weights give ten.
    #[serde(default)]
    then: Vec<i64>,
    modulo: i64,
    digit: Digit,
    /// Added to the sum.
    #[serde(default)]
    plus: i64,
    /// What the complement is taken by once more; the modulus when absent.
    wrap: Option<i64>,
    /// What stands for ten; nothing may when absent.
    ten: Option<char>,
    /// Shorter numbers have zeros in front.
    #[serde(default)]
    pad: bool,
}

/// How the check digit comes from the sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Digit {
    /// The remainder.
    Remainder,
    /// What is missing to the modulus.
    Complement,
    /// There is none of its own: the sum over all is a multiple of the modulus.
    Zero,
}

impl Check {
    /// How much of a match is meant, in bytes, where the check knows and a pattern can't: an IBAN is as long as its country
    /// says, and what follows may look like more of it.
    pub(crate) fn length(&self, raw: &str) -> Option<usize> {
        if *self != Self::Iban {
            return None;
        }
        let letters = |(_, letter): &(usize, char)| letter.is_ascii_alphanumeric();
        let country = raw.get(..2)?.to_ascii_uppercase();
        let last = iban_length(country.as_bytes())?.checked_sub(1)?;
        raw.char_indices().filter(letters).nth(last).map(|(at, _)| at + 1)
    }

    /// Whether `compact` (no separators, capitals) and `raw` (as it stands) satisfy it.
    pub(crate) fn holds(&self, compact: &str, raw: &str) -> bool {
        let bytes = compact.as_bytes();
        match self {
            Self::Luhn => luhn(bytes),
            Self::Iban => iban(bytes),
            Self::Verhoeff => verhoeff(bytes),
            Self::Mod11And10 => mod_11_10(bytes),
            Self::Mod11And2 => mod_11_2(bytes),
            Self::Ean => ean(bytes),
            Self::MrzDigit => mrz_digit(bytes),
            Self::Weighted(weighted) => weighted.holds(bytes),
            Self::Digits([least, most]) => {
                (*least..=*most).contains(&raw.bytes().filter(u8::is_ascii_digit).count())
            }
            Self::HasDigit => bytes.iter().any(u8::is_ascii_digit),
            Self::Mixed => mixed(raw.as_bytes()),
            Self::Password => password(raw),
            Self::NotRepeated => bytes.iter().any(|byte| Some(byte) != bytes.first()),
            Self::Ip => ip(raw),
            Self::Vin => vin(bytes),
            Self::Base58 => wallet::base58check(raw),
            Self::Bech32 => wallet::bech32(raw),
            Self::National(scheme) => scheme.holds(bytes),
        }
    }
}

impl Weighted {
    fn holds(&self, bytes: &[u8]) -> bool {
        if self.digit == Digit::Zero {
            return bytes.len() == self.weights.len()
                && sum(&self.weights, bytes)
                    .is_some_and(|sum| (sum + self.plus).rem_euclid(self.modulo) == 0);
        }
        let padded;
        let mut bytes = bytes;
        if self.pad && bytes.len() <= self.weights.len() {
            let mut room = vec![b'0'; self.weights.len() + 1 - bytes.len()];
            room.extend_from_slice(bytes);
            padded = room;
            bytes = &padded;
        }
        let Some(said) = bytes.get(self.weights.len()).map(|byte| char::from(*byte)) else {
            return false;
        };
        let mut value = self.value(&self.weights, bytes);
        if value == Some(10) && !self.then.is_empty() {
            value = self.value(&self.then, bytes);
        }
        match value {
            Some(10) => self.ten == Some(said),
            Some(value) => {
                u32::try_from(value)
                    .ok()
                    .and_then(|value| char::from_digit(value, 10))
                    == Some(said)
            }
            None => false,
        }
    }

    fn value(&self, weights: &[i64], bytes: &[u8]) -> Option<i64> {
        let rest = (sum(weights, bytes)? + self.plus).rem_euclid(self.modulo);
        Some(match self.digit {
            Digit::Complement => (self.modulo - rest) % self.wrap.unwrap_or(self.modulo),
            Digit::Remainder | Digit::Zero => rest,
        })
    }
}

/// The value of a digit.
pub(super) fn digit(byte: u8) -> Option<u32> {
    char::from(byte).to_digit(10)
}

/// Digits read as one number; at most eighteen.
pub(super) fn number(bytes: &[u8]) -> Option<u64> {
    if bytes.is_empty() || bytes.len() > 18 {
        return None;
    }
    bytes
        .iter()
        .try_fold(0, |sum, byte| Some(sum * 10 + u64::from(digit(*byte)?)))
}

/// The weighted sum of the first digits; `None` when there are too few, or others.
pub(super) fn sum(weights: &[i64], bytes: &[u8]) -> Option<i64> {
    if bytes.len() < weights.len() {
        return None;
    }
    weights.iter().zip(bytes).try_fold(0, |sum, (weight, byte)| {
        Some(sum + weight * i64::from(digit(*byte)?))
    })
}

/// Every second digit from the right doubled: the sum is a multiple of ten.
pub(super) fn luhn(bytes: &[u8]) -> bool {
    let sum = bytes.iter().rev().enumerate().try_fold(0, |sum, (place, byte)| {
        let value = digit(*byte)?;
        Some(match (place % 2, value) {
            (0, value) => sum + value,
            (_, 9) => sum + 9,
            (_, value) => sum + value * 2 % 9,
        })
    });
    bytes.len() > 1 && sum.is_some_and(|sum| sum % 10 == 0)
}

/// Letters count from ten; the first four characters go last; the rest by 97 is one.
fn iban(bytes: &[u8]) -> bool {
    if bytes.len() < 15 || iban_length(bytes) != Some(bytes.len()) {
        return false;
    }
    let (front, back) = bytes.split_at(4);
    let rest = back.iter().chain(front).try_fold(0_u32, |rest, byte| {
        let value = char::from(*byte).to_digit(36)?;
        Some(
            if value < 10 {
                rest * 10 + value
            } else {
                rest * 100 + value
            } % 97,
        )
    });
    rest == Some(1)
}

/// How long an IBAN of its country is (the registry of SWIFT).
fn iban_length(bytes: &[u8]) -> Option<usize> {
    const LENGTHS: &[(&str, usize)] = &[
        ("NO", 15),
        ("BE", 16),
        ("FK DK FO FI GL NL SD", 18),
        ("MK SI", 19),
        ("AT BA EE KZ LT LU MN XK", 20),
        ("CH HR LI LV", 21),
        ("BG BH CR DE GB GE IE ME RS VA", 22),
        ("AE GI IL IQ OM SO TL", 23),
        ("AD CZ ES MD PK RO SA SE SK TN VG", 24),
        ("LY PT ST", 25),
        ("IS TR", 26),
        ("BI DJ FR GR IT MC MR SM", 27),
        ("AL AZ BY CY DO GT HN HU LB NI PL SV", 28),
        ("BR EG PS QA UA", 29),
        ("JO KW MU YE", 30),
        ("MT SC", 31),
        ("LC", 32),
        ("RU", 33),
    ];
    let country = std::str::from_utf8(bytes.get(..2)?).ok()?;
    LENGTHS
        .iter()
        .find(|(countries, _)| countries.split(' ').any(|one| one == country))
        .map(|(_, length)| *length)
}

fn verhoeff(bytes: &[u8]) -> bool {
    /// The digits that each step turns a digit into.
    const TURN: [u32; 10] = [1, 5, 7, 6, 2, 8, 3, 0, 9, 4];
    let state = bytes
        .iter()
        .rev()
        .enumerate()
        .try_fold(0, |state, (place, byte)| {
            let mut value = digit(*byte)?;
            for _ in 0..place % 8 {
                value = TURN[value as usize];
            }
            Some(dihedral(state, value))
        });
    state == Some(0)
}

/// The product of two elements of the dihedral group of order ten.
fn dihedral(a: u32, b: u32) -> u32 {
    match (a < 5, b < 5) {
        (true, true) => (a + b) % 5,
        (true, false) => 5 + (a + b - 5) % 5,
        (false, true) => 5 + (a - 5 + 5 - b) % 5,
        (false, false) => (a + 5 - b) % 5,
    }
}

fn mod_11_10(bytes: &[u8]) -> bool {
    let Some((last, body)) = bytes.split_last() else {
        return false;
    };
    let product = body.iter().try_fold(10, |product, byte| {
        let sum = (digit(*byte)? + product) % 10;
        Some(if sum == 0 { 10 } else { sum } * 2 % 11)
    });
    product.is_some_and(|product| digit(*last) == Some((11 - product) % 10))
}

fn mod_11_2(bytes: &[u8]) -> bool {
    let Some((last, body)) = bytes.split_last() else {
        return false;
    };
    let rest = body
        .iter()
        .try_fold(0, |rest, byte| Some((rest + digit(*byte)?) * 2 % 11));
    let said = if *last == b'X' { Some(10) } else { digit(*last) };
    rest.is_some_and(|rest| said.is_some_and(|said| (rest + said) % 11 == 1))
}

fn ean(bytes: &[u8]) -> bool {
    let sum = bytes.iter().rev().enumerate().try_fold(0, |sum, (place, byte)| {
        Some(sum + digit(*byte)? * if place % 2 == 0 { 1 } else { 3 })
    });
    sum.is_some_and(|sum| sum % 10 == 0)
}

fn mrz_digit(bytes: &[u8]) -> bool {
    let Some((last, body)) = bytes.split_last() else {
        return false;
    };
    let sum = body
        .iter()
        .zip([7, 3, 1].iter().cycle())
        .try_fold(0, |sum, (byte, weight)| {
            Some(sum + char::from(*byte).to_digit(36)? * weight)
        });
    sum.is_some_and(|sum| digit(*last) == Some(sum % 10))
}

fn mixed(bytes: &[u8]) -> bool {
    bytes.iter().any(u8::is_ascii_digit)
        && bytes.iter().any(u8::is_ascii_lowercase)
        && bytes.iter().any(u8::is_ascii_uppercase)
}

fn password(raw: &str) -> bool {
    let within = raw.trim_end_matches(['.', '!', '?', ')', ':']);
    within.chars().any(|letter| letter.is_ascii_digit())
        || within
            .chars()
            .skip(1)
            .any(|letter| letter.is_ascii_punctuation() && !matches!(letter, '\'' | '-' | '.'))
}

/// An address, with or without the length of its network; `::` alone says nothing.
fn ip(raw: &str) -> bool {
    let (address, prefix) = raw.split_once('/').map_or((raw, None), |(a, p)| (a, Some(p)));
    let Ok(address) = address.parse::<std::net::IpAddr>() else {
        return false;
    };
    let most = if address.is_ipv4() { 32 } else { 128 };
    !address.is_unspecified()
        && prefix.is_none_or(|prefix| prefix.parse::<u8>().is_ok_and(|prefix| prefix <= most))
}

fn vin(bytes: &[u8]) -> bool {
    const WEIGHTS: [u32; 17] = [8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2];
    let value = |byte: u8| match byte {
        b'0'..=b'9' => u32::from(byte - b'0'),
        b'A'..=b'H' => u32::from(byte - b'A') + 1,
        b'J'..=b'R' => u32::from(byte - b'J') + 1,
        b'S'..=b'Z' => u32::from(byte - b'S') + 2,
        _ => 0,
    };
    let sum: u32 = bytes
        .iter()
        .zip(WEIGHTS)
        .map(|(byte, weight)| value(*byte) * weight)
        .sum();
    let said = match bytes.get(8) {
        Some(b'X') => Some(10),
        Some(byte) => digit(*byte),
        None => None,
    };
    bytes.len() == 17 && bytes.iter().any(u8::is_ascii_digit) && said == Some(sum % 11)
}
