//! What is used of budgets and quotas, window by window.

use proptest::prelude::*;

use super::*;
use crate::reservation::Actual;

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

fn money(amount: i64) -> Money {
    Money::from_nanodollars(amount)
}

fn purse(budget: Budget, spent: i64, now: i64) -> Purse {
    Purse::new(
        &Rule::Budget(budget),
        &Before {
            used: [spent, 0],
            ..Before::default()
        },
        1,
        now,
    )
}

fn wanted(cost: i64) -> Wanted<'static> {
    Wanted {
        cost: money(cost),
        ..Wanted::NOTHING
    }
}

#[test]
fn a_new_window_is_a_full_purse() {
    let budget = Budget::of(money(10), BudgetWindow::Day);
    let now = at("2026-11-24T23:59:59Z");
    let mut purse = purse(budget, 10, now);
    assert!(purse.check(&wanted(1), now).is_err());
    assert_eq!(purse.ends, Some(now + 1_000));
    purse.advance(now + 999);
    assert!(purse.check(&wanted(1), now).is_err());
    purse.advance(now + 1_000);
    assert!(purse.check(&wanted(10), now).is_ok());
    // A clock that goes back does not open the old window again.
    purse.spent = 10;
    purse.advance(now);
    assert!(purse.check(&wanted(1), now).is_err());
}

#[test]
fn a_forecast_goes_on_as_it_has_begun() {
    let begun = at("2026-11-24T00:00:00Z");
    let purse = |window, spent| purse(Budget::of(money(100), window), spent, begun);
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
    let budget = Budget {
        amount: None,
        soft: Some(money(5)),
        ..Budget::of(money(0), BudgetWindow::Day)
    };
    let mut purse = purse(budget, 0, 0);
    let mut charge = |cost: i64| {
        let actual = Actual {
            cost: money(cost),
            ..Actual::default()
        };
        let used = Used {
            actual,
            ..Used::default()
        };
        purse.charge((&used, Estimate::NOTHING), Standing::Apart, None)
    };
    assert_eq!(charge(5), None);
    assert_eq!(charge(1), Some((money(5), money(6))));
    assert_eq!(charge(1), None);
    assert!(purse.check(&wanted(1_000), 0).is_ok());
}

fn sliding(seconds: u64, limit: i64) -> Rule {
    Rule::Budget(Budget::of(money(limit), BudgetWindow::Sliding(seconds)))
}

fn estimate(cost: i64) -> Estimate {
    Estimate {
        cost: money(cost),
        ..Estimate::NOTHING
    }
}

/// What is under way at a purse.
struct UnderWay {
    reserved: i64,
    used: i64,
    /// Settled so many steps later.
    steps: u8,
}

impl UnderWay {
    fn settle(&self, purse: &mut Purse) {
        let actual = Actual {
            cost: money(self.used),
            ..Actual::default()
        };
        let used = Used {
            actual,
            ..Used::default()
        };
        purse.reserve(
            [estimate(self.reserved), Estimate::NOTHING],
            Standing::Apart,
            None,
        );
        purse.charge((&used, estimate(self.reserved)), Standing::Apart, None);
    }
}

/// What was used and when, as the ledger tells it.
fn before(used: &[(i64, i64)], grain: Grain) -> Before {
    let mut buckets = std::collections::BTreeMap::<i64, i64>::new();
    for (at, amount) in used {
        *buckets.entry(grain.bucket(*at)).or_default() += amount;
    }
    Before {
        buckets: buckets.into_iter().collect(),
        ..Before::default()
    }
}

#[test]
fn what_slides_is_told_with_when_there_is_enough() {
    let rule = sliding(100, 10);
    let mut purse = Purse::new(&rule, &Before::default(), 1, 500);
    let one = UnderWay {
        reserved: 8,
        used: 6,
        steps: 0,
    };
    purse.reserve([Estimate::NOTHING, estimate(8)], Standing::Apart, None);
    let denial = |purse: &Purse, cost: i64, now: i64| {
        let refused = purse.check(&wanted(cost), now).unwrap_err();
        refused.denial("this key", money(cost))
    };
    let soon = denial(&purse, 3, 500);
    assert_eq!(soon.retry_after, Some(Duration::from_secs(1)));
    one.settle(&mut purse);
    purse.advance(2_500);
    let denied = denial(&purse, 5, 2_500);
    assert!(
        denied.message.contains(" in any 100s, of which"),
        "{}",
        denied.message
    );
    assert!(
        denied
            .message
            .ends_with("enough is free again at 1970-01-01T00:01:41Z"),
        "{}",
        denied.message
    );
    assert_eq!(denied.retry_after, Some(Duration::from_millis(101_000 - 2_500)));
    assert_eq!(purse.frees(), Some(101_000));
    assert_eq!(denial(&purse, 11, 2_500).retry_after, None, "it never fits");
    assert_eq!((purse.ends, purse.forecast(0, 2_500)), (None, None));
    // As soon as it was told, and not before.
    purse.advance(100_999);
    assert!(purse.check(&wanted(5), 100_999).is_err());
    purse.advance(101_000);
    assert!(purse.check(&wanted(10), 101_000).is_ok());
}

#[test]
fn headers_tell_when_one_more_fits_however_much_is_over() {
    let rule = Rule::Quota(Quota::of(Counted::Requests, 10, BudgetWindow::Sliding(100)));
    let before = Before {
        buckets: vec![(0, 3), (1, 2), (2, 9)],
        ..Before::default()
    };
    let purse = Purse::new(&rule, &before, 1, 3_000);
    // Of 14, five have to leave: the first two buckets.
    let told = purse.rate(3_000).requests;
    assert_eq!(told, Some((10, 0, Duration::from_millis(102_000 - 3_000))));
}

#[test]
fn nobody_is_no_provider() {
    let everywhere = Rule::Budget(Budget {
        providers: vec!["*".to_owned()],
        ..Budget::of(money(1), BudgetWindow::Day)
    });
    assert!(everywhere.is_at("openai") && !everywhere.is_at(""));
    assert!(Rule::Budget(Budget::of(money(1), BudgetWindow::Day)).is_at(""));
}

#[test]
fn budgets_of_one_holder_are_told_apart() {
    let of = |providers: &[&str], window| {
        Rule::Budget(Budget {
            providers: providers.iter().map(|name| (*name).to_owned()).collect(),
            ..Budget::of(money(1), window)
        })
        .named()
    };
    let names = [
        of(&[], BudgetWindow::Total),
        of(&[], BudgetWindow::Sliding(60)),
        of(&["a"], BudgetWindow::Total),
        of(&["b"], BudgetWindow::Total),
    ];
    let different: std::collections::BTreeSet<_> = names.iter().collect();
    assert_eq!(different.len(), names.len(), "{names:?}");
}

proptest! {
    /// Whatever is reserved, settled with less and found again after a restart: no window, by the exact times of
    /// settlement, holds more than the limit, and nothing is refused for what left the window more than a bucket ago.
    #[test]
    fn no_window_of_a_budget_that_slides_is_passed(
        seconds in 1_u64..40,
        limit in 1_i64..100,
        steps in proptest::collection::vec((0_i64..6_000, 1_i64..30, 0_i64..101, 0_u8..4, 0_u8..20), 1..150),
    ) {
        let rule = sliding(seconds, limit);
        let grain = rule.grain().unwrap();
        let mut purse = Purse::new(&rule, &Before::default(), 1, 0);
        let mut under_way: Vec<UnderWay> = Vec::new();
        let mut exact: Vec<(i64, i64)> = Vec::new();
        let mut now = 0;
        for (pause, reserved, percent, later, fate) in steps {
            now += pause;
            purse.advance(now);
            if fate == 0 {
                // What is under way when a process dies is not charged; what was charged is in the ledger.
                under_way.clear();
                purse = Purse::new(&rule, &before(&exact, grain), 1, now);
            }
            under_way.retain_mut(|one| {
                if one.steps > 0 {
                    one.steps -= 1;
                    return true;
                }
                one.settle(&mut purse);
                exact.push((now, one.used));
                false
            });
            if purse.check(&wanted(reserved), now).is_ok() {
                purse.reserve([Estimate::NOTHING, estimate(reserved)], Standing::Apart, None);
                let used = reserved * percent / 100;
                under_way.push(UnderWay { reserved, used, steps: later });
            } else {
                let recent = exact.iter().filter(|(at, _)| *at > now - grain.length - grain.width);
                let recent: i64 = recent.map(|(_, amount)| amount).sum();
                let held: i64 = under_way.iter().map(|one| one.reserved).sum();
                prop_assert!(recent + held + reserved > limit, "refused, and there is room");
            }
        }
        for (begin, _) in &exact {
            let window = exact.iter().filter(|(at, _)| (*begin..*begin + grain.length).contains(at));
            prop_assert!(window.map(|(_, amount)| amount).sum::<i64>() <= limit);
        }
    }
}
