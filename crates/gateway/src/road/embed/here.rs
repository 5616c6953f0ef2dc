//! Vectors by a model on this machine, in the client's shape.

use std::sync::Arc;

use pointsman_catalog::Money;
use pointsman_governance::{Estimate, Principal};
use pointsman_wire::embeddings;
use pointsman_wire::form::{EmbeddingInput, EmbeddingResponse, Encoding, Failure, FailureKind, Usage};
use pointsman_wire::json::Json;

use super::super::errand::{self, Errand};
use super::super::understand::Here;
use super::super::{Arrival, Refusal, admit, labels};
use super::Embedding;
use crate::reply::Reply;
use crate::worker::Worker;

/// Admitted, guarded, read, settled. It costs nothing, and its tokens count.
pub(super) async fn travel(
    worker: &Arc<Worker>,
    arrival: &Arrival,
    caller: Arc<Principal>,
    mut embedding: Embedding,
) -> Result<Reply, Refusal> {
    let model = embedding.model().to_owned();
    let estimate = Estimate {
        tokens: embedding.estimate().total(),
        cost: Money::ZERO,
    };
    let caller = labels::of_body(worker, caller, embedding.request.user.as_deref()).await?;
    let mut ticket = admit::admit_at(worker, arrival, Arc::clone(&caller), (&model, estimate))
        .await
        .map_err(|failure| Refusal::from(failure).asking(&model))?;
    ticket.answered_here(&model);
    let inspected = errand::inspect(arrival, &mut embedding, &mut ticket).await;
    let here = Here::with(worker, arrival, caller, ticket);
    if let Err(failure) = inspected {
        return here.settle(Err(failure), Usage::default());
    }
    match read(&here, &model, &embedding).await {
        Ok((body, usage)) => here.settle(Ok(body), usage),
        Err(failure) => here.settle(Err(failure), Usage::default()),
    }
}

async fn read(here: &Here<'_>, model: &str, embedding: &Embedding) -> Result<(bytes::Bytes, Usage), Failure> {
    let request = &embedding.request;
    let texts = request.inputs.iter().map(|input| match input {
        EmbeddingInput::Text(text) => Ok(Arc::from(text.as_ref())),
        _ => {
            let message = format!("{model:?} reads texts alone");
            Err(Failure::new(FailureKind::InvalidRequest, message).at("input"))
        }
    });
    let texts: Vec<Arc<str>> = texts.collect::<Result<_, Failure>>()?;
    let dimensions = request
        .dimensions
        .map(|wanted| usize::try_from(wanted).unwrap_or(usize::MAX));
    let read = here.embed(model, texts, dimensions).await?;
    let written = read.vectors.iter().map(Json::of);
    let written = written
        .collect::<Result<Vec<Json>, _>>()
        .map_err(|error| Failure::new(FailureKind::Internal, error.to_string()))?;
    let usage = Usage {
        input: read.tokens,
        ..Usage::default()
    };
    let response = EmbeddingResponse {
        sets: vec![(Encoding::Float, written)],
        usage: Some(usage),
    };
    let body = embeddings::encode_response(embedding.shape, request, &response, model)
        .map_err(|error| Failure::new(FailureKind::InvalidRequest, error.to_string()).at(error.field))?;
    Ok((body, usage))
}
