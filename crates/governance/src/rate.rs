//! How much of a minute is left, for headers.

use std::time::Duration;

/// Where a caller stands, for OpenAI's `x-ratelimit-*` headers: at whichever of its holders has the least left.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RateStatus {
    /// Limit and rest of requests, and when one more fits.
    pub requests: Option<(u64, u64, Duration)>,
    /// The same of tokens.
    pub tokens: Option<(u64, u64, Duration)>,
}

/// What a rate limit's header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RateValue {
    /// Requests or tokens.
    Count(u64),
    /// A time to wait.
    Seconds(u64),
}

/// Limit, rest, and how long until one more fits.
pub(crate) type Left = (u64, u64, Duration);

impl RateStatus {
    /// The smaller rest of each.
    pub(crate) fn tighten(&mut self, other: Self) {
        let smaller = |own: &mut Option<Left>, other: Option<Left>| {
            if let Some(other) = other
                && own.is_none_or(|own| (other.1, other.0) < (own.1, own.0))
            {
                *own = Some(other);
            }
        };
        smaller(&mut self.requests, other.requests);
        smaller(&mut self.tokens, other.tokens);
    }

    /// Header names with their values.
    pub fn headers(&self) -> impl Iterator<Item = (&'static str, RateValue)> {
        let names = [
            (
                self.requests,
                [
                    "x-ratelimit-limit-requests",
                    "x-ratelimit-remaining-requests",
                    "x-ratelimit-reset-requests",
                ],
            ),
            (
                self.tokens,
                [
                    "x-ratelimit-limit-tokens",
                    "x-ratelimit-remaining-tokens",
                    "x-ratelimit-reset-tokens",
                ],
            ),
        ];
        names
            .into_iter()
            .filter_map(|(status, names)| Some((status?, names)))
            .flat_map(|((limit, rest, wait), names)| {
                let values = [
                    RateValue::Count(limit),
                    RateValue::Count(rest),
                    RateValue::Seconds(wait.as_secs()),
                ];
                names.into_iter().zip(values)
            })
    }
}
