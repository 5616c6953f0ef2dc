//! Budgets and quotas: what is used and reserved of them, and when they begin anew.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use pointsman_catalog::Money;
use pointsman_store::{Budget, BudgetWindow, Counted, Quota};
use sha2::{Digest, Sha256};

use crate::account::amount;
use crate::denial::{Again, NoRoom, Refused};
use crate::pattern::fits;
use crate::rate::{Left, RateStatus};
use crate::reservation::{Estimate, Standing};
use crate::share::Allotment;
use crate::sliding::{Grain, Sliding};
use crate::unit::{Unit, Used};
use crate::wanted::{Sides, Wanted, sides};

/// What there may be in a window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Rule {
    /// So much money.
    Budget(Budget),
    /// So many requests or tokens.
    Quota(Quota),
}

impl Rule {
    pub(crate) fn window(&self) -> BudgetWindow {
        match self {
            Self::Budget(budget) => budget.window,
            Self::Quota(quota) => quota.window,
        }
    }

    pub(crate) fn zone(&self) -> Option<&str> {
        match self {
            Self::Budget(budget) => budget.zone.as_deref(),
            Self::Quota(quota) => quota.zone.as_deref(),
        }
    }

    /// Of which models; of all, where there are none.
    pub(crate) fn models(&self) -> &[String] {
        match self {
            Self::Budget(budget) => &budget.models,
            Self::Quota(quota) => &quota.models,
        }
    }

    /// At which providers; at all, where there are none.
    pub(crate) fn providers(&self) -> &[String] {
        match self {
            Self::Budget(budget) => &budget.providers,
            Self::Quota(quota) => &quota.providers,
        }
    }

    /// The expression that says how much a request is, where that is one.
    pub(crate) fn cel(&self) -> Option<&str> {
        match self {
            Self::Budget(_) => None,
            Self::Quota(quota) => quota.cel.as_deref(),
        }
    }

    /// What it counts; money where it says nothing.
    pub(crate) fn counted(&self) -> Option<Counted> {
        match self {
            Self::Budget(_) => None,
            Self::Quota(quota) => Some(quota.of),
        }
    }

    /// No more than this, in nano-dollars or by number.
    pub(crate) fn amount(&self) -> Option<i64> {
        match self {
            Self::Budget(budget) => budget.amount.map(Money::nanodollars),
            Self::Quota(quota) => Some(amount(quota.amount)),
        }
    }

    /// Whether it counts the same in the same time.
    pub(crate) fn counts(&self, other: &Self) -> bool {
        (
            self.counted(),
            self.window(),
            self.zone(),
            self.models(),
            self.providers(),
            self.cel(),
        ) == (
            other.counted(),
            other.window(),
            other.zone(),
            other.models(),
            other.providers(),
            other.cel(),
        )
    }

    /// Whether it is about a model.
    pub(crate) fn is_about(&self, model: Option<&str>) -> bool {
        let models = self.models();
        models.is_empty() || model.is_some_and(|model| models.iter().any(|pattern| fits(pattern, model)))
    }

    /// Whether it is about a provider. Where nobody was asked the name is empty: that is at none, whatever fits it.
    pub(crate) fn is_at(&self, provider: &str) -> bool {
        let providers = self.providers();
        let is_any = || providers.iter().any(|pattern| fits(pattern, provider));
        providers.is_empty() || (!provider.is_empty() && is_any())
    }

    /// What it is about, in words.
    fn about(&self) -> Option<Arc<str>> {
        let mut about = String::new();
        if !self.models().is_empty() {
            about.push_str(" for the models ");
            about.push_str(&self.models().join(", "));
        }
        if !self.providers().is_empty() {
            about.push_str(" at the providers ");
            about.push_str(&self.providers().join(", "));
        }
        (!about.is_empty()).then(|| about.into())
    }

    /// Which it is among those of a holder: by its window, and a digest of zone, models and providers, which may be long.
    pub(crate) fn named(&self) -> String {
        let mut named = self.window().to_string();
        let about = self.about().unwrap_or_default();
        if self.zone().is_some() || !about.is_empty() {
            let told = format!("{}{about}", self.zone().unwrap_or_default());
            let digest = Sha256::digest(told.as_bytes());
            for byte in &digest[..8] {
                // Writing to a string cannot fail.
                let _ = write!(named, "{byte:02x}");
            }
        }
        named
    }

    /// How finely it is counted, where its window slides.
    pub(crate) fn grain(&self) -> Option<Grain> {
        Grain::of(self.window())
    }

    /// Since when what is used counts, Unix milliseconds.
    pub(crate) fn since(&self, now: i64) -> i64 {
        match self.grain() {
            Some(grain) => grain.since(now),
            None => bounds(self.window(), &zone_of(self.zone()), now).0,
        }
    }
}

/// What was used before a purse was there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Before {
    /// Since the window began: by this replica, and by others.
    pub(crate) used: [i64; 2],
    /// Where it slides: by all, bucket by bucket, the oldest first.
    pub(crate) buckets: Vec<(i64, i64)>,
}

/// What is used and reserved of a budget or a quota: in nano-dollars, requests or tokens.
#[derive(Debug, Clone)]
pub(crate) struct Purse {
    pub(crate) rule: Rule,
    zone: TimeZone,
    /// How many units a request is, where it counts what is custom; nothing is let through where that cannot be told.
    unit: Option<Arc<Unit>>,
    /// What it is about, for denials.
    about: Option<Arc<str>>,
    /// By this process; by the earlier ones, too, where it is alone, and by those of its name, where it is not. Of a window
    /// that slides by this process alone, since it began: what replicas tell each other only grows.
    pub(crate) spent: i64,
    /// What all have used in a window that slides, as far as it is known here.
    sliding: Option<Sliding>,
    pub(crate) reserved: i64,
    /// What of it this replica may use, and what all have; only where it is not alone.
    pub(crate) share: Allotment,
    /// When the window began, Unix milliseconds.
    pub(crate) begun: i64,
    /// When the window ends, Unix milliseconds; never for a total one.
    pub(crate) ends: Option<i64>,
    /// Which of its account's purses: those that came later hold nothing for what was reserved before.
    pub(crate) number: u32,
}

impl Purse {
    pub(crate) fn new(rule: &Rule, before: &Before, number: u32, now: i64) -> Self {
        let zone = zone_of(rule.zone());
        let (begun, ends) = bounds(rule.window(), &zone, now);
        let sliding = rule
            .grain()
            .map(|grain| Sliding::new(grain, &before.buckets, now));
        let [own, others] = before.used;
        let all = sliding.as_ref().map_or(own.saturating_add(others), Sliding::sum);
        Self {
            about: rule.about(),
            zone,
            unit: unit_of(rule),
            spent: own,
            sliding,
            reserved: 0,
            share: Allotment::known(all, own, rule.amount()),
            rule: rule.clone(),
            begun,
            ends,
            number,
        }
    }

    /// The same, with other amounts.
    pub(crate) fn become_of(mut self, rule: &Rule) -> Self {
        self.rule.clone_from(rule);
        self
    }

    /// Begins a new window when the old one has ended; one that slides moves on.
    pub(crate) fn advance(&mut self, now: i64) {
        if let Some(sliding) = &mut self.sliding {
            sliding.advance(now);
        }
        if self.ends.is_some_and(|ends| now >= ends) {
            self.spent = 0;
            (self.begun, self.ends) = bounds(self.rule.window(), &self.zone, now);
            self.share = Allotment::known(0, 0, self.rule.amount());
        }
    }

    /// Used by all, as far as it is known here.
    pub(crate) fn total(&self) -> i64 {
        match &self.sliding {
            Some(sliding) => sliding.sum(),
            None => self.share.total(self.spent),
        }
    }

    /// Whether it has no edges: what was used leaves it little by little.
    pub(crate) fn slides(&self) -> bool {
        self.sliding.is_some()
    }

    /// Others have told how much all have used.
    pub(crate) fn heard(&mut self) {
        let total = self.share.total(self.spent);
        if let Some(sliding) = &mut self.sliding {
            sliding.come_to(total);
        }
    }

    /// When the first of what is used leaves a window that slides, Unix milliseconds.
    pub(crate) fn frees(&self) -> Option<i64> {
        self.sliding.as_ref()?.frees(1)
    }

    /// Uses so much.
    fn spend(&mut self, amount: i64) {
        self.spent = self.spent.saturating_add(amount);
        if let Some(sliding) = &mut self.sliding {
            sliding.add(amount);
        }
    }

    /// Where a quota whose window slides stands, for headers: of requests or tokens of all models.
    pub(crate) fn rate(&self, now: i64) -> RateStatus {
        let mut status = RateStatus::default();
        let (Rule::Quota(quota), Some(sliding)) = (&self.rule, &self.sliding) else {
            return status;
        };
        let to = match quota.of {
            _ if !quota.models.is_empty() => return status,
            Counted::Requests => &mut status.requests,
            Counted::Tokens => &mut status.tokens,
            _ => return status,
        };
        let gone = sliding.sum().saturating_add(self.held());
        let rest = amount(quota.amount).saturating_sub(gone).max(0);
        let wait = match rest {
            // What is reserved comes back sooner than what is used.
            0 => {
                let lacking = gone.saturating_sub(amount(quota.amount)).saturating_add(1);
                sliding.frees(lacking).map_or(1_000, |frees| frees - now)
            }
            _ => 0,
        };
        let wait = Duration::from_millis(wait.max(0).unsigned_abs());
        *to = Some::<Left>((quota.amount, rest.unsigned_abs(), wait));
        status
    }

    /// Reserved, here and by others.
    pub(crate) fn held(&self) -> i64 {
        self.reserved.saturating_add(self.share.held_by_others())
    }

    /// Spent by all, where it is money.
    pub(crate) fn money(&self) -> Money {
        Money::from_nanodollars(self.total())
    }

    /// The budget, where it is one.
    pub(crate) fn budget(&self) -> Option<&Budget> {
        match &self.rule {
            Rule::Budget(budget) => Some(budget),
            Rule::Quota(_) => None,
        }
    }

    /// What a request wants of it.
    pub(crate) fn wanted(&self, wanted: &Wanted<'_>) -> i64 {
        if !self.rule.is_about(wanted.model) {
            return 0;
        }
        match self.rule.counted() {
            None => wanted.cost.nanodollars(),
            Some(Counted::Requests) => amount(wanted.requests),
            Some(Counted::Custom) => {
                let [from, to] = wanted
                    .estimates
                    .map(|estimate| self.units(estimate, wanted.model));
                match (from, to) {
                    (Some(from), Some(to)) => to.saturating_sub(from).max(0),
                    // Nobody can say how much it is: more than there is.
                    _ => self.rule.amount().unwrap_or(i64::MAX).saturating_add(1),
                }
            }
            Some(counted) => tokens_of(counted, wanted.tokens),
        }
    }

    /// The most units that what is estimated may be.
    fn units(&self, estimate: Estimate, model: Option<&str>) -> Option<i64> {
        match &self.unit {
            Some(unit) => unit.bound(estimate, model),
            None => (estimate == Estimate::NOTHING).then_some(0),
        }
    }

    /// Whether it matters for which model something is asked.
    pub(crate) fn looks_at_models(&self) -> bool {
        !self.rule.models().is_empty() || self.unit.as_ref().is_some_and(|unit| unit.names_model())
    }

    /// Whether what is wanted fits beside what is used and reserved.
    pub(crate) fn check(&self, wanted: &Wanted<'_>, now: i64) -> Result<(), Refused> {
        let Some(limit) = self.rule.amount() else {
            return Ok(());
        };
        if !self.rule.is_about(wanted.model) {
            return Ok(());
        }
        let wanted = self.wanted(wanted);
        // Of requests and tokens nothing is refused that wants none, as parts of a request do.
        let is_free = wanted == 0 && self.rule.counted().is_some();
        let spent = self.sliding.as_ref().map_or(self.spent, Sliding::sum);
        if !is_free && spent.saturating_add(self.reserved).saturating_add(wanted) > limit {
            return Err(self.refused((spent, self.reserved, wanted), now, None));
        }
        Ok(())
    }

    /// When it makes sense to come again: `wait` is what others have told, seconds.
    fn again(&self, [spent, reserved, wanted]: [i64; 3], now: i64, wait: Option<u64>) -> Again {
        let limit = self.rule.amount().unwrap_or(i64::MAX);
        let Some(sliding) = &self.sliding else {
            return self.ends.map_or(Again::Never, Again::Anew);
        };
        if wanted > limit {
            return Again::Never;
        }
        let told = wait.map(|seconds| now.saturating_add_unsigned(seconds.saturating_mul(1_000)));
        let lacking = spent
            .saturating_add(reserved)
            .saturating_add(wanted)
            .saturating_sub(limit);
        // Where all that is used were not enough, what is reserved has to come back.
        told.or_else(|| sliding.frees(lacking))
            .map_or(Again::Soon, Again::Free)
    }

    /// Why there is no room: with what is used, reserved and wanted, and after how many seconds there will be, where others
    /// have told that.
    pub(crate) fn refused(
        &self,
        (spent, reserved, wanted): (i64, i64, i64),
        now: i64,
        wait: Option<u64>,
    ) -> Refused {
        let about = self.about.clone();
        let again = self.again([spent, reserved, wanted], now, wait);
        match &self.rule {
            Rule::Budget(budget) => Refused::Room(NoRoom::Money {
                amount: budget.amount.unwrap_or(Money::MAX),
                window: budget.window,
                spent: Money::from_nanodollars(spent),
                reserved: Money::from_nanodollars(reserved),
                about,
                now,
                again,
            }),
            Rule::Quota(quota) => Refused::Room(NoRoom::Quota {
                of: quota.of,
                unit: quota.unit.as_deref().map(Arc::from),
                window: quota.window,
                amount: quota.amount,
                numbers: [spent, reserved, wanted].map(|number| number.max(0).unsigned_abs()),
                about,
                now,
                again,
            }),
        }
    }

    /// A request begins: it counts, whatever becomes of it.
    pub(crate) fn begin(&mut self, wanted: &Wanted<'_>) {
        if self.rule.counted() == Some(Counted::Requests) {
            self.spend(self.wanted(wanted));
        }
    }

    /// Turns what is reserved from one estimate into another.
    pub(crate) fn reserve(&mut self, [from, to]: [Estimate; 2], standing: Standing, model: Option<&str>) {
        if !self.rule.is_about(model) {
            return;
        }
        let difference = match self.rule.counted() {
            None => (to.cost - from.cost).nanodollars(),
            Some(Counted::Requests) => return,
            // Counted when what others answer later was admitted.
            Some(Counted::Custom) if standing == Standing::Elsewhere => return,
            Some(Counted::Custom) => {
                let [from, to] = [from, to].map(|estimate| self.units(estimate, model).unwrap_or_default());
                to.saturating_sub(from)
            }
            Some(counted) => {
                tokens_of(counted, sides(to.tokens)).saturating_sub(tokens_of(counted, sides(from.tokens)))
            }
        };
        self.reserved = self.reserved.saturating_add(difference).max(0);
    }

    /// Charges; says when that passes the soft amount: what it is, and what is spent.
    pub(crate) fn charge(
        &mut self,
        (used, reserved): (&Used, Estimate),
        standing: Standing,
        model: Option<&str>,
    ) -> Option<(Money, Money)> {
        if !self.rule.is_about(model) {
            return None;
        }
        let was = self.is_past_soft();
        let charged = match self.rule.counted() {
            None => used.actual.cost.nanodollars(),
            // Counted when they began.
            Some(Counted::Requests) => 0,
            // Counted when what others answer later was admitted.
            Some(_) if standing == Standing::Elsewhere => 0,
            Some(Counted::Custom) => {
                let unit = self.unit.as_ref();
                unit.map_or(0, |unit| unit.charged(used, reserved, model))
            }
            Some(counted) => tokens_of(counted, sides(used.actual.tokens)),
        };
        self.spend(charged);
        let soft = self.budget()?.soft.filter(|_| !was && self.is_past_soft())?;
        Some((soft, self.money()))
    }

    /// What will be spent when the window ends, if it goes on as it has since it began; nothing where it never ends, or has
    /// not run for `after` of a hundred parts.
    pub(crate) fn forecast(&self, after: u8, now: i64) -> Option<Money> {
        let length = i128::from(self.ends? - self.begun);
        let passed = i128::from(now - self.begun);
        if passed <= 0 || passed > length || passed * 100 < length * i128::from(after) {
            return None;
        }
        let expected = i128::from(self.total()) * length / passed;
        Some(Money::from_nanodollars(
            i64::try_from(expected).unwrap_or(i64::MAX),
        ))
    }

    pub(crate) fn is_past_soft(&self) -> bool {
        let soft = self.budget().and_then(|budget| budget.soft);
        soft.is_some_and(|soft| self.money() > soft)
    }
}

/// How many units a request is, where a rule has some of its own.
fn unit_of(rule: &Rule) -> Option<Arc<Unit>> {
    match Unit::new(rule.cel()?) {
        Ok(unit) => Some(Arc::new(unit)),
        Err(error) => {
            tracing::warn!(%error, "the expression of a quota is none any more; nothing is let through");
            None
        }
    }
}

/// Tokens of the side that is counted; of requests there are none.
fn tokens_of(counted: Counted, [both, input, output]: Sides) -> i64 {
    amount(match counted {
        Counted::Requests | Counted::Custom => 0,
        Counted::Tokens => both,
        Counted::InputTokens => input,
        Counted::OutputTokens => output,
    })
}

/// The zone of this name; one that this machine does not know any more is UTC.
fn zone_of(name: Option<&str>) -> TimeZone {
    let Some(name) = name else {
        return TimeZone::UTC;
    };
    TimeZone::get(name).unwrap_or_else(|error| {
        tracing::warn!(zone = %name, %error, "the zone of a budget is not known; its days are those of UTC");
        TimeZone::UTC
    })
}

/// Beginning and end of the window around `now`, Unix milliseconds.
fn bounds(window: BudgetWindow, zone: &TimeZone, now: i64) -> (i64, Option<i64>) {
    let date = zone
        .to_datetime(Timestamp::from_millisecond(now).unwrap_or(Timestamp::UNIX_EPOCH))
        .date();
    let (first, next) = match window {
        // What was used leaves a sliding one by itself.
        BudgetWindow::Total | BudgetWindow::Sliding(_) => return (0, None),
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
mod tests;
