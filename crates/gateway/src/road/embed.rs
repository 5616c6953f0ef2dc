//! The road of an embedding request: the same stages, without recall and decision.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use pointsman_catalog::ServiceTier;
use pointsman_governance::Principal;
use pointsman_guard::Stage;
use pointsman_store::Outcome;
use pointsman_upstream::{Failure as Fault, InFlight};
use pointsman_wire::embeddings;
use pointsman_wire::form::{EmbeddingInput, EmbeddingRequest, Failure, FailureKind, Text, Usage};
use pointsman_wire::format::Format;
use pointsman_wire::splice::Edits;
use pointsman_wire::tokens;

use super::relay::describe;
use super::send::{self, Attempt, Call, Failed, Round};
use super::settle::Ending;
use super::{Arrival, Refusal, Ticket, admit, arrive, guard};
use crate::reply::{self, Reply};
use crate::snapshot::Target;
use crate::worker::Worker;

/// Admitted, guarded, sent, settled.
pub async fn travel(
    worker: &Arc<Worker>,
    arrival: &Arrival,
    caller: Arc<Principal>,
    body: Bytes,
) -> Result<Reply, Refusal> {
    let mut request = embeddings::decode_request(&body).map_err(arrive::malformed)?;
    let prompt = count(&request.input);
    let mut ticket = admit::reserve(
        worker,
        arrival,
        caller,
        &request.model,
        prompt,
        0,
        ServiceTier::Standard,
    )
    .map_err(|failure| Refusal::from(failure).asking(&request.model))?;
    match answer(worker, arrival, &mut request, &body, &mut ticket).await {
        Ok(answer) => {
            let mut reply = reply::json_bytes(StatusCode::OK, answer.body);
            describe(reply.headers_mut(), &ticket, Some(ticket.cost(&answer.usage)));
            let ending = Ending {
                outcome: Outcome::Complete,
                status: 200,
                usage: answer.usage,
                estimated: answer.estimated,
                error: None,
            };
            ticket.settle(&ending)?;
            Ok(reply)
        }
        Err(failure) => Err(ticket.refuse(failure)),
    }
}

struct Vectors {
    body: Bytes,
    usage: Usage,
    estimated: bool,
}

async fn answer(
    worker: &Arc<Worker>,
    arrival: &Arrival,
    request: &mut EmbeddingRequest,
    body: &Bytes,
    ticket: &mut Ticket,
) -> Result<Vectors, Failure> {
    let edited = inspect(arrival, request, ticket)?;
    let model = arrival.snapshot.resolve(&request.model)?;
    let attempt = Embedding {
        worker,
        arrival,
        request,
        body: (!edited).then_some(body),
    };
    let round = Round {
        model: &model,
        attempt: &attempt,
    };
    let mut causes = Vec::new();
    round
        .run(ticket, &mut causes)
        .await
        .map_err(|failed| send::exhausted(Some(failed), &causes))
}

/// Shows the texts to the input guardrails; true when one of them changed something.
fn inspect(arrival: &Arrival, request: &mut EmbeddingRequest, ticket: &mut Ticket) -> Result<bool, Failure> {
    let guards = arrival.snapshot.guards.for_stage(Stage::Input);
    let mut edited = false;
    let texts: &mut [Text] = match &mut request.input {
        EmbeddingInput::Text(text) => std::slice::from_mut(text),
        EmbeddingInput::Texts(texts) => texts,
        EmbeddingInput::Tokens(_) | EmbeddingInput::TokenLists(_) => &mut [],
    };
    for text in texts.iter_mut().filter(|_| !guards.is_empty()) {
        let verdict = guards.inspect(text);
        ticket
            .facts
            .flags
            .extend(verdict.flags.into_iter().map(|flag| flag.guard));
        if let Some(block) = verdict.blocked {
            return Err(guard::refusal(&block));
        }
        if let Some(rewritten) = verdict.rewritten {
            *text = rewritten.into();
            edited = true;
        }
    }
    Ok(edited)
}

struct Embedding<'a> {
    worker: &'a Arc<Worker>,
    arrival: &'a Arrival,
    request: &'a EmbeddingRequest,
    /// The client's bytes, where they still say what is asked.
    body: Option<&'a Bytes>,
}

impl Attempt for Embedding<'_> {
    type Answer = Vectors;

    async fn run(
        &self,
        target: &Target,
        mut in_flight: InFlight,
        ticket: &mut Ticket,
    ) -> Result<Vectors, Failed> {
        let Some(path) = target.provider.speaks.embeddings.as_ref() else {
            let message = format!("the provider {:?} has no embeddings", target.provider.name);
            return Err(Failed::refused(
                Failure::new(FailureKind::InvalidRequest, message).at("model"),
            ));
        };
        let unusable = |error: String| Failed::refused(Failure::new(FailureKind::InvalidRequest, error));
        let body = match self.body {
            Some(body) if self.request.model == target.model => body.clone(),
            Some(body) => {
                let mut edits = Edits::new();
                edits.set_string("model", &target.model);
                edits.apply(body).map_err(|error| unusable(error.to_string()))?
            }
            None => embeddings::encode_request(self.request, &target.model),
        };
        let uri = in_flight
            .endpoint()
            .uri(&path.fill(&target.model))
            .map_err(|error| unusable(error.to_string()))?;
        let request = send::http(self.arrival, target, None, uri, body);
        let prompt = count(&self.request.input);
        let response = send::exchange(
            self.worker,
            target,
            &mut in_flight,
            ticket,
            Call {
                request,
                model: target.model.clone(),
                prompt,
                timeouts: target.patience().exchange,
            },
        )
        .await?;
        if !response.status().is_success() {
            return Err(send::refused_by_provider(response, Format::OpenAiChat, &mut in_flight).await);
        }
        let body = send::collect(response, self.arrival.snapshot.bounds.response_limit).await?;
        let told = embeddings::response_usage(&body).map_err(|error| {
            let message = format!("the provider's answer makes no sense: {}", error.message);
            Failed::broken(Failure::new(FailureKind::Provider, message), Fault::Protocol)
        })?;
        send::tell(&mut in_flight, None, ticket);
        let usage = told.unwrap_or(Usage {
            input: prompt,
            ..Usage::default()
        });
        Ok(Vectors {
            body,
            usage,
            estimated: told.is_none(),
        })
    }
}

fn count(input: &EmbeddingInput) -> u64 {
    match input {
        EmbeddingInput::Text(text) => tokens::estimate(text),
        EmbeddingInput::Texts(texts) => texts.iter().map(|text| tokens::estimate(text)).sum(),
        EmbeddingInput::Tokens(tokens) => tokens.len() as u64,
        EmbeddingInput::TokenLists(lists) => lists.iter().map(|tokens| tokens.len() as u64).sum(),
    }
}
