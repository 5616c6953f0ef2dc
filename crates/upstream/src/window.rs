//! Counts over a sliding window of time, in atomics that all workers share.

use std::sync::atomic::{AtomicU64, Ordering};

/// Slices of the window. The count forgets in steps of a tenth of the window.
const SLICES: u64 = 10;
const COUNT_BITS: u32 = 20;
const COUNT_MASK: u64 = (1 << COUNT_BITS) - 1;
const TICK_MASK: u64 = (1 << (64 - 2 * COUNT_BITS)) - 1;

/// How many events, and how many of them marked, happened in the last `SLICES` slices of time.
///
/// Each slice is one word: the number of the slice it counts, all events, marked events. A slice is taken over by
/// the first event of a later one, so nothing needs clearing. Counts stop at about a million a slice.
#[derive(Debug, Default)]
pub(crate) struct SlidingCounts {
    slices: [AtomicU64; SLICES as usize],
}

/// What a [`SlidingCounts`] holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// All events.
    pub(crate) total: u64,
    /// Those that were marked.
    pub(crate) marked: u64,
}

impl SlidingCounts {
    /// Adds to the slice at `now`, an instant in the same unit as `window`.
    pub(crate) fn add(&self, total: u64, marked: u64, now: u64, window: u64) {
        let tick = tick(now, window);
        let slice = &self.slices[usize::try_from(tick % SLICES).unwrap_or(0)];
        let _ = slice.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |word| {
            let (of, counts) = unpack(word);
            let kept = if of == tick & TICK_MASK {
                counts
            } else {
                Counts::default()
            };
            Some(pack(
                tick,
                Counts {
                    total: kept.total + total,
                    marked: kept.marked + marked,
                },
            ))
        });
    }

    /// What happened in the window that ends at `now`.
    pub(crate) fn read(&self, now: u64, window: u64) -> Counts {
        let tick = tick(now, window);
        self.slices
            .iter()
            .map(|slice| unpack(slice.load(Ordering::Relaxed)))
            .fold(Counts::default(), |sum, (of, counts)| {
                if (tick.wrapping_sub(of) & TICK_MASK) < SLICES {
                    Counts {
                        total: sum.total + counts.total,
                        marked: sum.marked + counts.marked,
                    }
                } else {
                    sum
                }
            })
    }

    /// Forgets everything.
    pub(crate) fn clear(&self) {
        for slice in &self.slices {
            slice.store(0, Ordering::Relaxed);
        }
    }
}

fn tick(now: u64, window: u64) -> u64 {
    now / (window / SLICES).max(1)
}

fn pack(tick: u64, counts: Counts) -> u64 {
    ((tick & TICK_MASK) << (2 * COUNT_BITS))
        | (counts.total.min(COUNT_MASK) << COUNT_BITS)
        | counts.marked.min(COUNT_MASK)
}

fn unpack(word: u64) -> (u64, Counts) {
    let counts = Counts {
        total: (word >> COUNT_BITS) & COUNT_MASK,
        marked: word & COUNT_MASK,
    };
    (word >> (2 * COUNT_BITS), counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: u64 = 1_000;

    #[test]
    fn counts_and_forgets() {
        let counts = SlidingCounts::default();
        counts.add(1, 0, 0, WINDOW);
        counts.add(1, 1, 50, WINDOW);
        counts.add(2, 1, 500, WINDOW);
        assert_eq!(counts.read(500, WINDOW), Counts { total: 4, marked: 2 });
        assert_eq!(counts.read(999, WINDOW), Counts { total: 4, marked: 2 });
        assert_eq!(counts.read(1_000, WINDOW), Counts { total: 2, marked: 1 });
        assert_eq!(counts.read(1_499, WINDOW), Counts { total: 2, marked: 1 });
        assert_eq!(counts.read(1_500, WINDOW), Counts::default());
        counts.add(1, 0, 10_000, WINDOW);
        assert_eq!(counts.read(10_000, WINDOW), Counts { total: 1, marked: 0 });
        counts.clear();
        assert_eq!(counts.read(10_000, WINDOW), Counts::default());
    }

    #[test]
    fn saturates_instead_of_spilling_into_the_other_count() {
        let counts = SlidingCounts::default();
        counts.add(COUNT_MASK, COUNT_MASK, 0, WINDOW);
        counts.add(5, 5, 0, WINDOW);
        assert_eq!(
            counts.read(0, WINDOW),
            Counts {
                total: COUNT_MASK,
                marked: COUNT_MASK
            }
        );
    }
}
