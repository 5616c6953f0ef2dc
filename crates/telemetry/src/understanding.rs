//! How often prompts are read, by whom they are answered, how long that takes, and what waits.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use crate::exposition::Exposition;
use crate::histogram::Histogram;

/// 50 µs to 5 s.
const TIMES_US: &[u64] = &[
    50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000, 5_000_000,
];
/// Pairs of head and stage that are told apart, at most.
const MAX_ANSWERS: usize = 256;

/// Why a text was not read.
pub const REFUSALS: [&str; 5] = ["full", "late", "long", "stopped", "failed"];

/// Counters of the understanding of prompts.
#[derive(Debug)]
pub struct Understandings {
    answers: Mutex<BTreeMap<(String, &'static str), u64>>,
    time: Histogram,
    refused: [AtomicU64; REFUSALS.len()],
    gauges: [AtomicU64; GAUGES.len()],
}

/// What the queue says of itself: name, kind, help.
const GAUGES: [(&str, &str, &str); 4] = [
    (
        "pointsman_understanding_queue",
        "gauge",
        "Texts that wait to be read now.",
    ),
    (
        "pointsman_understanding_read_total",
        "counter",
        "Texts that were read.",
    ),
    (
        "pointsman_understanding_batches_total",
        "counter",
        "Batches in which texts were read.",
    ),
    (
        "pointsman_understanding_kept_total",
        "counter",
        "Answers that were kept from before.",
    ),
];

impl Default for Understandings {
    fn default() -> Self {
        Self {
            answers: Mutex::default(),
            time: Histogram::new(TIMES_US),
            refused: Default::default(),
            gauges: Default::default(),
        }
    }
}

impl Understandings {
    /// A text was read in this time.
    pub fn took(&self, time: Duration) {
        self.time
            .observe(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    }

    /// A head answered, at this stage.
    pub fn answered(&self, head: &str, stage: &'static str) {
        let mut answers = self.answers.lock();
        let key = (head.to_owned(), stage);
        if answers.len() < MAX_ANSWERS || answers.contains_key(&key) {
            *answers.entry(key).or_default() += 1;
        }
    }

    /// A text was not read, for one of `REFUSALS`.
    pub fn refused(&self, why: &str) {
        if let Some(place) = REFUSALS.iter().position(|known| *known == why) {
            self.refused[place].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// What the queue says of itself: texts that wait now, that were read, their batches, answers that were kept.
    pub fn queue(&self, said: [u64; 4]) {
        for (gauge, value) in self.gauges.iter().zip(said) {
            gauge.store(value, Ordering::Relaxed);
        }
    }

    pub(crate) fn render(&self, out: &mut Exposition) {
        let name = "pointsman_understanding_answers_total";
        out.family(
            name,
            "counter",
            "Answers about prompts, by head and by who gave them.",
        );
        for ((head, stage), count) in self.answers.lock().iter() {
            out.value(name, &[("head", head), ("stage", stage)], *count);
        }
        let name = "pointsman_understanding_seconds";
        out.family(
            name,
            "histogram",
            "Time from question to answer, waiting included.",
        );
        out.histogram(name, &[], &self.time, 1e-6);
        let name = "pointsman_understanding_refused_total";
        out.family(name, "counter", "Texts that were not read.");
        for (why, count) in REFUSALS.iter().zip(&self.refused) {
            out.value(name, &[("reason", why)], count.load(Ordering::Relaxed));
        }
        for ((name, kind, help), value) in GAUGES.iter().zip(&self.gauges) {
            out.family(name, kind, help);
            out.value(name, &[], value.load(Ordering::Relaxed));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_rendered_and_bounded() {
        let counters = Understandings::default();
        for number in 0..MAX_ANSWERS + 9 {
            counters.answered(&format!("head-{number}"), "first");
        }
        counters.answered("head-0", "first");
        counters.took(Duration::from_micros(700));
        counters.refused("full");
        counters.queue([3, 2, 1, 0]);
        let mut out = Exposition::default();
        counters.render(&mut out);
        let text = out.finish();
        for line in [
            "pointsman_understanding_answers_total{head=\"head-0\",stage=\"first\"} 2\n",
            "pointsman_understanding_seconds_count 1\n",
            "pointsman_understanding_refused_total{reason=\"full\"} 1\n",
            "pointsman_understanding_queue 3\n",
        ] {
            assert!(text.contains(line), "{line}{text}");
        }
        assert_eq!(text.matches("head-").count(), MAX_ANSWERS);
    }
}
