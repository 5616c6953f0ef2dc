//! Who answers to the names of a configuration: agents among targets, models that take over, and what decisions name.

use std::sync::Arc;

use pointsman_a2a::agent::Agent;
use pointsman_config::ModelConfig;
use pointsman_routing::{RagSource, Router, RoutingConfig};

use super::super::{Provider, Snapshot, agents};
use super::Compiler;

impl Compiler<'_> {
    /// A model and all that may take over for it.
    fn with_others(&self, name: &str) -> Vec<&ModelConfig> {
        let (mut seen, mut open) = (Vec::new(), vec![name]);
        let mut found = Vec::new();
        while let Some(name) = open.pop() {
            let models = &self.config.models;
            // As names are resolved: the longest pattern that fits.
            let pattern = || {
                let fitting = models.iter().filter(|(pattern, _)| stands_for(pattern, name));
                fitting
                    .max_by_key(|(pattern, _)| pattern.len())
                    .map(|(_, model)| model)
            };
            let known = models.get(name).or_else(pattern);
            let Some(model) = known.filter(|_| !seen.contains(&name)) else {
                continue;
            };
            seen.push(name);
            found.push(model);
            let fallback = &model.fallback;
            let others = [&fallback.any, &fallback.context_window, &fallback.content_policy];
            open.extend(others.into_iter().flatten().map(String::as_str));
        }
        found
    }

    /// The guardrails that a model and all that may take over for it name.
    pub(super) fn guardrails_of(&self, name: &str) -> Arc<[Arc<str>]> {
        let named = self.with_others(name).into_iter();
        let named = named.flat_map(|model| &model.guardrails);
        let mut guardrails: Vec<Arc<str>> = named.map(|name| Arc::from(name.as_str())).collect();
        guardrails.sort_unstable();
        guardrails.dedup();
        guardrails.into()
    }

    /// Whether an agent is a target of a model, or of one that may take over for it.
    pub(super) fn meets_agents(&self, name: &str) -> bool {
        let mut targets = self
            .with_others(name)
            .into_iter()
            .flat_map(|model| &model.targets);
        targets.any(|target| target.agent.is_some())
    }

    /// Every model that a decision may choose must lead somewhere.
    pub(super) fn routed(&mut self, snapshot: &Snapshot) {
        let candidates = self.config.routing.iter().flat_map(RoutingConfig::candidates);
        for (path, model) in candidates {
            if let Some(message) = unanswered(snapshot, &path, model) {
                self.wrong(format!("routing.{path}"), message);
            }
        }
        self.looked_up(snapshot);
        let transformers = self.config.prompts.transformers.iter().enumerate();
        for (index, one) in transformers {
            let message = match snapshot.resolve(&one.model) {
                Ok(model) if !model.meets_agents => continue,
                Ok(_) => answers_alone(&one.model),
                Err(_) => format!("no provider serves {:?}, which shall rewrite texts", one.model),
            };
            self.wrong(format!("prompts.transformers[{index}].model"), message);
        }
        for (name, model) in snapshot.guards.alternatives() {
            if !snapshot.is_routed(model) && snapshot.resolve(model).is_err() {
                let message = format!("no provider serves {model:?}, which shall answer instead");
                self.wrong(format!("guardrails.{name}.to"), message);
            }
        }
    }

    /// Whoever decisions look things up at must be there.
    fn looked_up(&mut self, snapshot: &Snapshot) {
        for (decision, rag) in snapshot.router.iter().flat_map(Router::lookups) {
            if let Some(provider) = rag
                .provider
                .as_ref()
                .filter(|name| !snapshot.providers.contains_key(*name))
            {
                let message = format!(
                    "the decision {decision:?} looks things up at {provider:?}, which is none of `providers`"
                );
                self.wrong("routing", message);
            }
            if let RagSource::Mcp { server, .. } = &rag.source
                && !snapshot.mcp.hub.names().any(|name| name == server)
            {
                let message = format!(
                    "the decision {decision:?} looks things up at the MCP server {server:?}, which is none of `mcp.servers`"
                );
                self.wrong("routing", message);
            }
            if let Some(rerank) = rag
                .rerank
                .as_ref()
                .filter(|rerank| snapshot.resolve(&rerank.model).is_err())
            {
                let message = format!(
                    "the decision {decision:?} has findings put in order by {:?}, which no provider serves",
                    rerank.model
                );
                self.wrong("routing", message);
            }
        }
    }

    /// What stands for an agent among providers: its health and its retries outlive a configuration as theirs do.
    pub(super) fn stand_in(&mut self, path: &str, agent: &Arc<Agent>) -> Option<Arc<Provider>> {
        let name = agents::name(agent);
        let provider = agents::stand_in(agent, &self.lasting.endpoints.lock());
        match provider {
            Ok(mut provider) => {
                let mut budgets = self.lasting.budgets.lock();
                let fresh = Arc::clone(&provider.retry_budget);
                provider.retry_budget = Arc::clone(budgets.entry(name).or_insert(fresh));
                Some(Arc::new(provider))
            }
            Err(error) => {
                self.wrong(path, error);
                None
            }
        }
    }
}

/// Whether a name with a `*` stands for another.
fn stands_for(pattern: &str, name: &str) -> bool {
    pattern.split_once('*').is_some_and(|(front, back)| {
        name.len() >= front.len() + back.len() && name.starts_with(front) && name.ends_with(back)
    })
}

/// Why a model that an agent may answer for is none of several, and no helper.
fn answers_alone(model: &str) -> String {
    format!(
        "an agent may answer for {model:?}, and agents can only be chosen to answer alone: name another model here"
    )
}

/// Why nobody answers to what a decision names, if nobody does. An agent answers alone, and is no helper of models.
fn unanswered(snapshot: &Snapshot, path: &str, model: &str) -> Option<String> {
    let chooses = path == "default_model" || path.contains("modelRefs[");
    let alone = || {
        let mut several = snapshot.router.iter().flat_map(|router| router.looped_models());
        chooses && !several.any(|other| other == model)
    };
    let Some(agent) = snapshot.agent(model) else {
        // A provider that takes any name is not asked for an agent that is not there.
        let is_agents = model.starts_with("a2a/")
            && !snapshot.models.contains_key(model)
            && !snapshot.providers.contains_key("a2a");
        if is_agents {
            return Some(format!("there is no agent {model:?} under `a2a.agents`"));
        }
        return match snapshot.resolve(model) {
            Ok(known) => (known.meets_agents && !alone()).then(|| answers_alone(model)),
            Err(_) => Some(format!(
                "no provider serves {model:?}: add it under `models`, or under a provider's `models`"
            )),
        };
    };
    if let Some(own) = &agent.config.model {
        return Some(format!(
            "{model:?} stands for the model {:?}: name that",
            own.name
        ));
    }
    (!alone()).then(|| format!("the agent {model:?} can only be chosen to answer alone: name a model here"))
}
