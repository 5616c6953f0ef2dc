//! From the name a client asked for to a model.

use std::sync::Arc;

use pointsman_a2a::agent::Agent;
use pointsman_catalog::Catalog;
use pointsman_wire::form::{Failure, FailureKind};

use super::{Fallback, Model, Provider, Snapshot, Target};

/// How alike names are that may be meant for each other (Jaro and Winkler's likeness), how many are told, and how long one
/// may be to be looked for: what is asked by strangers costs no more than that.
const ALIKE: f64 = 0.87;
const MAX_NEAR: usize = 3;
const LONGEST: usize = 128;
/// What agents are called as models.
const AGENTS: &str = "a2a/";

/// A name nothing answers to, with names that look like it.
#[derive(Debug)]
pub struct Unresolved {
    /// What was asked for.
    pub name: String,
    /// What may have been meant.
    pub near: Vec<String>,
}

impl From<Unresolved> for Failure {
    fn from(unresolved: Unresolved) -> Self {
        let mut message = format!("there is no model {:?} here", unresolved.name);
        if unresolved.near.is_empty() {
            message.push_str("; GET /v1/models lists those there are");
        } else {
            message.push_str("; did you mean ");
            message.push_str(&unresolved.near.join(" or "));
            message.push('?');
        }
        Self::new(FailureKind::NotFound, message)
            .at("model")
            .coded("model_not_found")
    }
}

impl Snapshot {
    /// Whether the name enters the semantic router.
    pub fn is_routed(&self, name: &str) -> bool {
        self.router.as_ref().is_some_and(|router| router.enters(name))
    }

    /// Finds the model of a name: one of `models`; one whose name has a `*` where this name has something; then
    /// `provider/model`; a model that the catalog knows at a configured provider; else, where exactly one provider takes any name (a model server of one's own), that one.
    ///
    /// # Errors
    /// When nothing answers to the name.
    pub fn resolve(&self, name: &str) -> Result<Arc<Model>, Unresolved> {
        if let Some(model) = self.models.get(name) {
            return Ok(Arc::clone(model));
        }
        let ad_hoc = self
            .patterns
            .iter()
            .find_map(|pattern| pattern.model(&self.catalog, name))
            .or_else(|| self.qualified(name))
            .or_else(|| self.listed(name))
            .or_else(|| self.open_ended(name));
        ad_hoc.ok_or_else(|| Unresolved {
            name: name.to_owned(),
            near: self.near(name),
        })
    }

    fn qualified(&self, name: &str) -> Option<Arc<Model>> {
        let (provider, model) = name.split_once('/')?;
        let provider = self.providers.get(provider).or_else(|| self.of_kind(provider))?;
        (provider.serves(&self.catalog, model) || provider.speaks.any_model)
            .then(|| self.single(name, provider, model))
    }

    fn listed(&self, name: &str) -> Option<Arc<Model>> {
        // Who makes a model is asked before who passes it on.
        let mut providers: Vec<&Arc<Provider>> = self.providers.values().collect();
        providers.sort_unstable_by_key(|provider| (self.catalog.rank(&provider.kind), &provider.name));
        let provider = providers
            .into_iter()
            .find(|provider| provider.serves(&self.catalog, name))?;
        Some(self.single(name, provider, name))
    }

    /// The only configured provider of a kind, by any name the catalog has for the kind: `bedrock/…`, `azure/…`.
    fn of_kind(&self, name: &str) -> Option<&Arc<Provider>> {
        let kind = &self.catalog.provider(name)?.id;
        let mut all = self.providers.values().filter(|provider| provider.kind == *kind);
        let only = all.next()?;
        all.next().is_none().then_some(only)
    }

    fn open_ended(&self, name: &str) -> Option<Arc<Model>> {
        let mut open = self
            .providers
            .values()
            .filter(|provider| provider.speaks.any_model);
        let only = open.next()?;
        (open.next().is_none() && !name.is_empty()).then(|| self.single(name, only, name))
    }

    /// A model of one target, for names that the configuration does not list.
    fn single(&self, name: &str, provider: &Arc<Provider>, model: &str) -> Arc<Model> {
        let facts = provider.facts(&self.catalog, model);
        Arc::new(Model {
            name: name.to_owned(),
            targets: vec![Target {
                provider: Arc::clone(provider),
                agent: None,
                model: model.to_owned(),
                format: None,
                timeouts: None,
                shape: Arc::clone(&provider.shape),
                weight: 1,
                priority: 0,
                price: facts.and_then(|facts| facts.price.clone()),
                max_output: facts.and_then(|facts| facts.max_output),
                features: facts.map(|facts| facts.features).unwrap_or_default(),
            }],
            balance: Arc::default(),
            retry: None,
            fallback: Fallback::default(),
            guardrails: Arc::default(),
            agent: None,
            meets_agents: false,
        })
    }

    /// Every model that a decision of the router may choose.
    pub fn routed_models(&self) -> impl Iterator<Item = Arc<Model>> {
        self.router
            .iter()
            .flat_map(|router| router.models())
            .filter_map(|name| self.choice(name).ok())
    }

    /// Finds what a decision may choose: an agent, by the name that it has as a model, or a model. What clients ask for by
    /// that name is another thing: whether they may is asked first.
    ///
    /// # Errors
    /// When nothing answers to the name.
    pub fn choice(&self, name: &str) -> Result<Arc<Model>, Unresolved> {
        let agent = self.agent(name).filter(|agent| agent.config.model.is_none());
        agent.map_or_else(
            || self.resolve(name),
            |agent| Ok(Arc::new(Model::of_agent(name, agent))),
        )
    }

    /// The agent that a name of a model means (`a2a/NAME`), unless a model has that name.
    pub fn agent(&self, name: &str) -> Option<&Arc<Agent>> {
        let agent = name.strip_prefix(AGENTS)?;
        (!self.models.contains_key(name))
            .then(|| self.a2a.hub.agent(agent))
            .flatten()
    }

    /// Names that are here and look like this one: those of the configuration, and of what its providers are known to serve.
    fn near(&self, name: &str) -> Vec<String> {
        if name.len() > LONGEST {
            return Vec::new();
        }
        let mut known: Vec<&str> = self.models.keys().map(String::as_str).collect();
        for provider in self.providers.values() {
            let facts = self.catalog.models_of(&provider.kind);
            known.extend(facts.map(|model| &*model.id));
            known.extend(provider.listed.iter().map(String::as_str));
        }
        let likeness = |known| (strsim::jaro_winkler(name, known), known);
        let mut near: Vec<(f64, &str)> = known.into_iter().map(likeness).collect();
        near.retain(|(likeness, _)| *likeness >= ALIKE);
        near.sort_by(|one, other| other.0.total_cmp(&one.0).then(one.1.cmp(other.1)));
        near.dedup_by(|one, other| one.1 == other.1);
        near.into_iter()
            .take(MAX_NEAR)
            .map(|(_, known)| known.to_owned())
            .collect()
    }
}

impl Provider {
    /// What the catalog knows of a model here: in the provider's region, where that has an entry of its own.
    pub fn facts<'a>(&self, catalog: &'a Catalog, model: &str) -> Option<&'a pointsman_catalog::Model> {
        match &self.region {
            Some(region) => catalog.model_in(&self.kind, region, model),
            None => catalog.model(&self.kind, model),
        }
    }

    /// Whether it is known to serve the model.
    pub fn serves(&self, catalog: &Catalog, model: &str) -> bool {
        self.listed.iter().any(|listed| listed == model) || self.facts(catalog, model).is_some()
    }
}

#[cfg(test)]
mod tests {
    use pointsman_config::{Environment, parse};

    use crate::snapshot::{Lasting, compile};

    #[test]
    fn a_name_that_is_written_wrong_is_told_those_that_look_like_it() {
        let text = "providers: { openai: { auth: { api_key: a } } }\nmodels: { fast: { targets: [ { provider: openai, model: gpt-5-mini } ] } }\n";
        let config = parse(text, "p.yaml", &Environment::of(&[])).unwrap().config;
        let snapshot = compile(&config, &Lasting::default()).unwrap();
        let near = |name: &str| snapshot.resolve(name).err().unwrap().near;
        assert_eq!(near("fsat"), ["fast"]);
        assert_eq!(near("gpt-5-mni").first().map(String::as_str), Some("gpt-5-mini"));
        assert!(near("zebra").is_empty());
        assert!(near(&"fast".repeat(1_000)).is_empty());
    }
}
