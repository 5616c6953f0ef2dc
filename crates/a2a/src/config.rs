//! The `a2a` block of the configuration.

use std::collections::BTreeMap;
use std::path::PathBuf;

use pointsman_catalog::Money;
use pointsman_upstream::config::Secret;
use pointsman_upstream::{AuthConfig, HumanDuration, LetIn};
use schemars::JsonSchema;
use serde::Deserialize;

/// A2A agents, and how they are shown to clients at `/a2a/{agent}`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct A2aConfig {
    /// The agents, by name. A name has letters, digits, `-` and `_`, and begins with a letter.
    pub agents: BTreeMap<String, AgentConfig>,
    /// Where clients and agents reach this gateway (`https://gateway.example.com`): it stands in cards, and agents tell
    /// events there. When absent, cards name the host that the client called.
    pub public_url: Option<String>,
    /// The agent whose card stands at `/.well-known/agent-card.json`; the only one when absent.
    pub default: Option<String>,
    /// How long a card is good before it is fetched again.
    pub card_ttl: HumanDuration,
    /// How long a card may take to come.
    pub card_timeout: HumanDuration,
    /// Most bytes of one message, answer or event.
    #[schemars(range(min = 1024))]
    pub message_limit: usize,
    /// Most tasks of one key that are remembered; the oldest is forgotten first.
    #[schemars(range(min = 1))]
    pub max_tasks: usize,
    /// How long all replicas know whose a task is and where, behind the last time that one of them asked (`stores.shared`).
    pub task_ttl: HumanDuration,
    /// Events that agents tell to addresses of clients.
    pub push: PushConfig,
}

impl Default for A2aConfig {
    fn default() -> Self {
        Self {
            agents: BTreeMap::new(),
            public_url: None,
            default: None,
            card_ttl: HumanDuration::from_secs(300),
            card_timeout: HumanDuration::from_secs(10),
            message_limit: 16 * 1024 * 1024,
            max_tasks: 10_000,
            task_ttl: HumanDuration::from_secs(24 * 60 * 60),
            push: PushConfig::default(),
        }
    }
}

/// Events that agents tell to addresses of clients: they go through the gateway.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PushConfig {
    /// Whether there is any.
    pub enabled: bool,
    /// Hosts, as URLs name them, that may have addresses which are not public.
    pub private_hosts: Vec<String>,
    /// Whether clients may be told unencrypted.
    pub plain_http: bool,
    /// How long telling a client may take.
    pub timeout: HumanDuration,
    /// How often it is tried.
    #[schemars(range(min = 1, max = 10))]
    pub attempts: u32,
}

impl Default for PushConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            private_hosts: Vec::new(),
            plain_http: false,
            timeout: HumanDuration::from_secs(10),
            attempts: 3,
        }
    }
}

/// An agent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AgentConfig {
    /// Where its card is. Without a path, `/.well-known/agent-card.json`.
    pub url: Option<String>,
    /// The cards of its instances, where it has several.
    pub urls: Vec<String>,
    /// How to be let in. A caller's own credential is never passed on.
    pub auth: AuthConfig,
    /// Headers that go with every request.
    pub headers: BTreeMap<String, Secret>,
    /// Hosts, beside the card's own, that its interfaces may be at: the gateway's credential goes there.
    pub interface_hosts: Vec<String>,
    /// How long an answer may take, and how long a stream may be silent.
    pub timeout: Option<HumanDuration>,
    /// Who may call.
    pub allow: Allow,
    /// Whose signatures of its card count.
    pub signatures: SignaturesConfig,
    /// Skills that some callers alone may use, by their ids.
    pub skills: BTreeMap<String, Allow>,
    /// Whether its card needs a key, as everything else does.
    pub private_card: bool,
    /// What a message that it takes costs, in US dollars.
    pub price: Option<serde_json::Number>,
    /// A model in the place of an agent.
    pub model: Option<ModelAgent>,
}

/// A model that is shown as an agent: its messages are chats, with all that holds for them.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelAgent {
    /// The model, as chats name it.
    pub name: String,
    /// What the card calls it; the agent's name when absent.
    pub title: Option<String>,
    /// What the card says of it.
    pub description: Option<String>,
    /// What it is told before each message.
    pub instructions: Option<String>,
}

/// Signatures of cards. Where keys are named, a card that is signed must be signed by one of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SignaturesConfig {
    /// A file with a set of public keys (JWKS).
    pub jwks: Option<PathBuf>,
    /// Public keys (JWK), in the place of a file.
    pub keys: Vec<serde_json::Value>,
    /// Whether a card must be signed.
    pub required: bool,
}

/// Who may call: everybody whose key allows it when nothing is said, else whoever is named by one of these.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Allow {
    /// Names of keys; `*` stands for any run of letters.
    pub keys: Vec<String>,
    /// Ids of teams.
    pub teams: Vec<String>,
    /// Ids of organizations.
    pub organizations: Vec<String>,
}

impl Allow {
    /// Whether nobody in particular is named.
    #[must_use]
    pub fn is_everybody(&self) -> bool {
        self.keys.is_empty() && self.teams.is_empty() && self.organizations.is_empty()
    }
}

impl AgentConfig {
    /// What a message costs.
    ///
    /// # Errors
    /// Why it is nothing that can be charged.
    pub fn cost(&self) -> Result<Money, String> {
        let Some(price) = &self.price else {
            return Ok(Money::ZERO);
        };
        Money::parse(&price.to_string()).map_err(|error| error.to_string())
    }

    /// Where its cards are.
    pub fn cards(&self) -> impl Iterator<Item = &str> {
        self.url.iter().chain(&self.urls).map(String::as_str)
    }

    fn problems(&self, wrong: &mut impl FnMut(&str, &str)) {
        if let Some(model) = &self.model {
            if model.name.is_empty() {
                wrong("model.name", "names no model");
            }
            let other = Self {
                allow: self.allow.clone(),
                skills: self.skills.clone(),
                private_card: self.private_card,
                model: self.model.clone(),
                ..Self::default()
            };
            if *self != other {
                wrong(
                    "model",
                    "goes with `allow`, `skills` and `private_card` alone: it is no agent elsewhere",
                );
            }
            return;
        }
        if let Err(why) = self.cost() {
            wrong("price", &why);
        }
        if self.cards().next().is_none() {
            wrong("", "needs a `url`: where its card is");
        }
        if self.url.is_some() && !self.urls.is_empty() {
            wrong("", "has a `url` and `urls`; it is one of both");
        }
        for url in self.cards() {
            if !is_web(url) {
                wrong("url", "is no http or https URL");
            }
        }
        let let_in = LetIn {
            auth: &self.auth,
            headers: &self.headers,
            whom: "an agent",
            protocol: &["a2a-", "x-a2a-extensions"],
        };
        let_in.problems(wrong);
    }
}

impl A2aConfig {
    /// What is wrong with it: the path of a field under `a2a`, and what to do.
    #[must_use]
    pub fn problems(&self) -> Vec<(String, String)> {
        let mut problems = Vec::new();
        let mut wrong = |path: String, message: String| problems.push((path, message));
        if let Some(url) = &self.public_url
            && !(is_web(url) && url::Url::parse(url).is_ok_and(|url| url.query().is_none()))
        {
            wrong(
                "public_url".to_owned(),
                "is no http or https URL; write it like https://gateway.example.com".to_owned(),
            );
        }
        if let Some(name) = &self.default
            && !self.agents.contains_key(name)
        {
            wrong("default".to_owned(), format!("there is no agent {name:?}"));
        }
        for (name, agent) in &self.agents {
            let mut of_agent = |field: &str, message: &str| {
                let dot = if field.is_empty() { "" } else { "." };
                wrong(format!("agents.{name}{dot}{field}"), message.to_owned());
            };
            if !is_name(name) {
                of_agent(
                    "",
                    "is no name: letters, digits, `-` and `_`, a letter first, 64 at most",
                );
            }
            agent.problems(&mut of_agent);
        }
        problems
    }
}

fn is_web(url: &str) -> bool {
    url::Url::parse(url).is_ok_and(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.username().is_empty()
            && url.password().is_none()
    })
}

fn is_name(name: &str) -> bool {
    name.len() <= 64
        && name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn problems(config: serde_json::Value) -> Vec<(String, String)> {
        serde_json::from_value::<A2aConfig>(config).unwrap().problems()
    }

    #[test]
    fn what_cannot_be_is_told_where() {
        for (config, path) in [
            (json!({ "agents": { "a": {} } }), "agents.a"),
            (json!({ "agents": { "1": { "url": "https://a" } } }), "agents.1"),
            (json!({ "agents": { "a": { "url": "ftp://a" } } }), "agents.a.url"),
            (
                json!({ "agents": { "a": { "url": "https://u:p@a" } } }),
                "agents.a.url",
            ),
            (
                json!({ "agents": { "a": { "url": "https://a", "urls": ["https://b"] } } }),
                "agents.a",
            ),
            (
                json!({ "agents": { "a": { "url": "https://a", "auth": { "passthrough": true } } } }),
                "agents.a.auth.passthrough",
            ),
            (
                json!({ "agents": { "a": { "url": "https://a", "headers": { "A2A-Version": "1" } } } }),
                "agents.a.headers.A2A-Version",
            ),
            (
                json!({ "agents": { "a": { "model": { "name": "m" }, "url": "https://a" } } }),
                "agents.a.model",
            ),
            (
                json!({ "agents": { "a": { "model": { "name": "" } } } }),
                "agents.a.model.name",
            ),
            (
                json!({ "agents": { "a": { "url": "https://a", "price": -1 } } }),
                "agents.a.price",
            ),
            (json!({ "default": "b" }), "default"),
            (json!({ "public_url": "gateway" }), "public_url"),
        ] {
            let found = problems(config.clone());
            assert_eq!(found.len(), 1, "{config}: {found:?}");
            assert_eq!(found[0].0, path);
        }
        assert!(
            problems(json!({ "agents": { "a-b_1": { "urls": ["https://a", "http://b:8080/card.json"] } } }))
                .is_empty()
        );
    }
}
