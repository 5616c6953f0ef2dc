//! What is known of a candidate and of the request, when one of a decision's models is selected.

use serde::{Deserialize, Serialize};

use crate::learning::Learner;

/// Nano-dollars for a million tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Price {
    /// Tokens of the prompt.
    pub input: u64,
    /// Tokens of the prompt that the provider still has from before.
    pub cached_input: u64,
    /// Tokens of the answer.
    pub output: u64,
}

/// A measure of time by percentile, ascending: `(50, 210.0), (95, 800.0)`, in milliseconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Percentiles(pub Vec<(u8, f64)>);

impl Percentiles {
    /// The value at a percentile, between two known ones in proportion; none when nothing was measured.
    #[must_use]
    pub fn at(&self, percentile: u8) -> Option<f64> {
        let above = self.0.iter().position(|(known, _)| *known >= percentile);
        let value = match above {
            None => self.0.last().map(|(_, value)| *value),
            Some(0) => self.0.first().map(|(_, value)| *value),
            Some(index) => {
                let ((low, from), (high, to)) = (self.0[index - 1], self.0[index]);
                let share = f64::from(percentile - low) / f64::from(high - low).max(1.0);
                Some(from + (to - from) * share)
            }
        };
        value.filter(|value| value.is_finite())
    }
}

/// How fast a candidate was lately.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// Time to the first token, in milliseconds.
    pub ttft_ms: Percentiles,
    /// Time for each further token, in milliseconds.
    pub tpot_ms: Percentiles,
}

/// A model that may be selected, and what is known of it now. Everything but the name may be unknown.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CandidateFacts<'a> {
    /// The model.
    pub model: &'a str,
    /// Its declared share.
    pub weight: f64,
    /// What it costs.
    pub price: Option<Price>,
    /// Tokens of prompt and answer together.
    pub context_window: Option<u64>,
    /// How fast it was lately.
    pub latency: Option<&'a Latency>,
    /// Requests that it works on now.
    pub in_flight: Option<u32>,
    /// How good it is, 0 to 1.
    pub quality: Option<f64>,
    /// How good it is in a domain, 0 to 1.
    pub quality_by_domain: &'a [(String, f64)],
    /// What its description means, in the space of the prompt's embedding.
    pub description: Option<&'a [f32]>,
    /// Why it must not be taken, whatever it scores: not allowed, unhealthy.
    pub excluded: Option<&'static str>,
}

/// The model that answered the session's last turn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Previous<'a> {
    /// The model.
    pub model: &'a str,
    /// Tokens of this prompt that it has read before and may still hold.
    pub warm_tokens: u64,
    /// Turns since the session began or the model changed.
    pub turns: u32,
    /// Seconds since its answer.
    pub idle_seconds: u64,
    /// Whether the prompt brings results of tools that it called.
    pub in_tool_loop: bool,
}

/// What is known of the request. Borrowed, and without a clock or a source of chance: the seed is all there is.
#[derive(Debug, Clone, Copy, Default)]
pub struct SelectionRequest<'a> {
    /// Whose candidates are ranked: the decision's name. What is learned is kept apart by it.
    pub scope: &'a str,
    /// What the user said last.
    pub text: &'a str,
    /// What it means, where an encoder has read it.
    pub embedding: Option<&'a [f32]>,
    /// Probabilities of domains.
    pub domains: &'a [(String, f64)],
    /// How hard it is, 0 to 1.
    pub difficulty: Option<f64>,
    /// About how many tokens the prompt has.
    pub prompt_tokens: u64,
    /// About how many tokens the answer will have.
    pub completion_tokens: u64,
    /// The session's last turn.
    pub previous: Option<Previous<'a>>,
    /// What was learned so far.
    pub learned: Option<&'a Learner>,
    /// What the helper said that was asked to pick.
    pub helper_answer: Option<&'a str>,
    /// The only source of chance.
    pub seed: u64,
}

impl<'a> SelectionRequest<'a> {
    /// The most probable domain.
    #[must_use]
    pub fn domain(&self) -> Option<&'a str> {
        let best = self
            .domains
            .iter()
            .reduce(|best, next| if next.1 > best.1 { next } else { best });
        best.map(|(name, _)| name.as_str())
    }

    /// Tokens of the prompt that a model still holds.
    #[must_use]
    pub fn warm_tokens(&self, model: &str) -> u64 {
        self.previous
            .filter(|previous| previous.model == model)
            .map_or(0, |previous| previous.warm_tokens.min(self.prompt_tokens))
    }
}

impl CandidateFacts<'_> {
    /// What this request would cost, in nano-dollars; none without prices. Tokens that the model still holds cost less.
    #[must_use]
    pub fn cost(&self, request: &SelectionRequest<'_>) -> Option<u64> {
        let price = self.price?;
        let warm = request.warm_tokens(self.model);
        let of = |tokens: u64, each: u64| u128::from(tokens) * u128::from(each);
        let total = of(request.prompt_tokens - warm, price.input)
            + of(warm, price.cached_input)
            + of(request.completion_tokens, price.output);
        u64::try_from(total / 1_000_000).ok()
    }

    /// How good the model is for this request by what was declared: over the domains by their probabilities, where
    /// they are known; none when nothing was declared.
    #[must_use]
    pub fn prior(&self, request: &SelectionRequest<'_>) -> Option<f64> {
        let mut sum = 0.0;
        let mut known = 0.0;
        for (domain, probability) in request.domains {
            let found = self.quality_by_domain.iter().find(|(name, _)| name == domain);
            if let Some((_, quality)) = found {
                sum += quality * probability;
                known += probability;
            }
        }
        let prior = match self.quality {
            Some(overall) => Some(sum + overall * (1.0 - known).max(0.0)),
            None if known > 0.0 => Some(sum / known),
            None => None,
        };
        prior.filter(|prior| prior.is_finite())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_lie_between_those_that_are_known() {
        let known = Percentiles(vec![(50, 100.0), (90, 300.0)]);
        assert_eq!(
            [10, 50, 70, 90, 99].map(|at| known.at(at)),
            [100.0, 100.0, 200.0, 300.0, 300.0].map(Some)
        );
        assert_eq!(Percentiles::default().at(50), None);
    }

    #[test]
    fn what_is_warm_costs_less_for_the_model_that_has_it() {
        let price = Price {
            input: 1_000_000_000,
            cached_input: 100_000_000,
            output: 4_000_000_000,
        };
        let previous = Previous {
            model: "a",
            warm_tokens: 900,
            turns: 1,
            idle_seconds: 1,
            in_tool_loop: false,
        };
        let request = SelectionRequest {
            prompt_tokens: 1_000,
            completion_tokens: 100,
            previous: Some(previous),
            ..SelectionRequest::default()
        };
        let candidate = |model| CandidateFacts {
            model,
            price: Some(price),
            ..CandidateFacts::default()
        };
        // 100 × 1 + 900 × 0.1 + 100 × 4, and 1,000 × 1 + 100 × 4, in thousands of nano-dollars.
        assert_eq!(candidate("a").cost(&request), Some(590_000));
        assert_eq!(candidate("b").cost(&request), Some(1_400_000));
    }

    #[test]
    fn priors_follow_the_domains() {
        let domains = [("math".to_owned(), 0.75), ("law".to_owned(), 0.25)];
        let request = SelectionRequest {
            domains: &domains,
            ..SelectionRequest::default()
        };
        let by_domain = [("math".to_owned(), 0.8)];
        let mut candidate = CandidateFacts {
            quality_by_domain: &by_domain,
            ..CandidateFacts::default()
        };
        assert!((candidate.prior(&request).unwrap() - 0.8).abs() < 1e-12);
        candidate.quality = Some(0.4);
        assert!((candidate.prior(&request).unwrap() - 0.7).abs() < 1e-12);
        assert_eq!(request.domain(), Some("math"));
    }
}
