//! Windows of budgets and quotas: those that begin anew at an edge, and those that slide.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a window may be, for errors.
pub const WINDOWS: &str =
    "total, day, week, month, seconds such as 3600s, or a sliding one such as sliding 5h";

/// What a sliding window begins with.
const SLIDING: &str = "sliding ";
/// Units of a sliding window, the longest first, in seconds.
const UNITS: [(u64, char); 4] = [(86_400, 'd'), (3_600, 'h'), (60, 'm'), (1, 's')];

/// When a budget begins anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BudgetWindow {
    /// Never.
    Total,
    /// At midnight.
    Day,
    /// On Monday.
    Week,
    /// On the first.
    Month,
    /// Every so many seconds, counted from the beginning of 1970.
    Seconds(u64),
    /// Never, because it has no edges: it is any so many seconds, wherever they begin.
    Sliding(u64),
}

impl BudgetWindow {
    /// As people write it: `total`, `day`, `week`, `month`, so many seconds, such as `3600s`, or a sliding one, such as
    /// `sliding 5h`, in days, hours, minutes or seconds.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        Some(match text {
            "total" => Self::Total,
            "day" => Self::Day,
            "week" => Self::Week,
            "month" => Self::Month,
            _ => match text.strip_prefix(SLIDING) {
                Some(length) => Self::Sliding(seconds(length)?),
                None => Self::Seconds(text.strip_suffix('s')?.parse().ok()?),
            },
        })
    }

    /// How long it is, such as `5h`, where it slides.
    #[must_use]
    pub fn slides_over(self) -> Option<String> {
        match self {
            Self::Sliding(seconds) => Some(length(seconds)),
            _ => None,
        }
    }
}

impl fmt::Display for BudgetWindow {
    /// As people write it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Total => f.write_str("total"),
            Self::Day => f.write_str("day"),
            Self::Week => f.write_str("week"),
            Self::Month => f.write_str("month"),
            Self::Seconds(seconds) => write!(f, "{seconds}s"),
            Self::Sliding(seconds) => write!(f, "{SLIDING}{}", length(*seconds)),
        }
    }
}

/// A time such as `5h`, in seconds.
fn seconds(text: &str) -> Option<u64> {
    let (unit, name) = UNITS.into_iter().find(|(_, name)| text.ends_with(*name))?;
    let count: u64 = text.strip_suffix(name)?.parse().ok()?;
    count.checked_mul(unit)
}

/// So many seconds as a time such as `5h`, in the longest unit that tells them exactly.
fn length(seconds: u64) -> String {
    let unit = UNITS
        .into_iter()
        .find(|(unit, _)| seconds > 0 && seconds.is_multiple_of(*unit));
    unit.map_or_else(
        || format!("{seconds}s"),
        |(unit, name)| format!("{}{name}", seconds / unit),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_read_as_they_are_written() {
        for text in [
            "total",
            "day",
            "week",
            "month",
            "90s",
            "sliding 5h",
            "sliding 30d",
            "sliding 90m",
            "sliding 61s",
        ] {
            assert_eq!(BudgetWindow::read(text).unwrap().to_string(), text);
        }
        assert_eq!(
            BudgetWindow::read("sliding 24h").unwrap().to_string(),
            "sliding 1d"
        );
        assert_eq!(
            BudgetWindow::read("sliding 5h"),
            Some(BudgetWindow::Sliding(5 * 3_600))
        );
        for wrong in [
            "",
            "5h",
            "sliding",
            "sliding ",
            "sliding 5",
            "sliding h",
            "sliding -5h",
            "sliding 5 h",
            "sliding 5y",
            "sliding month",
            "sliding 99999999999999999999d",
            "sliding 999999999999999999d",
        ] {
            assert_eq!(BudgetWindow::read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_window_is_kept_as_it_was() {
        for (window, kept) in [
            (BudgetWindow::Seconds(60), r#"{"seconds":60}"#),
            (BudgetWindow::Sliding(60), r#"{"sliding":60}"#),
            (BudgetWindow::Day, r#""day""#),
        ] {
            assert_eq!(serde_json::to_string(&window).unwrap(), kept);
            assert_eq!(serde_json::from_str::<BudgetWindow>(kept).unwrap(), window);
        }
    }
}
