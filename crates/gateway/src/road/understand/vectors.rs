//! Vectors and how alike texts are, in the shapes of the semantic router's API.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use pointsman_governance::Principal;
use pointsman_understanding::{SHIPPED, Vectors};
use pointsman_wire::form::{Failure, FailureKind, Usage};
use pointsman_wire::tokens;
use serde::{Deserialize, Serialize};

use super::super::{Arrival, Refusal, admit};
use super::Here;
use super::classify::ms;
use crate::reply::Reply;
use crate::surface::Understand;
use crate::worker::Worker;

/// Texts of one request, at most.
const MAX_TEXTS: usize = 512;
/// How texts are compared.
const METHOD: &str = "cosine";

#[derive(Deserialize)]
struct EmbeddingsAsked {
    texts: Vec<String>,
    #[serde(default)]
    images: Vec<String>,
    #[serde(flatten)]
    by: By,
}

#[derive(Deserialize)]
struct SimilarityAsked {
    text1: String,
    text2: String,
    #[serde(flatten)]
    by: By,
}

#[derive(Deserialize)]
struct SimilaritiesAsked {
    query: String,
    candidates: Vec<String>,
    #[serde(default)]
    top_k: usize,
    #[serde(flatten)]
    by: By,
}

/// By which model.
#[derive(Deserialize)]
struct By {
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    dimension: usize,
}

impl By {
    fn model(&self) -> &str {
        let named = self.model.as_deref();
        named
            .filter(|name| !matches!(*name, "" | "auto"))
            .unwrap_or(SHIPPED.name)
    }

    fn dimensions(&self) -> Option<usize> {
        (self.dimension > 0).then_some(self.dimension)
    }
}

#[derive(Serialize)]
struct Embedded<'a> {
    text: &'a str,
    embedding: &'a [f32],
    dimension: usize,
    model_used: &'a str,
    processing_time_ms: u64,
}

#[derive(Serialize)]
struct Embeddings<'a> {
    embeddings: Vec<Embedded<'a>>,
    total_count: usize,
    total_processing_time_ms: u64,
    avg_processing_time_ms: f64,
}

#[derive(Serialize)]
struct Similarity<'a> {
    model_used: &'a str,
    similarity: f32,
    /// How it was computed.
    method: &'static str,
    processing_time_ms: f64,
}

#[derive(Serialize)]
struct Match<'a> {
    index: usize,
    similarity: f32,
    text: &'a str,
}

#[derive(Serialize)]
struct Similarities<'a> {
    matches: Vec<Match<'a>>,
    total_candidates: usize,
    model_used: &'a str,
    /// How they were computed.
    method: &'static str,
    processing_time_ms: f64,
}

/// What is asked: texts, in their order, by a model.
struct Task {
    what: Kind,
    texts: Vec<Arc<str>>,
    by: By,
}

enum Kind {
    Embeddings,
    Similarity,
    /// So many of the best; all where that is 0.
    Similarities(usize),
}

/// Admitted with the tokens of its texts, read, settled.
pub async fn travel(
    worker: &Arc<Worker>,
    arrival: &Arrival,
    caller: Arc<Principal>,
    (what, body): (Understand, Bytes),
) -> Result<Reply, Refusal> {
    let task = Task::read(what, &body)?;
    admit::may_use(&caller, task.by.model())
        .map_err(|failure| Refusal::from(failure).asking(task.by.model()))?;
    let estimate = task.texts.iter().map(|text| tokens::estimate(text)).sum();
    let here = Here::admitted(worker, arrival, caller, (task.by.model(), estimate)).await?;
    let further = here.understanding().further(task.by.model());
    let is_there = further.is_some_and(|further| further.provider.is_some());
    let begun = Instant::now();
    let texts = task.texts.clone();
    let vectors = here.embed(task.by.model(), texts, task.by.dimensions()).await;
    match vectors {
        Ok(vectors) => {
            let usage = Usage {
                // What a provider read is charged already.
                input: if is_there { 0 } else { vectors.tokens },
                ..Usage::default()
            };
            let told = task.told(&vectors, begun.elapsed());
            here.settle(told, usage)
        }
        Err(failure) => here.settle(Err(failure), Usage::default()),
    }
}

impl Task {
    fn read(what: Understand, body: &Bytes) -> Result<Self, Failure> {
        let task = match what {
            Understand::Embeddings => {
                let asked: EmbeddingsAsked = super::read(body)?;
                if !asked.images.is_empty() {
                    let message = "images can't be embedded here; leave them out";
                    return Err(Failure::new(FailureKind::InvalidRequest, message).at("images"));
                }
                Self {
                    what: Kind::Embeddings,
                    texts: texts(&asked.texts, "texts")?,
                    by: asked.by,
                }
            }
            Understand::Similarity => {
                let asked: SimilarityAsked = super::read(body)?;
                Self {
                    what: Kind::Similarity,
                    texts: vec![
                        super::some_text(&asked.text1, "text1")?,
                        super::some_text(&asked.text2, "text2")?,
                    ],
                    by: asked.by,
                }
            }
            _ => {
                let asked: SimilaritiesAsked = super::read(body)?;
                let mut all = vec![super::some_text(&asked.query, "query")?];
                all.extend(texts(&asked.candidates, "candidates")?);
                Self {
                    what: Kind::Similarities(asked.top_k),
                    texts: all,
                    by: asked.by,
                }
            }
        };
        Ok(task)
    }

    #[allow(clippy::cast_precision_loss, reason = "a mean for reading")]
    fn told(&self, read: &Vectors, took: Duration) -> Result<Bytes, Failure> {
        let model_used = self.by.model();
        let processing_time_ms = took.as_secs_f64() * 1e3;
        if read.vectors.len() != self.texts.len() {
            let message = format!("{} vectors for {} texts", read.vectors.len(), self.texts.len());
            return Err(Failure::new(FailureKind::Provider, message));
        }
        let each = self.texts.iter().zip(&read.vectors);
        match self.what {
            Kind::Embeddings => {
                let count = self.texts.len();
                let embeddings = each.map(|(text, embedding)| Embedded {
                    text,
                    embedding,
                    dimension: embedding.len(),
                    model_used,
                    processing_time_ms: ms(took) / count as u64,
                });
                super::written(&Embeddings {
                    embeddings: embeddings.collect(),
                    total_count: count,
                    total_processing_time_ms: ms(took),
                    avg_processing_time_ms: processing_time_ms / count as f64,
                })
            }
            Kind::Similarity => super::written(&Similarity {
                model_used,
                similarity: cosine(&read.vectors[0], &read.vectors[1]),
                method: METHOD,
                processing_time_ms,
            }),
            Kind::Similarities(most) => {
                let mut matches: Vec<Match<'_>> = each
                    .skip(1)
                    .enumerate()
                    .map(|(index, (text, vector))| Match {
                        index,
                        similarity: cosine(&read.vectors[0], vector),
                        text,
                    })
                    .collect();
                matches.sort_by(|left, right| right.similarity.total_cmp(&left.similarity));
                let total_candidates = matches.len();
                if most > 0 {
                    matches.truncate(most);
                }
                super::written(&Similarities {
                    matches,
                    total_candidates,
                    model_used,
                    method: METHOD,
                    processing_time_ms,
                })
            }
        }
    }
}

fn texts(texts: &[String], field: &'static str) -> Result<Vec<Arc<str>>, Failure> {
    let wrong = |message: String| Failure::new(FailureKind::InvalidRequest, message).at(field);
    if texts.is_empty() {
        return Err(wrong(format!("{field} cannot be empty")));
    }
    if texts.len() > MAX_TEXTS {
        return Err(wrong(format!(
            "at most {MAX_TEXTS} texts can be embedded at once; send fewer"
        )));
    }
    texts.iter().map(|text| super::some_text(text, field)).collect()
}

/// The cosine of the angle between two vectors; 0 where one has no length.
fn cosine(left: &[f32], right: &[f32]) -> f32 {
    let dot = |left: &[f32], right: &[f32]| {
        left.iter()
            .zip(right)
            .map(|(one, other)| one * other)
            .sum::<f32>()
    };
    let lengths = (dot(left, left) * dot(right, right)).sqrt();
    if lengths > f32::MIN_POSITIVE {
        (dot(left, right) / lengths).clamp(-1.0, 1.0)
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cosines_are_cosines() {
        assert!((cosine(&[3.0, 4.0], &[6.0, 8.0]) - 1.0).abs() < 1e-6);
        assert!((cosine(&[1.0, 0.0], &[-1.0, 0.0]) + 1.0).abs() < 1e-6);
        assert!(cosine(&[0.0, 0.0], &[1.0, 0.0]).abs() < 1e-6);
    }
}
