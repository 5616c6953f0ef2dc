//! A request at work: admitted where it is a call, answered beside its connection, settled before its answer is told.

use std::sync::Arc;

use pointsman_catalog::Money;
use pointsman_governance::Estimate;
use pointsman_mcp::call::{Answered, Asker, Refused};
use pointsman_mcp::error::RpcError;
use pointsman_mcp::link::{Sink, Told};
use pointsman_mcp::message::Request;
use pointsman_mcp::meta;
use pointsman_mcp::session::UnderWay;
use pointsman_store::Outcome;
use pointsman_wire::form::{Failure, FailureKind, Usage};
use tokio::task::AbortHandle;

use super::Desk;
use super::judge::Guardrails;
use crate::road::settle::Ending;
use crate::road::{Refusal, Ticket, admit};

/// Messages of a request on their way to its client.
pub const QUEUE: usize = 256;

/// Admits a request that makes a server do something.
///
/// # Errors
/// 429 past a limit.
pub async fn admit(desk: &Desk<'_>, request: &Request) -> Result<Option<Ticket>, Refusal> {
    let field = meta::named_by(&request.method);
    // What began a task was admitted; it is asked after as often as its server likes.
    let Some(field) = field.filter(|_| !request.method.starts_with("tasks/")) else {
        return Ok(None);
    };
    let name = request.params.text(field).unwrap_or_default();
    // Finds the tool, too, where its list is not known yet: its price is.
    let counted = counted_as(desk, request, &name).await;
    let estimate = Estimate {
        cost: if request.method == "tools/call" {
            desk.view.price(&name)
        } else {
            Money::ZERO
        },
        ..Estimate::default()
    };
    let asked = (counted.as_str(), estimate);
    let admitted = admit::admit_any(desk.worker, desk.arrival, Arc::clone(&desk.caller), asked).await;
    admitted
        .map(Some)
        .map_err(|failure| Refusal::from(failure).asking(&name))
}

/// What limits, budgets and the ledger know as what is asked: a tool is one at whichever address it is called.
pub async fn counted_as(desk: &Desk<'_>, request: &Request, name: &str) -> String {
    let tool = match request.method.as_str() {
        "tools/call" => desk.view.counted_as(&desk.worker.client, name).await,
        _ => None,
    };
    tool.unwrap_or_else(|| name.to_owned())
}

/// Has a request answered. What is said of it goes into `sink`, the answer last, unless its client cancels it.
pub fn start(
    (asker, guardrails): (Asker, Option<Arc<Guardrails>>),
    request: Request,
    ticket: Option<Ticket>,
    sink: Sink,
    under_way: Option<UnderWay>,
) -> AbortHandle {
    let work = async move {
        let answering = asker.answer(&request, &sink);
        let answered = match under_way {
            None => answering.await,
            Some(mut under_way) => tokio::select! {
                answered = answering => answered,
                // Whoever has cancelled wants no answer; the ticket settles itself as cancelled.
                Ok(()) = &mut under_way.cancelled => return,
            },
        };
        let answered = match ticket {
            Some(mut ticket) => {
                if let Some(guardrails) = guardrails {
                    ticket.facts.flags.append(&mut guardrails.flags());
                }
                settle(ticket, answered).0
            }
            None => answered,
        };
        // A client that is gone misses it.
        let _ = sink.send(Told::End(request.id, Box::new(answered))).await;
    };
    tokio::spawn(work).abort_handle()
}

/// Settles what was answered; says what it has cost.
pub fn settle(mut ticket: Ticket, answered: Answered) -> (Answered, Money) {
    let mut cost = Money::ZERO;
    if let (Some(server), Some(name)) = (&answered.server, &answered.name) {
        // A server that could not be asked, or said nothing, is not paid.
        let fee = match &answered.outcome {
            Ok(_) | Err(Refused::There(_)) => answered.cost,
            // It did its work; what it said may not be told.
            Err(Refused::Here(error)) if error.code == RpcError::BLOCKED => answered.cost,
            Err(Refused::Here(_)) => Money::ZERO,
        };
        ticket.answered_by(server, name, fee);
        cost = fee;
        ticket.facts.attempts = 1;
    }
    let (outcome, error) = match &answered.outcome {
        Ok(_) | Err(Refused::There(_)) => (Outcome::Complete, None),
        Err(Refused::Here(error)) => {
            let (outcome, kind) = if error.code == RpcError::BLOCKED {
                (Outcome::Refused, FailureKind::PermissionDenied)
            } else if answered.server.is_some() {
                (Outcome::ProviderFailed, FailureKind::Provider)
            } else {
                (Outcome::Refused, FailureKind::NotFound)
            };
            (outcome, Some(Failure::new(kind, error.message.clone())))
        }
    };
    let ending = Ending {
        outcome,
        status: 200,
        usage: Usage::default(),
        estimated: false,
        error,
    };
    match ticket.settle(&ending) {
        Ok(_) => (answered, cost),
        Err(refusal) => {
            let error = RpcError::internal(refusal.failure.message);
            let outcome = Err(error.into());
            (Answered { outcome, ..answered }, cost)
        }
    }
}
