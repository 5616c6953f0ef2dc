//! How long a provider asks us to wait.

use std::time::{Duration, SystemTime};

use http::HeaderMap;
use http::header::RETRY_AFTER;

/// The longest wait that is taken at its word; also keeps arithmetic with it from overflowing.
const LONGEST: Duration = Duration::from_secs(30 * 86_400);

/// The wait that `retry-after-ms` (milliseconds) or `Retry-After` (seconds or a date, RFC 9110 section 10.2.3) asks
/// for. A date in the past is no wait; what makes no sense is ignored; a month is the most.
#[must_use]
pub fn parse_retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = |name: &str| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .map(str::trim)
    };
    if let Some(wait) = text("retry-after-ms")
        .and_then(parse_number)
        .map(|millis| millis / 1_000.0)
    {
        return Some(seconds(wait));
    }
    let value = text(RETRY_AFTER.as_str())?;
    parse_number(value)
        .map(seconds)
        .or_else(|| parse_date(value, now))
}

/// A number of zero or more. Some providers send fractions.
fn parse_number(text: &str) -> Option<f64> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    text.parse::<f64>()
        .ok()
        .filter(|number| plain && number.is_finite())
}

fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds)
        .unwrap_or(LONGEST)
        .min(LONGEST)
}

fn parse_date(text: &str, now: SystemTime) -> Option<Duration> {
    let date = jiff::fmt::rfc2822::DateTimeParser::new()
        .parse_timestamp(text)
        .ok()?;
    let date = Duration::from_secs(u64::try_from(date.as_second()).unwrap_or(0));
    let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Some(date.saturating_sub(now).min(LONGEST))
}
