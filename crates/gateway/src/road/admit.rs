//! Stage *admit*: may this caller ask for this, now? Reserves the estimate before anything is sent.

use std::sync::Arc;
use std::time::Instant;

use pointsman_catalog::{Money, ServiceTier};
use pointsman_governance::{Denial, DenialKind, Estimate, Principal};
use pointsman_wire::form::{ChatRequest, Failure, FailureKind, Usage};

use super::arrive::Asked;
use super::{Arrival, Ticket};
use crate::snapshot::{Snapshot, Target};
use crate::worker::Worker;

/// Admits a conversation.
///
/// # Errors
/// 403 for a model the key may not use, 404 for one that is not there, 429 past a limit or budget.
pub fn admit(
    worker: &Arc<Worker>,
    arrival: &Arrival,
    caller: Arc<Principal>,
    asked: &Asked,
) -> Result<Ticket, Failure> {
    let bound = completion_bound(&arrival.snapshot, &asked.request);
    let tier = ServiceTier::said(asked.request.service_tier.as_deref());
    let mut ticket = reserve(
        worker,
        arrival,
        caller,
        &asked.request.model,
        asked.prompt_tokens,
        bound,
        tier,
    )?;
    ticket.facts.streamed = asked.request.stream.enabled;
    Ok(ticket)
}

/// Checks the allow-list and reserves `prompt` plus `completion` tokens and what they may cost at most.
pub fn reserve(
    worker: &Arc<Worker>,
    arrival: &Arrival,
    caller: Arc<Principal>,
    model: &str,
    prompt: u64,
    completion: u64,
    tier: ServiceTier,
) -> Result<Ticket, Failure> {
    if !caller.allows_model(model) {
        return Err(Failure::new(
            FailureKind::PermissionDenied,
            format!("this key may not use the model {model:?}; GET /v1/models lists those it may"),
        )
        .at("model"));
    }
    let snapshot = &arrival.snapshot;
    let usage = Usage {
        input: prompt,
        output: completion,
        ..Usage::default()
    };
    let cost = if snapshot.is_routed(model) {
        snapshot
            .routed_models()
            .map(|model| dearest(&model.targets, &usage, tier))
            .max()
            .unwrap_or(Money::ZERO)
    } else {
        dearest(&snapshot.resolve(model)?.targets, &usage, tier)
    };
    let estimate = Estimate {
        tokens: usage.total(),
        cost,
    };
    let reservation = caller.admit(estimate, Instant::now()).map_err(denied)?;
    let mut ticket = Ticket::new(worker, arrival, caller, reservation);
    ticket.facts.tier = tier;
    ticket.facts.model_requested = model.to_owned();
    Ok(ticket)
}

/// Sets aside what one more attempt at `target` may use.
///
/// # Errors
/// 429 where the caller's limits have no room for it.
pub fn again(
    snapshot: &Snapshot,
    ticket: &mut Ticket,
    asked: &Asked,
    target: &Target,
) -> Result<(), Failure> {
    let usage = Usage {
        input: asked.prompt_tokens,
        output: completion_bound(snapshot, &asked.request),
        ..Usage::default()
    };
    let cost = dearest(std::slice::from_ref(target), &usage, ticket.facts.tier);
    let estimate = Estimate {
        tokens: usage.total(),
        cost,
    };
    ticket.reserve(estimate).map_err(denied)
}

/// What `usage` costs at the dearest target of a model, at the tier that was asked for or as usual: which of the two
/// a provider gives is known only when it has answered.
fn dearest(targets: &[Target], usage: &Usage, tier: ServiceTier) -> Money {
    let costs = targets
        .iter()
        .filter_map(|target| target.price.as_ref())
        .flat_map(|price| [ServiceTier::Standard, tier].map(|tier| price.cost(usage, tier)));
    costs.max().unwrap_or(Money::ZERO)
}

/// How many tokens the answer may have: what the client said, else what the operator or the model says, times `n`.
fn completion_bound(snapshot: &Snapshot, request: &ChatRequest) -> u64 {
    let said = request.sampling.max_tokens.unwrap_or(snapshot.default_completion);
    said.saturating_mul(request.sampling.n.unwrap_or(1).max(1))
}

/// A denial, as a failure.
pub fn denied(denial: Denial) -> Failure {
    let (kind, code) = match denial.kind {
        DenialKind::Budget => (FailureKind::QuotaExceeded, "insufficient_quota"),
        _ => (FailureKind::RateLimited, "rate_limit_exceeded"),
    };
    let mut failure = Failure::new(kind, denial.message).coded(code);
    failure.retry_after = denial.retry_after;
    failure
}
