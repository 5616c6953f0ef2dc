//! Faults on demand.

use std::fmt;
use std::str::FromStr;

/// Something that goes wrong at a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// 429 with `Retry-After` of so many seconds.
    RateLimited(u64),
    /// This status with the provider's own error body.
    Status(u16),
    /// The connection is reset before the response head.
    ResetBeforeHead,
    /// Nothing comes.
    StallBeforeHead,
    /// The head comes, then nothing.
    StallAfterHead,
    /// The stream stops in the middle and stays open.
    StallMidStream,
    /// The stream ends in the middle, well-formed for HTTP, without the format's terminator.
    CutClean,
    /// The connection ends in the middle of the body.
    CutAbort,
    /// The connection is reset in the middle of the body.
    ResetMidStream,
    /// An event in the middle is not JSON.
    MalformedEvent,
    /// The format's own error event comes in the middle.
    ErrorEvent,
    /// The first token takes so many milliseconds.
    SlowFirstToken(u64),
    /// 200 with half a JSON document.
    TruncatedJson,
    /// 200 with an HTML page.
    HtmlPage,
    /// 200 with nothing.
    EmptyBody,
}

impl Fault {
    /// One of each, with times that tests can wait for.
    pub const ALL: [Self; 19] = [
        Self::RateLimited(1),
        Self::Status(500),
        Self::Status(502),
        Self::Status(503),
        Self::Status(529),
        Self::Status(401),
        Self::ResetBeforeHead,
        Self::StallBeforeHead,
        Self::StallAfterHead,
        Self::StallMidStream,
        Self::CutClean,
        Self::CutAbort,
        Self::ResetMidStream,
        Self::MalformedEvent,
        Self::ErrorEvent,
        Self::SlowFirstToken(3_000),
        Self::TruncatedJson,
        Self::HtmlPage,
        Self::EmptyBody,
    ];
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RateLimited(seconds) => write!(f, "rate-limited:{seconds}"),
            Self::Status(status) => write!(f, "status:{status}"),
            Self::ResetBeforeHead => f.write_str("reset-before-head"),
            Self::StallBeforeHead => f.write_str("stall-before-head"),
            Self::StallAfterHead => f.write_str("stall-after-head"),
            Self::StallMidStream => f.write_str("stall-mid-stream"),
            Self::CutClean => f.write_str("cut-clean"),
            Self::CutAbort => f.write_str("cut-abort"),
            Self::ResetMidStream => f.write_str("reset-mid-stream"),
            Self::MalformedEvent => f.write_str("malformed-event"),
            Self::ErrorEvent => f.write_str("error-event"),
            Self::SlowFirstToken(ms) => write!(f, "slow-first-token:{ms}"),
            Self::TruncatedJson => f.write_str("truncated-json"),
            Self::HtmlPage => f.write_str("html-page"),
            Self::EmptyBody => f.write_str("empty-body"),
        }
    }
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = text.split_once(':').unwrap_or((text, ""));
        let number = || {
            value
                .parse::<u64>()
                .map_err(|_| format!("{text:?} needs a number"))
        };
        Ok(match name {
            "rate-limited" => Self::RateLimited(number()?),
            "status" => Self::Status(u16::try_from(number()?).map_err(|error| error.to_string())?),
            "slow-first-token" => Self::SlowFirstToken(number()?),
            _ => Self::ALL
                .into_iter()
                .find(|fault| fault.to_string() == name)
                .ok_or_else(|| format!("unknown fault {text:?}"))?,
        })
    }
}

/// When a fault strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schedule {
    /// Every request.
    Always,
    /// The first so many.
    First(u64),
    /// Every so manieth.
    EveryNth(u64),
}

impl Schedule {
    /// Whether request number `number`, counted from 0, is struck.
    #[must_use]
    pub fn strikes(self, number: u64) -> bool {
        match self {
            Self::Always => true,
            Self::First(count) => number < count,
            Self::EveryNth(nth) => nth > 0 && (number + 1).is_multiple_of(nth),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_faults_agree() {
        for fault in Fault::ALL {
            assert_eq!(fault.to_string().parse(), Ok(fault));
        }
        assert!("sneeze".parse::<Fault>().is_err());
    }

    #[test]
    fn schedules_strike_when_they_say() {
        let struck = |schedule: Schedule| {
            (0..6)
                .filter(|number| schedule.strikes(*number))
                .collect::<Vec<_>>()
        };
        assert_eq!(struck(Schedule::First(2)), [0, 1]);
        assert_eq!(struck(Schedule::EveryNth(3)), [2, 5]);
    }
}
