//! Keys: a hash of everything that changes the answer, and of who may see it.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

/// A key of the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CacheKey(pub(crate) [u8; 32]);

impl CacheKey {
    /// A short form, to sort by. Two keys may have the same.
    #[must_use]
    pub fn short(&self) -> u64 {
        let mut short = [0; 8];
        short.copy_from_slice(&self.0[..8]);
        u64::from_le_bytes(short)
    }

    /// Its 64 hexadecimal digits.
    #[must_use]
    pub fn hex(&self) -> String {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let digit = |half: u8| char::from(DIGITS[usize::from(half)]);
        let both = |byte: &u8| [digit(byte >> 4), digit(byte & 15)];
        self.0.iter().flat_map(both).collect()
    }

    /// The key of 64 hexadecimal digits; none where they are others.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        if text.len() != 64 || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        let mut key = [0; 32];
        for (at, byte) in key.iter_mut().enumerate() {
            *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
        }
        Some(Self(key))
    }

    /// Its bytes, to be a field of another.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Serialize for CacheKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.hex())
    }
}

impl<'de> Deserialize<'de> for CacheKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Self::from_hex(&text).ok_or_else(|| D::Error::custom("a key has 64 hexadecimal digits"))
    }
}

/// Builds a key from fields. Fields carry their name and length, so that no two different sequences of fields have
/// the same bytes.
#[derive(Debug, Clone, Default)]
pub struct KeyBuilder(Sha256);

impl KeyBuilder {
    /// An empty key.
    #[must_use]
    pub fn new() -> Self {
        Self(Sha256::new_with_prefix(b"pointsman cache v2"))
    }

    /// Adds a field.
    pub fn field(&mut self, name: &str, value: &[u8]) {
        for part in [name.as_bytes(), value] {
            self.0.update((part.len() as u64).to_le_bytes());
            self.0.update(part);
        }
    }

    /// Adds bytes that delimit themselves, as those that `std::hash::Hash` writes do.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The key.
    #[must_use]
    pub fn finish(self) -> CacheKey {
        CacheKey(self.0.finalize().into())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(fields: &[(String, Vec<u8>)]) -> CacheKey {
        let mut builder = KeyBuilder::new();
        fields.iter().for_each(|(name, value)| builder.field(name, value));
        builder.finish()
    }

    #[test]
    fn digits_are_those_of_the_key() {
        let whole = key(&[("a".to_owned(), vec![1])]);
        assert_eq!(CacheKey::from_hex(&whole.hex()), Some(whole));
        assert_eq!(
            serde_json::from_str::<CacheKey>(&format!("\"{}\"", whole.hex())).unwrap(),
            whole
        );
        for other in [
            "",
            "00",
            &"g".repeat(64),
            &format!("+{}", &whole.hex()[1..]),
            &"é".repeat(32),
        ] {
            assert_eq!(CacheKey::from_hex(other), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn different_fields_have_different_keys(
            left in proptest::collection::vec(("[ab]{0,2}", proptest::collection::vec(0_u8..3, 0..3)), 0..4),
            right in proptest::collection::vec(("[ab]{0,2}", proptest::collection::vec(0_u8..3, 0..3)), 0..4),
        ) {
            prop_assert_eq!(left == right, key(&left) == key(&right));
        }
    }
}
