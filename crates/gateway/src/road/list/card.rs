//! What is known of a model that clients can ask for, and how each format tells it.

use std::collections::BTreeMap;

use pointsman_catalog::{Entry, Feature, Kind, Model as Facts, Price, Rate, RateKind, ServiceTier};
use pointsman_wire::format::Format;
use serde_json::{Map, Value, json};

use crate::snapshot::{Model, Snapshot};

/// A model that clients can ask for.
pub struct Card<'a> {
    id: String,
    /// Who serves it.
    owner: String,
    /// What the catalog says of it.
    facts: Option<&'a Facts>,
    /// What it costs.
    price: Option<Price>,
    /// It gives vectors, and is on this machine.
    embeds: bool,
}

impl<'a> Card<'a> {
    /// Every model, by name: the configuration's, the router's, and what providers are known to serve.
    pub fn all(snapshot: &'a Snapshot) -> Vec<Self> {
        let mut cards = BTreeMap::new();
        // A pattern is not a name that could be asked for.
        for model in snapshot.models.values() {
            cards.insert(model.name.clone(), Self::configured(snapshot, model));
        }
        if let Some(router) = &snapshot.router {
            for name in router.names() {
                cards.insert(name.clone(), Self::unknown(name, "pointsman"));
            }
        }
        let mut providers: Vec<_> = snapshot.providers.values().collect();
        providers.sort_unstable_by_key(|provider| &provider.name);
        for provider in providers {
            for facts in snapshot.catalog.models_of(&provider.kind) {
                if facts.variant {
                    continue;
                }
                cards.entry(facts.id.to_string()).or_insert_with(|| Self {
                    id: facts.id.to_string(),
                    owner: provider.name.clone(),
                    facts: Some(facts),
                    price: facts.price.clone(),
                    embeds: false,
                });
            }
            for name in &provider.listed {
                cards
                    .entry(name.clone())
                    .or_insert_with(|| Self::unknown(name, &provider.name));
            }
        }
        for name in snapshot.understanding.embedding_models() {
            cards.entry(name.to_owned()).or_insert_with(|| Self::here(name));
        }
        cards.into_values().collect()
    }

    /// The model of this name, if there is one.
    pub fn of(snapshot: &'a Snapshot, name: &str) -> Option<Self> {
        if snapshot.is_routed(name) {
            return Some(Self::unknown(name, "pointsman"));
        }
        let mut own = snapshot.understanding.embedding_models();
        if !snapshot.models.contains_key(name) && own.any(|own| own == name) {
            return Some(Self::here(name));
        }
        snapshot
            .resolve(name)
            .ok()
            .map(|model| Self::configured(snapshot, &model))
    }

    fn configured(snapshot: &'a Snapshot, model: &Model) -> Self {
        let mut providers = model.targets.iter().filter(|target| target.agent.is_none());
        let Some(target) = providers.next() else {
            let owner = if model.meets_agents { "a2a" } else { "pointsman" };
            return Self::unknown(&model.name, owner);
        };
        Self {
            id: model.name.clone(),
            owner: target.provider.name.clone(),
            facts: target.provider.facts(&snapshot.catalog, &target.model),
            price: target.price.clone(),
            embeds: false,
        }
    }

    fn unknown(name: &str, owner: &str) -> Self {
        Self {
            id: name.to_owned(),
            owner: owner.to_owned(),
            facts: None,
            price: None,
            embeds: false,
        }
    }

    /// An agent, as a model.
    pub fn agent(name: &str) -> Self {
        Self::unknown(name, "a2a")
    }

    /// An embedding model on this machine, which is free.
    fn here(name: &str) -> Self {
        let free = Entry {
            kind: RateKind::Input,
            tier: ServiceTier::Standard,
            above: 0,
            rate: Rate::default(),
        };
        Self {
            price: Some(Price::new([free])),
            embeds: true,
            ..Self::unknown(name, "pointsman")
        }
    }

    /// The same, under a name that stands for it.
    pub fn called(self, name: &str) -> Self {
        Self {
            id: name.to_owned(),
            ..self
        }
    }

    /// The name clients ask for.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// As a format tells it; what is not known is left out.
    pub fn shaped(&self, format: Format) -> Value {
        let mut told = Map::new();
        match format {
            Format::AnthropicMessages => self.anthropic(&mut told),
            Format::GeminiGenerate => self.gemini(&mut told),
            _ => self.openai(&mut told),
        }
        if let Some(price) = &self.price {
            told.insert("pricing".to_owned(), pricing(price));
        }
        Value::Object(told)
    }

    fn openai(&self, told: &mut Map<String, Value>) {
        told.insert("id".to_owned(), self.id.as_str().into());
        told.insert("object".to_owned(), "model".into());
        told.insert("created".to_owned(), 0.into());
        told.insert("owned_by".to_owned(), self.owner.as_str().into());
        let Some(facts) = self.facts else { return };
        known(told, "context_window", facts.context_window);
        known(told, "max_output_tokens", facts.max_output);
        if !facts.features.is_empty() {
            let features: Vec<&str> = facts.features.iter().map(Feature::name).collect();
            told.insert("capabilities".to_owned(), features.into());
        }
    }

    fn anthropic(&self, told: &mut Map<String, Value>) {
        told.insert("type".to_owned(), "model".into());
        told.insert("id".to_owned(), self.id.as_str().into());
        told.insert("display_name".to_owned(), self.id.as_str().into());
        told.insert("created_at".to_owned(), "1970-01-01T00:00:00Z".into());
        let Some(facts) = self.facts else { return };
        known(told, "max_input_tokens", facts.context_window);
        known(told, "max_tokens", facts.max_output);
    }

    fn gemini(&self, told: &mut Map<String, Value>) {
        let converses = !self.embeds && self.facts.is_none_or(|facts| facts.kind == Kind::Chat);
        let methods = if self.embeds {
            json!(["embedContent", "batchEmbedContents"])
        } else if converses {
            json!(["generateContent", "streamGenerateContent", "countTokens"])
        } else {
            json!([])
        };
        told.insert("name".to_owned(), ["models/", &self.id].concat().into());
        told.insert("version".to_owned(), "".into());
        told.insert("displayName".to_owned(), self.id.as_str().into());
        told.insert("supportedGenerationMethods".to_owned(), methods);
        let Some(facts) = self.facts else { return };
        known(told, "inputTokenLimit", facts.context_window);
        known(told, "outputTokenLimit", facts.max_output);
        if facts.features.has(Feature::Reasoning) {
            told.insert("thinking".to_owned(), true.into());
        }
    }
}

fn known(told: &mut Map<String, Value>, name: &str, number: Option<u64>) {
    if let Some(number) = number {
        told.insert(name.to_owned(), number.into());
    }
}

/// The rates of the standard tier: dollars for a million tokens, or for one piece, as exact decimals.
fn pricing(price: &Price) -> Value {
    let listed = price
        .entries()
        .iter()
        .filter(|entry| entry.tier == ServiceTier::Standard && entry.above == 0);
    let told = listed.map(|entry| {
        let name = entry.kind.name();
        let amount = if name.starts_with("per_") {
            entry.rate.each_decimal()
        } else {
            entry.rate.per_million().usd_decimal()
        };
        (name.to_owned(), amount.into())
    });
    Value::Object(told.collect())
}

#[cfg(test)]
impl Card<'_> {
    /// A card of which nothing but the name is known.
    pub fn named(name: &str) -> Self {
        Self::unknown(name, "test")
    }
}

#[cfg(test)]
mod tests {
    use pointsman_catalog::Catalog;

    use super::*;

    fn card() -> Card<'static> {
        let facts = Catalog::embedded().model("openai", "gpt-5-mini").unwrap();
        Card {
            id: "fast".to_owned(),
            owner: "openai".to_owned(),
            facts: Some(facts),
            price: facts.price.clone(),
            embeds: false,
        }
    }

    #[test]
    fn every_format_tells_what_is_known_in_its_own_words() {
        let openai = card().shaped(Format::OpenAiChat);
        assert_eq!(openai["id"], "fast");
        assert_eq!(openai["owned_by"], "openai");
        assert!(openai["context_window"].is_u64() && openai["capabilities"].is_array());
        assert_eq!(openai["pricing"]["input"], "0.25");
        let anthropic = card().shaped(Format::AnthropicMessages);
        assert_eq!(
            (&anthropic["type"], &anthropic["display_name"]),
            (&"model".into(), &"fast".into())
        );
        assert_eq!(anthropic["max_input_tokens"], openai["context_window"]);
        let gemini = card().shaped(Format::GeminiGenerate);
        assert_eq!(gemini["name"], "models/fast");
        assert_eq!(gemini["outputTokenLimit"], openai["max_output_tokens"]);
        assert_eq!(gemini["supportedGenerationMethods"][0], "generateContent");
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let told = Card::unknown("x", "y").shaped(Format::GeminiGenerate);
        assert!(told.get("inputTokenLimit").is_none() && told.get("pricing").is_none());
    }
}
