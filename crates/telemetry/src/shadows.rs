//! What is sent behind answers, by what came of it: copies of requests to other models, and how like their answers are to
//! those that clients got; questions how good answers were, and what they score.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::exposition::Exposition;
use crate::histogram::Histogram;

/// What may come of one. `full`: there was no room; `denied`: no money or room in a limit; `no_payer`: the key that shall
/// pay cannot; `not_allowed`: the caller may be answered by none of the model's providers; `stopped`: the gateway has;
/// `unscored`, of questions alone: what was said holds no score.
pub const RESULTS: [&str; 10] = [
    "complete",
    "failed",
    "late",
    "blocked",
    "full",
    "denied",
    "no_payer",
    "not_allowed",
    "stopped",
    "unscored",
];
/// How they are called.
#[derive(Debug)]
struct Names {
    /// Their number, and what it means.
    requests: [&'static str; 2],
    /// What is measured of them, and what it means.
    measured: [&'static str; 2],
    /// Of `RESULTS`, the first.
    results: usize,
}

const COPIES: Names = Names {
    requests: [
        "pointsman_shadow_requests_total",
        "Copies of requests to other models, by what came of them.",
    ],
    measured: [
        "pointsman_shadow_similarity",
        "How like the answers of copies are to those that clients got.",
    ],
    results: RESULTS.len() - 1,
};
const JUDGES: Names = Names {
    requests: [
        "pointsman_judge_requests_total",
        "Questions how good an answer was, by what came of them.",
    ],
    measured: ["pointsman_judge_score", "How good answers were, as models say."],
    results: RESULTS.len(),
};
/// Thousandths.
const LIKENESS: &[u64] = &[100, 200, 300, 400, 500, 600, 700, 800, 900, 950, 990, 1_000];

/// Counters of copies, or of questions how good answers were.
#[derive(Debug)]
pub struct Shadows {
    names: &'static Names,
    results: [AtomicU64; RESULTS.len()],
    likeness: Histogram,
}

impl Default for Shadows {
    fn default() -> Self {
        Self {
            names: &COPIES,
            results: Default::default(),
            likeness: Histogram::new(LIKENESS),
        }
    }
}

/// The counters of questions how good answers were.
#[derive(Debug)]
pub(crate) struct Judges(pub(crate) Shadows);

impl Default for Judges {
    fn default() -> Self {
        Self(Shadows {
            names: &JUDGES,
            ..Shadows::default()
        })
    }
}

impl Shadows {
    /// One of `RESULTS` came of one.
    pub fn came(&self, result: &str) {
        if let Some(place) = RESULTS.iter().position(|known| *known == result) {
            self.results[place].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Two answers were compared: how like they are, -1 to 1; or one was judged, 0 to 1. What cannot be told is not counted.
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
        let [family, help] = self.names.requests;
        out.family(family, "counter", help);
        for (result, count) in RESULTS.iter().zip(counts).take(self.names.results) {
            out.value(family, &[("result", result)], count);
        }
        let [family, help] = self.names.measured;
        out.family(family, "histogram", help);
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
        assert!(!text.contains("unscored"));
    }

    #[test]
    fn questions_have_names_of_their_own() {
        let Judges(judges) = Judges::default();
        judges.came("unscored");
        judges.compared(Some(0.25));
        let mut out = Exposition::default();
        judges.render(&mut out);
        let text = out.finish();
        assert!(text.contains("pointsman_judge_requests_total{result=\"unscored\"} 1\n"));
        assert!(text.contains("pointsman_judge_score_count 1\n"));
    }
}
