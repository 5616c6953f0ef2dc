//! Keys: a hash of everything that changes the answer, and of who may see it.

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

    /// Its bytes, to be a field of another.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
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
