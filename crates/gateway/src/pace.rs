//! How fast models are and how busy: the latest times of each, in atomics that all workers share.
//!
//! A [`Pace`] holds a bounded number of times and forgets what is too old. Recording is one atomic store; reading looks at
//! all of them, which only decisions do that go by it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use pointsman_routing::selection::{Latency, Percentiles};

/// Times that are kept of each measure.
const KEPT: usize = 128;
/// What is older than this no longer says how fast a model is.
const WINDOW: Duration = Duration::from_secs(300);
/// Percentiles that are told; those between lie in proportion.
const TOLD: [u8; 8] = [1, 10, 25, 50, 75, 90, 95, 99];

/// How fast a model was lately, and how busy it is.
pub struct Pace {
    begun: Instant,
    /// To the first content.
    first: Ring,
    /// For each further token.
    each: Ring,
    in_flight: AtomicU32,
}

/// The latest times: microseconds below, seconds since the beginning above; 0 is none.
struct Ring {
    next: AtomicUsize,
    slots: [AtomicU64; KEPT],
}

/// Paces by the names of models: they outlast a configuration.
#[derive(Default)]
pub struct Paces(Mutex<HashMap<String, Arc<Pace>>>);

/// A request that a model works on; counts as its load until it is dropped.
pub struct Running {
    pace: Arc<Pace>,
    begun: Instant,
}

impl Paces {
    /// Those of these models; all others are forgotten.
    pub fn of<'n>(&self, models: impl Iterator<Item = &'n str>) -> HashMap<String, Arc<Pace>> {
        let mut known = self.0.lock();
        let kept: HashMap<String, Arc<Pace>> = models
            .map(|model| {
                let pace = known.get(model).map_or_else(Arc::default, Arc::clone);
                (model.to_owned(), pace)
            })
            .collect();
        known.clone_from(&kept);
        kept
    }
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            begun: Instant::now(),
            first: Ring::default(),
            each: Ring::default(),
            in_flight: AtomicU32::new(0),
        }
    }
}

impl Default for Ring {
    fn default() -> Self {
        Self {
            next: AtomicUsize::new(0),
            slots: [const { AtomicU64::new(0) }; KEPT],
        }
    }
}

impl Pace {
    /// How fast it was lately; without times where there are none.
    pub fn latency(&self, now: Instant) -> Latency {
        let now = self.second(now);
        Latency {
            ttft_ms: self.first.read(now),
            tpot_ms: self.each.read(now),
        }
    }

    /// Requests that it works on.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    fn second(&self, now: Instant) -> u64 {
        // 0 stands for a slot that was never used.
        now.saturating_duration_since(self.begun).as_secs() + 1
    }
}

impl Ring {
    fn record(&self, time: Duration, second: u64) {
        let micros = u32::try_from(time.as_micros()).unwrap_or(u32::MAX);
        let at = self.next.fetch_add(1, Ordering::Relaxed) % KEPT;
        self.slots[at].store((second << 32) | u64::from(micros), Ordering::Relaxed);
    }

    fn read(&self, now: u64) -> Percentiles {
        let mut times: Vec<u32> = self
            .slots
            .iter()
            .map(|slot| slot.load(Ordering::Relaxed))
            .filter(|word| *word != 0 && now.saturating_sub(word >> 32) <= WINDOW.as_secs())
            .map(|word| u32::try_from(word & u64::from(u32::MAX)).unwrap_or(u32::MAX))
            .collect();
        times.sort_unstable();
        let at = |percentile: u8| {
            let rank = (usize::from(percentile) * times.len()).div_ceil(100).max(1);
            let time = times.get(rank - 1)?;
            Some((percentile, f64::from(*time) / 1_000.0))
        };
        Percentiles(TOLD.into_iter().filter_map(at).collect())
    }
}

impl Running {
    /// A request that begins.
    pub fn begin(pace: &Arc<Pace>) -> Self {
        pace.in_flight.fetch_add(1, Ordering::Relaxed);
        Self {
            pace: Arc::clone(pace),
            begun: Instant::now(),
        }
    }

    /// It was answered: when the first content came, and how many tokens there were. Of an answer that comes as a whole,
    /// the first content is all of it, and each token took its share.
    pub fn answered(self, first: Instant, tokens: u64, streamed: bool) {
        let now = Instant::now();
        let second = self.pace.second(now);
        let until_first = first.saturating_duration_since(self.begun);
        self.pace.first.record(until_first, second);
        let (time, tokens) = match streamed {
            true => (now.saturating_duration_since(first), tokens.saturating_sub(1)),
            false => (until_first, tokens),
        };
        if let Some(each) = u32::try_from(tokens)
            .ok()
            .and_then(|tokens| time.checked_div(tokens))
        {
            self.pace.each.record(each, second);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.pace.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_by_percentile_and_forgotten() {
        let ring = Ring::default();
        for millis in 1..=200_u64 {
            ring.record(Duration::from_millis(millis), 1);
        }
        let read = ring.read(1);
        // Of 200, the latest 128 are left.
        assert_eq!(read.at(1), Some(74.0));
        assert_eq!(read.at(50), Some(136.0));
        assert_eq!(read.at(99), Some(199.0));
        assert_eq!(ring.read(1 + WINDOW.as_secs()).at(50), Some(136.0));
        assert_eq!(ring.read(2 + WINDOW.as_secs()).at(50), None);
    }

    #[test]
    fn who_runs_is_load_until_it_ends() {
        let paces = Paces::default();
        let known = paces.of(["a", "b"].into_iter());
        let pace = &known["a"];
        let (one, two) = (Running::begin(pace), Running::begin(pace));
        assert_eq!(pace.in_flight(), 2);
        drop(one);
        two.answered(Instant::now(), 11, true);
        assert_eq!(pace.in_flight(), 0);
        assert!(pace.latency(Instant::now()).ttft_ms.at(50).is_some());
        // What a reload keeps goes on as it is, and the rest is gone.
        assert!(Arc::ptr_eq(&paces.of(["a"].into_iter())["a"], pace));
        let again = paces.of(["a", "b"].into_iter());
        assert!(!Arc::ptr_eq(&again["b"], &known["b"]));
    }
}
