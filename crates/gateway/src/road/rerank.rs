//! Rankings: in the client's shape and the target's.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use pointsman_cache::CacheKey;
use pointsman_governance::Principal;
use pointsman_wire::form::{Extra, Failure, Units, Usage};
use pointsman_wire::format::{Format, Loss};
use pointsman_wire::rerank::{self, Document, RerankRequest, Shape};
use pointsman_wire::tokens;

use super::errand::{self, Answer, Errand, Inspector, Outgoing, Whole};
use super::recall::{Found, Piece, Pieces, Said};
use super::{Arrival, Refusal, Ticket, arrive};
use crate::reply::Reply;
use crate::snapshot::Target;
use crate::worker::Worker;

/// Read, then as every errand.
pub async fn travel(
    worker: &Arc<Worker>,
    arrival: &Arrival,
    caller: Arc<Principal>,
    shape: Shape,
    body: Bytes,
) -> Result<Reply, Refusal> {
    let (shape, request) = rerank::decode_request(shape, &body).map_err(arrive::malformed)?;
    let query = tokens::estimate(&request.query);
    let documents = request.documents.iter();
    let mut ranking = Ranking {
        prompt: documents
            .map(|document| query + tokens::estimate(&document.text))
            .sum(),
        shape,
        request,
        body: Some(body),
        key: None,
    };
    errand::run(worker, arrival, caller, &mut ranking).await
}

/// Documents in the order in which a model of the gateway says they answer a query, with how well: asked on the ticket of a
/// request that was admitted as something else, which is charged.
///
/// # Errors
/// When the model cannot be asked, or its answer makes no sense.
pub async fn order(
    worker: &Arc<Worker>,
    arrival: &Arrival,
    ticket: &mut Ticket,
    (model, query, documents): (&str, &str, Vec<&str>),
) -> Result<Vec<(usize, f64)>, Failure> {
    let tokens = tokens::estimate(query);
    let mut ranking = Ranking {
        prompt: documents.iter().map(|text| tokens + tokens::estimate(text)).sum(),
        shape: Shape::Jina,
        request: RerankRequest {
            model: model.to_owned().into(),
            query: query.to_owned().into(),
            documents: documents
                .iter()
                .map(|text| Document {
                    text: (*text).to_owned().into(),
                    object: None,
                })
                .collect(),
            top: None,
            show: false,
            extra: Extra::default(),
        },
        body: None,
        key: None,
    };
    let (usage, estimated, body) = match errand::within(worker, arrival, &mut ranking, ticket).await {
        Ok(answer) => (answer.usage, answer.estimated, Ok(answer.body)),
        Err((failure, spent)) => (spent, true, Err(failure)),
    };
    if usage != Usage::default() {
        ticket.spend_beside(&usage, estimated);
    }
    let response =
        rerank::decode_response(Shape::Jina, &HeaderMap::new(), &body?).map_err(errand::nonsense)?;
    let ranked = response.results.into_iter().filter_map(|one| {
        let index = usize::try_from(one.index)
            .ok()
            .filter(|index| *index < documents.len())?;
        Some((index, one.score.as_f64()?))
    });
    Ok(ranked.collect())
}

struct Ranking {
    shape: Shape,
    request: RerankRequest,
    /// About how many tokens there are.
    prompt: u64,
    /// The client's bytes, where they still say what is asked.
    body: Option<Bytes>,
    /// Where its answer is remembered.
    key: Option<CacheKey>,
}

impl Errand for Ranking {
    fn model(&self) -> &str {
        &self.request.model
    }

    fn estimate(&self) -> Usage {
        Usage {
            input: self.prompt,
            units: Units {
                queries: self.request.searches(),
                ..Units::default()
            },
            ..Usage::default()
        }
    }

    fn inspect(&mut self, inspector: &mut Inspector) -> Result<(), Failure> {
        if let Some(rewritten) = inspector.text(&self.request.query) {
            self.request.query = rewritten.into();
            self.body = None;
        }
        for document in &mut self.request.documents {
            if let Some(object) = &document.object {
                inspector.fixed(object.as_str(), "documents")?;
            } else if let Some(rewritten) = inspector.text(&document.text) {
                document.text = rewritten.into();
                self.body = None;
            }
        }
        Ok(())
    }

    fn calls(&self, target: &Target) -> Result<Vec<Outgoing>, Failure> {
        let (shape, path) = way(target).ok_or_else(|| errand::lacking(target, "rankings"))?;
        let own = self.body.as_ref();
        let body = match own.filter(|_| shape == self.shape && shape.is_named_in_body()) {
            Some(body) if *self.request.model == *target.model => body.clone(),
            Some(body) => errand::named(body, &target.model)?,
            None => {
                rerank::encode_request(shape, &self.request, &target.model).map_err(errand::inexpressible)?
            }
        };
        Ok(vec![Outgoing::json(path, body, format(shape))])
    }

    fn is_remembered(&self) -> bool {
        true
    }

    fn recall(&mut self, pieces: &Pieces, ticket: &mut Ticket) -> Result<Option<Answer>, Failure> {
        let key = self.key(pieces);
        self.key = Some(key);
        let kept = pieces.get(&key);
        let Found::All(kept) = pieces.looked(kept, ticket)? else {
            return Ok(None);
        };
        let Some(Piece {
            said: Said::Body(body, usage),
            provider,
            model,
            cost,
            stored,
            ..
        }) = kept.piece()
        else {
            return Ok(None);
        };
        ticket.recalled_from((provider, model), *cost, (*stored, None));
        Ok(Some(Answer::json(body.clone(), **usage, false)))
    }

    fn keep(&self, pieces: &Pieces, ticket: &mut Ticket, answer: &Answer) {
        if let Some(key) = self.key {
            // In memory of its own: it may be a slice of more.
            let body = Bytes::copy_from_slice(&answer.body);
            let cost = ticket.cost(&answer.usage);
            pieces.put(
                ticket,
                vec![(key, Said::Body(body, Box::new(answer.usage)), cost)],
            );
        }
    }

    fn losses(&self, target: &Target) -> Vec<Loss> {
        match way(target) {
            Some((shape, _)) if shape != self.shape => rerank::losses(shape, &self.request),
            _ => Vec::new(),
        }
    }

    fn answer(&self, target: &Target, answers: Vec<Whole>) -> Result<Answer, Failure> {
        let (shape, _) = way(target).ok_or_else(|| errand::lacking(target, "rankings"))?;
        let whole = errand::only(answers)?;
        let mut response =
            rerank::decode_response(shape, &whole.headers, &whole.body).map_err(errand::nonsense)?;
        let estimated = response.usage.is_none();
        let usage = response.usage.unwrap_or_else(|| self.estimate());
        response.usage = Some(usage);
        let body = if shape == self.shape && self.body.is_some() {
            whole.body
        } else {
            rerank::encode_response(self.shape, &self.request, &response, &target.model)
        };
        Ok(Answer::json(body, usage, estimated))
    }
}

impl Ranking {
    /// Everything that changes the answer. Taken apart field by field, so that one that is added cannot be forgotten.
    fn key(&self, pieces: &Pieces) -> CacheKey {
        let RerankRequest {
            // Part of the errand.
            model: _,
            query,
            documents,
            top,
            show,
            extra,
        } = &self.request;
        let mut key = pieces.key("rerank");
        key.field("shape", format!("{:?}", self.shape).as_bytes());
        key.field("query", query.as_bytes());
        key.field("top", format!("{top:?} {show}").as_bytes());
        for document in documents {
            key.field("document", document.text.as_bytes());
            if let Some(object) = &document.object {
                key.field("object", object.as_str().as_bytes());
            }
        }
        key.field("extra", &[]);
        for (name, json) in &extra.0 {
            key.field(name, json.as_str().as_bytes());
        }
        key.finish()
    }
}

/// The format in which a provider of this shape tells its errors.
fn format(shape: Shape) -> Format {
    match shape {
        Shape::Cohere | Shape::CohereOld => Format::CohereChat,
        Shape::Bedrock => Format::BedrockConverse,
        Shape::Jina | Shape::Voyage | Shape::Mixedbread | Shape::Tei => Format::OpenAiChat,
    }
}

/// In which shape, and at which path, a target is asked.
fn way(target: &Target) -> Option<(Shape, String)> {
    let at = |name| target.provider.speaks.endpoint(name, &target.model);
    let named = [
        ("cohere_rerank", Shape::Cohere),
        ("voyage_rerank", Shape::Voyage),
        ("mixedbread_rerank", Shape::Mixedbread),
        ("tei_rerank", Shape::Tei),
        ("rerank", Shape::Jina),
    ];
    let found = named
        .into_iter()
        .find_map(|(name, shape)| Some((shape, at(name)?)));
    found.or_else(|| {
        let path = at("bedrock_invoke").filter(|_| target.model.contains("rerank"))?;
        Some((Shape::Bedrock, path))
    })
}
