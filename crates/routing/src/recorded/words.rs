//! Which keywords stood in a prompt, by prints of the keyword and of how it is compared: so that a signal that looks for
//! other words of those that were looked for is known, too. No word is in here, and nothing of what else was said.

use std::fmt::Write as _;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Digits of a print.
const DIGITS: usize = 8;

/// Keywords that were looked for, by their prints.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Words {
    /// Those that were there.
    #[serde(skip_serializing_if = "Prints::is_empty")]
    pub found: Prints,
    /// Those that were not.
    #[serde(skip_serializing_if = "Prints::is_empty")]
    pub missed: Prints,
}

/// Prints, in order. Written as one text of eight hexadecimal digits each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Prints(Vec<u32>);

impl Words {
    /// Of keywords and whether they were there.
    pub(crate) fn of(looked: impl Iterator<Item = (u32, bool)>) -> Self {
        let (mut found, mut missed) = (Vec::new(), Vec::new());
        for (print, was_found) in looked {
            if was_found { &mut found } else { &mut missed }.push(print);
        }
        let prints = |mut prints: Vec<u32>| {
            prints.sort_unstable();
            prints.dedup();
            Prints(prints)
        };
        let found = prints(found);
        let mut missed = prints(missed);
        // Two keywords of one print tell nothing of either.
        missed.0.retain(|print| found.0.binary_search(print).is_err());
        Self { found, missed }
    }

    /// Whether any was looked for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.found.is_empty() && self.missed.is_empty()
    }

    /// Whether a keyword was there; none where it was not looked for.
    pub(crate) fn had(&self, print: u32) -> Option<bool> {
        if self.found.0.binary_search(&print).is_ok() {
            return Some(true);
        }
        self.missed.0.binary_search(&print).is_ok().then_some(false)
    }
}

impl Prints {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Prints {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = String::with_capacity(self.0.len() * DIGITS);
        for print in &self.0 {
            let _ = write!(text, "{print:08x}");
        }
        serializer.serialize_str(&text)
    }
}

impl<'de> Deserialize<'de> for Prints {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        let wrong = || serde::de::Error::custom("prints are hexadecimal, eight digits each");
        let mut prints = Vec::with_capacity(text.len() / DIGITS);
        for digits in text.as_bytes().chunks(DIGITS) {
            let digits = std::str::from_utf8(digits).map_err(|_| wrong())?;
            prints.push(u32::from_str_radix(digits, 16).map_err(|_| wrong())?);
        }
        prints.sort_unstable();
        Ok(Self(prints))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_come_back_as_they_went_in() {
        let words = Words::of([(7, true), (0xffff_ffff, false), (3, false), (7, false)].into_iter());
        let json = serde_json::to_string(&words).unwrap();
        assert_eq!(json, r#"{"found":"00000007","missed":"00000003ffffffff"}"#);
        assert_eq!(serde_json::from_str::<Words>(&json).unwrap(), words);
        assert_eq!(
            [7, 3, 4].map(|print| words.had(print)),
            [Some(true), Some(false), None]
        );
        assert!(serde_json::from_str::<Words>(r#"{"found":"xyz"}"#).is_err());
    }
}
