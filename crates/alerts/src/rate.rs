//! How often something fails, out of counters that only grow.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// Samples that are kept of a span; it is exact to so many parts.
const SAMPLES: u32 = 20;

/// All requests, and those that failed, by name.
pub type Totals = BTreeMap<String, (u64, u64)>;

/// Counters as they were within a span of time.
#[derive(Debug)]
pub struct Rates {
    span: Duration,
    /// The oldest first, with milliseconds of a steady clock.
    samples: VecDeque<(u64, Totals)>,
}

impl Rates {
    /// Over a span.
    #[must_use]
    pub fn new(span: Duration) -> Self {
        Self {
            span,
            samples: VecDeque::new(),
        }
    }

    /// Takes note of counters as they are `now` (milliseconds of a steady clock), and gives what was added within the span.
    pub fn look(&mut self, now: u64, totals: &Totals) -> Totals {
        let span = u64::try_from(self.span.as_millis()).unwrap_or(u64::MAX);
        // One that is as old as the span, or older, is where it begins.
        while self.samples.get(1).is_some_and(|(at, _)| at + span <= now) {
            self.samples.pop_front();
        }
        let added = self.samples.front().map_or_else(Totals::new, |(_, first)| {
            let grown = |(name, (all, failed)): (&String, &(u64, u64))| {
                let (before, failed_before) = first.get(name).copied().unwrap_or_default();
                let grown = (all.saturating_sub(before), failed.saturating_sub(failed_before));
                (name.clone(), grown)
            };
            totals.iter().map(grown).collect()
        });
        let is_due = self
            .samples
            .back()
            .is_none_or(|(at, _)| now.saturating_sub(*at) >= span / u64::from(SAMPLES));
        if is_due {
            self.samples.push_back((now, totals.clone()));
        }
        added
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn totals(all: u64, failed: u64) -> Totals {
        BTreeMap::from([("openai".to_owned(), (all, failed))])
    }

    #[test]
    fn only_what_was_added_within_the_span_counts() {
        let mut rates = Rates::new(Duration::from_secs(100));
        assert_eq!(
            rates.look(0, &totals(1_000, 1_000)),
            Totals::new(),
            "what was before"
        );
        let mut all = 1_000;
        for second in 1..=200 {
            all += 10;
            rates.look(second * 1_000, &totals(all, 1_000));
        }
        let added = rates.look(200_000, &totals(all, 1_000))["openai"];
        assert!((1_000..=1_060).contains(&added.0), "{added:?}");
        assert_eq!(added.1, 0);
        assert!(rates.samples.len() <= SAMPLES as usize + 2, "it does not grow");
    }
}
