//! Models of the `understanding` block that are at providers: asked on the road of errands, with the ticket of the request
//! that needs them.

use std::borrow::BorrowMut;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use pointsman_understanding::{
    Classes, Failed, Medium, Model, Origin, Remotes, Spans, UnderstandingModelConfig, Vectors,
};
use pointsman_wire::form::{Failure, FailureKind, Usage};
use pointsman_wire::format::Format;
use pointsman_wire::tokens;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::super::errand::{self, Answer, Errand, Inspector, Outgoing, Whole};
use super::super::{Arrival, Ticket, embed};
use crate::snapshot::Target;
use crate::worker::Worker;

/// Reaches models at providers, with a ticket that is owned or lent.
pub struct Remote<'a, T> {
    worker: &'a Arc<Worker>,
    arrival: &'a Arrival,
    ticket: &'a Mutex<T>,
}

impl<'a, T: BorrowMut<Ticket> + Send> Remote<'a, T> {
    /// For a request with this ticket.
    pub fn new(worker: &'a Arc<Worker>, arrival: &'a Arrival, ticket: &'a Mutex<T>) -> Self {
        Self {
            worker,
            arrival,
            ticket,
        }
    }

    /// Asks, and charges what it cost.
    async fn ask<E: Errand>(&self, errand: &mut E) -> Result<Bytes, Failed> {
        let mut ticket = self.ticket.lock().await;
        let ticket = (*ticket).borrow_mut();
        match errand::within(self.worker, self.arrival, errand, ticket).await {
            Ok(answer) => {
                ticket.spend_beside(&answer.usage, answer.estimated);
                Ok(answer.body)
            }
            Err((failure, spent)) => {
                if spent != Usage::default() {
                    ticket.spend_beside(&spent, true);
                }
                Err(failed(&failure))
            }
        }
    }
}

fn failed(failure: &Failure) -> Failed {
    let transient = matches!(
        failure.kind,
        FailureKind::Unavailable
            | FailureKind::Overloaded
            | FailureKind::ProviderTimeout
            | FailureKind::RateLimited
    );
    Failed::Provider {
        message: failure.message.clone(),
        transient,
    }
}

impl<T: BorrowMut<Ticket> + Send> Remotes for Remote<'_, T> {
    fn model(&self, config: &UnderstandingModelConfig) -> Option<Box<dyn Model + '_>> {
        let Some(Origin::Provider { provider, model }) = config.origin() else {
            return None;
        };
        Some(Box::new(There {
            remote: self,
            name: [provider, "/", model].concat(),
            labels: config.labels.clone(),
        }))
    }
}

/// A model at a provider.
struct There<'a, T> {
    remote: &'a Remote<'a, T>,
    /// Provider and model.
    name: String,
    /// What its classes are called.
    labels: Vec<String>,
}

impl<T: BorrowMut<Ticket> + Send> Model for There<'_, T> {
    fn classes(&self, text: Arc<str>) -> BoxFuture<'_, Result<Classes, Failed>> {
        Box::pin(async move {
            let mut errand = Classify {
                model: self.name.clone(),
                text,
            };
            let body = self.remote.ask(&mut errand).await?;
            classes(&body, &self.labels).map_err(|failure| failed(&failure))
        })
    }

    fn spans(&self, _text: Arc<str>) -> BoxFuture<'_, Result<Spans, Failed>> {
        let name = self.name.clone();
        Box::pin(async move {
            Err(Failed::Ask {
                name,
                problem: "providers have no common way to tell spans; load the model on this machine"
                    .to_owned(),
            })
        })
    }

    fn vectors(
        &self,
        texts: Vec<Arc<str>>,
        dimensions: Option<usize>,
    ) -> BoxFuture<'_, Result<Vectors, Failed>> {
        Box::pin(async move {
            let mut errand = embed::of_texts(&self.name, &texts, dimensions);
            let body = self.remote.ask(&mut errand).await?;
            vectors(&body).map_err(|failure| failed(&failure))
        })
    }

    fn seen(&self, medium: Medium, address: Arc<str>) -> BoxFuture<'_, Result<Vectors, Failed>> {
        Box::pin(async move {
            let mut errand = See {
                model: self.name.clone(),
                medium,
                address,
            };
            let body = self.remote.ask(&mut errand).await?;
            vectors(&body).map_err(|failure| failed(&failure))
        })
    }
}

/// The vector of an image or of sound: as Cohere, Jina or vLLM are asked for it.
struct See {
    model: String,
    medium: Medium,
    address: Arc<str>,
}

/// What an image or a piece of sound counts until its provider says what it used.
const SEEN: u64 = 1_000;

impl Errand for See {
    fn model(&self) -> &str {
        &self.model
    }

    fn estimate(&self) -> Usage {
        Usage {
            input: SEEN,
            ..Usage::default()
        }
    }

    fn inspect(&mut self, _inspector: &mut Inspector) -> Result<(), Failure> {
        Ok(())
    }

    fn calls(&self, target: &Target) -> Result<Vec<Outgoing>, Failure> {
        let (path, body) = see(&target.provider.kind, &target.model, self.medium, &self.address);
        let body = Bytes::from(body.to_string());
        Ok(vec![Outgoing::json(path.to_owned(), body, Format::OpenAiChat)])
    }

    fn answer(&self, _target: &Target, answers: Vec<Whole>) -> Result<Answer, Failure> {
        let only = errand::only(answers)?;
        let told = vectors(&only.body)?;
        let usage = Usage {
            input: if told.tokens > 0 { told.tokens } else { SEEN },
            ..Usage::default()
        };
        Ok(Answer::json(only.body, usage, told.tokens == 0))
    }
}

/// Path and body by which a provider of a kind is asked for the vector of an image or of sound.
fn see(kind: &str, model: &str, medium: Medium, address: &str) -> (&'static str, Value) {
    match (kind, medium) {
        ("cohere", Medium::Image) => (
            "/../v2/embed",
            json!({ "model": model, "input_type": "image", "images": [address], "embedding_types": ["float"] }),
        ),
        ("jina", medium) => (
            "/embeddings",
            json!({ "model": model, "input": [{ medium.name(): address }] }),
        ),
        (_, medium) => {
            let part = format!("{}_url", medium.name());
            let part = json!({ "type": part, (part.as_str()): { "url": address } });
            let messages = json!([{ "role": "user", "content": [part] }]);
            (
                "/embeddings",
                json!({ "model": model, "messages": messages, "encoding_format": "float" }),
            )
        }
    }
}

/// Vectors in OpenAI's shape, or in Cohere's.
fn vectors(body: &Bytes) -> Result<Vectors, Failure> {
    #[derive(Deserialize)]
    struct Told {
        #[serde(default)]
        data: Vec<One>,
        embeddings: Option<ByType>,
        #[serde(default)]
        usage: Used,
    }
    #[derive(Deserialize)]
    struct ByType {
        float: Vec<Vec<f32>>,
    }
    #[derive(Deserialize)]
    struct One {
        embedding: Vec<f32>,
    }
    #[derive(Default, Deserialize)]
    struct Used {
        #[serde(default)]
        prompt_tokens: u64,
    }
    let told: Told = serde_json::from_slice(body).map_err(senseless)?;
    let own = told.data.into_iter().map(|one| one.embedding);
    let of_cohere = told.embeddings.into_iter().flat_map(|all| all.float);
    let vectors: Vec<Vec<f32>> = own.chain(of_cohere).collect();
    if vectors.is_empty() {
        return Err(Failure::new(FailureKind::Provider, "the provider gave no vector"));
    }
    Ok(Vectors {
        vectors,
        tokens: told.usage.prompt_tokens,
    })
}

fn senseless(error: serde_json::Error) -> Failure {
    let message = format!("the provider's answer makes no sense: {error}");
    Failure::new(FailureKind::Provider, message)
}

/// The classes of one text, by vLLM's `/classify` or TEI's `/predict`.
struct Classify {
    model: String,
    text: Arc<str>,
}

impl Errand for Classify {
    fn model(&self) -> &str {
        &self.model
    }

    fn estimate(&self) -> Usage {
        Usage {
            input: tokens::estimate(&self.text),
            ..Usage::default()
        }
    }

    fn inspect(&mut self, _inspector: &mut Inspector) -> Result<(), Failure> {
        Ok(())
    }

    fn calls(&self, target: &Target) -> Result<Vec<Outgoing>, Failure> {
        let (path, body) = match target.provider.kind.as_str() {
            "tei" => ("/../predict", json!({ "inputs": &*self.text })),
            _ => (
                "/../classify",
                json!({ "model": target.model, "input": &*self.text }),
            ),
        };
        let body = Bytes::from(body.to_string());
        Ok(vec![Outgoing::json(path.to_owned(), body, Format::OpenAiChat)])
    }

    fn answer(&self, _target: &Target, answers: Vec<Whole>) -> Result<Answer, Failure> {
        let only = errand::only(answers)?;
        let usage = self.estimate();
        Ok(Answer::json(only.body, usage, true))
    }
}

/// Classes as vLLM or TEI tell them. vLLM names only the likeliest: the others are called as the configuration says.
fn classes(body: &Bytes, names: &[String]) -> Result<Classes, Failure> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Told {
        Vllm { data: Vec<Likeliest> },
        Nested(Vec<Vec<Scored>>),
        Flat(Vec<Scored>),
    }
    #[derive(Deserialize)]
    struct Likeliest {
        label: Option<String>,
        probs: Vec<f32>,
    }
    #[derive(Deserialize)]
    struct Scored {
        label: String,
        score: f32,
    }
    let scored = |all: Vec<Scored>| all.into_iter().map(|one| (one.label, one.score)).collect();
    let labels: Vec<(String, f32)> = match serde_json::from_slice(body).map_err(senseless)? {
        Told::Nested(all) => all.into_iter().next().map(scored).unwrap_or_default(),
        Told::Flat(all) => scored(all),
        Told::Vllm { data } => {
            let Some(one) = data.into_iter().next() else {
                return Err(Failure::new(FailureKind::Provider, "the provider gave no class"));
            };
            let likeliest = one
                .probs
                .iter()
                .enumerate()
                .max_by(|left, right| left.1.total_cmp(right.1))
                .map(|(place, _)| place);
            let name = |place: usize| {
                let own = one.label.clone().filter(|_| likeliest == Some(place));
                own.or_else(|| names.get(place).cloned())
                    .unwrap_or_else(|| format!("LABEL_{place}"))
            };
            let each = one.probs.iter().enumerate();
            each.map(|(place, probability)| (name(place), *probability))
                .collect()
        }
    };
    if labels.is_empty() || labels.iter().any(|(_, probability)| !probability.is_finite()) {
        return Err(Failure::new(
            FailureKind::Provider,
            "the provider gave no probabilities",
        ));
    }
    Ok(Classes {
        labels,
        independent: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_asked_for_in_each_providers_words() {
        let image = "data:image/png;base64,AAAA";
        let (path, body) = see("vllm", "clip", Medium::Image, image);
        assert_eq!(path, "/embeddings");
        let part = &body["messages"][0]["content"][0];
        assert_eq!(
            (&part["type"], &part["image_url"]["url"]),
            (&json!("image_url"), &json!(image))
        );
        let (path, body) = see("cohere", "embed-v4.0", Medium::Image, image);
        assert_eq!((path, &body["images"]), ("/../v2/embed", &json!([image])));
        let (_, body) = see("jina", "jina-clip-v2", Medium::Image, image);
        assert_eq!(body["input"], json!([{"image": image}]));
        let told = br#"{"embeddings": {"float": [[0.5, 0.5]]}}"#;
        assert_eq!(vectors(&Bytes::from_static(told)).unwrap().vectors, [[0.5, 0.5]]);
        assert!(vectors(&Bytes::from_static(b"{}")).is_err());
    }

    #[test]
    fn classes_are_read_as_servers_tell_them() {
        let names = ["benign".to_owned(), "jailbreak".to_owned()];
        let vllm = r#"{"id":"c","object":"list","data":[{"index":0,"label":"jailbreak","probs":[0.25,0.75],"num_classes":2}]}"#;
        let told = classes(&Bytes::from(vllm), &names).unwrap();
        assert_eq!(
            told.labels,
            [("benign".to_owned(), 0.25), ("jailbreak".to_owned(), 0.75)]
        );
        for tei in [
            r#"[[{"label":"a","score":0.5},{"label":"b","score":0.5}]]"#,
            r#"[{"label":"a","score":0.5},{"label":"b","score":0.5}]"#,
        ] {
            assert_eq!(classes(&Bytes::from(tei), &[]).unwrap().labels.len(), 2, "{tei}");
        }
        for wrong in ["{}", "[]", r#"{"data":[]}"#, r#"{"data":[{"probs":[]}]}"#] {
            assert!(classes(&Bytes::from(wrong), &[]).is_err(), "{wrong}");
        }
    }
}
