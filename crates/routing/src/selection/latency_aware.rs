//! `latency_aware`: the fastest of late.

use super::candidate::{CandidateFacts, Percentiles, SelectionRequest};
use super::chance::Chance;
use super::ranking::{Score, Scores};
use super::selector::Selector;

/// Of how many requests a candidate is tried whose times are not known: it would never become known otherwise.
pub(crate) const TRIED: f64 = 0.1;

/// How many times the best time a candidate takes, over the measures that are looked at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LatencyAware {
    /// Percentile of the time to the first token.
    pub(crate) ttft: Option<u8>,
    /// Percentile of the time for each further token.
    pub(crate) tpot: Option<u8>,
}

impl LatencyAware {
    fn measures(&self, candidate: &CandidateFacts<'_>) -> Option<Vec<(&'static str, f64)>> {
        let latency = candidate.latency?;
        let read = |name, percentile: Option<u8>, times: &Percentiles| {
            percentile.map(|percentile| times.at(percentile).map(|time| (name, time.max(0.001))))
        };
        [
            read("ttft_ms", self.ttft, &latency.ttft_ms),
            read("tpot_ms", self.tpot, &latency.tpot_ms),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

impl Selector for LatencyAware {
    fn name(&self) -> &'static str {
        "latency_aware"
    }

    fn reads_pace(&self) -> bool {
        true
    }

    fn score(&self, request: &SelectionRequest<'_>, candidates: &[&CandidateFacts<'_>]) -> Scores {
        let measured: Vec<_> = candidates
            .iter()
            .map(|candidate| self.measures(candidate))
            .collect();
        let count = [self.ttft, self.tpot].iter().flatten().count();
        let best: Vec<f64> = (0..count)
            .map(|at| {
                let times = measured.iter().flatten().map(|measures| measures[at].1);
                times.fold(f64::INFINITY, f64::min)
            })
            .collect();
        let nobody = measured.iter().all(Option::is_none);
        let tries = !nobody && tries(request);
        let score = |measures: &Option<Vec<(&'static str, f64)>>| {
            let Some(measures) = measures else {
                // Ahead of the fastest, whose score is -1.
                return if tries { Score::of(0.0) } else { Score::default() };
            };
            let ratios = measures.iter().zip(&best).map(|((_, time), best)| time / best);
            let score = Score::of(-ratios.sum::<f64>() / best.len().max(1) as f64);
            measures
                .iter()
                .fold(score, |score, (name, time)| score.part(name, *time))
        };
        Scores {
            each: measured.iter().map(score).collect(),
            note: match (nobody, tries && measured.iter().any(Option::is_none)) {
                (true, _) => Some("no candidate's latency is known yet: as declared"),
                (false, true) => Some("a candidate whose latency is not known is tried"),
                (false, false) => None,
            },
        }
    }
}

/// Whether this request tries what is not known.
pub(crate) fn tries(request: &SelectionRequest<'_>) -> bool {
    let frozen = request.learned.is_some_and(|learned| learned.is_frozen());
    !frozen && Chance::named(request.seed, "pace").unit() < TRIED
}
