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

/// A half, with how many bytes its readings take.
#[derive(Debug)]
struct Half<T> {
    readings: HashMap<[u8; 16], (T, usize)>,
    bytes: usize,
}

impl<T> Default for Half<T> {
    fn default() -> Self {
        Self {
            readings: HashMap::new(),
            bytes: 0,
        }
    }
}

impl<T> Half<T> {
    fn remove(&mut self, key: &[u8; 16]) -> Option<(T, usize)> {
        let found = self.readings.remove(key)?;
        self.bytes -= found.1;
        Some(found)
    }
}

/// Two halves: what is asked for moves to the young one; when that is full, it becomes the old one, and what was old goes.
#[derive(Debug)]
struct Halves<T> {
    young: Half<T>,
    old: Half<T>,
}

/// A bounded map of readings.
#[derive(Debug)]
pub struct Kept<T> {
    halves: Mutex<Halves<T>>,
    half: usize,
    half_bytes: usize,
}

/// What a key and its place take, beside the reading.
const PLACE: usize = 64;

impl<T: Clone> Kept<T> {
    /// For at most `most` readings, which take at most `most_bytes`.
    #[must_use]
    pub fn new(most: usize, most_bytes: usize) -> Self {
        Self {
            halves: Mutex::new(Halves {
                young: Half::default(),
                old: Half::default(),
            }),
            half: most / 2,
            half_bytes: most_bytes / 2,
        }
    }

    /// The reading of this key.
    #[must_use]
    pub fn get(&self, key: &[u8; 16]) -> Option<T> {
        let mut halves = self.halves.lock();
        if let Some((found, _)) = halves.young.readings.get(key) {
            return Some(found.clone());
        }
        let (found, bytes) = halves.old.remove(key)?;
        self.insert(&mut halves, *key, (found.clone(), bytes));
        Some(found)
    }

    /// Keeps a reading of so many bytes, unless it alone would push out most of the others.
    pub fn put(&self, key: [u8; 16], value: T, bytes: usize) {
        self.insert(&mut self.halves.lock(), key, (value, bytes.saturating_add(PLACE)));
    }

    fn insert(&self, halves: &mut Halves<T>, key: [u8; 16], value: (T, usize)) {
        if self.half == 0 || value.1 > self.half_bytes {
            return;
        }
        halves.young.remove(&key);
        let young = &halves.young;
        if young.readings.len() >= self.half || young.bytes + value.1 > self.half_bytes {
            halves.old = std::mem::take(&mut halves.young);
        }
        halves.young.bytes += value.1;
        halves.young.readings.insert(key, value);
    }

    /// How many are kept.
    #[must_use]
    pub fn len(&self) -> usize {
        let halves = self.halves.lock();
        halves.young.readings.len() + halves.old.readings.len()
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
        let kept = Kept::new(8, 1 << 20);
        let key = |number: u8| [number; 16];
        for number in 0..100 {
            kept.put(key(number), number, 1);
            assert!(kept.len() <= 8);
            assert!(number < 1 || kept.get(&key(0)) == Some(0), "{number}");
        }
        assert_eq!(kept.get(&key(50)), None);
        let none = Kept::new(0, 1 << 20);
        none.put(key(1), 1, 1);
        assert!(none.is_empty());
    }

    #[test]
    fn large_readings_push_out_others_and_too_large_ones_are_not_kept() {
        let kept = Kept::new(1_000, 10_000);
        let bytes = |kept: &Kept<u8>| {
            let halves = kept.halves.lock();
            halves.young.bytes + halves.old.bytes
        };
        for number in 0..200 {
            kept.put([number; 16], number, usize::from(number) * 20);
            kept.put([number / 2; 16], number, usize::from(number) * 7);
            assert!(bytes(&kept) <= 10_000, "{number}: {}", bytes(&kept));
            assert_eq!(kept.get(&[number; 16]), Some(number));
        }
        kept.put([255; 16], 255, 5_000);
        assert_eq!(kept.get(&[255; 16]), None);
        assert_eq!(kept.get(&[199; 16]), Some(199));
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
