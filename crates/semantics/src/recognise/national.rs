//! Numbers whose check is no plain weighted sum. Each function sees digits and capitals without separators.

use serde::Deserialize;

use super::check::{digit, luhn, number, sum};

/// A scheme of one country or authority.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Scheme {
    /// Austria: the fourth digit checks the others.
    AtSocial,
    /// Australia's business number.
    AuAbn,
    /// Belgium: what is missing to 97, with a 2 in front for those born since 2000.
    BeNrn,
    /// Germany's pension insurance: the letter counts as two digits.
    DeSocial,
    /// Spain's companies: a digit or a letter.
    EsCif,
    /// Spain's persons: the letter of the number by 23.
    EsNif,
    /// Finland: the letter of the number by 31.
    FiHetu,
    /// France's social security: what is missing to 97; Corsica's letters count as digits.
    FrNir,
    /// France's tax number: the number by 511.
    FrSpi,
    /// Hong Kong: letters count from ten, an absent one 36.
    HkId,
    /// Ireland: the letter of a sum by 23.
    IePps,
    /// Italy: letters by odd and even places.
    ItFiscalCode,
    /// Korea's companies.
    KrBusiness,
    /// Luxembourg: one digit by Luhn, one by Verhoeff.
    LuId,
    /// Portugal's card: Luhn over letters too.
    PtCc,
    /// The Czech Republic and Slovakia: the number by eleven.
    RodneCislo,
    /// Russia's insurance number: a sum by 101.
    RuSnils,
    /// Sweden: Luhn over the last ten digits.
    SePersonal,
    /// Singapore: a letter by a table of the first letter.
    SgNric,
    /// Turkey: two digits.
    TrId,
    /// Taiwan: the letter counts as two digits.
    TwId,
    /// The prescriber's number of the United States.
    Dea,
    /// The provider's number of the United States: Luhn behind its prefix.
    Npi,
    /// The social security number of the United States: no area, group or serial of zeros, and none that is not given.
    UsSsn,
}

impl Scheme {
    pub(crate) fn holds(self, bytes: &[u8]) -> bool {
        let held = match self {
            Self::AtSocial => at_social(bytes),
            Self::AuAbn => au_abn(bytes),
            Self::BeNrn => be_nrn(bytes),
            Self::DeSocial => de_social(bytes),
            Self::EsCif => es_cif(bytes),
            Self::EsNif => es_nif(bytes),
            Self::FiHetu => fi_hetu(bytes),
            Self::FrNir => fr_nir(bytes),
            Self::FrSpi => fr_spi(bytes),
            Self::HkId => hk_id(bytes),
            Self::IePps => ie_pps(bytes),
            Self::ItFiscalCode => it_fiscal_code(bytes),
            Self::KrBusiness => kr_business(bytes),
            Self::LuId => lu_id(bytes),
            Self::PtCc => pt_cc(bytes),
            Self::RodneCislo => rodne_cislo(bytes),
            Self::RuSnils => ru_snils(bytes),
            Self::SePersonal => bytes.len().checked_sub(10).map(|from| luhn(&bytes[from..])),
            Self::SgNric => sg_nric(bytes),
            Self::TrId => tr_id(bytes),
            Self::TwId => tw_id(bytes),
            Self::Dea => dea(bytes),
            Self::Npi => Some(luhn(&[b"80840", bytes].concat())),
            Self::UsSsn => us_ssn(bytes),
        };
        held.unwrap_or(false)
    }
}

/// The letter at a place of a table.
fn at(table: &[u8], place: u64) -> Option<u8> {
    table.get(usize::try_from(place).ok()?).copied()
}

fn at_social(bytes: &[u8]) -> Option<bool> {
    let rest = sum(&[3, 7, 9, 0, 5, 8, 4, 2, 1, 6], bytes)? % 11;
    Some(i64::from(digit(*bytes.get(3)?)?) == rest)
}

fn au_abn(bytes: &[u8]) -> Option<bool> {
    const WEIGHTS: [i64; 11] = [10, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19];
    // The first digit is made smaller by one before it is weighed.
    Some((sum(&WEIGHTS, bytes)? - WEIGHTS[0]) % 89 == 0)
}

fn be_nrn(bytes: &[u8]) -> Option<bool> {
    let (body, check) = (number(bytes.get(..9)?)?, number(bytes.get(9..)?)?);
    let right = |body: u64| 97 - body % 97 == check;
    Some(right(body) || right(body + 2_000_000_000))
}

fn de_social(bytes: &[u8]) -> Option<bool> {
    const WEIGHTS: [u32; 12] = [2, 1, 2, 5, 7, 1, 2, 1, 2, 1, 2, 1];
    let letter = u32::from(bytes.get(8)?.checked_sub(b'A')?) + 1;
    let front = bytes.get(..8)?.iter().map(|byte| digit(*byte));
    let back = bytes.get(9..11)?.iter().map(|byte| digit(*byte));
    let digits = front.chain([Some(letter / 10), Some(letter % 10)]).chain(back);
    let sum = digits.zip(WEIGHTS).try_fold(0, |sum, (value, weight)| {
        let product = value? * weight;
        Some(sum + product / 10 + product % 10)
    })?;
    Some(digit(*bytes.get(11)?)? == sum % 10)
}

fn es_cif(bytes: &[u8]) -> Option<bool> {
    let last = *bytes.get(8)?;
    let doubled = |value: u32| value * 2 / 10 + value * 2 % 10;
    let sum = bytes
        .get(1..8)?
        .iter()
        .enumerate()
        .try_fold(0, |sum, (place, byte)| {
            let value = digit(*byte)?;
            Some(sum + if place % 2 == 0 { doubled(value) } else { value })
        })?;
    let check = (10 - sum % 10) % 10;
    Some(digit(last) == Some(check) || Some(last) == at(b"JABCDEFGHI", u64::from(check)))
}

fn es_nif(bytes: &[u8]) -> Option<bool> {
    let (last, body) = bytes.split_last()?;
    let (first, rest) = body.split_first()?;
    let value = match first {
        b'X' | b'K' | b'L' | b'M' => number(rest)?,
        b'Y' => 10_000_000 + number(rest)?,
        b'Z' => 20_000_000 + number(rest)?,
        _ => number(body)?,
    };
    Some(at(b"TRWAGMYFPDXBNJZSQVHLCKE", value % 23) == Some(*last))
}

fn fi_hetu(bytes: &[u8]) -> Option<bool> {
    // The sign of the century may be a letter, which is still there, or a separator, which is not.
    let tail = bytes.get(bytes.len().checked_sub(4)?..)?;
    let value = number(bytes.get(..6)?)? * 1_000 + number(tail.get(..3)?)?;
    Some(at(b"0123456789ABCDEFHJKLMNPRSTUVWXY", value % 31) == tail.last().copied())
}

fn fr_nir(bytes: &[u8]) -> Option<bool> {
    let mut body: Vec<u8> = bytes.get(..13)?.to_vec();
    match body.get(5..7)? {
        b"2A" => body[5..7].copy_from_slice(b"19"),
        b"2B" => body[5..7].copy_from_slice(b"18"),
        _ => {}
    }
    Some(97 - number(&body)? % 97 == number(bytes.get(13..)?)?)
}

fn fr_spi(bytes: &[u8]) -> Option<bool> {
    Some(number(bytes.get(..10)?)? % 511 == number(bytes.get(10..)?)?)
}

fn hk_id(bytes: &[u8]) -> Option<bool> {
    let letters = bytes.iter().take_while(|byte| byte.is_ascii_uppercase()).count();
    let (front, rest) = bytes.split_at(letters);
    let (last, digits) = rest.split_last()?;
    let value = |byte: &u8| char::from(*byte).to_digit(36);
    let first = match front {
        [one] => 36 * 9 + value(one)? * 8,
        [one, two] => value(one)? * 9 + value(two)? * 8,
        _ => return None,
    };
    let body = digits
        .iter()
        .zip((2..=7).rev())
        .try_fold(0, |sum, (byte, weight)| Some(sum + digit(*byte)? * weight))?;
    Some(digits.len() == 6 && (first + body + value(last)?) % 11 == 0)
}

fn ie_pps(bytes: &[u8]) -> Option<bool> {
    let body = u64::try_from(sum(&[8, 7, 6, 5, 4, 3, 2], bytes)?).ok()?;
    let second = match bytes.get(8) {
        None | Some(b'W') => 0,
        Some(letter) => u64::from(letter.checked_sub(b'A')?) + 1,
    };
    Some(at(b"WABCDEFGHIJKLMNOPQRSTUV", (body + 9 * second) % 23) == bytes.get(7).copied())
}

fn it_fiscal_code(bytes: &[u8]) -> Option<bool> {
    /// What letters (and digits, as the first ten) count in odd places.
    const ODD: [u32; 26] = [
        1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23,
    ];
    let (last, body) = bytes.split_last()?;
    let sum = body.iter().enumerate().try_fold(0, |sum, (place, byte)| {
        let value = match byte {
            b'0'..=b'9' => byte - b'0',
            b'A'..=b'Z' => byte - b'A',
            _ => return None,
        };
        Some(
            sum + if place % 2 == 0 {
                ODD[usize::from(value)]
            } else {
                u32::from(value)
            },
        )
    })?;
    Some(body.len() == 15 && u32::from(last.checked_sub(b'A')?) == sum % 26)
}

fn kr_business(bytes: &[u8]) -> Option<bool> {
    let ninth = i64::from(digit(*bytes.get(8)?)?);
    let sum = sum(&[1, 3, 7, 1, 3, 7, 1, 3, 5], bytes)? + ninth * 5 / 10;
    Some(i64::from(digit(*bytes.get(9)?)?) == (10 - sum % 10) % 10)
}

fn lu_id(bytes: &[u8]) -> Option<bool> {
    let body = bytes.get(..11)?;
    let second = [body, bytes.get(12..)?].concat();
    Some(
        luhn(bytes.get(..12)?) && super::check::Check::Verhoeff.holds(std::str::from_utf8(&second).ok()?, ""),
    )
}

fn pt_cc(bytes: &[u8]) -> Option<bool> {
    let sum = bytes.iter().rev().enumerate().try_fold(0, |sum, (place, byte)| {
        let value = char::from(*byte).to_digit(36)?;
        Some(match (place % 2, value) {
            (0, value) => sum + value,
            (_, value) if value * 2 > 9 => sum + value * 2 - 9,
            (_, value) => sum + value * 2,
        })
    })?;
    Some(bytes.len() == 12 && sum % 10 == 0)
}

fn rodne_cislo(bytes: &[u8]) -> Option<bool> {
    let (last, body) = bytes.split_last()?;
    Some(bytes.len() == 10 && number(body)? % 11 % 10 == u64::from(digit(*last)?))
}

fn ru_snils(bytes: &[u8]) -> Option<bool> {
    let sum = u64::try_from(sum(&[9, 8, 7, 6, 5, 4, 3, 2, 1], bytes)?).ok()?;
    Some(number(bytes.get(9..)?)? == sum % 101 % 100)
}

fn sg_nric(bytes: &[u8]) -> Option<bool> {
    let (first, rest) = bytes.split_first()?;
    let (extra, table): (i64, &[u8]) = match first {
        b'S' => (0, b"JZIHGFEDCBA"),
        b'T' => (4, b"JZIHGFEDCBA"),
        b'F' => (0, b"XWUTRQPNMLK"),
        b'G' => (4, b"XWUTRQPNMLK"),
        b'M' => (3, b"XWUTRQPNJLK"),
        _ => return None,
    };
    let sum = u64::try_from(sum(&[2, 7, 6, 5, 4, 3, 2], rest)? + extra).ok()?;
    Some(at(table, sum % 11) == rest.get(7).copied())
}

fn tr_id(bytes: &[u8]) -> Option<bool> {
    let tenth = sum(&[7, -1, 7, -1, 7, -1, 7, -1, 7], bytes)?.rem_euclid(10);
    let eleventh = sum(&[1; 10], bytes)? % 10;
    let said = |place: usize| bytes.get(place).and_then(|byte| digit(*byte)).map(i64::from);
    Some(said(9) == Some(tenth) && said(10) == Some(eleventh))
}

fn tw_id(bytes: &[u8]) -> Option<bool> {
    /// What the letters count.
    const LETTERS: [u32; 26] = [
        10, 11, 12, 13, 14, 15, 16, 17, 34, 18, 19, 20, 21, 22, 35, 23, 24, 25, 26, 27, 28, 29, 32, 30, 31,
        33,
    ];
    let (first, rest) = bytes.split_first()?;
    let letter = *LETTERS.get(usize::from(first.checked_sub(b'A')?))?;
    let body = u32::try_from(sum(&[8, 7, 6, 5, 4, 3, 2, 1, 1], rest)?).ok()?;
    Some((letter / 10 + letter % 10 * 9 + body) % 10 == 0)
}

fn dea(bytes: &[u8]) -> Option<bool> {
    let digits = bytes.get(2..)?;
    Some(i64::from(digit(*digits.get(6)?)?) == sum(&[1, 2, 1, 2, 1, 2], digits)? % 10)
}

fn us_ssn(bytes: &[u8]) -> Option<bool> {
    let (area, group, serial) = (bytes.get(..3)?, bytes.get(3..5)?, bytes.get(5..9)?);
    Some(area != b"000" && area != b"666" && area[0] != b'9' && group != b"00" && serial != b"0000")
}
