//! Answers that were held against what their model was given, by what was found.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::exposition::Exposition;

/// What may be found.
pub const VERDICTS: [&str; 5] = [
    "supported",
    "unsupported",
    "unverified",
    "nothing_given",
    "unjudged",
];

/// Counters of answers that were looked at.
#[derive(Debug, Default)]
pub struct Checks([AtomicU64; VERDICTS.len()]);

impl Checks {
    /// An answer was looked at, with one of `VERDICTS`.
    pub fn checked(&self, verdict: &str) {
        if let Some(place) = VERDICTS.iter().position(|known| *known == verdict) {
            self.0[place].fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn render(&self, out: &mut Exposition) {
        let family = "pointsman_hallucination_checks_total";
        out.family(
            family,
            "counter",
            "Answers that were held against what their model was given.",
        );
        for (verdict, count) in VERDICTS.iter().zip(&self.0) {
            let count = count.load(Ordering::Relaxed);
            if count > 0 {
                out.value(family, &[("verdict", verdict)], count);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_are_counted_and_others_are_not() {
        let checks = Checks::default();
        checks.checked("unsupported");
        checks.checked("unsupported");
        checks.checked("somehow");
        let mut out = Exposition::default();
        checks.render(&mut out);
        let text = out.finish();
        assert!(
            text.contains("pointsman_hallucination_checks_total{verdict=\"unsupported\"} 2\n"),
            "{text}"
        );
        assert!(!text.contains("somehow") && !text.contains("unverified"));
    }
}
