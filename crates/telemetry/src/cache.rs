//! How often answers are given again, why others are not looked for, and what is remembered.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::exposition::Exposition;

/// What came of look-ups. `shadow`: would have been answered; `stale`: of those that were, past its time; `failure`: the
/// request was refused before.
pub const RESULTS: [&str; 6] = ["exact", "semantic", "shadow", "stale", "failure", "miss"];
/// Why an answer was not looked for: by the client's wish, by rule, or because the question was not understood in time.
pub const REASONS: [&str; 13] = [
    "no_cache",
    "no_store",
    "tools",
    "media",
    "no_question",
    "long",
    "chance",
    "time",
    "personal",
    "loading",
    "late",
    "full",
    "failed",
];
/// What came of waiting for the same request of somebody else.
pub const WAITS: [&str; 3] = ["shared", "alone", "late"];
/// The two caches.
const KINDS: [&str; 2] = ["exact", "semantic"];

/// Counters of remembered answers.
#[derive(Debug, Default)]
pub struct Caches {
    results: [AtomicU64; RESULTS.len()],
    reasons: [AtomicU64; REASONS.len()],
    waits: [AtomicU64; WAITS.len()],
    sizes: [[AtomicU64; SIZES.len()]; KINDS.len()],
}

/// What a cache says of itself: name, kind, help.
const SIZES: [(&str, &str, &str); 3] = [
    ("pointsman_cache_entries", "gauge", "Remembered answers."),
    ("pointsman_cache_bytes", "gauge", "Bytes of remembered answers."),
    (
        "pointsman_cache_evictions_total",
        "counter",
        "Answers that had to go before their time, to make room.",
    ),
];

fn count<const N: usize>(names: &[&str; N], counters: &[AtomicU64; N], name: &str) {
    if let Some(place) = names.iter().position(|known| *known == name) {
        counters[place].fetch_add(1, Ordering::Relaxed);
    }
}

impl Caches {
    /// A look-up had one of `RESULTS`.
    pub fn found(&self, result: &str) {
        count(&RESULTS, &self.results, result);
    }

    /// Nothing was looked for, for one of `REASONS`.
    pub fn bypassed(&self, reason: &str) {
        count(&REASONS, &self.reasons, reason);
    }

    /// A request waited, with one of `WAITS`.
    pub fn waited(&self, result: &str) {
        count(&WAITS, &self.waits, result);
    }

    /// What the exact and the semantic cache say of themselves: entries, bytes, evictions.
    pub fn sizes(&self, said: [[u64; 3]; 2]) {
        for (gauges, values) in self.sizes.iter().zip(said) {
            for (gauge, value) in gauges.iter().zip(values) {
                gauge.store(value, Ordering::Relaxed);
            }
        }
    }

    pub(crate) fn render(&self, out: &mut Exposition) {
        let families = [
            (
                "pointsman_cache_lookups_total",
                "Requests that an answer was looked for.",
                "result",
                (&RESULTS[..], &self.results[..]),
            ),
            (
                "pointsman_cache_bypassed_total",
                "Requests that no answer, or none to a question alike, was looked for.",
                "reason",
                (&REASONS[..], &self.reasons[..]),
            ),
            (
                "pointsman_cache_waits_total",
                "Requests that waited for the same request of somebody else.",
                "result",
                (&WAITS[..], &self.waits[..]),
            ),
        ];
        for (name, help, label, (values, counters)) in families {
            out.family(name, "counter", help);
            for (value, counter) in values.iter().zip(counters) {
                out.value(name, &[(label, value)], counter.load(Ordering::Relaxed));
            }
        }
        for (place, (name, kind, help)) in SIZES.iter().enumerate() {
            out.family(name, kind, help);
            for (cache, gauges) in KINDS.iter().zip(&self.sizes) {
                out.value(name, &[("kind", cache)], gauges[place].load(Ordering::Relaxed));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_those_that_are_listed() {
        let counters = Caches::default();
        counters.found("semantic");
        counters.found("whatever a client says");
        counters.bypassed("time");
        counters.waited("shared");
        counters.sizes([[1, 2, 3], [4, 5, 6]]);
        let mut out = Exposition::default();
        counters.render(&mut out);
        let text = out.finish();
        for line in [
            "pointsman_cache_lookups_total{result=\"semantic\"} 1\n",
            "pointsman_cache_bypassed_total{reason=\"time\"} 1\n",
            "pointsman_cache_waits_total{result=\"shared\"} 1\n",
            "pointsman_cache_bytes{kind=\"semantic\"} 5\n",
            "pointsman_cache_evictions_total{kind=\"exact\"} 3\n",
        ] {
            assert!(text.contains(line), "{line}{text}");
        }
        assert!(!text.contains("client"));
    }
}
