//! How far another clock is from ours.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::HeaderMap;
use http::header::DATE;

/// Differences up to this are no reason for a refusal.
const TOLERATED_SECS: i64 = 30;

/// The clock of a server, known by the `Date` of its answers.
#[derive(Debug, Default)]
pub(crate) struct ServerClock {
    ahead_secs: AtomicI64,
}

impl ServerClock {
    /// What the server's clock shows now, in seconds since 1970.
    pub(crate) fn now_secs(&self) -> i64 {
        unix_secs(SystemTime::now()).saturating_add(self.ahead_secs.load(Ordering::Relaxed))
    }

    /// Takes the time from an answer to what was refused. Whether it was so far off that this explains the refusal,
    /// and trying again makes sense.
    pub(crate) fn correct(&self, headers: &HeaderMap) -> bool {
        let Some(date) = date(headers) else { return false };
        let ahead = date - unix_secs(SystemTime::now());
        let before = self.ahead_secs.load(Ordering::Relaxed);
        if (ahead - before).abs() <= TOLERATED_SECS {
            return false;
        }
        self.ahead_secs.store(ahead, Ordering::Relaxed);
        tracing::warn!(seconds = ahead, "this machine's clock is off; set it by NTP");
        true
    }
}

/// The time at which an answer was made, in seconds since 1970.
pub(crate) fn date(headers: &HeaderMap) -> Option<i64> {
    let text = headers.get(DATE)?.to_str().ok()?;
    let time = jiff::fmt::rfc2822::parse(text).ok()?;
    Some(time.timestamp().as_second())
}

pub(crate) fn unix_secs(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// How long something told as a point in time is still good for: measured by the clock of whoever told it, if known.
pub(crate) fn until(expires_secs: i64, headers: Option<&HeaderMap>) -> Duration {
    let now = headers
        .and_then(date)
        .unwrap_or_else(|| unix_secs(SystemTime::now()));
    Duration::from_secs(u64::try_from(expires_secs.saturating_sub(now)).unwrap_or(0))
}

/// Seconds since 1970 of a time such as `2030-01-02T03:04:05Z`.
pub(crate) fn parse_timestamp(text: &str) -> Option<i64> {
    let text = text.trim();
    // Some tools write `UTC` for the zone.
    let fixed;
    let text = match text.strip_suffix("UTC") {
        Some(rest) => {
            fixed = format!("{}Z", rest.trim_end());
            fixed.as_str()
        }
        None => text,
    };
    text.parse::<jiff::Timestamp>()
        .ok()
        .map(jiff::Timestamp::as_second)
}
