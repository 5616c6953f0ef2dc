//! The `limits` and `identity` blocks of the configuration.

use std::collections::BTreeMap;

use pointsman_catalog::Money;
use pointsman_store::{
    Aliases, Budget, BudgetWindow, Shares, WINDOWS, check_aliases, check_budgets, check_shares,
};
use pointsman_upstream::config::Secret;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::budget::Rule;
use crate::introspection::{CertificateConfig, IntrospectionConfig, ProxyConfig};
use crate::jwt::JwtConfig;
use crate::oidc::OidcConfig;

/// Models that have limits of their own, at most.
const MAX_MODELS: usize = 64;

/// Limits of keys that have none of their own, and of models.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LimitsConfig {
    /// For every key, each on its own.
    pub default: Limits,
    /// What is asked of some models by all callers together: by the names that clients ask for, `*` standing for any run
    /// of letters.
    pub models: BTreeMap<String, Limits>,
    /// Hundredths of each limit of `models` that stay reserved for callers of a priority.
    pub shares: Shares,
}

impl LimitsConfig {
    /// What of it cannot be meant: where, and why.
    #[must_use]
    pub fn problems(&self) -> Vec<(String, String)> {
        let mut problems = of_models(&self.models);
        if let Err(why) = check_shares(&self.shares) {
            problems.push(("shares".to_owned(), why));
        } else if !self.shares.is_empty() && self.models.is_empty() {
            let why = "reserves shares of nothing: they are of the limits under limits.models; holders say theirs in the \
                       admin API";
            problems.push(("shares".to_owned(), why.to_owned()));
        }
        problems
    }
}

/// What of the limits of models cannot be meant: where, and why.
fn of_models(models: &BTreeMap<String, Limits>) -> Vec<(String, String)> {
    let mut problems = Vec::new();
    if models.len() > MAX_MODELS {
        let why = format!("has more than {MAX_MODELS} entries; use patterns such as gpt-*");
        problems.push(("models".to_owned(), why));
    }
    for (pattern, limits) in models {
        let at = format!("models.{pattern}");
        if pattern.is_empty() || pattern.chars().any(char::is_control) {
            problems.push((at.clone(), "is the name of no model".to_owned()));
        }
        if *limits == Limits::default() {
            let why = "limits nothing: give it requests_per_minute, tokens_per_minute or concurrency";
            problems.push((at, why.to_owned()));
        }
    }
    problems
}

/// What all callers together may send to one provider, so that its own limits are never passed. Another target takes over
/// where it has no room. What is absent is not limited.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ProviderLimits {
    /// Requests in any minute; each try is one.
    pub requests_per_minute: Option<u64>,
    /// Tokens in any minute, prompt and answer together.
    pub tokens_per_minute: Option<u64>,
    /// Tokens of prompts in any minute.
    pub input_tokens_per_minute: Option<u64>,
    /// Tokens of answers in any minute.
    pub output_tokens_per_minute: Option<u64>,
    /// Requests at once.
    pub concurrency: Option<u64>,
    /// Limits of some of its models beside those: by the provider's own names, `*` standing for any run of letters.
    pub models: BTreeMap<String, Limits>,
    /// Money that may be spent at it in windows. All of them hold at once.
    pub budgets: Vec<ProviderBudget>,
}

/// Money that may be spent at a provider in a window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProviderBudget {
    /// US dollars, with at most nine digits after the point.
    pub amount_usd: serde_json::Number,
    /// `total`, `day`, `week`, `month`, or so many seconds, such as `3600s`; or one that slides, such as `sliding 30d`: any
    /// thirty days, wherever they begin.
    pub window: String,
    /// In which days begin, such as `Europe/Berlin`; UTC when absent.
    #[serde(default)]
    pub time_zone: Option<String>,
}

impl ProviderBudget {
    fn read(&self) -> Result<Budget, String> {
        let amount = Money::parse(&self.amount_usd.to_string()).map_err(|error| error.to_string())?;
        let window = BudgetWindow::read(&self.window).ok_or_else(|| {
            let window = &self.window;
            format!("the window {window:?} is none: it is {WINDOWS}")
        })?;
        let budget = Budget {
            zone: self.time_zone.clone(),
            ..Budget::of(amount, window)
        };
        match check_budgets(std::slice::from_ref(&budget)) {
            Ok(()) => Ok(budget),
            Err(error) => Err(error.to_string()),
        }
    }
}

impl ProviderLimits {
    /// What of it cannot be meant: where, and why.
    #[must_use]
    pub fn problems(&self) -> Vec<(String, String)> {
        let mut problems = of_models(&self.models);
        let mut budgets = Vec::new();
        for (at, budget) in self.budgets.iter().enumerate() {
            match budget.read() {
                Ok(budget) => budgets.push(budget),
                Err(why) => problems.push((format!("budgets[{at}]"), why)),
            }
        }
        if let Err(error) = check_budgets(&budgets) {
            problems.push(("budgets".to_owned(), error.to_string()));
        }
        problems
    }

    /// Its budgets; those that are none are problems.
    pub(crate) fn rules(&self) -> Vec<Rule> {
        let budgets = self.budgets.iter().filter_map(|budget| budget.read().ok());
        budgets.map(Rule::Budget).collect()
    }

    /// Of all its models together.
    pub(crate) fn of_all(&self) -> Limits {
        Limits {
            requests_per_minute: self.requests_per_minute,
            tokens_per_minute: self.tokens_per_minute,
            input_tokens_per_minute: self.input_tokens_per_minute,
            output_tokens_per_minute: self.output_tokens_per_minute,
            concurrency: self.concurrency,
        }
    }
}

/// How much, how fast. What is absent is not limited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Requests in any minute.
    pub requests_per_minute: Option<u64>,
    /// Tokens in any minute, prompt and answer together.
    pub tokens_per_minute: Option<u64>,
    /// Tokens of prompts in any minute.
    pub input_tokens_per_minute: Option<u64>,
    /// Tokens of answers in any minute.
    pub output_tokens_per_minute: Option<u64>,
    /// Requests at once.
    pub concurrency: Option<u64>,
}

impl Limits {
    /// What is left of them where so many hundredths of each are reserved for others. What is reserved is rounded down, so
    /// that all together never reserve more than there is.
    #[must_use]
    pub(crate) fn beside(self, percents: impl Iterator<Item = u8> + Clone) -> Self {
        let left = |limit: Option<u64>| {
            let limit = limit?;
            let part = |percent: u8| (u128::from(limit) * u128::from(percent) / 100) as u64;
            let reserved: u64 = percents.clone().map(part).sum();
            Some(limit.saturating_sub(reserved))
        };
        Self {
            requests_per_minute: left(self.requests_per_minute),
            tokens_per_minute: left(self.tokens_per_minute),
            input_tokens_per_minute: left(self.input_tokens_per_minute),
            output_tokens_per_minute: left(self.output_tokens_per_minute),
            concurrency: left(self.concurrency),
        }
    }
}

/// Who may come in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct IdentityConfig {
    /// Whether callers without a key are let in.
    pub anonymous: Anonymous,
    /// Lets callers of AWS's SDKs in, who sign their requests: from this secret and a key their secret access key is
    /// made (`pointsman key create --aws`). At least 32 characters of chance; changing it ends all of them.
    pub signing_secret: Option<Secret>,
    /// Identity providers whose tokens (JWT) are accepted in the place of a key.
    pub jwt: Vec<JwtConfig>,
    /// Servers that are asked about tokens which only they can read (RFC 7662).
    pub introspection: Vec<IntrospectionConfig>,
    /// Callers without a key whom a proxy of `server.trusted_proxies` has let in.
    pub proxy: Option<ProxyConfig>,
    /// Callers without a key who come with a client certificate.
    pub certificate: Option<CertificateConfig>,
    /// Names for models that hold for all callers whose keys have no such names of their own, each with the model that it
    /// stands for.
    pub aliases: Aliases,
    /// Where people sign in to the admin API.
    pub oidc: Option<OidcConfig>,
}

impl IdentityConfig {
    /// What of its names for models cannot be meant: where, and why.
    #[must_use]
    pub fn problems(&self) -> Vec<(String, String)> {
        let wrong = check_aliases(&self.aliases).err();
        wrong.map(|why| ("aliases".to_owned(), why)).into_iter().collect()
    }
}

/// Whether callers without a key are let in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Anonymous {
    /// They are not.
    #[default]
    Deny,
    /// They are, with the default limits.
    Allow,
}
