//! The road of a token count: asked of the provider where it can count, else counted here.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use pointsman_governance::Principal;
use pointsman_semantics::tokens::{self, Vocabulary};
use pointsman_store::Outcome;
use pointsman_upstream::InFlight;
use pointsman_wire::anthropic;
use pointsman_wire::form::{ChatRequest, Failure, FailureKind, Usage};
use pointsman_wire::format::Format;
use pointsman_wire::splice::Edits;
use pointsman_wire::text;

use super::send::{self, Attempt, Call, Failed, Round};
use super::settle::Ending;
use super::{Arrival, Refusal, Ticket, admit, arrive};
use crate::reply::{self, Reply};
use crate::snapshot::Target;
use crate::worker::Worker;

/// Tokens that a message costs beyond its text (role and separators), as OpenAI documents it.
const PER_MESSAGE: u64 = 3;

/// Admitted, sent or counted, settled.
pub async fn travel(
    worker: &Arc<Worker>,
    arrival: &Arrival,
    caller: Arc<Principal>,
    body: Bytes,
) -> Result<Reply, Refusal> {
    let request = anthropic::count::decode_request(&body).map_err(arrive::malformed)?;
    let mut ticket = admit::reserve(worker, arrival, caller, &request.model, 0, 0)
        .map_err(|failure| Refusal::from(failure).asking(&request.model))?;
    match answer(worker, arrival, &request, &body, &mut ticket).await {
        Ok(body) => {
            let usage = Usage::default();
            let ending = Ending {
                outcome: Outcome::Complete,
                status: 200,
                usage,
                estimated: false,
                error: None,
            };
            ticket.settle(&ending)?;
            Ok(reply::json_bytes(StatusCode::OK, body))
        }
        Err(failure) => Err(ticket.refuse(failure)),
    }
}

async fn answer(
    worker: &Arc<Worker>,
    arrival: &Arrival,
    request: &ChatRequest,
    body: &Bytes,
    ticket: &mut Ticket,
) -> Result<Bytes, Failure> {
    if arrival.snapshot.is_routed(&request.model) {
        return Ok(anthropic::count::encode_response(count(request)));
    }
    let model = arrival.snapshot.resolve(&request.model)?;
    if !model
        .targets
        .iter()
        .any(|target| target.provider.speaks.count_tokens.is_some())
    {
        return Ok(anthropic::count::encode_response(count(request)));
    }
    let attempt = Counting {
        worker,
        arrival,
        request,
        body,
    };
    let mut causes = Vec::new();
    let round = Round {
        model: &model,
        attempt: &attempt,
    };
    round
        .run(ticket, &mut causes)
        .await
        .map_err(|failed| send::exhausted(Some(failed), &causes))
}

struct Counting<'a> {
    worker: &'a Arc<Worker>,
    arrival: &'a Arrival,
    request: &'a ChatRequest,
    body: &'a Bytes,
}

impl Attempt for Counting<'_> {
    type Answer = Bytes;

    async fn run(
        &self,
        target: &Target,
        mut in_flight: InFlight,
        ticket: &mut Ticket,
    ) -> Result<Bytes, Failed> {
        let Some(path) = target.provider.speaks.count_tokens.as_deref() else {
            return Ok(anthropic::count::encode_response(count(self.request)));
        };
        let unusable = |error: String| Failed::refused(Failure::new(FailureKind::InvalidRequest, error));
        let mut edits = Edits::new();
        edits.set_string("model", &target.model);
        let body = edits
            .apply(self.body)
            .map_err(|error| unusable(error.to_string()))?;
        let uri = in_flight
            .endpoint()
            .uri(path)
            .map_err(|error| unusable(error.to_string()))?;
        let request = send::http(self.arrival, &target.provider, uri, body, &[]);
        // Counting is free of charge.
        let response = send::exchange(
            self.worker,
            target,
            &mut in_flight,
            ticket,
            Call {
                request,
                model: target.model.clone(),
                prompt: 0,
                timeouts: target.provider.timeouts,
            },
        )
        .await?;
        if !response.status().is_success() {
            return Err(send::refused_by_provider(response, Format::AnthropicMessages, &mut in_flight).await);
        }
        let counted = send::collect(response, self.arrival.snapshot.bounds.response_limit).await?;
        send::tell(&mut in_flight, None, ticket);
        Ok(counted)
    }
}

/// Counts with the vocabulary that models of other families come closest to.
fn count(request: &ChatRequest) -> u64 {
    let mut total = PER_MESSAGE * (request.messages.len() as u64 + 1);
    text::request_texts(request, |_, text| {
        total += tokens::count(text, Vocabulary::O200k) as u64;
    });
    for tool in &request.tools {
        if let pointsman_wire::form::ToolKind::Function {
            name,
            description,
            parameters,
            ..
        } = &tool.kind
        {
            let schema = parameters.as_ref().map_or("", |schema| schema.as_str());
            for part in [name.as_ref(), description.as_deref().unwrap_or(""), schema] {
                total += tokens::count(part, Vocabulary::O200k) as u64;
            }
        }
    }
    total
}
