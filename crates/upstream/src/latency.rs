//! Peak-sensitive moving average of the time to the first byte, in one atomic.

use std::sync::atomic::{AtomicU64, Ordering};

/// Time in which an old sample loses all but 1/e of its weight.
const DECAY_MILLIS: f64 = 10_000.0;

/// A moving average that rises to a slower sample at once and comes down slowly, so that an endpoint that has become
/// slow is avoided after one answer. Without samples it fades towards 0, so that the endpoint is tried again.
///
/// One word: the average in microseconds above, the time of the last sample in milliseconds below (which wraps after
/// 49 days; differences stay right).
#[derive(Debug, Default)]
pub(crate) struct PeakEwma(AtomicU64);

impl PeakEwma {
    /// Takes in a sample, in microseconds, at `now`, in microseconds since any fixed point.
    pub(crate) fn record(&self, sample: u64, now: u64) {
        let sample = u32::try_from(sample).unwrap_or(u32::MAX).max(1);
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |word| {
            let average = average(word);
            let next = if word == 0 || sample >= average {
                sample
            } else {
                let weight = weight_of_the_past(word, now);
                to_micros(f64::from(average) * weight + f64::from(sample) * (1.0 - weight)).max(1)
            };
            Some((u64::from(next) << 32) | u64::from(millis(now)))
        });
    }

    /// The average in microseconds at `now`; `None` before the first sample.
    pub(crate) fn read(&self, now: u64) -> Option<u64> {
        let word = self.0.load(Ordering::Relaxed);
        (word != 0).then(|| {
            u64::from(to_micros(
                f64::from(average(word)) * weight_of_the_past(word, now),
            ))
        })
    }
}

fn average(word: u64) -> u32 {
    (word >> 32) as u32
}

fn millis(now: u64) -> u32 {
    ((now / 1_000) & u64::from(u32::MAX)) as u32
}

fn weight_of_the_past(word: u64, now: u64) -> f64 {
    let then = (word & u64::from(u32::MAX)) as u32;
    let elapsed = millis(now).wrapping_sub(then);
    // Another worker may have recorded a little later than this one's `now`.
    let elapsed = if elapsed > u32::MAX / 2 { 0 } else { elapsed };
    (-f64::from(elapsed) / DECAY_MILLIS).exp()
}

fn to_micros(value: f64) -> u32 {
    value as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;

    #[test]
    fn rises_at_once_and_falls_slowly() {
        let latency = PeakEwma::default();
        assert_eq!(latency.read(0), None);
        latency.record(1_000, 0);
        assert_eq!(latency.read(0), Some(1_000));
        latency.record(50_000, SECOND);
        assert_eq!(latency.read(SECOND), Some(50_000));
        latency.record(1_000, 2 * SECOND);
        let after = latency.read(2 * SECOND).unwrap();
        assert!((40_000..50_000).contains(&after), "{after}");
    }

    #[test]
    fn fades_without_samples() {
        let latency = PeakEwma::default();
        latency.record(1_000_000, 0);
        let later = latency.read(30 * SECOND).unwrap();
        assert!((40_000..60_000).contains(&later), "{later}");
        assert_eq!(latency.read(1_000 * SECOND), Some(0));
    }

    #[test]
    fn takes_extremes() {
        let latency = PeakEwma::default();
        latency.record(0, 0);
        assert_eq!(latency.read(0), Some(1));
        latency.record(u64::MAX, 5);
        assert_eq!(latency.read(5), Some(u64::from(u32::MAX)));
    }
}
