//! Why a request is not admitted: which holder, which limit, how much is left, and when it makes sense to come again.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use pointsman_catalog::Money;
use pointsman_store::{BudgetWindow, Counted};

use crate::wanted::Side;

/// Why a request was not admitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// Which limit.
    pub kind: DenialKind,
    /// For the client.
    pub message: String,
    /// When it makes sense to try again; absent when it does not.
    pub retry_after: Option<Duration>,
    /// It is a limit of the provider that all callers together have, and none of whoever asks.
    pub is_of_provider: bool,
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
    /// Requests or tokens in a window that is no minute, or of some models.
    Quota,
    /// The request alone is larger than a limit: it will never fit.
    TooLarge,
    /// Nobody can say: what replicas count together does not answer.
    Unreachable,
}

/// What a holder has no room for. Put into words only when its counters are free again.
#[derive(Debug, Clone)]
pub(crate) enum Refused {
    Concurrency {
        limit: u64,
    },
    Requests {
        limit: u64,
        wait: Option<Duration>,
    },
    TooLarge {
        side: Side,
        tokens: u64,
        limit: u64,
    },
    Tokens {
        side: Side,
        tokens: u64,
        limit: u64,
        used: u64,
        wait: Option<Duration>,
    },
    /// A budget or a quota.
    Room(NoRoom),
    /// There is no room here; other replicas may have some.
    Share,
    /// There is no room here, and other replicas cannot be asked.
    Unreachable,
}

/// When there may be room again, Unix milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Again {
    /// There never is.
    Never,
    /// With the next window.
    Anew(i64),
    /// As soon as enough of what was used has left the window.
    Free(i64),
    /// As soon as what is reserved comes back.
    Soon,
}

/// A budget or a quota that has no room.
#[derive(Debug, Clone)]
pub(crate) enum NoRoom {
    Money {
        amount: Money,
        window: BudgetWindow,
        spent: Money,
        reserved: Money,
        about: Option<Arc<str>>,
        now: i64,
        again: Again,
    },
    Quota {
        of: Counted,
        /// What its units are called, where they are of its own.
        unit: Option<Arc<str>>,
        window: BudgetWindow,
        amount: u64,
        /// What is used, reserved and wanted.
        numbers: [u64; 3],
        about: Option<Arc<str>>,
        now: i64,
        again: Again,
    },
}

impl Refused {
    /// In words; `holder` is who has no room for a request that may cost `cost`.
    pub(crate) fn denial(self, holder: &str, cost: Money) -> Denial {
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
            Self::TooLarge { side, tokens, limit } => (
                DenialKind::TooLarge,
                format!(
                    "this request may take {tokens} {}, more than the {limit} a minute of {holder}; set a lower max_tokens",
                    side.words().0
                ),
                None,
            ),
            Self::Tokens {
                side,
                tokens,
                limit,
                used,
                wait,
            } => (
                DenialKind::TokensPerMinute,
                format!(
                    "this request may take {tokens} {}, and {used} of the {limit} a minute of {holder} are used or reserved: {} are left{}",
                    side.words().0,
                    limit.saturating_sub(used),
                    again(wait)
                ),
                wait,
            ),
            Self::Room(room) => room.words(holder, cost),
            Self::Share | Self::Unreachable => (
                DenialKind::Unreachable,
                format!(
                    "the limits of {holder} are counted together with other replicas, which cannot be asked at the moment"
                ),
                Some(Duration::from_secs(1)),
            ),
        };
        Denial {
            kind,
            message,
            retry_after,
            is_of_provider: false,
        }
    }
}

impl NoRoom {
    /// In words; `holder` is who has no room for a request that may cost `cost`.
    fn words(self, holder: &str, cost: Money) -> (DenialKind, String, Option<Duration>) {
        match self {
            Self::Money {
                amount,
                window,
                spent,
                reserved,
                about,
                now,
                again,
            } => {
                let whose = whose(holder, about.as_deref());
                let amounts = (amount, spent, reserved);
                let (message, wait) = no_money(&whose, cost, (window, amounts), (now, again));
                (DenialKind::Budget, message, wait)
            }
            Self::Quota {
                of,
                unit,
                window,
                amount,
                numbers,
                about,
                now,
                again,
            } => {
                let whose = whose(holder, about.as_deref());
                let what = units(of, unit.as_deref());
                let (message, wait) = no_quota(&whose, (what, window, amount), numbers, (now, again));
                (DenialKind::Quota, message, wait)
            }
        }
    }
}

/// Whose, and of which models and providers.
fn whose(holder: &str, about: Option<&str>) -> String {
    format!("{holder}{}", about.unwrap_or_default())
}

/// What is counted, in words.
fn units(of: Counted, unit: Option<&str>) -> &str {
    match of {
        Counted::Requests => "requests",
        Counted::Tokens => "tokens",
        Counted::InputTokens => "input tokens",
        Counted::OutputTokens => "output tokens",
        Counted::Custom => unit.unwrap_or("units"),
    }
}

/// What is said where there are too many requests or tokens in a window, and when to come back.
fn no_quota(
    whose: &str,
    (what, window, amount): (&str, BudgetWindow, u64),
    [used, reserved, wanted]: [u64; 3],
    (now, again): (i64, Again),
) -> (String, Option<Duration>) {
    let every = match window {
        BudgetWindow::Total => "in all".to_owned(),
        BudgetWindow::Day => "a day".to_owned(),
        BudgetWindow::Week => "a week".to_owned(),
        BudgetWindow::Month => "a month".to_owned(),
        BudgetWindow::Seconds(1) => "a second".to_owned(),
        BudgetWindow::Seconds(seconds) => format!("in {seconds} seconds"),
        BudgetWindow::Sliding(_) => in_any(window).trim_start().to_owned(),
    };
    let left = amount.saturating_sub(used).saturating_sub(reserved);
    let message = format!(
        "{whose} may use {amount} {what} {every}, of which {used} are used and {reserved} reserved: {left} are left, and this request may take {wanted}; {}",
        again.words()
    );
    if wanted > amount {
        return (message, None);
    }
    let soon = reserved > 0 && used.saturating_add(wanted) <= amount;
    (message, again.after(soon, now))
}

/// ` in any 5h`, where a window slides.
fn in_any(window: BudgetWindow) -> String {
    let length = window.slides_over();
    length.map_or_else(String::new, |length| format!(" in any {length}"))
}

impl Again {
    fn words(self) -> String {
        let time = |at| Timestamp::from_millisecond(at).ok();
        let never = || "it does not begin anew".to_owned();
        match self {
            Self::Never => never(),
            Self::Anew(at) => time(at).map_or_else(never, |at| format!("it begins anew at {at}")),
            Self::Free(at) => time(at).map_or_else(never, |at| format!("enough is free again at {at}")),
            Self::Soon => "what is reserved may come back at any time".to_owned(),
        }
    }

    /// What is reserved may come back soon; what is used only later.
    fn after(self, soon: bool, now: i64) -> Option<Duration> {
        match self {
            _ if soon => Some(Duration::from_secs(1)),
            Self::Never => None,
            Self::Soon => Some(Duration::from_secs(1)),
            Self::Anew(at) | Self::Free(at) => u64::try_from(at - now).ok().map(Duration::from_millis),
        }
    }
}

/// What is said where there is no money for `cost`, and when to come back: of a budget, what was spent of it and what is
/// reserved; of now and when there is more, Unix milliseconds.
fn no_money(
    holder: &str,
    cost: Money,
    (window, (amount, spent, reserved)): (BudgetWindow, (Money, Money, Money)),
    (now, again): (i64, Again),
) -> (String, Option<Duration>) {
    let left = (amount - spent - reserved).max(Money::ZERO);
    let message = format!(
        "the budget of {holder} is {amount}{}, of which {spent} is spent and {reserved} reserved: {left} is left, and this request may cost {cost}; {}",
        in_any(window),
        again.words()
    );
    let soon = reserved > Money::ZERO && spent + cost <= amount;
    (message, again.after(soon, now))
}

fn again(wait: Option<Duration>) -> String {
    wait.map_or_else(String::new, |wait| {
        format!("; try again in {} seconds", wait.as_secs().max(1))
    })
}
