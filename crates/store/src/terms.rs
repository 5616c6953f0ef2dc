//! What a holder may use: which models and providers, how fast, for how much money.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use pointsman_catalog::Money;
use serde::{Deserialize, Serialize};

use crate::network::Network;
use crate::store::StoreError;
use crate::window::BudgetWindow;

/// Entries of an allow-list, at most.
const MAX_LIST: usize = 512;
/// Bytes of one entry, and of a name.
const MAX_TEXT: usize = 256;
/// Budgets of one holder, and quotas.
const MAX_BUDGETS: usize = 8;
/// Models that one of them names, and providers.
const MAX_MODELS: usize = 32;
/// The longest window that is told in seconds: ten years.
const MAX_SECONDS: u64 = 10 * 366 * 24 * 3_600;
/// Priorities that one holder reserves something for: each set of them is counted by itself.
const MAX_SHARES: usize = 4;
/// Bytes of the notes that are kept with a holder.
const MAX_METADATA: usize = 64 * 1024;

/// Notes of whoever manages a holder; nothing is decided by them.
pub type Metadata = serde_json::Map<String, serde_json::Value>;

/// Hundredths of limits that stay reserved, by priority.
pub type Shares = BTreeMap<String, u8>;

/// What an organization, a team, a project or a user may use. What is absent is not limited by this holder; the
/// holders above it may limit it all the same.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Terms {
    /// Models, `*` standing for any run of letters; empty means all.
    pub models: Vec<String>,
    /// Providers by their names in the configuration, `*` as above; empty means all.
    pub providers: Vec<String>,
    /// Guardrails that act on their requests beside those that always do, by their names in the configuration.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub guardrails: Vec<String>,
    /// Surfaces that may be asked, by their paths, `*` as above; empty means all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub surfaces: Vec<String>,
    /// Networks that requests may come from; empty means any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<String>,
    /// Requests in any minute.
    pub requests_per_minute: Option<u64>,
    /// Tokens in any minute, prompt and answer together.
    pub tokens_per_minute: Option<u64>,
    /// Tokens of prompts in any minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_tokens_per_minute: Option<u64>,
    /// Tokens of answers in any minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_tokens_per_minute: Option<u64>,
    /// Requests at once.
    pub concurrency: Option<u64>,
    /// Money. All of them hold at once.
    pub budgets: Vec<Budget>,
    /// Requests and tokens in windows, or of some models. All of them hold at once.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub quotas: Vec<Quota>,
    /// The priority of its keys that have none of their own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<String>,
    /// Hundredths of its limits that stay reserved for keys of a priority.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub shares: Shares,
}

/// How fast, and for how much.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Amounts<'a> {
    rates: [Option<u64>; 5],
    budgets: &'a [Budget],
    quotas: &'a [Quota],
    /// None where nothing is reserved.
    shares: Option<&'a Shares>,
}

impl Terms {
    /// How fast, and for how much.
    #[must_use]
    pub fn amounts(&self) -> Amounts<'_> {
        Amounts {
            rates: [
                self.requests_per_minute,
                self.tokens_per_minute,
                self.input_tokens_per_minute,
                self.output_tokens_per_minute,
                self.concurrency,
            ],
            budgets: &self.budgets,
            quotas: &self.quotas,
            shares: Some(&self.shares).filter(|shares| !shares.is_empty()),
        }
    }
}

impl<'a> Amounts<'a> {
    /// Of a key.
    pub(crate) fn new(rates: [Option<u64>; 5], budgets: &'a [Budget], quotas: &'a [Quota]) -> Self {
        Self {
            rates,
            budgets,
            quotas,
            shares: None,
        }
    }
}

/// How much may be spent in a window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// No more than this; absent when there is only a soft limit.
    pub amount: Option<Money>,
    /// What is past this is only told of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub soft: Option<Money>,
    /// After which it begins anew.
    pub window: BudgetWindow,
    /// The time zone in which days begin, such as `Europe/Berlin`; UTC when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// Only what is asked of these models, by the names that clients ask for, `*` standing for any run of letters; of all,
    /// when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<String>,
    /// Only what is asked at these providers, by their names in the configuration, `*` as above; at all, when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub providers: Vec<String>,
}

/// What is counted of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Counted {
    /// Requests.
    Requests,
    /// Tokens, prompt and answer together.
    Tokens,
    /// Tokens of prompts.
    InputTokens,
    /// Tokens of answers.
    OutputTokens,
    /// What an expression makes of what a request uses.
    Custom,
}

impl Counted {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Requests,
        Self::Tokens,
        Self::InputTokens,
        Self::OutputTokens,
        Self::Custom,
    ];

    /// In one word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Tokens => "tokens",
            Self::InputTokens => "input_tokens",
            Self::OutputTokens => "output_tokens",
            Self::Custom => "custom",
        }
    }
}

/// How many requests, tokens or units of one's own there may be in a window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quota {
    /// What is counted.
    pub of: Counted,
    /// No more than so many.
    pub amount: u64,
    /// After which it begins anew.
    pub window: BudgetWindow,
    /// The time zone in which days begin; UTC when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// Only what is asked of these models, as for budgets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<String>,
    /// Only what is asked at these providers, as for budgets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub providers: Vec<String>,
    /// The expression (CEL) that says how many units a request is, where `of` is custom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cel: Option<String>,
    /// What these units are called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
}

impl Quota {
    /// In UTC, of all models.
    #[must_use]
    pub fn of(of: Counted, amount: u64, window: BudgetWindow) -> Self {
        Self {
            of,
            amount,
            window,
            zone: None,
            models: Vec::new(),
            providers: Vec::new(),
            cel: None,
            unit: None,
        }
    }
}

impl Budget {
    /// A hard budget, in UTC.
    #[must_use]
    pub fn of(amount: Money, window: BudgetWindow) -> Self {
        Self {
            amount: Some(amount),
            soft: None,
            window,
            zone: None,
            models: Vec::new(),
            providers: Vec::new(),
        }
    }
}

impl Terms {
    /// Whether they can be kept.
    ///
    /// # Errors
    /// When a list is too long, a window is none, or a zone is not known.
    pub fn check(&self) -> Result<(), StoreError> {
        check_list("models", &self.models)?;
        check_list("providers", &self.providers)?;
        check_list("guardrails", &self.guardrails)?;
        check_list("surfaces", &self.surfaces)?;
        check_networks(&self.networks)?;
        check_budgets(&self.budgets)?;
        check_quotas(&self.quotas)?;
        check_priority(self.priority.as_deref())?;
        check_shares(&self.shares).map_err(|why| invalid(format!("shares {why}")))
    }
}

/// Whether a priority can be kept.
pub(crate) fn check_priority(priority: Option<&str>) -> Result<(), StoreError> {
    match priority {
        Some(name) if !is_priority(name) => Err(invalid(format!("priority {}", no_priority(name)))),
        _ => Ok(()),
    }
}

/// Whether a priority can be called so.
fn is_priority(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    !name.is_empty() && name.len() <= 64 && name.bytes().all(allowed)
}

fn no_priority(name: &str) -> String {
    let begins: String = name.chars().take(40).collect();
    format!("{begins:?} is no name: it has between 1 and 64 letters, digits or any of _-")
}

/// Whether shares can be reserved.
///
/// # Errors
/// When they are more than all, or too many.
pub fn check_shares(shares: &Shares) -> Result<(), String> {
    if shares.len() > MAX_SHARES {
        return Err(format!("names more than {MAX_SHARES} priorities"));
    }
    for (name, percent) in shares {
        if !is_priority(name) {
            return Err(no_priority(name));
        }
        if !(1..=100).contains(percent) {
            return Err(format!(
                "reserves {percent} hundredths for {name:?}: it is between 1 and 100"
            ));
        }
    }
    let sum: u32 = shares.values().map(|percent| u32::from(*percent)).sum();
    if sum > 100 {
        return Err(format!("reserves {sum} hundredths in all, and there are 100"));
    }
    Ok(())
}

/// Whether an allow-list can be kept.
pub(crate) fn check_list(field: &str, list: &[String]) -> Result<(), StoreError> {
    if list.len() > MAX_LIST {
        return Err(invalid(format!(
            "{field} has more than {MAX_LIST} entries; use patterns such as gpt-*"
        )));
    }
    list.iter().try_for_each(|entry| check_text(field, entry))
}

/// Whether a list of networks can be kept.
pub(crate) fn check_networks(list: &[String]) -> Result<(), StoreError> {
    check_list("networks", list)?;
    list.iter().try_for_each(|text| {
        let network = text.parse::<Network>();
        network.map(drop).map_err(|error| invalid(error.to_string()))
    })
}

/// Whether a text can be kept: not endless, and not empty.
pub(crate) fn check_text(field: &str, text: &str) -> Result<(), StoreError> {
    if text.is_empty() || text.len() > MAX_TEXT || text.chars().any(char::is_control) {
        return Err(invalid(format!(
            "{field} must have between 1 and {MAX_TEXT} bytes, without control characters"
        )));
    }
    Ok(())
}

/// Whether notes can be kept.
pub(crate) fn check_metadata(metadata: &Metadata) -> Result<(), StoreError> {
    let bytes = serde_json::to_vec(metadata)?.len();
    if bytes > MAX_METADATA {
        return Err(invalid(format!(
            "metadata has {bytes} bytes; {MAX_METADATA} is the most"
        )));
    }
    Ok(())
}

/// Whether budgets can be kept.
///
/// # Errors
/// When an amount, a window or a zone is none, or there are too many.
pub fn check_budgets(budgets: &[Budget]) -> Result<(), StoreError> {
    if budgets.len() > MAX_BUDGETS {
        return Err(invalid(format!("budgets has more than {MAX_BUDGETS} entries")));
    }
    for (at, budget) in budgets.iter().enumerate() {
        let negative = |amount: Option<Money>| amount.is_some_and(|amount| amount < Money::ZERO);
        if negative(budget.amount) || negative(budget.soft) {
            return Err(invalid("the amount of a budget must not be below 0".to_owned()));
        }
        if budget.amount.is_none() && budget.soft.is_none() {
            return Err(invalid("a budget needs an amount or a soft amount".to_owned()));
        }
        check_window((budget.window, budget.zone.as_deref()), &budget.models)?;
        check_providers(&budget.providers)?;
        let same = |other: &Budget| {
            (other.window, &other.zone, &other.models, &other.providers)
                == (budget.window, &budget.zone, &budget.models, &budget.providers)
        };
        if budgets[..at].iter().any(same) {
            return Err(invalid(
                "two budgets have the same window; keep the smaller one".to_owned(),
            ));
        }
    }
    Ok(())
}

/// Whether quotas can be kept.
pub(crate) fn check_quotas(quotas: &[Quota]) -> Result<(), StoreError> {
    if quotas.len() > MAX_BUDGETS {
        return Err(invalid(format!("quotas has more than {MAX_BUDGETS} entries")));
    }
    for (at, quota) in quotas.iter().enumerate() {
        if i64::try_from(quota.amount).is_err() {
            return Err(invalid(format!("a quota must not be above {}", i64::MAX)));
        }
        check_window((quota.window, quota.zone.as_deref()), &quota.models)?;
        check_providers(&quota.providers)?;
        check_custom(quota)?;
        let same = |other: &Quota| {
            (
                other.of,
                other.window,
                &other.zone,
                &other.models,
                &other.providers,
                &other.cel,
            ) == (
                quota.of,
                quota.window,
                &quota.zone,
                &quota.models,
                &quota.providers,
                &quota.cel,
            )
        };
        if quotas[..at].iter().any(same) {
            return Err(invalid(
                "two quotas count the same in the same window; the smaller one is enough".to_owned(),
            ));
        }
    }
    Ok(())
}

/// Whether it says what it counts. Whether its expression is one, those know who evaluate it.
fn check_custom(quota: &Quota) -> Result<(), StoreError> {
    if (quota.of == Counted::Custom) != quota.cel.is_some() {
        return Err(invalid(
            "a quota has a cel, which says what a request comes to, where it is of custom, and only there"
                .to_owned(),
        ));
    }
    match &quota.unit {
        Some(_) if quota.cel.is_none() => Err(invalid(
            "a quota has a unit only where it is of custom".to_owned(),
        )),
        Some(unit) => check_text("unit", unit),
        None => Ok(()),
    }
}

/// Whether a window can be counted, and models told apart.
fn check_window((window, zone): (BudgetWindow, Option<&str>), models: &[String]) -> Result<(), StoreError> {
    if let BudgetWindow::Seconds(seconds) | BudgetWindow::Sliding(seconds) = window
        && !(1..=MAX_SECONDS).contains(&seconds)
    {
        return Err(invalid(format!(
            "the window of a budget must be between 1 and {MAX_SECONDS} seconds"
        )));
    }
    if matches!(window, BudgetWindow::Sliding(_)) && zone.is_some() {
        return Err(invalid(
            "a sliding window begins at any time, in all time zones alike: leave time_zone out".to_owned(),
        ));
    }
    if let Some(zone) = zone
        && TimeZone::get(zone).is_err()
    {
        return Err(invalid(format!(
            "the time zone {zone:?} is not known; write it like Europe/Berlin"
        )));
    }
    if models.len() > MAX_MODELS {
        return Err(invalid(format!(
            "a budget names more than {MAX_MODELS} models; use patterns such as gpt-*"
        )));
    }
    check_list("models", models)
}

/// Whether providers of a budget or a quota can be told apart.
fn check_providers(providers: &[String]) -> Result<(), StoreError> {
    if providers.len() > MAX_MODELS {
        return Err(invalid(format!(
            "a budget names more than {MAX_MODELS} providers; use patterns such as azure-*"
        )));
    }
    check_list("providers", providers)
}

pub(crate) fn invalid(why: String) -> StoreError {
    StoreError::Invalid(why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_that_make_no_sense_are_refused() {
        let budget = |amount, window, zone: Option<&str>| Budget {
            zone: zone.map(str::to_owned),
            ..Budget::of(Money::from_nanodollars(amount), window)
        };
        let day = BudgetWindow::Day;
        for budgets in [
            vec![budget(-1, day, None)],
            vec![budget(1, BudgetWindow::Seconds(0), None)],
            vec![budget(1, day, Some("Mars/Olympus"))],
            vec![budget(1, day, None), budget(2, day, None)],
            vec![budget(1, BudgetWindow::Sliding(0), None)],
            vec![budget(1, BudgetWindow::Sliding(MAX_SECONDS + 1), None)],
            vec![budget(1, BudgetWindow::Sliding(60), Some("Europe/Berlin"))],
            vec![Budget {
                amount: None,
                ..budget(1, day, None)
            }],
        ] {
            assert!(check_budgets(&budgets).is_err(), "{budgets:?}");
        }
        let berlin = budget(2, day, Some("Europe/Berlin"));
        let sliding = budget(1, BudgetWindow::Sliding(86_400), None);
        check_budgets(&[budget(1, day, None), berlin, sliding]).unwrap();
        for list in [
            vec![String::new()],
            vec!["m\n".to_owned()],
            vec!["m".to_owned(); 513],
        ] {
            assert!(check_list("models", &list).is_err());
        }
        check_networks(&["10.0.0.0/8".to_owned(), "::1".to_owned()]).unwrap();
        assert!(check_networks(&["10.0.0.0/8".to_owned(), "office".to_owned()]).is_err());
    }

    #[test]
    fn nobody_reserves_more_than_there_is() {
        let check = |shares: &[(&str, u8)]| {
            let shares = shares
                .iter()
                .map(|(name, percent)| ((*name).to_owned(), *percent));
            check_shares(&shares.collect())
        };
        check(&[]).unwrap();
        check(&[("interactive", 60), ("batch", 40)]).unwrap();
        for wrong in [
            &[("interactive", 60), ("batch", 41)][..],
            &[("interactive", 0)],
            &[("interactive", 101)],
            &[("inter active", 1)],
            &[("", 1)],
            &[("a", 1), ("b", 1), ("c", 1), ("d", 1), ("e", 1)],
        ] {
            assert!(check(wrong).is_err(), "{wrong:?}");
        }
        assert!(check_priority(Some("a+b")).is_err());
        check_priority(Some("batch")).unwrap();
    }

    #[test]
    fn a_window_reads_as_older_versions_wrote_it() {
        let budget: Budget = serde_json::from_str(r#"{"amount":5,"window":"day"}"#).unwrap();
        assert_eq!(budget, Budget::of(Money::from_nanodollars(5), BudgetWindow::Day));
    }
}
