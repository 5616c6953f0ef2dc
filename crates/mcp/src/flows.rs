//! Which way data may not flow: once a server has been asked that keeps secrets, another that tells the world is asked no
//! more in that session.
//!
//! Whoever has a session is known by it, whoever has none by their key: nobody can say of two requests of a key whether
//! one model wrote both. What was asked is written down before it is sent, so that two requests at once are no way
//! around; where replicas share sessions, all of them know it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use pointsman_governance::fits;
use pointsman_store::SharedSessions;

use crate::config::FlowRule;
use crate::error::RpcError;
use crate::trail;

/// Most that is kept of who has asked which server; beyond, what is over is looked for, and nothing new is let through.
const MOST: usize = 100_000;

/// Who asks: a session, or a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit(String);

impl Unit {
    /// A session.
    #[must_use]
    pub fn session(id: &str) -> Self {
        Self(format!("session {id}"))
    }

    /// Whoever has none.
    #[must_use]
    pub fn key(key: Option<&String>) -> Self {
        Self(key.map_or_else(|| "anonymous".to_owned(), |key| format!("key {key}")))
    }

    fn with(&self, server: &str) -> String {
        trail::key_of(&format!("flow\n{}\n{server}", self.0))
    }
}

/// Rules, as they look at servers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Flows(Vec<FlowRule>);

fn any_fits(patterns: &[String], server: &str) -> bool {
    patterns.iter().any(|pattern| fits(pattern, server))
}

impl Flows {
    /// Flows of rules.
    #[must_use]
    pub fn new(rules: &[FlowRule]) -> Self {
        Self(rules.to_vec())
    }

    /// Whether nothing is forbidden.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether what is known from a server may not go to every other.
    #[must_use]
    pub fn is_source(&self, server: &str) -> bool {
        self.0.iter().any(|rule| any_fits(&rule.from, server))
    }

    /// Whether what is known from one server may not go to another.
    #[must_use]
    pub fn forbid(&self, from: &str, to: &str) -> bool {
        let mut rules = self.0.iter();
        from != to && rules.any(|rule| any_fits(&rule.from, from) && any_fits(&rule.to, to))
    }
}

/// Who has asked which server. Outlives a configuration.
#[derive(Default)]
pub struct Asked(Mutex<HashMap<String, Instant>>);

impl Asked {
    fn is_known(&self, key: &str, life: Duration) -> bool {
        let mut known = self.0.lock();
        match known.get_mut(key).filter(|until| Instant::now() < **until) {
            Some(until) => {
                *until = Instant::now() + life;
                true
            }
            None => false,
        }
    }

    fn keep(&self, key: String, life: Duration) -> bool {
        let mut known = self.0.lock();
        let now = Instant::now();
        if known.len() >= MOST && !known.contains_key(&key) {
            known.retain(|_, until| now < *until);
            if known.len() >= MOST {
                return false;
            }
        }
        known.insert(key, now + life);
        true
    }

    /// Lets a request go to a server, or not, and writes down that it went.
    ///
    /// # Errors
    /// When data could flow that may not, and when that cannot be known.
    pub async fn pass(
        &self,
        flows: &Flows,
        (unit, server): (&Unit, &str),
        others: impl Iterator<Item = &str>,
        (shared, life): (Option<&Arc<dyn SharedSessions>>, Duration),
    ) -> Result<(), RpcError> {
        for from in others.filter(|from| flows.forbid(from, server)) {
            let key = unit.with(from);
            let is_known = self.is_known(&key, life)
                || match shared {
                    None => false,
                    Some(shared) => shared.fields(&key, life).await.map_err(unsure)?.is_some(),
                };
            if is_known {
                tracing::warn!(
                    from,
                    to = server,
                    "data may not flow from one MCP server to another"
                );
                let message = format!(
                    "{from} was asked before in this session: what it said may not go to {server} (`mcp.flows`)"
                );
                return Err(RpcError::flow(message));
            }
        }
        if !flows.is_source(server) {
            return Ok(());
        }
        let key = unit.with(server);
        if let Some(shared) = shared {
            let fields = [("asked".to_owned(), "1".to_owned())];
            shared.create(&key, &fields, life).await.map_err(unsure)?;
        }
        if self.keep(key, life) {
            return Ok(());
        }
        Err(RpcError::flow(
            "it cannot be kept any more who has asked which server (`mcp.flows`); come back later",
        ))
    }
}

fn unsure(error: pointsman_store::SharedError) -> RpcError {
    tracing::warn!(%error, "it cannot be known which servers were asked before");
    RpcError::flow("it cannot be known which servers were asked before (`stores.shared`); come back soon")
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);
    const SERVERS: [&str; 3] = ["crm", "files", "web"];

    fn flows() -> Flows {
        let rules = serde_json::json!([{ "from": ["crm", "fi*"], "to": ["*"] }]);
        Flows(serde_json::from_value(rules).unwrap())
    }

    async fn passes(asked: &Asked, unit: &Unit, server: &str) -> bool {
        let others = SERVERS.into_iter();
        let passed = asked.pass(&flows(), (unit, server), others, (None, HOUR)).await;
        passed.is_ok()
    }

    #[tokio::test]
    async fn what_one_server_said_goes_to_no_other() {
        let (asked, one, other) = (Asked::default(), Unit::session("1"), Unit::session("2"));
        assert!(passes(&asked, &one, "web").await);
        assert!(passes(&asked, &one, "crm").await);
        assert!(!passes(&asked, &one, "web").await);
        // Neither to another that keeps secrets; to itself it may.
        assert!(!passes(&asked, &one, "files").await);
        assert!(passes(&asked, &one, "crm").await);
        assert!(passes(&asked, &other, "web").await);
        let key = "k".to_owned();
        assert!(passes(&asked, &Unit::key(Some(&key)), "files").await);
        assert!(!passes(&asked, &Unit::key(Some(&key)), "web").await);
        assert!(passes(&asked, &Unit::key(None), "web").await);
    }

    #[tokio::test]
    async fn a_session_is_forgotten_with_its_time() {
        let (asked, unit) = (Asked::default(), Unit::session("1"));
        let (flows, short) = (flows(), (None, Duration::ZERO));
        let went = asked.pass(&flows, (&unit, "crm"), SERVERS.into_iter(), short);
        assert!(went.await.is_ok());
        assert!(passes(&asked, &unit, "web").await);
    }
}
