//! Why a request is not admitted: which holder, which limit, how much is left, and when it makes sense to come again.

use std::time::Duration;

use jiff::Timestamp;
use pointsman_catalog::Money;

use crate::reservation::Estimate;

/// Why a request was not admitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// Which limit.
    pub kind: DenialKind,
    /// For the client.
    pub message: String,
    /// When it makes sense to try again; absent when it does not.
    pub retry_after: Option<Duration>,
}

/// Limits that can deny.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DenialKind {
    /// Requests in a minute.
    RequestsPerMinute,
    /// Tokens in a minute.
    TokensPerMinute,
    /// Requests at once.
    Concurrency,
    /// Money.
    Budget,
    /// The request alone is larger than a limit: it will never fit.
    TooLarge,
    /// Nobody can say: what replicas count together does not answer.
    Unreachable,
}

/// What a holder has no room for. Put into words only when its counters are free again.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Refused {
    Concurrency {
        limit: u64,
    },
    Requests {
        limit: u64,
        wait: Option<Duration>,
    },
    TooLarge {
        limit: u64,
    },
    Tokens {
        limit: u64,
        used: u64,
        wait: Option<Duration>,
    },
    Money {
        amount: Money,
        spent: Money,
        reserved: Money,
        now: i64,
        ends: Option<i64>,
    },
    /// There is no room here; other replicas may have some.
    Share,
    /// There is no room here, and other replicas cannot be asked.
    Unreachable,
}

impl Refused {
    /// In words; `holder` is who has no room.
    pub(crate) fn denial(self, holder: &str, estimate: Estimate) -> Denial {
        let tokens = estimate.tokens;
        let (kind, message, retry_after) = match self {
            Self::Concurrency { limit } => (
                DenialKind::Concurrency,
                format!("{limit} requests of {holder} are under way, which is its limit"),
                Some(Duration::from_secs(1)),
            ),
            Self::Requests { limit, wait } => (
                DenialKind::RequestsPerMinute,
                format!(
                    "{holder} may make {limit} requests a minute, and has made them: none is left{}",
                    again(wait)
                ),
                wait,
            ),
            Self::TooLarge { limit } => (
                DenialKind::TooLarge,
                format!(
                    "this request may take {tokens} tokens, more than the {limit} a minute of {holder}; set a lower max_tokens"
                ),
                None,
            ),
            Self::Tokens { limit, used, wait } => (
                DenialKind::TokensPerMinute,
                format!(
                    "this request may take {tokens} tokens, and {used} of the {limit} a minute of {holder} are used or reserved: {} are left{}",
                    limit.saturating_sub(used),
                    again(wait)
                ),
                wait,
            ),
            Self::Money {
                amount,
                spent,
                reserved,
                now,
                ends,
            } => {
                let left = (amount - spent - reserved).max(Money::ZERO);
                let anew = ends.and_then(|ends| Timestamp::from_millisecond(ends).ok());
                let anew = anew.map_or_else(
                    || "it does not begin anew".to_owned(),
                    |ends| format!("it begins anew at {ends}"),
                );
                let message = format!(
                    "the budget of {holder} is {amount}, of which {spent} is spent and {reserved} reserved: {left} is left, and this request may cost {}; {anew}",
                    estimate.cost
                );
                // What is reserved may come back soon; what is spent only with the next window.
                let soon = reserved > Money::ZERO && spent + estimate.cost <= amount;
                let wait = if soon {
                    Some(Duration::from_secs(1))
                } else {
                    ends.and_then(|ends| u64::try_from(ends - now).ok())
                        .map(Duration::from_millis)
                };
                (DenialKind::Budget, message, wait)
            }
            Self::Share | Self::Unreachable => return unreachable(holder),
        };
        Denial {
            kind,
            message,
            retry_after,
        }
    }
}

/// Nobody can say whether there is room.
fn unreachable(holder: &str) -> Denial {
    Denial {
        kind: DenialKind::Unreachable,
        message: format!(
            "the limits of {holder} are counted together with other replicas, which cannot be asked at the moment"
        ),
        retry_after: Some(Duration::from_secs(1)),
    }
}

fn again(wait: Option<Duration>) -> String {
    wait.map_or_else(String::new, |wait| {
        format!("; try again in {} seconds", wait.as_secs().max(1))
    })
}
