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
        Ok(answer) => hand_out(ticket, answer),
        Err(failure) => Err(ticket.refuse(failure)),
    }
}

/// What is left to send to `target` of a line that goes with a batch, and its ticket.
///
/// # Errors
/// As [`travel`], until the request is sent.
pub fn prepared(
    worker: &Arc<Worker>,
    arrival: &Arrival,
    caller: Arc<Principal>,
    (body, target): (&Bytes, &Target),
) -> Result<(Bytes, Ticket), Refusal> {
    let mut request = embeddings::decode_request(body).map_err(arrive::malformed)?;
    let estimate = admit::estimate_of(target, count(&request.input), 0);
    let mut ticket = admit::admit_at(worker, arrival, caller, (&request.model, estimate))
        .map_err(|failure| Refusal::from(failure).asking(&request.model))?;
    let edited = match inspect(arrival, &mut request, &mut ticket) {
        Ok(edited) => edited,
        Err(failure) => return Err(ticket.refuse(failure)),
    };
    match body_for(&request, (!edited).then_some(body), target) {
        Ok(body) => Ok((body, ticket)),
        Err(failure) => Err(ticket.refuse(failure)),
    }
}

/// Which model a line asks for, and about how many tokens it has.
///
/// # Errors
/// When it is no request for vectors.
pub fn asked(body: &Bytes) -> Result<(Text, u64), Failure> {
    let request = embeddings::decode_request(body).map_err(arrive::malformed)?;
    Ok((request.model, count(&request.input)))
}

/// Settles what came back for a line of about `prompt` tokens, and tells it.
///
/// # Errors
/// When it makes no sense, or cannot be recorded.
pub fn told(ticket: Ticket, prompt: u64, body: Bytes) -> Result<Reply, Refusal> {
    match vectors(body, prompt) {
        Ok(vectors) => hand_out(ticket, vectors),
        Err(failure) => Err(ticket.refuse(failure)),
    }
}

fn hand_out(ticket: Ticket, answer: Vectors) -> Result<Reply, Refusal> {
    let mut reply = reply::json_bytes(StatusCode::OK, answer.body);
    describe(reply.headers_mut(), &ticket, Some(ticket.cost(&answer.usage)));
    ticket.settle(&Ending {
        outcome: Outcome::Complete,
        status: 200,
        usage: answer.usage,
        estimated: answer.estimated,
        error: None,
    })?;
    Ok(reply)
}

/// A provider's answer, and what it used.
fn vectors(body: Bytes, prompt: u64) -> Result<Vectors, Failure> {
    let told = embeddings::response_usage(&body).map_err(|error| {
        let message = format!("the provider's answer makes no sense: {}", error.message);
        Failure::new(FailureKind::Provider, message)
    })?;
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

/// The request for `target`: the client's own body, where it still says what is asked.
fn body_for(request: &EmbeddingRequest, body: Option<&Bytes>, target: &Target) -> Result<Bytes, Failure> {
    match body {
        Some(body) if request.model == target.model => Ok(body.clone()),
        Some(body) => {
            let mut edits = Edits::new();
            edits.set_string("model", &target.model);
            edits
                .apply(body)
                .map_err(|error| Failure::new(FailureKind::InvalidRequest, error.to_string()))
        }
        None => Ok(embeddings::encode_request(request, &target.model)),
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
        let body = body_for(self.request, self.body, target).map_err(Failed::refused)?;
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
        let vectors = vectors(body, prompt).map_err(|failure| Failed::broken(failure, Fault::Protocol))?;
        send::tell(&mut in_flight, None, ticket);
        Ok(vectors)
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
