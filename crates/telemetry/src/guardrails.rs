//! What guardrails do, how long they take, and how often they cannot judge; by their names in the configuration.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use papaya::HashMap;

use crate::exposition::Exposition;
use crate::histogram::Histogram;

/// Guardrails that are told apart, at most: what comes after is counted under `other`.
const MAX_GUARDRAILS: usize = 256;
/// 10 µs to 30 s.
const TIMES_US: &[u64] = &[
    10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000,
    5_000_000, 30_000_000,
];

/// Which texts.
pub const STAGES: [&str; 3] = ["input", "tool_result", "output"];
/// What a guardrail made of a request.
pub const VERDICTS: [&str; 6] = ["passed", "flagged", "redacted", "routed", "unjudged", "blocked"];
/// Why a text was not judged.
pub const FAILURES: [&str; 8] = [
    "open",
    "late",
    "credential",
    "network",
    "status",
    "answer",
    "long",
    "model",
];
/// What a breaker does, as its number.
const BREAKERS: &str = "What the breaker of a guardrail's service is doing: 0 closed, 1 half-open, 2 open.";

/// Counters of guardrails.
#[derive(Debug, Default)]
pub struct Guardrails {
    all: HashMap<String, Arc<Counters>, foldhash::fast::RandomState>,
}

#[derive(Debug)]
struct Counters {
    verdicts: [[AtomicU64; VERDICTS.len()]; STAGES.len()],
    failures: [AtomicU64; FAILURES.len()],
    time: Histogram,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            verdicts: Default::default(),
            failures: Default::default(),
            time: Histogram::new(TIMES_US),
        }
    }
}

fn place(names: &[&str], name: &str) -> Option<usize> {
    names.iter().position(|known| *known == name)
}

impl Guardrails {
    /// A guardrail has judged the texts of a stage of a request, with one of `VERDICTS`.
    pub fn judged(&self, guardrail: &str, (stage, verdict): (&str, &str), time: Duration) {
        let (Some(stage), Some(verdict)) = (place(&STAGES, stage), place(&VERDICTS, verdict)) else {
            return;
        };
        let counters = self.of(guardrail);
        counters.verdicts[stage][verdict].fetch_add(1, Ordering::Relaxed);
        counters
            .time
            .observe(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    }

    /// A guardrail could not judge a text, for one of `FAILURES`.
    pub fn failed(&self, guardrail: &str, why: &str) {
        if let Some(place) = place(&FAILURES, why) {
            self.of(guardrail).failures[place].fetch_add(1, Ordering::Relaxed);
        }
    }

    fn of(&self, guardrail: &str) -> Arc<Counters> {
        let all = self.all.pin();
        if let Some(found) = all.get(guardrail) {
            return Arc::clone(found);
        }
        let name = if all.len() >= MAX_GUARDRAILS {
            "other"
        } else {
            guardrail
        };
        Arc::clone(all.get_or_insert_with(name.to_owned(), Arc::default))
    }

    pub(crate) fn render(&self, out: &mut Exposition) {
        let guard = self.all.pin();
        let mut all: Vec<(&String, &Arc<Counters>)> = guard.iter().collect();
        all.sort_by_key(|(name, _)| *name);
        let family = "pointsman_guardrail_verdicts_total";
        out.family(family, "counter", "Requests that a guardrail has judged.");
        for (name, counters) in &all {
            for (stage, of_stage) in STAGES.iter().zip(&counters.verdicts) {
                for (verdict, count) in VERDICTS.iter().zip(of_stage) {
                    let count = count.load(Ordering::Relaxed);
                    if count > 0 {
                        let labels = [
                            ("guardrail", name.as_str()),
                            ("stage", stage),
                            ("verdict", verdict),
                        ];
                        out.value(family, &labels, count);
                    }
                }
            }
        }
        let family = "pointsman_guardrail_failures_total";
        out.family(family, "counter", "Texts that a guardrail could not judge.");
        for (name, counters) in &all {
            for (why, count) in FAILURES.iter().zip(&counters.failures) {
                let count = count.load(Ordering::Relaxed);
                if count > 0 {
                    out.value(family, &[("guardrail", name.as_str()), ("reason", why)], count);
                }
            }
        }
        let family = "pointsman_guardrail_seconds";
        out.family(family, "histogram", "Time that a guardrail took for a request.");
        for (name, counters) in &all {
            out.histogram(family, &[("guardrail", name.as_str())], &counters.time, 1e-6);
        }
    }
}

/// What breakers do, in Prometheus' text format: names of guardrails, and 0 (closed), 1 (half-open) or 2 (open).
#[must_use]
pub fn breakers<'a>(all: impl IntoIterator<Item = (&'a str, u64)>) -> String {
    let mut out = Exposition::default();
    let family = "pointsman_guardrail_breaker";
    out.family(family, "gauge", BREAKERS);
    for (name, state) in all.into_iter().take(MAX_GUARDRAILS) {
        out.value(family, &[("guardrail", name)], state);
    }
    out.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_those_that_are_listed_and_names_are_few() {
        let counters = Guardrails::default();
        counters.judged("pii", ("input", "redacted"), Duration::from_micros(300));
        counters.judged("pii", ("a prompt", "redacted"), Duration::ZERO);
        counters.failed("presidio", "open");
        counters.failed("presidio", "a prompt");
        for number in 0..400 {
            counters.judged(&format!("g{number}"), ("output", "passed"), Duration::ZERO);
        }
        let mut out = Exposition::default();
        counters.render(&mut out);
        let text = out.finish();
        for line in [
            "pointsman_guardrail_verdicts_total{guardrail=\"pii\",stage=\"input\",verdict=\"redacted\"} 1\n",
            "pointsman_guardrail_failures_total{guardrail=\"presidio\",reason=\"open\"} 1\n",
            "pointsman_guardrail_seconds_count{guardrail=\"pii\"} 1\n",
            "guardrail=\"other\"",
        ] {
            assert!(text.contains(line), "{line}{text}");
        }
        assert!(!text.contains("a prompt") && !text.contains("g399"));
        assert!(
            breakers([("presidio", 2)]).contains("pointsman_guardrail_breaker{guardrail=\"presidio\"} 2\n")
        );
    }
}
