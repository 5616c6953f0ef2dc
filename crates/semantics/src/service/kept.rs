//! What was read lately, by a hash of text and question: as many readings as were allowed, the least used go.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};

use parking_lot::Mutex;
use sha2::{Digest, Sha256};

/// A hash of a text and of what is asked of it. A text that someone made to collide with another's would get the other's
/// reading, so the hash is one for which nobody can.
#[must_use]
pub fn fingerprint(text: &str, question: &impl Hash) -> [u8; 16] {
    struct Through(Sha256);
    impl Hasher for Through {
        fn write(&mut self, bytes: &[u8]) {
            self.0.update((bytes.len() as u64).to_le_bytes());
            self.0.update(bytes);
        }

        fn finish(&self) -> u64 {
            0
        }
    }
    let mut through = Through(Sha256::new());
    question.hash(&mut through);
    through.write(text.as_bytes());
    let mut key = [0; 16];
    key.copy_from_slice(&through.0.finalize()[..16]);
    key
}

/// Two halves: what is asked for moves to the young one; when that is full, it becomes the old one, and what was old goes.
#[derive(Debug)]
struct Halves<T> {
    young: HashMap<[u8; 16], T>,
    old: HashMap<[u8; 16], T>,
}

/// A bounded map of readings.
#[derive(Debug)]
pub struct Kept<T> {
    halves: Mutex<Halves<T>>,
    half: usize,
}

impl<T: Clone> Kept<T> {
    /// For at most `most` readings.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self {
            halves: Mutex::new(Halves {
                young: HashMap::new(),
                old: HashMap::new(),
            }),
            half: most / 2,
        }
    }

    /// The reading of this key.
    #[must_use]
    pub fn get(&self, key: &[u8; 16]) -> Option<T> {
        let mut halves = self.halves.lock();
        if let Some(found) = halves.young.get(key) {
            return Some(found.clone());
        }
        let found = halves.old.remove(key)?;
        self.insert(&mut halves, *key, found.clone());
        Some(found)
    }

    /// Keeps a reading.
    pub fn put(&self, key: [u8; 16], value: T) {
        self.insert(&mut self.halves.lock(), key, value);
    }

    fn insert(&self, halves: &mut Halves<T>, key: [u8; 16], value: T) {
        if self.half == 0 {
            return;
        }
        if halves.young.len() >= self.half && !halves.young.contains_key(&key) {
            halves.old = std::mem::take(&mut halves.young);
        }
        halves.young.insert(key, value);
    }

    /// How many are kept.
    #[must_use]
    pub fn len(&self) -> usize {
        let halves = self.halves.lock();
        halves.young.len() + halves.old.len()
    }

    /// Whether none is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_stays_and_the_rest_goes() {
        let kept = Kept::new(8);
        let key = |number: u8| [number; 16];
        for number in 0..100 {
            kept.put(key(number), number);
            assert!(kept.len() <= 8);
            assert!(number < 1 || kept.get(&key(0)) == Some(0), "{number}");
        }
        assert_eq!(kept.get(&key(50)), None);
        let none = Kept::new(0);
        none.put(key(1), 1);
        assert!(none.is_empty());
    }

    #[test]
    fn questions_and_texts_make_different_keys() {
        let keys = [
            fingerprint("a", &1_u8),
            fingerprint("a", &2_u8),
            fingerprint("b", &1_u8),
            fingerprint("", &(1_u8, "a")),
            fingerprint("a", &(1_u8, "")),
        ];
        for (index, key) in keys.iter().enumerate() {
            assert!(!keys[index + 1..].contains(key));
        }
        assert_eq!(fingerprint("a", &1_u8), keys[0]);
    }
}
