//! Agents as targets of models: what stands for an agent among providers.
//!
//! Weights, priorities, retries and breakers are those of targets and their providers, so an agent gets a provider that has
//! them and speaks nothing: whoever holds a conversation asks the agent itself, and nobody else picks it.

use std::collections::HashMap;
use std::sync::Arc;

use http::HeaderMap;
use pointsman_a2a::agent::Agent;
use pointsman_catalog::Set;
use pointsman_config::TargetConfig;
use pointsman_governance::Gate;
use pointsman_upstream::balance::Policy;
use pointsman_upstream::{
    AuthConfig, AuthStyle, Credential, EndpointConfig, EndpointRegistry, HealthConfig, RetryBudget,
    RetryConfig, RetryPolicy, TimeoutsConfig,
};
use pointsman_wire::form::MaxTokensName;
use url::{Position, Url};

use super::provider::Speaks;
use super::{Patience, Provider, Shape, Target};

/// What stands for providers' kinds in the catalog.
const KIND: &str = "a2a";

/// What stands for an agent is called as the agent is as a model: no provider has such a name.
pub fn name(agent: &Agent) -> String {
    format!("{KIND}/{}", agent.name)
}

/// What stands for an agent. It has one server, whatever instances the agent has: which of them answers is the agent's own
/// affair, and it is unhealthy when none does.
///
/// # Errors
/// When where it is makes no sense.
pub fn stand_in(agent: &Agent, endpoints: &EndpointRegistry) -> Result<Provider, String> {
    let name = name(agent);
    let url = agent.config.cards().next().ok_or("the agent is nowhere")?;
    let url = Url::parse(url).map_err(|error| error.to_string())?;
    let place = EndpointConfig::new(&url[..Position::BeforePath]);
    let endpoint = endpoints
        .endpoint(&name, &place, &HealthConfig::default())
        .map_err(|error| error.to_string())?;
    let credential = Credential::compile(&AuthConfig::default(), &AuthStyle::Bearer);
    let usual = RetryConfig::default();
    let retry = RetryPolicy::compile(&usual).map_err(|error| error.to_string())?;
    let budget = RetryBudget::compile(&usual.budget).map_err(|error| error.to_string())?;
    Ok(Provider {
        name,
        kind: KIND.to_owned(),
        region: None,
        endpoints: vec![endpoint],
        balance: Policy::default(),
        credential: Arc::new(credential.map_err(|error| error.to_string())?),
        headers: HeaderMap::new(),
        timeouts: Patience::from(&TimeoutsConfig::default()),
        retry: Arc::new(retry),
        retry_budget: Arc::new(budget),
        shape: Arc::new(Shape::default()),
        speaks: mute(),
        listed: Vec::new(),
        gate: Gate::default(),
    })
}

/// Nothing that providers understand.
fn mute() -> Speaks {
    Speaks {
        formats: Vec::new(),
        endpoints: HashMap::new(),
        count_tokens: None,
        batches: None,
        realtime: None,
        max_tokens_name: MaxTokensName::MaxTokens,
        developer_role: false,
        schemas: false,
        betas: None,
        any_model: false,
    }
}

impl Target {
    /// An agent, as the configuration weighs it.
    pub fn of_agent(agent: &Arc<Agent>, provider: Arc<Provider>, said: &TargetConfig) -> Self {
        Self {
            shape: Arc::clone(&provider.shape),
            provider,
            agent: Some(Arc::clone(agent)),
            model: agent.name.clone(),
            format: None,
            timeouts: None,
            weight: said.weight,
            priority: said.priority,
            price: None,
            max_output: None,
            features: Set::default(),
        }
    }
}
