//! Models as published, in folders or in the hub's cache, behind services of their own.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use pointsman_semantics::classify::{Across, Span};
use pointsman_semantics::error::LoadError;
use pointsman_semantics::linear::Precision;
use pointsman_semantics::load::{self, AskError, AskRoom, Options, Task};
use pointsman_semantics::service::{Reader, Settings};

use crate::config::{Medium, Origin, Role, UnderstandingModelConfig, WeightsKept};
use crate::failed::Failed;
use crate::lazy::{Lazy, Shared};
use crate::model::{Classes, Model, Spans, Vectors};

/// Texts of one request that are asked at a time.
pub(crate) const AT_ONCE: usize = 16;
/// Tokens that are counted of a text.
const COUNTED: usize = 131_072;

/// A published model on this machine.
pub struct Published {
    name: String,
    patience: Duration,
    config: UnderstandingModelConfig,
    lazy: Lazy<Shared<Loaded>>,
}

/// What was loaded.
pub struct Loaded {
    /// The model.
    pub model: load::Model,
}

/// What is asked of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Question {
    /// Classes of the text.
    Classes,
    /// Spans with at least this probability, in bits.
    Spans(u32),
    /// A vector of so many dimensions, behind so many blocks.
    Vector(Option<usize>, Option<usize>),
}

/// What it says.
#[derive(Debug)]
pub enum Reading {
    /// Probabilities.
    Classes(Vec<f32>),
    /// Spans, and what kinds are called.
    Spans(Vec<Span>, Vec<String>),
    /// A vector, and tokens of the text.
    Vector(Vec<f32>, u64),
}

impl Loaded {
    /// Attacks hide in one window; what a text is about is said by all.
    fn across(&self) -> Across {
        match &self.model.purpose.task {
            Task::Sequence {
                independent: true, ..
            } => Across::Any,
            _ => Across::Weighted,
        }
    }

    fn ask(&self, text: &str, question: &Question, room: &mut AskRoom) -> Result<Reading, AskError> {
        let one = [text];
        match question {
            Question::Classes => {
                let all = self.model.classify(&one, self.across(), room)?;
                Ok(Reading::Classes(all.into_iter().next().unwrap_or_default()))
            }
            Question::Spans(threshold) => {
                let (spans, kinds) = self.model.spans(text, f32::from_bits(*threshold), room)?;
                Ok(Reading::Spans(spans, kinds))
            }
            Question::Vector(dimensions, blocks) => {
                let all = self.model.embed(&one, (*dimensions, *blocks), room)?;
                let tokens = self.model.tokenizer.pieces(text, COUNTED).tokens.len();
                Ok(Reading::Vector(
                    all.into_iter().next().unwrap_or_default(),
                    tokens as u64,
                ))
            }
        }
    }

    /// What its classes are called; none where it has none.
    #[must_use]
    pub fn labels(&self) -> &[String] {
        match &self.model.purpose.task {
            Task::Sequence { labels, .. } | Task::Tokens { labels } => labels,
            Task::Embed { .. } => &[],
        }
    }

    /// What it is for.
    #[must_use]
    pub fn role(&self) -> Role {
        match &self.model.purpose.task {
            Task::Sequence { .. } => Role::Texts,
            Task::Tokens { .. } => Role::Tokens,
            Task::Embed { .. } => Role::Embedding,
        }
    }

    /// Dimensions of its vectors.
    #[must_use]
    pub fn dimensions(&self) -> usize {
        let last = self.model.purpose.layers.last();
        last.map_or(self.model.encoder.width, |layer| layer.linear.outputs())
    }
}

impl Reader for Loaded {
    type Question = Question;
    type Reading = Result<Reading, AskError>;
    type Room = AskRoom;

    fn read(&self, texts: &[(&str, &Question)], room: &mut AskRoom) -> Vec<Self::Reading> {
        let each = texts.iter();
        each.map(|(text, question)| self.ask(text, question, room))
            .collect()
    }
}

/// The folder of the hub's cache: `HF_HUB_CACHE`, `HF_HOME/hub`, or `~/.cache/huggingface/hub`.
#[must_use]
pub fn hub_cache() -> Option<PathBuf> {
    let set = |name: &str| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    set("HF_HUB_CACHE")
        .or_else(|| set("HF_HOME").map(|home| home.join("hub")))
        .or_else(|| set("XDG_CACHE_HOME").map(|cache| cache.join("huggingface/hub")))
        .or_else(|| set("HOME").map(|home| home.join(".cache/huggingface/hub")))
}

/// The folder of a model of the hub, if it was fetched before.
#[must_use]
pub fn in_hub_cache(name: &str) -> Option<PathBuf> {
    load::cached(&hub_cache()?, name)
}

/// Loads the model of a configuration, and checks that it is for what the configuration says.
///
/// # Errors
///
/// If it is not there, is damaged, or is for something else.
pub fn load(name: &str, config: &UnderstandingModelConfig) -> Result<Loaded, Failed> {
    let bad = |problem: String| Failed::Load {
        name: name.to_owned(),
        problem,
    };
    let folder = match config.origin() {
        Some(Origin::Folder(folder)) => folder.clone(),
        Some(Origin::Hub(hub)) => in_hub_cache(hub).ok_or_else(|| {
            bad(format!(
                "it is not in the hub's cache; `pointsman models pull {hub}` fetches it"
            ))
        })?,
        _ => return Err(bad("it is not on this machine".to_owned())),
    };
    let loaded = load_folder(&folder, config.weights, config.window, &config.adapters)
        .map_err(|error| Failed::load(name, &error))?;
    if loaded.role() != config.role {
        return Err(bad(format!(
            "the configuration says `role: {}`, but it is a model of `{}`",
            config.role.name(),
            loaded.role().name()
        )));
    }
    if let Some(positive) = config
        .positive
        .as_ref()
        .filter(|label| !loaded.labels().contains(label))
    {
        return Err(bad(format!(
            "`positive: {positive}` is none of its labels: {}",
            loaded.labels().join(", ")
        )));
    }
    Ok(loaded)
}

/// Loads the model in a folder, whatever it is for.
///
/// # Errors
///
/// If it is damaged, or can't be loaded.
pub fn load_folder(
    folder: &Path,
    weights: WeightsKept,
    window: usize,
    adapters: &[PathBuf],
) -> Result<Loaded, LoadError> {
    let options = Options {
        precision: match weights {
            WeightsKept::Bytes => Precision::Int8,
            WeightsKept::Floats => Precision::Float,
        },
        longest: window,
        adapters: adapters.to_vec(),
    };
    load::load(folder, &options).map(|model| Loaded { model })
}

impl Published {
    /// Loaded when it is first asked.
    #[must_use]
    pub fn new(
        name: &str,
        config: &UnderstandingModelConfig,
        settings: Settings,
        patience: Duration,
    ) -> Self {
        // One text fills a core; several models at once must not fill them all.
        let settings = Settings {
            threads: 1,
            ..settings
        };
        let (own, own_name) = (config.clone(), name.to_owned());
        Self {
            name: name.to_owned(),
            patience,
            config: config.clone(),
            lazy: Lazy::new(name, settings, move || load(&own_name, &own)),
        }
    }

    /// What was loaded; now, if it was not before.
    ///
    /// # Errors
    ///
    /// If it can't be.
    pub async fn loaded(&self) -> Result<Arc<Loaded>, Failed> {
        Ok(Arc::clone(&self.lazy.get().await?.reader.0))
    }

    async fn ask(
        &self,
        text: Arc<str>,
        question: Question,
    ) -> Result<Arc<Result<Reading, AskError>>, Failed> {
        self.lazy.get().await?.read(text, question, self.patience).await
    }

    fn no(&self, error: &AskError) -> Failed {
        Failed::ask(&self.name, error)
    }

    fn mixed_up(&self) -> Failed {
        Failed::Ask {
            name: self.name.clone(),
            problem: "gave an answer to another question".to_owned(),
        }
    }
}

impl Model for Published {
    fn classes(&self, text: Arc<str>) -> BoxFuture<'_, Result<Classes, Failed>> {
        Box::pin(async move {
            let loaded = self.loaded().await?;
            let independent = matches!(
                loaded.model.purpose.task,
                Task::Sequence {
                    independent: true,
                    ..
                }
            );
            match &*self.ask(text, Question::Classes).await? {
                Ok(Reading::Classes(values)) => Ok(Classes {
                    labels: loaded
                        .labels()
                        .iter()
                        .cloned()
                        .zip(values.iter().copied())
                        .collect(),
                    independent,
                }),
                Ok(_) => Err(self.mixed_up()),
                Err(error) => Err(self.no(error)),
            }
        })
    }

    fn spans(&self, text: Arc<str>) -> BoxFuture<'_, Result<Spans, Failed>> {
        Box::pin(async move {
            let question = Question::Spans(self.config.threshold.to_bits());
            match &*self.ask(text, question).await? {
                Ok(Reading::Spans(spans, kinds)) => {
                    let named = spans.iter().filter_map(|span| {
                        let kind = kinds.get(span.kind)?.clone();
                        Some((kind, span.start, span.end, span.probability))
                    });
                    Ok(named.collect())
                }
                Ok(_) => Err(self.mixed_up()),
                Err(error) => Err(self.no(error)),
            }
        })
    }

    fn vectors(
        &self,
        texts: Vec<Arc<str>>,
        dimensions: Option<usize>,
    ) -> BoxFuture<'_, Result<Vectors, Failed>> {
        let question = Question::Vector(dimensions.or(self.config.dimensions), self.config.blocks);
        Box::pin(async move {
            let each = texts.into_iter().map(|text| {
                let question = question.clone();
                async move {
                    match &*self.ask(text, question).await? {
                        Ok(Reading::Vector(vector, tokens)) => Ok((vector.clone(), *tokens)),
                        Ok(_) => Err(self.mixed_up()),
                        Err(error) => Err(self.no(error)),
                    }
                }
            });
            let all: Vec<(Vec<f32>, u64)> = stream::iter(each).buffered(AT_ONCE).try_collect().await?;
            Ok(Vectors {
                tokens: all.iter().map(|(_, tokens)| *tokens).sum(),
                vectors: all.into_iter().map(|(vector, _)| vector).collect(),
            })
        })
    }

    fn seen(&self, _medium: Medium, _address: Arc<str>) -> BoxFuture<'_, Result<Vectors, Failed>> {
        let name = self.name.clone();
        Box::pin(async move {
            let problem = "models on this machine read texts alone".to_owned();
            Err(Failed::Ask { name, problem })
        })
    }
}
