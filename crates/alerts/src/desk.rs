//! What was told already: what holds is told once, again after a while, and once when it is over.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use crate::alert::{Alert, Condition, Kind, State};
use crate::config::AlertsConfig;

/// Of each kind so many are told one by one; of more, how many they are.
const MOST: usize = 100;
/// What comes and goes is not told more often than this.
const CALM: Duration = Duration::from_secs(300);

/// What is known of one condition.
#[derive(Debug, Clone)]
struct Open {
    /// Milliseconds, as all times here.
    since: u64,
    /// When it was told last.
    told: Option<u64>,
    /// When it was gone; none while it holds.
    gone: Option<u64>,
    condition: Condition,
}

/// What was told, and to what it applies. Pure: it is given the time.
#[derive(Debug)]
pub struct Desk {
    config: AlertsConfig,
    open: BTreeMap<(Kind, String), Open>,
}

impl Desk {
    /// One that has told nothing yet.
    #[must_use]
    pub fn new(config: &AlertsConfig) -> Self {
        Self {
            config: config.clone(),
            open: BTreeMap::new(),
        }
    }

    /// Takes note of all that holds `now` (milliseconds of a steady clock) and says what is to be told.
    pub fn look(&mut self, holding: Vec<Condition>, now: u64, at: Timestamp) -> Vec<Alert> {
        let mut seen = BTreeSet::new();
        for condition in summed_up(holding) {
            let key = (condition.kind, condition.subject.clone());
            seen.insert(key.clone());
            let open = self.open.entry(key).or_insert_with(|| Open {
                since: now,
                told: None,
                gone: None,
                condition: condition.clone(),
            });
            if open.gone.take().is_some() {
                open.since = now;
            }
            open.condition = condition;
        }
        let mut told = Vec::new();
        let config = &self.config;
        self.open.retain(|key, open| {
            if seen.contains(key) {
                told.extend(open.holds(config, now, at));
                return true;
            }
            told.extend(open.is_over(now, at));
            // What was told lately stays known: it may come again.
            open.told
                .is_some_and(|told| now.saturating_sub(told) < millis(CALM))
        });
        told
    }
}

impl Open {
    fn holds(&mut self, config: &AlertsConfig, now: u64, at: Timestamp) -> Option<Alert> {
        let kind = self.condition.kind;
        if now.saturating_sub(self.since) < millis(config.lasting(kind)) {
            return None;
        }
        let again = match self.told {
            None => true,
            // It was over, and has come again.
            Some(told) if self.since > told => now.saturating_sub(told) >= millis(CALM),
            Some(told) => now.saturating_sub(told) >= millis(config.repeat.get()),
        };
        again.then(|| {
            self.told = Some(now);
            self.alert(State::Firing, at)
        })
    }

    fn is_over(&mut self, now: u64, at: Timestamp) -> Option<Alert> {
        if self.gone.replace(now).is_some() {
            return None;
        }
        let is_known = self.told.is_some_and(|told| told >= self.since);
        (is_known && self.condition.kind.ends()).then(|| self.alert(State::Resolved, at))
    }

    fn alert(&self, state: State, at: Timestamp) -> Alert {
        let Condition {
            kind,
            subject,
            episode,
            text,
            facts,
        } = self.condition.clone();
        Alert {
            kind,
            state,
            subject,
            text,
            facts,
            at,
            episode,
        }
    }
}

/// The same, with one condition in the place of those of a kind that are too many.
fn summed_up(holding: Vec<Condition>) -> Vec<Condition> {
    let mut counts = BTreeMap::<Kind, usize>::new();
    let mut all = Vec::new();
    for condition in holding {
        let count = counts.entry(condition.kind).or_default();
        *count += 1;
        if *count <= MOST {
            all.push(condition);
        }
    }
    for (kind, count) in counts.into_iter().filter(|(_, count)| *count > MOST) {
        all.push(Condition {
            kind,
            subject: "others".to_owned(),
            episode: String::new(),
            text: format!("{} more are not told one by one.", count - MOST),
            facts: BTreeMap::new(),
        });
    }
    all
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(json: serde_json::Value) -> AlertsConfig {
        serde_json::from_value(json).unwrap()
    }

    fn condition(kind: Kind, subject: &str) -> Condition {
        Condition {
            kind,
            subject: subject.to_owned(),
            episode: String::new(),
            text: "It holds.".to_owned(),
            facts: BTreeMap::new(),
        }
    }

    /// What is told at a second.
    fn told(desk: &mut Desk, second: u64, holding: &[(Kind, &str)]) -> Vec<(State, String)> {
        let holding = holding.iter().map(|(kind, subject)| condition(*kind, subject));
        let alerts = desk.look(holding.collect(), second * 1_000, Timestamp::UNIX_EPOCH);
        alerts
            .into_iter()
            .map(|alert| (alert.state, alert.subject))
            .collect()
    }

    #[test]
    fn what_holds_is_told_once_and_again_after_a_while() {
        let mut desk = Desk::new(&config(serde_json::json!({ "soft_budget": {}, "repeat": "1h" })));
        let team = [(Kind::SoftBudget, "team/a")];
        assert_eq!(told(&mut desk, 0, &team), [(State::Firing, "team/a".to_owned())]);
        for second in [1, 5, 3_599] {
            assert_eq!(told(&mut desk, second, &team), []);
        }
        assert_eq!(told(&mut desk, 3_600, &team).len(), 1);
        assert_eq!(
            told(&mut desk, 3_601, &[]),
            [],
            "nobody waits for the end of a window"
        );
    }

    #[test]
    fn what_passes_quickly_is_not_told_and_what_was_told_is_told_when_it_is_over() {
        let mut desk = Desk::new(&config(serde_json::json!({ "provider_down": { "for": "30s" } })));
        let down = [(Kind::ProviderDown, "openai")];
        assert_eq!(told(&mut desk, 0, &down), []);
        assert_eq!(told(&mut desk, 29, &down), []);
        assert_eq!(told(&mut desk, 30, &[]), [], "it was over before it was told");
        assert_eq!(told(&mut desk, 100, &down), []);
        assert_eq!(
            told(&mut desk, 130, &down),
            [(State::Firing, "openai".to_owned())]
        );
        assert_eq!(
            told(&mut desk, 140, &[]),
            [(State::Resolved, "openai".to_owned())]
        );
        assert_eq!(told(&mut desk, 141, &[]), []);
    }

    #[test]
    fn what_comes_and_goes_is_not_told_each_time() {
        let mut desk = Desk::new(&config(serde_json::json!({ "error_rate": {} })));
        let rate = [(Kind::ErrorRate, "openai")];
        let mut count = 0;
        for second in 0..300 {
            let holding: &[_] = if second % 2 == 0 { &rate } else { &[] };
            count += told(&mut desk, second, holding).len();
        }
        assert_eq!(count, 2, "once that it holds, once that it is over");
        assert_eq!(told(&mut desk, 300, &rate).len(), 1);
    }

    #[test]
    fn a_flood_is_one_more_line() {
        let mut desk = Desk::new(&config(serde_json::json!({ "key_expiry": {} })));
        let names: Vec<String> = (0..250).map(|number| format!("key_{number}")).collect();
        let keys: Vec<_> = names
            .iter()
            .map(|name| (Kind::KeyExpiry, name.as_str()))
            .collect();
        let all = told(&mut desk, 0, &keys);
        assert_eq!(all.len(), MOST + 1);
        assert!(all.contains(&(State::Firing, "others".to_owned())));
    }
}
