//! The catalog as a whole: finding providers and models by any of their names.

use std::collections::{BTreeMap, HashMap};
use std::sync::OnceLock;

use crate::listing::Listing;
use crate::model::{Model, ModelFacts};
use crate::names;
use crate::packed::{self, Packed, Unreadable};
use crate::provider::{Provider, ProviderFacts};

/// Providers and their models: those of the binary, under those of a configuration.
#[derive(Debug)]
pub struct Catalog {
    shelves: Vec<Shelf>,
    /// Place of each provider by id and by alias.
    places: HashMap<Box<str>, usize>,
}

/// A provider and its models.
#[derive(Debug)]
struct Shelf {
    provider: Provider,
    /// What a configuration says; asked first.
    own: Listing,
    /// What the binary says; of the catalog in the binary, read when first asked for.
    stock: Stock,
}

#[derive(Debug)]
enum Stock {
    None,
    Packed(OnceLock<Listing>, Packed),
    Shared(&'static Shelf),
}

impl std::fmt::Debug for Packed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Packed")
    }
}

impl Shelf {
    fn stock(&self) -> &Listing {
        static NOTHING: OnceLock<Listing> = OnceLock::new();
        match &self.stock {
            Stock::None => NOTHING.get_or_init(Listing::default),
            // A test reads every file; a file that cannot be read does not leave the house.
            Stock::Packed(listing, packed) => {
                listing.get_or_init(|| packed::listing(*packed).unwrap_or_default())
            }
            Stock::Shared(shelf) => shelf.stock(),
        }
    }

    fn find(&self, parts: &[&str]) -> Option<&Model> {
        self.own.find(parts).or_else(|| self.stock().find(parts))
    }

    fn models(&self) -> impl Iterator<Item = &Model> {
        let own = &self.own;
        let hidden = |model: &&Model| own.find(&[&model.id]).is_none();
        own.models()
            .iter()
            .chain(self.stock().models().iter().filter(hidden))
    }
}

/// A catalog of one's own, over the one in the binary.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Additions {
    /// Providers by id: new ones, or other facts of known ones.
    pub providers: BTreeMap<String, ProviderFacts>,
    /// Models by provider and id: new ones, or other facts of known ones.
    pub models: BTreeMap<String, BTreeMap<String, ModelFacts>>,
}

impl Catalog {
    /// The catalog that is part of the binary. Its providers are read when it is first asked for, the models of a
    /// provider when they are.
    #[must_use]
    pub fn embedded() -> &'static Self {
        static CATALOG: OnceLock<Catalog> = OnceLock::new();
        CATALOG.get_or_init(|| Self::read().unwrap_or_else(|_| Self::of(Vec::new())))
    }

    fn read() -> Result<Self, Unreadable> {
        let shelves = packed::providers()?.into_iter().map(|provider| {
            let packed = packed::MODELS.iter().find(|(name, _)| *name == provider.id);
            Shelf {
                provider,
                own: Listing::default(),
                stock: packed.map_or(Stock::None, |(_, packed)| Stock::Packed(OnceLock::new(), *packed)),
            }
        });
        Ok(Self::of(shelves.collect()))
    }

    fn of(shelves: Vec<Shelf>) -> Self {
        let mut places = HashMap::new();
        for (at, shelf) in shelves.iter().enumerate() {
            let provider = &shelf.provider;
            places.insert(provider.id.as_str().into(), at);
            for alias in &provider.aliases {
                places.entry(alias.as_str().into()).or_insert(at);
            }
        }
        Self { shelves, places }
    }

    /// The catalog of the binary with a configuration's additions over it.
    #[must_use]
    pub fn with(additions: &Additions) -> Self {
        let embedded = Self::embedded();
        let canonical = |name: &str| {
            embedded
                .provider(name)
                .map_or(name, |known| known.id.as_str())
                .to_owned()
        };
        let mut facts: HashMap<String, &ProviderFacts> = HashMap::new();
        for (name, provider) in &additions.providers {
            facts.insert(canonical(name), provider);
        }
        let mut models: HashMap<String, Vec<(&String, &ModelFacts)>> = HashMap::new();
        for (name, all) in &additions.models {
            models.entry(canonical(name)).or_default().extend(all);
        }
        let own = |id: &str, stock: Option<&'static Shelf>, models: &mut HashMap<String, Vec<_>>| {
            let said: Vec<(&String, &ModelFacts)> = models.remove(id).unwrap_or_default();
            Listing::new(said.into_iter().map(|(id, facts)| {
                let known = stock.and_then(|stock| stock.find(&[id]));
                (facts.clone().over(id, known), facts.aliases.clone())
            }))
        };
        let mut shelves: Vec<Shelf> = Vec::new();
        for shelf in &embedded.shelves {
            let known = &shelf.provider;
            shelves.push(Shelf {
                provider: facts
                    .remove(&known.id)
                    .map_or_else(|| known.clone(), |facts| facts.over(&known.id, Some(known))),
                own: own(&known.id, Some(shelf), &mut models),
                stock: Stock::Shared(shelf),
            });
        }
        let mut new: Vec<(String, &ProviderFacts)> = facts.into_iter().collect();
        new.sort_by(|left, right| left.0.cmp(&right.0));
        for (id, facts) in new {
            shelves.push(Shelf {
                provider: facts.over(&id, None),
                own: own(&id, None, &mut models),
                stock: Stock::None,
            });
        }
        Self::of(shelves)
    }

    /// All providers: those that make models first, resellers and additions last.
    pub fn providers(&self) -> impl Iterator<Item = &Provider> {
        self.shelves.iter().map(|shelf| &shelf.provider)
    }

    fn shelf(&self, provider: &str) -> Option<&Shelf> {
        self.shelves.get(*self.places.get(provider)?)
    }

    /// The provider with this id or alias.
    #[must_use]
    pub fn provider(&self, id: &str) -> Option<&Provider> {
        Some(&self.shelf(id)?.provider)
    }

    /// The place of a provider among all: where several serve a model, the first is asked.
    #[must_use]
    pub fn rank(&self, provider: &str) -> usize {
        self.places.get(provider).copied().unwrap_or(usize::MAX)
    }

    /// The models of a provider, variants included.
    pub fn models_of(&self, provider: &str) -> impl Iterator<Item = &Model> {
        self.shelf(provider).into_iter().flat_map(Shelf::models)
    }

    /// A model of a provider, by any way its name is written: its id or an alias; with the provider before it
    /// (`openai/gpt-5`); with a date behind it (`-2025-08-07`, `-20250807`) or a version (`@20250929`, `@default`);
    /// with an inference profile before it (`eu.`, `us.`, `apac.`, `global.`, …); as a resource name or fine-tuned
    /// model. The most special name that is listed wins.
    #[must_use]
    pub fn model(&self, provider: &str, id: &str) -> Option<&Model> {
        let shelf = self.shelf(provider)?;
        names::candidates(&shelf.provider, id).find_map(|id| shelf.find(&[id]))
    }

    /// The same, as it is served in a region: the region's own entry where there is one.
    #[must_use]
    pub fn model_in(&self, provider: &str, region: &str, id: &str) -> Option<&Model> {
        let shelf = self.shelf(provider)?;
        names::candidates(&shelf.provider, id)
            .find_map(|id| shelf.find(&[region, id]))
            .or_else(|| self.model(provider, id))
    }

    /// An image model's entry for a quality and a size such as `high` and `1024x1536`, or the one of as much of that
    /// as is listed.
    #[must_use]
    pub fn image(&self, provider: &str, id: &str, quality: &str, size: &str) -> Option<&Model> {
        let shelf = self.shelf(provider)?;
        let (width, height) = size.split_once('x').unwrap_or((size, ""));
        let spaced = |name: &str, quality: &str| {
            // Names of sizes are written `1024-x-1536`: joined on the stack, for the few bytes they have.
            let mut buffer = [0_u8; 24];
            let mut length = 0;
            for part in [width, "-x-", height] {
                buffer
                    .get_mut(length..length + part.len())?
                    .copy_from_slice(part.as_bytes());
                length += part.len();
            }
            let size = std::str::from_utf8(buffer.get(..length)?).ok()?;
            if quality.is_empty() {
                shelf.find(&[size, name])
            } else {
                shelf.find(&[quality, size, name])
            }
        };
        names::candidates(&shelf.provider, id)
            .find_map(|id| {
                spaced(id, quality)
                    .or_else(|| spaced(id, ""))
                    .or_else(|| shelf.find(&[quality, id]))
            })
            .or_else(|| self.model(provider, id))
    }

    /// A model by a name that may say its provider (`bedrock/eu.anthropic.…`); else that of the first provider that
    /// lists it.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<(&Provider, &Model)> {
        let qualified = || {
            let (provider, id) = name.split_once('/')?;
            Some((self.provider(provider)?, self.model(provider, id)?))
        };
        qualified().or_else(|| {
            self.shelves.iter().find_map(|shelf| {
                let model = names::candidates(&shelf.provider, name).find_map(|id| shelf.find(&[id]))?;
                Some((&shelf.provider, model))
            })
        })
    }
}
