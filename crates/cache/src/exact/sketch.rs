//! How often keys were asked for, about: four small counters a key, shared with others, of which the least is nearest to the
//! truth. All are halved from time to time, so that what was asked for long ago counts less.

use crate::key::CacheKey;

/// Counters of a row; of four bits each.
const WIDTH: usize = 8_192;
/// Rows.
const ROWS: usize = 4;
/// The most that is counted.
const MOST: u8 = 15;
/// Keys counted until all are halved.
const AGE: usize = 10 * WIDTH;

/// The counters. Not there before something is counted.
#[derive(Debug, Default)]
pub struct Sketch {
    /// Two counters a byte.
    counters: Vec<u8>,
    counted: usize,
}

impl Sketch {
    /// Counts that a key was asked for.
    pub fn count(&mut self, key: &CacheKey) {
        if self.counters.is_empty() {
            self.counters = vec![0; ROWS * WIDTH / 2];
        }
        for place in places(key) {
            let now = self.at(place);
            if now < MOST {
                self.counters[place / 2] += if place.is_multiple_of(2) { 1 } else { 16 };
            }
        }
        self.counted += 1;
        if self.counted >= AGE {
            for both in &mut self.counters {
                *both = (*both >> 1) & 0x77;
            }
            self.counted /= 2;
        }
    }

    /// How often a key was asked for, about.
    pub fn often(&self, key: &CacheKey) -> u8 {
        if self.counters.is_empty() {
            return 0;
        }
        let all = places(key).into_iter().map(|place| self.at(place));
        all.min().unwrap_or(0)
    }

    fn at(&self, place: usize) -> u8 {
        let both = self.counters[place / 2];
        if place.is_multiple_of(2) {
            both & 15
        } else {
            both >> 4
        }
    }
}

/// The counters of a key. Keys are hashes: their bytes are as good as any.
fn places(key: &CacheKey) -> [usize; ROWS] {
    // Shards are told apart by the first byte.
    let bytes = &key.0[24..32];
    let at = |row: usize| usize::from(u16::from_le_bytes([bytes[2 * row], bytes[2 * row + 1]]));
    [0, 1, 2, 3].map(|row| row * WIDTH + at(row) % WIDTH)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::KeyBuilder;

    #[test]
    fn what_is_asked_for_counts_and_fades() {
        let key = |number: u64| {
            let mut key = KeyBuilder::new();
            key.field("number", &number.to_le_bytes());
            key.finish()
        };
        let mut sketch = Sketch::default();
        assert_eq!(sketch.often(&key(0)), 0);
        for _ in 0..9 {
            sketch.count(&key(0));
        }
        assert_eq!(sketch.often(&key(0)), 9);
        for number in 1..1_000 {
            sketch.count(&key(number));
        }
        assert!(sketch.often(&key(0)) <= 11 && sketch.often(&key(5)) <= 3);
        for _ in 0..100 {
            sketch.count(&key(0));
        }
        assert_eq!(sketch.often(&key(0)), MOST);
        for number in 0..AGE as u64 {
            sketch.count(&key(1_000 + number % 4));
        }
        assert!(sketch.often(&key(0)) < MOST, "it fades");
    }
}
