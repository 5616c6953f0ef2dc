//! `hybrid`: ratings, nearness and cost-quality together.

use super::automix::Automix;
use super::candidate::{CandidateFacts, SelectionRequest};
use super::elo::Elo;
use super::ranking::{Score, Scores, normalised};
use super::router_dc::RouterDc;
use super::selector::Selector;

/// A weighted mean of what three algorithms say, and something for cheaper models.
#[derive(Debug, Clone)]
pub(crate) struct Hybrid {
    pub(crate) elo: Elo,
    pub(crate) router_dc: RouterDc,
    pub(crate) automix: Automix,
    /// Of the three.
    pub(crate) weights: [f64; 3],
    /// What the cheapest gains over the dearest.
    pub(crate) cost_weight: f64,
    /// Of candidates that score this much less than the best, the cheapest is taken.
    pub(crate) gap: f64,
    /// Whether what each says is stretched to 0 to 1 first.
    pub(crate) normalise: bool,
}

const NAMES: [&str; 3] = ["experience", "router_dc", "automix"];

impl Selector for Hybrid {
    fn name(&self) -> &'static str {
        "hybrid"
    }

    fn reads_meaning(&self) -> bool {
        self.router_dc.reads_meaning()
    }

    fn reads_descriptions(&self) -> bool {
        self.router_dc.reads_descriptions()
    }

    fn reads_outcomes(&self) -> bool {
        true
    }

    fn reads_domains(&self) -> bool {
        self.elo.reads_domains()
    }

    fn reads_words(&self) -> bool {
        self.router_dc.reads_words()
    }

    fn score(&self, request: &SelectionRequest<'_>, candidates: &[&CandidateFacts<'_>]) -> Scores {
        let members: [&dyn Selector; 3] = [&self.elo, &self.router_dc, &self.automix];
        let said: Vec<Option<Vec<Option<f64>>>> = members
            .iter()
            .map(|member| {
                let scores = member.score(request, candidates);
                let values: Vec<Option<f64>> = scores.each.iter().map(|score| score.value).collect();
                // A member that can't say anything has no vote, rather than one for the middle.
                (scores.note.is_none() && values.iter().any(Option::is_some)).then(|| match self.normalise {
                    true => normalised(&values),
                    false => values,
                })
            })
            .collect();
        let voting: f64 = said
            .iter()
            .zip(self.weights)
            .filter(|(said, _)| said.is_some())
            .map(|(_, weight)| weight)
            .sum();
        if voting <= 0.0 {
            return Scores::none(
                candidates.len(),
                "neither ratings nor descriptions nor qualities are known: as declared",
            );
        }
        let costs: Vec<Option<f64>> = candidates
            .iter()
            .map(|candidate| candidate.cost(request).map(|cost| cost as f64))
            .collect();
        let dear = normalised(&costs);
        let score = |(at, candidate): (usize, &&CandidateFacts<'_>)| {
            let mut sum = 0.0;
            let mut score = Score::default();
            for ((name, said), weight) in NAMES.iter().zip(&said).zip(self.weights) {
                if let Some(value) = said.as_ref().map(|said| said[at].unwrap_or(0.0)) {
                    sum += weight * value / voting;
                    score = score.part(name, value);
                }
            }
            let cheap = dear[at].map_or(0.0, |dear| 1.0 - dear);
            let value = sum * (1.0 + self.cost_weight * cheap);
            score.value = Some(value);
            score.quality = candidate.prior(request);
            score.part("cheapness", cheap)
        };
        let mut each: Vec<Score> = candidates.iter().enumerate().map(score).collect();
        self.prefer_cheap(&mut each, &costs);
        each.into()
    }
}

impl Hybrid {
    /// Of those close behind the best, the cheapest goes ahead of it.
    fn prefer_cheap(&self, each: &mut [Score], costs: &[Option<f64>]) {
        let best = each
            .iter()
            .filter_map(|score| score.value)
            .fold(f64::NEG_INFINITY, f64::max);
        if self.gap <= 0.0 || !best.is_finite() {
            return;
        }
        let close = |at: &usize| each[*at].value.is_some_and(|value| value >= best - self.gap);
        let cheapest = (0..each.len())
            .filter(close)
            .filter_map(|at| costs[at].map(|cost| (at, cost)))
            .min_by(|left, right| left.1.total_cmp(&right.1));
        if let Some((at, _)) = cheapest {
            each[at].value = Some(best + f64::EPSILON.max(best.abs() * 1e-9));
        }
    }
}
