//! From the name a client asked for to a model.

use std::sync::Arc;

use pointsman_catalog::Catalog;
use pointsman_wire::form::{Failure, FailureKind};

use super::{Fallback, Model, Provider, Snapshot, Target};

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
        })
    }

    /// Every model that a decision of the router may choose.
    pub fn routed_models(&self) -> impl Iterator<Item = Arc<Model>> {
        self.router
            .iter()
            .flat_map(|router| router.models())
            .filter_map(|name| self.resolve(name).ok())
    }

    fn near(&self, name: &str) -> Vec<String> {
        let mut near: Vec<(usize, String)> = self
            .models
            .keys()
            .map(|known| (distance(name, known), known.clone()))
            .filter(|(distance, known)| *distance <= known.len().max(name.len()) / 3)
            .collect();
        near.sort();
        near.truncate(3);
        near.into_iter().map(|(_, known)| known).collect()
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

/// Levenshtein distance over bytes, bounded by the names' lengths.
fn distance(left: &str, right: &str) -> usize {
    let right = right.as_bytes();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.bytes().take(128).enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in right.iter().enumerate() {
            let substituted = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[right.len()]
}
