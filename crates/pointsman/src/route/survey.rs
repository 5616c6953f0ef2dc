//! Everything that is understood of a prompt, each answer with the time that it takes when it alone is asked.

use std::sync::Arc;
use std::time::Duration;

use pointsman_semantics::language;
use pointsman_understanding::{
    Ask, Entity, Failed, HeadAnswer, Nobody, SHIPPED, Understanding, UnderstandingConfig, Understood,
};
use serde::Serialize;

/// Readings of which the median time is told.
const READINGS: usize = 5;

/// What is understood of a prompt.
#[derive(Serialize)]
pub(super) struct Survey {
    /// The model that was asked.
    pub(super) model: Asked,
    /// What each head says.
    pub(super) heads: Vec<TimedHead>,
    /// Personal data.
    pub(super) entities: Timed<Vec<Entity>>,
    /// The vector.
    pub(super) embedding: Timed<Embedding>,
    /// The language it is in.
    pub(super) language: Option<Language>,
    /// Tokens that the encoder reads.
    pub(super) tokens: usize,
    /// Whether it is longer than is read.
    pub(super) cut: bool,
    /// Microseconds that everything together takes.
    pub(super) together_us: u64,
}

#[derive(Serialize)]
pub(super) struct Asked {
    pub(super) name: String,
    /// SHA-256 of the shipped weights.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sha256: Option<&'static str>,
    /// Bytes of weights in memory.
    pub(super) bytes: usize,
    pub(super) loaded_us: u64,
}

#[derive(Serialize)]
pub(super) struct TimedHead {
    #[serde(flatten)]
    pub(super) answer: HeadAnswer,
    pub(super) took_us: u64,
}

#[derive(Serialize)]
pub(super) struct Timed<T> {
    pub(super) found: T,
    pub(super) took_us: u64,
}

#[derive(Serialize)]
pub(super) struct Embedding {
    pub(super) dimensions: usize,
}

#[derive(Serialize)]
pub(super) struct Language {
    pub(super) code: &'static str,
    pub(super) confidence: f64,
}

impl Survey {
    /// Asks for everything.
    ///
    /// # Errors
    ///
    /// If the model can't be loaded or asked.
    pub(super) async fn of(config: &UnderstandingConfig, prompt: &str) -> Result<Self, Failed> {
        // What is kept would be told with the time that looking it up takes.
        let config = UnderstandingConfig {
            kept: 0,
            ..config.clone()
        };
        let understanding = Understanding::new(&config);
        let (engine, loaded_in) = understanding.warm().await?;
        let prompt: Arc<str> = prompt.into();
        let all = Ask {
            embedding: true,
            entities: true,
            ..Ask::everything()
        };
        let (together, took) = timed(&understanding, &prompt, &all).await?;
        let mut heads = Vec::new();
        for head in &together.heads {
            let (alone, took) = timed(&understanding, &prompt, &Ask::head(&head.head)).await?;
            heads.extend(alone.heads.into_iter().map(|answer| TimedHead {
                answer,
                took_us: micros(took),
            }));
        }
        let (entities, entities_took) = timed(&understanding, &prompt, &Ask::entities()).await?;
        let (embedding, embedding_took) = timed(&understanding, &prompt, &Ask::embedding()).await?;
        Ok(Self {
            model: Asked {
                name: if config.is_shipped() {
                    SHIPPED.name.to_owned()
                } else {
                    config.model.clone()
                },
                sha256: config.is_shipped().then_some(SHIPPED.sha256),
                bytes: engine.bytes(),
                loaded_us: micros(loaded_in),
            },
            heads,
            entities: Timed {
                found: entities.entities,
                took_us: micros(entities_took),
            },
            embedding: Timed {
                found: Embedding {
                    dimensions: embedding.embedding.map_or(0, |vector| vector.len()),
                },
                took_us: micros(embedding_took),
            },
            language: language::detect(&prompt).map(|detected| Language {
                code: detected.code,
                confidence: detected.confidence,
            }),
            tokens: together.tokens,
            cut: together.cut,
            together_us: micros(took),
        })
    }
}

/// Asks several times; the last answer with the median time.
async fn timed(
    understanding: &Understanding,
    prompt: &Arc<str>,
    ask: &Ask,
) -> Result<(Understood, Duration), Failed> {
    let mut times = Vec::with_capacity(READINGS);
    let mut last = Understood::default();
    for _ in 0..READINGS {
        last = understanding.read(prompt, ask, &Nobody).await?;
        times.push(last.took);
    }
    times.sort_unstable();
    Ok((last, times[READINGS / 2]))
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
