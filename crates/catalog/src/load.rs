//! The catalog as a whole, from the data files in the binary.

use std::collections::HashMap;
use std::sync::OnceLock;

use crate::model::Model;
use crate::provider::Provider;

/// Providers and their models.
#[derive(Debug)]
pub struct Catalog {
    providers: Vec<Provider>,
    models: HashMap<String, Vec<Model>>,
}

const PROVIDERS: &str = include_str!("../data/providers.json");

/// One file for each provider that the catalog knows models of.
const MODELS: [(&str, &str); 12] = [
    ("anthropic", include_str!("../data/models/anthropic.json")),
    ("cerebras", include_str!("../data/models/cerebras.json")),
    ("deepinfra", include_str!("../data/models/deepinfra.json")),
    ("deepseek", include_str!("../data/models/deepseek.json")),
    ("fireworks", include_str!("../data/models/fireworks.json")),
    ("groq", include_str!("../data/models/groq.json")),
    ("mistral", include_str!("../data/models/mistral.json")),
    ("openai", include_str!("../data/models/openai.json")),
    ("perplexity", include_str!("../data/models/perplexity.json")),
    ("sambanova", include_str!("../data/models/sambanova.json")),
    ("together", include_str!("../data/models/together.json")),
    ("xai", include_str!("../data/models/xai.json")),
];

impl Catalog {
    /// The catalog that is part of the binary; read when first asked for.
    #[must_use]
    pub fn embedded() -> &'static Self {
        static CATALOG: OnceLock<Catalog> = OnceLock::new();
        CATALOG.get_or_init(|| {
            let empty = || Self {
                providers: Vec::new(),
                models: HashMap::new(),
            };
            // A test reads every file; a catalog that cannot be read does not leave the house.
            Self::read(PROVIDERS, &MODELS).unwrap_or_else(|_| empty())
        })
    }

    fn read(providers: &str, models: &[(&str, &str)]) -> Result<Self, serde_json::Error> {
        let mut all = HashMap::new();
        for (provider, text) in models {
            all.insert((*provider).to_owned(), serde_json::from_str(text)?);
        }
        Ok(Self {
            providers: serde_json::from_str(providers)?,
            models: all,
        })
    }

    /// All providers.
    #[must_use]
    pub fn providers(&self) -> &[Provider] {
        &self.providers
    }

    /// The provider with this id.
    #[must_use]
    pub fn provider(&self, id: &str) -> Option<&Provider> {
        self.providers.iter().find(|provider| provider.id == id)
    }

    /// The models of a provider.
    pub fn models_of(&self, provider: &str) -> impl Iterator<Item = &Model> {
        self.models.get(provider).into_iter().flatten()
    }

    /// A model of a provider, by its id or by its id with a date behind it (`-2025-08-07`, `-20250807`).
    #[must_use]
    pub fn model(&self, provider: &str, id: &str) -> Option<&Model> {
        let models = self.models.get(provider)?;
        let find = |id: &str| models.iter().find(|model| model.id == id);
        find(id).or_else(|| find(undated(id)?))
    }
}

/// The id without the date it ends with.
fn undated(id: &str) -> Option<&str> {
    let is_date = |tail: &str| {
        tail.bytes().filter(u8::is_ascii_digit).count() == 8
            && tail.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-')
    };
    [9, 11].into_iter().find_map(|length| {
        let at = id.len().checked_sub(length)?;
        let (head, tail) = (id.get(..at)?, id.get(at..)?);
        tail.strip_prefix('-').is_some_and(is_date).then_some(head)
    })
}

#[cfg(test)]
mod tests {
    use pointsman_wire::format::Format;

    use super::*;

    #[test]
    fn every_file_can_be_read_and_makes_sense() {
        let catalog = Catalog::read(PROVIDERS, &MODELS).unwrap();
        assert!(catalog.providers.len() >= 20);
        for provider in &catalog.providers {
            assert!(!provider.formats.is_empty(), "{}", provider.id);
            for name in provider.formats.keys() {
                assert!(Format::from_name(name).is_some(), "{}: {name}", provider.id);
            }
        }
        for (provider, _) in MODELS {
            assert!(
                catalog.provider(provider).is_some(),
                "models of an unknown provider {provider}"
            );
        }
        let models: usize = catalog.models.values().map(Vec::len).sum();
        assert!(models > 500, "{models}");
    }

    #[test]
    fn dated_names_are_the_same_model() {
        let catalog = Catalog::embedded();
        let model = catalog.model("openai", "gpt-5-mini").unwrap();
        assert_eq!(model.price.unwrap().input.per_million().usd_decimal(), "0.25");
        assert!(catalog.model("openai", "gpt-5-mini-2031-08-07").is_some());
        assert!(catalog.model("anthropic", "claude-haiku-4-5").is_some());
        assert!(catalog.model("openai", "gpt-5-minimal").is_none());
    }
}
