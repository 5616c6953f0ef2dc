//! Models as clients ask for them: a name, and the targets behind it.

use std::sync::Arc;
use std::time::Instant;

use pointsman_a2a::agent::Agent;
use pointsman_catalog::{Feature, Price, Set};
use pointsman_upstream::RetryPolicy;
use pointsman_upstream::balance::{Candidate, Policy};
use pointsman_wire::format::Format;

use super::{Patience, Provider, Shape, Speech};

/// A model that clients can ask for.
pub struct Model {
    /// Its name.
    pub name: String,
    /// Where it can be had.
    pub targets: Vec<Target>,
    /// How a target is picked.
    pub balance: Arc<Policy>,
    /// How often and on what it is tried again; the provider's own policy when absent.
    pub retry: Option<Arc<RetryPolicy>>,
    /// Which models take over.
    pub fallback: Fallback,
    /// Guardrails that act on requests that may be answered by it or by one that takes over for it, by their names.
    pub guardrails: Arc<[Arc<str>]>,
    /// An agent in the place of targets: then there are none.
    pub agent: Option<Arc<Agent>>,
    /// Whether an agent may answer, here or at a model that takes over.
    pub meets_agents: bool,
}

impl Model {
    /// Whether nobody but agents answers.
    pub fn has_only_agents(&self) -> bool {
        !self.targets.is_empty() && self.targets.iter().all(|target| target.agent.is_some())
    }

    /// An agent that decisions may choose as they choose models.
    pub fn of_agent(name: &str, agent: &Arc<Agent>) -> Self {
        Self {
            name: name.to_owned(),
            targets: Vec::new(),
            balance: Arc::default(),
            retry: None,
            fallback: Fallback::default(),
            guardrails: Arc::default(),
            agent: Some(Arc::clone(agent)),
            meets_agents: true,
        }
    }
}

/// Which models take over, by what went wrong.
#[derive(Debug, Clone, Default)]
pub struct Fallback {
    /// Any failure that another model may not have.
    pub any: Vec<String>,
    /// The prompt does not fit.
    pub context_window: Vec<String>,
    /// The provider refuses the content.
    pub content_policy: Vec<String>,
}

/// A provider and what it calls the model, or an agent.
#[derive(Clone)]
pub struct Target {
    /// The provider; of an agent, what stands for it where providers are picked.
    pub provider: Arc<Provider>,
    /// The agent that is asked, where it is one.
    pub agent: Option<Arc<Agent>>,
    /// The provider's name of the model.
    pub model: String,
    /// The format it is spoken to in, where the configuration says so.
    pub format: Option<Format>,
    /// How long is waited; the provider's own times when absent.
    pub timeouts: Option<Patience>,
    /// What is changed of requests on their way to it.
    pub shape: Arc<Shape>,
    /// Share of the traffic among targets of the same priority.
    pub weight: u32,
    /// Lower is first.
    pub priority: u32,
    /// What it costs; unknown prices cost nothing and are reported as such.
    pub price: Option<Price>,
    /// Most tokens it can generate, where that is known.
    pub max_output: Option<u64>,
    /// What it is known to do; empty where nothing is known.
    pub features: Set<Feature>,
}

impl Target {
    /// How to speak to it for a client of format `client`.
    pub fn speech(&self, client: Format) -> Option<&Speech> {
        let speaks = &self.provider.speaks;
        match self.format {
            Some(format) => speaks.in_format(format),
            None => speaks.for_client(client, &self.model),
        }
    }

    /// How long is waited for it.
    pub fn patience(&self) -> &Patience {
        self.timeouts.as_ref().unwrap_or(&self.provider.timeouts)
    }
}

impl Candidate for Target {
    fn weight(&self) -> u32 {
        self.weight
    }

    fn priority(&self) -> u32 {
        self.priority
    }

    fn available(&self, now: Instant) -> bool {
        self.provider
            .endpoints
            .iter()
            .any(|endpoint| endpoint.available(now))
    }

    fn in_flight(&self) -> u32 {
        self.provider
            .endpoints
            .iter()
            .map(|endpoint| endpoint.in_flight())
            .sum()
    }

    fn latency_us(&self, now: Instant) -> Option<u64> {
        self.provider
            .endpoints
            .iter()
            .filter_map(|endpoint| endpoint.latency_us(now))
            .min()
    }
}
