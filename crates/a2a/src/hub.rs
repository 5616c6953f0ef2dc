//! All agents of a configuration.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::agent::Agent;
use crate::config::A2aConfig;

/// The agents of a configuration.
#[derive(Default)]
pub struct Hub {
    /// The configuration.
    pub config: A2aConfig,
    agents: BTreeMap<String, Arc<Agent>>,
}

impl Hub {
    /// Compiles a configuration. Agents that have not changed stay as they are, with what is known of them.
    ///
    /// # Errors
    /// Fields that cannot be carried out, as paths under `a2a`, and why.
    pub fn following(config: &A2aConfig, before: Option<&Self>) -> Result<Self, Vec<(String, String)>> {
        let mut problems = config.problems();
        let mut agents = BTreeMap::new();
        for (name, said) in &config.agents {
            let same = before
                .and_then(|before| before.agents.get(name))
                .filter(|agent| agent.is(said, config));
            if let Some(same) = same {
                agents.insert(name.clone(), Arc::clone(same));
                continue;
            }
            match Agent::compile(name, said, config) {
                Ok(agent) => drop(agents.insert(name.clone(), agent)),
                Err((field, why)) => problems.push((format!("agents.{name}.{field}"), why)),
            }
        }
        if problems.is_empty() {
            Ok(Self {
                config: config.clone(),
                agents,
            })
        } else {
            Err(problems)
        }
    }

    /// The agent of this name.
    #[must_use]
    pub fn agent(&self, name: &str) -> Option<&Arc<Agent>> {
        self.agents.get(name)
    }

    /// The agent whose card is the gateway's: the one that is said to be, or the only one.
    #[must_use]
    pub fn default_agent(&self) -> Option<&Arc<Agent>> {
        match &self.config.default {
            Some(name) => self.agent(name),
            None if self.agents.len() == 1 => self.agents.values().next(),
            None => None,
        }
    }

    /// All of them, by name.
    pub fn agents(&self) -> impl Iterator<Item = &Arc<Agent>> {
        self.agents.values()
    }
}
