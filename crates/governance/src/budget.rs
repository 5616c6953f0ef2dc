//! Budgets: spent, reserved, and when they begin anew.

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use pointsman_catalog::Money;
use pointsman_store::{Budget, BudgetWindow};

/// What is spent and reserved of a budget.
#[derive(Debug, Clone)]
pub(crate) struct Purse {
    pub(crate) budget: Budget,
    pub(crate) spent: Money,
    pub(crate) reserved: Money,
    /// When the window ends, Unix milliseconds; never for a total budget.
    ends: Option<i64>,
}

impl Purse {
    pub(crate) fn new(budget: Budget, spent: Money, now: i64) -> Self {
        Self {
            budget,
            spent,
            reserved: Money::ZERO,
            ends: bounds(budget.window, now).1,
        }
    }

    /// Begins a new window when the old one has ended.
    pub(crate) fn advance(&mut self, now: i64) {
        if self.ends.is_some_and(|ends| now >= ends) {
            self.spent = Money::ZERO;
            self.ends = bounds(self.budget.window, now).1;
        }
    }

    /// Whether `cost` fits beside what is spent and reserved.
    pub(crate) fn has_room(&self, cost: Money) -> bool {
        self.spent + self.reserved + cost <= self.budget.amount
    }

    /// Milliseconds until the window ends.
    pub(crate) fn ends_in(&self, now: i64) -> Option<u64> {
        self.ends.and_then(|ends| u64::try_from(ends - now).ok())
    }
}

/// Beginning and end of the window around `now`, Unix milliseconds.
pub(crate) fn bounds(window: BudgetWindow, now: i64) -> (i64, Option<i64>) {
    let date = TimeZone::UTC
        .to_datetime(Timestamp::from_millisecond(now).unwrap_or(Timestamp::UNIX_EPOCH))
        .date();
    let (first, next) = match window {
        BudgetWindow::Total => return (0, None),
        BudgetWindow::Day => (date, date.saturating_add(1.day())),
        BudgetWindow::Week => {
            let first = date.saturating_sub(i64::from(date.weekday().to_monday_zero_offset()).days());
            (first, first.saturating_add(7.days()))
        }
        BudgetWindow::Month => (
            date.first_of_month(),
            date.last_of_month().saturating_add(1.day()),
        ),
    };
    let midnight = |date: jiff::civil::Date| {
        TimeZone::UTC
            .to_timestamp(date.to_datetime(jiff::civil::Time::midnight()))
            .map_or(0, Timestamp::as_millisecond)
    };
    (midnight(first), Some(midnight(next)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_millisecond()
    }

    #[test]
    fn windows_begin_in_utc() {
        let now = at("2026-11-24T12:00:00Z");
        for (window, first, next) in [
            (BudgetWindow::Day, "2026-11-24T00:00:00Z", "2026-11-25T00:00:00Z"),
            (BudgetWindow::Week, "2026-11-23T00:00:00Z", "2026-11-30T00:00:00Z"),
            (
                BudgetWindow::Month,
                "2026-11-01T00:00:00Z",
                "2026-12-01T00:00:00Z",
            ),
        ] {
            assert_eq!(bounds(window, now), (at(first), Some(at(next))), "{window:?}");
        }
        assert_eq!(bounds(BudgetWindow::Total, now), (0, None));
    }

    #[test]
    fn a_new_window_is_a_full_purse() {
        let budget = Budget {
            amount: Money::from_nanodollars(10),
            window: BudgetWindow::Day,
        };
        let now = at("2026-11-24T23:59:59Z");
        let mut purse = Purse::new(budget, Money::from_nanodollars(10), now);
        assert!(!purse.has_room(Money::from_nanodollars(1)));
        assert_eq!(purse.ends_in(now), Some(1_000));
        purse.advance(now + 1_000);
        assert!(purse.has_room(Money::from_nanodollars(10)));
    }
}
