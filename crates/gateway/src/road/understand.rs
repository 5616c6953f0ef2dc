//! `/api/v1/…`: what is understood of prompts, in the shapes of the semantic router's own API. Admitted, read away from the
//! threads that serve, settled.

mod batch;
mod classify;
mod here;
mod remote;
mod shapes;
mod told;
mod vectors;

use std::sync::Arc;

use bytes::Bytes;
use pointsman_catalog::Money;
use pointsman_governance::{Estimate, Principal, Tokens};
use pointsman_store::Outcome;
use pointsman_understanding::SHIPPED;
use pointsman_wire::form::{Failure, FailureKind, Usage};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::errand::{self, Answer};
use super::{Arrival, Refusal, Ticket, admit};
use crate::reply::Reply;
use crate::surface::Understand;
use crate::worker::Worker;

pub use here::Here;
pub use remote::Remote;
pub use told::Told;

/// Answers.
pub async fn travel(
    worker: &Arc<Worker>,
    arrival: &Arrival,
    caller: Arc<Principal>,
    (what, body): (Understand, Bytes),
) -> Result<Reply, Refusal> {
    match what {
        Understand::Embeddings | Understand::Similarity | Understand::Similarities => {
            vectors::travel(worker, arrival, caller, (what, body)).await
        }
        _ => {
            let here = Here::admitted(worker, arrival, caller, (SHIPPED.name, 0)).await?;
            let answered = classify::answer(&here, what, &body).await;
            here.settle(answered, Usage::default())
        }
    }
}

/// A body as one of the shapes.
///
/// # Errors
/// When it is something else.
fn read<T: DeserializeOwned>(body: &Bytes) -> Result<T, Failure> {
    serde_json::from_slice(body).map_err(|error| Failure::new(FailureKind::InvalidRequest, error.to_string()))
}

/// An answer as JSON.
///
/// # Errors
/// When it can't be written: our own fault.
fn written<T: Serialize>(value: &T) -> Result<Bytes, Failure> {
    serde_json::to_vec(value)
        .map(Bytes::from)
        .map_err(|error| Failure::new(FailureKind::Internal, error.to_string()))
}

/// A text that is there.
///
/// # Errors
/// When there is none.
fn some_text(text: &str, field: &'static str) -> Result<Arc<str>, Failure> {
    if text.trim().is_empty() {
        let message = format!("{field} cannot be empty");
        return Err(Failure::new(FailureKind::InvalidRequest, message).at(field));
    }
    Ok(text.into())
}

/// Settles what was answered here, and hands it out.
///
/// # Errors
/// When it cannot be recorded.
fn hand_out(body: Bytes, usage: Usage, ticket: Ticket) -> Result<Reply, Refusal> {
    errand::hand_out(Answer::json(body, usage, false), ticket)
}

/// Settles a request that this machine did not answer.
fn refused(ticket: Ticket, failure: Failure) -> Refusal {
    let mut ending = ticket.refusal(&failure);
    if ending.outcome == Outcome::ProviderFailed && ticket.facts.attempts == 0 {
        ending.outcome = Outcome::Refused;
    }
    ticket.withhold(failure, &ending)
}

/// Admits a request that is answered on this machine, of so many tokens.
///
/// # Errors
/// 429 past a limit.
async fn admitted(
    worker: &Arc<Worker>,
    arrival: &Arrival,
    caller: Arc<Principal>,
    (model, tokens): (&str, u64),
) -> Result<Ticket, Refusal> {
    let estimate = Estimate {
        tokens: Tokens::prompt(tokens),
        cost: Money::ZERO,
    };
    let mut ticket = admit::admit_any(worker, arrival, caller, (model, estimate))
        .await
        .map_err(|failure| Refusal::from(failure).asking(model))?;
    ticket.answered_here(model);
    Ok(ticket)
}

/// The text that a conversation is judged by: what its user said last.
///
/// # Errors
/// When it is no conversation.
fn last_said(messages: &serde_json::value::RawValue) -> Result<Arc<str>, Failure> {
    let request = super::explain::conversation(None, messages.get())?;
    Ok(pointsman_wire::text::user_text(&request).as_ref().into())
}
