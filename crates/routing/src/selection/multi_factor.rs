//! `multi_factor`: quality, cost, latency and load, weighed; with limits.

use super::candidate::{CandidateFacts, SelectionRequest};
use super::latency_aware::tries;
use super::ranking::{Score, Scores, normalised};
use super::selector::{Selector, WhenNone};

/// Weights, limits, and what to do when a limit stands against every candidate.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MultiFactor {
    /// Of quality, latency, cost and load; together 1.
    pub(crate) weights: [f64; 4],
    /// The percentile of latencies.
    pub(crate) percentile: u8,
    pub(crate) limits: Limits,
    pub(crate) when_none: WhenNone,
}

/// What a candidate may not exceed. What is not known exceeds nothing.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Limits {
    pub(crate) ttft_ms: Option<f64>,
    pub(crate) tpot_ms: Option<f64>,
    /// Nano-dollars for a million tokens of the prompt.
    pub(crate) price: Option<u64>,
    pub(crate) in_flight: Option<u32>,
}

const FACTORS: [&str; 4] = ["quality", "latency", "cost", "load"];

impl MultiFactor {
    fn factors(&self, request: &SelectionRequest<'_>, candidate: &CandidateFacts<'_>) -> [Option<f64>; 4] {
        let latency = candidate.latency.and_then(|latency| {
            let (ttft, tpot) = (
                latency.ttft_ms.at(self.percentile),
                latency.tpot_ms.at(self.percentile),
            );
            // The whole answer's time, so that both measures count by what they come to.
            let rest = tpot.map(|tpot| tpot * request.completion_tokens as f64);
            match (ttft, rest) {
                (None, None) => None,
                (ttft, rest) => Some(ttft.unwrap_or(0.0) + rest.unwrap_or(0.0)),
            }
        });
        [
            candidate.prior(request),
            latency,
            candidate.cost(request).map(|cost| cost as f64),
            candidate.in_flight.map(f64::from),
        ]
    }
}

impl Selector for MultiFactor {
    fn name(&self) -> &'static str {
        "multi_factor"
    }

    fn limit(&self, _: &SelectionRequest<'_>, candidate: &CandidateFacts<'_>) -> Option<&'static str> {
        let limits = &self.limits;
        let latency = candidate.latency;
        let over = |limit: Option<f64>, value: Option<f64>| {
            limit.zip(value).is_some_and(|(limit, value)| value > limit)
        };
        let ttft = latency.and_then(|latency| latency.ttft_ms.at(self.percentile));
        let tpot = latency.and_then(|latency| latency.tpot_ms.at(self.percentile));
        if over(limits.ttft_ms, ttft) {
            return Some("over slo.max_ttft_ms");
        }
        if over(limits.tpot_ms, tpot) {
            return Some("over slo.max_tpot_ms");
        }
        let price = candidate.price.map(|price| price.input);
        if limits
            .price
            .zip(price)
            .is_some_and(|(limit, price)| price > limit)
        {
            return Some("over slo.max_cost_per_1m");
        }
        let load = candidate.in_flight;
        if limits
            .in_flight
            .zip(load)
            .is_some_and(|(limit, load)| load > limit)
        {
            return Some("over slo.max_inflight");
        }
        None
    }

    fn when_none(&self) -> WhenNone {
        self.when_none
    }

    fn reads_pace(&self) -> bool {
        let [_, latency, _, load] = self.weights;
        let limits = &self.limits;
        latency > 0.0
            || load > 0.0
            || limits.ttft_ms.is_some()
            || limits.tpot_ms.is_some()
            || limits.in_flight.is_some()
    }

    fn score(&self, request: &SelectionRequest<'_>, candidates: &[&CandidateFacts<'_>]) -> Scores {
        let known: Vec<[Option<f64>; 4]> = candidates
            .iter()
            .map(|candidate| self.factors(request, candidate))
            .collect();
        let placed: Vec<Vec<Option<f64>>> = (0..FACTORS.len())
            .map(|factor| normalised(&known.iter().map(|each| each[factor]).collect::<Vec<_>>()))
            .collect();
        // Who was not asked lately is taken for fast now and then, or would never be known again.
        let optimistic =
            self.weights[1] > 0.0 && known.iter().any(|each| each[1].is_some()) && tries(request);
        let score = |(index, candidate): (usize, &&CandidateFacts<'_>)| {
            // Of quality more is better, of the rest less; what is unknown adds nothing.
            let worth = |factor: usize| match placed[factor][index] {
                Some(place) if factor == 0 => place,
                Some(place) => 1.0 - place,
                None if factor == 1 && optimistic => 1.0,
                None => 0.0,
            };
            let sum = (0..FACTORS.len())
                .map(|factor| self.weights[factor] * worth(factor))
                .sum();
            let mut score = Score::of(sum);
            score.quality = candidate.prior(request);
            (0..FACTORS.len()).fold(score, |score, factor| score.part(FACTORS[factor], worth(factor)))
        };
        candidates
            .iter()
            .enumerate()
            .map(score)
            .collect::<Vec<_>>()
            .into()
    }
}
