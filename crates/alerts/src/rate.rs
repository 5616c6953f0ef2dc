//! How often something fails, and how long it takes, out of counters that only grow.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::config::LatencyConfig;

/// Samples that are kept of a span; it is exact to so many parts.
const SAMPLES: u32 = 20;

/// All requests, and those that failed, by name; or answers, and how long they took together.
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

/// Means of lately against those of the time before.
#[derive(Debug)]
pub struct Paces {
    rule: LatencyConfig,
    lately: Rates,
    /// Over both times.
    long: Rates,
}

/// Something that takes longer than it used to; times in the unit of the totals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slower {
    /// What does.
    pub name: String,
    /// The mean of lately.
    pub mean: u64,
    /// The mean of before.
    pub before: u64,
}

impl Paces {
    /// By a rule.
    #[must_use]
    pub fn new(rule: &LatencyConfig) -> Self {
        Self {
            lately: Rates::new(rule.within.get()),
            long: Rates::new(rule.within.get().saturating_add(rule.against.get())),
            rule: rule.clone(),
        }
    }

    /// Takes note of answers and the microseconds that they took, as they are `now` (milliseconds of a steady clock), and
    /// gives what is slower than it was.
    pub fn look(&mut self, now: u64, totals: &Totals) -> Vec<Slower> {
        let (lately, long) = (self.lately.look(now, totals), self.long.look(now, totals));
        let above = u64::try_from(self.rule.above.get().as_micros()).unwrap_or(u64::MAX);
        let mut slower = Vec::new();
        for (name, (count, sum)) in lately {
            let (all, all_sum) = long.get(&name).copied().unwrap_or_default();
            let (count_before, sum_before) = (all.saturating_sub(count), all_sum.saturating_sub(sum));
            if count < self.rule.requests || count_before < self.rule.requests {
                continue;
            }
            let (mean, before) = (sum / count, sum_before / count_before);
            if mean > above && mean > before.saturating_mul(u64::from(self.rule.times)) {
                slower.push(Slower { name, mean, before });
            }
        }
        slower
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_longer_than_it_did_is_found_and_what_always_took_long_is_not() {
        let rule = serde_json::json!({ "times": 3, "above": "1s", "within": "10s", "against": "100s", "requests": 5 });
        let mut paces = Paces::new(&serde_json::from_value(rule).unwrap());
        let mut totals = Totals::new();
        let mut found = Vec::new();
        // From the hundredth second on, `slow` takes two seconds, `quick` a tenth of one; both took far less before.
        for second in 0..120_u64 {
            let is_late = second >= 100;
            for (name, micros) in [
                ("slow", if is_late { 2_000_000 } else { 500_000 }),
                ("quick", if is_late { 100_000 } else { 1_000 }),
                ("always", 5_000_000),
            ] {
                let (count, sum) = totals.entry(name.to_owned()).or_default();
                (*count, *sum) = (*count + 1, *sum + micros);
            }
            found.push(paces.look(second * 1_000, &totals));
        }
        assert!(found[..100].iter().all(Vec::is_empty), "{found:?}");
        let last = found.last().unwrap();
        assert_eq!(last.len(), 1, "{last:?}");
        assert_eq!(last[0].name, "slow");
        assert!(last[0].mean > 1_900_000 && last[0].before < 700_000, "{last:?}");
        // Too few answers say nothing.
        let rule = serde_json::json!({ "within": "10s", "against": "100s", "requests": 50 });
        let mut paces = Paces::new(&serde_json::from_value(rule).unwrap());
        assert_eq!(paces.look(0, &Totals::new()), []);
        assert_eq!(paces.look(10_000, &totals), []);
    }

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
