//! Everything that can be asked, with whoever answers: the main model's heads, and further models in their place.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::{BoxFuture, try_join, try_join_all};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use pointsman_semantics::engine::{Engine, Question, Reading};
use pointsman_semantics::error::LoadError;
use pointsman_semantics::kernels::Machine;
use pointsman_semantics::load::normalise;
use pointsman_semantics::service::Counts;

use crate::answer::{Entity, HeadAnswer, Understood};
use crate::ask::{Ask, Wanted};
use crate::config::{Medium, Origin, Role, UnderstandingConfig, UnderstandingModelConfig};
use crate::failed::Failed;
use crate::lazy::{Lazy, Running, Shared};
use crate::model::{Classes, Model, Remotes, Vectors};
use crate::personal;
use crate::published::{AT_ONCE, Published};

/// The tagger of personal data.
const PII: &str = "pii";
/// The head that reads two texts: it says nothing of one.
const PAIR: &str = "pair";
/// The file of weights in a folder.
const FILE: &str = "understand.weights";

/// All models of a configuration.
pub struct Understanding {
    config: UnderstandingConfig,
    main: Arc<Lazy<Shared<Engine>>>,
    models: BTreeMap<String, Further>,
}

/// A further model.
struct Further {
    config: UnderstandingModelConfig,
    /// None for one at a provider.
    local: Option<Arc<Published>>,
}

/// Nobody is reached from here.
pub struct Nobody;

impl Remotes for Nobody {
    fn model(&self, _config: &UnderstandingModelConfig) -> Option<Box<dyn Model + '_>> {
        None
    }
}

/// A model that is asked, here or elsewhere.
enum Asked<'a> {
    Here(&'a Published),
    Elsewhere(Box<dyn Model + 'a>),
}

impl Asked<'_> {
    fn model(&self) -> &dyn Model {
        match self {
            Self::Here(published) => *published,
            Self::Elsewhere(model) => &**model,
        }
    }
}

/// The file that a configuration means; none for the shipped weights.
fn file_of(config: &UnderstandingConfig) -> Option<PathBuf> {
    (!config.is_shipped()).then(|| {
        let path = Path::new(&config.model);
        if path.is_dir() {
            path.join(FILE)
        } else {
            path.to_owned()
        }
    })
}

/// Loads the main model of a configuration.
///
/// # Errors
///
/// If its file can't be read, or is damaged.
pub fn load(config: &UnderstandingConfig) -> Result<Engine, LoadError> {
    match file_of(config) {
        None => Engine::from_file(crate::SHIPPED.name, crate::SHIPPED.bytes),
        Some(path) => {
            let bytes = std::fs::read(&path).map_err(|source| LoadError::Read {
                path: path.clone(),
                source,
            })?;
            Engine::from_file(&path.display().to_string(), &bytes)
        }
    }
}

impl Understanding {
    /// Nothing is loaded yet.
    #[must_use]
    pub fn new(config: &UnderstandingConfig) -> Self {
        Self::following(config, None)
    }

    /// With what an earlier one has loaded, where that is configured as before.
    #[must_use]
    pub fn following(config: &UnderstandingConfig, before: Option<&Self>) -> Self {
        let (settings, patience) = (config.settings(), config.deadline.get());
        let same_main = before
            .filter(|before| before.config.model == config.model && before.config.settings() == settings);
        let main = same_main
            .map(|before| Arc::clone(&before.main))
            .unwrap_or_else(|| {
                let own = config.clone();
                Arc::new(Lazy::new(&config.model, settings, move || {
                    load(&own).map_err(|error| Failed::load(&own.model, &error))
                }))
            });
        let models = config.models.iter().map(|(name, config)| {
            let kept = before
                .filter(|before| {
                    before.config.settings() == settings && before.config.deadline.get() == patience
                })
                .and_then(|before| before.models.get(name))
                .filter(|further| further.config == *config)
                .and_then(|further| further.local.clone());
            let is_here = !matches!(config.origin(), Some(Origin::Provider { .. }));
            let local =
                kept.or_else(|| is_here.then(|| Arc::new(Published::new(name, config, settings, patience))));
            let further = Further {
                config: config.clone(),
                local,
            };
            (name.clone(), further)
        });
        Self {
            main,
            models: models.collect(),
            config: config.clone(),
        }
    }

    /// How it is configured.
    #[must_use]
    pub fn config(&self) -> &UnderstandingConfig {
        &self.config
    }

    /// Loads the main model, if it was not before: the first request then need not wait for it.
    ///
    /// # Errors
    ///
    /// If it can't be loaded.
    pub async fn warm(&self) -> Result<(Arc<Engine>, Duration), Failed> {
        let running = self.main.get().await?;
        Ok((Arc::clone(&running.reader.0), running.loaded_in))
    }

    /// Counts of the main model since it was loaded, and texts that wait for it now; none before.
    #[must_use]
    pub fn counts(&self) -> Option<(Counts, usize)> {
        self.main.loaded().map(Running::counts)
    }

    /// Names of embedding models, with the provider's where they are at one: the shipped one first.
    pub fn embedding_models(&self) -> impl Iterator<Item = &str> {
        let further = self.models.iter();
        let further = further.filter(|(_, further)| further.config.role == Role::Embedding);
        std::iter::once(crate::SHIPPED.name).chain(further.map(|(name, _)| name.as_str()))
    }

    /// The configuration of a further model.
    #[must_use]
    pub fn further(&self, name: &str) -> Option<&UnderstandingModelConfig> {
        self.models.get(name).map(|further| &further.config)
    }

    /// A further model that is on this machine.
    #[must_use]
    pub fn published(&self, name: &str) -> Option<&Arc<Published>> {
        self.models.get(name)?.local.as_ref()
    }

    /// Who answers for a head in place of the main model.
    fn instead(&self, head: &str) -> Option<(&str, &Further)> {
        let mut all = self.models.iter();
        let found = all.find(|(_, further)| further.config.head.as_deref() == Some(head))?;
        Some((found.0, found.1))
    }

    fn asked<'a>(
        &'a self,
        name: &str,
        further: &'a Further,
        remotes: &'a dyn Remotes,
    ) -> Result<Asked<'a>, Failed> {
        if let Some(published) = &further.local {
            return Ok(Asked::Here(published));
        }
        let model = remotes.model(&further.config).ok_or_else(|| Failed::Provider {
            message: format!("the model {name:?} is at a provider, which is not reached from here"),
            transient: false,
        })?;
        Ok(Asked::Elsewhere(model))
    }

    /// Reads a text.
    ///
    /// # Errors
    ///
    /// If a head is not there, a model can't be loaded, too many wait, or the time is over.
    pub fn read<'a>(
        &'a self,
        text: &'a Arc<str>,
        ask: &'a Ask,
        remotes: &'a dyn Remotes,
    ) -> BoxFuture<'a, Result<Understood, Failed>> {
        Box::pin(self.read_all(text, ask, remotes))
    }

    async fn read_all(
        &self,
        text: &Arc<str>,
        ask: &Ask,
        remotes: &dyn Remotes,
    ) -> Result<Understood, Failed> {
        let begun = Instant::now();
        let names = self.names(ask).await?;
        let (instead, own): (Vec<&String>, Vec<&String>) =
            names.iter().partition(|name| self.instead(name).is_some());
        let mut others = Vec::with_capacity(instead.len());
        for name in instead {
            others.push(self.class_of(name, text, remotes));
        }
        let pii = self.instead(PII).filter(|_| ask.entities);
        let main = self.main_reading(text, &own, ask, pii.is_some());
        let ((mut read, others), spans) = try_join(try_join(main, try_join_all(others)), async {
            match pii {
                Some((name, further)) => {
                    let asked = self.asked(name, further, remotes)?;
                    asked.model().spans(Arc::clone(text)).await
                }
                None => Ok(Vec::new()),
            }
        })
        .await?;
        read.heads.extend(others);
        let place = |answer: &HeadAnswer| names.iter().position(|name| *name == answer.head);
        read.heads.sort_by_key(place);
        let spans = spans.into_iter();
        read.entities
            .extend(spans.map(|(kind, start, end, probability)| Entity {
                kind,
                start,
                end,
                probability,
                recognised: false,
            }));
        read.entities
            .retain(|entity| personal::is_plausible(text, entity));
        // A tagger of somebody's own tells names by itself.
        if ask.entities && pii.is_none() {
            read.entities = personal::named(text, read.entities).await?;
        }
        if ask.entities && !ask.unaided {
            read.entities = personal::found(text, read.entities).await?;
        }
        read.took = begun.elapsed();
        Ok(read)
    }

    /// Names of the heads that are asked. The main model is loaded only where it knows what all of them are.
    async fn names(&self, ask: &Ask) -> Result<Vec<String>, Failed> {
        match &ask.heads {
            Wanted::None => Ok(Vec::new()),
            Wanted::Named(names) => Ok(names.clone()),
            Wanted::All => {
                let (engine, _) = self.warm().await?;
                let mut names: Vec<String> =
                    engine.heads().iter().map(|(head, _)| head.name.clone()).collect();
                names.retain(|name| name != PAIR);
                let further = self.models.values();
                let further = further.filter(|further| further.config.role == Role::Texts);
                for head in further.filter_map(|further| further.config.head.as_ref()) {
                    if !names.contains(head) {
                        names.push(head.clone());
                    }
                }
                Ok(names)
            }
        }
    }

    fn class_of<'a>(
        &'a self,
        head: &'a str,
        text: &'a Arc<str>,
        remotes: &'a dyn Remotes,
    ) -> BoxFuture<'a, Result<HeadAnswer, Failed>> {
        Box::pin(async move {
            let Some((name, further)) = self.instead(head) else {
                return Err(Failed::unknown("head", head, std::iter::empty()));
            };
            let asked = self.asked(name, further, remotes)?;
            let classes = asked.model().classes(Arc::clone(text)).await?;
            let config = &further.config;
            let point = config.positive.as_deref();
            let point = point.map(|label| (label, config.threshold));
            Ok(HeadAnswer::of_model(head, classes, point))
        })
    }

    /// What the main model says of the heads that nobody else answers for.
    async fn main_reading(
        &self,
        text: &Arc<str>,
        heads: &[&String],
        ask: &Ask,
        spans_elsewhere: bool,
    ) -> Result<Understood, Failed> {
        let spans = ask.entities && !spans_elsewhere;
        if heads.is_empty() && !spans && !ask.embedding {
            return Ok(Understood::default());
        }
        let running = self.main.get().await?;
        let engine = &running.reader.0;
        let places = heads.iter().map(|name| {
            let known = engine.heads().iter().map(|(head, _)| head.name.as_str());
            engine
                .head(name)
                .ok_or_else(|| Failed::unknown("head", name, known))
        });
        let question = Question {
            heads: places.collect::<Result<_, _>>()?,
            spans,
            embedding: ask.embedding,
            thorough: ask.thorough,
        };
        let reading = running
            .read(Arc::clone(text), question, self.config.deadline.get())
            .await?;
        Ok(named(engine, &reading))
    }

    /// Vectors of texts, by the model of this name.
    ///
    /// # Errors
    ///
    /// If there is no such embedding model, or as [`Understanding::read`].
    pub fn embed<'a>(
        &'a self,
        name: &'a str,
        texts: Vec<Arc<str>>,
        dimensions: Option<usize>,
        remotes: &'a dyn Remotes,
    ) -> BoxFuture<'a, Result<Vectors, Failed>> {
        Box::pin(self.embed_by(name, texts, dimensions, remotes))
    }

    async fn embed_by(
        &self,
        name: &str,
        texts: Vec<Arc<str>>,
        dimensions: Option<usize>,
        remotes: &dyn Remotes,
    ) -> Result<Vectors, Failed> {
        if name == crate::SHIPPED.name {
            return self.embed_here(texts, dimensions).await;
        }
        let further = self.models.get(name);
        let Some(further) = further.filter(|further| further.config.role == Role::Embedding) else {
            return Err(Failed::unknown("embedding model", name, self.embedding_models()));
        };
        let asked = self.asked(name, further, remotes)?;
        asked
            .model()
            .vectors(texts, dimensions.or(further.config.dimensions))
            .await
    }

    /// The model of vectors that reads a medium; the first by its name.
    #[must_use]
    pub fn reader_of(&self, medium: Medium) -> Option<&str> {
        let mut all = self.models.iter();
        let found = all.find(|(_, further)| further.config.reads.contains(&medium))?;
        Some(found.0)
    }

    /// The vector of an image or of sound, by the model of this name that reads it.
    ///
    /// # Errors
    ///
    /// If there is no such model, or as [`Understanding::read`].
    pub fn see<'a>(
        &'a self,
        name: &'a str,
        (medium, address): (Medium, Arc<str>),
        remotes: &'a dyn Remotes,
    ) -> BoxFuture<'a, Result<Vectors, Failed>> {
        Box::pin(async move {
            let further = self.models.get(name);
            let Some(further) = further.filter(|further| further.config.reads.contains(&medium)) else {
                return Err(Failed::unknown("embedding model", name, self.embedding_models()));
            };
            let asked = self.asked(name, further, remotes)?;
            asked.model().seen(medium, address).await
        })
    }

    /// Classes of a text, by the further model of this name.
    ///
    /// # Errors
    ///
    /// If there is no such model of texts, or as [`Understanding::read`].
    pub fn classify<'a>(
        &'a self,
        name: &'a str,
        text: Arc<str>,
        remotes: &'a dyn Remotes,
    ) -> BoxFuture<'a, Result<Classes, Failed>> {
        Box::pin(async move {
            let of_texts = |further: &&Further| further.config.role == Role::Texts;
            let Some(further) = self.models.get(name).filter(of_texts) else {
                let all = self.models.iter().filter(|(_, further)| of_texts(further));
                return Err(Failed::unknown(
                    "model of texts",
                    name,
                    all.map(|(name, _)| name.as_str()),
                ));
            };
            let asked = self.asked(name, further, remotes)?;
            asked.model().classes(text).await
        })
    }

    /// By the main model.
    async fn embed_here(&self, texts: Vec<Arc<str>>, dimensions: Option<usize>) -> Result<Vectors, Failed> {
        let ask = Ask::embedding();
        let mut each: Vec<BoxFuture<'_, Result<Understood, Failed>>> = Vec::with_capacity(texts.len());
        for text in &texts {
            each.push(Box::pin(self.main_reading(text, &[], &ask, false)));
        }
        let all: Vec<Understood> = stream::iter(each).buffered(AT_ONCE).try_collect().await?;
        let tokens = all.iter().map(|read| read.tokens as u64).sum();
        let vectors = all.into_iter().map(|read| {
            let vector = read.embedding.unwrap_or_default();
            shortened(vector, dimensions)
        });
        Ok(Vectors {
            vectors: vectors.collect::<Result<_, _>>()?,
            tokens,
        })
    }
}

/// The first dimensions of a vector, of length 1 again.
fn shortened(mut vector: Vec<f32>, dimensions: Option<usize>) -> Result<Vec<f32>, Failed> {
    let Some(wanted) = dimensions.filter(|wanted| *wanted != vector.len()) else {
        return Ok(vector);
    };
    if wanted == 0 || wanted > vector.len() {
        return Err(Failed::Ask {
            name: crate::SHIPPED.name.to_owned(),
            problem: format!("{wanted} dimensions were asked for, and it has {}", vector.len()),
        });
    }
    vector.truncate(wanted);
    normalise(Machine::detect(), &mut vector);
    Ok(vector)
}

/// A reading of the main model, by name.
fn named(engine: &Engine, reading: &Reading) -> Understood {
    let heads = reading.answers.iter().filter_map(|(place, answer, stage)| {
        let (head, _) = engine.heads().get(*place)?;
        Some(HeadAnswer::of_head(head, answer, *stage))
    });
    let entities = reading.spans.iter().filter_map(|found| {
        let tagger = engine.taggers().get(found.tagger)?;
        Some(Entity {
            kind: tagger.tagger.classes.kinds.get(found.span.kind)?.clone(),
            start: found.span.start,
            end: found.span.end,
            probability: found.span.probability,
            recognised: false,
        })
    });
    Understood {
        heads: heads.collect(),
        entities: entities.collect(),
        embedding: reading.embedding.clone(),
        tokens: reading.tokens,
        cut: reading.cut,
        took: Duration::ZERO,
    }
}
