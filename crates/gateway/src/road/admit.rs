//! Stage *admit*: may this caller ask for this, now? Reserves the estimate before anything is sent.

use std::sync::Arc;
use std::time::Instant;

use pointsman_catalog::{Money, Price, ServiceTier};
use pointsman_governance::{Denial, DenialKind, Details, Estimate, Principal, Reservation, Sent, Tokens};
use pointsman_wire::form::{ChatRequest, Failure, FailureKind, Usage};

use super::arrive::Asked;
use super::decide::Plan;
use super::{Arrival, Ticket, a2a, labels};
use crate::snapshot::{Model, Snapshot, Target};
use crate::worker::Worker;

/// Admits a conversation.
///
/// # Errors
/// 403 for a model the key may not use, 404 for one that is not there, 429 past a limit or budget, 503 where nobody
/// can say whether there is room.
pub async fn admit(
    worker: &Arc<Worker>,
    arrival: &Arrival,
    caller: Arc<Principal>,
    asked: &Asked,
) -> Result<Ticket, Failure> {
    let bound = completion_bound(&arrival.snapshot, &asked.request);
    let mut ticket = admit_bounded(worker, arrival, caller, asked, bound).await?;
    ticket.facts.streamed = asked.request.stream.enabled;
    Ok(ticket)
}

/// Admits a conversation whose answer has `bound` tokens at most.
///
/// # Errors
/// As [`admit`].
pub async fn admit_bounded(
    worker: &Arc<Worker>,
    arrival: &Arrival,
    caller: Arc<Principal>,
    asked: &Asked,
    bound: u64,
) -> Result<Ticket, Failure> {
    let tier = ServiceTier::said(asked.request.service_tier.as_deref());
    let customer = labels::customer(&asked.request);
    let wanted = Wanted {
        customer: customer.as_deref(),
        model: &asked.request.model,
        usage: Usage {
            input: asked.prompt_tokens,
            output: bound,
            ..Usage::default()
        },
        tier,
        price: &usual,
    };
    reserve(worker, arrival, caller, &wanted).await
}

/// The price at a target of what is asked for.
pub type PriceAt<'a> = &'a (dyn Fn(&Target) -> Option<Price> + Sync);

/// The price that a target has for everything.
fn usual(target: &Target) -> Option<Price> {
    target.price.clone()
}

/// What is asked for, and what it may use at most.
pub struct Wanted<'a> {
    /// The model's name as the client wrote it.
    pub model: &'a str,
    /// The end customer that the body names.
    pub customer: Option<&'a str>,
    /// What it may use.
    pub usage: Usage,
    /// The service tier that is asked for.
    pub tier: ServiceTier,
    /// The price at a target.
    pub price: PriceAt<'a>,
}

/// Admits a request for `model` of which is known what it may use.
///
/// # Errors
/// As [`admit`].
pub async fn admit_at(
    worker: &Arc<Worker>,
    arrival: &Arrival,
    caller: Arc<Principal>,
    (model, estimate): (&str, Estimate),
) -> Result<Ticket, Failure> {
    may_use(&caller, model)?;
    admit_any(worker, arrival, caller, (model, estimate)).await
}

/// Admits what no list of models is about.
///
/// # Errors
/// 429 past a limit or budget.
pub async fn admit_any(
    worker: &Arc<Worker>,
    arrival: &Arrival,
    caller: Arc<Principal>,
    (model, estimate): (&str, Estimate),
) -> Result<Ticket, Failure> {
    let caller = asking(&arrival.snapshot, caller, model);
    let reservation = set_aside(arrival, &caller, estimate).await?;
    let mut ticket = Ticket::new(worker, arrival, caller, reservation);
    model.clone_into(&mut ticket.facts.model_requested);
    Ok(ticket)
}

/// Sets aside what a request may use; of a part of one that has its place, without taking another.
async fn set_aside(
    arrival: &Arrival,
    caller: &Principal,
    estimate: Estimate,
) -> Result<Reservation, Failure> {
    let admitted = if arrival.is_part {
        caller.prepare_part(estimate).await;
        caller.admit_part(estimate, Instant::now())
    } else {
        caller.admit_shared(estimate, Instant::now()).await
    };
    admitted.map_err(denied)
}

/// Sets aside what a call within a request may use, that was admitted and keeps its place; at the dearest target that its
/// plan may lead to.
///
/// # Errors
/// 429 past a limit or budget.
pub fn part(
    snapshot: &Snapshot,
    caller: &Principal,
    asked: &Asked,
    plan: &Plan,
) -> Result<Reservation, Failure> {
    let estimate = planned(snapshot, asked, plan);
    let asking = caller.asking(&asked.request.model, &snapshot.limited);
    let caller = asking.as_ref().unwrap_or(caller);
    caller.admit_part(estimate, Instant::now()).map_err(denied)
}

/// What a conversation may use at most, at the dearest target that its plan may lead to.
pub fn planned(snapshot: &Snapshot, asked: &Asked, plan: &Plan) -> Estimate {
    let usage = Usage {
        input: asked.prompt_tokens,
        output: completion_bound(snapshot, &asked.request),
        ..Usage::default()
    };
    let tier = ServiceTier::said(asked.request.service_tier.as_deref());
    let costs = plan
        .steps
        .iter()
        .map(|step| fee(&step.model) + dearest(&step.model.targets, &usage, tier, &usual));
    Estimate {
        tokens: tokens_of(&usage),
        cost: costs.max().unwrap_or(Money::ZERO),
    }
}

/// What it costs to ask at all.
fn fee(model: &Model) -> Money {
    model.agent.as_ref().map_or(Money::ZERO, |agent| agent.price)
}

/// What a conversation may use at most, where `target` answers it as usual.
pub fn estimate(snapshot: &Snapshot, asked: &Asked, target: &Target) -> Estimate {
    estimate_of(
        target,
        asked.prompt_tokens,
        completion_bound(snapshot, &asked.request),
    )
}

/// What `prompt` and `completion` tokens at `target` are, as usual.
pub fn estimate_of(target: &Target, prompt: u64, completion: u64) -> Estimate {
    let usage = Usage {
        input: prompt,
        output: completion,
        ..Usage::default()
    };
    Estimate {
        tokens: tokens_of(&usage),
        cost: dearest(
            std::slice::from_ref(target),
            &usage,
            ServiceTier::Standard,
            &usual,
        ),
    }
}

/// What is sent to `target` for a conversation of so many tokens, at the tier that was asked for.
pub fn sent_to(target: &Target, (prompt, answer): (u64, u64), tier: ServiceTier) -> Sent {
    let usage = Usage {
        input: prompt,
        output: answer,
        ..Usage::default()
    };
    Sent {
        cost: dearest(std::slice::from_ref(target), &usage, tier, &usual),
        ..Sent::one(tokens_of(&usage))
    }
}

/// Whether the key may use a model.
///
/// # Errors
/// 403 when it may not.
pub fn may_use(caller: &Principal, model: &str) -> Result<(), Failure> {
    if caller.allows_model(model) {
        return Ok(());
    }
    Err(Failure::new(
        FailureKind::PermissionDenied,
        format!("this key may not use the model {model:?}; GET /v1/models lists those it may"),
    )
    .at("model"))
}

/// Checks the allow-list and reserves what is wanted, and what it may cost at most.
pub async fn reserve(
    worker: &Arc<Worker>,
    arrival: &Arrival,
    caller: Arc<Principal>,
    wanted: &Wanted<'_>,
) -> Result<Ticket, Failure> {
    let Wanted {
        model,
        customer,
        usage,
        tier,
        price,
    } = *wanted;
    may_use(&caller, model)?;
    let snapshot = &arrival.snapshot;
    let caller = labels::of_body(worker, caller, customer).await?;
    let caller = asking(snapshot, caller, model);
    let cost = if let Some(agent) = a2a::named(snapshot, &caller, model) {
        agent.price
    } else if snapshot.is_routed(model) {
        snapshot
            .routed_models()
            .map(|model| fee(&model) + dearest(&model.targets, &usage, tier, price))
            .max()
            .unwrap_or(Money::ZERO)
    } else {
        dearest(&snapshot.resolve(model)?.targets, &usage, tier, price)
    };
    let estimate = Estimate {
        tokens: tokens_of(&usage),
        cost,
    };
    let reservation = set_aside(arrival, &caller, estimate).await?;
    let mut ticket = Ticket::new(worker, arrival, caller, reservation);
    ticket.facts.tier = tier;
    ticket.facts.model_requested = model.to_owned();
    Ok(ticket)
}

/// Sets aside what one more attempt at `target` may use.
///
/// # Errors
/// 429 where the caller's limits have no room for it.
pub async fn again(
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
    let cost = dearest(std::slice::from_ref(target), &usage, ticket.facts.tier, &usual);
    let estimate = Estimate {
        tokens: tokens_of(&usage),
        cost,
    };
    ticket.reserve(estimate).await.map_err(denied)
}

/// The caller as who asks for a model, where that matters to any limit or budget.
pub fn asking(snapshot: &Snapshot, caller: Arc<Principal>, model: &str) -> Arc<Principal> {
    match caller.asking(model, &snapshot.limited) {
        Some(asking) => Arc::new(asking),
        None => caller,
    }
}

/// Tokens as limits count them.
pub fn tokens_of(usage: &Usage) -> Tokens {
    Tokens {
        input: usage.input,
        output: usage.output,
    }
}

/// What kinds of tokens they are, as far as expressions look at them.
pub fn details_of(usage: &Usage) -> Details {
    Details {
        cached: usage.cache_read,
        cache_creation: usage.cache_write.saturating_add(usage.cache_write_1h),
        reasoning: usage.reasoning,
    }
}

/// What `usage` costs at the dearest target of a model, at the tier that was asked for or as usual: which of the two
/// a provider gives is known only when it has answered.
fn dearest(targets: &[Target], usage: &Usage, tier: ServiceTier, price: PriceAt<'_>) -> Money {
    let of_tokens = targets
        .iter()
        .filter_map(price)
        .flat_map(|price| [ServiceTier::Standard, tier].map(|tier| price.cost(usage, tier)));
    let of_messages = targets
        .iter()
        .filter_map(|target| Some(target.agent.as_ref()?.price));
    of_tokens.chain(of_messages).max().unwrap_or(Money::ZERO)
}

/// How many tokens the answer may have: what the client said, else what the operator or the model says, times `n`.
pub fn completion_bound(snapshot: &Snapshot, request: &ChatRequest) -> u64 {
    let said = request.sampling.max_tokens.unwrap_or(snapshot.default_completion);
    said.saturating_mul(request.sampling.n.unwrap_or(1).max(1))
}

/// A denial, as a failure.
pub fn denied(denial: Denial) -> Failure {
    let (kind, code) = match denial.kind {
        DenialKind::Budget => (FailureKind::QuotaExceeded, "insufficient_quota"),
        DenialKind::Unreachable => (FailureKind::Unavailable, "limits_unavailable"),
        _ => (FailureKind::RateLimited, "rate_limit_exceeded"),
    };
    let mut failure = Failure::new(kind, denial.message).coded(code);
    failure.retry_after = denial.retry_after;
    failure
}
