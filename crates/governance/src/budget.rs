//! Budgets: spent, reserved, and when they begin anew.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use pointsman_catalog::Money;
use pointsman_store::{Budget, BudgetWindow};

use crate::denial::Refused;
use crate::share::Allotment;

/// What is spent and reserved of a budget.
#[derive(Debug, Clone)]
pub(crate) struct Purse {
    pub(crate) budget: Budget,
    zone: TimeZone,
    /// By this process; by the earlier ones, too, where it is alone, and by those of its name, where it is not.
    pub(crate) spent: Money,
    pub(crate) reserved: Money,
    /// What of it this replica may use, and what all have; only where it is not alone.
    pub(crate) share: Allotment,
    /// When the window began, Unix milliseconds.
    pub(crate) begun: i64,
    /// When the window ends, Unix milliseconds; never for a total budget.
    pub(crate) ends: Option<i64>,
    /// Which of its account's purses: those that came later hold nothing for what was reserved before.
    pub(crate) number: u32,
}

impl Purse {
    pub(crate) fn new(budget: &Budget, [own, others]: [Money; 2], number: u32, now: i64) -> Self {
        let zone = zone_of(budget);
        let (begun, ends) = bounds(budget.window, &zone, now);
        let amount = budget.amount.map(Money::nanodollars);
        let total = (own + others).nanodollars();
        Self {
            budget: budget.clone(),
            zone,
            spent: own,
            reserved: Money::ZERO,
            share: Allotment::known(total, own.nanodollars(), amount),
            begun,
            ends,
            number,
        }
    }

    /// Whether it counts the same money in the same time.
    pub(crate) fn counts(&self, budget: &Budget) -> bool {
        (self.budget.window, &self.budget.zone) == (budget.window, &budget.zone)
    }

    /// The same, with other amounts.
    pub(crate) fn become_of(mut self, budget: &Budget) -> Self {
        self.budget.clone_from(budget);
        self
    }

    /// Begins a new window when the old one has ended.
    pub(crate) fn advance(&mut self, now: i64) {
        if self.ends.is_some_and(|ends| now >= ends) {
            self.spent = Money::ZERO;
            (self.begun, self.ends) = bounds(self.budget.window, &self.zone, now);
            let amount = self.budget.amount.map(Money::nanodollars);
            self.share = Allotment::known(0, 0, amount);
        }
    }

    /// Spent by all, as far as it is known here.
    pub(crate) fn total(&self) -> Money {
        Money::from_nanodollars(self.share.total(self.spent.nanodollars()))
    }

    /// Whether `cost` fits beside what is spent and reserved.
    pub(crate) fn check(&self, cost: Money, now: i64) -> Result<(), Refused> {
        match self.budget.amount {
            Some(amount) if self.spent + self.reserved + cost > amount => Err(Refused::Money {
                amount,
                spent: self.spent,
                reserved: self.reserved,
                now,
                ends: self.ends,
            }),
            _ => Ok(()),
        }
    }

    /// Charges; says when that passes the soft amount: what it is, and what is spent.
    pub(crate) fn charge(&mut self, cost: Money) -> Option<(Money, Money)> {
        let was = self.is_past_soft();
        self.spent += cost;
        let soft = self.budget.soft.filter(|_| !was && self.is_past_soft())?;
        Some((soft, self.total()))
    }

    /// What will be spent when the window ends, if it goes on as it has since it began; nothing where it never ends, or has
    /// not run for `after` of a hundred parts.
    pub(crate) fn forecast(&self, after: u8, now: i64) -> Option<Money> {
        let length = i128::from(self.ends? - self.begun);
        let passed = i128::from(now - self.begun);
        if passed <= 0 || passed > length || passed * 100 < length * i128::from(after) {
            return None;
        }
        let expected = i128::from(self.total().nanodollars()) * length / passed;
        Some(Money::from_nanodollars(
            i64::try_from(expected).unwrap_or(i64::MAX),
        ))
    }

    pub(crate) fn is_past_soft(&self) -> bool {
        self.budget.soft.is_some_and(|soft| self.total() > soft)
    }
}

/// The zone of a budget; one that this machine does not know any more is UTC.
pub(crate) fn zone_of(budget: &Budget) -> TimeZone {
    let Some(name) = &budget.zone else {
        return TimeZone::UTC;
    };
    TimeZone::get(name).unwrap_or_else(|error| {
        tracing::warn!(zone = %name, %error, "the zone of a budget is not known; its days are those of UTC");
        TimeZone::UTC
    })
}

/// Beginning and end of the window around `now`, Unix milliseconds.
pub(crate) fn bounds(window: BudgetWindow, zone: &TimeZone, now: i64) -> (i64, Option<i64>) {
    let date = zone
        .to_datetime(Timestamp::from_millisecond(now).unwrap_or(Timestamp::UNIX_EPOCH))
        .date();
    let (first, next) = match window {
        BudgetWindow::Total => return (0, None),
        BudgetWindow::Seconds(seconds) => {
            let length = i64::try_from(seconds)
                .unwrap_or(i64::MAX)
                .saturating_mul(1_000)
                .max(1);
            let first = now - now.rem_euclid(length);
            return (first, Some(first.saturating_add(length)));
        }
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
    // Where a day begins at one o'clock, because the hour before is left out, so does the window.
    let begins = |date: Date| {
        date.to_zoned_datetime(zone.clone())
            .map_or(0, |zoned| zoned.timestamp().as_millisecond())
    };
    (begins(first), Some(begins(next)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_millisecond()
    }

    fn check(window: BudgetWindow, zone: &str, now: &str, first: &str, next: &str) {
        let zone = TimeZone::get(zone).unwrap();
        let told = bounds(window, &zone, at(now));
        assert_eq!(told, (at(first), Some(at(next))), "{window:?} at {now}");
        // The last moment belongs to it, the next does not.
        assert_eq!(bounds(window, &zone, at(next) - 1), told);
        assert_eq!(bounds(window, &zone, at(next)).0, at(next));
    }

    #[test]
    fn windows_begin_in_utc() {
        let now = "2026-11-24T12:00:00Z";
        for (window, first, next) in [
            (BudgetWindow::Day, "2026-11-24T00:00:00Z", "2026-11-25T00:00:00Z"),
            (BudgetWindow::Week, "2026-11-23T00:00:00Z", "2026-11-30T00:00:00Z"),
            (
                BudgetWindow::Month,
                "2026-11-01T00:00:00Z",
                "2026-12-01T00:00:00Z",
            ),
            (
                BudgetWindow::Seconds(3_600),
                "2026-11-24T12:00:00Z",
                "2026-11-24T13:00:00Z",
            ),
        ] {
            check(window, "UTC", now, first, next);
        }
        assert_eq!(bounds(BudgetWindow::Total, &TimeZone::UTC, at(now)), (0, None));
    }

    #[test]
    fn reset_at_window_edges_and_daylight_saving_time() {
        // 25 and 23 hours, a month that holds the change, and a day whose midnight does not exist.
        for (window, zone, now, first, next) in [
            (
                BudgetWindow::Day,
                "Europe/Berlin",
                "2026-10-25T12:00:00Z",
                "2026-10-24T22:00:00Z",
                "2026-10-25T23:00:00Z",
            ),
            (
                BudgetWindow::Day,
                "Europe/Berlin",
                "2026-03-29T12:00:00Z",
                "2026-03-28T23:00:00Z",
                "2026-03-29T22:00:00Z",
            ),
            (
                BudgetWindow::Month,
                "America/New_York",
                "2026-11-24T12:00:00Z",
                "2026-11-01T04:00:00Z",
                "2026-12-01T05:00:00Z",
            ),
            (
                BudgetWindow::Day,
                "Africa/Cairo",
                "2026-04-24T12:00:00Z",
                "2026-04-23T22:00:00Z",
                "2026-04-24T21:00:00Z",
            ),
        ] {
            check(window, zone, now, first, next);
        }
    }

    #[test]
    fn a_new_window_is_a_full_purse() {
        let money = Money::from_nanodollars;
        let budget = Budget::of(money(10), BudgetWindow::Day);
        let now = at("2026-11-24T23:59:59Z");
        let mut purse = Purse::new(&budget, [money(10), Money::ZERO], 1, now);
        assert!(purse.check(money(1), now).is_err());
        assert_eq!(purse.ends, Some(now + 1_000));
        purse.advance(now + 999);
        assert!(purse.check(money(1), now).is_err());
        purse.advance(now + 1_000);
        assert!(purse.check(money(10), now).is_ok());
        // A clock that goes back does not open the old window again.
        purse.spent = money(10);
        purse.advance(now);
        assert!(purse.check(money(1), now).is_err());
    }

    #[test]
    fn a_forecast_goes_on_as_it_has_begun() {
        let money = Money::from_nanodollars;
        let begun = at("2026-11-24T00:00:00Z");
        let purse = |window, spent| {
            let budget = Budget::of(money(100), window);
            Purse::new(&budget, [money(spent), Money::ZERO], 1, begun)
        };
        let hour = 3_600_000;
        let day = purse(BudgetWindow::Day, 30);
        assert_eq!(day.forecast(10, begun + 6 * hour), Some(money(120)));
        assert_eq!(day.forecast(10, begun + 24 * hour), Some(money(30)));
        assert_eq!(
            day.forecast(10, begun + 2 * hour),
            None,
            "too early to say anything"
        );
        assert_eq!(day.forecast(0, begun), None);
        assert_eq!(day.forecast(10, begun + 25 * hour), None, "of another window");
        assert_eq!(purse(BudgetWindow::Total, 30).forecast(0, begun + hour), None);
        assert_eq!(
            purse(BudgetWindow::Day, i64::MAX).forecast(0, begun + 1),
            Some(money(i64::MAX))
        );
    }

    #[test]
    fn a_soft_budget_is_told_of_once() {
        let money = Money::from_nanodollars;
        let budget = Budget {
            amount: None,
            soft: Some(money(5)),
            ..Budget::of(money(0), BudgetWindow::Day)
        };
        let mut purse = Purse::new(&budget, [Money::ZERO; 2], 1, 0);
        assert_eq!(purse.charge(money(5)), None);
        assert_eq!(purse.charge(money(1)), Some((money(5), money(6))));
        assert_eq!(purse.charge(money(1)), None);
        assert!(purse.check(money(1_000), 0).is_ok());
    }
}
