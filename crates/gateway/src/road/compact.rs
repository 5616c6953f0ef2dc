//! The road of a conversation that is to be made shorter (`POST /v1/responses/compact`).
//!
//! What comes back is sealed by the provider, and only that provider can read it: it is asked of targets that speak
//! OpenAI's Responses and of no others. Admitted, guarded, sent, settled like any request; an answer that nobody here
//! can read is neither judged nor remembered nor kept.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use pointsman_governance::Principal;
use pointsman_upstream::{Failure as Fault, InFlight};
use pointsman_wire::form::{Failure, FailureKind, Usage};
use pointsman_wire::format::{self, EncodeTarget, Format};
use pointsman_wire::responses::compaction;
use pointsman_wire::splice::Edits;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::arrive::Asked;
use super::relay::describe;
use super::send::{self, Attempt, Call, Failed, Round};
use super::settle::Ending;
use super::{Arrival, Refusal, Ticket, admit, arrive, guard};
use crate::reply::{self, Reply};
use crate::snapshot::{Fallback, Model, Target};
use crate::surface::Delivery;
use crate::worker::Worker;

const ASKED: (Format, Delivery) = (Format::OpenAiResponses, Delivery::Whole);
/// Fields that the gateway puts into a turn, and that mean nothing here.
const OF_TURNS: [&str; 4] = ["store", "stream", "background", "include"];

/// Admitted, guarded, sent, settled.
pub async fn travel(
    worker: &Arc<Worker>,
    arrival: &Arrival,
    caller: Arc<Principal>,
    body: Bytes,
) -> Result<Reply, Refusal> {
    let mut asked = arrive::decode(arrival, ASKED, body)?;
    let bound = arrival.snapshot.default_completion;
    let mut ticket = admit::admit_bounded(worker, arrival, caller, &asked, bound)
        .await
        .map_err(|failure| Refusal::from(failure).asking(&asked.request.model))?;
    match answer(worker, arrival, &mut asked, &mut ticket).await {
        Ok(shorter) => {
            let mut reply = reply::json_bytes(StatusCode::OK, shorter.body);
            describe(reply.headers_mut(), &ticket, Some(ticket.cost(&shorter.usage)));
            ticket.settle(&Ending::complete(shorter.usage, shorter.estimated))?;
            Ok(reply)
        }
        Err(failure) => Err(ticket.refuse(failure)),
    }
}

struct Shorter {
    body: Bytes,
    usage: Usage,
    estimated: bool,
}

async fn answer(
    worker: &Arc<Worker>,
    arrival: &Arrival,
    asked: &mut Asked,
    ticket: &mut Ticket,
) -> Result<Shorter, Failure> {
    guard::input(arrival, asked, ticket).await?;
    if asked.rerouted.is_some() {
        let message =
            "a guardrail wants another model to answer, which cannot go on from what this one compacts";
        return Err(Failure::new(FailureKind::PermissionDenied, message).coded("guardrail_blocked"));
    }
    let name = asked.request.model.to_string();
    if arrival.snapshot.is_routed(&name) {
        let message = format!(
            "{name:?} may go anywhere, and only who has compacted a conversation can go on from it; name a model"
        );
        return Err(Failure::new(FailureKind::InvalidRequest, message).at("model"));
    }
    let model = able(&*arrival.snapshot.resolve(&name)?)?;
    let attempt = Compacting {
        worker,
        arrival,
        asked,
    };
    let round = Round {
        model: &model,
        attempt: &attempt,
        barred: &[],
    };
    let mut causes = Vec::new();
    round
        .run(ticket, &mut causes)
        .await
        .map_err(|failed| send::exhausted(Some(failed), &causes))
}

/// The model with those of its targets that can do it; no other takes over.
fn able(model: &Model) -> Result<Model, Failure> {
    let can = |target: &&Target| path(target).is_some();
    let targets: Vec<Target> = model.targets.iter().filter(can).cloned().collect();
    if targets.is_empty() {
        let message = format!(
            "no target of {:?} speaks OpenAI's Responses, and only such can compact a conversation; send it as `input`, shortened by yourself",
            model.name
        );
        return Err(Failure::new(FailureKind::InvalidRequest, message)
            .at("model")
            .coded("unsupported_endpoint"));
    }
    Ok(Model {
        name: model.name.clone(),
        targets,
        balance: Arc::clone(&model.balance),
        retry: model.retry.clone(),
        fallback: Fallback::default(),
        guardrails: Arc::clone(&model.guardrails),
        agent: None,
        meets_agents: false,
    })
}

/// Where a target does it; none where it does not.
fn path(target: &Target) -> Option<String> {
    if target
        .format
        .is_some_and(|format| format != Format::OpenAiResponses)
    {
        return None;
    }
    let speech = target.provider.speaks.in_format(Format::OpenAiResponses)?;
    if !speech.is_for(&target.model) {
        return None;
    }
    let path = speech.path(&target.model, false);
    Some(match path.split_once('?') {
        None => format!("{path}/compact"),
        Some((path, query)) => format!("{path}/compact?{query}"),
    })
}

struct Compacting<'a> {
    worker: &'a Arc<Worker>,
    arrival: &'a Arrival,
    asked: &'a Asked,
}

impl Compacting<'_> {
    /// The client's body, for this target: what guardrails have changed is written anew.
    fn body(&self, target: &Target) -> Result<Bytes, Failure> {
        let unusable = |error: String| Failure::new(FailureKind::InvalidRequest, error);
        let mut edits = Edits::new();
        for field in OF_TURNS {
            edits.remove(field);
        }
        edits.set_string("model", &target.model);
        if self.asked.edited {
            let encode = EncodeTarget {
                model: &target.model,
                default_max_tokens: 1,
                max_tokens_name: target.provider.speaks.max_tokens_name,
                developer_role: target.provider.speaks.developer_role,
                stream_usage: false,
            };
            let written = format::encode_request(Format::OpenAiResponses, &self.asked.request, &encode)
                .map_err(|error| unusable(error.message).at(error.field))?;
            let said: Said<'_> =
                serde_json::from_slice(&written.body).map_err(|error| unusable(error.to_string()))?;
            for (field, json) in [("input", said.input), ("instructions", said.instructions)] {
                if let Some(json) = json {
                    edits.set(field, json.get().to_owned());
                }
            }
        }
        edits
            .apply(&self.asked.body)
            .map_err(|error| unusable(error.to_string()))
    }
}

#[derive(Deserialize)]
struct Said<'a> {
    #[serde(borrow)]
    input: Option<&'a RawValue>,
    #[serde(borrow)]
    instructions: Option<&'a RawValue>,
}

impl Attempt for Compacting<'_> {
    type Answer = Shorter;

    async fn run(
        &self,
        target: &Target,
        mut in_flight: InFlight,
        ticket: &mut Ticket,
    ) -> Result<Shorter, Failed> {
        let path = path(target).unwrap_or_default();
        let uri = in_flight
            .endpoint()
            .uri(&path)
            .map_err(|error| Failed::refused(Failure::new(FailureKind::InvalidRequest, error.to_string())))?;
        let body = self.body(target).map_err(Failed::refused)?;
        let request = send::http(self.arrival, target, Some(Format::OpenAiResponses), uri, body);
        let call = Call {
            request,
            model: target.model.clone(),
            prompt: self.asked.prompt_tokens,
            answer: self.arrival.snapshot.default_completion,
            timeouts: target.patience().exchange,
        };
        let response = send::exchange(self.worker, target, &mut in_flight, ticket, call).await?;
        if !response.status().is_success() {
            return Err(send::refused_by_provider(response, Format::OpenAiResponses, &mut in_flight).await);
        }
        let body = send::collect(response, self.arrival.snapshot.bounds.response_limit).await?;
        let told = compaction::response_usage(&body).map_err(|error| {
            let message = format!("the provider's answer makes no sense: {}", error.message);
            Failed::broken(Failure::new(FailureKind::Provider, message), Fault::Protocol)
        })?;
        send::tell(&mut in_flight, None, ticket);
        Ok(Shorter {
            body,
            usage: told.unwrap_or(Usage {
                input: self.asked.prompt_tokens,
                ..Usage::default()
            }),
            estimated: told.is_none(),
        })
    }
}
