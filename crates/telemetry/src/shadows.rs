//! Copies of requests to other models, by what came of them, and how like their answers are to those that clients got.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::exposition::Exposition;
use crate::histogram::Histogram;

/// What may come of a copy. `full`: there was no room; `denied`: no money or room in a limit; `no_payer`: the key that
/// shall pay cannot; `not_allowed`: the caller may be answered by none of the model's providers; `stopped`: the gateway has.
pub const RESULTS: [&str; 9] = [
    "complete",
    "failed",
    "late",
    "blocked",
    "full",
    "denied",
    "no_payer",
    "not_allowed",
    "stopped",
];
/// Thousandths.
const LIKENESS: &[u64] = &[100, 200, 300, 400, 500, 600, 700, 800, 900, 950, 990, 1_000];

/// Counters of copies.
#[derive(Debug)]
pub struct Shadows {
    results: [AtomicU64; RESULTS.len()],
    likeness: Histogram,
}

impl Default for Shadows {
    fn default() -> Self {
        Self {
            results: Default::default(),
            likeness: Histogram::new(LIKENESS),
        }
    }
}

impl Shadows {
    /// One of `RESULTS` came of a copy.
    pub fn came(&self, result: &str) {
        if let Some(place) = RESULTS.iter().position(|known| *known == result) {
            self.results[place].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Two answers were compared: how like they are, -1 to 1. What cannot be told is not counted.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "thousandths of a number from 0 to 1"
    )]
    pub fn compared(&self, likeness: Option<f64>) {
        if let Some(likeness) = likeness {
            self.likeness
                .observe((likeness.clamp(0.0, 1.0) * 1_000.0).round() as u64);
        }
    }

    pub(crate) fn render(&self, out: &mut Exposition) {
        let counts = self.results.each_ref().map(|count| count.load(Ordering::Relaxed));
        if counts.iter().all(|count| *count == 0) {
            return;
        }
        let family = "pointsman_shadow_requests_total";
        out.family(
            family,
            "counter",
            "Copies of requests to other models, by what came of them.",
        );
        for (result, count) in RESULTS.iter().zip(counts) {
            out.value(family, &[("result", result)], count);
        }
        let family = "pointsman_shadow_similarity";
        out.family(
            family,
            "histogram",
            "How like the answers of copies are to those that clients got.",
        );
        out.histogram(family, &[], &self.likeness, 0.001);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_counted_by_what_came_of_them() {
        let shadows = Shadows::default();
        let mut out = Exposition::default();
        shadows.render(&mut out);
        assert_eq!(out.finish(), "");
        shadows.came("complete");
        shadows.came("full");
        shadows.came("full");
        shadows.compared(Some(0.97));
        shadows.compared(None);
        let mut out = Exposition::default();
        shadows.render(&mut out);
        let text = out.finish();
        for line in [
            "pointsman_shadow_requests_total{result=\"full\"} 2\n",
            "pointsman_shadow_requests_total{result=\"complete\"} 1\n",
            "pointsman_shadow_similarity_bucket{le=\"0.95\"} 0\n",
            "pointsman_shadow_similarity_bucket{le=\"0.99\"} 1\n",
            "pointsman_shadow_similarity_count 1\n",
        ] {
            assert!(text.contains(line), "{line} {text}");
        }
    }
}
