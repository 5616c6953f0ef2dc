//! The `alerts` block of the configuration.

use std::collections::BTreeMap;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use lettre::message::Mailbox;
use pointsman_upstream::HumanDuration;
use pointsman_upstream::config::Secret;
use schemars::JsonSchema;
use serde::Deserialize;
use url::Url;

use crate::alert::Kind;
use crate::mail;

/// Receivers, at most.
const MAX_RECEIVERS: usize = 32;
/// Addresses of a receiver of e-mail, at most.
const MAX_ADDRESSES: usize = 50;

/// Who is told of what goes wrong. Of what has no block here, nobody is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AlertsConfig {
    /// Who is told, by names of your own.
    pub receivers: BTreeMap<String, ReceiverConfig>,
    /// Somebody has spent more than a soft budget says.
    #[serde(deserialize_with = "present")]
    pub soft_budget: Option<SoftBudgetConfig>,
    /// Somebody will have spent a budget before its window ends, if they go on as they do.
    #[serde(deserialize_with = "present")]
    pub budget_forecast: Option<BudgetForecastConfig>,
    /// A key will end soon.
    #[serde(deserialize_with = "present")]
    pub key_expiry: Option<KeyExpiryConfig>,
    /// No server of a provider is well.
    #[serde(deserialize_with = "present")]
    pub provider_down: Option<ProviderDownConfig>,
    /// A provider fails more often than it should.
    #[serde(deserialize_with = "present")]
    pub error_rate: Option<ErrorRateConfig>,
    /// A model of a provider takes longer than it used to.
    #[serde(deserialize_with = "present")]
    pub latency: Option<LatencyConfig>,
    /// After so long what still holds is told again.
    pub repeat: HumanDuration,
    /// How often it is looked.
    pub every: HumanDuration,
}

impl Default for AlertsConfig {
    fn default() -> Self {
        Self {
            receivers: BTreeMap::new(),
            soft_budget: None,
            budget_forecast: None,
            key_expiry: None,
            provider_down: None,
            error_rate: None,
            latency: None,
            repeat: HumanDuration::from_secs(24 * 3_600),
            every: HumanDuration::from_secs(5),
        }
    }
}

/// Somebody who is told: in one of these ways.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ReceiverConfig {
    /// JSON, posted to a URL.
    pub webhook: Option<WebhookConfig>,
    /// A message to an incoming webhook of Slack, or of what takes the same (Mattermost, Rocket.Chat, Discord's `/slack`).
    pub slack: Option<SlackConfig>,
    /// E-mail.
    pub email: Option<EmailConfig>,
}

/// Where JSON is posted to.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WebhookConfig {
    /// The URL, `https` unless `private` is set.
    pub url: Secret,
    /// Headers that go along.
    #[serde(default)]
    pub headers: BTreeMap<String, Secret>,
    /// Whether it may be in a network of your own, and spoken to in the clear. Addresses that are not public are refused
    /// otherwise.
    #[serde(default)]
    pub private: bool,
}

/// Where messages are posted to.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SlackConfig {
    /// The URL of the webhook: who has it can write, so it is a secret.
    pub url: Secret,
    /// As of webhooks.
    #[serde(default)]
    pub private: bool,
}

/// How e-mail is sent.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EmailConfig {
    /// The server: `smtps://USER:PASSWORD@HOST`, or `smtp://…?tls=required` where it begins in the clear; in the clear
    /// altogether only on this machine. User and password with %-escapes.
    pub smtp: Secret,
    /// From whom, such as `Pointsman <pointsman@example.com>`.
    pub from: String,
    /// To whom.
    pub to: Vec<String>,
}

/// Somebody has spent more than a soft budget says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SoftBudgetConfig {
    /// Names of receivers; all of them when empty.
    pub to: Vec<String>,
}

/// Somebody will have spent a budget before its window ends, if they go on as they have since it began.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BudgetForecastConfig {
    /// Told when more than so many of a hundred parts of the budget would be spent at its end.
    #[schemars(range(min = 1, max = 1000))]
    pub percent: u16,
    /// Not before so many of a hundred parts of the window have passed: one large request at its beginning says little.
    #[schemars(range(min = 0, max = 99))]
    pub after: u8,
    /// Names of receivers; all of them when empty.
    pub to: Vec<String>,
}

impl Default for BudgetForecastConfig {
    fn default() -> Self {
        Self {
            percent: 100,
            after: 10,
            to: Vec::new(),
        }
    }
}

/// A key will end soon.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct KeyExpiryConfig {
    /// So long before.
    pub within: HumanDuration,
    /// Names of receivers; all of them when empty.
    pub to: Vec<String>,
}

impl Default for KeyExpiryConfig {
    fn default() -> Self {
        Self {
            within: HumanDuration::from_secs(7 * 24 * 3_600),
            to: Vec::new(),
        }
    }
}

/// No server of a provider is well: each was given up after failures (`health` of the provider).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ProviderDownConfig {
    /// For so long.
    #[serde(rename = "for")]
    pub lasting: HumanDuration,
    /// Names of receivers; all of them when empty.
    pub to: Vec<String>,
}

impl Default for ProviderDownConfig {
    fn default() -> Self {
        Self {
            lasting: HumanDuration::from_secs(30),
            to: Vec::new(),
        }
    }
}

/// A provider fails more often than it should.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ErrorRateConfig {
    /// Of a hundred requests more than so many.
    #[schemars(range(min = 1, max = 100))]
    pub percent: u8,
    /// Within this time.
    pub within: HumanDuration,
    /// Of at least so many requests.
    #[schemars(range(min = 1))]
    pub requests: u64,
    /// Names of receivers; all of them when empty.
    pub to: Vec<String>,
}

impl Default for ErrorRateConfig {
    fn default() -> Self {
        Self {
            percent: 10,
            within: HumanDuration::from_secs(300),
            requests: 20,
            to: Vec::new(),
        }
    }
}

/// A model of a provider takes longer than it used to: the mean time of answers against the mean of those before.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LatencyConfig {
    /// More than so many times as long.
    #[schemars(range(min = 2, max = 100))]
    pub times: u8,
    /// And longer than this.
    pub above: HumanDuration,
    /// Within this time.
    pub within: HumanDuration,
    /// Against the time of this length before that.
    pub against: HumanDuration,
    /// With at least so many answers in each.
    #[schemars(range(min = 1))]
    pub requests: u64,
    /// Names of receivers; all of them when empty.
    pub to: Vec<String>,
}

impl Default for LatencyConfig {
    fn default() -> Self {
        Self {
            times: 3,
            above: HumanDuration::from_secs(1),
            within: HumanDuration::from_secs(300),
            against: HumanDuration::from_secs(3_600),
            requests: 20,
            to: Vec::new(),
        }
    }
}

/// A block that is there is meant, also when it is empty.
fn present<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Option::<T>::deserialize(deserializer).map(|block| Some(block.unwrap_or_default()))
}

impl AlertsConfig {
    /// Whether anybody is told of anything.
    #[must_use]
    pub fn is_on(&self) -> bool {
        Kind::ALL.into_iter().any(|kind| self.to(kind).is_some())
    }

    /// Who is told of a kind; nothing where nobody is, empty where all are.
    pub(crate) fn to(&self, kind: Kind) -> Option<&[String]> {
        let to = match kind {
            Kind::SoftBudget => self.soft_budget.as_ref().map(|rule| &rule.to),
            Kind::BudgetForecast => self.budget_forecast.as_ref().map(|rule| &rule.to),
            Kind::KeyExpiry => self.key_expiry.as_ref().map(|rule| &rule.to),
            Kind::ProviderDown => self.provider_down.as_ref().map(|rule| &rule.to),
            Kind::ErrorRate => self.error_rate.as_ref().map(|rule| &rule.to),
            Kind::Latency => self.latency.as_ref().map(|rule| &rule.to),
        };
        to.map(Vec::as_slice)
    }

    /// How long something must hold before it is told.
    pub(crate) fn lasting(&self, kind: Kind) -> Duration {
        match (kind, &self.provider_down) {
            (Kind::ProviderDown, Some(rule)) => rule.lasting.get(),
            _ => Duration::ZERO,
        }
    }

    /// What is wrong with it, each with its place in the block.
    #[must_use]
    pub fn problems(&self) -> Vec<(String, String)> {
        let mut all = Vec::new();
        let mut wrong = |at: String, what: &str| all.push((at, what.to_owned()));
        if self.is_on() && self.receivers.is_empty() {
            wrong("receivers".to_owned(), "names nobody who could be told");
        }
        if !self.is_on() && !self.receivers.is_empty() {
            wrong(
                "receivers".to_owned(),
                "are told of nothing: add soft_budget, budget_forecast, key_expiry, provider_down, error_rate or latency",
            );
        }
        if self.receivers.len() > MAX_RECEIVERS {
            wrong("receivers".to_owned(), "are more than 32");
        }
        if self.every.get() < Duration::from_millis(100) || self.every.get() > Duration::from_secs(3_600) {
            wrong("every".to_owned(), "is between 100ms and 1h");
        }
        if self.repeat.get() < Duration::from_secs(60) {
            wrong("repeat".to_owned(), "is at least 1m");
        }
        for (at, what) in self.rules() {
            wrong(at.to_owned(), what);
        }
        for (name, receiver) in &self.receivers {
            for (at, what) in receiver.problems() {
                all.push((format!("receivers.{name}{at}"), what));
            }
        }
        for kind in Kind::ALL {
            for (at, name) in self.to(kind).unwrap_or_default().iter().enumerate() {
                if !self.receivers.contains_key(name) {
                    let at = format!("{}.to[{at}]", kind.as_str());
                    all.push((at, format!("there is no receiver {name:?}")));
                }
            }
        }
        all
    }
}

impl AlertsConfig {
    /// What is wrong with the rules.
    fn rules(&self) -> Vec<(&'static str, &'static str)> {
        let mut all = Vec::new();
        let mut must = |good: bool, at: &'static str, what: &'static str| {
            if !good {
                all.push((at, what));
            }
        };
        let is_span = |span: HumanDuration| (1..=86_400).contains(&span.get().as_secs());
        if let Some(rule) = &self.budget_forecast {
            let percent = (1..=1_000).contains(&rule.percent);
            must(percent, "budget_forecast.percent", "is between 1 and 1000");
            must(rule.after < 100, "budget_forecast.after", "is between 0 and 99");
        }
        if let Some(rule) = &self.error_rate {
            let percent = (1..=100).contains(&rule.percent);
            must(percent, "error_rate.percent", "is between 1 and 100");
            must(rule.requests > 0, "error_rate.requests", "is at least 1");
            must(is_span(rule.within), "error_rate.within", "is between 1s and 1d");
        }
        if let Some(rule) = &self.latency {
            let times = (2..=100).contains(&rule.times);
            must(times, "latency.times", "is between 2 and 100");
            must(rule.requests > 0, "latency.requests", "is at least 1");
            must(is_span(rule.within), "latency.within", "is between 1s and 1d");
            must(is_span(rule.against), "latency.against", "is between 1s and 1d");
        }
        all
    }
}

impl ReceiverConfig {
    fn problems(&self) -> Vec<(String, String)> {
        let mut all = Vec::new();
        let mut wrong = |at: &str, what: String| all.push((at.to_owned(), what));
        let ways = [self.webhook.is_some(), self.slack.is_some(), self.email.is_some()];
        if ways.iter().filter(|way| **way).count() != 1 {
            wrong("", "needs one of webhook, slack and email".to_owned());
        }
        if let Some(webhook) = &self.webhook {
            if let Err(what) = check_url(webhook.url.expose(), webhook.private) {
                wrong(".webhook.url", what);
            }
            for (name, value) in &webhook.headers {
                let is_header = HeaderName::from_bytes(name.as_bytes()).is_ok()
                    && HeaderValue::from_str(value.expose()).is_ok();
                if !is_header {
                    let at = format!(".webhook.headers.{name}");
                    wrong(
                        &at,
                        "is not a header: name or value holds what cannot be sent".to_owned(),
                    );
                }
            }
        }
        if let Some(slack) = &self.slack
            && let Err(what) = check_url(slack.url.expose(), slack.private)
        {
            wrong(".slack.url", what);
        }
        if let Some(email) = &self.email {
            if let Err(what) = mail::transport(email.smtp.expose()) {
                wrong(".email.smtp", what);
            }
            if email.to.is_empty() || email.to.len() > MAX_ADDRESSES {
                wrong(
                    ".email.to",
                    format!("needs between 1 and {MAX_ADDRESSES} addresses"),
                );
            }
            let addresses = std::iter::once((".email.from".to_owned(), &email.from));
            let to = email.to.iter().enumerate();
            for (at, address) in addresses.chain(to.map(|(at, to)| (format!(".email.to[{at}]"), to))) {
                if address.parse::<Mailbox>().is_err() {
                    wrong(
                        &at,
                        "is no address; write it like Ops <ops@example.com>".to_owned(),
                    );
                }
            }
        }
        all
    }
}

/// Whether a URL is one that can be told to. What is said of it holds nothing of it: it may be a secret.
fn check_url(url: &str, private: bool) -> Result<(), String> {
    let url = Url::parse(url).map_err(|_| "is no URL".to_owned())?;
    if url.host_str().is_none() {
        return Err("is a URL without a host".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("may not hold a password; use headers".to_owned());
    }
    match url.scheme() {
        "https" => Ok(()),
        "http" if private => Ok(()),
        "http" => {
            Err("is not encrypted; use https, or `private: true` within a network of your own".to_owned())
        }
        _ => Err("must begin with https://".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: serde_json::Value) -> AlertsConfig {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn a_block_that_is_there_is_meant() {
        let config = read(serde_json::json!({
            "receivers": { "ops": { "webhook": { "url": "https://ops.example.com/hook" } } },
            "soft_budget": null, "provider_down": { "for": "1m" }
        }));
        assert_eq!(config.problems(), []);
        assert_eq!(config.to(Kind::SoftBudget), Some(&[][..]));
        assert_eq!(config.to(Kind::KeyExpiry), None);
        assert_eq!(config.lasting(Kind::ProviderDown), Duration::from_secs(60));
        assert!(config.is_on() && !AlertsConfig::default().is_on());
        assert_eq!(AlertsConfig::default().problems(), []);
    }

    #[test]
    fn what_makes_no_sense_is_found_and_no_secret_is_told() {
        let config = read(serde_json::json!({
            "receivers": {
                "a": {},
                "b": { "webhook": { "url": "http://hooks.example.com/s3cr3t" } },
                "c": { "slack": { "url": "https://u:s3cr3t@hooks.example.com" } },
                "d": { "email": { "smtp": "smtp://u:s3cr3t@mail.example.com", "from": "nobody", "to": [] } },
                "e": { "webhook": { "url": "https://x.example.com", "headers": { "a b": "s3cr3t" } } },
            },
            "error_rate": { "percent": 0, "to": ["f"] }, "latency": { "times": 1, "against": "0s" },
            "budget_forecast": { "percent": 0, "after": 100 }, "every": "1ms", "repeat": "1s"
        }));
        let found = config.problems();
        let places: Vec<&str> = found.iter().map(|(at, _)| at.as_str()).collect();
        assert_eq!(
            places,
            [
                "every",
                "repeat",
                "budget_forecast.percent",
                "budget_forecast.after",
                "error_rate.percent",
                "latency.times",
                "latency.against",
                "receivers.a",
                "receivers.b.webhook.url",
                "receivers.c.slack.url",
                "receivers.d.email.smtp",
                "receivers.d.email.to",
                "receivers.d.email.from",
                "receivers.e.webhook.headers.a b",
                "error_rate.to[0]",
            ]
        );
        assert!(!format!("{found:?}{config:?}").contains("s3cr3t"));
    }
}
