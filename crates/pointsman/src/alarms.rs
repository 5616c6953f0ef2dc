//! Looking for what goes wrong, and having it told (`alerts` of the configuration).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use pointsman_alerts::{Alert, AlertsConfig, Condition, Desk, Kind, Paces, Post, PostError, Rates, State};
use pointsman_catalog::Money;
use pointsman_gateway::Gateway;
use pointsman_store::{HolderKind, KeyRecord, StoreError};
use pointsman_upstream::ClientOptions;
use pointsman_upstream::breaker::BreakerState;
use tokio::sync::watch;

/// How often the database is asked for keys that end soon.
const KEYS: Duration = Duration::from_secs(600);
/// Keys that are told of one by one, and one more to see that there are others.
const MOST_KEYS: u32 = 101;

/// Whoever looks, with what they remember.
pub(crate) struct Alarms {
    gateway: Arc<Gateway>,
    config: AlertsConfig,
    begun: Instant,
    desk: Desk,
    post: Post,
    rates: Option<Rates>,
    paces: Option<Paces>,
    /// Keys that end soon, and when that was asked.
    ending: (Vec<KeyRecord>, Option<Instant>),
}

impl Alarms {
    /// Nothing where nobody is told of anything.
    ///
    /// # Errors
    /// When a receiver cannot be told in the way that is configured.
    pub(crate) fn new(
        gateway: Arc<Gateway>,
        config: &AlertsConfig,
        options: &ClientOptions,
    ) -> Result<Option<Self>, PostError> {
        if !config.is_on() {
            return Ok(None);
        }
        Ok(Some(Self {
            gateway,
            config: config.clone(),
            begun: Instant::now(),
            desk: Desk::new(config),
            post: Post::start(config, options)?,
            rates: config
                .error_rate
                .as_ref()
                .map(|rule| Rates::new(rule.within.get())),
            paces: config.latency.as_ref().map(Paces::new),
            ending: (Vec::new(), None),
        }))
    }

    /// Looks again and again, until `stop`.
    pub(crate) async fn run(mut self, mut stop: watch::Receiver<bool>) {
        loop {
            let is_over = tokio::select! {
                () = tokio::time::sleep(self.config.every.get()) => false,
                // Whoever would say so is gone: the same.
                _ = stop.wait_for(|stop| *stop) => true,
            };
            if is_over {
                break;
            }
            self.look().await;
        }
        self.post.stop().await;
    }

    async fn look(&mut self) {
        let mut holding = Vec::new();
        self.soft_budgets(&mut holding);
        self.forecasts(&mut holding);
        self.keys(&mut holding).await;
        self.providers(&mut holding);
        self.error_rates(&mut holding);
        self.latencies(&mut holding);
        let now = millis(self.begun.elapsed());
        for alert in self.desk.look(holding, now, Timestamp::now()) {
            if self.is_ours(&alert).await {
                self.post.send(&alert);
            }
        }
    }

    /// Whether this replica is the one that tells it. Where the database does not say, it is told: better twice than not
    /// at all.
    async fn is_ours(&self, alert: &Alert) -> bool {
        let store = Arc::clone(self.gateway.store());
        // A little less than after which it is told again here, so that it is.
        let (name, repeat) = (alert.name(), self.config.repeat.get().mul_f64(0.95));
        let is_over = alert.state == State::Resolved;
        let claimed = tokio::task::spawn_blocking(move || {
            if is_over {
                store.release_alert(&name)
            } else {
                store.claim_alert(&name, repeat)
            }
        });
        match claimed.await {
            Ok(Ok(ours)) => ours,
            Ok(Err(error)) => {
                tracing::warn!(%error, "whether another replica tells of it cannot be known; it is told");
                true
            }
            Err(_) => true,
        }
    }

    fn soft_budgets(&self, holding: &mut Vec<Condition>) {
        if self.config.soft_budget.is_none() {
            return;
        }
        for beyond in self.gateway.keys().beyond_soft() {
            let kind = beyond.kind.map_or("key", HolderKind::as_str);
            let facts = facts([
                ("holder", kind.to_owned()),
                ("id", beyond.id.clone()),
                ("soft_usd", beyond.soft.usd_decimal()),
                ("spent_usd", beyond.spent.usd_decimal()),
            ]);
            holding.push(Condition {
                kind: Kind::SoftBudget,
                subject: format!("{kind}/{}", beyond.id),
                episode: format!(
                    "{}:{}:{}",
                    beyond.soft.nanodollars(),
                    beyond.ends.unwrap_or_default(),
                    beyond.of
                ),
                text: format!(
                    "The {kind} {} has spent {}, more than its soft budget of {}{}.",
                    beyond.id,
                    beyond.spent,
                    beyond.soft,
                    within(beyond.amount)
                ),
                facts,
            });
        }
    }

    fn forecasts(&self, holding: &mut Vec<Condition>) {
        let Some(rule) = &self.config.budget_forecast else {
            return;
        };
        for outlook in self.gateway.keys().outlooks(rule.percent, rule.after) {
            let kind = outlook.kind.map_or("key", HolderKind::as_str);
            let end = Timestamp::from_millisecond(outlook.ends).unwrap_or_default();
            let facts = facts([
                ("holder", kind.to_owned()),
                ("id", outlook.id.clone()),
                ("amount_usd", outlook.amount.usd_decimal()),
                ("spent_usd", outlook.spent.usd_decimal()),
                ("expected_usd", outlook.expected.usd_decimal()),
                ("ends_at", end.to_string()),
            ]);
            holding.push(Condition {
                kind: Kind::BudgetForecast,
                subject: format!("{kind}/{}", outlook.id),
                episode: format!("{}:{}:{}", outlook.amount.nanodollars(), outlook.ends, outlook.of),
                text: format!(
                    "The {kind} {} has spent {} of {}; if it goes on like this, it will be {} by {end}.",
                    outlook.id, outlook.spent, outlook.amount, outlook.expected
                ),
                facts,
            });
        }
    }

    async fn keys(&mut self, holding: &mut Vec<Condition>) {
        let Some(rule) = &self.config.key_expiry else {
            return;
        };
        let now = Timestamp::now().as_millisecond();
        let until = now.saturating_add_unsigned(millis(rule.within.get()));
        if self.ending.1.is_none_or(|asked| asked.elapsed() >= KEYS) {
            let store = Arc::clone(self.gateway.store());
            let asked = tokio::task::spawn_blocking(move || store.keys_that_end((now, until), MOST_KEYS));
            match asked.await {
                Ok(Ok(keys)) => self.ending = (keys, Some(Instant::now())),
                Ok(Err(error)) => tell_unread(&error),
                Err(_) => {}
            }
        }
        for key in &self.ending.0 {
            let Some(end) = key.grant.expires_at.filter(|end| *end > now) else {
                continue;
            };
            let end = Timestamp::from_millisecond(end).unwrap_or_default();
            let name = if key.grant.name.is_empty() {
                key.hint.clone()
            } else {
                key.grant.name.clone()
            };
            let facts = facts([
                ("id", key.id.as_str().to_owned()),
                ("name", key.grant.name.clone()),
                ("expires_at", end.to_string()),
            ]);
            holding.push(Condition {
                kind: Kind::KeyExpiry,
                subject: format!("key/{}", key.id.as_str()),
                episode: end.to_string(),
                text: format!("The key {name} ends at {end}."),
                facts,
            });
        }
    }

    fn providers(&self, holding: &mut Vec<Condition>) {
        if self.config.provider_down.is_none() {
            return;
        }
        let now = Instant::now();
        for (name, provider) in &self.gateway.snapshot().providers {
            let is_ill = |state: BreakerState| state != BreakerState::Closed;
            let endpoints = &provider.endpoints;
            if endpoints.is_empty() || !endpoints.iter().all(|one| is_ill(one.breaker_state(now))) {
                continue;
            }
            let count = endpoints.len();
            holding.push(Condition {
                kind: Kind::ProviderDown,
                subject: format!("provider/{name}"),
                episode: String::new(),
                text: format!("No server of the provider {name} is well ({count} given up after failures)."),
                facts: facts([("provider", name.clone()), ("servers", count.to_string())]),
            });
        }
    }

    fn error_rates(&mut self, holding: &mut Vec<Condition>) {
        let (Some(rule), Some(rates)) = (&self.config.error_rate, &mut self.rates) else {
            return;
        };
        let totals = self.gateway.telemetry().metrics().answered();
        let now = millis(self.begun.elapsed());
        for (provider, (all, failed)) in rates.look(now, &totals) {
            let is_over = u128::from(failed) * 100 > u128::from(all) * u128::from(rule.percent);
            if all < rule.requests || !is_over {
                continue;
            }
            let within = rule.within;
            let facts = facts([
                ("provider", provider.clone()),
                ("requests", all.to_string()),
                ("failed", failed.to_string()),
            ]);
            holding.push(Condition {
                kind: Kind::ErrorRate,
                subject: format!("provider/{provider}"),
                episode: String::new(),
                text: format!(
                    "{failed} of {all} requests to {provider} have failed within {within}, more than {} %.",
                    rule.percent
                ),
                facts,
            });
        }
    }

    fn latencies(&mut self, holding: &mut Vec<Condition>) {
        let (Some(rule), Some(paces)) = (&self.config.latency, &mut self.paces) else {
            return;
        };
        let totals = self.gateway.telemetry().metrics().paces();
        let now = millis(self.begun.elapsed());
        for slower in paces.look(now, &totals) {
            let (mean, before) = (slower.mean / 1_000, slower.before / 1_000);
            let facts = facts([
                ("mean_ms", mean.to_string()),
                ("mean_before_ms", before.to_string()),
            ]);
            holding.push(Condition {
                kind: Kind::Latency,
                subject: format!("provider/{}", slower.name),
                episode: String::new(),
                text: format!(
                    "Answers of {} have taken {mean} ms within {}, and {before} ms within {} before.",
                    slower.name, rule.within, rule.against
                ),
                facts,
            });
        }
    }
}

fn within(amount: Option<Money>) -> String {
    amount.map_or_else(String::new, |amount| format!(" within {amount}"))
}

fn facts<const N: usize>(all: [(&'static str, String); N]) -> BTreeMap<&'static str, String> {
    all.into_iter().filter(|(_, value)| !value.is_empty()).collect()
}

fn tell_unread(error: &StoreError) {
    tracing::warn!(%error, "keys that end soon could not be read; it is tried again");
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
