//! What was learned, beside an algorithm that does not learn (`adaptations` of a decision): the algorithm's scores are what
//! is believed of candidates before anything has come of them; each outcome weighs against that.

use super::candidate::{CandidateFacts, SelectionRequest};
use super::prompt::Prompt;
use super::ranking::{Scores, normalised};
use super::selector::{Selector, WhenNone};
use super::thompson::Thompson;

/// An algorithm, and what was learned beside it.
#[derive(Debug)]
pub(crate) struct Adapted {
    pub(crate) base: Box<dyn Selector>,
    pub(crate) learned: Thompson,
    /// Whether what was learned changes the order; otherwise it is only told.
    pub(crate) acts: bool,
}

/// What is told where another model would be taken.
const OTHER: &str = "what was learned would take another model; it is only observed";

impl Adapted {
    /// What is believed of candidates by the algorithm, from 0.25 to 0.75: nothing that outcomes could not change. Where it
    /// only puts them in order, the first is believed in.
    fn beliefs(own: &Scores) -> Vec<f64> {
        let values: Vec<Option<f64>> = own.each.iter().map(|score| score.value).collect();
        if values.iter().all(Option::is_none) {
            let of = |index: usize| if index == 0 { 0.75 } else { 0.5 };
            return (0..values.len()).map(of).collect();
        }
        let places = normalised(&values).into_iter();
        places.map(|place| 0.25 + 0.5 * place.unwrap_or(0.0)).collect()
    }
}

impl Selector for Adapted {
    fn name(&self) -> &'static str {
        self.base.name()
    }

    fn limit(&self, request: &SelectionRequest<'_>, candidate: &CandidateFacts<'_>) -> Option<&'static str> {
        self.base.limit(request, candidate)
    }

    fn when_none(&self) -> WhenNone {
        self.base.when_none()
    }

    fn comparable(&self) -> bool {
        self.acts || self.base.comparable()
    }

    fn reads_meaning(&self) -> bool {
        self.base.reads_meaning()
    }

    fn reads_pace(&self) -> bool {
        self.base.reads_pace()
    }

    fn reads_outcomes(&self) -> bool {
        true
    }

    fn reads_domains(&self) -> bool {
        self.base.reads_domains() || self.learned.by_domain
    }

    fn reads_words(&self) -> bool {
        self.base.reads_words()
    }

    fn reads_descriptions(&self) -> bool {
        self.base.reads_descriptions()
    }

    fn helper(&self) -> Option<&Prompt> {
        self.base.helper()
    }

    fn score(&self, request: &SelectionRequest<'_>, candidates: &[&CandidateFacts<'_>]) -> Scores {
        let own = self.base.score(request, candidates);
        let beliefs = Self::beliefs(&own);
        let learned = self.learned.believing(request, candidates, Some(&beliefs));
        if self.acts {
            return Scores {
                note: own.note,
                ..learned
            };
        }
        let best = |scores: &Scores| {
            let value = |index: usize| scores.each[index].value.unwrap_or(f64::NEG_INFINITY);
            (0..scores.each.len())
                .rev()
                .max_by(|left, right| value(*left).total_cmp(&value(*right)))
        };
        let note = if best(&own) == best(&learned) {
            own.note
        } else {
            Some(OTHER)
        };
        Scores { note, ..own }
    }
}

#[cfg(test)]
mod tests {
    use super::super::ranking::Score;
    use super::super::thompson::Posterior;
    use super::*;
    use crate::selection::router_dc::RouterDc;

    #[test]
    fn before_anything_is_learned_the_algorithm_is_believed() {
        let own = Scores::from(vec![Score::of(1.0), Score::of(3.0), Score::default()]);
        assert_eq!(Adapted::beliefs(&own), [0.25, 0.75, 0.25]);
        let none = Scores::from(vec![Score::default(); 2]);
        assert_eq!(Adapted::beliefs(&none), [0.75, 0.5]);
        let adapted = Adapted {
            base: Box::new(RouterDc {
                temperature: 1.0,
                min_similarity: 0.0,
                fitted: None,
            }),
            learned: Thompson {
                posterior: Posterior::Beta,
                cost_weight: 0.0,
                explore: 0.2,
                by_domain: true,
            },
            acts: true,
        };
        assert_eq!(adapted.name(), "router_dc");
        assert!(adapted.reads_meaning() && adapted.reads_outcomes() && adapted.reads_domains());
    }
}
