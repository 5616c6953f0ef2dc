//! Managers of secrets: how they have answered.

use std::collections::BTreeMap;
use std::time::Duration;

use parking_lot::Mutex;

use crate::exposition::Exposition;

/// How it stands with each manager.
#[derive(Debug, Default)]
pub struct Keepers(Mutex<BTreeMap<String, Standing>>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Standing {
    kept: usize,
    oldest: Duration,
    reads: u64,
    failures: u64,
}

impl Keepers {
    /// How it stands with a manager, of which there are few: secrets that are kept of it, the age of the oldest, how often
    /// one was read and could not be.
    pub fn stand(&self, manager: &str, kept: usize, oldest: Duration, (reads, failures): (u64, u64)) {
        let standing = Standing {
            kept,
            oldest,
            reads,
            failures,
        };
        let mut all = self.0.lock();
        match all.get_mut(manager) {
            Some(known) => *known = standing,
            None => {
                all.insert(manager.to_owned(), standing);
            }
        }
    }

    pub(crate) fn render(&self, out: &mut Exposition) {
        let all = self.0.lock().clone();
        if all.is_empty() {
            return;
        }
        let family = "pointsman_secret_reads_total";
        out.family(
            family,
            "counter",
            "Secrets that were read of their managers, and that could not be.",
        );
        for (manager, standing) in &all {
            for (outcome, count) in [("ok", standing.reads), ("failed", standing.failures)] {
                out.value(family, &[("manager", manager), ("outcome", outcome)], count);
            }
        }
        let family = "pointsman_secrets_kept";
        out.family(family, "gauge", "Secrets that the configuration in force names.");
        for (manager, standing) in &all {
            out.value(family, &[("manager", manager)], standing.kept as u64);
        }
        let family = "pointsman_secret_age_seconds";
        out.family(
            family,
            "gauge",
            "Since the secret was read that was read longest ago; it grows while a manager does not answer.",
        );
        for (manager, standing) in &all {
            out.value(family, &[("manager", manager)], standing.oldest.as_secs());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_and_age_of_secrets_are_told_by_manager() {
        let keepers = Keepers::default();
        let mut out = Exposition::default();
        keepers.render(&mut out);
        assert_eq!(out.finish(), "");
        keepers.stand("vault", 2, Duration::from_secs(61), (5, 0));
        keepers.stand("vault", 2, Duration::from_secs(62), (5, 1));
        let mut out = Exposition::default();
        keepers.render(&mut out);
        let text = out.finish();
        for line in [
            "pointsman_secret_reads_total{manager=\"vault\",outcome=\"failed\"} 1\n",
            "pointsman_secrets_kept{manager=\"vault\"} 2\n",
            "pointsman_secret_age_seconds{manager=\"vault\"} 62\n",
        ] {
            assert!(text.contains(line), "{text}");
        }
    }
}
